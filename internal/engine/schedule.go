package engine

import (
	"context"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cron"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/state"
)

// Schedules follow the wall clock of this machine, not the time of the log: half past two is what a
// clock on the wall says. What was put is in the log, with the moment up to which a schedule is done,
// in one frame; so neither a restart nor a clock that goes back has anything put twice.
const (
	lookAtWall = 15 * time.Second // at least this often while there are schedules: the wall clock may jump
	tryAgain   = time.Second      // until the task of a due moment is tried again that found no room
	mostDue    = 1_000_000        // due moments that are counted one by one, two years of minutes; of more, those of the last day
)

// A timetable is what the engine knows of a schedule beside the state.
type timetable struct {
	of   *state.Timed // as it was parsed
	spec cron.Spec
	err  error // it does not parse any more: its zone is not known to this program
	next int64 // ms of the wall clock; 0 for never
	why  string
}

// wall is the clock on the wall.
func (e *Engine) wall() time.Time {
	if e.opt.Wall != nil {
		return e.opt.Wall()
	}
	return time.Now()
}

// table is the timetable of a schedule as it is now. The caller holds mu.
func (e *Engine) table(x *state.Timed) *timetable {
	t := e.tables[x.Name]
	if t != nil && t.of == x {
		return t
	}
	t = &timetable{of: x}
	last := time.UnixMilli(x.DoneTo())
	if t.spec, t.err = cron.Parse(x.Set.Cron, x.Set.Zone, last); t.err != nil {
		t.why = t.err.Error()
		e.opt.Logger.Error("a schedule is never due", "schedule", x.Name, "err", t.err)
	} else {
		t.next = millis(t.spec.Next(last))
	}
	if e.tables == nil {
		e.tables = map[string]*timetable{}
	}
	e.tables[x.Name] = t
	return t
}

