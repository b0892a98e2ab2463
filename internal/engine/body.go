package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// A reading reads tasks of committed frames, most of them next to each other.
type reading struct {
	c    *cache
	last payload
	dec  state.Decoder
}

// task reads the task at a place into t, which aliases the cache. put is the ms when it was put.
func (r *reading) task(t *glassq.Task, p state.Place) (put int64, err error) {
	if r.last.frame != p.Frame {
		if r.last, err = r.c.frame(p.Frame); err != nil {
			return 0, unread(err)
		}
	}
	put, err = r.dec.Position(t, r.last.bytes[min(uint64(p.Offset), uint64(len(r.last.bytes))):], p.Position)
	if err != nil {
		return 0, unread(Damaged(fmt.Errorf("frame %d, record at %d: %w", p.Frame, p.Offset, err)))
	}
	if put == 0 {
		put = r.last.time
	}
	return put, nil
}

// pin keeps the extents of all places that are known now, and the log open, until unpin. The caller
// holds mu, and the engine has not been closed.
func (e *Engine) pin() (epoch int) {
	e.reading.Add(1)
	e.readers[e.epoch].Add(1)
	return e.epoch
}

func (e *Engine) unpin(epoch int) {
	e.readers[epoch].Add(-1)
	e.reading.Done()
}

// setAside makes a task dead whose body was found damaged when it was to be handed out: it is kept,
// with the place of the damage as its reason, and the rest of its queue goes on. A task that was
// taken, not leased, is over already. The error is what the caller hears if nothing else was left.
func (e *Engine) setAside(queue string, g *grant, err error) error {
	if !errors.Is(err, ErrDamaged) {
		// The log did not answer: that may pass.
		e.opt.Logger.Error("a task could not be read and was not handed out", "queue", queue, "task", g.task, "err", err)
		if g.number != 0 {
			e.Nack(context.Background(), []glassq.Nack{{Token: glassq.Token{Queue: queue, Number: g.number}, Undone: true}})
		}
		return err
	}
	e.opt.Logger.Error("a task is damaged and was not handed out", "queue", queue, "task", g.task, "err", err)
	if g.number != 0 { // a nack that fails leaves the lease to run out, and the next hand-out finds the damage again
		reason := err.Error()
		reason = reason[:min(len(reason), glassq.MaxReason)]
		e.Nack(context.Background(), []glassq.Nack{{Token: glassq.Token{Queue: queue, Number: g.number}, Dead: true,
			Reason: reason}})
	}
	return err
}

func unread(err error) error {
	return glassq.Errorf(glassq.CodeDamaged, "a task does not read: %w", err)
}
