package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sort"
)

const firstRead = 64 << 10 // most frames are whole after one read

// ReadFrame reads and verifies the frame at pos, a position of a frame that Append
// wrote or Replay passed on. The payload is the caller's; it lies in the memory of again where that
// is large enough, so nothing may use that any more. It may be nil.
//
// Errors: ErrNoFrame when pos is in a removed segment or at or past Next;
// *CorruptError; ErrFailed; ErrClosed; the file system's. Safe for concurrent use
// with everything.
func (l *Log) ReadFrame(pos Pos, again []byte) (Frame, error) {
	for {
		if err := l.usable(); err != nil {
			return Frame{}, err
		}
		s, limit, ok := l.find(pos)
		if !ok {
			return Frame{}, fmt.Errorf("read the frame at %d: %w", pos, ErrNoFrame)
		}
		f, err := l.file(s)
		if err == nil {
			var fr Frame
			if fr, err = l.readFrame(s, f, pos, limit, again); err == nil {
				return fr, nil
			}
		}
		if errors.Is(err, fs.ErrClosed) {
			continue // closed to save files, or with the log: usable tells
		}
		return Frame{}, fmt.Errorf("read the frame at %d: %w", pos, err)
	}
}

// find returns the segment that pos is in, and where its frames end.
func (l *Log) find(pos Pos) (s *segment, limit Pos, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.segs), func(i int) bool { return l.segs[i].first > pos }) - 1
	if i < 0 {
		return nil, 0, false
	}
	s = l.segs[i]
	limit = l.Next()
	if s.sealed {
		limit = s.end
	}
	return s, limit, pos < limit && pos%frameAlign == 0
}

func (l *Log) readFrame(s *segment, f File, pos, limit Pos, again []byte) (Frame, error) {
	scratch, _ := l.bufs.Get().(*[firstRead]byte)
	if scratch == nil {
		scratch = new([firstRead]byte)
	}
	defer l.bufs.Put(scratch)
	off := s.offset(pos)
	corrupt := func(err error) error {
		return &CorruptError{File: s.name(), Offset: off, From: pos, Err: err}
	}
	first := scratch[:min(firstRead, int64(limit-pos))]
	n, err := f.ReadAt(first, off)
	if err != nil && err != io.EOF {
		return Frame{}, err
	}
	first = first[:n]
	h, err := s.headerAt(first, pos)
	if err == nil && h.size() > int64(limit-pos) {
		err = errCutShort
	}
	if err != nil {
		return Frame{}, corrupt(err)
	}
	body := slices.Grow(again[:0], int(h.size()-HeaderSize))[:h.size()-HeaderSize]
	n = copy(body, first[HeaderSize:])
	if n < len(body) {
		m, err := f.ReadAt(body[n:], off+HeaderSize+int64(n))
		if err != nil && err != io.EOF {
			return Frame{}, err
		}
		if n+m < len(body) {
			return Frame{}, corrupt(errCutShort)
		}
	}
	if err := h.check(body); err != nil {
		return Frame{}, corrupt(err)
	}
	return Frame{Pos: pos, Time: h.time, Count: int(h.count), Payload: body[:h.length]}, nil
}
