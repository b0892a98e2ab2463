// Package disk is the embedded engine: the queue of internal/engine over the log of internal/wal,
// in one directory, or in memory.
//
// It opens, copies and repairs a directory, and is the engine's log: it says when a frame is
// durable, syncs what nobody waits for, watches how much room the disk has, and frees segments. It
// knows files and frames; of tasks it knows only what the engine tells it.
package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
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
	MaxQueues   int           // most queues; 0 means glassq.DefaultMaxQueues
	MaxRuns     int           // most runs; 0 means glassq.DefaultMaxRuns
	FS          wal.FS        // nil means the directory that Open is given
	Logger      *slog.Logger  // nil discards

	Wall   func() time.Time    // the wall clock, for Open and for schedules; nil means time.Now
	Synced func(time.Duration) // told how long each sync of the log took; it must not block. nil tells nobody

	PutItself func(queue, run string) // see engine.Options

	filling bool      // the folder is filled by who opens it, see wal.Fill
	from    io.Reader // an archive to begin with, in a folder without a log; nil for none
}

// An Engine is an open store. It has the verbs of engine.Engine, and is a glassq.Copier.
type Engine struct {
	*engine.Engine
	log     *log
	memory  bool
	closing atomic.Bool
}

var _ glassq.Copier = (*Engine)(nil)

// Open opens or creates the store in dir, which it locks, and replays its log. A dir of "mem:"
// keeps everything in memory. The caller must Close it.
//
// Errors: code damaged with the file, the offset and what to do; code storage_failed for what the
// disk refuses; code unavailable when another process has the directory.
func Open(dir string, opt Options) (*Engine, error) {
	memory := dir == "mem:" && opt.FS == nil
	switch opt.Sync = cmp.Or(opt.Sync, SyncAlways); opt.Sync {
	case SyncAlways, SyncInterval, SyncNever:
	default:
		return nil, glassq.Errorf(glassq.CodeBadRequest, "sync mode %q is not always, interval or never", opt.Sync)
	}
	opt.Interval = cmp.Or(max(opt.Interval, 0), 100*time.Millisecond)
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	files := opt.FS
	switch {
	case files != nil:
	case memory:
		files, opt.Sync = wal.MemFS(), SyncNever
	default:
		if err := wal.MakeDir(dir); err != nil {
			return nil, openErr(fmt.Errorf("make data directory: %w", err))
		}
		files = wal.DirFS(dir)
	}
	l, err := openLog(files, opt)
	if err != nil {
		return nil, openErr(err)
	}
	// Small segments want checkpoints as often as they are filled.
	l.engine = engine.New(l, engine.Policy{}, engine.Options{CacheBytes: opt.CacheBytes,
		MaxQueues: opt.MaxQueues, MaxRuns: opt.MaxRuns,
		CheckpointEvery: min(opt.SegmentSize, 64<<20), Logger: opt.Logger, Wall: opt.Wall, PutItself: opt.PutItself})
	if err := l.recover(); err != nil {
		l.wal.Close()
		return nil, openErr(err)
	}
	l.watch()
	return &Engine{Engine: l.engine, log: l, memory: memory}, nil
}

