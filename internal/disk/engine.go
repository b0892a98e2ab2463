// Package disk is the embedded engine: the pure core of internal/state over the log of internal/wal,
// in one directory, or in memory.
//
// A mutex guards the state. A call appends its records to the open frame, applies them, and waits until
// the frame is committed; whoever waits and finds no commit under way does the next one for all. So the
// state runs ahead of the log by the frames not yet committed, and no answer leaves before the frames
// that it rests on are. After a failed write the engine refuses everything: the state is thrown away,
// never patched.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
)

// Sync modes: when an answer may leave.
const (
	SyncAlways   = "always"   // after the log is on stable storage
	SyncInterval = "interval" // after it was written; stable within Options.Interval
	SyncNever    = "never"    // after it was written; stable when the system likes
)

// Options tunes Open. The zero value is ready for production.
type Options struct {
	Sync        string        // "" means SyncAlways
	Interval    time.Duration // longest time unsynced with SyncInterval; 0 means 100 ms
	SegmentSize int64         // bytes of a log segment; 0 means 64 MiB, less on a disk below 1 GiB
	MinFree     Watermark     // of the disk; below it puts are refused
	CacheBytes  int64         // bytes of frames kept in memory for hand-outs; 0 means 64 MiB
	FS          wal.FS        // nil means the directory that Open is given
	Logger      *slog.Logger  // nil discards
}

// An Engine is an open store. It implements glassq.Store.
type Engine struct {
	opt    Options
	log    *wal.Log
	memory bool

	mu        sync.Mutex // guards everything down to the next gap
	st        *state.State
	open      *frame         // being filled; never nil while the engine runs
	flying    *frame         // being written, or nil
	other     *frame         // to be filled next; nil while it is flying
	err       error          // why every call is refused: closed, or failed
	closed    bool           // Close was called
	woken     []*state.Queue // have tasks, or room, and somebody who waits for that
	later     []*state.Queue // have room, but the open frame had none
	paced     []*state.Queue // whose rate lets nobody go before paceAt
	runsOn    bool           // a run may have reached a phase
	runWait   map[*runWaiter]struct{}
	parked    int64
	lazyAt    time.Time // when the open frame is to be written though nobody waits; zero: not
	restUntil time.Time // when the background loop looks again at the latest; zero: when it is kicked
	paceAt    time.Time // when rates next let waiting reserves go; zero: no one waits for that
	dirtyAt   time.Time // with SyncInterval, when what is not synced began to be written; zero: all is synced
	markAt    time.Time // when the log has been quiet long enough for a mark; zero: it holds one
	space     space
	epoch     int    // of readers: where who reads bodies from now on is counted
	limit     uint64 // lease numbers below it are reserved durably
	segment   uint64 // number of the segment that is written to

	tidying sync.Mutex // one writer of checkpoints; guards copies
	copies  int        // under way: no segment goes

	readers [2]atomic.Int64 // who may read bodies at places learned in that epoch
	ckSize  atomic.Uint64   // bytes of the last checkpoint
	ckAt    atomic.Uint64   // bytes appended to the log when it was taken
	lookAt  atomic.Uint64   // bytes appended to the log when the keeper looks again
	work    chan struct{}   // the keeper has something to look at

	volume      volume
	reclaimAt   time.Time // when the keeper may be asked again to make room
	segmentSize int64     // never changed

	turns  turns         // who commits, and who waits for that
	kick   chan struct{} // the background loop has something new to wait for
	pace   chan struct{} // paceAt was set
	failed chan struct{} // closed by the first failed write
	stop   chan struct{}
	wg     sync.WaitGroup
	cache  *cache

	start time.Time // with startMS: the engine's clock, which no change of the wall clock moves
	base  int64
}

var (
	_ glassq.Store  = (*Engine)(nil)
	_ glassq.Waits  = (*Engine)(nil)
	_ glassq.Copier = (*Engine)(nil)
)

