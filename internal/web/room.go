package web

import (
	"context"
	"sync"
)

// A room bounds the bytes that all requests hold together. Who does not fit waits, in order of
// arrival. A request takes all it may need at once, so that two half-served ones cannot block each
// other for ever.
type room struct {
	mu      sync.Mutex
	free    int64     // guarded by mu
	waiters []*waiter // guarded by mu, first come first
}

type waiter struct {
	n     int64
	ready chan struct{} // closed when the bytes are granted
}

// take waits for n bytes or ctx. n must be at most the room's size.
func (r *room) take(ctx context.Context, n int64) error {
	r.mu.Lock()
	if len(r.waiters) == 0 && r.free >= n {
		r.free -= n
		r.mu.Unlock()
		return nil
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	r.waiters = append(r.waiters, w)
	r.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.waiters {
		if other == w {
			r.waiters = append(r.waiters[:i], r.waiters[i+1:]...)
			r.grant() // the one behind may fit
			return ctx.Err()
		}
	}
	r.free += n // granted in the same moment
	r.grant()
	return ctx.Err()
}

// give returns n bytes.
func (r *room) give(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += n
	r.grant()
}

// grant serves waiters in order; mu is held.
func (r *room) grant() {
	for len(r.waiters) > 0 && r.free >= r.waiters[0].n {
		w := r.waiters[0]
		r.waiters = r.waiters[1:]
		r.free -= w.n
		close(w.ready)
	}
}