// openErr gives err the code by which a server exits.
func openErr(err error) error {
	if _, ok := errors.AsType[*glassq.Error](err); ok {
		return err
	}
	_, corrupt := errors.AsType[*wal.CorruptError](err)
	switch newer := errors.Is(err, wal.ErrFormat) || errors.Is(err, state.ErrNewer); {
	case errors.Is(err, wal.ErrNoLog):
		return glassq.Errorf(glassq.CodeBadRequest, "%w; name the folder that serve was given with --data", err)
	case errors.Is(err, wal.ErrUnfinished):
		return glassq.Errorf(glassq.CodeStorage, "%w", err)
	case !newer && (corrupt || errors.Is(err, state.ErrRecord) || errors.Is(err, engine.ErrDamaged)):
		return glassq.Errorf(glassq.CodeDamaged, "stored data is damaged: %w; nothing was changed; glassq repair shows what is lost and salvages the rest, or restore a backup", err)
	case errors.Is(err, syscall.EROFS):
		return glassq.Errorf(glassq.CodeStorage, "the disk is mounted read-only, and a queue cannot live on that: %w; mount it writable, or name another --data", err)
	case errors.Is(err, syscall.ENOTDIR):
		return glassq.Errorf(glassq.CodeBadRequest, "a file is there, and a store is a folder: %w; name another --data", err)
	case errors.Is(err, fs.ErrPermission):
		return glassq.Errorf(glassq.CodeStorage, "%w; run as the user whose folder it is, or name another --data", err)
	case newer:
		return glassq.Errorf(glassq.CodeStorage, "%w; use the newer program, nothing was changed", err)
	case errors.Is(err, wal.ErrLocked):
		return glassq.Errorf(glassq.CodeUnavailable, "%w; stop the other server, or name another --data", err)
	}
	return glassq.Errorf(glassq.CodeStorage, "open the store: %w", err)
}

// recover gives the engine the newest checkpoint that reads and the log after it, and starts it.
func (l *log) recover() error {
	var from wal.Pos
	var passed error // of checkpoints that do not read
	for _, pos := range l.wal.Checkpoints() {
		err := l.engine.RestoreState(func(restore func(io.Reader) error) error { return l.wal.ReadCheckpoint(pos, restore) })
		if err == nil {
			from = pos
			break
		}
		passed = errors.Join(passed, err)
		l.opt.Logger.Warn("checkpoint does not read, trying the one before", "checkpoint", uint64(pos), "err", err)
	}
	err := l.wal.Replay(from, func(f wal.Frame) error {
		if err := l.engine.ReplayFrame(idOf(f.Pos), engine.Stored{Time: f.Time, Records: f.Payload}); err != nil {
			return fmt.Errorf("log position %d, %w", f.Pos, err)
		}
		return nil
	})
	if err != nil && errors.Is(passed, state.ErrNewer) {
		return passed // without them the log may be too short
	}
	if _, ok := errors.AsType[*wal.CorruptError](err); ok {
		return affected(err, l.engine.QueueNames())
	}
	if err != nil {
		return err
	}
	l.active = l.wal.Active()
	l.volume.min = l.opt.MinFree
	l.lookAtSpace()
	if l.opt.from != nil {
		_, err := l.engine.StartFrom(l.opt.from)
		return err
	}
	return l.engine.Start()
}

// affected adds to damage the queues that there were before it: what is lost is of these, or of new
// ones.
func affected(err error, names []string) error {
	const most = 10
	if len(names) == 0 {
		return fmt.Errorf("%w; which queues are affected is not known", err)
	}
	if len(names) > most {
		names = append(names[:most], "and more")
	}
	return fmt.Errorf("%w; queues that may be affected: %s", err, strings.Join(names, ", "))
}

// Close makes everything durable, writes a checkpoint, and releases the directory. Reserves that
// wait end with code closed.
func (e *Engine) Close() error {
	if e.closing.Swap(true) {
		return nil
	}
	close(e.log.stop)
	e.log.wg.Wait()
	return cmp.Or(e.Engine.Close(), e.log.wal.Close())
}

// Stats tells what the engine has done since it was opened.
func (e *Engine) Stats(ctx context.Context) (glassq.Stats, error) {
	s, err := e.Engine.Stats(ctx)
	if err != nil {
		return s, err
	}
	s.AnswersWait = e.log.opt.Sync == SyncAlways
	l := e.log.wal.Stats()
	d := &glassq.DiskStats{Sync: e.log.opt.Sync, Syncs: l.Syncs, Unsynced: l.Unsynced, LastSync: l.LastSync,
		TornBytes: l.TornBytes}
	if e.memory {
		d.Sync = "memory"
	}
	for _, seg := range e.log.wal.Segments() {
		d.Segments++
		d.Bytes += seg.Bytes
	}
	v := &e.log.volume
	v.mu.Lock()
	defer v.mu.Unlock()
	s.Disk, s.Storage, d.Free, d.MinFree = d, v.storage(), v.free, v.mark
	return s, nil
}
