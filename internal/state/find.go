package state

import (
	"strconv"
	"strings"

	"github.com/glassq/glassq"
)

// Find tells where a task is, as glassq.Finder says. n is its number where it is held, and due when
// its lease ends, in ms, where it was found by that. It looks at nothing but what is indexed.
func (s *State) Find(f *glassq.Find) (n uint64, due int64, where string, err error) {
	if f.Lease != 0 {
		if l, ok := s.leases.get(f.Lease); ok {
			return l.task, l.deadline, glassq.FoundHeld, nil
		}
		if _, ok := s.acked.queueOf(f.Lease); ok {
			return 0, 0, glassq.FoundAcked, nil
		}
		if f.Lease < s.next {
			return 0, 0, glassq.FoundGone, nil
		}
		return 0, 0, glassq.FoundNever, nil
	}
	if !f.Dense {
		q := s.queues[f.Queue]
		if q == nil {
			return 0, 0, "", NoQueue(f.Queue)
		}
		if digits, ok := strings.CutPrefix(f.ID, "~"); ok {
			if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
				return s.findNumber(q, n)
			}
		}
		run, position, ok := glassq.ParseDenseID(f.ID)
		if !ok || s.runs[run] == nil {
			if q.ids.has(hashID([]byte(f.ID)), s.now) {
				return 0, 0, glassq.FoundWindow, nil
			}
			return 0, 0, glassq.FoundNever, nil
		}
		f = &glassq.Find{Run: run, Position: position}
	}
	r := s.runs[f.Run]
	switch {
	case r == nil:
		return 0, 0, "", NoRun(f.Run)
	case !r.put.Contains(f.Position):
		where = glassq.FoundNever
	case r.dead.Contains(f.Position):
		where = glassq.FoundDead
	case r.failed.Contains(f.Position):
		where = glassq.FoundFailed
	case r.done.Contains(f.Position):
		where = glassq.FoundOK
	default:
		where = glassq.FoundPending
	}
	return 0, 0, where, nil
}

func (s *State) findNumber(q *Queue, n uint64) (uint64, int64, string, error) {
	if e := s.view(n); e != nil && s.class[e.class].queue == q {
		return n, 0, glassq.FoundHeld, nil
	}
	if n > 0 && n < s.tasks.next {
		return 0, 0, glassq.FoundGone, nil
	}
	return 0, 0, glassq.FoundNever, nil
}

// StateOf is the state of a task that is held.
func (s *State) StateOf(n uint64) glassq.State {
	if e := s.view(n); e != nil {
		return e.state()
	}
	return glassq.Gone
}

// delaysSeen bounds how many delays NextDelayed looks at.
const delaysSeen = 100

// NextDelayed is when, in ms, the first delayed task of q is due, if that is among the next delays
// of all queues.
func (s *State) NextDelayed(q *Queue) (at int64, ok bool) {
	if q.count[glassq.Delayed] == 0 {
		return 0, false
	}
	for _, r := range s.rangesOf(func(c *class) bool { return c.queue == q }) {
		if r.state == glassq.Delayed && r.due > 0 && (!ok || r.due < at) {
			at, ok = r.due, true
		}
	}
	// The heap is walked in the order of its moments: below a node that is done, its two children
	// are next.
	var next timers
	at0 := func(i int) {
		if i < s.delays.n {
			next.push(s.delays.get(i).at, uint64(i))
		}
	}
	at0(0)
	for seen := 0; next.n > 0 && seen < delaysSeen; seen++ {
		i := int(next.pop().ref)
		t := s.delays.get(i)
		if s.delayValid(t) {
			if e := s.tasks.look(t.ref); s.class[e.class].queue == q {
				if !ok {
					return t.at, true
				}
				return min(at, t.at), true
			}
		}
		at0(2*i + 1)
		at0(2*i + 2)
	}
	return at, ok
}
