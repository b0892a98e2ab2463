package live

import (
	"context"
	"time"
)

// RingBytes is how much all series take.
func (l *Live) RingBytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// Tick ends a second as Keep does, at a time of the test's own.
func (l *Live) Tick(ctx context.Context, now time.Time) { l.tick(ctx, now) }

// KnownRuns is how many runs are known.
func (l *Live) KnownRuns() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byRun)
}
