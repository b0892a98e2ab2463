package wal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
)

// setAside copies used bytes from pos on, which are no frames, into a file of their own.
func (l *Log) setAside(s *segment, f File, pos Pos, used int64, records int) error {
	start := s.offset(pos)
	err := l.writeFile(fmt.Sprintf("torn-%016x.bin", uint64(pos)), func(to File) error {
		buf := make([]byte, min(readStep, used))
		for done := int64(0); done < used; {
			n, err := f.ReadAt(buf[:min(int64(len(buf)), used-done)], start+done)
			if n == 0 {
				return err
			}
			if _, err := to.WriteAt(buf[:n], done); err != nil {
				return err
			}
			done += int64(n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.torn.Add(used)
	l.opt.Logger.Warn("torn tail left out", "file", s.name(), "offset", start, "bytes", used,
		"from", uint64(pos), "to", uint64(pos)+uint64(padded(used)), "records", records)
	return nil
}

// rewrite replaces the last segment, s, by a fresh file with the frames up to end, and a
// mark that witnesses them. Frames before from need not be good: what is damaged there
// stays damaged. When it returns nil all of it is durable and the old file is gone.
//
// Why not sync the old file: when a sync of it failed, the system may hold the frames in
// memory as if they were stored. They read well, and every later sync of that file
// succeeds, until a power cut shows that they are not on the disk.
//
// The new file has a number and a salt of its own and begins at the same position; a
// start that finds both knows by that which one to delete.
func (l *Log) rewrite(s *segment, f File, from, end Pos, time int64) error {
	neu := newSegment(s.no+1, s.first)
	if n := len(l.segs); n > 1 {
		// Its end was known from the number of s; from now on it must say it itself.
		if err := l.seal(l.segs[n-2]); err != nil {
			return fmt.Errorf("seal %s: %w", l.segs[n-2].name(), err)
		}
	}
	used := neu.offset(end) + HeaderSize
	to, tmp, err := l.room(used)
	if err != nil {
		return fmt.Errorf("make room for %s: %w", neu.name(), err)
	}
	err = l.copyFrames(s, f, neu, to, from, end, time)
	if size, serr := to.Size(); err == nil && serr == nil && size > used {
		err = to.Zero(used, min(firstFill, size-used)) // as in a new log: the first syncs are fast
	}
	if err != nil {
		to.Close()
		return err
	}
	if err := l.publish(to, tmp, neu); err != nil {
		return err
	}
	filled, err := neu.f.Size()
	if err == nil {
		s.close() // not every system removes an open file
		err = l.replaced(s)
	}
	if err != nil {
		neu.close()
		return err
	}
	l.mu.Lock()
	l.segs[len(l.segs)-1] = neu
	l.mu.Unlock()
	l.opt.Logger.Debug("last segment written anew", "old", s.name(), "new", neu.name(), "bytes", used)
	l.witness = end
	end += HeaderSize // the mark
	l.setFilled(neu, end, filled)
	l.end.Store(uint64(end))
	l.durable.Store(uint64(end))
	return nil
}

// copyFrames writes the frames of s into to, as frames of neu, and the mark.
func (l *Log) copyFrames(s *segment, f File, neu *segment, to File, from, end Pos, time int64) error {
	w := window{f: f, size: s.offset(end)}
	// The page first: by it an unfinished copy is told from an unused reserve.
	out := make([]byte, pageSize, pageSize+readStep+HeaderSize)
	neu.encodeHead(out, l.uuid)
	at := int64(0)
	flush := func() error {
		_, err := to.WriteAt(out, at)
		at, out = at+int64(len(out)), out[:0]
		return err
	}
	for pos := s.first; pos < end; {
		h, _, err := readFrame(s, &w, pos)
		n := h.size()
		if ferr, ok := errors.AsType[*frameError](err); ok {
			if pos >= from { // Replay has just read it
				return &CorruptError{File: s.name(), Offset: s.offset(pos), From: pos, To: end, Err: ferr.err}
			}
			n, err = frameAlign, nil // copied as it is: under the new salt it is no frame
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", s.name(), err)
		}
		b, err := w.at(s.offset(pos), n)
		if err != nil {
			return fmt.Errorf("read %s: %w", s.name(), err)
		}
		if int64(len(b)) < n {
			return fmt.Errorf("read %s: %w", s.name(), io.ErrUnexpectedEOF)
		}
		start := len(out)
		out = append(out, b...)
		if n >= HeaderSize {
			h.segment, h.durable, h.room = neu.no, h.pos, 0 // the page says how long the file is
			h.encode(out[start:], neu.salt)
		}
		pos += Pos(n)
		if len(out) >= readStep {
			if err := flush(); err != nil {
				return fmt.Errorf("write %s: %w", neu.name(), err)
			}
		}
	}
	h := frameHeader{segment: neu.no, pos: end, durable: end, time: time, sum: crc32.Checksum(nil, castagnoli)}
	var mark [HeaderSize]byte
	h.encode(mark[:], neu.salt)
	out = append(out, mark[:]...)
	if err := flush(); err != nil {
		return fmt.Errorf("write %s: %w", neu.name(), err)
	}
	return nil
}

// replaced deletes a segment that a newer file took the place of. The newer one is durable.
func (l *Log) replaced(s *segment) error {
	if err := l.fs.Remove(s.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", s.name(), err)
	}
	if err := l.fs.SyncDir(); err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	return nil
}

// dropReplaced finishes what a crash interrupted: of two last segments that begin at the
// same position the newer one is whole, and the older one goes.
func (l *Log) dropReplaced() error {
	n := len(l.segs)
	if n < 2 || l.segs[n-1].first != l.segs[n-2].first || l.segs[n-1].no != l.segs[n-2].no+1 {
		return nil
	}
	// The newer one's name must be durable before the older one's goes.
	if err := l.fs.SyncDir(); err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	if err := l.replaced(l.segs[n-2]); err != nil {
		return err
	}
	l.segs = append(l.segs[:n-2], l.segs[n-1])
	return nil
}

func newSegment(no uint64, first Pos) *segment {
	var salt [4]byte
	rand.Read(salt[:])
	return &segment{no: no, first: first, salt: binary.LittleEndian.Uint32(salt[:])}
}
