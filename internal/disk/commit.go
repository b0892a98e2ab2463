package disk

import (
	"errors"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
)

const (
	frameSoft   = 1 << 20               // an open frame of this size takes no more until it is written
	frameKept   = 4 << 20               // largest buffer of a frame that is used again
	lazyWrite   = 5 * time.Millisecond  // longest time a record nobody waits for stays unwritten
	markAfter   = 50 * time.Millisecond // of quiet, until a mark witnesses what was synced
	numberBlock = 1 << 20               // lease numbers reserved at a time
)

// A frame is one group commit: it is filled under mu, then written by whoever leads. An engine has two that
// it fills in turn; who waits for one knows its number only, see turns.
type frame struct {
	number uint64 // from 1 on
	pos    wal.Pos
	buf    []byte // wal.HeaderSize spare bytes, then records
	time   int64  // ms, when its first record was appended
	count  int
	limit  uint64 // lease numbers reserved once it is durable
	sync   bool   // somebody waits for it to be durable
	force  bool   // it is synced whatever the mode
	bodies bool   // tasks can be read from it
	tasks  int64  // whose bodies lie in it, until it is known in which segment it is
	bytes  int64  // of them
}

// reset empties f for the frame after number at pos.
func (f *frame) reset(number uint64, pos wal.Pos) {
	buf := f.buf
	if buf == nil || cap(buf) > frameKept {
		buf = make([]byte, 0, wal.HeaderSize+4<<10)
	}
	*f = frame{number: number, pos: pos, buf: append(buf[:0], noHeader[:]...)}
}

var noHeader [wal.HeaderSize]byte

