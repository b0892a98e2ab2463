package dashboard

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/report"
	"github.com/glassq/glassq/internal/rights"
)

const (
	candidates = 200
	perPage    = 100 // rows of a list
	maxPoints  = 90  // of a chart
	attention  = 12  // queues on the overview, of the first candidates

	asksWithin = 10 * time.Second // whoever asked for tasks within it still does
)

// A chart is drawn from its table by the script.
type chart struct {
	ID, Title string
	Unit      string // of all lines: "/s" or "ms"
	Lines     []string
	Rows      []point
}

type point struct {
	At     time.Time
	Values []float64
}

// charts makes those of a series: of what happened each second, and of how long it took where that
// is known. Steps are put together so that there are at most maxPoints.
func charts(s live.Series) []chart {
	n := max(1, (len(s.Samples)+maxPoints-1)/maxPoints)
	span := s.Step.Seconds() * float64(n)
	rates := chart{ID: "rates", Title: "Tasks a second", Unit: "/s", Lines: []string{"put", "handed out", "ok", "failed"}}
	waits := chart{ID: "latencies", Title: "Latencies, 99 of 100 below", Unit: "ms",
		Lines: []string{"put", "reserve", "ack", "sync"}}
	for i := 0; i+n <= len(s.Samples); i += n {
		at := s.Start.Add(time.Duration(i) * s.Step)
		sum, top := [4]float64{}, [4]float64{}
		for k := i; k < i+n; k++ {
			x := &s.Samples[k]
			for j, v := range []uint32{x.Put, x.Out, x.OK, x.Failed} {
				sum[j] += float64(v) / span
			}
			if s.Latencies != nil {
				l := &s.Latencies[k]
				for j, v := range []float32{l.PutP99, l.ReserveP99, l.AckP99, l.SyncP99} {
					top[j] = max(top[j], float64(v)*1000)
				}
			}
		}
		rates.Rows = append(rates.Rows, point{at, sum[:]})
		waits.Rows = append(waits.Rows, point{at, top[:]})
	}
	if s.Latencies == nil {
		return []chart{rates}
	}
	return []chart{rates, waits}
}

// speed is what happened a second, over the last seconds of a series.
type speed struct{ Put, Out, OK, Failed float64 }

func speedOf(s live.Series, last time.Duration) (v speed) {
	n := min(len(s.Samples), max(1, int(last/max(s.Step, 1))))
	span := s.Step.Seconds() * float64(n)
	for _, x := range s.Samples[len(s.Samples)-n:] {
		v.Put += float64(x.Put) / span
		v.Out += float64(x.Out) / span
		v.OK += float64(x.OK) / span
		v.Failed += float64(x.Failed) / span
	}
	return v
}

// spans are what a visitor may choose for charts.
var spans = map[string]time.Duration{"": 15 * time.Minute, "24h": 24 * time.Hour, "30d": 30 * 24 * time.Hour}

type overviewPage struct {
	glassq.QueueTotals
	Speed  speed
	Totals live.Totals
	Stats  glassq.Stats
	Up     time.Duration
	Look   []row // queues that want somebody to look
	More   int
	Charts []chart

	PutP50, PutP99, AckP99, SyncP float32 // seconds: the worst of the last ten
}

func (v *visit) overview() error {
	l, err := v.store().List(v.ctx(), glassq.QueueQuery{Sort: glassq.SortUrgent, Max: candidates})
	if err != nil {
		return err
	}
	p := overviewPage{Totals: v.opt.Live.Totals(), QueueTotals: l.Totals}
	if p.Stats, err = v.store().Stats(v.ctx()); err != nil {
		return err
	}
	p.Up = time.Since(p.Totals.Since).Round(time.Second)
	now := v.opt.Live.ServerSeries(time.Minute)
	p.Speed = speedOf(now, 10*time.Second)
	for _, l := range now.Latencies[max(0, len(now.Latencies)-10):] {
		p.PutP50, p.PutP99 = max(p.PutP50, l.PutP50), max(p.PutP99, l.PutP99)
		p.AckP99, p.SyncP = max(p.AckP99, l.AckP99), max(p.SyncP, l.SyncP99)
	}
	p.Look = v.wanting(l.Queues)
	p.More = l.Totals.Holding - len(p.Look)
	p.Charts = charts(v.opt.Live.ServerSeries(spans[v.Query("span")]))
	return v.render(200, "overview", v.T("Overview"), p)
}

// wanting are those of the most urgent queues that want somebody to look, with the reason: those
// that stand still first, then those with dead tasks, then those whose tasks wait longest, and
// last those whose tasks are all delayed or leased, by a worker that may be silent.
func (v *visit) wanting(most []glassq.QueueInfo) (look []row) {
	urgent := func(q *glassq.QueueInfo, stands bool) float64 {
		u := q.Oldest
		if q.Ready > 0 && (stands || q.Settings.Paused) {
			u += 1e9
		}
		if q.Dead > 0 {
			u += 1e6
		}
		return u
	}
	for _, q := range most { // who asks is looked up for these alone
		look = append(look, row{QueueInfo: q, View: v.opt.Live.Queue(q.Name)})
	}
	slices.SortStableFunc(look, func(a, b row) int {
		return cmp.Compare(urgent(&b.QueueInfo, b.Alone()), urgent(&a.QueueInfo, a.Alone()))
	})
	look = look[:min(len(look), attention)]
	for i := range look {
		look[i] = v.rowOf(look[i].QueueInfo)
		if why, err := v.opt.Explain.Queue(v.ctx(), look[i].Name); err == nil { // else it has gone meanwhile
			look[i].Why = why.Text
		}
	}
	return look
}

