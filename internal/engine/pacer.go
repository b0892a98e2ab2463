package engine

import (
	"slices"
	"time"

	"github.com/glassq/glassq/internal/state"
)

// paceBatch is the least time between two hand-outs to those who wait for a rate. What is due
// within it goes together: a reserve for each task would cost more than the tasks, and the timers
// of an idle program are no finer. How late each task is, is told with its lease.
const paceBatch = time.Millisecond

// nanos is the engine's clock for rates, in ns of the same time as now's ms.
func (e *Engine) nanos() int64 { return e.base*int64(time.Millisecond) + int64(time.Since(e.start)) }

// paceLater notes that q has tasks and reserves that wait, and when its rate lets the next go. The
// caller holds mu.
func (e *Engine) paceLater(q *state.Queue, wait time.Duration) {
	if at := time.Now().Add(max(wait, paceBatch)); e.paceAt.IsZero() || at.Before(e.paceAt) {
		e.paceAt = at
		ring(e.pace)
	}
	if !slices.Contains(e.paced, q) {
		e.paced = append(e.paced, q)
	}
}

// paceReady has queues looked at again whose rate may let a task go. The caller holds mu.
func (e *Engine) paceReady() {
	if e.paceAt.IsZero() || e.paceAt.After(time.Now()) {
		return
	}
	for _, q := range e.paced {
		e.ready(q)
	}
	e.paced, e.paceAt = e.paced[:0], time.Time{}
}

// pacer hands out what rates have held back, when it is due. It is a goroutine of its own because
// the background loop waits for syncs.
func (e *Engine) pacer() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		e.mu.Lock()
		if e.err == nil && !e.paceAt.IsZero() && !e.paceAt.After(time.Now()) {
			e.tick()
			e.end()
			e.mu.Lock()
		}
		at := e.paceAt
		e.mu.Unlock()
		reset(timer, at)
		select {
		case <-timer.C:
		case <-e.pace:
		case <-e.stop:
			return
		}
	}
}