// Open opens or creates the store in dir, which it locks, and replays its log. A dir of "mem:" keeps
// everything in memory. The caller must Close it.
//
// Errors: code damaged with the file, the offset and what to do; code storage_failed for what the disk
// refuses; code unavailable when another process has the directory.
func Open(dir string, opt Options) (*Engine, error) {
	e := &Engine{opt: opt, kick: make(chan struct{}, 1), pace: make(chan struct{}, 1),
		failed: make(chan struct{}), stop: make(chan struct{}), work: make(chan struct{}, 1),
		open: &frame{}, other: &frame{}, runWait: map[*runWaiter]struct{}{}}
	e.turns.init()
	switch opt.Sync {
	case "":
		e.opt.Sync = SyncAlways
	case SyncAlways, SyncInterval, SyncNever:
	default:
		return nil, glassq.Errorf(glassq.CodeBadRequest, "sync mode %q is not always, interval or never", opt.Sync)
	}
	if e.opt.Interval <= 0 {
		e.opt.Interval = 100 * time.Millisecond
	}
	if e.opt.Logger == nil {
		e.opt.Logger = slog.New(slog.DiscardHandler)
	}
	if e.opt.CacheBytes <= 0 {
		e.opt.CacheBytes = 64 << 20
	}
	files := opt.FS
	switch {
	case files != nil:
	case dir == "mem:":
		files, e.memory, e.opt.Sync = wal.MemFS(), true, SyncNever
	default:
		if err := wal.MakeDir(dir); err != nil {
			return nil, openErr(fmt.Errorf("make data directory: %w", err))
		}
		files = wal.DirFS(dir)
	}
	e.volume.disk, _ = files.(wal.Spacer)
	if e.segmentSize = opt.SegmentSize; e.segmentSize == 0 {
		e.segmentSize = wal.SmallSegment(1 << 62)
		if e.volume.disk != nil {
			if _, total, err := e.volume.disk.Space(); err == nil {
				e.segmentSize = wal.SmallSegment(total)
			}
		}
	}
	var err error
	if e.log, err = wal.Open(files, wal.Options{SegmentSize: e.segmentSize, Logger: e.opt.Logger}); err != nil {
		return nil, openErr(err)
	}
	e.cache = newCache(e.opt.CacheBytes, e.log)
	if err := e.recover(); err != nil {
		e.log.Close()
		return nil, openErr(err)
	}
	e.lookAtSpace()
	e.wg.Go(e.background)
	e.wg.Go(e.keep)
	e.wg.Go(e.pacer)
	return e, nil
}

// openErr gives err the code by which a server exits.
func openErr(err error) error {
	if _, ok := errors.AsType[*glassq.Error](err); ok {
		return err
	}
	newer := errors.Is(err, wal.ErrFormat)
	if _, ok := errors.AsType[*wal.CorruptError](err); !newer && (ok || errors.Is(err, state.ErrRecord)) {
		return glassq.Errorf(glassq.CodeDamaged, "stored data is damaged: %w; nothing was changed; glassq repair shows what is lost and salvages the rest, or restore a backup", err)
	}
	switch {
	case errors.Is(err, syscall.EROFS):
		return glassq.Errorf(glassq.CodeStorage, "the disk is mounted read-only, and a queue cannot live on that: %w; mount it writable, or name another --data", err)
	case errors.Is(err, fs.ErrPermission):
		return glassq.Errorf(glassq.CodeStorage, "%w; run as the user whose folder it is, or name another --data", err)
	case newer:
		return glassq.Errorf(glassq.CodeStorage, "%w; use the newer program, nothing was changed", err)
	}
	if errors.Is(err, wal.ErrLocked) {
		return glassq.Errorf(glassq.CodeUnavailable, "%w; stop the other server, or name another --data", err)
	}
	return glassq.Errorf(glassq.CodeStorage, "open the store: %w", err)
}

// recover makes the state from the newest checkpoint that reads and the log after it.
func (e *Engine) recover() error {
	hooks := state.Hooks{
		Live:       func(f uint64, n int64) { e.lives(f, 1, n) },
		Dropped:    func(f uint64, n int64) { e.lives(f, -1, -n) },
		Ready:      e.ready,
		Lowered:    e.lowered,
		RunChanged: func() { e.runsOn = true },
	}
	var from wal.Pos
	e.st = state.New(hooks)
	e.space.know(e.log.Segments())
	for _, pos := range e.log.Checkpoints() {
		err := e.log.ReadCheckpoint(pos, e.st.Restore)
		if err == nil {
			from = pos
			break
		}
		e.opt.Logger.Warn("checkpoint does not read, trying the one before", "checkpoint", uint64(pos), "err", err)
		e.space = space{}
		e.space.know(e.log.Segments())
		e.st = state.New(hooks)
	}
	err := e.log.Replay(from, func(f wal.Frame) error {
		e.st.Advance(f.Time)
		for off := 0; off < len(f.Payload); {
			n, err := e.st.Apply(f.Payload[off:], uint64(f.Pos)/8, uint32(off))
			if err != nil {
				return fmt.Errorf("log position %d, record at %d: %w", f.Pos, off, err)
			}
			off += n
		}
		return nil
	})
	if err != nil {
		return e.affected(err)
	}
	if e.space.lost != 0 {
		return glassq.Errorf(glassq.CodeDamaged, "stored data is damaged: %d tasks lie in segments of the log that are missing; nothing was changed; glassq repair shows what is lost and salvages the rest, or restore a backup", e.space.lost)
	}
	e.space.know(e.log.Segments())
	e.segment = e.log.Active()
	e.st.AfterRestart()
	e.limit = e.st.Limit()
	e.start, e.base = time.Now(), max(time.Now().UnixMilli(), e.st.Now())
	e.open.reset(1, e.log.Next())
	// Lease numbers are reserved before the first hand-out, so that no hand-out waits for that.
	e.tick()
	e.append(state.AppendNumbers(nil, e.st.Limit()+numberBlock))
	e.open.force = true
	_, err = e.commit(false)
	return err
}

