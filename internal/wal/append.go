package wal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

const growStep = 4 << 20 // bytes allocated at once past the prepared end of a segment

var errNotReplayed = errors.New("log not replayed yet")

// Append writes one frame at Next, with one write. buf begins with HeaderSize spare
// bytes that Append fills; the rest, at least one byte, is the payload. Append may
// write padding behind len(buf) if the capacity allows, and keeps nothing of buf.
// time is milliseconds since 1970 and must not go back; count is the caller's.
//
// The frame is durable after the next Sync. When a segment is full, Append syncs it
// and makes the next one first. Errors: ErrTooLarge and arguments that make no
// sense leave the log as it was; a failed write is ErrFailed and sticks.
func (l *Log) Append(buf []byte, time int64, count int) error {
	switch {
	case len(buf) <= HeaderSize:
		return errors.New("append: empty payload")
	case len(buf)-HeaderSize > MaxPayload:
		return fmt.Errorf("append %d bytes: %w", len(buf)-HeaderSize, ErrTooLarge)
	case count < 0 || count > math.MaxInt32:
		return fmt.Errorf("append: count %d", count)
	case time < l.time:
		return fmt.Errorf("append: time %d is before %d", time, l.time)
	}
	if err := l.append(buf, time, uint32(count)); err != nil {
		return err
	}
	l.realEnd = l.Next()
	return nil
}

// Mark appends an empty frame that says how far the log is durable, if no frame says
// so yet: the witness by which Replay tells damage from a torn tail. It does not
// sync. Replay does not pass marks on.
func (l *Log) Mark() error {
	if err := l.usable(); err != nil {
		return err
	}
	if min(l.Durable(), l.realEnd) <= l.witness {
		return nil
	}
	return l.append(l.mark[:], l.time, 0)
}

func (l *Log) append(buf []byte, time int64, count uint32) error {
	if err := l.usable(); err != nil {
		return err
	}
	if !l.replayed {
		return errNotReplayed
	}
	s := l.active()
	pos := l.Next()
	size := HeaderSize + padded(int64(len(buf)-HeaderSize))
	if s.offset(pos) >= l.opt.SegmentSize {
		var err error
		if s, err = l.roll(size); err != nil {
			return err
		}
	}
	s, err := l.allocate(s, pos, size)
	if err != nil {
		return err
	}
	h := frameHeader{
		length: uint32(len(buf) - HeaderSize), segment: s.no, pos: pos, durable: l.Durable(),
		time: time, count: count, room: uint32(s.room / pageSize),
	}
	buf = append(buf, zeros[:size-int64(len(buf))]...)
	h.sum = crc32.Checksum(buf[HeaderSize:], castagnoli)
	h.encode(buf, s.salt)

	off := s.offset(pos)
	if _, err := s.f.WriteAt(buf, off); err != nil {
		return l.fail("write "+s.name(), err)
	}
	l.time, l.witness = time, max(l.witness, h.durable)
	l.frames.Add(1)
	l.bytes.Add(uint64(len(buf)))
	l.end.Store(uint64(pos) + uint64(len(buf)))
	l.left.Add(-size)
	if l.spare != nil && l.spare.failed.Load() && !l.Full() {
		l.spare = nil
	}
	if l.spare == nil && off+int64(len(buf)) > l.opt.SegmentSize/2 {
		l.startSpare()
	}
	return nil
}

// setFilled notes that so many bytes of s, which ends at end, are allocated.
func (l *Log) setFilled(s *segment, end Pos, filled int64) {
	l.filled = filled
	l.left.Store(filled - s.offset(end))
}

// allocate sees to it that a frame of size bytes fits at pos into s, or into a new
// segment when s is whole or the disk has no more room for it: a write must not find that
// out. A segment that is lengthened keeps room for one more header: so a whole frame before
// the old end names the new length, and a file that is cut anywhere is found too short.
func (l *Log) allocate(s *segment, pos Pos, size int64) (*segment, error) {
	need := s.offset(pos) + size
	whole := l.filled >= l.opt.SegmentSize
	switch {
	case need+HeaderSize <= l.filled, whole && need <= l.filled:
		return s, nil
	case whole && pos > s.first:
		return l.roll(size)
	}
	err := l.lengthen(s, pos, max(need+HeaderSize, min(l.filled+growStep, l.opt.SegmentSize)))
	if isNoSpace(err) {
		l.full.Store(true)
		if need <= l.filled {
			return s, nil
		}
		if err = l.lengthen(s, pos, need); isNoSpace(err) && pos > s.first {
			return l.roll(size)
		}
	}
	if err != nil {
		return nil, l.fail("make room in "+s.name(), err)
	}
	return s, nil
}

// lengthen makes s, which ends at pos, so many bytes long, durably.
func (l *Log) lengthen(s *segment, pos Pos, size int64) error {
	err := reach(s.f, l.filled, size)
	if err == nil {
		err = s.f.Sync()
	}
	if err == nil {
		l.setFilled(s, pos, size)
		s.room = size
	}
	return err
}

// reach makes f, of which from bytes are allocated, size bytes long: with zeros where the
// system allocates by writing only.
func reach(f File, from, size int64) error {
	if err := f.Allocate(from, size-from); err != nil {
		return err
	}
	is, err := f.Size()
	if err == nil && is < size {
		err = f.Zero(is, size-is)
	}
	return err
}

// Sync makes all appended frames durable. A sync that fails is ErrFailed and sticks:
// it is never tried again on the same file, because the system may have dropped the
// bytes that it could not write.
func (l *Log) Sync() error {
	if err := l.usable(); err != nil {
		return err
	}
	if l.Durable() >= l.Next() {
		return nil
	}
	s := l.active()
	start := time.Now()
	if err := s.f.Sync(); err != nil {
		return l.fail("sync "+s.name(), err)
	}
	took := time.Since(start)
	l.lastSync.Store(int64(took))
	l.syncs.Add(1)
	if l.opt.Synced != nil {
		l.opt.Synced(took)
	}
	l.durable.Store(l.end.Load())
	return nil
}

// active is the segment that is written to. Its file is open and stays so.
func (l *Log) active() *segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.segs[len(l.segs)-1]
}

// roll ends the active segment and starts one that has room for a frame of size bytes.
func (l *Log) roll(size int64) (*segment, error) {
	old := l.active()
	end := l.Next()
	// The old segment is durable before the new one has a name, so whatever is wrong
	// in any but the last segment is damage and not a torn tail.
	if err := l.Sync(); err != nil {
		return nil, err
	}
	f, tmp, err := l.room(pageSize + size)
	if err != nil {
		return nil, l.fail("make a segment", err)
	}
	s := newSegment(old.no+1, end)
	if err := l.publish(f, tmp, s); err != nil {
		return nil, l.fail("start a segment", err)
	}
	filled, err := s.f.Size()
	if err != nil {
		s.close()
		return nil, l.fail("start a segment", err)
	}
	l.setFilled(s, end, filled)
	l.mu.Lock()
	old.end, old.sealed = end, true
	segs := make([]*segment, 0, len(l.segs)+1)
	l.segs = append(append(segs, l.segs...), s)
	l.mu.Unlock()
	l.keepOpen(old)
	l.bg.Go(func() {
		if err := l.seal(old); err != nil {
			l.fail("seal "+old.name(), err)
		}
	})
	return s, nil
}
