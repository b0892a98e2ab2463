package state

import (
	"fmt"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

// RoomFor refuses tasks that a limited queue has no room for, or that a sealed run does not have.
// It returns the queue that is full, if waiting for room makes sense.
func (s *State) RoomFor(tasks []glassq.Task) (full *Queue, err error) {
	type asked struct{ n, size, ids int64 }
	var limited map[*Queue]*asked
	var q *Queue // nil when it has no limit
	last := ""
	for i := range tasks {
		t := &tasks[i]
		if t.Dense {
			if r := s.Run(t.Run); r != nil {
				if n, beyond := r.beyond(t); beyond {
					return nil, glassq.Errorf(glassq.CodeRunConflict, "run %s is sealed with %s, and has no position %d", t.Run,
						plain.Plural(r.total, "task", "tasks"), n)
				}
			}
		}
		if t.Range != nil {
			if err := s.checkNumbers(t); err != nil {
				return nil, err
			}
		}
		if t.Queue != last {
			last, q = t.Queue, s.Queue(t.Queue)
			if q != nil {
				if set := &q.settings; set.MaxTasks == 0 && set.MaxBytes == 0 && set.Unique == "" {
					q = nil
				}
			}
		}
		if q == nil || s.IsDuplicate(t) {
			continue
		}
		if limited == nil {
			limited = map[*Queue]*asked{}
		}
		a := limited[q]
		if a == nil {
			a = &asked{}
			limited[q] = a
		}
		if t.Range != nil {
			a.n += int64(s.NewOf(t))
		} else {
			a.n++
		}
		a.size += Size(t)
		if set := &q.settings; set.Unique != "" && t.ID != "" && !t.Dense && t.OfAttempt == 0 {
			a.ids++
			if most := set.MostUnique(); int64(q.ids.live)+a.ids > most {
				err := glassq.Errorf(glassq.CodeQueueFull,
					"queue %s holds tasks with %s of their own and may hold %d (max_unique); try again when some are done", q.Name,
					plain.Plural(q.ids.live, "id", "ids"), most)
				if a.ids > most {
					return nil, err
				}
				return q, err
			}
		}
		if err := s.roomIn(q, a.n, a.size); err != nil {
			if set := q.Settings(); set.MaxTasks > 0 && a.n > set.MaxTasks || set.MaxBytes > 0 && a.size > set.MaxBytes {
				return nil, err // not even if it were empty
			}
			return q, err
		}
	}
	return nil, nil
}

// roomIn refuses n tasks of size bytes together that q has no room for, beside the places of hooks.
func (s *State) roomIn(q *Queue, n, size int64) error {
	set, all, bytes := &q.settings, q.holds(), q.bytes
	kept := s.places[q.Name]
	and := ""
	if kept.tasks > 0 {
		and = fmt.Sprintf(", has places for %s of runs (%s),", plain.Plural(kept.tasks, "hook", "hooks"),
			plain.Plural(kept.bytes, "byte", "bytes"))
	}
	switch {
	case set.MaxTasks > 0 && all+kept.tasks+n > set.MaxTasks:
		return glassq.Errorf(glassq.CodeQueueFull, "queue %s holds %s%s and may hold %d (max_tasks); try again when some are done",
			q.Name, plain.Plural(all, "task", "tasks"), and, set.MaxTasks)
	case set.MaxBytes > 0 && bytes+kept.bytes+size > set.MaxBytes:
		return glassq.Errorf(glassq.CodeQueueFull, "queue %s holds %s%s and may hold %d (max_bytes); try again when some are done",
			q.Name, plain.Plural(bytes, "byte", "bytes"), and, set.MaxBytes)
	}
	return nil
}

// RoomForAck refuses an ack whose result or follow-ups find no room.
func (s *State) RoomForAck(a *glassq.Ack, d *Leased) (full *Queue, err error) {
	put := a.Put
	if a.Result != nil {
		name := a.Result.Queue
		if name == "" {
			name = d.Result
		}
		q := s.Queue(name)
		if q != nil && (q.Settings().MaxTasks > 0 || q.Settings().MaxBytes > 0) {
			r := *a.Result
			r.Queue, r.Dense, r.OfAttempt = name, false, 1
			put = append([]glassq.Task{r}, a.Put...)
		}
	}
	return s.RoomFor(put)
}

// Held is how much the queue holds; one that is nil holds nothing.
func (q *Queue) Held() glassq.Held {
	if q == nil {
		return glassq.Held{}
	}
	return glassq.Held{Delayed: q.Count(glassq.Delayed), Ready: q.Count(glassq.Ready), Leased: q.Count(glassq.Leased),
		Dead: q.Count(glassq.Dead), Settings: q.Settings(), Halted: q.Halted(), HaltedKeys: q.HaltedKeys()}
}

// Idle tells that nothing in the queue is delayed, ready or leased; one that is nil is idle.
func (q *Queue) Idle() bool {
	return q == nil || q.Count(glassq.Delayed)+q.Count(glassq.Ready)+q.Count(glassq.Leased) == 0
}