// affected adds to damage the queues that there were before it: what is lost is of these, or of new ones.
func (e *Engine) affected(err error) error {
	if _, ok := errors.AsType[*wal.CorruptError](err); !ok {
		return err
	}
	const most = 10
	var names []string
	for _, q := range e.st.Queues() {
		if len(names) == most {
			names = append(names, "and more")
			break
		}
		names = append(names, q.Name)
	}
	if len(names) == 0 {
		return fmt.Errorf("%w; which queues are affected is not known", err)
	}
	return fmt.Errorf("%w; queues that may be affected: %s", err, strings.Join(names, ", "))
}

// ready notes that a queue has something to hand out.
func (e *Engine) ready(q *state.Queue) {
	if w, ok := q.Waiters.(*waitList); ok && len(w.list) > 0 {
		e.wake(q, w)
	}
}

// wake has match look at those who wait for q. The caller holds mu.
func (e *Engine) wake(q *state.Queue, w *waitList) {
	if !w.woken {
		w.woken = true
		e.woken = append(e.woken, q)
	}
}

// Failed is closed when a write or sync failed: the engine refuses everything from then on, and the
// server should exit.
func (e *Engine) Failed() <-chan struct{} { return e.failed }

// now is the engine's clock in ms.
func (e *Engine) now() int64 { return e.base + time.Since(e.start).Milliseconds() }

// Close makes everything durable, writes a checkpoint, and releases the directory. Reserves that wait
// end with code closed.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	failed := e.err
	e.err = glassq.Errorf(glassq.CodeClosed, "the store is closed")
	e.wakeAll()
	e.mu.Unlock()
	close(e.stop)
	e.wg.Wait()

	if failed != nil {
		e.turns.lead()
		defer e.turns.pass()
		e.log.Close()
		return failed
	}
	err := e.checkpoint()
	e.turns.lead()
	defer e.turns.pass()
	return errors.Join(err, e.log.Close())
}

// wakeAll ends every wait; the caller holds mu and has set err.
func (e *Engine) wakeAll() {
	for _, q := range e.st.Queues() {
		if w, ok := q.Waiters.(*waitList); ok {
			for _, x := range w.list {
				close(x.done)
			}
			for _, p := range w.room {
				close(p.done)
			}
			for idle := range w.idle {
				close(idle)
			}
			w.list, w.room, w.idle = nil, nil, nil
		}
	}
	for w := range e.runWait {
		close(w.done)
		delete(e.runWait, w)
	}
	e.turns.stop()
}

// Stats tells what the engine has done since it was opened.
func (e *Engine) Stats(context.Context) (glassq.Stats, error) {
	l := e.log.Stats()
	s := glassq.Stats{Sync: e.opt.Sync, Syncs: l.Syncs, Frames: l.Frames, Bytes: l.Bytes, Unsynced: l.Unsynced,
		LastSync: l.LastSync, TornBytes: l.TornBytes, Storage: glassq.StorageOK}
	if e.memory {
		s.Sync = "memory"
	}
	for _, seg := range e.log.Segments() {
		s.Segments++
		s.DiskBytes += seg.Bytes
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.st.Figures(&s)
	s.Storage, s.DiskFree, s.MinFree = e.volume.storage(), e.volume.free, e.volume.mark
	s.Waiters = e.parked
	s.LiveBytes = e.space.bytes + e.open.bytes
	if e.flying != nil {
		s.LiveBytes += e.flying.bytes
	}
	return s, nil
}
