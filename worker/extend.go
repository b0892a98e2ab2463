package worker

import (
	"context"
	"errors"
	"time"

	"github.com/glassq/glassq"
)

// extendAll extends every held lease when a third of its length is over, together with those at
// half of that, until over is closed. Those that no handler has begun by then go back, unless
// Options.Prefetch says how many to hold.
func (w *worker) extendAll(ctx context.Context, over <-chan struct{}) {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	var batch []*held
	var calls []glassq.Extend
	for {
		wait, any := w.nextExtend()
		var tick <-chan time.Time
		if any {
			timer.Reset(wait)
			tick = timer.C
		}
		select {
		case <-over:
			return
		case <-w.extend:
			continue
		case <-tick:
		}
		batch, calls = w.due(batch[:0], calls[:0])
		if len(calls) == 0 {
			continue
		}
		began := time.Now()
		errs, err := w.q.Extend(ctx, calls)
		if err != nil {
			if ctx.Err() == nil {
				w.opt.Logger.Warn("extend leases", "queue", w.opt.Queue, "leases", len(calls), "err", err)
			}
		}
		w.extended(batch, errs, err == nil, began)
	}
}

// nextExtend tells when the longest not extended lease is due.
func (w *worker) nextExtend() (wait time.Duration, any bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.order.next == &w.order {
		return 0, false
	}
	return max(time.Until(w.order.next.since.Add(w.opt.Lease/3)), 0), true
}

// due collects the leases to extend now.
func (w *worker) due(batch []*held, calls []glassq.Extend) ([]*held, []glassq.Extend) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.stale(now)
	limit := now.Add(-w.opt.Lease / 6)
	for h := w.order.next; h != &w.order && len(batch) < glassq.MaxBatch && !h.since.After(limit); h = h.next {
		h.busy = true
		batch = append(batch, h)
		calls = append(calls, glassq.Extend{Token: h.lease.Token(), Lease: w.opt.Lease})
	}
	return batch, calls
}

// extended notes the answers to an Extend. A lease that is lost is dropped: before its work, or
// with its work cancelled. One whose ack is under way may be answered as lost because the ack was
// first; the answer to the ack decides then.
func (w *worker) extended(batch []*held, errs []error, ok bool, began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, h := range batch {
		h.busy = false
		if h.next == nil {
			continue // ended meanwhile
		}
		if i < len(errs) && errors.Is(errs[i], glassq.ErrLeaseLost) {
			w.lose(h)
			continue
		}
		if !ok {
			h.since = began.Add(-w.opt.Lease / 6) // tried again a sixth from now; stays in front
			continue
		}
		h.since = began
		h.unlink()
		w.order.push(h)
	}
}

// lose marks a lease as lost. w.mu is held.
func (w *worker) lose(h *held) {
	h.unlink()
	if h.ended {
		return // its ack or nack is on the way
	}
	h.lost = true
	w.stats.Lost++
	w.opt.Logger.Warn("lease lost", "queue", w.opt.Queue, "task", h.lease.TaskID())
	if h.cancel != nil {
		h.cancel()
	}
}
