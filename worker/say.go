package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/glassq/glassq"
)

// Extend says how far the work is, and puts partial results in the same commit. When it returns
// nil, both are durable: if this worker dies, the next one finds them in Lease.Progress. p says
// what changed, see glassq.Extend; nil says nothing of progress. The caller may use p and put again
// after the return.
//
// The worker extends leases by itself, so a handler without progress to report need not call
// Extend. A call waits for the queue: report every few seconds, not with every step.
//
// Errors: lease_lost, and ctx of Handle is done then; queue_full and storage_full when a checkpoint
// or a partial result finds no room: nothing of p and put is kept, and the work may go on. Any
// other error is of the whole call, which may be done or not: the next Extend finds out first, and
// the report is kept once. Only the handler calls Extend, until Handle returns, one call at a time.
func (r *Reply) Extend(ctx context.Context, p *glassq.Progress, put ...glassq.Task) error {
	h := r.by
	if h == nil {
		return glassq.Errorf(glassq.CodeUnsupported, "extend: this reply is of no worker.Run")
	}
	if h.unsure != nil {
		if err := h.say(ctx, *h.unsure); err != nil {
			return err
		}
	}
	return h.say(ctx, glassq.Extend{Token: h.lease.Token(), Lease: h.w.opt.Lease, Seq: h.seq + 1, Progress: p, Put: put})
}

// say says x, which is next.
func (h *held) say(ctx context.Context, x glassq.Extend) error {
	w, began := h.w, time.Now()
	errs, err := w.q.Extend(ctx, []glassq.Extend{x})
	if err == nil && len(errs) != 1 {
		err = fmt.Errorf("%d answers to one extend", len(errs))
	}
	if err != nil {
		if h.unsure == nil {
			h.unsure = keepExtend(x)
		}
		return fmt.Errorf("extend %s: %w", h.lease.TaskID(), err)
	}
	h.unsure = nil
	w.mu.Lock()
	defer w.mu.Unlock()
	switch err := errs[0]; {
	case errors.Is(err, glassq.ErrLeaseLost):
		if h.next != nil { // else others have found out
			w.lose(h)
		}
		return err
	case err != nil:
		return err
	}
	if h.seq = x.Seq; h.next != nil {
		h.since = began
		h.unlink()
		w.order.push(h)
	}
	return nil
}

// keepExtend is x with memory of its own.
func keepExtend(x glassq.Extend) *glassq.Extend {
	if x.Progress != nil {
		p := *x.Progress
		p.Checkpoint = bytes.Clone(p.Checkpoint)
		x.Progress = &p
	}
	x.Put = slices.Clone(x.Put)
	for i := range x.Put {
		x.Put[i].Body = bytes.Clone(x.Put[i].Body)
	}
	return &x
}
