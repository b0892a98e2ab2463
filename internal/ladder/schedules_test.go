package ladder

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/glassq/glassq"
)

// dueQueue is where schedules put their tasks. Nobody else puts there.
const dueQueue = "due"

const minute = int64(time.Minute / time.Millisecond)

// A mschedule is due every so many minutes. Its times are ms of the wall clock.
type mschedule struct {
	every         int64
	missed        string
	paused        bool
	task          glassq.Envelope
	created       int64
	from, last    int64 // moments up to either are done with
	puts, counted uint64
}

func (x *mschedule) cron() string {
	if x.every == 1 {
		return "* * * * *"
	}
	return fmt.Sprintf("*/%d * * * *", x.every)
}

// next is the next moment, 0 for none.
func (x *mschedule) next() int64 {
	if x.paused {
		return 0
	}
	return (max(x.from, x.last)/(x.every*minute) + 1) * x.every * minute
}

// moment is when the next schedule is due in the time of the log: at a moment of the wall clock, or later
// because nobody has looked at it until then. ok is false for never.
func (m *model) moment() (at int64, ok bool) {
	for _, x := range m.schedules {
		if n := x.next(); n > 0 && (!ok || n < at) {
			at, ok = n, true
		}
	}
	return max(at, m.deaf) - m.ahead, ok
}

// putDue puts the tasks of all moments that are due by now.
func (m *model) putDue() {
	wall := m.now + m.ahead
	for _, name := range slices.Sorted(maps.Keys(m.schedules)) {
		x := m.schedules[name]
		var due []int64
		for n := x.next(); n > 0 && n <= wall; n = x.next() {
			due = append(due, n)
			x.last = n
		}
		if len(due) == 0 {
			continue
		}
		put := due[len(due)-1:]
		switch {
		case x.missed == glassq.MissedAll:
			put = due
		case x.missed == glassq.MissedNone && wall-x.last > glassq.ScheduleOnTime.Milliseconds():
			put = nil
		}
		x.puts += uint64(len(put))
		x.counted += uint64(len(due) - len(put))
		m.schedules[name] = x
		for _, at := range put {
			m.put(glassq.Task{Queue: dueQueue, Type: glassq.TypeText, Body: []byte(name),
				ID: name + "/" + time.UnixMilli(at).UTC().Format(time.RFC3339)})
		}
	}
}

// lapse lets time pass in which no store is open: what is due by a wall clock, and the ends of runs, come when
// the next one is.
func (m *model) lapse(now int64) {
	m.deaf = now + m.ahead
	m.advance(now)
	m.deaf = 0
}

// endings are the states to which m may have come by now, where a store was open until a moment and what it
// put for due moments last may be lost.
func (m *model) endings(until, now int64) (all []*model) {
	add := func(at int64) {
		c := m.clone()
		c.advance(min(at, now))
		c.lapse(now)
		all = append(all, c)
	}
	add(until)
	if len(m.schedules) == 0 {
		return all
	}
	last := min(until, now) + m.ahead
	for b := last / minute * minute; b > max(m.now+m.ahead, last-4*minute); b -= minute {
		add(b - m.ahead - 1)
	}
	return all
}

// schedule makes a schedule or changes it.
func (d *driver) schedule(ctx context.Context) error {
	name := []string{"sa", "sb"}[d.rng.IntN(2)]
	x, exists := d.m.schedules[name]
	var c glassq.ScheduleChange
	wall := d.m.now + d.m.ahead
	what := d.rng.IntN(4)
	if !exists {
		x = mschedule{missed: glassq.MissedOnce, created: wall}
		what = -1
		c.Task = glassq.Envelope(`{"queue":"` + dueQueue + `","body":"` + name + `"}`)
		x.task = c.Task
	}
	begins := what <= 0
	if what <= 0 {
		x.every = []int64{1, 1, 2, 5}[d.rng.IntN(4)]
		c.Cron = x.cron()
	}
	if what == 1 || what < 0 && d.one(2) {
		x.missed = []string{glassq.MissedOnce, glassq.MissedAll, glassq.MissedNone}[d.rng.IntN(3)]
		c.Missed = x.missed
	}
	if what >= 2 {
		paused := what == 2
		c.Paused = &paused
		begins = x.paused && !paused
		x.paused = paused
	}
	if x.from = max(x.from, x.last); begins {
		x.from = wall
	}
	if _, err := d.s.(glassq.Schedules).SetSchedule(ctx, name, c); err != nil {
		return fmt.Errorf("SetSchedule(%s, %+v): %w", name, c, err)
	}
	if d.m.schedules == nil {
		d.m.schedules = map[string]mschedule{}
	}
	d.m.schedules[name] = x
	return nil
}

// unschedule forgets schedules of some names, which may not be there.
func (d *driver) unschedule(ctx context.Context, names ...string) error {
	for _, name := range names {
		want := glassq.CodeNotFound
		if _, ok := d.m.schedules[name]; ok {
			want = ""
		}
		if err := differs(d.s.(glassq.Schedules).DropSchedule(ctx, name), want); err != nil {
			return fmt.Errorf("DropSchedule(%s): %w", name, err)
		}
		delete(d.m.schedules, name)
	}
	return nil
}

func (v *view) schedule(name, cron, missed string, paused bool, task glassq.Envelope, created, last, next int64,
	puts, lost uint64, waits string) {
	fmt.Fprintf(v, "schedule %s %q %s paused %v %s created %d last %d next %d puts %d missed %d %q\n", name, cron, missed, paused,
		task, created, last, next, puts, lost, waits)
}

// observeSchedules reads what a store shows of schedules.
func (v *view) observeSchedules(ctx context.Context, s glassq.Schedules) error {
	all, err := s.Schedules(ctx)
	if err != nil {
		return fmt.Errorf("Schedules: %w", err)
	}
	ms := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMilli()
	}
	for i := range all {
		x := &all[i]
		v.schedule(x.Name, x.Cron, x.Missed, x.Paused, x.Task, ms(x.Created), ms(x.Last), ms(x.Next), x.Puts, x.Lost, x.Waits)
	}
	return nil
}

func (m *model) viewSchedules(v *view) {
	for _, name := range slices.Sorted(maps.Keys(m.schedules)) {
		x := m.schedules[name]
		v.schedule(name, x.cron(), x.missed, x.paused, x.task, x.created, x.last, x.next(), x.puts, x.counted, "")
	}
}
