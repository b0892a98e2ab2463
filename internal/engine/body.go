package engine

import (
	"bytes"
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
func (r *reading) task(t *glassq.Task, p *state.Place) (put int64, err error) {
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

// said reads the checkpoint of a task into what was said of it, which is for its caller to keep; nil
// where nothing was.
func (r *reading) said(p *state.Place) (*glassq.Progress, error) {
	said := p.Said()
	frame, offset, ok := p.Checkpoint()
	if !ok {
		return said, nil
	}
	var err error
	if r.last.frame != frame {
		if r.last, err = r.c.frame(frame); err != nil {
			return nil, unread(err)
		}
	}
	checkpoint, err := state.Checkpoint(r.last.bytes[min(uint64(offset), uint64(len(r.last.bytes))):])
	if err != nil || len(checkpoint) != said.Size {
		err = errors.Join(err, state.ErrRecord)
		return nil, unread(Damaged(fmt.Errorf("checkpoint in frame %d, record at %d: %w", frame, offset, err)))
	}
	said.Checkpoint = bytes.Clone(checkpoint)
	return said, nil
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
// taken, not leased, is over already. said tells that it is its checkpoint which is damaged. The
// error is what the caller hears if nothing else was left.
func (e *Engine) setAside(queue string, g *grant, said bool, err error) error {
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
		if said {
			e.forgetCheckpoint(g)
			reason = "its checkpoint is lost, and a redrive begins anew: " + reason
		}
		reason = reason[:min(len(reason), glassq.MaxReason)]
		e.Nack(context.Background(), []glassq.Nack{{Token: glassq.Token{Queue: queue, Number: g.number}, Dead: true,
			Reason: reason}})
	}
	return err
}

// forgetCheckpoint has a task go on without its checkpoint, which does not read.
func (e *Engine) forgetCheckpoint(g *grant) {
	frame, offset, _ := g.place.Checkpoint()
	if e.begin() != nil {
		return
	}
	if e.roomOn(Shrinks, 0) == nil && e.st.Lies(state.Lying{Task: g.task, Frame: frame, Offset: offset}) {
		e.append(state.AppendForget(nil, g.task))
	}
	e.end()
}

func unread(err error) error {
	return glassq.Errorf(glassq.CodeDamaged, "a task does not read: %w", err)
}
