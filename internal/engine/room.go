package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// An attempt decides a call. full is the queue that has no room for it; f is what is to be waited
// for.
type attempt func() (f uint64, full *state.Queue, err error)

// A parked call waits for room in a queue. try decides it under mu, as often as there may be room,
// until it no longer names a full queue. done is closed then, or when the engine stops.
type parked struct {
	try   attempt
	queue *state.Queue // in whose list it is; nil when it is in none
	over  bool         // f and err are the call's
	f     uint64
	err   error
	done  chan struct{}
}

// lowered notes that a queue may have room, or nothing left to do. The caller holds mu.
func (e *Engine) lowered(q *state.Queue) {
	if w, ok := q.Waiters.(*waitList); ok && len(w.room)+len(w.idle) > 0 {
		e.wake(q, w)
	}
}

// admit lets those do their calls who wait for room in q, and ends the waits for its end. The
// caller holds mu.
func (e *Engine) admit(q *state.Queue, w *waitList) {
	for len(w.room) > 0 && e.err == nil {
		if len(e.open.Buf) >= e.policy.FrameBytes {
			w.woken = true
			e.later = append(e.later, q)
			return
		}
		p := w.room[0]
		f, full, err := p.try()
		p.f, p.err = f, err
		if full == q {
			break
		}
		w.room = slices.Delete(w.room, 0, 1)
		if full != nil { // now another one
			p.queue = full
			to := waiters(full)
			to.room = append(to.room, p)
			continue
		}
		p.queue, p.over = nil, true
		close(p.done)
	}
	if len(w.idle) > 0 && q.Idle() {
		for c := range w.idle {
			close(c)
		}
		w.idle = nil
	}
}

// whenRoom calls try under mu, now and whenever the queue that it names may have room, until it
// names none or wait is over; negative waits for ever. behind is a queue whose line is to be joined
// without a try, or nil. It returns what the last try did, a refusal once it may be told. The caller
// has begun; mu is free when it returns.
func (e *Engine) whenRoom(ctx context.Context, wait time.Duration, behind *state.Queue, try attempt) (uint64, error) {
	full := behind
	var f uint64
	err := error(glassq.ErrQueueFull)
	if full == nil {
		f, full, err = try()
	}
	if err != nil && (full == nil || wait == 0) {
		return 0, e.refuse(err)
	}
	if err == nil {
		e.end()
		return f, nil
	}
	p := &parked{try: try, queue: full, err: err, done: make(chan struct{})}
	w := waiters(full)
	w.room = append(w.room, p)
	e.end()

	await(ctx, p.done, wait)
	e.mu.Lock()
	if p.over { // whatever else has happened since
		told := e.told()
		e.mu.Unlock()
		if p.err != nil {
			return 0, e.refused(told, p.err)
		}
		return p.f, nil
	}
	if e.err != nil {
		err := e.err
		e.mu.Unlock()
		return 0, err
	}
	e.tick()
	w = waiters(p.queue)
	w.room = slices.DeleteFunc(w.room, func(x *parked) bool { return x == p })
	e.lowered(p.queue) // the next one may need less
	if ctx.Err() != nil {
		e.end()
		return 0, ctx.Err()
	}
	return 0, e.refuse(p.err)
}

// PutWait is Put that waits for room; see glassq.Waits.
func (e *Engine) PutWait(ctx context.Context, tasks []glassq.Task, wait time.Duration) ([]glassq.Receipt, error) {
	if err := ctx.Err(); err != nil || len(tasks) == 0 {
		return nil, err
	}
	s := scratches.Get().(*state.Records)
	defer release(s)
	s.PutAll(tasks)
	receipts := make([]glassq.Receipt, len(tasks))
	if err := e.begin(); err != nil {
		return nil, err
	}
	f, err := e.whenRoom(ctx, wait, e.lineFor(tasks),
		func() (uint64, *state.Queue, error) { return e.putNow(tasks, s, receipts) })
	if err != nil {
		return nil, err
	}
	return receipts, e.wait(f)
}

// lineFor returns the first queue of tasks for which others wait already, or nil. The caller holds
// mu.
func (e *Engine) lineFor(tasks []glassq.Task) *state.Queue {
	last := ""
	for i := range tasks {
		if name := tasks[i].Queue; name != last {
			last = name
			q := e.st.Queue(name)
			if q == nil {
				continue
			}
			if w, ok := q.Waiters.(*waitList); ok && len(w.room) > 0 {
				return q
			}
		}
	}
	return nil
}

// AckWait is Ack that waits for room; see glassq.Waits.
func (e *Engine) AckWait(ctx context.Context, ack glassq.Ack, wait time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	acks, errs := []glassq.Ack{ack}, make([]error, 1)
	s := scratches.Get().(*state.Records)
	defer release(s)
	leased, err := e.prepare(acks, s)
	if err != nil {
		return err
	}
	if err := e.begin(); err != nil {
		return err
	}
	f, err := e.whenRoom(ctx, wait, nil, func() (uint64, *state.Queue, error) {
		errs[0] = nil
		f, full := e.ackNow(acks, leased, s, errs)
		return f, full, errs[0]
	})
	if err != nil {
		return cmp.Or(e.toldOf([]error{err}, 0), err)
	}
	return e.wait(f)
}

// Held tells how much a queue holds as of now. It waits only where reads wait.
func (e *Engine) Held(_ context.Context, queues ...string) ([]glassq.Held, error) {
	held := make([]glassq.Held, len(queues))
	e.mu.Lock()
	for i, queue := range queues {
		held[i] = e.st.Queue(queue).Held()
	}
	f, err := e.told(), e.err
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return held, e.wait(f)
}

// AwaitIdle waits until nothing in the queue is delayed, ready or leased; see glassq.Waits.
func (e *Engine) AwaitIdle(ctx context.Context, queue string, wait time.Duration) (bool, error) {
	if err := e.begin(); err != nil {
		return false, err
	}
	q, ended := e.st.Queue(queue), false
	if !q.Idle() && wait != 0 {
		done := make(chan struct{})
		w := waiters(q)
		if w.idle == nil {
			w.idle = map[chan struct{}]struct{}{}
		}
		w.idle[done] = struct{}{}
		e.end()
		ended = await(ctx, done, wait)
		if err := e.begin(); err != nil {
			return false, err
		}
		delete(w.idle, done)
		q = e.st.Queue(queue)
	}
	is := ended || q.Idle() // it was, whatever was put since
	f := e.newest()
	e.end()
	if ctx.Err() != nil && !ended {
		return is, ctx.Err()
	}
	return is, e.wait(f)
}
