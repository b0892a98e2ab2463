package disk

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/wal"
)

// markAfter is how long the log is quiet until a mark witnesses what was synced.
const markAfter = 50 * time.Millisecond

// A log is the engine's log in a directory. A frame's id is its position by 8, which every position
// is a multiple of. One frame is with it at a time, and Commit answers before it returns.
type log struct {
	wal         *wal.Log
	engine      *engine.Engine
	opt         Options
	segmentSize int64
	active      uint64 // number of the segment that is written to; who leads the engine's commits

	mu      sync.Mutex // guards down to the next gap; a leaf, like volume.mu
	dirtyAt time.Time  // with SyncInterval, when what is not synced began to be written; zero: all is synced
	markAt  time.Time  // when the log has been quiet long enough for a mark; zero: it holds one

	copies atomic.Int32              // under way: no segment goes
	hereAt atomic.Pointer[time.Time] // when the folder was last seen to be there; nil for never

	volume volume
	stop   chan struct{} // closed by Close
	wg     sync.WaitGroup
}

var _ engine.Log = (*log)(nil)

func idOf(pos wal.Pos) uint64 { return uint64(pos) / 8 }

func posOf(id uint64) wal.Pos { return wal.Pos(id * 8) }

// openLog opens the log in files. Its engine is still to be set, and to be started.
func openLog(files wal.FS, opt Options) (*log, error) {
	l := &log{opt: opt, segmentSize: opt.SegmentSize, stop: make(chan struct{})}
	l.volume.disk, _ = files.(wal.Spacer)
	l.volume.inodes, _ = files.(wal.Inoder)
	if l.segmentSize == 0 {
		l.segmentSize = wal.SmallSegment(1 << 62)
		if l.volume.disk != nil {
			if _, total, err := l.volume.disk.Space(); err == nil {
				l.segmentSize = wal.SmallSegment(total)
			}
		}
	}
	var err error
	l.wal, err = wal.Open(files, wal.Options{SegmentSize: l.segmentSize, Logger: opt.Logger, Synced: opt.Synced,
		Filling: opt.filling})
	return l, err
}

// watch begins to watch the log and its disk; the engine is started.
func (l *log) watch() {
	if l.volume.disk != nil {
		l.engine.CallIdle(l.volume.nextLook())
	}
	l.wg.Go(func() {
		select {
		case <-l.wal.Failed(): // by what nobody waits for: a seal, the directory
			l.engine.Fail(failure(l.wal.Err()))
		case <-l.stop:
		}
	})
}

func (l *log) Head() int { return wal.HeaderSize }

func (l *log) Next() uint64 { return idOf(l.wal.Next()) }

func (l *log) After(id uint64, size int) uint64 { return idOf(wal.After(posOf(id), size)) }

// Commit writes a frame, and syncs it if somebody waits for that and the mode is SyncAlways.
func (l *log) Commit(f *engine.Frame) {
	synced := f.Durable || f.Waited && l.opt.Sync == SyncAlways
	err := l.wal.Append(f.Buf, f.Time, f.Count)
	if err == nil {
		l.afterAppend()
		f.Written()
		if synced {
			err = l.wal.Sync()
		}
	}
	if err == nil {
		err = l.here(hereWithin)
	}
	if err != nil {
		f.Failed(failure(err))
		return
	}
	if active := l.wal.Active(); active != l.active {
		l.active = active
		l.engine.ExtentsGrew()
	}
	f.Done(l.committed(synced))
}

// hereWithin is how long before an answer the folder has been seen, at least, whatever keeps the
// looks every second from coming: what is put two seconds after it was removed is never answered OK.
const hereWithin = 3 * spaceEvery / 2

// here fails the log when somebody has removed its folder, by a look that is at most so old.
func (l *log) here(old time.Duration) error {
	if l.volume.disk == nil {
		return nil // in memory
	}
	now := time.Now()
	if seen := l.hereAt.Load(); seen != nil && now.Sub(*seen) <= old {
		return nil
	}
	err := l.wal.Here()
	if err == nil {
		seen := now // only this one goes to the heap
		l.hereAt.Store(&seen)
	}
	return err
}

// committed notes that a frame was written, and returns when Idle is to look.
func (l *log) committed(synced bool) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.markAt = now.Add(markAfter)
	switch {
	case synced:
		l.dirtyAt = time.Time{}
	case l.opt.Sync == SyncInterval && l.dirtyAt.IsZero():
		l.dirtyAt = now
	}
	return l.nextLook()
}

// nextLook is when something that nobody waits for is due, but for looks at the disk's room. The
// caller holds mu.
func (l *log) nextLook() time.Time {
	if l.dirtyAt.IsZero() {
		return l.markAt
	}
	return soonest(l.markAt, l.dirtyAt.Add(l.opt.Interval))
}

