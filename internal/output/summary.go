package output

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/glassq/glassq"
)

// A Summary is what an output has taken so far.
type Summary struct {
	Run        string // "" without one
	Total      uint64 // of the run, once it is sealed; 0 before
	Written    uint64 // results written
	Before     uint64 // results of the run that the continued file had already
	Duplicates uint64 // taken again and not written
	OK, Failed uint64 // of those written
	RT         Percentiles
	Took       time.Duration
}

// Line is the summary on one line.
func (s Summary) Line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s results  ok %s  failed %s  duplicate %s", comma(s.Written), comma(s.OK), comma(s.Failed), comma(s.Duplicates))
	if sec := s.Took.Seconds(); sec > 0 {
		fmt.Fprintf(&b, "  %s/s", comma(uint64(float64(s.Written)/sec+0.5)))
	}
	if s.RT.Count > 0 {
		fmt.Fprintf(&b, "  p50 %s  p99 %s  max %s", short(s.RT.P50), short(s.RT.P99), short(s.RT.Max))
	}
	return b.String()
}

// Percentiles of the response times that results named, within 0.1 %. Times of an hour and more count
// as an hour.
type Percentiles struct {
	Count                    uint64
	P50, P90, P99, P999, Max time.Duration
}

// An ErrorCount is how many failed results had one error class.
type ErrorCount struct {
	Class string // "status 404" for a bare status, "unknown" for none
	Count uint64
}

const (
	maxRT      = int64(time.Hour / time.Microsecond)
	maxClass   = 64  // bytes of an error class; longer ones are "other"
	maxClasses = 100 // error classes told apart; the rest are "other"
)

// tally counts results. All methods are safe for concurrent use.
type tally struct {
	start time.Time

	mu         sync.Mutex
	written    uint64
	duplicates uint64
	ok, failed uint64
	timed      uint64
	hist       *hdrhistogram.Histogram // microseconds
	classes    map[string]uint64
	run        string
	total      uint64
	before     uint64
}

func newTally(now time.Time) *tally {
	return &tally{start: now, hist: hdrhistogram.New(1, maxRT, 3), classes: make(map[string]uint64)}
}

// record counts one result; t.mu is held.
func (t *tally) record(r *glassq.Result) {
	t.written++
	if r.RT > 0 {
		t.timed++
		t.hist.RecordValue(min(r.RT.Microseconds(), maxRT)) // within bounds: no error
	}
	if r.OK {
		t.ok++
		return
	}
	t.failed++
	class := r.Err
	switch {
	case class == "" && r.Code != 0:
		class = "status " + strconv.Itoa(r.Code)
	case class == "":
		class = "unknown"
	case len(class) > maxClass:
		class = "other"
	}
	if _, ok := t.classes[class]; !ok {
		if len(t.classes) >= maxClasses {
			class = "other"
		}
		class = strings.Clone(class)
	}
	t.classes[class]++
}

func (t *tally) summary() Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Summary{
		Run: t.run, Total: t.total, Written: t.written, Before: t.before, Duplicates: t.duplicates,
		OK: t.ok, Failed: t.failed, RT: t.percentiles(), Took: time.Since(t.start),
	}
}

// percentiles reads the histogram; t.mu is held.
func (t *tally) percentiles() Percentiles {
	if t.timed == 0 {
		return Percentiles{}
	}
	v := t.hist.ValueAtPercentiles([]float64{50, 90, 99, 99.9})
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return Percentiles{
		Count: t.timed, P50: us(v[50]), P90: us(v[90]), P99: us(v[99]), P999: us(v[99.9]), Max: us(t.hist.Max()),
	}
}

// errors returns the error classes, most frequent first.
func (t *tally) errors() []ErrorCount {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]ErrorCount, 0, len(t.classes))
	for class, n := range t.classes {
		list = append(list, ErrorCount{class, n})
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Count != list[j].Count {
			return list[i].Count > list[j].Count
		}
		return list[i].Class < list[j].Class
	})
	return list
}
