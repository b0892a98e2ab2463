package disk

import (
	"context"
	"slices"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// Ack ends leases; the result and the follow-ups of each are in the same frame.
func (e *Engine) Ack(_ context.Context, acks []glassq.Ack) ([]error, error) {
	// What a result says of its task comes from the lease, so the leases are looked up first, the
	// records are made outside of the lock, and a lease that ended meanwhile is noticed when it counts.
	var leased []state.Leased // nil when there is nothing to say of the tasks
	s := scratches.Get().(*scratch)
	defer s.free()
	if slices.ContainsFunc(acks, func(a glassq.Ack) bool { return a.Result != nil || len(a.Put) > 0 }) {
		var moving uint64
		var pin int
		var err error
		if leased, moving, pin, err = e.lookUp(acks); err != nil {
			return nil, err
		}
		err = e.encodeAcks(acks, leased, s, moving)
		e.unpin(pin)
		if err != nil {
			return nil, err
		}
	}
	errs := make([]error, len(acks))
	if err := e.begin(); err != nil {
		return nil, err
	}
	f, _ := e.ackNow(acks, leased, s, errs)
	e.end()
	return errs, e.wait(f)
}

// encodeAcks makes the records of results and follow-ups; those of leases that are not live have none.
func (e *Engine) encodeAcks(acks []glassq.Ack, leased []state.Leased, s *scratch, moving uint64) error {
	ids := reading{c: e.cache}
	for i := range leased {
		a, d := &acks[i], &leased[i]
		if d.Task == 0 {
			continue
		}
		if a.Result != nil {
			t := *a.Result
			if t.Queue == "" {
				t.Queue = d.Result
			}
			t.Run, t.N, t.Dense, t.ID, t.Of = d.Run, d.N, d.Dense, "", d.Attempt
			if !t.Dense {
				if err := e.waitWritten(moving); err != nil {
					return err
				}
				var src glassq.Task
				if _, err := ids.task(&src, d.Frame, d.Offset); err != nil {
					return err
				}
				if t.ID = src.ID; t.ID == "" {
					t.ID = glassq.AssignedID(d.Task)
				}
			}
			s.put(&t)
		}
		for k := range a.Put {
			t := &a.Put[k]
			if t.Run == "" && !d.IsResult {
				t.Run = d.Run
			}
			s.put(t)
		}
	}
	return nil
}

// ackNow decides acks whose records are in s, and fills in errs. It returns what is to be waited for, and
// the queue that was full for the last that found one, if that may ever have room. The caller holds mu.
func (e *Engine) ackNow(acks []glassq.Ack, leased []state.Leased, s *scratch, errs []error) (_ uint64, full *state.Queue) {
	k := 0
	wrote := false
	var rec [32]byte
	for i := range acks {
		a := &acks[i]
		first := k
		var d *state.Leased // as it was looked up
		if leased != nil {
			d = &leased[i]
		}
		if d != nil && d.Task != 0 {
			k += len(a.Put)
			if a.Result != nil {
				k++
			}
		}
		switch look := e.st.Lease(a.Token); {
		case look == state.Acked:
			continue // repeating it changes nothing
		case look == state.Lost || d != nil && d.Task == 0:
			errs[i] = glassq.ErrLeaseLost
			continue
		}
		kind, records := shrinks, len(rec)
		if k > first {
			kind, records = answers, len(rec)+s.ends[k-1]
			if first > 0 {
				records -= s.ends[first-1]
			}
		}
		if len(a.Put) > 0 {
			kind = grows
		}
		if errs[i] = e.roomOn(kind, records); errs[i] != nil {
			continue
		}
		var q *state.Queue
		if q, errs[i] = e.roomForAck(a, d); errs[i] != nil {
			full = q
			continue
		}
		e.append(state.AppendAck(rec[:0], a.Token.Number, a.Outcome, a.Result != nil))
		wrote = true
		if a.Result != nil {
			e.append(s.rec(first))
			first++
		}
		for j := range a.Put {
			if !e.st.IsDuplicate(&a.Put[j]) {
				e.append(s.rec(first + j))
			}
		}
	}
	f := e.newest() // a repeated ack's first one may be under way as well
	if wrote {
		e.open.sync = true
	}
	return f, full
}

// lookUp describes the tasks of the acks whose leases are live; the others have Task 0. moving is a frame
// that has to be written before their bodies can be read, or 0. The caller unpins.
func (e *Engine) lookUp(acks []glassq.Ack) (leased []state.Leased, moving uint64, pin int, err error) {
	leased = make([]state.Leased, len(acks))
	if err := e.begin(); err != nil {
		return nil, 0, 0, err
	}
	pin = e.pin()
	last := uint64(0)
	for i := range acks {
		if e.st.Lease(acks[i].Token) == state.Live {
			leased[i] = e.st.Leased(acks[i].Token.Number)
			last = max(last, leased[i].Frame)
		}
	}
	moving = e.unwritten(last)
	e.end()
	return leased, moving, pin, nil
}

// roomForAck refuses an ack whose result or follow-ups find no room. The caller holds mu.
func (e *Engine) roomForAck(a *glassq.Ack, d *state.Leased) (full *state.Queue, err error) {
	if a.Result != nil {
		name := a.Result.Queue
		if name == "" {
			name = d.Result
		}
		q := e.st.Queue(name)
		if q != nil && (q.Settings().MaxTasks > 0 || q.Settings().MaxBytes > 0) {
			r := *a.Result
			r.Queue, r.Dense, r.Of = name, false, 1
			if full, err := e.roomFor([]glassq.Task{r}); err != nil {
				return full, err
			}
		}
	}
	if len(a.Put) > 0 {
		return e.roomFor(a.Put)
	}
	return nil, nil
}

// Nack gives leases back; those not undone wait for the commit.
func (e *Engine) Nack(_ context.Context, nacks []glassq.Nack) ([]error, error) {
	errs := make([]error, len(nacks))
	if err := e.begin(); err != nil {
		return nil, err
	}
	var rec []byte
	wait := false
	for i := range nacks {
		n := &nacks[i]
		if errs[i] = e.roomOn(shrinks, len(n.Reason)); errs[i] != nil {
			continue
		}
		if e.st.Lease(n.Token) != state.Live {
			errs[i] = glassq.ErrLeaseLost
			continue
		}
		delay := n.Delay.Milliseconds()
		if n.Undone {
			delay = max(delay, 0)
		} else if delay < 0 || n.Delay < 0 {
			d := e.st.Leased(n.Token.Number)
			delay = state.Backoff(d.Task, d.Attempt)
		}
		rec = state.AppendNack(rec[:0], n.Token.Number, n, delay)
		e.append(rec)
		wait = wait || !n.Undone
	}
	var f uint64
	if wait {
		f = e.open.number
		e.open.sync = true
	}
	e.end()
	return errs, e.wait(f)
}

// Extend moves deadlines, without waiting for a commit.
func (e *Engine) Extend(_ context.Context, extends []glassq.Extend) ([]error, error) {
	errs := make([]error, len(extends))
	if err := e.begin(); err != nil {
		return nil, err
	}
	defer e.end()
	var rec [32]byte
	for i := range extends {
		x := &extends[i]
		if errs[i] = e.roomOn(shrinks, 0); errs[i] != nil {
			continue
		}
		if e.st.Lease(x.Token) != state.Live {
			errs[i] = glassq.ErrLeaseLost
			continue
		}
		length := x.Lease.Milliseconds()
		if length == 0 {
			length = e.st.Leased(x.Token.Number).Length
		}
		e.append(state.AppendExtend(rec[:0], x.Token.Number, length))
	}
	return errs, nil
}
