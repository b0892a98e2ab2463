package engine

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// NumberBlock is how many lease numbers are reserved in the log at a time. A start leaves out what
// is left of the block before.
const NumberBlock = 1 << 20

const (
	frameSoft = 1 << 20              // Policy.FrameBytes where it says nothing
	frameKept = 4 << 20              // largest buffer of a frame that is used again
	lazyWrite = 5 * time.Millisecond // longest time a record nobody waits for stays unwritten
)

// resetFrame empties f for the frame after number, of that id.
func (e *Engine) resetFrame(f *Frame, number, id uint64) {
	buf := f.Buf
	if buf == nil || cap(buf) > frameKept {
		buf = make([]byte, 0, len(e.head)+4<<10)
	}
	*f = Frame{engine: e, number: number, ID: id, Buf: append(buf[:0], e.head...)}
	e.toldAt = time.Now()
}

// begin starts a change of the state: it takes mu, waits while the open frame is full, and moves
// time on. On error mu is not held.
func (e *Engine) begin() error {
	e.mu.Lock()
	for e.err == nil && len(e.open.Buf) >= e.policy.FrameBytes {
		full := e.open.number
		e.mu.Unlock()
		e.turns.room(full, e.commitOpen)
		e.mu.Lock()
	}
	if e.err != nil {
		err := e.err
		e.mu.Unlock()
		return err
	}
	e.tick()
	return nil
}

// end matches waiting calls with what has become ready, sees to what nobody waits for, and lets mu
// go.
func (e *Engine) end() {
	e.match()
	kick := false
	if _, left := e.st.NextLease(); left < NumberBlock/2 {
		e.append(state.AppendNumbers(nil, e.st.Limit()+NumberBlock))
		e.open.Durable = true
	}
	if e.open.Count > 0 && e.lazyAt.IsZero() && !e.open.Waited { // else who waits for it writes it
		e.lazyAt = time.Now().Add(lazyWrite)
		kick = e.rests(e.lazyAt)
	}
	if at, ok := e.st.Due(); ok && e.rests(e.start.Add(time.Duration(at-e.base)*time.Millisecond)) {
		kick = true
	}
	e.mu.Unlock()
	if kick {
		e.nudge()
	}
}

// tick moves the state's time to now, over a gap if there was one. The caller holds mu.
func (e *Engine) tick() {
	if gap := e.gap.Milliseconds(); gap > 0 {
		e.gap = 0
		e.tickTo(e.gapAt)
		e.append(state.AppendGap(nil, gap))
	}
	e.tickTo(e.now())
}

func (e *Engine) tickTo(now int64) {
	last := e.st.Now()
	if now <= last {
		now = last
	}
	if e.open.Count == 0 {
		e.open.Time = now
	} else if now > last {
		// The frame's records so far happened earlier.
		e.open.Buf = state.AppendTime(e.open.Buf, now-last)
	}
	e.st.Advance(now)
	e.endRuns()
}

// shortRecord is more than the record of a lease, an ack or a cost takes, in bytes.
const shortRecord = 32

// append adds a record to the open frame and applies it. The caller holds mu.
func (e *Engine) append(rec []byte) { e.applied(append(e.open.Buf, rec...)) }

// applied takes buf, which is that of the open frame with one record more, and applies that. The caller
// holds mu.
func (e *Engine) applied(buf []byte) {
	off := len(e.open.Buf)
	e.open.Buf = buf
	e.open.Count++
	if _, err := e.st.Apply(buf[off:], e.open.ID, uint32(off-len(e.head))); err != nil {
		panic("engine: own record refused: " + err.Error())
	}
}

// join has the caller wait for the open frame, and returns its number. The caller holds mu.
func (e *Engine) join() uint64 {
	e.open.Waited = true
	return e.open.number
}

// newest is the number of the frame that holds the newest records not yet committed, or 0. The
// caller holds mu.
func (e *Engine) newest() uint64 {
	switch {
	case e.open.Count > 0:
		return e.open.number
	case len(e.flying) > 0:
		return e.flying[len(e.flying)-1].number
	}
	return 0
}

// told is the number of the frame that a read waits for before it is answered, or 0. The caller
// holds mu.
func (e *Engine) told() uint64 {
	if !e.policy.ReadsWait {
		return 0
	}
	return e.newest()
}

