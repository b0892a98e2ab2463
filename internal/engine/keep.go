package engine

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/glassq/glassq/internal/state"
)

const (
	moveStep  = 32 << 10         // bytes moved at a time, so that a commit stays small
	movePause = time.Millisecond // between two steps, at least: at most 32 MiB a second
	moveRest  = 2                // times as long as a step took, at least, likewise: less when others are at work

	restsAfter = 10 * time.Second // without restBytes of frames, which a log at rest may have of its own
	restBytes  = 64 << 10
)

// Look has the keeper look whether there is something to move or to free.
func (e *Engine) Look() {
	e.lookAt.Store(e.written.Load() + uint64(e.opt.CheckpointEvery)/16)
	ring(e.work)
}

// keep writes checkpoints, moves bodies out of mostly dead extents, and frees dead ones, whenever
// the log has grown or has become quiet.
func (e *Engine) keep() {
	var rest <-chan time.Time // when the log may be at rest
	var before uint64         // bytes written by then if it is, about
	for {
		rests := false
		select {
		case <-e.work:
		case <-rest:
			rests = e.written.Load()-before < restBytes
		case <-e.stop:
			return
		case <-e.failed:
			return
		}
		err := e.tidy(rests)
		e.mu.Lock()
		stopped := e.err != nil
		e.mu.Unlock()
		if err != nil && !stopped {
			e.opt.Logger.Error("the log could not be tidied, the next look tries again", "err", err)
		}
		if rest = nil; !rests {
			rest, before = time.After(restsAfter), e.written.Load()
		}
	}
}

// tidy does what is due now. A log that rests gives back more than one of which much is written.
func (e *Engine) tidy(rests bool) error {
	for {
		if e.checkpointDue() {
			if err := e.Checkpoint(nil); err != nil {
				return err
			}
		}
		e.mu.Lock()
		x, ok := e.space.Next()
		e.mu.Unlock()
		if !ok {
			break
		}
		if done, err := e.empty(x); err != nil || !done {
			return err
		}
	}
	// A dead extent goes when both checkpoints are newer. It pays to write them for what is larger.
	for range 2 {
		least := e.worth()
		if rests {
			least = e.ckSize.Load() / 2
		}
		e.mu.Lock()
		_, dead := e.space.Idle()
		e.mu.Unlock()
		if dead == 0 || !e.tight.Load() && uint64(dead) < least {
			return nil
		}
		if err := e.Checkpoint(nil); err != nil {
			return err
		}
	}
	return nil
}

// empty moves the bodies that live in an extent to the end of the log, in small steps. done is
// false when the engine stops.
func (e *Engine) empty(x Extent) (done bool, err error) {
	timer := time.NewTimer(movePause)
	defer timer.Stop()
	var all, some []state.Lying // some are those of all that are left
	var cursor uint64
	m := e.mover()
	for {
		if len(some) == 0 {
			if done {
				return true, nil
			}
			e.mu.Lock()
			all, cursor, done = e.st.Survivors(all[:0], x.First, x.End, cursor)
			e.mu.Unlock()
			some = all
			slices.SortFunc(some, func(a, b state.Lying) int {
				return cmp.Or(cmp.Compare(a.Frame, b.Frame), cmp.Compare(a.Offset, b.Offset))
			})
			continue
		}
		began := time.Now()
		k, err := m.Load(some, moveStep)
		switch {
		case errors.Is(err, ErrDamaged) || errors.Is(err, state.ErrRecord):
			e.leave(x, err)
			return true, nil
		case err != nil:
			return false, err // it may pass
		}
		if err := e.begin(); err != nil {
			return false, err
		}
		if err := e.roomOn(Shrinks, m.Size()); err != nil {
			e.end()
			return false, err
		}
		for i, l := range some[:k] {
			// Those that ended meanwhile need no move.
			if e.st.Lies(l) {
				e.append(m.At(i))
			}
		}
		e.end()
		some = some[k:]
		timer.Reset(max(movePause, moveRest*time.Since(began)))
		if e.checkpointDue() {
			if err := e.Checkpoint(nil); err != nil {
				return false, err
			}
		}
		select {
		case <-timer.C:
		case <-e.stop:
			return false, nil
		}
	}
}

// mover makes move records of what lies in the log. It reads each frame into the memory of the one
// before, which nobody else has.
func (e *Engine) mover() state.Mover {
	return state.Mover{Read: func(id uint64, again []byte) (int64, []byte, error) {
		f, err := e.log.Read(id, again)
		return f.Time, f.Records, err
	}}
}

// leave gives up an extent of which a body does not read: whoever asks for that body is told.
func (e *Engine) leave(x Extent, err error) {
	e.opt.Logger.Error("a segment of the log is damaged and stays as it is", "segment", x.No, "err", err)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.space.Leave(x)
}
