package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/glassq/glassq"
)

const (
	firstWait = 50 * time.Millisecond // before the second try
	longWait  = 2 * time.Second       // most between two tries
	sayEvery  = 10 * time.Second      // between two sentences about the same standstill
)

// putBatch puts tasks, and waits while there is no room for them. A put is all or nothing, so a
// batch that does not fit is put in halves until the parts do, and so is one of which a task is
// refused for good.
func (d *dispatch) putBatch(ctx context.Context, b batch) error {
	tasks := b.tasks
	some := len(tasks)
	wait := firstWait
	for len(tasks) > 0 {
		some = min(some, len(tasks))
		receipts, err := d.q.Put(ctx, tasks[:some])
		switch code := glassq.CodeOf(err); {
		case err == nil:
			d.count(receipts)
			tasks = tasks[some:]
			some *= 2
			wait = firstWait
		case code == glassq.CodeQuota && glassq.RetryAfter(err) > 0:
			d.say("waiting for the rate of the token: %v (%d put so far)", err, d.put.Load())
			if err := sleep(ctx, glassq.RetryAfter(err)); err != nil {
				return err
			}
		case !full(code) && !forGood(code):
			return fmt.Errorf("put %d tasks: %w", some, err)
		case some > 1:
			some /= 2
		case forGood(code):
			bad := d.refusal(&tasks[0], err)
			if i := len(b.tasks) - len(tasks); i < len(b.lines) {
				bad.Line = b.lines[i]
			}
			if d.opt.Refused == nil {
				return bad
			}
			d.refused.Add(1)
			d.opt.Refused(bad)
			d.progress()
			tasks = tasks[1:]
			some = 2
		default:
			d.say("waiting for room: %v (%d put so far)", err, d.put.Load())
			if err := sleep(ctx, wait); err != nil {
				return err
			}
			wait = min(2*wait, longWait)
		}
	}
	return nil
}

func full(code glassq.Code) bool {
	return code == glassq.CodeQueueFull || code == glassq.CodeStorageFull
}

// forGood tells whether a task that was refused will be refused again, whenever it is put.
func forGood(code glassq.Code) bool {
	return code == glassq.CodeTooLarge || code == glassq.CodeBadRequest || code == glassq.CodeSchema
}

// A RefusedError is that a queue will never take a task.
type RefusedError struct {
	ID   string // position in the run, or the id of its own
	Body string // its first bytes
	Line uint64 // of the input that it was made of, from 1; 0 when it was made of none
	Name string // of what the line is in; "" when nobody knows
	Err  error
}

func (e *RefusedError) Error() string {
	where := ""
	if e.Line > 0 {
		where = atLine(e.Name, e.Line)
	}
	return fmt.Sprintf("%stask %s, %q: %v", where, e.ID, e.Body, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

func (d *dispatch) refusal(t *glassq.Task, err error) *RefusedError {
	const shown = 60
	e := &RefusedError{ID: t.TaskID(), Body: string(t.Body[:min(len(t.Body), shown)]), Err: err}
	if in, ok := d.opt.Source.(lined); ok {
		e.Name = in.name()
	}
	return e
}

func (d *dispatch) count(receipts []glassq.Receipt) {
	dup := uint64(0)
	for i := range receipts {
		if receipts[i].Duplicate {
			dup++
		}
	}
	d.duplicates.Add(dup)
	d.put.Add(uint64(len(receipts)) - dup)
	d.progress()
}

// say tells opt.Notify why nothing moves, not more often than every ten seconds.
func (d *dispatch) say(format string, args ...any) {
	if d.opt.Notify == nil {
		return
	}
	d.blocked.Lock()
	now := time.Now()
	quiet := !d.said.IsZero() && now.Sub(d.said) < sayEvery
	if !quiet {
		d.said = now
	}
	d.blocked.Unlock()
	if !quiet {
		d.opt.Notify(fmt.Sprintf(format, args...))
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
