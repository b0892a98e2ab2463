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
	if err := l.append(buf, time, uint32(count), 0); err != nil {
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
	return l.append(l.mark[:], l.time, 0, flagMark)
}

func (l *Log) append(buf []byte, time int64, count, flags uint32) error {
	if err := l.usable(); err != nil {
		return err
	}
	if !l.replayed {
		return errNotReplayed
	}
	s, err := l.writable()
	if err != nil {
		return err
	}
	pos := l.Next()
	h := frameHeader{
		length: uint32(len(buf) - HeaderSize), segment: s.no, pos: pos, durable: l.Durable(),
		time: time, count: count, flags: flags,
	}
	buf = append(buf, zeros[:h.size()-int64(len(buf))]...)
	h.sum = crc32.Checksum(buf[HeaderSize:], castagnoli)
	h.encode(buf, s.salt)

	off := s.offset(pos)
	if need := off + int64(len(buf)); need > l.filled {
		grown := max(need, min(l.filled+growStep, l.opt.SegmentSize))
		if err := s.f.Allocate(l.filled, grown-l.filled); err != nil {
			grown = need // a disk too full for this may still have room for the frame
		}
		l.filled = grown
	}
	if _, err := s.f.WriteAt(buf, off); err != nil {
		return l.fail("write "+s.name(), err)
	}
	l.time, l.witness = time, max(l.witness, h.durable)
	l.frames.Add(1)
	l.bytes.Add(uint64(len(buf)))
	l.end.Store(uint64(pos) + uint64(len(buf)))
	if l.spare == nil && off+int64(len(buf)) > l.opt.SegmentSize/2 {
		l.startSpare()
	}
	return nil
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
	l.lastSync.Store(int64(time.Since(start)))
	l.syncs.Add(1)
	l.durable.Store(l.end.Load())
	return nil
}

// active is the segment that is written to. Its file is open and stays so.
func (l *Log) active() *segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.segs[len(l.segs)-1]
}

// writable is the segment for the next frame, a new one when the active one is full.
func (l *Log) writable() (*segment, error) {
	old := l.active()
	end := l.Next()
	if old.offset(end) < l.opt.SegmentSize {
		return old, nil
	}
	// The old segment is durable before the new one has a name, so whatever is wrong
	// in any but the last segment is damage and not a torn tail.
	if err := l.Sync(); err != nil {
		return nil, err
	}
	tmp := spareName
	f := l.takeSpare()
	if f == nil {
		tmp = segmentTmp
		var err error
		if f, err = l.fs.Create(tmp); err != nil {
			return nil, l.fail("create a segment", err)
		}
	}
	s, err := l.publish(f, tmp, old.no+1, end)
	if err != nil {
		return nil, l.fail("start a segment", err)
	}
	if l.filled, err = s.f.Size(); err != nil {
		s.close()
		return nil, l.fail("start a segment", err)
	}
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
