package disk

import (
	"cmp"
	"slices"
	"time"

	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
)

const (
	moveStep  = 32 << 10         // bytes moved at a time, so that a commit stays small
	movePause = time.Millisecond // between two steps, at least: at most 32 MiB a second
	moveRest  = 2                // times as long as a step took, at least, likewise: less when others are at work
)

// look wakes the keeper.
func (e *Engine) look() {
	e.lookAt.Store(e.log.Stats().Bytes + uint64(e.ckEvery())/16)
	select {
	case e.work <- struct{}{}:
	default:
	}
}

// keep writes checkpoints, moves bodies out of mostly dead segments, and deletes dead ones, whenever the
// log has grown or has become quiet.
func (e *Engine) keep() {
	for {
		select {
		case <-e.work:
		case <-e.stop:
			return
		case <-e.failed:
			return
		}
		if err := e.tidy(); err != nil && !stopped(err) {
			e.opt.Logger.Error("the log could not be tidied, the next look tries again", "err", err)
		}
	}
}

// tidy does what is due now.
func (e *Engine) tidy() error {
	for {
		if e.checkpointDue() {
			if err := e.checkpoint(); err != nil {
				return err
			}
		}
		e.mu.Lock()
		seg, ok := e.space.next()
		e.mu.Unlock()
		if !ok {
			break
		}
		if done, err := e.empty(seg); err != nil || !done {
			return err
		}
	}
	// A dead segment goes when both checkpoints are newer. It pays to write them for what is larger.
	for range 2 {
		e.mu.Lock()
		_, dead := e.space.idle()
		tight := e.volume.tight()
		e.mu.Unlock()
		if dead == 0 || !tight && uint64(dead) < max(uint64(e.ckEvery()), 2*e.ckSize.Load()) {
			return nil
		}
		if err := e.checkpoint(); err != nil {
			return err
		}
	}
	return nil
}

// empty moves the bodies that live in seg to the end of the log, in small steps. done is false when the
// engine stops.
func (e *Engine) empty(seg wal.Segment) (done bool, err error) {
	timer := time.NewTimer(movePause)
	defer timer.Stop()
	var some []state.Lying
	var cursor uint64
	var m mover
	for {
		if len(some) == 0 {
			if done {
				return true, nil
			}
			e.mu.Lock()
			some, cursor, done = e.st.Survivors(some, uint64(seg.First)/8, uint64(seg.End)/8, cursor)
			e.mu.Unlock()
			slices.SortFunc(some, func(a, b state.Lying) int {
				return cmp.Or(cmp.Compare(a.Frame, b.Frame), cmp.Compare(a.Offset, b.Offset))
			})
			continue
		}
		began := time.Now()
		k, err := m.load(e.log, some)
		if err != nil {
			e.leave(seg, err)
			return true, nil
		}
		if err := e.begin(); err != nil {
			return false, err
		}
		if err := e.roomOn(shrinks, len(m.buf)); err != nil {
			e.end()
			return false, err
		}
		for i, x := range some[:k] {
			// Those that ended meanwhile need no move.
			if p, ok := e.st.Place(x.Task); ok && p.Frame == x.Frame && p.Offset == x.Offset {
				e.append(m.rec(i))
			}
		}
		e.end()
		some = some[k:]
		timer.Reset(max(movePause, moveRest*time.Since(began)))
		if e.checkpointDue() {
			if err := e.checkpoint(); err != nil {
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

// leave gives up a segment of which a body does not read: whoever asks for that body is told.
func (e *Engine) leave(seg wal.Segment, err error) {
	e.opt.Logger.Error("a segment of the log is damaged and stays as it is", "segment", seg.No, "err", err)
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.space.find(seg.First); x != nil && x.No == seg.No {
		x.damaged = true
	}
}

// A mover holds one step of move records.
type mover struct {
	frame wal.Frame
	buf   []byte
	ends  []int
}

// load makes the records of the first of some, and returns of how many. Every body is verified.
func (m *mover) load(log *wal.Log, some []state.Lying) (n int, err error) {
	m.buf, m.ends = m.buf[:0], m.ends[:0]
	for _, x := range some {
		if pos := wal.Pos(x.Frame * 8); m.frame.Pos != pos {
			if m.frame, err = log.ReadFrame(pos); err != nil {
				return 0, err
			}
		}
		ok := uint64(x.Offset) < uint64(len(m.frame.Payload))
		if ok {
			m.buf, ok = state.AppendMove(m.buf, x.Task, m.frame.Time, m.frame.Payload[x.Offset:])
		}
		if !ok {
			return 0, &wal.CorruptError{File: "log", From: m.frame.Pos, Err: state.ErrRecord}
		}
		m.ends = append(m.ends, len(m.buf))
		if n++; len(m.buf) >= moveStep {
			break
		}
	}
	return n, nil
}

func (m *mover) rec(i int) []byte {
	start := 0
	if i > 0 {
		start = m.ends[i-1]
	}
	return m.buf[start:m.ends[i]]
}
