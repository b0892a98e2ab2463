package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
)

// A checkpoint file is a header, the caller's body, and a trailer:
//
//	header 64: magic 8, version 4, zero 4, log UUID 16, position 8, zeros 20,
//	           CRC-32C of bytes 0 to 59 4
//	trailer 12: length of the body 8, CRC-32C of everything before it 4
const (
	checkpointMagic   = "GQCHECKP"
	checkpointVersion = 1
	checkpointHead    = 64
	checkpointTrail   = 12
	checkpointsKept   = 2
	checkpointSync    = 1 << 20 // bytes synced at once: the log's Syncs go to the same disk
)

var errCheckpointSum = errors.New("checkpoint checksum differs")

type checkpoint struct {
	pos  Pos
	good bool // the header is whole, so the log was durable up to pos
	bad  bool // it was found damaged: nothing to fall back to
}

func checkpointName(pos Pos) string { return fmt.Sprintf("checkpoint-%016x", uint64(pos)) }

func encodeCheckpointHead(uuid [16]byte, pos Pos) []byte {
	b := make([]byte, checkpointHead)
	copy(b, checkpointMagic)
	binary.LittleEndian.PutUint32(b[8:], checkpointVersion)
	copy(b[16:], uuid[:])
	binary.LittleEndian.PutUint64(b[32:], uint64(pos))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func parseCheckpointHead(b []byte) (uuid [16]byte, pos Pos, err error) {
	le := binary.LittleEndian
	switch {
	case len(b) < checkpointHead || string(b[:8]) != checkpointMagic:
		err = errors.New("no checkpoint header")
	case le.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli):
		err = errCheckpointSum
	case le.Uint32(b[8:]) != checkpointVersion:
		err = fmt.Errorf("checkpoint version %d: %w", le.Uint32(b[8:]), ErrFormat)
	default:
		copy(uuid[:], b[16:])
		pos = Pos(le.Uint64(b[32:]))
	}
	return uuid, pos, err
}

// loadCheckpoints fills l.cps.
func (l *Log) loadCheckpoints(points []Pos) error {
	slices.Sort(points)
	slices.Reverse(points)
	for _, pos := range points {
		good, err := l.checkpointGood(pos)
		if err != nil {
			return fmt.Errorf("read %s: %w", checkpointName(pos), err)
		}
		l.cps = append(l.cps, checkpoint{pos: pos, good: good, bad: !good})
	}
	return nil
}

func (l *Log) checkpointGood(pos Pos) (bool, error) {
	f, err := l.fs.Open(checkpointName(pos))
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, checkpointHead)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	uuid, p, err := parseCheckpointHead(b[:n])
	return err == nil && uuid == l.uuid && p == pos, nil
}

func (l *Log) checkpoints() []checkpoint {
	l.cpsMu.Lock()
	defer l.cpsMu.Unlock()
	return slices.Clone(l.cps)
}

// Checkpoints returns the positions of the checkpoints, newest first. Only their
// names have been looked at.
func (l *Log) Checkpoints() []Pos {
	var out []Pos
	for _, c := range l.checkpoints() {
		out = append(out, c.pos)
	}
	return out
}

