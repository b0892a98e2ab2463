package live

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
)

const (
	maxCourses  = 100 // runs whose course is kept
	courseSteps = 60
	maxClasses  = 20 // of the failures of a run
	maxClass    = 40 // bytes of a class

	courseBytes = courseSteps*(len(bounds)+2)*8 + maxClasses*2*maxClass
)

// otherClass are failures of classes beyond maxClasses, or with longer names.
const otherClass = "others"

// A Course is how the tasks of a run went that were acked while somebody watched: from their hand-out
// to their ack, to the millisecond, and why they failed.
type Course struct {
	Start    time.Time
	Step     time.Duration // grows with the run, so that there are at most 60 steps
	Steps    []Took        // oldest first; the last one is not over yet
	Whole    Took
	Failures []Failures // the most first, at most 21
}

// Took is how long tasks took.
type Took struct {
	Tasks    uint64
	P50, P99 time.Duration // 0 where there were no tasks
}

// Failures are how many acks were booked as failed, by the class that their results name.
type Failures struct {
	Class string
	Tasks uint64
}

// A course is what a Course is made of. Seconds are counted from Live.start, and may be before it.
type course struct {
	first  int64 // second in which the first step began
	step   int64 // seconds of a step; it doubles when there are courseSteps
	steps  []Histogram
	failed map[string]uint64
	at     uint32 // when the last ack was, as leases keep it
}

// add notes an ack in a second.
func (c *course) add(second int64, took time.Duration) {
	i := max(second-c.first, 0) / c.step
	for ; i >= courseSteps; i /= 2 {
		for k := range (len(c.steps) + 1) / 2 {
			joined := c.steps[2*k]
			if 2*k+1 < len(c.steps) {
				joined.join(&c.steps[2*k+1])
			}
			c.steps[k] = joined
		}
		c.steps = c.steps[:(len(c.steps)+1)/2]
		c.step *= 2
	}
	for int(i) >= len(c.steps) {
		c.steps = append(c.steps, Histogram{})
	}
	c.steps[i].add(took)
}

// fail notes a failure of a class.
func (c *course) fail(class string) {
	if _, ok := c.failed[class]; !ok && len(c.failed) >= maxClasses {
		class = otherClass
	}
	c.failed[class]++
}

// classesOf are the classes of the failures among acks, nil where none failed. It reads results, so it
// is called without mu.
func classesOf(acks []glassq.Ack) (classes []string) {
	for i := range acks {
		a := &acks[i]
		if a.Outcome != glassq.Failed {
			continue
		}
		if classes == nil {
			classes = make([]string, len(acks))
		}
		classes[i] = "failed"
		if a.Result != nil {
			classes[i] = ClassOf(a.Result.Body)
		}
	}
	return classes
}

// ClassOf is the class by which a result that is booked as failed is counted.
func ClassOf(body []byte) string {
	var r result.Record
	if result.Parse(body, &r); len(r.Class) > maxClass {
		return otherClass
	}
	return cmp.Or(r.Class, "failed")
}

// ms is now as leases keep the moment of their hand-out: milliseconds from the start, modulo 50 days.
func (l *Live) ms(now time.Time) uint32 { return uint32(now.Sub(l.start) / time.Millisecond) }

// went notes the ack of a lease that was of a run; class is "" but for a failure. The caller holds mu.
func (l *Live) went(d *leased, class string, now time.Time) {
	c := l.courseOf(l.runs.all[d.run], now)
	if c == nil {
		return
	}
	took := time.Duration(l.ms(now)-d.out) * time.Millisecond
	c.at = l.secs(now)
	c.add(int64(now.Sub(l.start)/time.Second), max(took, time.Millisecond/2)) // within one, it is somewhere
	if class != "" {
		c.fail(class)
	}
}

// courseOf is the course of a run. It is nil while maxCourses others, which all go on, are kept.
func (l *Live) courseOf(r *run, now time.Time) *course {
	if r.course != nil || r.refused == l.secs(now) {
		return r.course
	}
	c := l.courses[r.name]
	if c == nil {
		if len(l.courses) >= maxCourses && !l.dropCourse(now) {
			r.refused = l.secs(now) // it asks again in a second
			return nil
		}
		c = &course{first: int64(now.Sub(l.start) / time.Second), step: 1, failed: map[string]uint64{}}
		l.courses[r.name] = c
		l.bytes += courseBytes
	}
	r.course = c
	return c
}

// dropCourse forgets the course that stands still for the longest time, if any does.
func (l *Live) dropCourse(now time.Time) bool {
	oldest := ""
	for name, c := range l.courses {
		if o := l.courses[oldest]; o == nil || c.at < o.at || c.at == o.at && name < oldest {
			oldest = name
		}
	}
	if c := l.courses[oldest]; c == nil || l.secs(now) <= c.at+idleActive {
		return false
	}
	if i, ok := l.byRun[oldest]; ok {
		l.runs.all[i].course = nil
	}
	delete(l.courses, oldest)
	l.bytes -= courseBytes
	return true
}

// RunCourse is the course of a run; ok is false where nothing is kept of it: no task of it was acked
// here, or 100 other runs went on since.
func (l *Live) RunCourse(name string) (v Course, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.courses[name]
	if c == nil {
		return v, false
	}
	v = Course{Start: l.start.Add(time.Duration(c.first) * time.Second), Step: time.Duration(c.step) * time.Second}
	var whole Histogram
	for i := range c.steps {
		v.Steps = append(v.Steps, tookOf(&c.steps[i]))
		whole.join(&c.steps[i])
	}
	v.Whole = tookOf(&whole)
	for class := range maps.Keys(c.failed) {
		v.Failures = append(v.Failures, Failures{class, c.failed[class]})
	}
	slices.SortFunc(v.Failures, func(a, b Failures) int {
		return cmp.Or(cmp.Compare(b.Tasks, a.Tasks), cmp.Compare(a.Class, b.Class))
	})
	return v, true
}

func tookOf(h *Histogram) Took { return Took{h.Count(), h.Quantile(.5), h.Quantile(.99)} }

// A keptCourse is a course in the file of series.
type keptCourse struct {
	Run    string
	First  time.Time
	Step   int64
	Steps  []Histogram
	Failed map[string]uint64
}

// keepCourses are copies of all courses. The caller holds mu.
func (l *Live) keepCourses() (all []keptCourse) {
	for name, c := range l.courses {
		all = append(all, keptCourse{name, l.start.Add(time.Duration(c.first) * time.Second).Round(0), c.step,
			slices.Clone(c.steps), maps.Clone(c.failed)})
	}
	return all
}

// takeInCourses has the courses of before go on.
func (l *Live) takeInCourses(all []keptCourse) {
	for i := range all {
		k := &all[i]
		if len(l.courses) == maxCourses || k.Step < 1 || len(k.Steps) > courseSteps || len(k.Failed) > maxClasses+1 {
			continue
		}
		if k.Failed == nil {
			k.Failed = map[string]uint64{}
		}
		l.courses[k.Run] = &course{first: int64(k.First.Sub(l.start) / time.Second), step: k.Step, steps: k.Steps,
			failed: k.Failed}
		l.bytes += courseBytes
	}
}
