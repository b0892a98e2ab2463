package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/room"
	"github.com/glassq/glassq/internal/state"
)

// A waitList is who waits for a queue, first come first.
type waitList struct {
	list  []*waiter                  // for tasks
	room  []*parked                  // for room
	idle  map[chan struct{}]struct{} // for its end; closed when nothing is left to do
	woken bool                       // the queue is among Engine.woken or Engine.later
}

func (w *waitList) empty() bool { return len(w.list)+len(w.room)+len(w.idle) == 0 }

// waiters returns who waits for q, a list made by its first use. The caller holds mu.
func waiters(q *state.Queue) *waitList {
	w, _ := q.Waiters.(*waitList)
	if w == nil {
		w = &waitList{}
		q.Waiters = w
	}
	return w
}

// A waiter is a reserve that waits. done is closed when it got leases, when it lacks room for one,
// or when the engine stops; then it is in no list any more.
type waiter struct {
	r        glassq.Reserve
	room     room.Taker // for the bodies; nil does not bound them
	lacks    int64      // bytes of the first task, for which there was no room
	granted  []grant
	f        uint64 // frame to be waited for before the bodies are read, or before it is told that there are none
	reserves bool   // that frame reserves the numbers of its leases
	durable  bool   // a hand-out uses up what its key may: it is told when it is durable
	pin      int    // with granted: what deliver unpins
	done     chan struct{}
}

// fits tells whether a task of n bytes may go along with the others that w got. The caller holds
// mu.
func (w *waiter) fits(n int64) bool {
	if w.room == nil || w.room.Try(n) {
		return true
	}
	if len(w.granted) == 0 {
		w.lacks = n
	}
	return false
}

// waitersKept are waiters for the next use, with room for as many grants as they had.
var waitersKept = sync.Pool{New: func() any { return new(waiter) }}

// keep makes w one for the next use. It is in no list.
func (w *waiter) keep() {
	if cap(w.granted) <= glassq.MaxBatch {
		clear(w.granted)
		*w = waiter{granted: w.granted[:0]}
		waitersKept.Put(w)
	}
}

// A grant is a hand-out decided and logged; its body is still to be read.
type grant struct {
	number uint64
	task   uint64
	place  state.Place
	length int64 // ms
	at     int64 // ms, when it was decided
	late   time.Duration
}

// Reserve leases up to r.Max tasks; see glassq.Engine. The room of ctx bounds their bodies, see
// package room.
func (e *Engine) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	var end time.Time
	if r.Wait > 0 {
		end = time.Now().Add(r.Wait)
	}
	w := waitersKept.Get().(*waiter)
	defer w.keep()
	for {
		w.r, w.room, w.lacks = r, room.Of(ctx), 0
		leases, err := e.reserve(ctx, w)
		if err != nil || w.lacks == 0 {
			return leases, err
		}
		if err := w.room.Take(ctx, w.lacks); err != nil {
			return nil, err
		}
		if r.Wait > 0 {
			r.Wait = max(0, time.Until(end))
		}
	}
}

// reserve is Reserve, unless w lacks room.
func (e *Engine) reserve(ctx context.Context, w *waiter) ([]glassq.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.begin(); err != nil {
		return nil, err
	}
	r := &w.r
	if err := e.mayMakeQueue(r.Queue); err != nil {
		return nil, e.refuse(err)
	}
	q := e.st.Touch(r.Queue)
	wl := waiters(q)
	if len(wl.list) == 0 || r.Look {
		e.grant(q, w)
	}
	if len(w.granted) == 0 {
		w.f = e.told()
	}
	if len(w.granted) > 0 || w.lacks > 0 || r.Wait == 0 {
		e.end()
		return e.deliver(q.Name, w)
	}
	w.done = make(chan struct{})
	wl.list = append(wl.list, w)
	e.parked++
	e.end()

	await(ctx, w.done, r.Wait)
	e.mu.Lock()
	e.parked--
	if i := slices.Index(wl.list, w); i >= 0 {
		wl.list = slices.Delete(wl.list, i, i+1)
	}
	err := e.err
	if len(w.granted) == 0 {
		w.f = e.told()
	}
	e.mu.Unlock()
	if err := cmp.Or(ctx.Err(), err); err != nil && len(w.granted) == 0 {
		return nil, err
	}
	if ctx.Err() != nil && !r.Take {
		e.unpin(w.pin)
		if !r.Look {
			e.undo(q.Name, w)
		}
		return nil, ctx.Err()
	}
	return e.deliver(q.Name, w)
}

