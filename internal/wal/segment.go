package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A segment file begins with one page that is not part of the log's positions:
//
//	   0 magic 8, version 4, salt 4, log UUID 16, number 8, first position 8, length of the file 8
//	  56 CRC-32C of bytes 0 to 55 4
//	2048 the seal, zeros until it is written: magic 8, number 8, end 8
//	2072 CRC-32C of the seal's 24 bytes, seeded with the salt 4
//
// The page and the length are durable before the file gets its name, so a named segment
// without a good page, or one that is shorter, is damaged. A file that grew later says so in
// the frames that were written then. The seal is written after the next segment has its name, so
// a sealed segment without a later one is damage too.
const (
	pageSize       = 4096
	segmentMagic   = "GQLOGSEG"
	segmentVersion = 2
	headSize       = 60
	sealOffset     = 2048
	sealMagic      = "GQLOGEND"
	sealSize       = 28
	openFiles      = 128 // sealed segments kept open for reading
)

// A segment is one file of the log. no, first and salt never change.
type segment struct {
	no    uint64
	first Pos
	salt  uint32
	room  int64 // bytes that the file has durably; the writer's, and not known to be all before Replay

	end    Pos  // Log.mu; only when sealed
	sealed bool // Log.mu; takes no more frames
	onDisk bool // Log.sealMu; the seal is durable

	mu sync.Mutex
	f  File // mu; nil when not open
}

func segmentName(no uint64) string { return fmt.Sprintf("segment-%016x.log", no) }

// parseHexName takes the 16 lower-case hex digits between prefix and suffix.
func parseHexName(name, prefix, suffix string) (uint64, bool) {
	s, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	s, ok = strings.CutSuffix(s, suffix)
	if !ok || len(s) != 16 || s != strings.ToLower(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, 64)
	return n, err == nil
}

func (s *segment) name() string { return segmentName(s.no) }

// offset is where pos lies in the file.
func (s *segment) offset(pos Pos) int64 { return pageSize + int64(pos-s.first) }

func (s *segment) pos(offset int64) Pos { return s.first + Pos(offset-pageSize) }

// encodeHead fills the header part of a page.
func (s *segment) encodeHead(b []byte, uuid [16]byte) {
	le := binary.LittleEndian
	copy(b, segmentMagic)
	le.PutUint32(b[8:], segmentVersion)
	le.PutUint32(b[12:], s.salt)
	copy(b[16:], uuid[:])
	le.PutUint64(b[32:], s.no)
	le.PutUint64(b[40:], uint64(s.first))
	le.PutUint64(b[48:], uint64(s.room))
	le.PutUint32(b[56:], crc32.Checksum(b[:56], castagnoli))
}

// parseHead reads the header part of a page.
func parseHead(b []byte) (s *segment, uuid [16]byte, err error) {
	le := binary.LittleEndian
	switch {
	case len(b) < headSize || string(b[:8]) != segmentMagic:
		err = errors.New("no segment header")
	case le.Uint32(b[56:]) != crc32.Checksum(b[:56], castagnoli):
		err = errors.New("segment header checksum differs")
	case le.Uint32(b[8:]) != segmentVersion:
		err = fmt.Errorf("segment version %d, and this program reads %d: %w", le.Uint32(b[8:]), segmentVersion, ErrFormat)
	case le.Uint64(b[40:])%frameAlign != 0 || le.Uint64(b[40:]) < uint64(firstPos) || le.Uint64(b[48:]) > 1<<50:
		err = errors.New("segment header makes no sense")
	default:
		s = &segment{no: le.Uint64(b[32:]), first: Pos(le.Uint64(b[40:])), salt: le.Uint32(b[12:]), room: int64(le.Uint64(b[48:]))}
		copy(uuid[:], b[16:])
	}
	return s, uuid, err
}

func (s *segment) encodeSeal(b []byte, end Pos) {
	le := binary.LittleEndian
	copy(b, sealMagic)
	le.PutUint64(b[8:], s.no)
	le.PutUint64(b[16:], uint64(end))
	le.PutUint32(b[24:], crc32.Update(s.salt, castagnoli, b[:24]))
}

// parseSeal returns the end of the segment, and false when b is no good seal.
func (s *segment) parseSeal(b []byte) (Pos, bool) {
	le := binary.LittleEndian
	if len(b) < sealSize || string(b[:8]) != sealMagic || le.Uint64(b[8:]) != s.no ||
		le.Uint32(b[24:]) != crc32.Update(s.salt, castagnoli, b[:24]) {
		return 0, false
	}
	end := Pos(le.Uint64(b[16:]))
	return end, end >= s.first && end%frameAlign == 0
}

