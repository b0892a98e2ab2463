package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const readStep = 1 << 20 // bytes read at once by Replay

var errMissing = errors.New("segment missing")

// Replay calls fn for every frame at or after from, in order, marks left out, and
// finds the end of the log. from is 0 for everything, or a position that Next
// returned, as a checkpoint keeps it. A payload is valid during its call only. fn may
// call ReadFrame.
//
// Frames that no Sync covered may be among them; when Replay returns nil, all that
// it passed on are durable: the last segment is written anew, because what an earlier
// process did not sync, or could not, may read well now and be gone after a power cut. A
// torn tail is copied to torn-<position>.bin and left out.
//
// Replay must succeed once before the first Append. Errors: *CorruptError when
// durable bytes are damaged or missing; fn's error; the file system's.
func (l *Log) Replay(from Pos, fn func(Frame) error) error {
	if err := l.usable(); err != nil {
		return err
	}
	if l.replayed {
		return errors.New("log replayed already")
	}
	if from%frameAlign != 0 {
		return fmt.Errorf("replay from %d: not a position", from)
	}
	if err := l.contiguous(from); err != nil {
		return err
	}
	r := replay{l: l, fn: fn, from: from}
	for _, s := range l.segs {
		if s.sealed && s.end <= from {
			continue
		}
		if err := r.segment(s, max(from, s.first)); err != nil {
			return err
		}
	}
	for _, c := range l.checkpoints() {
		if c.good {
			r.witness = max(r.witness, c.pos)
		}
	}
	l.time, l.realEnd, l.witness = r.time, r.realEnd, r.witness
	l.replayed = true
	return nil
}

// contiguous checks that no segment at or after from is missing.
func (l *Log) contiguous(from Pos) error {
	end, no := firstPos, uint64(1)
	for _, s := range l.segs {
		if s.first != end && s.first > from {
			return &CorruptError{File: segmentName(no), Offset: pageSize, From: max(end, from), To: s.first, Err: errMissing}
		}
		end, no = s.end, s.no+1
	}
	return nil
}

// replay is the state of one Replay.
type replay struct {
	l       *Log
	fn      func(Frame) error
	from    Pos
	buf     []byte
	time    int64
	realEnd Pos
	witness Pos
}

// segment replays one segment from pos on. In the last one it finds the end.
func (r *replay) segment(s *segment, pos Pos) error {
	f, err := r.l.file(s)
	if err != nil {
		return fmt.Errorf("replay %s: %w", s.name(), err)
	}
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("replay %s: %w", s.name(), err)
	}
	if s.offset(pos) > max(size, pageSize) {
		return &CorruptError{File: s.name(), Offset: size, From: s.pos(max(size, pageSize)), To: pos,
			Err: errors.New("file is cut short")}
	}
	limit := size
	if s.sealed {
		limit = min(size, s.offset(s.end))
	} else {
		r.l.end.Store(uint64(pos))
	}
	w := window{f: f, size: limit, buf: r.buf}
	defer func() { r.buf = w.buf }()
	for !s.sealed || pos < s.end {
		h, body, err := readFrame(s, &w, pos)
		if ferr, ok := errors.AsType[*frameError](err); ok {
			if s.sealed {
				return &CorruptError{File: s.name(), Offset: s.offset(pos), From: pos, To: s.end, Err: ferr.err}
			}
			return r.tail(s, f, size, pos, ferr.err)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", s.name(), err)
		}
		next := pos + Pos(h.size())
		r.time, r.witness = max(r.time, h.time), max(r.witness, h.durable)
		s.room = max(s.room, int64(h.room)*pageSize)
		if !s.sealed {
			r.l.end.Store(uint64(next))
		}
		if !h.mark() {
			r.realEnd = next
			if err := r.fn(Frame{Pos: pos, Time: h.time, Count: int(h.count), Payload: body}); err != nil {
				return fmt.Errorf("replay the frame at %d: %w", pos, err)
			}
		}
		pos = next
	}
	return nil
}

// A frameError says that the bytes are not a frame; other errors are the disk's.
type frameError struct{ err error }

func (e *frameError) Error() string { return e.err.Error() }

// readFrame reads and verifies the frame at pos.
func readFrame(s *segment, w *window, pos Pos) (frameHeader, []byte, error) {
	b, err := w.at(s.offset(pos), HeaderSize)
	if err != nil {
		return frameHeader{}, nil, err
	}
	h, err := s.headerAt(b, pos)
	if err == nil && s.offset(pos)+h.size() > w.size {
		err = errCutShort
	}
	if err != nil {
		return h, nil, &frameError{err}
	}
	b, err = w.at(s.offset(pos), h.size())
	if err != nil {
		return h, nil, err
	}
	if int64(len(b)) < h.size() {
		return h, nil, &frameError{errCutShort}
	}
	if err := h.check(b[HeaderSize:]); err != nil {
		return h, nil, &frameError{err}
	}
	return h, b[HeaderSize : HeaderSize+h.length : HeaderSize+h.length], nil
}

