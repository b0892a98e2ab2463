package wal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

const (
	lockName   = "LOCK"
	formatName = "format"
	tmpSuffix  = ".tmp" // removed by Open
	segmentTmp = "segment.tmp"

	formatMagic   = "glassq-wal"
	formatVersion = 3

	firstFill = 1 << 20 // zeroed bytes of a new log's first segment: startup stays cheap
)

// Open opens or creates the log in fsys and locks it. Nothing can be appended before
// Replay has found the end. The caller must Close the log.
//
// Errors: ErrLocked, ErrFormat, ErrUnfinished, *CorruptError, or the file system's.
func Open(fsys FS, opt Options) (*Log, error) {
	if opt.SegmentSize == 0 {
		opt.SegmentSize = defaultSegmentSize
	}
	if opt.SegmentSize < minSegmentSize {
		return nil, fmt.Errorf("segment size %d is below %d bytes", opt.SegmentSize, minSegmentSize)
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	lock, err := fsys.Lock(lockName)
	if err != nil {
		return nil, fmt.Errorf("lock the log: %w", err)
	}
	l := &Log{fs: fsys, opt: opt, lock: lock, ended: make(chan struct{})}
	if err := l.load(); err != nil {
		for _, s := range l.segs {
			s.close()
		}
		lock.Close()
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return l, nil
}

// load fills l from the directory, or makes the first segment.
func (l *Log) load() error {
	names, err := l.fs.List()
	if err != nil {
		return err
	}
	if slices.Contains(names, unfinishedName) && !l.opt.Filling {
		return ErrUnfinished
	}
	hasFormat := slices.Contains(names, formatName)
	if hasFormat {
		if err := l.readFormat(); err != nil {
			return err
		}
	}
	var numbers []uint64
	var points []Pos
	for _, name := range names {
		if no, ok := parseHexName(name, "segment-", ".log"); ok {
			numbers = append(numbers, no)
		} else if pos, ok := parseHexName(name, "checkpoint-", ""); ok {
			points = append(points, Pos(pos))
		} else if strings.HasSuffix(name, tmpSuffix) {
			if err := l.fs.Remove(name); err != nil {
				return err
			}
		}
	}
	slices.Sort(numbers)
	l.findReserve()
	if len(names) > 0 {
		// A process that was killed may have left names that are not durable yet. Nothing may rest
		// on them before they are.
		if err := l.fs.SyncDir(); err != nil {
			return fmt.Errorf("sync the directory: %w", err)
		}
	}
	switch {
	case len(numbers) > 0:
		err = l.loadSegments(numbers, hasFormat)
	case hasFormat || len(points) > 0:
		// The format file is written after the first segment, so there was one.
		err = &CorruptError{File: segmentName(1), From: firstPos, Err: errMissing}
	default:
		err = l.create()
	}
	if err != nil {
		return err
	}
	if !hasFormat {
		if err := l.writeFormat(); err != nil {
			return err
		}
	}
	return l.loadCheckpoints(points)
}

func (l *Log) create() error {
	rand.Read(l.uuid[:])
	f, err := l.fs.Create(segmentTmp)
	if err != nil {
		return err
	}
	if err := f.Zero(0, min(firstFill, l.opt.SegmentSize)); err != nil {
		f.Close()
		return err
	}
	s := newSegment(1, firstPos)
	l.segs = []*segment{s}
	return l.publish(f, segmentTmp, s)
}

// loadSegments reads the pages of all segments and finds out where each ends.
func (l *Log) loadSegments(numbers []uint64, hasUUID bool) error {
	var ends []Pos // as sealed; 0 is unknown
	for i, no := range numbers {
		s, uuid, end, err := loadSegment(l.fs, no)
		if err != nil {
			return err
		}
		if !hasUUID && i == 0 {
			l.uuid = uuid
		}
		if uuid != l.uuid {
			return &CorruptError{File: s.name(), Err: errors.New("segment of another log")}
		}
		l.segs, ends = append(l.segs, s), append(ends, end)
	}
	if err := l.dropReplaced(); err != nil {
		return err
	}
	last := len(l.segs) - 1
	for i, s := range l.segs[:last] {
		next := l.segs[i+1]
		if ends[i] == 0 && next.no == s.no+1 {
			ends[i] = next.first
		}
		if ends[i] == 0 {
			end, err := l.walk(s)
			if err != nil {
				return err
			}
			ends[i] = end
		}
		if ends[i] > next.first || next.no == s.no+1 && ends[i] < next.first {
			return &CorruptError{File: next.name(), From: ends[i],
				Err: fmt.Errorf("begins at position %d, but %s ends at %d", next.first, s.name(), ends[i])}
		}
		s.end, s.sealed = ends[i], true
	}
	s := l.segs[last]
	if s.onDisk {
		return &CorruptError{File: segmentName(s.no + 1), From: ends[last], Err: errMissing}
	}
	f, err := l.fs.Open(s.name())
	if err != nil {
		return err
	}
	s.f = f
	return nil
}

// walk finds the end of a segment that nothing else tells, from header to header.
func (l *Log) walk(s *segment) (Pos, error) {
	f, err := l.fs.Open(s.name())
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	var b [HeaderSize]byte
	for pos := s.first; ; {
		n, err := f.ReadAt(b[:], s.offset(pos))
		if err != nil && err != io.EOF {
			return 0, err
		}
		h, err := s.headerAt(b[:n], pos)
		if err != nil || s.offset(pos)+h.size() > size {
			return pos, nil
		}
		pos += Pos(h.size())
	}
}

func (l *Log) readFormat() error {
	f, err := l.fs.Open(formatName)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 256)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return fmt.Errorf("read %s: %w", formatName, err)
	}
	version, uuid, err := parseFormat(string(b[:n]))
	if err != nil {
		return &CorruptError{File: formatName, Err: err}
	}
	if version > formatVersion {
		return fmt.Errorf("the directory was written by a newer server: its format is %d, this one reads up to %d: %w",
			version, formatVersion, ErrFormat)
	}
	if version < formatVersion {
		return fmt.Errorf("the directory was written by an older server, before the first release: its format is %d, this one reads %d; drain it with that server: %w",
			version, formatVersion, ErrFormat)
	}
	l.uuid = uuid
	return nil
}

