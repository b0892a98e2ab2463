package door

import (
	"context"
	"sync"

	"github.com/glassq/glassq"
)

// A Budget bounds the bytes that all who share it hold together. A caller that does not fit waits,
// in order of arrival. It is taken all at once, so that two half-served callers cannot block each
// other for ever. Safe for concurrent use.
type Budget struct {
	size int64

	mu      sync.Mutex
	free    int64           // guarded by mu
	waiters []*budgetWaiter // guarded by mu, first come first
}

type budgetWaiter struct {
	n     int64
	ready chan struct{} // closed when the bytes are granted
}

// NewBudget makes a budget of size bytes.
func NewBudget(size int64) *Budget { return &Budget{size: size, free: size} }

// Free is how many bytes are not taken.
func (b *Budget) Free() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free
}

// Wanted is how many bytes are waited for.
func (b *Budget) Wanted() (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.waiters {
		n += w.n
	}
	return n
}

// Take waits for n bytes or ctx; on an error nothing is taken. More than the whole budget is
// refused with code too_large.
func (b *Budget) Take(ctx context.Context, n int64) error {
	if n > b.size {
		return glassq.Errorf(glassq.CodeTooLarge, "%d bytes at once; there are %d for all", n, b.size)
	}
	if b.TryTake(n) {
		return nil
	}
	b.mu.Lock()
	w := &budgetWaiter{n: n, ready: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.grant() // something may have been given back meanwhile
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.waiters {
		if other == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.grant() // the one behind may fit
			return ctx.Err()
		}
	}
	b.free += n // granted in the same moment
	b.grant()
	return ctx.Err()
}

// TryTake takes n bytes if it need not wait for them, and tells whether it did.
func (b *Budget) TryTake(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiters) > 0 || b.free < n {
		return false
	}
	b.free -= n
	return true
}

// Give returns n bytes.
func (b *Budget) Give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.grant()
}

// grant serves waiters in order; mu is held.
func (b *Budget) grant() {
	for len(b.waiters) > 0 && b.free >= b.waiters[0].n {
		w := b.waiters[0]
		b.waiters = b.waiters[1:]
		b.free -= w.n
		close(w.ready)
	}
}
