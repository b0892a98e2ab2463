package state

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"github.com/glassq/glassq"
)

// A Timed is one schedule of a State by the wall clock. When it is due, its owner knows, who has a clock.
type Timed struct {
	Name   string
	Set    ScheduleSet
	put    []byte // the put record of its task, without id
	from   int64  // ms of the wall clock: moments up to that are not due
	last   int64  // ms of the wall clock: the last due moment that is done with; 0 for none
	puts   uint64
	missed uint64
}

// DoneTo is the moment, in ms of the wall clock, behind which the next due one is.
func (x *Timed) DoneTo() int64 { return max(x.from, x.last) }

// A ScheduleSet is what somebody wants of a schedule.
type ScheduleSet struct {
	Cron    string
	Zone    string
	Missed  string
	Paused  bool `json:",omitempty"`
	Task    glassq.Envelope
	Created int64 // ms of the wall clock
}

// Info describes a schedule, but for what is next.
func (x *Timed) Info() glassq.Schedule {
	info := glassq.Schedule{Name: x.Name, Cron: x.Set.Cron, Zone: x.Set.Zone, Task: x.Set.Task, Missed: x.Set.Missed,
		Paused: x.Set.Paused, Created: time.UnixMilli(x.Set.Created).UTC(), Puts: x.puts, Lost: x.missed}
	if x.last > 0 {
		info.Last = time.UnixMilli(x.last).UTC()
	}
	return info
}

// Task is the task of a due moment.
func (x *Timed) Task(at time.Time) (t glassq.Task) {
	var d Decoder
	if _, err := d.Task(&t, x.put); err != nil {
		panic("state: " + err.Error()) // it was decoded when it was set
	}
	t.ID = x.Name + "/" + at.UTC().Format(time.RFC3339)
	return t
}

// Schedules are all schedules in the order of their names. Without one nothing is allocated: the
// engine asks whenever it wakes.
func (s *State) Schedules() []*Timed {
	all := make([]*Timed, 0, len(s.schedules))
	for _, x := range s.schedules {
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b *Timed) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Schedule returns the schedule of that name, or nil.
func (s *State) Schedule(name string) *Timed { return s.schedules[name] }

// NoSchedule is the error of a schedule that is not there.
func NoSchedule(name string) error {
	return glassq.Errorf(glassq.CodeNotFound, "there is no schedule %s", name)
}

// mostAhead is how far the last due moment of a schedule may be ahead of a wall clock that was set
// back: when the schedule begins anew, moments until then count as done with. A clock that was further
// ahead was wrong.
const mostAhead = 24 * time.Hour

// DecideSchedule changes a schedule, or makes it, at a time of the wall clock in ms. task is that of
// the change; its Queue is "" for none.
func (s *State) DecideSchedule(name string, c glassq.ScheduleChange, task *glassq.Task, wall int64) ([]byte, error) {
	x := s.schedules[name]
	set, put, from := ScheduleSet{Zone: "UTC", Missed: glassq.MissedOnce, Created: wall}, []byte(nil), wall
	switch {
	case x == nil && (c.Cron == "" || task.Queue == ""):
		return nil, glassq.Errorf(glassq.CodeNotFound, "there is no schedule %s; a new one needs cron and task", name)
	case x == nil && len(s.schedules) >= glassq.MaxSchedules:
		return nil, glassq.Errorf(glassq.CodeQuota, "there are %d schedules, and no more than %d may be there", len(s.schedules),
			glassq.MaxSchedules)
	case x != nil:
		set, put = x.Set, x.put
		begins := c.Cron != "" || c.Zone != "" || c.Paused != nil && !*c.Paused && set.Paused
		if !begins {
			from = x.DoneTo()
		}
	}
	for _, f := range []struct {
		dst *string
		v   string
	}{{&set.Cron, c.Cron}, {&set.Zone, c.Zone}, {&set.Missed, c.Missed}} {
		if f.v != "" {
			*f.dst = f.v
		}
	}
	if c.Paused != nil {
		set.Paused = *c.Paused
	}
	if task.Queue != "" {
		set.Task, put = c.Task, AppendPut(nil, task)
	}
	return appendSchedule(nil, name, &set, put, from), nil
}

// appendSchedule appends a schedule as it is from now on.
func appendSchedule(dst []byte, name string, set *ScheduleSet, put []byte, from int64) []byte {
	dst = appendJSON(dst, opSchedule, name, set)
	dst = appendString(dst, string(put))
	return binary.AppendUvarint(dst, uint64(from))
}

// AppendDropSchedule appends that a schedule is forgotten.
func AppendDropSchedule(dst []byte, name string) []byte {
	dst = appendString(append(dst, byte(opSchedule)), name)
	return append(dst, 0, 0, 0)
}

// AppendDue appends that all due moments of a schedule are done with up to one, in ms of the wall
// clock. For some of them tasks were put, whose puts come right after it; others were missed.
func AppendDue(dst []byte, name string, last int64, puts, missed uint64) []byte {
	dst = appendString(append(dst, byte(opDue)), name)
	for _, v := range []uint64{uint64(last), puts, missed} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func (s *State) applySchedule(r *reader) {
	x := &Timed{Name: r.str()}
	js, put := r.bytes(r.uvarint()), r.bytes(r.uvarint())
	x.from = int64(r.uvarint())
	if r.bad {
		return
	}
	if len(js) == 0 {
		delete(s.schedules, x.Name)
		return
	}
	r.bad = json.Unmarshal(js, &x.Set) != nil
	if r.isPut(put); r.bad || r.newer {
		return
	}
	if was := s.schedules[x.Name]; was != nil {
		x.puts, x.missed = was.puts, was.missed
		if was.last-x.from < mostAhead.Milliseconds() {
			x.last = was.last
		}
	}
	x.put = slices.Clone(put)
	s.keepSchedule(x)
}

func (s *State) keepSchedule(x *Timed) {
	if s.schedules == nil {
		s.schedules = map[string]*Timed{}
	}
	s.schedules[x.Name] = x
}

func (s *State) applyDue(r *reader) error {
	name, last, puts, missed := r.str(), int64(r.uvarint()), r.uvarint(), r.uvarint()
	x := s.schedules[name]
	if r.bad {
		return nil
	}
	if x == nil || last <= x.DoneTo() {
		return recordErr("due moment of schedule " + name + ", which is done with")
	}
	x.last, x.puts, x.missed = last, x.puts+puts, x.missed+missed
	return nil
}

// sectionSchedules is the part of a snapshot with the schedules, each as its record, and its
// counters.
const sectionSchedules = 3

func (im *Image) writeSchedules(e *encoder) {
	if len(im.schedules) == 0 {
		return
	}
	e.num(sectionSchedules, uint64(len(im.schedules)))
	for i := range im.schedules {
		x := &im.schedules[i]
		e.bytes(appendSchedule(nil, x.Name, &x.Set, x.put, x.from))
		e.num(uint64(x.last), x.puts, x.missed)
	}
}

func (s *State) restoreSchedules(d *decoder) {
	for k := d.num(); k > 0 && d.err == nil; k-- {
		rec := d.str()
		if len(rec) == 0 || op(rec[0]) != opSchedule {
			d.fail("schedule")
			return
		}
		r := reader{b: []byte(rec[1:])}
		name := r.str()
		r = reader{b: []byte(rec[1:])}
		s.applySchedule(&r)
		x := s.schedules[name]
		if r.bad || len(r.b) > 0 || x == nil {
			d.fail("schedule")
			return
		}
		x.last = int64(d.num())
		x.puts, x.missed = d.num(), d.num()
	}
}
