package state

import (
	"cmp"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

// What a person or a worker wants, as the record that does it. A record that is nil changes
// nothing. None of these changes the state: applying the record does.

// NoQueue is the error of a queue that is not there.
func NoQueue(name string) error {
	return glassq.Errorf(glassq.CodeNotFound, "there is no queue %s; a queue is made by its first use", name)
}

// NoRun is the error of a run that is not there.
func NoRun(name string) error {
	return glassq.Errorf(glassq.CodeNotFound, "there is no run %s", name)
}

// DecideNack appends the record of a nack to dst. A lease that does not hold is lease_lost.
func (s *State) DecideNack(dst []byte, n *glassq.Nack) ([]byte, error) {
	if s.Lease(n.Token) != Live {
		return dst, glassq.ErrLeaseLost
	}
	delay := max(n.Delay, 0).Milliseconds()
	if n.Delay == 0 && !n.Undone {
		d := s.Leased(n.Token.Number)
		delay = Backoff(d.Task, d.Attempt)
	}
	return AppendNack(dst, n.Token.Number, n, delay), nil
}

// DecideExtend appends the record of an extend to dst; none when it repeats one that was applied. A
// lease that does not hold is lease_lost, and a sequence number out of turn bad_request.
func (s *State) DecideExtend(dst []byte, x *glassq.Extend) ([]byte, error) {
	if s.Lease(x.Token) != Live {
		return dst, glassq.ErrLeaseLost
	}
	d := s.Leased(x.Token.Number)
	length := cmp.Or(x.Lease.Milliseconds(), d.Length)
	if x.Seq > 0 {
		last := s.lastSaid(x.Token.Number, d.Task)
		if x.Seq <= last {
			return dst, nil
		}
		if x.Seq > last+1 {
			return dst, glassq.Errorf(glassq.CodeBadRequest,
				"seq %d is out of turn: the next one of this lease is %d; repeat what was not answered, in order", x.Seq, last+1)
		}
		if err := s.RoomForPartials(x); err != nil {
			return dst, err
		}
		return AppendProgress(dst, x, length), nil
	}
	return AppendExtend(dst, x.Token.Number, length), nil
}

// DecideSettings changes the settings of a queue, which may not be there yet.
func (s *State) DecideSettings(queue string, c glassq.SettingsChange) (rec []byte, set glassq.Settings) {
	if q := s.Queue(queue); q != nil {
		set = q.Settings()
	}
	set = c.Apply(set)
	if c.Stages != nil && set.Stages != "" {
		set.StagesAt = s.now
	}
	return AppendQueue(nil, queue, set), set
}

// DecidePurge ends the tasks of a queue that are in one of states; n is how many.
func (s *State) DecidePurge(queue string, states []glassq.State) (rec []byte, n int, err error) {
	q := s.Queue(queue)
	if q == nil {
		return nil, 0, NoQueue(queue)
	}
	for _, in := range states {
		n += int(q.Count(in))
	}
	if n == 0 {
		return nil, 0, nil
	}
	return AppendPurge(nil, queue, states...), n, nil
}

// DecideDrop forgets a queue, unless a task of it is leased.
func (s *State) DecideDrop(queue string) (rec []byte, err error) {
	q := s.Queue(queue)
	if q == nil {
		return nil, NoQueue(queue)
	}
	if n := q.Count(glassq.Leased); n > 0 {
		return nil, glassq.Errorf(glassq.CodeBadRequest,
			"queue %s has %s; pause it and try again when that is done", queue, plain.Plural(n, "leased task", "leased tasks"))
	}
	return AppendDrop(nil, queue), nil
}

// Show lists up to most tasks of q in a state, in order of number from cursor on, and the places of
// their bodies, which are not read.
func (s *State) Show(q *Queue, want glassq.State, cursor uint64, most int) (found []glassq.Peeked, places []Place) {
	for _, n := range s.Peek(q, want, cursor, most) {
		p, _ := s.Place(n)
		places = append(places, p)
		found = append(found, glassq.Peeked{Number: n, State: want, Attempt: p.Attempt, Reason: s.Reason(n),
			Progress: p.Said()})
	}
	if len(found) > 0 {
		due := s.DueAt(want)
		for i := range found {
			at, ok := due[found[i].Number]
			if r := s.rangeAt(found[i].Number); r != nil && !ok && want == glassq.Delayed {
				at, ok = r.due, r.due > 0
			}
			if ok {
				found[i].Due = time.Duration(max(0, at-s.now)) * time.Millisecond
			}
		}
	}
	return found, places
}
