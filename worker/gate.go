package worker

// A Gate says when a handler may begin a task, for work whose room changes while it goes on. A
// handler takes no lease before the gate has let it in; when it is done with the task its place is
// free again, or earlier if the gate knows of that by itself.
type Gate interface {
	// Enter lets handler i in if there is a place for it, and tells whether there is another place.
	// The goroutine of handler i calls it when a task is ready, and then calls Handle with that
	// task. A lock of the worker is held: Enter must not block.
	Enter(i int) (ok, more bool)

	// Places is how many places there are now, taken ones included; at least 1. It must not block.
	// The adaptive prefetch goes by it.
	Places() int
}

// begin returns a task for the handler of s, or nil when there is none or no place for it. w.mu is
// held.
func (w *worker) begin(s *slot) *held {
	if w.unacked > maxUnacked || !w.ready.any() || !w.admits() {
		return nil
	}
	h := w.enter(s)
	if h != nil {
		w.strain.busy++
	}
	return h
}

// enter returns a task that is ready if the gate has a place for it. w.mu is held.
func (w *worker) enter(s *slot) *held {
	if w.gate == nil {
		return w.ready.pop()
	}
	ok, more := w.gate.Enter(s.i)
	if !ok {
		return nil
	}
	h := w.ready.pop()
	if more && w.ready.n > 0 {
		w.work.Signal()
	}
	return h
}

// entrance wakes a handler that waits for a place, if there is a task for it, or has one fetched.
func (w *worker) entrance() {
	w.mu.Lock()
	if w.ready.n > 0 {
		w.work.Signal()
	} else if w.ahead.none {
		w.ahead.none = false
		w.room.Signal()
	}
	w.mu.Unlock()
}

// places is how many tasks can be at work at once.
func (w *worker) places() int {
	n := w.opt.Concurrency
	if w.gate != nil {
		n = min(w.gate.Places(), n)
	}
	if w.strain.limit > 0 {
		n = min(w.strain.limit, n)
	}
	return n
}
