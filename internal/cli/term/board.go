package term

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/output"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
)

const (
	askEvery = 500 * time.Millisecond // how often a board asks for the books
	askLimit = time.Second            // how long it waits for them
	rateOver = 3 * time.Second        // over which rates are averaged
)

// A snapshot is where a run stands.
type snapshot struct {
	total          uint64 // tasks of the run; 0 while nobody knows
	put, done, out uint64 // put, ended, and results taken
	ok, failed     uint64
	dead, leased   uint64
	p50, p99       time.Duration // of the results taken here; 0 for none
}

// A gauge is one bar of a board.
type gauge struct {
	name        string
	done, total uint64
	rate        float64 // per second
	left        time.Duration
}

// gauges are what the bars show; rates are those of put, done and out.
func (s *snapshot) gauges(rates [3]float64) []gauge {
	list := []gauge{
		{name: "put", done: s.put, total: s.total},
		{name: "done", done: s.done, total: max(s.total, s.put)},
		{name: "out", done: s.out, total: max(s.total, s.put)},
	}
	for i := range list {
		g := &list[i]
		if g.rate = rates[i]; g.rate >= 0.01 && g.total > g.done {
			g.left = time.Duration(math.Min(float64(g.total-g.done)/g.rate, 1e8) * float64(time.Second))
		}
	}
	return list
}

// figures is the text behind a bar: as much of it as fits into so many columns.
func (g *gauge) figures(columns int) string {
	text, share := plain.Comma(g.done), ""
	if g.total > 0 {
		share = fmt.Sprintf("%d%%", min(100, int(float64(g.done)/float64(g.total)*100)))
		text += " of " + plain.Comma(g.total) + " (" + share + ")"
	}
	speed := "  " + plain.Comma(uint64(math.Round(g.rate))) + "/s"
	if g.left > 0 {
		speed += "  " + g.left.Round(time.Second).String() + " left"
	}
	if g.total > 0 && g.done >= g.total {
		speed = "" // of what is over, the average only fades
	}
	switch {
	case share == "" || len(text)+len(speed) <= columns:
		return text + speed
	case len(share)+len(speed) <= columns:
		return share + speed
	}
	return share
}

// line is the line below the bars.
func (s *snapshot) line() string {
	var parts []string
	if n := s.ok + s.failed; n > 0 {
		// Rounded down: 100.00 means that none failed.
		parts = append(parts, fmt.Sprintf("ok %.2f%%", math.Floor(float64(s.ok)/float64(n)*10_000)/100))
	}
	if s.p99 > 0 {
		parts = append(parts, "p50 "+report.Short(s.p50), "p99 "+report.Short(s.p99))
	}
	parts = append(parts, "leased "+plain.Comma(s.leased), "dead "+plain.Comma(s.dead))
	return strings.Join(parts, "  ")
}

// A Teller knows the books of runs: a client or a broker.
type Teller interface {
	Run(ctx context.Context, name string) (glassq.Run, error)
	Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error)
}

// A board is the bars of a run. Figures are set by those who have them; the books it asks for
// itself.
type board struct {
	bars   *bars
	q      Teller
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	run   string     // "" until it is known
	snap  snapshot
	known uint64 // total that was set, which the run need not know yet
	last  snapshot
	then  time.Time
	rates [3]float64
	sum   float64 // of the weights that rates are made of; nears 1
}

// newBoard starts to show the books of run, "" for one that begin will name. The caller must close
// it.
func newBoard(b *bars, q Teller, run string) *board {
	ctx, cancel := context.WithCancel(context.Background())
	v := &board{bars: b, q: q, cancel: cancel, run: run, then: time.Now()}
	v.wg.Go(func() {
		t := time.NewTicker(askEvery)
		defer t.Stop()
		for {
			v.ask(ctx)
			v.draw(time.Now())
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return v
}

// ask takes the books over; without an answer the figures stay.
func (v *board) ask(ctx context.Context) {
	v.mu.Lock()
	name := v.run
	v.mu.Unlock()
	if name == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	r, err := v.q.Run(ctx, name)
	if err != nil {
		return
	}
	var leased uint64
	if queues, err := v.q.Queues(ctx, r.Queue); err == nil && r.Queue != "" && len(queues) == 1 {
		leased = uint64(queues[0].Leased)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.snap.books(&r)
	v.snap.leased = leased
	v.snap.total = max(v.known, r.Total)
}

// books takes over what a run's books say.
func (s *snapshot) books(r *glassq.Run) {
	b := r.Books
	s.put, s.done, s.ok, s.failed, s.dead = max(s.put, b.Put), b.Put-b.Pending(), b.OK, b.Failed, b.Dead.Sum()
	if ended := b.OK + b.Failed; ended > r.Waiting {
		s.out = max(s.out, ended-r.Waiting) // whoever takes them
	}
}

// begin says the name of the run, once it is known.
func (v *board) begin(run string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.run = run
}

// puts says how many are put; total 0 is not known.
func (v *board) puts(done, total uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.snap.put, v.known = max(v.snap.put, done), total
	v.snap.total = max(v.snap.total, total)
}

// results takes over what an output knows.
func (v *board) results(s output.Summary) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known = max(v.known, s.Total)
	v.snap.total = max(v.snap.total, s.Total)
	v.snap.out = max(v.snap.out, s.Before+s.Written)
	if s.RT.Count > 0 {
		v.snap.p50, v.snap.p99 = s.RT.P50, s.RT.P99
	}
}

// draw moves the averages on and hands the figures to the bars.
func (v *board) draw(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if dt := now.Sub(v.then).Seconds(); dt > 0 {
		weight := 1 - math.Exp(-dt/rateOver.Seconds())
		for i, d := range [3][2]uint64{{v.last.put, v.snap.put}, {v.last.done, v.snap.done}, {v.last.out, v.snap.out}} {
			v.rates[i] += weight * ((float64(d[1])-float64(d[0]))/dt - v.rates[i])
		}
		v.sum += weight * (1 - v.sum)
		v.last, v.then = v.snap, now
	}
	var rates [3]float64
	for i := range rates {
		if v.sum > 0 {
			rates[i] = v.rates[i] / v.sum // else the first seconds would show too little
		}
	}
	v.bars.show(v.snap.gauges(rates), v.snap.line())
}

// close shows the last figures and leaves the bars standing.
func (v *board) close() {
	v.cancel()
	v.wg.Wait()
	v.ask(context.Background())
	v.draw(time.Now())
	v.bars.close()
}
