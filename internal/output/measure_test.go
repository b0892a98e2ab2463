package output

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/report"
	"github.com/glassq/glassq/result"
)

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
		if end, to := out.Start+out.Width*float64(len(out.Points)), float64(last.UnixMilli())/1000; end < to ||
			end > to+2*out.Width {
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
		t.Errorf("%d groups, largest %q, %d results; want %d, %q, %d", len(s.Groups), s.Groups[0].Key, sum, maxGroups+1,
			otherKey, 3*maxGroups)
	}
	if list := c.list(); len(list) != maxClasses+1 || list[0].Class != otherKey {
		t.Errorf("%d classes, first %q; want %d and %q", len(list), list[0].Class, maxClasses+1, otherKey)
	}
}

// Words that are shown as the same text count as one, however often they come.
func TestCounterOfUnprintable(t *testing.T) {
	c := newCounter(2)
	for range 3 {
		c.add([]byte("a\x1bb"))
		c.add([]byte("a?b"))
	}
	for range 2 { // beyond the most, a known word still counts by itself
		c.add([]byte("b"))
		c.add([]byte("c"))
		c.add([]byte("a\xffb"))
	}
	want := []report.ErrorCount{{Class: "a?b", Count: 8}, {Class: "b", Count: 2}, {Class: otherKey, Count: 2}}
	if got := c.list(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
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

const hostile = `http://evil.test/"><script>alert(1)</script>&x='</style>`

// sampleDocument is the document of a run of n results over about a minute: every tenth failed, one
// of them with a hostile input that is also the slowest.
func sampleDocument(t *testing.T, n int) *report.Document {
	t.Helper()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tal, err := newTally(start, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		r := result.Record{OK: i%10 != 0, Code: 200, Began: start.Add(time.Duration(i) * time.Minute / time.Duration(n)),
			Took: time.Duration(i%50+1) * time.Millisecond, Lag: time.Duration(i%30) * time.Millisecond, Bytes: 100, Worker: "w"}
		if !r.OK {
			r.Code, r.Class = 0, "timeout"
		}
		input := fmt.Sprintf("http://h%d.test/?q=%d", i%3, i)
		if i == 10 {
			input, r.Took = hostile, 3*time.Second
		}
		l := glassq.Lease{Task: glassq.Task{ID: glassq.DenseID("r1", uint32(i)), Run: "r1", Position: uint32(i),
			Body: result.Append(nil, []byte(input), "", &r), Type: glassq.TypeJSON}}
		var rec record
		rec.read(&l, new(object), r.Began.Add(r.Took))
		tal.mu.Lock()
		tal.record(&rec)
		tal.mu.Unlock()
	}
	tal.ask(start.Add(time.Second), 500)
	failed := uint64((n + 9) / 10)
	rep := Report{Summary: Summary{Took: time.Minute}, Queue: "results.r1", Errors: tal.all.classes.list(), tally: tal,
		Run: glassq.Run{Name: "r1", Complete: true, Total: uint64(n), Sealed: true,
			Books: glassq.Books{Put: uint64(n), OK: uint64(n) - failed, Failed: failed}}}
	return rep.Document(start.Add(2 * time.Minute))
}

func TestDocument(t *testing.T) {
	d := sampleDocument(t, 6000)
	var done, due uint64
	for _, p := range d.Series.Points {
		done, due = done+p.Done, due+p.Due
	}
	if d.Results != 6000 || d.OK != 5400 || d.Failed != 600 || done != 6000 || due != 6000 || d.Service.Count != 6000 ||
		d.Due.Count != 6000 {
		t.Errorf("%d results, %d ok, %d failed, %d done and %d due in the series, %d and %d times; want 6000, 5400, 600 and 6000 each",
			d.Results, d.OK, d.Failed, done, due, d.Service.Count, d.Due.Count)
	}
	if len(d.Errors) != 1 || d.Errors[0] != (report.ErrorCount{Class: "timeout", Count: 600}) {
		t.Errorf("errors = %v", d.Errors)
	}
	if len(d.Groups) != 1 || len(d.Groups[0].Groups) != 4 || d.Groups[0].Groups[0].Count != 2000 {
		t.Errorf("groups = %v; want three hosts of 2000 and the hostile one", d.Groups)
	}
	if d.Slowest[0].Input != hostile || d.Service.Max != 3 || d.Rate.Asked != 500 || !d.Complete || !d.Balanced {
		t.Errorf("slowest %q, longest %v s, asked %v, complete %v, balanced %v", d.Slowest[0].Input, d.Service.Max,
			d.Rate.Asked, d.Complete, d.Balanced)
	}
}

// Times of results that had no answer are left out, but those of time-outs, which an answer would
// have exceeded.
func TestTimesAreOfAnswers(t *testing.T) {
	for o, want := range map[string]bool{
		`"ok":1,"rt":0.01,"code":200`: true, `"ok":1,"rt":0.01`: true, `"ok":0,"rt":0.01,"code":500,"err":"status"`: true,
		`"ok":0,"rt":0.01,"err":"exit"`: true, `"ok":0,"rt":0.01`: true, `"ok":0,"rt":0.01,"err":"timeout"`: true,
		`"ok":0,"rt":0.01,"err":"connect_timeout"`: true, `"ok":0,"rt":0.01,"code":200,"err":"protocol"`: true,
		`"ok":0,"rt":0.01,"err":"refused"`: false, `"ok":0,"rt":0.01,"err":"bad_task"`: false,
		`"ok":0,"rt":0.01,"err":"eof"`: false,
	} {
		y, err := newTally(time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		y.all.record(recordOf(leaseOf(1, `{"o":{"t":1790000000,`+o+`}}`)))
		if got := y.all.service.Count() + y.all.whole.Count(); got > 0 != want {
			t.Errorf("%s: counted %d times, want %v", o, got, want)
		}
	}
}

// A file that is continued is measured as one: figures, tables, charts and the rate are of all its
// results, and the pause between the calls is not of the rate.
func TestContinuedFileIsMeasuredAsOne(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	line := func(n int, at time.Time) string {
		ok, rest := 1, `,"code":200`
		if n%10 == 0 {
			ok, rest = 0, `,"code":503,"err":"status","body":"try\nlater"`
		}
		return fmt.Sprintf(`{"id":"r/%d","run":"r","i":"http://h/%d","o":{"ok":%d,"rt":0.01,"t":%d.5%s}}`+"\n", n, n, ok,
			at.Unix(), rest)
	}
	var file strings.Builder
	for n := range 100 {
		file.WriteString(line(n, start.Add(time.Duration(n/10)*time.Second)))
	}
	seen, _, err := LoadSeen(strings.NewReader(file.String()), LoadOptions{Run: "r"})
	if err != nil {
		t.Fatal(err)
	}
	tal := seen.tally
	for n := 100; n < 200; n++ {
		at := start.Add(time.Hour + time.Duration((n-100)/10)*time.Second)
		var rec record
		rec.read(&glassq.Lease{Task: glassq.Task{ID: glassq.DenseID("r", uint32(n)), Run: "r", Type: glassq.TypeJSON,
			Body: []byte(strings.TrimSpace(line(n, at)))}}, new(object), at)
		tal.record(&rec)
	}
	rep := Report{Summary: Summary{Took: 10 * time.Second}, tally: tal, Errors: tal.all.classes.list()}
	d := rep.Document(start.Add(2 * time.Hour))
	var done, failed, coded uint64
	for _, p := range d.Series.Points {
		done, failed = done+p.Done, failed+p.Failed
	}
	for _, c := range d.Codes {
		coded += c.Count
	}
	if d.Results != 200 || d.OK != 180 || d.Failed != 20 || done != 200 || failed != 20 || coded != 200 {
		t.Errorf("%d results, %d ok, %d failed; the chart has %d and %d, the codes %d; want 200, 180, 20", d.Results, d.OK,
			d.Failed, done, failed, coded)
	}
	if d.Rate.Span < 18 || d.Rate.Span > 20 || d.Rate.Reached < 9 {
		t.Errorf("%v results/s over %v s; want about 11 over 18", d.Rate.Reached, d.Rate.Span)
	}
	if len(d.Failures) != perClass || d.Failures[0].Excerpt != "try later" || d.Failures[0].Err != "status 503" {
		t.Errorf("failures = %+v", d.Failures)
	}
}