// tail decides about the last segment from pos on, where no good frame is: the clean
// end, a torn tail, or damage to what was durable.
func (r *replay) tail(s *segment, f File, size int64, pos Pos, cause error) error {
	if _, _, _, err := scan(s, f, min(size, s.offset(r.from)), s.first); err != nil { // how long the file was, by the frames before
		return fmt.Errorf("read %s: %w", s.name(), err)
	}
	proof, used, records, err := scan(s, f, size, pos)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.name(), err)
	}
	proof = max(proof, r.witness)
	for _, c := range r.l.checkpoints() {
		if c.good {
			proof = max(proof, c.pos)
		}
	}
	if proof > pos {
		return &CorruptError{File: s.name(), Offset: s.offset(pos), From: pos, To: proof, Err: cause}
	}
	if err := s.short(size, pos); err != nil {
		return err
	}
	if used > 0 {
		if err := r.l.setAside(s, f, pos, used, records); err != nil {
			return fmt.Errorf("set the torn tail of %s aside: %w", s.name(), err)
		}
	}
	if used > 0 || pos > s.first {
		// Whatever of it was not proven durable may be gone after a power cut, though it
		// reads well now.
		if err := r.l.rewrite(s, f, r.from, pos, r.time); err != nil {
			return fmt.Errorf("write %s anew: %w", s.name(), err)
		}
		r.witness = pos
		return nil
	}
	r.l.setFilled(s, pos, size)
	r.l.end.Store(uint64(pos))
	r.l.durable.Store(uint64(pos))
	return nil
}

// short is the damage of a file that is shorter than it was, durably; its good frames end
// at pos.
func (s *segment) short(size int64, pos Pos) error {
	if size >= s.room {
		return nil
	}
	return &CorruptError{File: s.name(), Offset: size, From: pos,
		Err: fmt.Errorf("file is cut short: it had %d bytes, all of them durable", s.room)}
}

// scan reads a segment from pos to its end. proof is the greatest durable position
// that a good frame header there names; used is the number of bytes up to the last
// one that is not zero; records is how many the headers count. s learns how long the
// file was.
func scan(s *segment, f File, size int64, pos Pos) (proof Pos, used int64, records int, err error) {
	const overlap = 64 // a header on the border of two steps is seen whole in one
	start := s.offset(pos)
	next := start
	buf := make([]byte, min(readStep, max(size-start, overlap)))
	for off := start; ; off += int64(len(buf)) - overlap {
		n, err := f.ReadAt(buf, off)
		if err != nil && err != io.EOF {
			return 0, 0, 0, err
		}
		if b := buf[:n]; !allZero(b) {
			last := n
			for b[last-1] == 0 {
				last--
			}
			used = off + int64(last) - start
			for i := 0; i+HeaderSize <= n; i += frameAlign {
				if binary.LittleEndian.Uint32(b[i:]) != frameMagic {
					continue
				}
				if h, err := s.headerAt(b[i:], s.pos(off+int64(i))); err == nil {
					proof = max(proof, h.durable)
					s.room = max(s.room, int64(h.room)*pageSize)
					if s.offset(h.pos) >= next { // else seen before
						records, next = records+int(h.count), s.offset(h.pos)+frameAlign
					}
				}
			}
		}
		if n < len(buf) || off+int64(n) >= size {
			return proof, used, records, nil
		}
	}
}

// A window reads a file from front to back in large steps.
type window struct {
	f    File
	size int64 // nothing past it is read
	buf  []byte
	off  int64
	n    int
}

// at returns the n bytes at off, fewer at the end of the file. They are valid until
// the next call. n is at most what the file has, so a made-up length costs nothing.
func (w *window) at(off, n int64) ([]byte, error) {
	n = min(n, max(w.size-off, 0))
	if off < w.off || off+n > w.off+int64(w.n) {
		if want := max(n, min(readStep, max(w.size-off, 0))); int64(len(w.buf)) < want {
			w.buf = make([]byte, want)
		}
		w.off, w.n = off, 0
		m, err := w.f.ReadAt(w.buf[:min(int64(len(w.buf)), max(w.size-off, 0))], off)
		if err != nil && err != io.EOF {
			return nil, err
		}
		w.n = m
	}
	b := w.buf[off-w.off : w.n]
	return b[:min(n, int64(len(b)))], nil
}