// undo gives back what a reserve got whose caller went away.
func (e *Engine) undo(queue string, w *waiter) {
	nacks := make([]glassq.Nack, len(w.granted))
	for i, g := range w.granted {
		nacks[i] = glassq.Nack{Token: glassq.Token{Queue: queue, Number: g.number}, Undone: true}
	}
	e.Nack(context.Background(), nacks) // what fails here expires by itself
}

// match hands tasks to those who wait for them, gives room to those who wait for that, and wakes
// those who wait for the end of a queue or for runs. The caller holds mu.
func (e *Engine) match() {
	e.endRuns()
	e.paceReady()
	for i := 0; i < len(e.woken); i++ {
		q := e.woken[i]
		wl := q.Waiters.(*waitList)
		wl.woken = false
		for len(wl.list) > 0 {
			w := wl.list[0]
			e.grant(q, w)
			if len(w.granted) == 0 && w.lacks == 0 {
				break
			}
			wl.list = slices.Delete(wl.list, 0, 1)
			close(w.done)
		}
		e.admit(q, wl)
	}
	e.woken = e.woken[:0]
	if e.endRuns() { // by what was handed out and acked at once, or by an ack that waited
		e.match()
	}
	if e.runsOn {
		e.runsOn = false
		e.wakeRuns()
	}
}

// grant decides what w gets now, logs it and applies it. The caller holds mu.
func (e *Engine) grant(q *state.Queue, w *waiter) {
	if w.r.Look {
		e.show(q, w)
		return
	}
	set := q.Settings()
	if set.Paused || e.err != nil {
		return
	}
	ready := q.Count(glassq.Ready)
	n := min(int(min(int64(w.r.Max), ready)), e.st.MayHandOut(q))
	if n == 0 {
		return
	}
	if e.roomOn(Shrinks, shortRecord*w.r.Max) != nil { // without room for a lease nothing is handed out
		e.paceLater(q, reclaimEvery)
		return
	}
	if _, ok := e.st.Head(q, nil); !ok {
		return // keys keep all of them back, which is no fault of who asks
	}
	clock := e.nanos()
	n, up, wait := q.Pace.Ask(clock, n, ready)
	if up.Any() {
		e.append(state.AppendGiveUp(nil, q.Name, e.st.NextRun(q), up))
		e.open.Durable = true // it comes no oftener than the slack; nobody waits for it
	}
	if n == 0 {
		e.paceLater(q, wait)
		return
	}
	number, _ := e.st.NextLease()
	w.granted = slices.Grow(w.granted, n)
	var size int64
	for len(w.granted) < n {
		g := &w.granted[:len(w.granted)+1][len(w.granted)] // it is large, and filled in where it stays
		task, ok := e.st.Head(q, &g.place)
		if !ok {
			break
		}
		p := &g.place
		if size += p.Size; size > glassq.MaxAnswer && len(w.granted) > 0 || !w.fits(p.Size) {
			break
		}
		g.number, g.task, g.at, g.length, g.late = 0, task, e.st.Now(), p.Length(w.r.Lease), q.Pace.Late(clock)
		p.Attempt++
		w.durable = w.durable || p.Waits
		if w.r.Take && (w.room == nil || p.Size <= room.Small) {
			e.applied(state.AppendTake(e.open.Buf, task))
		} else {
			g.number = number
			number++
			e.applied(state.AppendLease(e.open.Buf, g.number, task, g.length))
		}
		w.granted = w.granted[:len(w.granted)+1]
	}
	if len(w.granted) == 0 {
		return
	}
	w.pin = e.pin()
	if w.durable = w.durable || e.policy.HandOutsWait; w.durable {
		w.f = e.join()
		return
	}
	if w.reserves = number > e.limit; w.reserves || w.r.Take {
		// The numbers are reserved in a frame under way, or the ack has to be written.
		w.f = e.open.number
		e.open.Durable = e.open.Durable || w.reserves
		return
	}
	last := uint64(0)
	for i := range w.granted {
		last = max(last, w.granted[i].place.Last())
	}
	w.f = e.unwritten(last)
}

