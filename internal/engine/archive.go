package engine

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// An archive is a store in a form that an engine over any log can read: the snapshot of its state,
// then one move record for each living task, and for each range of which something is left; behind
// that of a task comes that of its checkpoint if it has one. It begins with a head, which blocks
// follow:
//
//	head 20:  magic 8, version of the archive 4, version of the records 4, CRC-32C of bytes 0 to 15 4
//	block 12: kind 4, length of what follows 4, CRC-32C of the 8 bytes and what follows 4
//
// The checksum of a block goes on from that of the one before, or of the head, so a block that is
// missing, twice there or in another place is found. First come blocks with the snapshot, cut
// anywhere; then blocks with whole move records, by the number of their task, of a range its first;
// then one with how many of these there are, in 8 bytes, which is the end. All numbers are
// little-endian. docs/archive.md says
// the same for readers of other programs.
const (
	archiveMagic   = "GQARCHIV"
	archiveVersion = 1
	recordVersion  = 2 // of puts and moves
	archiveHead    = 20
	blockHead      = 12
	blockSize      = 256 << 10 // bytes of a block, unless one record is larger
	blockMost      = 128 << 20 // a longer one is damage

	blockSnapshot = 1
	blockMoves    = 2
	blockEnd      = 3
)

// numbersApart is how many lease numbers are left out where a copy of a store begins.
const numbersApart = 1 << 40

