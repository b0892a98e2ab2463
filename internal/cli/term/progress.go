package term

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
)

const (
	drawEvery = 200 * time.Millisecond // on a terminal
	lineEvery = 10 * time.Second       // elsewhere
	rateSpan  = 5 * time.Second        // over which the rate is averaged
	barWidth  = 24
)

// A progress shows how far something has come: on a terminal one line that is written anew,
// elsewhere a plain line every ten seconds. It draws by its own clock, so set costs two atomic
// stores. All methods are safe for concurrent use.
type progress struct {
	w        io.Writer
	terminal bool
	label    string
	start    time.Time

	done, total atomic.Uint64
	begun       atomic.Bool   // something was set
	before      atomic.Uint64 // of done, what earlier calls did: no part of any rate
	note        atomic.Pointer[string]

	rate     float64 // per second, averaged; draw's
	lastDone uint64
	last     time.Time

	stop chan struct{}
	once sync.Once
	wg   sync.WaitGroup
}

// newProgress starts to show progress on w. The caller must close it, and writes nothing else to w
// meanwhile.
func newProgress(w io.Writer, terminal bool, label string) *progress {
	p := &progress{w: w, terminal: terminal, label: label, start: time.Now(), stop: make(chan struct{})}
	p.last = p.start
	p.wg.Go(p.loop)
	return p
}

// set says how much is done, of how much; total 0 means not known. Done never goes back: of calls
// that overtake each other the highest counts.
func (p *progress) set(done, total uint64) {
	p.total.Store(total)
	p.begun.Store(true)
	for {
		old := p.done.Load()
		if done <= old || p.done.CompareAndSwap(old, done) {
			return
		}
	}
}

// setNote puts a text behind the figures, such as percentiles or what is waited for; "" takes it
// away.
func (p *progress) setNote(text string) { p.note.Store(&text) }

// close shows the last figures, if there ever were any, and stops. A second close is a no-op.
func (p *progress) close() {
	p.once.Do(func() { close(p.stop) })
	p.wg.Wait()
}

func (p *progress) loop() {
	every := lineEvery
	if p.terminal {
		every = drawEvery
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.draw(time.Now(), false)
		case <-p.stop:
			p.draw(time.Now(), true)
			return
		}
	}
}

// draw writes the line. Where it cannot be written nothing is lost, so errors are not looked at.
func (p *progress) draw(now time.Time, last bool) {
	line := p.line(now, last)
	switch {
	case last && !p.begun.Load():
		if p.terminal {
			io.WriteString(p.w, "\r\x1b[K")
		}
	case p.terminal && last:
		fmt.Fprintf(p.w, "\r\x1b[K%s\n", line)
	case p.terminal:
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	default:
		fmt.Fprintf(p.w, "%s\n", line)
	}
}

// line makes the line and moves the average on. The last line has the rate over all the time.
func (p *progress) line(now time.Time, last bool) string {
	done, total := p.done.Load(), p.total.Load()
	before := min(p.before.Load(), done)
	p.lastDone = max(p.lastDone, before)
	if dt := now.Sub(p.last).Seconds(); dt > 0 {
		current := float64(done-p.lastDone) / dt
		weight := 1 - math.Exp(-dt/rateSpan.Seconds())
		if p.last.Equal(p.start) {
			weight = 1
		}
		p.rate += weight * (current - p.rate)
		p.lastDone, p.last = done, now
	}
	elapsed := now.Sub(p.start)
	rate := p.rate
	if last && elapsed > 0 {
		rate = float64(done-before) / elapsed.Seconds()
	}
	var b strings.Builder
	b.WriteString(p.label)
	if p.terminal && total > 0 {
		full := min(barWidth, int(float64(done)/float64(total)*barWidth))
		fmt.Fprintf(&b, " [%s%s]", strings.Repeat("#", full), strings.Repeat(".", barWidth-full))
	}
	b.WriteByte(' ')
	b.WriteString(plain.Comma(done))
	if total > 0 {
		fmt.Fprintf(&b, " of %s (%d%%)", plain.Comma(total), min(100, int(float64(done)/float64(total)*100)))
	}
	fmt.Fprintf(&b, "  %s/s", plain.Comma(uint64(math.Round(rate))))
	switch {
	case last:
		fmt.Fprintf(&b, "  in %s", report.Short(elapsed))
	case total > done && rate >= 0.01:
		fmt.Fprintf(&b, "  %s left", report.Short(time.Duration(math.Min(float64(total-done)/rate,
			1e8)*float64(time.Second))))
	}
	if note := p.note.Load(); note != nil && *note != "" {
		b.WriteString("  ")
		b.WriteString(*note)
	}
	return b.String()
}
