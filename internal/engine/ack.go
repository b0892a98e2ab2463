package engine

import (
	"context"
	"slices"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// Ack ends leases; the result and the follow-ups of each are in the same frame.
func (e *Engine) Ack(_ context.Context, acks []glassq.Ack) ([]error, error) {
	var leased []state.Leased // nil when there is nothing to say of the tasks
	s := scratches.Get().(*state.Records)
	defer release(s)
	if slices.ContainsFunc(acks, func(a glassq.Ack) bool { return a.Result != nil || len(a.Put) > 0 }) {
		var err error
		if leased, err = e.prepare(acks, s); err != nil {
			return nil, err
		}
	}
	errs := make([]error, len(acks))
	if err := e.begin(); err != nil {
		return nil, err
	}
	f, _ := e.ackNow(acks, leased, s, errs)
	e.end()
	return errs, e.toldOf(errs, f)
}

// prepare makes the records of results and follow-ups. What a result says of its task comes from
// the lease, so the leases are looked up first, the records are made outside of the lock, and a
// lease that ended meanwhile is noticed when it counts. Those that are not live have Task 0.
func (e *Engine) prepare(acks []glassq.Ack, s *state.Records) ([]state.Leased, error) {
	if err := e.begin(); err != nil {
		return nil, err
	}
	defer e.unpin(e.pin())
	leased := make([]state.Leased, len(acks))
	last := uint64(0)
	for i := range acks {
		if e.lookUp(&acks[i]) == state.Live {
			leased[i] = e.st.Leased(acks[i].Token.Number)
			last = max(last, leased[i].Place.Frame)
		}
	}
	moving := e.unwritten(last) // has to be written before their bodies can be read
	e.end()
	return leased, e.encodeAcks(acks, leased, s, moving)
}

// encodeAcks makes the records of results and follow-ups; those of leases that are not live have
// none.
func (e *Engine) encodeAcks(acks []glassq.Ack, leased []state.Leased, s *state.Records, moving uint64) error {
	ids := reading{c: e.cache}
	for i := range leased {
		a, d := &acks[i], &leased[i]
		if d.Task == 0 {
			continue
		}
		var src glassq.Task
		if a.Result != nil && !d.Dense || d.Headers && (a.Result != nil || len(a.Put) > 0) {
			if err := e.waitWritten(moving); err != nil {
				return err
			}
			if _, err := ids.task(&src, &d.Place); err != nil {
				return err
			}
		}
		if a.Result != nil {
			t := *a.Result
			d.Stamp(&t)
			if !t.Dense {
				if t.ID = src.ID; t.ID == "" {
					t.ID = glassq.AssignedID(d.Task)
				}
			}
			trace(&t, &src)
			s.Put(&t)
		}
		for k := range a.Put {
			t := &a.Put[k]
			if t.Run == "" && !d.IsResult {
				t.Run = d.Run
				// "<run>/<n>" is the id of a position, however it was said: the Broker knew no run.
				if run, n, ok := glassq.ParseDenseID(t.ID); ok && run == t.Run {
					t.ID, t.Position, t.Dense = "", n, true
				}
			}
			trace(t, &src)
			s.Put(t)
		}
	}
	return nil
}

// trace has t go on with the trace of the task that it comes of, unless it names one, or has no
// room for it.
func trace(t, of *glassq.Task) {
	id := of.Headers[glassq.TraceHeader]
	if id == "" || t.Headers[glassq.TraceHeader] != "" {
		return
	}
	size := len(t.Extra) + len(glassq.TraceHeader) + len(id)
	headers := map[string]string{glassq.TraceHeader: id} // t's own may be shared
	for k, v := range t.Headers {
		headers[k] = v
		size += len(k) + len(v)
	}
	if size <= glassq.MaxMeta {
		t.Headers = headers
	}
}

// ackNow decides acks whose records are in s, and fills in errs. It returns what is to be waited
// for, and the queue that was full for the last ack, if that may ever have room. The caller holds
// mu.
func (e *Engine) ackNow(acks []glassq.Ack, leased []state.Leased, s *state.Records, errs []error) (_ uint64,
	full *state.Queue) {
	k := 0
	wrote := false
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
		switch look := e.lookUp(a); {
		case look == state.Acked:
			continue // repeating it changes nothing
		case look == state.Lost || d != nil && d.Task == 0:
			errs[i] = glassq.ErrLeaseLost
			continue
		}
		if a.Result != nil {
			if errs[i] = d.CheckResult(a.Checked); errs[i] != nil {
				continue
			}
		}
		kind, records := Shrinks, shortRecord
		if k > first {
			kind, records = Answers, shortRecord+s.Bytes(first, k)
		}
		if len(a.Put) > 0 {
			kind = Grows
		}
		if errs[i] = e.roomOn(kind, records); errs[i] != nil {
			continue
		}
		if d != nil {
			if errs[i] = e.mayMakeOfAck(a, d); errs[i] != nil {
				continue
			}
		}
		if full, errs[i] = e.st.RoomForAck(a, d); errs[i] != nil {
			continue
		}
		if a.Cost != nil {
			e.applied(state.AppendKeyCost(e.open.Buf, a.Token.Number, *a.Cost))
		}
		e.applied(state.AppendAck(e.open.Buf, a.Token.Number, a.Outcome, a.Result != nil))
		wrote = true
		if a.Result != nil {
			e.append(s.At(first))
			first++
		}
		for j := range a.Put {
			if !e.st.IsDuplicate(&a.Put[j]) {
				e.append(s.At(first + j))
			}
		}
	}
	f := e.newest() // a repeated ack's first one may be under way as well
	if wrote {
		e.join()
	}
	return f, full
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
		if errs[i] = e.roomOn(Shrinks, len(n.Reason)); errs[i] != nil {
			continue
		}
		var hold []byte
		if hold, errs[i] = e.st.DecideHold(nil, n); errs[i] != nil {
			continue
		}
		if rec, errs[i] = e.st.DecideNack(rec[:0], n); errs[i] != nil {
			continue
		}
		if hold != nil { // first, or the task would be handed out once more
			e.append(hold)
		}
		e.append(rec)
		wait = wait || !n.Undone || hold != nil
	}
	var f uint64
	if wait {
		f = e.join()
	}
	e.end()
	return errs, e.toldOf(errs, f)
}

// lookUp is what becomes of the lease of an ack. One that is named by its number alone, and is of a
// queue that the ack may not be of, is lost. The caller holds mu.
func (e *Engine) lookUp(a *glassq.Ack) state.Lookup {
	look := e.st.Lease(a.Token)
	if a.Within != nil && a.Token.Queue == "" && look != state.Lost && !a.Within(e.st.QueueOfLease(a.Token.Number).Name) {
		return state.Lost
	}
	return look
}

// QueuesOf are the queues of leases that are live or whose acks are remembered; "" is of any other, which
// is lost, see toldOf.
func (e *Engine) QueuesOf(numbers []uint64) (names []string, err error) {
	err = e.read(func() error {
		names = make([]string, len(numbers))
		for i, n := range numbers {
			if e.st.Lease(glassq.Token{Number: n}) != state.Lost {
				names[i] = e.st.QueueOfLease(n).Name
			}
		}
		return nil
	})
	if err == nil && slices.Contains(names, "") {
		err = e.Prove()
	}
	return names, err
}