// begin starts a change of the state: it takes mu, waits while the open frame is full, and moves time
// on. On error mu is not held.
func (e *Engine) begin() error {
	e.mu.Lock()
	for e.err == nil && len(e.open.buf) >= frameSoft {
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

// end matches waiting calls with what has become ready, sees to what nobody waits for, and lets mu go.
func (e *Engine) end() {
	e.match()
	kick := false
	if _, left := e.st.NextLease(); left < numberBlock/2 {
		e.append(state.AppendNumbers(nil, e.st.Limit()+numberBlock))
		e.open.force = true
	}
	if e.open.count > 0 && e.lazyAt.IsZero() && !e.open.sync { // else who waits for it writes it
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

// rests tells whether the background loop would sleep beyond at. While it is awake it looks at everything
// anew before it sleeps. The caller holds mu.
func (e *Engine) rests(at time.Time) bool { return e.restUntil.IsZero() || e.restUntil.After(at) }

func (e *Engine) nudge() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// tick moves the state's time to now. The caller holds mu.
func (e *Engine) tick() {
	now := e.now()
	last := e.st.Now()
	if now <= last {
		now = last
	}
	if e.open.count == 0 {
		e.open.time = now
	} else if now > last {
		// The frame's records so far happened earlier.
		e.open.buf = state.AppendTime(e.open.buf, now-last)
	}
	e.st.Advance(now)
}

// append adds a record to the open frame and applies it. The caller holds mu.
func (e *Engine) append(rec []byte) {
	off := len(e.open.buf) - wal.HeaderSize
	e.open.buf = append(e.open.buf, rec...)
	e.open.count++
	if _, err := e.st.Apply(rec, uint64(e.open.pos)/8, uint32(off)); err != nil {
		panic("disk: own record refused: " + err.Error())
	}
}

// newest is the number of the frame that holds the newest records not yet committed, or 0. The caller
// holds mu.
func (e *Engine) newest() uint64 {
	switch {
	case e.open.count > 0:
		return e.open.number
	case e.flying != nil:
		return e.flying.number
	}
	return 0
}

// wait returns when a frame is as durable as the mode says; 0 waits for nothing.
func (e *Engine) wait(frame uint64) error { return e.turns.wait(frame, e.commitOpen) }

// waitWritten returns when a frame is written: a killed process does not lose it.
func (e *Engine) waitWritten(frame uint64) error { return e.turns.waitWritten(frame, e.commitOpen) }

// commit writes the open frame, and syncs it if somebody waits for that. The caller leads. With
// snapshot it returns the state as of the end of the frame, and everything up to there is durable.
func (e *Engine) commit(snapshot bool) (*image, error) {
	e.mu.Lock()
	if e.err != nil && !errors.Is(e.err, glassq.ErrClosed) {
		err := e.err
		e.mu.Unlock()
		return nil, err
	}
	if snapshot && e.open.count == 0 && slices.Contains(e.log.Checkpoints(), e.open.pos) {
		e.tick()
		e.append(state.AppendTime(nil, 0)) // two checkpoints at one place would be one
	}
	f := e.open
	write := f.count > 0
	if !write && !snapshot {
		e.mu.Unlock()
		return nil, nil
	}
	var image *image
	bodies := f.bodies // lives writes it while f is flying
	if write {
		f.limit = e.st.Limit()
		f.buf = slices.Grow(f.buf, 8) // for padding
		e.flying, e.open, e.other = f, e.other, nil
		e.open.reset(f.number+1, wal.After(f.pos, len(f.buf)-wal.HeaderSize))
		e.lazyAt = time.Time{}
		e.turns.taken(f.number)
		if len(e.later) > 0 { // looked at by the next match, which the background loop sees to
			e.woken = append(e.woken, e.later...)
			e.later = e.later[:0]
			e.nudge()
		}
	}
	if snapshot {
		image = e.takeImage()
	}
	e.mu.Unlock()

	if write { // else f is still being filled
		synced := f.force || snapshot || f.sync && e.opt.Sync == SyncAlways
		err := e.log.Append(f.buf, f.time, f.count)
		if err == nil {
			if bodies {
				e.cache.add(payload{frame: uint64(f.pos) / 8, time: f.time, bytes: f.buf[wal.HeaderSize:]})
			}
			e.afterAppend()
			e.turns.wrote(f.number)
			if synced {
				err = e.log.Sync()
			}
		}
		e.mu.Lock()
		e.flying, e.other = nil, f
		if err != nil {
			err = failure(err)
			e.fail(err)
			e.mu.Unlock()
			return nil, err
		}
		e.rolled()
		e.space.add(uint64(f.pos)/8, f.tasks, f.bytes)
		now := time.Now()
		e.markAt = now.Add(markAfter)
		look := e.markAt
		switch {
		case synced:
			e.limit, e.dirtyAt = f.limit, time.Time{}
		case e.opt.Sync == SyncInterval:
			if e.dirtyAt.IsZero() {
				e.dirtyAt = now
			}
			if at := e.dirtyAt.Add(e.opt.Interval); at.Before(look) {
				look = at
			}
		}
		kick := e.rests(look)
		number := f.number
		e.mu.Unlock()
		e.turns.did(number)
		if kick {
			e.nudge()
		}
		if at := e.lookAt.Load(); e.log.Stats().Bytes >= at {
			e.look()
		}
	}
	if image != nil && !write {
		if err := e.log.Sync(); err != nil {
			e.mu.Lock()
			e.fail(failure(err))
			e.mu.Unlock()
			return nil, failure(err)
		}
	}
	return image, nil
}

// commitOpen is commit for those who hear of it by turns.
func (e *Engine) commitOpen() { e.commit(false) }

// lives counts tasks and their bytes at a frame; mu is held, or nobody else is there yet.
func (e *Engine) lives(at uint64, tasks, bytes int64) {
	for _, f := range []*frame{e.open, e.flying} {
		if f != nil && uint64(f.pos)/8 == at {
			f.bodies = true
			f.tasks += tasks
			f.bytes += bytes
			return
		}
	}
	e.space.add(at, tasks, bytes)
}

// rolled takes note of a new segment; mu is held.
func (e *Engine) rolled() {
	if no := e.log.Active(); no != e.segment {
		e.segment = no
		e.space.know(e.log.Segments())
		e.look()
	}
}

func failure(err error) error {
	if err == nil {
		return nil
	}
	return glassq.Errorf(glassq.CodeStorage, "the log could not be written, the outcome is unknown: %w", err)
}

// fail ends the engine after a failed write. The caller holds mu.
func (e *Engine) fail(err error) {
	select {
	case <-e.failed:
		return // closed since, perhaps
	default:
	}
	e.err = err
	e.opt.Logger.Error("the log failed, the store stops", "err", err)
	e.wakeAll()
	close(e.failed)
	e.turns.fail(err) // those who wait for the frame being filled hear of it too
}

// background does what nobody waits for: due timers, lazy writes, interval syncs and rates.
func (e *Engine) background() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		e.mu.Lock()
		failed := e.err != nil
		if !failed {
			e.tick()
			e.match()
		}
		var next time.Time
		soonest := func(at time.Time) {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
		if at, ok := e.st.Due(); ok {
			soonest(now.Add(time.Duration(max(at-e.now(), 1)) * time.Millisecond))
		}
		if e.open.count > 0 && e.lazyAt.IsZero() {
			e.lazyAt = now.Add(lazyWrite)
		}
		write := !e.lazyAt.IsZero() && !e.lazyAt.After(now)
		soonest(e.lazyAt)
		look := e.volume.disk != nil && !e.volume.next.After(now)
		if e.volume.disk != nil {
			soonest(e.volume.next)
		}
		soonest(e.markAt)
		var syncAt time.Time
		if e.opt.Sync == SyncInterval && !e.dirtyAt.IsZero() {
			syncAt = e.dirtyAt.Add(e.opt.Interval)
			soonest(syncAt)
		}
		e.restUntil = next
		e.mu.Unlock()
		if failed {
			<-e.stop
			return
		}
		if look {
			e.lookAtSpace()
			continue
		}
		if write {
			e.turns.lead()
			e.commitOpen()
			e.turns.pass()
			continue
		}
		if !syncAt.IsZero() && !syncAt.After(now) {
			e.syncNow()
			continue
		}
		if e.reclaimDue(now) {
			e.look()
			continue
		}
		if e.markDue(now) {
			continue
		}
		if next.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case <-timer.C:
		case <-e.kick:
		case <-e.log.Failed(): // by what nobody waits for: a seal, the directory
			e.mu.Lock()
			e.fail(failure(e.log.Err()))
			e.mu.Unlock()
		case <-e.stop:
			return
		}
	}
}

// syncNow makes everything written durable.
func (e *Engine) syncNow() {
	e.turns.lead()
	defer e.turns.pass()
	err := e.log.Sync()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dirtyAt = (time.Time{}); err != nil {
		e.fail(failure(err))
	}
}

// markDue writes a mark when the log has been quiet for a while: without one, nothing after the last
// frame would tell a later start that the frame was durable and not an unfinished write.
func (e *Engine) markDue(now time.Time) bool {
	e.mu.Lock()
	due := !e.markAt.IsZero() && !e.markAt.After(now)
	e.mu.Unlock()
	if !due {
		return false
	}
	e.turns.lead()
	defer e.turns.pass()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open.count > 0 || e.err != nil {
		e.markAt = time.Time{} // the next commit is the witness
		return true
	}
	e.markAt = time.Time{}
	if err := e.log.Mark(); err != nil {
		e.fail(failure(err))
		return true
	}
	e.rolled()
	e.open.pos = e.log.Next()
	e.look() // there is time now
	return true
}