// show lets w see the task that comes next. The caller holds mu.
func (e *Engine) show(q *state.Queue, w *waiter) {
	g := grant{at: e.st.Now()}
	var ok bool
	if g.task, ok = e.st.Head(q, &g.place); !ok { // or keys keep all of them back
		g.task, ok = e.st.Eldest(q, &g.place)
	}
	p := &g.place
	if !ok || e.err != nil || !w.fits(p.Size) {
		return
	}
	w.granted = append(w.granted, g)
	w.pin = e.pin()
	w.f = max(e.unwritten(p.Last()), e.told())
}

// deliver waits until what w got may be told, reads the bodies, and makes the leases.
func (e *Engine) deliver(queue string, w *waiter) ([]glassq.Lease, error) {
	if w.lacks > 0 && len(w.granted) == 0 {
		return nil, nil
	}
	if len(w.granted) == 0 {
		return nil, e.refused(w.f, nil)
	}
	defer e.unpin(w.pin)
	wait := e.waitLive
	if w.r.Take && !w.reserves && !w.durable {
		wait = e.waitWritten
	}
	if err := wait(w.f); err != nil {
		return nil, err
	}
	leases := make([]glassq.Lease, 0, len(w.granted))
	var bad []error
	r := reading{c: e.cache}
	size := 0
	deadlines := e.deadlines(w)
	for i := range w.granted {
		g := &w.granted[i]
		leases = leases[:len(leases)+1]
		l := &leases[len(leases)-1]
		put, err := r.task(&l.Task, &g.place)
		body := err == nil
		if body {
			l.Progress, err = r.said(&g.place)
		}
		if err != nil {
			if w.r.Look {
				return nil, err
			}
			leases = leases[:len(leases)-1]
			bad = append(bad, e.setAside(queue, g, body, err))
			continue
		}
		l.Number, l.Attempt = g.number, g.place.Attempt
		l.Length = time.Duration(g.length) * time.Millisecond
		l.Deadline = e.start.Add(time.Duration(g.at-e.base+g.length) * time.Millisecond)
		if deadlines != nil && deadlines[i] != 0 {
			l.Deadline = e.start.Add(time.Duration(deadlines[i]-e.base) * time.Millisecond)
		}
		l.Age = max(0, time.Duration(g.at-put)*time.Millisecond-l.Delay)
		l.Late = min(g.late, l.Age+time.Millisecond) // a task is not due before it is put
		if l.ID == "" && !l.Dense {
			l.ID = glassq.AssignedID(g.task)
		}
		l.Delay, l.TTL = 0, 0
		size += len(l.Body) + len(l.Extra)
	}
	if len(leases) == 0 {
		return nil, bad[0]
	}
	select {
	case <-e.failed: // nothing is handed out any more, not even what was decided before
		e.mu.Lock()
		err := e.err
		e.mu.Unlock()
		return nil, err
	default:
	}
	// One copy for all: the callers own their bodies, the cache keeps its own.
	all := make([]byte, 0, size)
	for i := range leases {
		l := &leases[i]
		l.Body, all = own(l.Body, all)
		l.Extra, all = own(l.Extra, all)
	}
	return leases, nil
}

// deadlines are those of the leases that w got as they are now, in ms, 0 for one that has ended;
// nil where the time of the log never stops, and they are as they were.
func (e *Engine) deadlines(w *waiter) []int64 {
	if e.policy.Stops == 0 {
		return nil
	}
	if e.begin() != nil {
		return nil
	}
	defer e.end()
	out := make([]int64, len(w.granted))
	for i, g := range w.granted {
		out[i], _ = e.st.Deadline(g.number)
	}
	return out
}

// own moves b to the end of all, which has room for it.
func own(b, all []byte) (mine, rest []byte) {
	if b == nil {
		return nil, all
	}
	start := len(all)
	all = append(all, b...)
	return all[start:len(all):len(all)], all
}