// loadSegment reads the page of a segment file. The returned end is 0 unless a good
// seal names it. The file is closed again.
func loadSegment(fsys FS, no uint64) (s *segment, uuid [16]byte, end Pos, err error) {
	name := segmentName(no)
	f, err := fsys.Open(name)
	if err != nil {
		return nil, uuid, 0, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	page := make([]byte, pageSize)
	n, err := f.ReadAt(page, 0)
	if err != nil && err != io.EOF {
		return nil, uuid, 0, fmt.Errorf("read %s: %w", name, err)
	}
	s, uuid, err = parseHead(page[:n])
	if err == nil && s.no != no {
		err = errors.New("segment header names another file")
	}
	if err != nil {
		return nil, uuid, 0, &CorruptError{File: name, Err: err}
	}
	if !allZero(page[headSize:sealOffset]) || !allZero(page[sealOffset+sealSize:]) {
		return nil, uuid, 0, &CorruptError{File: name, Offset: headSize, Err: errors.New("segment page has bytes that nobody wrote")}
	}
	if e, ok := s.parseSeal(page[sealOffset:]); ok {
		end, s.onDisk = e, true
	}
	return s, uuid, end, nil
}

// publish gives f, which is tmp, a header page and the name of s. When it returns nil
// the name and all content are durable, and s is open. It owns f.
func (l *Log) publish(f File, tmp string, s *segment) error {
	page := make([]byte, pageSize)
	size, err := f.Size()
	if err == nil {
		s.room = max(size, pageSize)
		s.encodeHead(page, l.uuid)
		_, err = f.WriteAt(page, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	// Closed first: not every system renames an open file.
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = l.fs.Rename(tmp, s.name())
	}
	if err == nil {
		err = l.fs.SyncDir()
	}
	if err == nil {
		s.f, err = l.fs.Open(s.name())
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", s.name(), err)
	}
	return nil
}

// file returns the open file, opening it if need be.
func (l *Log) file(s *segment) (File, error) {
	s.mu.Lock()
	if f := s.f; f != nil {
		s.mu.Unlock()
		return f, nil
	}
	f, err := l.fs.Open(s.name())
	if err != nil {
		s.mu.Unlock()
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNoFrame // removed since the caller looked it up
		}
		return nil, err
	}
	s.f = f
	s.mu.Unlock()

	if !l.keepOpen(s) {
		s.close()
		return nil, ErrClosed
	}
	return f, nil
}

// keepOpen notes that the file of a sealed segment is open, and closes the one that
// has been open longest when there are too many; a read under way there opens it
// again. It reports false when the log is closed.
func (l *Log) keepOpen(s *segment) bool {
	var evict *segment
	l.mu.Lock()
	closed := l.closed
	l.open = append(l.open, s)
	if len(l.open) > openFiles {
		evict, l.open = l.open[0], slices.Clone(l.open[1:])
	}
	l.mu.Unlock()
	if evict != nil {
		evict.close()
	}
	return !closed
}

func (s *segment) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f != nil {
		s.f.Close() // nothing unsynced is in it, or the log has failed
		s.f = nil
	}
}

// seal writes the seal of s, which is sealed in memory, and syncs it.
func (l *Log) seal(s *segment) error {
	l.sealMu.Lock()
	defer l.sealMu.Unlock()
	if s.onDisk {
		return nil
	}
	l.mu.RLock()
	end := s.end
	l.mu.RUnlock()
	b := make([]byte, sealSize)
	s.encodeSeal(b, end)
	// Its own handle: the shared one may be closed at any time to save files.
	f, err := l.fs.Open(s.name())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed in between
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, sealOffset)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	s.onDisk = err == nil
	return err
}

// Remove deletes the file of a sealed segment and syncs the directory. The caller
// knows that nothing in it is needed; a checkpoint at or past the segment's end must
// exist, or Remove refuses. Reads under way in the segment may return ErrNoFrame.
func (l *Log) Remove(no uint64) error {
	if err := l.usable(); err != nil {
		return err
	}
	var newest Pos
	for _, c := range l.checkpoints() {
		if c.good {
			newest = max(newest, c.pos)
		}
	}
	l.mu.RLock()
	var s, before *segment
	for i, t := range l.segs {
		if t.no == no {
			s = t
			if i > 0 {
				before = l.segs[i-1]
			}
		}
	}
	var err error
	switch {
	case s == nil:
		err = ErrNoFrame
	case !s.sealed:
		err = errors.New("still written to")
	case newest < s.end:
		err = fmt.Errorf("no checkpoint at or past position %d", s.end)
	}
	l.mu.RUnlock()
	if err != nil {
		return fmt.Errorf("remove %s: %w", segmentName(no), err)
	}
	if before != nil {
		// Its end was known from the first position of s; now it must say it itself.
		if err := l.seal(before); err != nil {
			return l.fail("seal "+before.name(), err)
		}
	}
	l.mu.Lock()
	l.segs = without(l.segs, s)
	l.open = without(l.open, s)
	l.mu.Unlock()
	s.close()
	if err := l.fs.Remove(s.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", s.name(), err)
	}
	if err := l.fs.SyncDir(); err != nil {
		return l.fail("sync the directory", err)
	}
	return nil
}

// without returns a copy: the old slice may be in a reader's hands.
func without(segs []*segment, s *segment) []*segment {
	out := make([]*segment, 0, len(segs))
	for _, t := range segs {
		if t != s {
			out = append(out, t)
		}
	}
	return out
}

var zeros [64 << 10]byte

// allZero reports whether b has only zeros.
func allZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