// millis is a moment in ms since 1970; never is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// runSchedules puts the tasks of due moments, and returns when to look again; zero is when there are
// schedules. Nobody waits for their commit. Only the background loop calls it.
func (e *Engine) runSchedules(now time.Time) (again time.Time) {
	type due struct {
		x    *state.Timed
		spec cron.Spec
		last int64
	}
	var all []due
	wall := e.wall()
	e.mu.Lock()
	if e.err != nil || now.Before(e.schedulesAt) {
		again = e.schedulesAt
		e.mu.Unlock()
		return again
	}
	schedules := e.st.Schedules()
	for _, x := range schedules {
		t := e.table(x)
		switch in := time.Duration(t.next-wall.UnixMilli()) * time.Millisecond; {
		case x.Set.Paused || t.next == 0:
		case in <= 0:
			all = append(all, due{x, t.spec, x.DoneTo()})
		default:
			again = sooner(again, now.Add(min(in, lookAtWall)))
		}
	}
	if len(schedules) > 0 {
		again = sooner(again, now.Add(lookAtWall))
	}
	e.schedulesAt = again
	e.mu.Unlock()
	for _, d := range all { // counted without the lock: after a long time there are many
		moments, more := dueMoments(d.spec, time.UnixMilli(d.last), wall)
		e.mu.Lock()
		if e.err == nil && e.st.Schedule(d.x.Name) == d.x && d.x.DoneTo() == d.last {
			e.tick()
			t := e.table(d.x)
			if err := e.putDue(d.x, moments, more, wall); err != nil {
				t.why = err.Error()
				again = sooner(again, now.Add(tryAgain))
			} else {
				t.why, t.next = "", millis(t.spec.Next(time.UnixMilli(d.x.DoneTo())))
				again = sooner(again, now.Add(tryAgain)) // to find what is next
			}
			e.match()
		}
		e.schedulesAt = again
		e.mu.Unlock()
	}
	return again
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// dueMoments are the moments after last up to wall, the last glassq.MaxMissed at most, and how many
// there are beside these.
func dueMoments(spec cron.Spec, last, wall time.Time) (moments []time.Time, more uint64) {
	jumped := false
	for at := spec.Next(last); !at.IsZero() && !at.After(wall); at = spec.Next(at) {
		moments = append(moments, at)
		if len(moments) == 2*glassq.MaxMissed {
			moments = append(moments[:0], moments[glassq.MaxMissed:]...)
			more += glassq.MaxMissed
		}
		if day := wall.Add(-24 * time.Hour); more >= mostDue && !jumped && at.Before(day) {
			jumped, at = true, day
		}
	}
	if n := len(moments) - glassq.MaxMissed; n > 0 {
		moments, more = moments[n:], more+uint64(n)
	}
	return moments, more
}

// putDue puts the tasks of due moments, of which more were before. An error says why nothing is put
// and nothing is done with. The caller holds mu.
func (e *Engine) putDue(x *state.Timed, moments []time.Time, more uint64, wall time.Time) error {
	if len(moments) == 0 {
		return nil // the clock went back meanwhile
	}
	last := moments[len(moments)-1]
	put := moments[len(moments)-1:]
	switch {
	case x.Set.Missed == glassq.MissedAll:
		put = moments
	case x.Set.Missed == glassq.MissedNone && wall.Sub(last) > glassq.ScheduleOnTime:
		put = nil
	}
	missed := more + uint64(len(moments)-len(put))
	tasks := make([]glassq.Task, 0, len(put))
	for _, at := range put {
		t := x.Task(at)
		if !e.st.IsDuplicate(&t) {
			tasks = append(tasks, t)
		}
	}
	var records state.Records
	records.PutAll(tasks)
	if err := e.roomOn(Grows, records.Size()+64); err != nil {
		return err
	}
	if err := e.mayMake(tasks, ""); err != nil {
		return err
	}
	if _, err := e.st.RoomFor(tasks); err != nil {
		return err
	}
	e.append(state.AppendDue(nil, x.Name, last.UnixMilli(), uint64(len(put)), missed))
	for i := range tasks {
		e.append(records.At(i))
		e.putItself(&tasks[i])
	}
	e.open.Durable = true // a moment that a power cut takes back would be late
	return nil
}

// putItself tells who watches of a task that no call has put. The caller holds mu.
func (e *Engine) putItself(t *glassq.Task) {
	if e.opt.PutItself != nil {
		e.opt.PutItself(t.Queue, t.Run)
	}
}

// Schedules lists all schedules in the order of their names.
func (e *Engine) Schedules(context.Context) (out []glassq.Schedule, err error) {
	err = e.read(func() error {
		for _, x := range e.st.Schedules() {
			out = append(out, e.showSchedule(x))
		}
		return nil
	})
	return out, err
}

// showSchedule is what is told of a schedule. The caller holds mu.
func (e *Engine) showSchedule(x *state.Timed) glassq.Schedule {
	info, t := x.Info(), e.table(x)
	info.Waits = t.why
	if t.next != 0 && !x.Set.Paused {
		info.Next = time.UnixMilli(t.next).UTC()
	}
	return info
}

// SetSchedule makes a schedule or changes it.
func (e *Engine) SetSchedule(_ context.Context, name string, c glassq.ScheduleChange) (info glassq.Schedule,
	err error) {
	var task glassq.Task
	if c.Task != "" {
		if err := envelope.ParseTask([]byte(c.Task), &task); err != nil {
			return info, err
		}
	}
	err = e.change(func() ([]byte, error) {
		wall := e.wall()
		rec, err := e.st.DecideSchedule(name, c, &task, wall.UnixMilli())
		if err != nil {
			return nil, err
		}
		if cronText, zone := e.timesOf(name, c); cronText != "" {
			if _, err := cron.Parse(cronText, zone, wall); err != nil {
				return nil, err
			}
		}
		return rec, nil
	}, func() {
		info = e.showSchedule(e.st.Schedule(name))
		e.schedulesAt = time.Time{}
		e.nudge()
	})
	return info, err
}

// timesOf is when a schedule will be due, once it is changed. The caller holds mu.
func (e *Engine) timesOf(name string, c glassq.ScheduleChange) (cronText, zone string) {
	if x := e.st.Schedule(name); x != nil {
		cronText, zone = x.Set.Cron, x.Set.Zone
	}
	if c.Cron != "" {
		cronText = c.Cron
	}
	if c.Zone != "" {
		zone = c.Zone
	}
	return cronText, zone
}

// DropSchedule forgets a schedule.
func (e *Engine) DropSchedule(_ context.Context, name string) error {
	return e.change(func() ([]byte, error) {
		if e.st.Schedule(name) == nil {
			return nil, state.NoSchedule(name)
		}
		return state.AppendDropSchedule(nil, name), nil
	}, func() { delete(e.tables, name) })
}
