package door

import (
	"context"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/rights"
)

// Spend counts tasks that the client is about to put, against the rates of its token. Its error has
// code quota and says when to try again. A caller that does not put them after all calls Unspend.
func (w Who) Spend(tasks []glassq.Task) error {
	if w.live == nil || w.live.Rates() == (rights.Rates{}) {
		return nil
	}
	return w.live.Take(countOf(tasks), int64(broker.BytesOf(tasks...)))
}

// Unspend gives back what Spend has counted, for a put that was refused.
func (w Who) Unspend(tasks []glassq.Task) { w.owe(-1, tasks) }

// Owe counts what came with an ack that was done. An ack is never refused for a rate, because the
// work is done: what it brings is owed by the puts to come. Its follow-ups count as puts, its result
// by its bytes alone.
func (w Who) Owe(a *glassq.Ack) {
	if w.live == nil || a.Result == nil && len(a.Put) == 0 {
		return
	}
	w.owe(1, a.Put)
	if a.Result != nil {
		w.live.Owe(0, int64(broker.BytesOf(*a.Result)))
	}
}

func (w Who) owe(times int64, tasks []glassq.Task) {
	if w.live != nil && w.live.Rates() != (rights.Rates{}) {
		w.live.Owe(times*countOf(tasks), times*int64(broker.BytesOf(tasks...)))
	}
}

// countOf counts tasks; a range is as many as it has positions.
func countOf(tasks []glassq.Task) (n int64) {
	for i := range tasks {
		n += int64(tasks[i].Tasks())
	}
	return n
}

// await waits until the client's rates let tasks pass, or returns at once why they will not within
// wait, which is negative for any time. It returns what is left of wait.
func (w Who) await(ctx context.Context, tasks []glassq.Task, wait time.Duration) (left time.Duration, err error) {
	for began := time.Now(); ; {
		left = wait
		if wait > 0 {
			left = max(wait-time.Since(began), 0)
		}
		err := w.Spend(tasks)
		pause := glassq.RetryAfter(err)
		if err == nil || wait >= 0 && pause > left {
			return left, err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return left, ctx.Err()
		}
	}
}

// WorthWaiting tells whether a put that err refused may pass when it waits: for room, or for the
// rate of its token.
func WorthWaiting(err error) bool {
	code := glassq.CodeOf(err)
	return err != nil && (code == glassq.CodeQueueFull || code == glassq.CodeQuota && glassq.RetryAfter(err) > 0)
}
