package dashboard

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/live"
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
	Speed                        speed
	Delayed, Ready, Leased, Dead int64
	Queues, Paused               int
	Totals                       live.Totals
	Stats                        glassq.Stats
	Up                           time.Duration
	Look                         []row // queues that want somebody to look
	More                         int
	Charts                       []chart

	PutP50, PutP99, AckP99, SyncP float32 // seconds: the worst of the last ten
}

func (v *visit) overview() error {
	all, err := v.store().Queues(v.ctx())
	if err != nil {
		return err
	}
	p := overviewPage{Totals: v.opt.Live.Totals(), Queues: len(all)}
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
	for i := range all {
		q := &all[i]
		p.Delayed, p.Ready, p.Leased, p.Dead = p.Delayed+q.Delayed, p.Ready+q.Ready, p.Leased+q.Leased, p.Dead+q.Dead
		if q.Settings.Paused {
			p.Paused++
		}
	}
	p.Look, p.More = v.wanting(all)
	p.Charts = charts(v.opt.Live.ServerSeries(spans[v.Query("span")]))
	return v.render(200, "overview", v.T("Overview"), p)
}

// wanting are the queues that want somebody to look, with the reason, and how many more there are:
// those that stand still first, then those with dead tasks, then those whose tasks wait longest, and
// last those whose tasks are all delayed or leased, by a worker that may be silent.
func (v *visit) wanting(all []glassq.QueueInfo) (look []row, more int) {
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
	type entry struct {
		urgent float64
		at     int
	}
	var order []entry // small, for there may be many queues
	for i := range all {
		if q := &all[i]; q.Delayed+q.Ready+q.Leased+q.Dead > 0 {
			order = append(order, entry{urgent(q, false), i})
		}
	}
	slices.SortFunc(order, func(a, b entry) int { return cmp.Or(cmp.Compare(b.urgent, a.urgent), a.at-b.at) })
	for _, e := range order[:min(len(order), candidates)] { // who asks is looked up for these alone
		look = append(look, row{QueueInfo: all[e.at], View: v.opt.Live.Queue(all[e.at].Name)})
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
	return look, len(order) - len(look)
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

// pageOf is the part of list that the query asks for.
func pageOf[T any](v *visit, list []T) ([]T, pages) {
	p := pages{Of: max(1, (len(list)+perPage-1)/perPage), Rows: len(list)}
	at, _ := strconv.Atoi(v.Query("page"))
	p.At = max(1, min(at, p.Of))
	from := (p.At - 1) * perPage
	return list[from:min(len(list), from+perPage)], p
}

type queuesPage struct {
	Rows  []row
	Pages pages
}

// queueFilters are what a visitor may ask a list of queues for.
var queueFilters = map[string]func(*glassq.QueueInfo) bool{
	"ready":   func(q *glassq.QueueInfo) bool { return q.Ready > 0 },
	"delayed": func(q *glassq.QueueInfo) bool { return q.Delayed > 0 },
	"leased":  func(q *glassq.QueueInfo) bool { return q.Leased > 0 },
	"dead":    func(q *glassq.QueueInfo) bool { return q.Dead > 0 },
	"paused":  func(q *glassq.QueueInfo) bool { return q.Settings.Paused },
}

func (v *visit) queues() error {
	all, err := v.store().Queues(v.ctx())
	if err != nil {
		return err
	}
	name, has := v.Query("name"), queueFilters[v.Query("has")]
	all = slices.DeleteFunc(all, func(q glassq.QueueInfo) bool {
		return !strings.Contains(q.Name, name) || has != nil && !has(&q)
	})
	orders := map[string]func(*glassq.QueueInfo) float64{
		"ready":  func(q *glassq.QueueInfo) float64 { return float64(q.Ready) },
		"dead":   func(q *glassq.QueueInfo) float64 { return float64(q.Dead) },
		"oldest": func(q *glassq.QueueInfo) float64 { return q.Oldest },
	}
	if by := orders[v.Query("sort")]; by != nil {
		slices.SortStableFunc(all, func(a, b glassq.QueueInfo) int { return cmp.Compare(by(&b), by(&a)) })
	}
	some, at := pageOf(v, all)
	p := queuesPage{Pages: at}
	for _, q := range some {
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
func (p queuePage) BooksLine() string { return booksLine(p.Books) }

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
