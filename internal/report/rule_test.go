package report

import (
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
		{"p50>250ms", false}, {"p50>20ms", true}, {"p99 > 58ms", true}, {"p99.99>=1m", false}, {"max>60ms",
			false}, {"min<10ms", false},
		{"mean<=1s", true}, {"due.p99>1ms", true}, {"due.max>1s", false}, {"ok<99%", false}, {"ok<99.1%", true}, {"ok<9900",
			false},
		{"failed>1%", false}, {"failed>=1%", true}, {"failed>99", true}, {"late>0.1%", false}, {"late>9",
			true}, {"err:timeout>50", true},
		{"err:timeout>0.6%", false}, {"err:status>39", true}, {"err:status 404>39", true}, {"err:dns>0", false}, {"dead>1",
			true},
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
	for _, rule := range []string{"", "p99", "p99>", ">1", "p99=1ms", "p99>1", "p99>1%", "p0>1ms", "p101>1ms", "p>1ms",
		"ok<101%", "ok<1ms", "rate<1%",
		"rate<1ms", "dead>1%", "err:>1", "nonsense>1", "p99>1.2.3ms", "p99>1ms x", "due.rate>1", "p99>-1ms"} {
		if _, err := ParseRule(rule); glassq.CodeOf(err) != glassq.CodeBadRequest {
			t.Errorf("ParseRule(%q) = %v; want bad_request", rule, err)
		}
	}
	// Times without answers prove nothing, however long they are.
	d.OK = 0
	d.Errors = []ErrorCount{{"timeout", 60}, {"refused", 40}}
	for _, rule := range []string{"p99>1h", "due.mean>1h", "min<1us"} {
		r, err := ParseRule(rule)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := d.Judge([]Rule{r}); n != 1 || err != nil {
			t.Errorf("%q without an answer: %d broken, %v; want 1", rule, n, err)
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

// The least and the most are exact, whatever the precision, also after merges and through JSON.
func TestHistogramBounds(t *testing.T) {
	for digits := 1; digits <= 3; digits++ {
		h, other := NewHistogram(digits), NewHistogram(digits)
		for _, ms := range []int{123_457, 500_003} {
			h.Record(time.Duration(ms) * time.Microsecond)
			other.Record(2 * time.Duration(ms) * time.Microsecond)
		}
		whole := h.Clone().Merge(other).Merge(nil)
		if h.Min() != 123_457 || h.Max() != 500_003 || whole.Min() != 123_457 || whole.Max() != 1_000_006 {
			t.Errorf("%d digits: %d to %d, merged %d to %d", digits, h.Min(), h.Max(), whole.Min(), whole.Max())
		}
		l := whole.Latency(true)
		if l.Min != 0.123457 || l.Max != 1.000006 || l.P9999 != l.Max {
			t.Errorf("%d digits: %+v; want exact ends, and no percentile beyond", digits, l)
		}
		again, err := l.histogram()
		if err != nil || again.Min() != whole.Min() || again.Max() != whole.Max() ||
			again.ValueAtPercentile(100) != whole.Max() {
			t.Errorf("%d digits, through JSON: %d to %d, %v", digits, again.Min(), again.Max(), err)
		}
	}
}

func TestFormatBooks(t *testing.T) {
	b := glassq.Books{Put: 1_000_000, OK: 999_874, Failed: 126}
	want := "put 1,000,000 = ok 999,874 + failed 126 + dead 0 + pending 0    missing 0   duplicate 0"
	if got := FormatBooks(b, 0, 0); got != want {
		t.Errorf("FormatBooks = %q, want %q", got, want)
	}
}
