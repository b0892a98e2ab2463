package output

import (
	"fmt"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

func TestRules(t *testing.T) {
	d := timed(10000, 100, 10, 50)
	d.Errors = []ErrorCount{{"timeout", 60}, {"status 404", 40}}
	d.Due, d.Dead, d.Missing, d.Duplicates = d.Service, 2, 0, 3
	d.Rate = Rate{Reached: 5000, Late: 10}
	for _, tt := range []struct {
		rule   string
		broken bool
	}{
		{"p50>250ms", false}, {"p50>20ms", true}, {"p99 > 58ms", true}, {"p99.99>=1m", false}, {"max>60ms", false}, {"min<10ms", false},
		{"mean<=1s", true}, {"due.p99>1ms", true}, {"due.max>1s", false}, {"ok<99%", false}, {"ok<99.1%", true}, {"ok<9900", false},
		{"failed>1%", false}, {"failed>=1%", true}, {"failed>99", true}, {"late>0.1%", false}, {"late>9", true}, {"err:timeout>50", true},
		{"err:timeout>0.6%", false}, {"err:status>39", true}, {"err:status 404>39", true}, {"err:dns>0", false}, {"dead>1", true},
		{"missing>0", false}, {"duplicate>=3", true}, {"results<10000", false}, {"rate<20000", true}, {"rate<4999.5", false},
	} {
		r, err := ParseRule(tt.rule)
		if err != nil {
			t.Errorf("ParseRule(%q) = %v", tt.rule, err)
			continue
		}
		n, err := d.Judge([]Rule{r})
		if err != nil || (n == 1) != tt.broken || d.Rules[0].Broken != tt.broken || d.Rules[0].Says == "" {
			t.Errorf("%q: %d broken, %v, says %q; want broken %v", tt.rule, n, err, d.Rules[0].Says, tt.broken)
		}
	}
	for _, rule := range []string{"", "p99", "p99>", ">1", "p99=1ms", "p99>1", "p99>1%", "p0>1ms", "p101>1ms", "p>1ms", "ok<101%", "ok<1ms", "rate<1%",
		"rate<1ms", "dead>1%", "err:>1", "nonsense>1", "p99>1.2.3ms", "p99>1ms x", "due.rate>1", "p99>-1ms"} {
		if _, err := ParseRule(rule); glassq.CodeOf(err) != glassq.CodeBadRequest {
			t.Errorf("ParseRule(%q) = %v; want bad_request", rule, err)
		}
	}
	// What was not measured breaks a rule.
	for _, rule := range []string{"p99>1s", "due.mean>1s", "ok<1%", "rate<1"} {
		r, err := ParseRule(rule)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := new(Document).Judge([]Rule{r}); n != 1 || err != nil {
			t.Errorf("%q of no results: %d broken, %v; want 1", rule, n, err)
		}
	}
}

// Whatever the times, no more intervals than the bound are kept, and nothing is lost in them.
func TestSeriesCoarsens(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, every := range []time.Duration{time.Millisecond, time.Second, 11 * time.Minute, -time.Hour} {
		var s series
		for i := range 5000 {
			r := recordOf(leaseOf(uint32(i), fmt.Sprintf(`{"o":{"ok":%d,"rt":0.01}}`, i%2)))
			s.done(start.Add(time.Duration(i)*every), r)
			if len(s.points) > maxPoints {
				t.Fatalf("every %v: %d intervals after %d results", every, len(s.points), i+1)
			}
		}
		out := s.snapshot()
		var done, failed uint64
		for _, p := range out.Points {
			done, failed = done+p.Done, failed+p.Failed
		}
		if done != 5000 || failed != 2500 {
			t.Errorf("every %v: %d done, %d failed; want 5000, 2500", every, done, failed)
		}
		first, last := start, start.Add(4999*every)
		if every < 0 {
			first, last = last, first
		}
		from := float64(first.UnixMilli()) / 1000
		if at := out.Start; at > from || at+out.Width <= from {
			t.Errorf("every %v: begins at %v with width %v, first result %v", every, at, out.Width, from)
		}
		if end, to := out.Start+out.Width*float64(len(out.Points)), float64(last.UnixMilli())/1000; end < to || end > to+2*out.Width {
			t.Errorf("every %v: ends at %v, last result %v", every, end, to)
		}
	}
}

// Of more keys than groups the rest are counted together, and none is lost.
func TestGroupsAreBounded(t *testing.T) {
	g := newGrouping(By{kind: "host"})
	c := newCounter(maxClasses)
	for i := range 3 * maxGroups {
		g.record(recordOf(leaseOf(uint32(i), fmt.Sprintf(`{"i":"http://h%d/","o":{"ok":0,"err":"e%d"}}`, i, i))))
		c.add(fmt.Appendf(nil, "e%d", i))
	}
	s := g.snapshot()
	var sum uint64
	for _, group := range s.Groups {
		sum += group.Count
	}
	if len(s.Groups) != maxGroups+1 || s.Groups[0].Key != otherKey || sum != 3*maxGroups {
		t.Errorf("%d groups, largest %q, %d results; want %d, %q, %d", len(s.Groups), s.Groups[0].Key, sum, maxGroups+1, otherKey, 3*maxGroups)
	}
	if list := c.list(); len(list) != maxClasses+1 || list[0].Class != otherKey {
		t.Errorf("%d classes, first %q; want %d and %q", len(list), list[0].Class, maxClasses+1, otherKey)
	}
}

// Large results are reserved in smaller batches.
func TestBatchFits(t *testing.T) {
	o := &output{opt: Options{Batch: 4000}}
	for size, want := range map[int]int{0: 4000, 100: 4000, 16 << 10: 1023, 32 << 20: 1} {
		if got := o.fitting([]glassq.Lease{{Task: glassq.Task{Body: make([]byte, size)}}}); got != want {
			t.Errorf("bodies of %d bytes: %d, want %d", size, got, want)
		}
	}
}

// The least and the most are exact, whatever the precision, also after merges and through JSON.
func TestHistogramBounds(t *testing.T) {
	for digits := 1; digits <= 3; digits++ {
		h, other := newHistogram(digits), newHistogram(digits)
		for _, ms := range []int{123_457, 500_003} {
			h.record(time.Duration(ms) * time.Microsecond)
			other.record(2 * time.Duration(ms) * time.Microsecond)
		}
		whole := h.clone().merge(other).merge(nil)
		if h.Min() != 123_457 || h.Max() != 500_003 || whole.Min() != 123_457 || whole.Max() != 1_000_006 {
			t.Errorf("%d digits: %d to %d, merged %d to %d", digits, h.Min(), h.Max(), whole.Min(), whole.Max())
		}
		l := latencyOf(whole, true)
		if l.Min != 0.123457 || l.Max != 1.000006 || l.P9999 != l.Max {
			t.Errorf("%d digits: %+v; want exact ends, and no percentile beyond", digits, l)
		}
		again, err := l.histogram()
		if err != nil || again.Min() != whole.Min() || again.Max() != whole.Max() || again.ValueAtPercentile(100) != whole.Max() {
			t.Errorf("%d digits, through JSON: %d to %d, %v", digits, again.Min(), again.Max(), err)
		}
	}
}