// unwritten returns the number of the frame with an id that the log may not be able to read yet, or
// 0. The caller holds mu.
func (e *Engine) unwritten(id uint64) uint64 {
	if id >= e.open.ID {
		return e.open.number
	}
	for _, f := range slices.Backward(e.flying) {
		if id >= f.ID {
			return f.number
		}
	}
	return 0
}

// wait returns when a frame is as durable as the log promises. 0 waits for nothing, unless the log
// may have another writer by now, see Policy.Fresh.
func (e *Engine) wait(frame uint64) error {
	if frame == 0 {
		frame = e.prove(e.policy.Fresh)
	}
	return e.turns.wait(frame, e.commitOpen)
}

// waitWritten returns when a frame is written: a killed process does not lose it.
func (e *Engine) waitWritten(frame uint64) error { return e.turns.waitWritten(frame, e.commitOpen) }

// refuse ends what begin began, and is refused of err, which rests on the state as it is.
func (e *Engine) refuse(err error) error {
	told := e.told()
	e.end()
	return e.refused(told, err)
}

// refused returns err, which rests on the state as of the frame told, once that may be told. A refused
// call has changed nothing, so where it may not be told, the call was surely not done.
func (e *Engine) refused(told uint64, err error) error {
	failed := e.wait(told)
	if glassq.CodeOf(failed) != glassq.CodeUnknown {
		return cmp.Or(failed, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// commit gives the open frame to the log. The caller leads. With snapshot it returns the state as
// of the end of the frame, which is durable when it is done.
func (e *Engine) commit(snapshot bool) (*image, error) {
	e.mu.Lock()
	if e.err != nil && !errors.Is(e.err, glassq.ErrClosed) {
		err := e.err
		e.mu.Unlock()
		return nil, err
	}
	if snapshot {
		e.tick() // what a checkpoint says is of the time when it was taken
		if e.open.Count == 0 {
			// The log has to tell that time too: an extent is freed when what lay in it has expired by
			// then, and a start from an older checkpoint must come to the same.
			e.append(state.AppendTime(nil, 0))
		}
	}
	f := e.open
	write := f.Count > 0
	if write {
		f.limit = e.st.Limit()
		f.Durable = f.Durable || snapshot
		f.cached = f.bodies           // which lives changes while f is with the log
		f.Buf = slices.Grow(f.Buf, 8) // for padding
		f.given = time.Now()
		if e.flying = append(e.flying, f); e.owedAt.IsZero() {
			e.owedAt = f.given
		}
		last := len(e.spare) - 1
		e.open, e.spare = e.spare[last], e.spare[:last]
		e.resetFrame(e.open, f.number+1, e.log.After(f.ID, len(f.Buf)-len(e.head)))
		e.lazyAt = time.Time{}
		e.turns.taken(f.number)
		if len(e.later) > 0 { // looked at by the next match, which the background loop sees to
			e.woken = append(e.woken, e.later...)
			e.later = e.later[:0]
			e.nudge()
		}
	}
	var im *image
	if snapshot {
		im = e.takeImage()
	}
	e.mu.Unlock()
	if write { // else f is still being filled
		e.log.Commit(f)
	}
	return im, nil
}

// commitOpen is commit for those who hear of it by turns.
func (e *Engine) commitOpen() { e.commit(false) }

// landed takes back a frame that the log has answered. The caller holds mu.
func (e *Engine) landed(f *Frame) {
	i := slices.Index(e.flying, f)
	e.flying = slices.Delete(e.flying, i, i+1)
	e.spare = append(e.spare, f)
}

// lives counts what lives at a frame; mu is held, or nobody else is there yet.
func (e *Engine) lives(at uint64, more state.Living) {
	f := e.open
	for i := 0; f.ID != at; i++ {
		if i == len(e.flying) {
			e.space.Add(at, more)
			return
		}
		f = e.flying[i]
	}
	f.bodies = true
	f.living.Add(more)
}

// roomOn refuses a change of size bytes of records for which the log has no room. The caller holds
// mu.
func (e *Engine) roomOn(kind Kind, size int) error {
	if !e.tight.Load() {
		return nil
	}
	size += len(e.open.Buf)
	for _, f := range e.flying {
		size += len(f.Buf)
	}
	return e.log.Room(kind, size)
}