// A row is a queue in a list.
type row struct {
	glassq.QueueInfo
	Speed speed
	View  live.QueueView
	Why   string // what holds it up, on the overview
}

// OldestFor is how long the oldest ready task has waited.
func (r row) OldestFor() time.Duration { return time.Duration(r.Oldest * float64(time.Second)) }

// Alone tells whether tasks are ready and nobody asks for them.
func (r row) Alone() bool {
	return r.Ready > 0 && r.Waiters == 0 && r.Leased == 0 && time.Since(r.View.Asked) > asksWithin
}

func (v *visit) rowOf(q glassq.QueueInfo) row {
	r := row{QueueInfo: q, View: v.opt.Live.Queue(q.Name)}
	if s, ok := v.opt.Live.QueueSeries(q.Name, time.Minute); ok {
		r.Speed = speedOf(s, 10*time.Second)
	}
	return r
}

// pages are those of a list.
type pages struct{ At, Of, Rows int }

// Before and After are the neighbours of a page, 0 for none.
func (p pages) Before() int { return p.At - 1 }

// After is the next page, 0 for none.
func (p pages) After() int {
	if p.At < p.Of {
		return p.At + 1
	}
	return 0
}

// pagesOf is which page of so many rows the query asks for, and how many rows are before it.
func (v *visit) pagesOf(rows int) (p pages, skip int) {
	p = pages{Of: max(1, (rows+perPage-1)/perPage), Rows: rows}
	at, _ := strconv.Atoi(v.Query("page"))
	p.At = max(1, min(at, p.Of))
	return p, (p.At - 1) * perPage
}

// pageOf is the part of list that the query asks for.
func pageOf[T any](v *visit, list []T) ([]T, pages) {
	p, from := v.pagesOf(len(list))
	return list[from:min(len(list), from+perPage)], p
}

// list is the part of a list of queues that the query asks for; beyond its end, the last one.
func (v *visit) list(q glassq.QueueQuery) (l glassq.QueueList, p pages, err error) {
	at, _ := strconv.Atoi(v.Query("page"))
	q.Max = perPage
	for q.Skip = (max(1, min(at, glassq.MaxListed/perPage)) - 1) * perPage; ; {
		if l, err = v.store().List(v.ctx(), q); err != nil {
			return l, p, err
		}
		was := q.Skip
		if p, q.Skip = v.pagesOf(l.Totals.Queues); q.Skip == was {
			return l, p, nil
		}
	}
}

type queuesPage struct {
	Rows  []row
	Pages pages
}

func (v *visit) queues() error {
	l, at, err := v.list(glassq.QueueQuery{Name: v.Query("name"), Has: v.Query("has"), Sort: v.Query("sort")})
	if err != nil {
		return err
	}
	p := queuesPage{Pages: at}
	for _, q := range l.Queues {
		p.Rows = append(p.Rows, v.rowOf(q))
	}
	return v.render(200, "queues", v.T("Queues"), p)
}

type queuePage struct {
	row
	May    bool
	Why    glassq.Explanation
	Charts []chart
	Change *progress
	States []stateCount
}

type stateCount struct {
	State string
	Count int64
}

// BooksLine is the books of the queue as everybody knows them.
func (p queuePage) BooksLine() string { return report.BooksLine(p.Books) }

func (v *visit) queue() error {
	name := v.r.PathValue("queue")
	list, err := v.store().Queues(v.ctx(), name)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return glassq.Errorf(glassq.CodeNotFound, "there is no queue %s; a queue is made by its first use", name)
	}
	q := list[0]
	p := queuePage{row: v.rowOf(q), May: v.may(rights.VerbConfigure, name), Change: v.changes.of(name),
		States: []stateCount{{"delayed", q.Delayed}, {"ready", q.Ready}, {"leased", q.Leased}, {"dead", q.Dead}}}
	if p.Why, err = v.opt.Explain.Queue(v.ctx(), name); err != nil {
		return err
	}
	if s, ok := v.opt.Live.QueueSeries(name, spans[v.Query("span")]); ok {
		p.Charts = charts(s)
	}
	return v.render(200, "queue", name, p)
}

type workersPage struct {
	Workers []worker
	Totals  live.Totals
	Cut     int                  // workers that are not shown
	Cluster *glassq.ClusterStats // nil where the store is this server's own
}

type worker struct {
	live.Worker
	Ago    time.Duration
	Silent bool // holds leases and was not heard of for a minute
}

func (v *visit) workers() error {
	p := workersPage{Totals: v.opt.Live.Totals()}
	now := time.Now()
	for _, w := range v.opt.Live.Workers(maxWorker) {
		ago := now.Sub(w.Seen).Round(time.Second)
		p.Workers = append(p.Workers, worker{w, ago, w.InFlight > 0 && ago > time.Minute})
	}
	p.Cut = max(0, p.Totals.Workers-len(p.Workers))
	if stats, err := v.store().Stats(v.ctx()); err == nil { // else it is not said whose workers they are
		p.Cluster = stats.Cluster
	}
	return v.render(200, "workers", v.T("Workers"), p)
}