// soonest is the earliest of times, zero ones left out.
func soonest(times ...time.Time) (next time.Time) {
	for _, at := range times {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// Idle looks at the disk's room, syncs what the interval is over for, and writes a mark when the
// log has been quiet.
func (l *log) Idle(now time.Time) time.Time {
	due := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
	if l.volume.disk != nil && !l.volume.nextLook().After(now) {
		l.lookAtSpace()
	}
	l.mu.Lock()
	sync := !l.dirtyAt.IsZero() && due(l.dirtyAt.Add(l.opt.Interval))
	mark := due(l.markAt)
	l.mu.Unlock()
	if sync {
		l.engine.BetweenFrames(l.syncNow)
	}
	if mark {
		l.engine.BetweenFrames(l.markNow)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.volume.disk == nil {
		return l.nextLook()
	}
	return soonest(l.nextLook(), l.volume.nextLook())
}

// syncNow makes everything written durable.
func (l *log) syncNow() {
	err := l.wal.Sync()
	l.mu.Lock()
	l.dirtyAt = time.Time{}
	l.mu.Unlock()
	if err != nil {
		l.engine.Fail(failure(err))
	}
}

// markNow writes a mark: without one, nothing after the last frame would tell a later start that
// the frame was durable and not an unfinished write. A frame about to be written does as well.
func (l *log) markNow() {
	l.mu.Lock()
	l.markAt = time.Time{}
	l.mu.Unlock()
	l.engine.MoveOpen(func() (bool, error) {
		if err := l.wal.Mark(); err != nil {
			return false, failure(err)
		}
		active := l.wal.Active()
		grown := active != l.active
		l.active = active
		return grown, nil
	})
}

func failure(err error) error {
	return glassq.Errorf(glassq.CodeStorage, "the log could not be written, the outcome is unknown: %w", err)
}

// Read reads a frame.
func (l *log) Read(id uint64, again []byte) (engine.Stored, error) {
	f, err := l.wal.ReadFrame(posOf(id), again)
	if _, corrupt := errors.AsType[*wal.CorruptError](err); corrupt || errors.Is(err, wal.ErrNoFrame) {
		err = engine.Damaged(err)
	}
	return engine.Stored{Time: f.Time, Records: f.Payload}, err
}

// Checkpoint writes a checkpoint.
func (l *log) Checkpoint(at uint64, write func(io.Writer) error) (oldest, size uint64, err error) {
	pos := posOf(at)
	if l.wal.Durable() < pos {
		l.engine.BetweenFrames(l.syncNow)
	}
	out := slow{stop: l.stop}
	err = l.wal.WriteCheckpoint(pos, func(w io.Writer) error {
		out.w, out.n = w, 0
		return write(&out)
	})
	if err != nil {
		return 0, 0, err
	}
	kept := l.wal.Checkpoints()
	if len(kept) == 1 {
		return 0, out.n, nil // a start that cannot read it falls back to the beginning of the log
	}
	return idOf(kept[len(kept)-1]), out.n, nil
}

// slowFrom is how many bytes a slow writer writes at once.
const slowFrom = 1 << 20

// A slow writer writes nothing for twice as long as each write took, so that others have the disk, until
// stop is closed. It counts what goes through it.
type slow struct {
	w    io.Writer
	n    uint64
	stop chan struct{}
}

func (c *slow) Write(b []byte) (int, error) {
	began := time.Now()
	n, err := c.w.Write(b)
	c.n += uint64(n)
	if took := time.Since(began); c.n > slowFrom && took > time.Millisecond/2 {
		select {
		case <-time.After(2 * took):
		case <-c.stop:
		}
	}
	return n, err
}

// Extents are the segments.
func (l *log) Extents() []engine.Extent { return extents(l.wal.Segments()) }

func extents(segs []wal.Segment) []engine.Extent {
	list := make([]engine.Extent, len(segs))
	for i, s := range segs {
		// The first page of a segment is not of its frames: moving bodies does not make it smaller,
		// and in a small segment it would look like garbage for ever.
		list[i] = engine.Extent{No: s.No, First: idOf(s.First), End: idOf(s.End), Frames: int64(s.End - s.First),
			Bytes: s.Bytes, Sealed: s.Sealed}
	}
	return list
}

// Free deletes a segment, unless a copy is under way.
func (l *log) Free(x engine.Extent) error {
	if l.copies.Load() > 0 {
		return nil
	}
	if err := l.wal.Remove(x.No); err != nil {
		return fmt.Errorf("free segment %d: %w", x.No, err)
	}
	return nil
}
