package output

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
)

// A Summary is where an output stands: what a progress display needs.
type Summary struct {
	Run        string // "" without one
	Total      uint64 // of the run, once it is sealed; 0 before
	Written    uint64 // results written by this output
	Before     uint64 // results of the run that the continued file had already
	Duplicates uint64 // taken again and not written
	OK, Failed uint64 // of all results, those of the continued file included
	Asked      float64
	RT         Percentiles // of all results, those of the continued file included
	Took       time.Duration
}

// Rate is results per second that this output wrote.
func (s *Summary) Rate() float64 {
	if sec := s.Took.Seconds(); sec > 0 {
		return float64(s.Written) / sec
	}
	return 0
}

// Line is the summary on one line, and a second one that tells its scope when a file was continued.
func (s Summary) Line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  ok %s  failed %s  duplicate %s", plain.Plural(s.OK+s.Failed, "result", "results"), plain.Comma(s.OK),
		plain.Comma(s.Failed), plain.Comma(s.Duplicates))
	again := s.OK+s.Failed > s.Written
	if s.Took > 0 && !again {
		fmt.Fprintf(&b, "  %s/s", plain.Comma(uint64(s.Rate()+0.5)))
	}
	if s.RT.Count > 0 {
		fmt.Fprintf(&b, "  p50 %s  p99 %s  max %s", report.Short(s.RT.P50), report.Short(s.RT.P99), report.Short(s.RT.Max))
	}
	if again {
		fmt.Fprintf(&b, "\n  of all calls together; this one added %s", plain.Comma(s.Written))
		if s.Took > 0 {
			fmt.Fprintf(&b, " in %s", report.Short(s.Took))
		}
	}
	return b.String()
}

// Percentiles of the response times that results named, within 0.1 %. Times of an hour and more
// count as an hour.
type Percentiles struct {
	Count                    uint64
	P50, P90, P99, P999, Max time.Duration
}

const (
	lateAfter    = 10 * time.Millisecond // work that began so long after it was due was late
	maxRates     = 500                   // changes of the asked rate that are remembered
	earliestYear = 2020                  // times before, and those to come, are a broken clock's
)

// tally counts results. All methods are safe for concurrent use.
type tally struct {
	mu         sync.Mutex // guards all below
	start      time.Time
	run        string
	total      uint64
	before     uint64 // positions that the file had
	written    uint64
	duplicates uint64
	all        totals // with those of the file
}

// totals are counts and distributions of results.
type totals struct {
	ok, failed   uint64
	raw          uint64 // were no JSON objects
	late         uint64
	bytes        uint64
	clocked      uint64    // named the time of their start
	began, ended time.Time // first start and last end that results named
	earlier      time.Time // ended, as the continued file had it
	resumed      time.Time // first start since then
	loaded       time.Time // when the file was read
	service      *report.Histogram
	whole        *report.Histogram // due to done
	classes      counter
	codes        codes
	samples      []report.Failure
	buf          []byte
	groupings    []*grouping
	slow         slowest
	series       series
	asked        []report.AskedRate
}

func newTally(now time.Time, by []By) (*tally, error) {
	groupings, err := newGroupings(by)
	if err != nil {
		return nil, err
	}
	return &tally{start: now, all: totals{
		service: report.NewHistogram(3), whole: report.NewHistogram(3), classes: newCounter(maxClasses), groupings: groupings,
	}}, nil
}

// record counts one result that was written; t.mu is held.
func (t *tally) record(r *record) {
	t.written++
	t.all.record(r)
}

func (a *totals) record(r *record) {
	if r.obj == nil {
		a.raw++
	}
	if r.out.Took > 0 && r.timed() {
		a.service.Record(r.out.Took)
	}
	if r.hasDue() && r.timed() {
		a.whole.Record(r.out.Took + r.out.Lag)
	}
	if r.hasDue() && r.out.Lag > lateAfter {
		a.late++
	}
	a.bytes += uint64(max(r.out.Bytes, 0))
	a.place(r)
	if r.out.OK {
		a.ok++
	} else {
		a.failed++
		a.buf = r.class(a.buf[:0])
		a.classes.add(a.buf)
		a.sample(r)
	}
	a.codes.add(r)
	for _, g := range a.groupings {
		g.record(r)
	}
	a.slow.offer(r)
}

// place puts a result into the series: by the worker's clock if that can be right, else by ours.
func (a *totals) place(r *record) {
	start, end := r.out.Began, r.ended()
	if end.IsZero() || start.Year() < earliestYear || end.After(cmp.Or(r.at, a.loaded).Add(time.Minute)) {
		if !r.at.IsZero() {
			a.series.done(r.at, r)
		}
		return
	}
	a.clocked++
	if !r.at.IsZero() && (a.resumed.IsZero() || start.Before(a.resumed)) {
		a.resumed = start
	}
	if a.began.IsZero() || start.Before(a.began) {
		a.began = start
	}
	if end.After(a.ended) {
		a.ended = end
	}
	a.series.done(end, r)
	if due := start.Add(-r.out.Lag); due.Year() >= earliestYear {
		a.series.at(due).due++
	}
}

// pause is the time between the last end of the continued file and the first start since then.
func (a *totals) pause() time.Duration {
	if a.earlier.IsZero() || a.resumed.IsZero() {
		return 0
	}
	return max(a.resumed.Sub(a.earlier), 0)
}

// ask notes which rate is asked for now.
func (t *tally) ask(now time.Time, rate float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.all.asked)
	if n == 0 && rate == 0 || n > 0 && t.all.asked[n-1].Rate == rate || n == maxRates {
		return
	}
	t.all.asked = append(t.all.asked, report.AskedRate{T: float64(now.UnixMilli()) / 1000, Rate: rate})
}

func (t *tally) summary() Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Summary{
		Run: t.run, Total: t.total, Written: t.written, Before: t.before, Duplicates: t.duplicates,
		OK: t.all.ok, Failed: t.all.failed, RT: t.percentiles(), Took: time.Since(t.start),
	}
	if n := len(t.all.asked); n > 0 {
		s.Asked = t.all.asked[n-1].Rate
	}
	return s
}

// percentiles reads the histogram; t.mu is held.
func (t *tally) percentiles() Percentiles {
	h := t.all.service
	if h.Count() == 0 {
		return Percentiles{}
	}
	v := h.At(50, 90, 99, 99.9)
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return Percentiles{
		Count: uint64(h.Count()), P50: us(v[0]), P90: us(v[1]), P99: us(v[2]), P999: us(v[3]), Max: us(h.Max()),
	}
}