// WriteCheckpoint publishes what write writes as the checkpoint at pos, which must be
// durable, and then deletes all checkpoints but the newest two, and first those that
// ReadCheckpoint found damaged. When it returns nil
// the checkpoint is durable; when it returns an error the older ones are as they
// were. A full disk does not fail the log. write is called again when the disk was full and
// the reserve made room; some of its Writes wait for the disk. Checkpoints are written one
// at a time; the call may run beside everything else.
func (l *Log) WriteCheckpoint(pos Pos, write func(w io.Writer) error) error {
	l.cpMu.Lock()
	defer l.cpMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if d := l.Durable(); pos > d || pos%frameAlign != 0 {
		return fmt.Errorf("checkpoint at %d: the log is durable up to %d", pos, d)
	}
	fill := func(f File) error {
		cw := &checkpointWriter{f: f}
		bw := bufio.NewWriterSize(cw, 256<<10)
		bw.Write(encodeCheckpointHead(l.uuid, pos))
		if err := write(bw); err != nil {
			return err
		}
		if err := bw.Flush(); err != nil {
			return err
		}
		var trail [checkpointTrail]byte
		binary.LittleEndian.PutUint64(trail[:], uint64(cw.off-checkpointHead))
		binary.LittleEndian.PutUint32(trail[8:], crc32.Update(cw.sum, castagnoli, trail[:8]))
		_, err := cw.Write(trail[:])
		return err
	}
	err := l.writeFile(checkpointName(pos), fill)
	if isNoSpace(err) && l.dropReserve() {
		// A checkpoint makes segments removable, so it may use the reserve; Prepare makes it anew.
		l.full.Store(true)
		err = l.writeFile(checkpointName(pos), fill)
	}
	if err != nil {
		return err
	}
	l.cpsMu.Lock()
	cps := slices.DeleteFunc(slices.Clone(l.cps), func(c checkpoint) bool { return c.pos == pos })
	cps = append(cps, checkpoint{pos: pos, good: true})
	slices.SortFunc(cps, func(a, b checkpoint) int { return int(min(max(int64(b.pos-a.pos), -1), 1)) })
	var old []checkpoint
	for i := len(cps) - 1; i >= 0 && len(cps) > checkpointsKept; i-- {
		if cps[i].bad {
			old, cps = append(old, cps[i]), slices.Delete(cps, i, i+1)
		}
	}
	if len(cps) > checkpointsKept {
		cps, old = cps[:checkpointsKept:checkpointsKept], append(old, cps[checkpointsKept:]...)
	}
	l.cps = cps
	l.cpsMu.Unlock()
	for _, c := range old {
		if err := l.fs.Remove(checkpointName(c.pos)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old checkpoint: %w", err)
		}
	}
	if len(old) > 0 {
		if err := l.fs.SyncDir(); err != nil {
			return l.fail("sync the directory", err)
		}
	}
	return nil
}

type checkpointWriter struct {
	f      File
	off    int64
	synced int64 // bytes; the file is synced as a whole at its end
	sum    uint32
}

func (w *checkpointWriter) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.off)
	w.off += int64(n)
	w.sum = crc32.Update(w.sum, castagnoli, b[:n])
	if err == nil && w.off-w.synced >= checkpointSync {
		err, w.synced = w.f.Sync(), w.off
	}
	return n, err
}

// ReadCheckpoint verifies the whole checkpoint at pos and then calls read with its
// body. A damaged one is a *CorruptError, before read is called: fall back to the
// older. Safe for concurrent use.
func (l *Log) ReadCheckpoint(pos Pos, read func(r io.Reader) error) error {
	if err := l.usable(); err != nil {
		return err
	}
	name := checkpointName(pos)
	f, err := l.fs.Open(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := verifyCheckpoint(f, size, l.uuid, pos); err != nil {
		if cerr, ok := errors.AsType[*CorruptError](err); ok {
			l.cpsMu.Lock()
			l.cps = slices.Clone(l.cps)
			for i := range l.cps {
				l.cps[i].bad = l.cps[i].bad || l.cps[i].pos == pos
			}
			l.cpsMu.Unlock()
			cerr.File = name
			return cerr
		}
		return fmt.Errorf("read %s: %w", name, err)
	}
	body := io.NewSectionReader(f, checkpointHead, size-checkpointHead-checkpointTrail)
	if err := read(bufio.NewReaderSize(body, 256<<10)); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// verifyCheckpoint checks size bytes of r in one pass. A *CorruptError has no name.
func verifyCheckpoint(r io.ReaderAt, size int64, uuid [16]byte, pos Pos) error {
	if size < checkpointHead+checkpointTrail {
		return &CorruptError{Offset: size, Err: errors.New("checkpoint is cut short")}
	}
	br := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 256<<10)
	var head [checkpointHead]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return err
	}
	u, p, err := parseCheckpointHead(head[:])
	if err == nil && (u != uuid || p != pos) {
		err = errors.New("checkpoint of another log or position")
	}
	if err != nil {
		return &CorruptError{Err: err}
	}
	sum := crc32.New(castagnoli)
	sum.Write(head[:])
	length := size - checkpointHead - checkpointTrail
	if _, err := io.CopyN(sum, br, length); err != nil {
		return err
	}
	var trail [checkpointTrail]byte
	if _, err := io.ReadFull(br, trail[:]); err != nil {
		return err
	}
	sum.Write(trail[:8])
	if binary.LittleEndian.Uint64(trail[:]) != uint64(length) || binary.LittleEndian.Uint32(trail[8:]) != sum.Sum32() {
		return &CorruptError{Offset: size - checkpointTrail, Err: errCheckpointSum}
	}
	return nil
}
