package live_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/live"
)

// work puts n tasks of a run, takes them, and acks them after took; those for which failed is not ""
// fail with that class.
func work(t *testing.T, s glassq.Store, run string, n int, took time.Duration, failed func(i int) string) {
	t.Helper()
	tasks := make([]glassq.Task, n)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "q", Run: run}
	}
	if _, err := s.Put(by("putter"), tasks); err != nil {
		t.Fatal(err)
	}
	leases := reserve(t, s, "host", "q", n)
	time.Sleep(took)
	acks := make([]glassq.Ack, n)
	for i := range acks {
		acks[i] = glassq.Ack{Token: leases[i].Token(), Outcome: glassq.OK}
		if class := failed(i); class != "" {
			acks[i].Outcome = glassq.Failed
			acks[i].Result = &glassq.Task{Queue: "results", Type: glassq.TypeJSON,
				Body: fmt.Appendf(nil, `{"i":1,"o":{"ok":0,"err":%q}}`, class)}
		}
	}
	errs, err := s.Ack(by("host"), acks)
	for _, e := range errs {
		if err == nil {
			err = e
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func fine(int) string { return "" }

// TestCourse: how long the tasks of a run took, over its life, and why they failed.
func TestCourse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := watched(t, live.Options{})
		if _, ok := l.RunCourse("r"); ok {
			t.Error("a run that nobody has heard of has a course")
		}
		work(t, s, "r", 98, 10*time.Millisecond, func(i int) string {
			switch {
			case i < 3:
				return "timeout"
			case i == 3:
				return "own word"
			}
			return ""
		})
		work(t, s, "r", 2, 3*time.Second, fine)
		work(t, s, "other", 5, time.Second, func(int) string { return "dns" })
		c, ok := l.RunCourse("r")
		if !ok || c.Step != time.Second || len(c.Steps) != 4 || c.Steps[0].Tasks != 98 || c.Steps[1].Tasks != 0 ||
			c.Steps[3].Tasks != 2 || c.Whole.Tasks != 100 {
			t.Fatalf("the course is %+v, %v", c, ok)
		}
		within := func(what string, d, low, high time.Duration) {
			t.Helper()
			if d <= low || d > high {
				t.Errorf("%s is %v, not between %v and %v", what, d, low, high)
			}
		}
		within("p50 of all", c.Whole.P50, 5*time.Millisecond, 10*time.Millisecond)
		within("p99 of all", c.Whole.P99, 2*time.Second, 5*time.Second)
		within("p50 of the end", c.Steps[3].P50, 2*time.Second, 5*time.Second)
		want := []live.Failures{{Class: "timeout", Tasks: 3}, {Class: "own word", Tasks: 1}}
		if fmt.Sprint(c.Failures) != fmt.Sprint(want) {
			t.Errorf("failures are %v, want %v", c.Failures, want)
		}
		// Its steps grow with it, and no task is lost.
		time.Sleep(10 * time.Minute)
		work(t, s, "r", 1, time.Second, fine)
		c, _ = l.RunCourse("r")
		sum := uint64(0)
		for _, x := range c.Steps {
			sum += x.Tasks
		}
		if c.Step != 16*time.Second || len(c.Steps) > 60 || sum != 101 || c.Steps[0].Tasks != 100 ||
			c.Steps[len(c.Steps)-1].Tasks != 1 {
			t.Errorf("after ten minutes the course is %+v", c)
		}
	})
}

// TestCourseIsBounded: classes and runs without end take no more room than some.
func TestCourseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := watched(t, live.Options{})
		work(t, s, "many", 50, time.Millisecond, func(i int) string { return fmt.Sprintf("class %d", i) })
		if c, _ := l.RunCourse("many"); len(c.Failures) != 21 || c.Failures[0] != (live.Failures{Class: "others", Tasks: 30}) {
			t.Errorf("failures of 50 classes are %v", c.Failures)
		}
		before := l.RingBytes()
		for i := range 150 {
			work(t, s, fmt.Sprintf("r%d", i), 1, time.Millisecond, fine)
		}
		if _, ok := l.RunCourse("r140"); ok {
			t.Error("a run has taken the place of one that goes on")
		}
		time.Sleep(2 * time.Minute)
		work(t, s, "late", 1, time.Millisecond, fine)
		if _, ok := l.RunCourse("late"); !ok {
			t.Error("a run has no course, though others stand still")
		}
		_, first := l.RunCourse("many")
		if last, ok := l.RunCourse("r98"); first || !ok || last.Whole.Tasks != 1 {
			t.Errorf("the one that stands still for longest: kept %v; a later one: %+v, %v", first, last, ok)
		}
		if more := l.RingBytes() - before; more > 3<<20 {
			t.Errorf("100 courses take %d bytes", more)
		}
	})
}

// TestCourseIsKept: a run goes on with its course after a restart.
func TestCourseIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "live")
	t.Run("before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, s := watched(t, live.Options{File: file})
			work(t, s, "r", 4, time.Second, func(i int) string { return []string{"dns", "", "", ""}[i] })
		})
	})
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(10 * time.Second)
		l, s := watched(t, live.Options{File: file})
		work(t, s, "r", 1, time.Second, func(int) string { return "dns" })
		c, ok := l.RunCourse("r")
		if !ok || c.Whole.Tasks != 5 || len(c.Steps) < 9 || c.Failures[0] != (live.Failures{Class: "dns", Tasks: 2}) {
			t.Errorf("the course is %+v, %v", c, ok)
		}
	})
}