// Apart is below which limit a copy of a store hands out no lease number, if those of the original
// were below limit when it was copied: none that the original handed out later is handed out again.
func Apart(limit uint64) uint64 {
	if limit+numbersApart >= 1<<53-numbersApart {
		return limit
	}
	return limit + numbersApart
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Archive writes an archive of the store as it is at one moment after the call began. Everything
// answered OK before the call is in it, and nothing by half. Other calls go on meanwhile; extents
// that became free are given up after it. It ends with ctx, with the engine, and with the first
// error of w.
//
// A task that does not read makes it fail, with code damaged.
func (e *Engine) Archive(ctx context.Context, w io.Writer) error {
	if err := e.begin(); err != nil {
		return err
	}
	im, f := e.st.Image(), e.newest()
	defer e.unpin(e.pin())
	e.end()
	if err := e.wait(f); err != nil {
		return err
	}
	out := newArchiveWriter(func(b []byte) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.stop:
			return glassq.ErrClosed
		default:
			_, err := w.Write(b)
			return err
		}
	})
	snapshot := bufio.NewWriterSize(&snapshotWriter{out}, blockSize)
	err := im.Write(snapshot)
	if err == nil {
		err = snapshot.Flush()
	}
	if err != nil {
		return err
	}
	m := e.mover()
	err = im.Bodies(func(some []state.Lying) error {
		for len(some) > 0 {
			n, err := m.Load(some, moveStep)
			if errors.Is(err, ErrDamaged) || errors.Is(err, state.ErrRecord) {
				return glassq.Errorf(glassq.CodeDamaged,
					"a task does not read, so the archive would lack it: %w; glassq repair shows what can be kept", err)
			}
			if err != nil {
				return err
			}
			for i := range n {
				if err := out.add(m.At(i)); err != nil {
					return err
				}
			}
			some = some[n:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.end()
}

// An archiveWriter makes blocks. write is given a head or a block at a time.
type archiveWriter struct {
	write func([]byte) error
	sum   uint32
	buf   []byte // the block that is filled, room for its head included
	moves uint64 // records
	begun bool
}

func newArchiveWriter(write func([]byte) error) *archiveWriter {
	return &archiveWriter{write: write, buf: make([]byte, blockHead, blockHead+blockSize)}
}

// flush writes the block that is filled.
func (a *archiveWriter) flush(kind uint32) error {
	if !a.begun {
		head := append(make([]byte, 0, archiveHead), archiveMagic...)
		head = binary.LittleEndian.AppendUint32(head, archiveVersion)
		head = binary.LittleEndian.AppendUint32(head, recordVersion)
		a.sum, a.begun = crc32.Checksum(head, castagnoli), true
		if err := a.write(binary.LittleEndian.AppendUint32(head, a.sum)); err != nil {
			return err
		}
	}
	binary.LittleEndian.PutUint32(a.buf, kind)
	binary.LittleEndian.PutUint32(a.buf[4:], uint32(len(a.buf)-blockHead))
	a.sum = crc32.Update(crc32.Update(a.sum, castagnoli, a.buf[:8]), castagnoli, a.buf[blockHead:])
	binary.LittleEndian.PutUint32(a.buf[8:], a.sum)
	err := a.write(a.buf)
	if cap(a.buf) > frameKept {
		a.buf = make([]byte, blockHead, blockHead+blockSize)
	}
	a.buf = a.buf[:blockHead]
	return err
}

func (a *archiveWriter) add(rec []byte) error {
	if len(a.buf) > blockHead && len(a.buf)+len(rec) > blockSize {
		if err := a.flush(blockMoves); err != nil {
			return err
		}
	}
	a.buf = append(a.buf, rec...)
	a.moves++
	return nil
}

func (a *archiveWriter) end() error {
	if len(a.buf) > blockHead {
		if err := a.flush(blockMoves); err != nil {
			return err
		}
	}
	a.buf = binary.LittleEndian.AppendUint64(a.buf, a.moves)
	return a.flush(blockEnd)
}

// A snapshotWriter makes blocks of what it is given.
type snapshotWriter struct{ a *archiveWriter }

func (s *snapshotWriter) Write(b []byte) (int, error) {
	for part := range slices.Chunk(b, blockSize) {
		s.a.buf = append(s.a.buf, part...)
		if err := s.a.flush(blockSnapshot); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// An archiveReader reads blocks, and verifies each before it gives it away.
type archiveReader struct {
	r    io.Reader
	off  int64 // of the next block
	sum  uint32
	kind uint32
	b    []byte // of the block, not yet taken
}

// ArchiveHead tells whether b, the first bytes of a file, are those of an archive.
func ArchiveHead(b []byte) bool {
	return len(b) >= len(archiveMagic) && string(b[:len(archiveMagic)]) == archiveMagic
}

func openArchive(r io.Reader) (*archiveReader, error) {
	a := &archiveReader{r: r}
	var head [archiveHead]byte
	n, err := io.ReadFull(r, head[:])
	if n >= len(archiveMagic) && !ArchiveHead(head[:]) || n < len(archiveMagic) && err != nil && cutOff(err) {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "this is no archive of a store: glassq backup --archive makes one")
	}
	if err != nil {
		return nil, a.lacking(err)
	}
	le := binary.LittleEndian
	a.sum = crc32.Checksum(head[:archiveHead-4], castagnoli)
	if le.Uint32(head[archiveHead-4:]) != a.sum {
		return nil, a.damage(errors.New("its head has another checksum"))
	}
	if v, f := le.Uint32(head[8:]), le.Uint32(head[12:]); v != archiveVersion || f != recordVersion {
		return nil, glassq.Errorf(glassq.CodeUnsupported,
			"the archive has format %d.%d, and this program reads %d.%d; restore it with the program that made it",
			v, f, archiveVersion, recordVersion)
	}
	a.off = archiveHead
	return a, a.next()
}

func cutOff(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func (a *archiveReader) damage(err error) error {
	if errors.Is(err, state.ErrNewer) {
		return glassq.Errorf(glassq.CodeUnsupported, "the archive says more than this program knows: byte %d: %w; restore it with that one",
			a.off, err)
	}
	return glassq.Errorf(glassq.CodeDamaged, "the archive is damaged: byte %d: %w; take another one", a.off, Damaged(err))
}

// lacking is the error for a read that failed.
func (a *archiveReader) lacking(err error) error {
	if cutOff(err) {
		return a.damage(errors.New("it is cut short"))
	}
	return fmt.Errorf("read the archive: %w", err)
}

// next reads the next block.
func (a *archiveReader) next() error {
	var head [blockHead]byte
	if _, err := io.ReadFull(a.r, head[:]); err != nil {
		return a.lacking(err)
	}
	le := binary.LittleEndian
	n := le.Uint32(head[4:])
	if a.kind = le.Uint32(head[:]); n > blockMost {
		return a.damage(fmt.Errorf("a block of %d bytes", n))
	}
	a.b = a.b[:0]
	for len(a.b) < int(n) { // in steps, so that a made-up length takes no memory
		step := min(int(n)-len(a.b), max(blockSize, len(a.b)))
		at := len(a.b)
		a.b = slices.Grow(a.b, step)[:at+step]
		if _, err := io.ReadFull(a.r, a.b[at:]); err != nil {
			return a.lacking(err)
		}
	}
	a.sum = crc32.Update(crc32.Update(a.sum, castagnoli, head[:8]), castagnoli, a.b)
	if a.sum != le.Uint32(head[8:]) {
		return a.damage(errors.New("a block has another checksum"))
	}
	if a.kind < blockSnapshot || a.kind > blockEnd || a.kind == blockEnd && n != 8 {
		return a.damage(fmt.Errorf("a block of kind %d and %d bytes", a.kind, n))
	}
	a.off += blockHead + int64(n)
	return nil
}

// Read reads the snapshot.
func (a *archiveReader) Read(b []byte) (int, error) {
	for len(a.b) == 0 && a.kind == blockSnapshot {
		if err := a.next(); err != nil {
			return 0, err
		}
	}
	if a.kind != blockSnapshot {
		return 0, io.EOF
	}
	n := copy(b, a.b)
	a.b = a.b[n:]
	return n, nil
}

// snapshot has restore read the snapshot.
func (a *archiveReader) snapshot(restore func(io.Reader) error) error {
	err := restore(a)
	if err == nil {
		var n int
		if n, err = a.Read(make([]byte, 1)); n > 0 {
			err = errors.New("there is more than a snapshot")
		} else if err == io.EOF {
			return nil
		}
	}
	if glassq.CodeOf(err) == glassq.CodeDamaged {
		return err
	}
	return a.damage(err)
}

// moves reads the move records up to the end, and calls take for those of each task and each range
// that are still there. Of so many bodies and checkpoints that live by the snapshot each has to come
// once.
func (a *archiveReader) moves(st *state.State, living int64, take func(rec []byte) error) (tasks int64, err error) {
	var last uint64 // twice the number of a task, and one more for its checkpoint
	var listed, taken int64
	for a.kind == blockMoves {
		for len(a.b) > 0 {
			n, size, err := state.MoveOf(a.b)
			at, is := 2*n, state.IsCheckpoint(a.b)
			if is {
				at++
			}
			if err == nil && (at <= last || is && at != last+1 && st.HasBody(n)) {
				err = fmt.Errorf("task %d comes after task %d", n, last/2)
			}
			if err != nil {
				return 0, a.damage(err)
			}
			there := st.HasBody(n)
			if is {
				_, there = st.Place(n)
			}
			if there { // else its ttl is over
				if err := take(a.b[:size]); err != nil {
					return 0, err
				}
				if !is {
					taken++
				}
			}
			last, listed, a.b = at, listed+1, a.b[size:]
		}
		if err := a.next(); err != nil {
			return 0, err
		}
	}
	if a.kind != blockEnd || binary.LittleEndian.Uint64(a.b) != uint64(listed) || listed != living ||
		taken != st.Bodies() {
		return 0, a.damage(fmt.Errorf("it has %d bodies and checkpoints, and %d live", listed, living))
	}
	if n, err := io.ReadFull(a.r, make([]byte, 1)); n > 0 {
		return 0, a.damage(errors.New("there is more behind its end"))
	} else if err != io.EOF {
		return 0, a.lacking(err)
	}
	return st.Tasks(), nil
}

// CheckArchive reads an archive as StartFrom does, and tells how many queues and tasks are in it.
// It needs the memory of the index of these, not of their bodies.
func CheckArchive(archive io.Reader) (queues int, tasks int64, err error) {
	a, err := openArchive(archive)
	if err != nil {
		return 0, 0, err
	}
	st := state.New(state.Hooks{})
	if err := a.snapshot(st.Restore); err != nil {
		return 0, 0, err
	}
	tasks, err = a.moves(st, st.Bodies()+st.Checkpoints(), func(rec []byte) error {
		if _, err := st.Apply(rec, 1, 0); err != nil {
			return a.damage(err)
		}
		return nil
	})
	return len(st.Queues()), tasks, err
}

// StartFrom is Start with the state and the tasks of an archive, on a log in which there is nothing
// yet. It returns how many tasks it took over. Those whose ttl is over by now are gone. Lease
// numbers go on far above those of the original, see Apart.
//
// After an error the log is of no use: its owner gets rid of it and does not Close the engine.
// Errors: code damaged for an archive that is cut or does not check out, bad_request for something
// else than an archive, unsupported for one of another version, that of archive, and those of
// Start.
func (e *Engine) StartFrom(archive io.Reader) (tasks int64, err error) {
	a, err := openArchive(archive)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			e.BetweenFrames(func() {}) // nothing of the engine's is with the log when it goes
		}
	}()
	if err := a.snapshot(func(r io.Reader) error {
		return e.RestoreState(func(restore func(io.Reader) error) error { return restore(r) })
	}); err != nil {
		return 0, err
	}
	// The places that the snapshot names are of another log. Until its body is moved no task counts
	// anywhere.
	e.adopting = true
	living := e.st.Bodies() + e.st.Checkpoints()
	e.policy.Seen = nil // it is of the log, which is empty
	e.firstFrame()
	e.space = state.Space{FrontOnly: e.policy.FreesFront}
	e.space.Know(e.log.Extents())
	e.mu.Lock()
	e.append(state.AppendNumbers(nil, Apart(e.st.Limit())))
	e.st.AfterRestart()
	e.mu.Unlock()
	tasks, err = a.moves(e.st, living, func(rec []byte) error {
		if err := e.adopt(rec); err != nil {
			return a.damage(err)
		}
		return e.makeRoom()
	})
	if err != nil {
		return 0, err
	}
	e.adopting = false
	// A start may fall back to the older of two checkpoints, and before the first the log makes no
	// sense.
	for range 2 {
		if err := e.Checkpoint(nil); err != nil {
			return 0, err
		}
	}
	return tasks, e.begun()
}

// adopt appends a move record. Time stands still meanwhile.
func (e *Engine) adopt(rec []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.st.Apply(rec, e.open.ID, uint32(len(e.open.Buf)-len(e.head))); err != nil {
		return err
	}
	if e.open.Count == 0 {
		e.open.Time = e.st.Now()
	}
	e.open.Buf = append(e.open.Buf, rec...)
	e.open.Count++
	return nil
}

// makeRoom gives the open frame to the log when it is full.
func (e *Engine) makeRoom() error {
	e.mu.Lock()
	full, err := len(e.open.Buf) >= frameSoft, e.err
	e.mu.Unlock()
	if err != nil || !full {
		return err
	}
	e.turns.lead()
	defer e.turns.pass()
	_, err = e.commit(false)
	return err
}