// parseFormat reads "glassq-wal <version> <uuid>". Of another version it reads only
// the number.
func parseFormat(s string) (version int, uuid [16]byte, err error) {
	bad := errors.New("not a format line")
	fields := strings.Fields(s)
	if len(fields) < 2 || fields[0] != formatMagic {
		return 0, uuid, bad
	}
	version, err = strconv.Atoi(fields[1])
	if err != nil || version < 1 {
		return 0, uuid, bad
	}
	if version != formatVersion {
		return version, uuid, nil
	}
	if len(fields) != 3 || len(fields[2]) != 2*len(uuid) {
		return 0, uuid, bad
	}
	if _, err := hex.Decode(uuid[:], []byte(fields[2])); err != nil {
		return 0, uuid, bad
	}
	return version, uuid, nil
}

// formatText is the content of the format file.
func formatText(uuid [16]byte) string {
	return fmt.Sprintf("%s %d %x\n", formatMagic, formatVersion, uuid)
}

func (l *Log) writeFormat() error {
	return l.writeFile(formatName, func(f File) error {
		_, err := f.WriteAt([]byte(formatText(l.uuid)), 0)
		return err
	})
}

// writeFile publishes a file: temporary name, sync, rename, sync of the directory.
func (l *Log) writeFile(name string, write func(File) error) error {
	tmp := name + tmpSuffix
	f, err := l.fs.Create(tmp)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = l.fs.Rename(tmp, name)
	}
	if err != nil {
		if rerr := l.fs.Remove(tmp); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			l.opt.Logger.Warn("temporary file left behind", "file", tmp, "err", rerr)
		}
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := l.fs.SyncDir(); err != nil {
		return l.fail("sync the directory", err)
	}
	return nil
}
