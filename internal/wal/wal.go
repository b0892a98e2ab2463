// Package wal is a crash-safe, append-only log of opaque frames.
//
// A frame is durable once a Sync that began after its Append returned nil. After a
// crash, Open and Replay keep every durable frame and drop at most a tail that no
// Sync covered. Bytes that were durable and are not there any more are damage: they
// are reported with file and offset, never skipped.
//
// The package assumes that a torn append does not harm earlier bytes of the same
// sector; it does not assume that sectors are written whole or in order. It knows
// bytes, files and checksums; it does not know tasks.
package wal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// HeaderSize is the room, in bytes, that a buffer given to Append keeps free at its
// beginning for the frame's header.
const HeaderSize = 56

// MaxPayload is the largest payload of one frame, in bytes.
const MaxPayload = 128 << 20

const (
	defaultSegmentSize = 64 << 20
	minSegmentSize     = 8 << 10
	firstPos           = Pos(pageSize) // so that Pos 0 is never a frame
)

var (
	// ErrFailed: a write or a sync of the log did not succeed. The state it left on the
	// disk is unknown, so the log takes and gives nothing more until it is reopened.
	ErrFailed = errors.New("log failed")
	// ErrLocked: another process holds the directory.
	ErrLocked = errors.New("another server uses the directory")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("log closed")
	// ErrNoFrame: the position lies in a removed segment or past the end.
	ErrNoFrame = errors.New("no frame at this position")
	// ErrTooLarge: the payload is larger than MaxPayload.
	ErrTooLarge = errors.New("frame too large")
	// ErrFormat: the directory was written by a newer program, or is not a log.
	ErrFormat = errors.New("unknown format")
)

// A CorruptError tells where a file stopped making sense although its bytes were
// once durable.
type CorruptError struct {
	File   string // name inside the log's directory
	Offset int64  // bytes from the start of File
	From   Pos    // first position that cannot be read
	To     Pos    // end of the range known to have been durable; 0 when unknown
	Err    error
}

func (e *CorruptError) Error() string {
	switch {
	case e.To > e.From:
		return fmt.Sprintf("%s: byte %d (positions %d to %d): %v", e.File, e.Offset, e.From, e.To, e.Err)
	case e.From > 0:
		return fmt.Sprintf("%s: byte %d (position %d): %v", e.File, e.Offset, e.From, e.Err)
	}
	return fmt.Sprintf("%s: byte %d: %v", e.File, e.Offset, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// A Pos is a byte position in the whole log: a multiple of 8 that only grows and
// survives the removal of old segments. 0 is never the position of a frame.
type Pos uint64

// A Frame is what one Append wrote.
type Frame struct {
	Pos     Pos
	Time    int64 // wall clock, milliseconds since 1970; never goes back
	Count   int   // the caller's number of records
	Payload []byte
}

// A Segment describes one file of the log. Frames with First <= Pos < End are in it.
type Segment struct {
	No         uint64 // never used again once a frame in it was durable
	First, End Pos
	Bytes      int64 // used, header page included
	Sealed     bool  // takes no more frames
}

// Stats are counted since Open.
type Stats struct {
	Syncs     uint64        // successful Syncs that had something to do, and syncs before a roll
	Frames    uint64        // appended, marks included
	Bytes     uint64        // appended, headers and padding included
	TornBytes int64         // cut off by Replay
	LastSync  time.Duration // how long the newest sync took
	Unsynced  uint64        // bytes appended and not yet durable
}

// Options tunes Open. The zero value is ready for production.
type Options struct {
	Filling     bool                // the directory is being filled, by who opens it: see Fill
	SegmentSize int64               // bytes before a new segment, at least 8 KiB; 0 means 64 MiB
	Logger      *slog.Logger        // nil discards
	Synced      func(time.Duration) // told how long each sync took, by its caller; nil tells nobody
}

// A Log is an open log. Append, Sync, Mark, Replay and Close are the writer's: the
// caller serialises them. All other methods are safe at any time from any goroutine.
type Log struct {
	fs     FS
	opt    Options
	lock   io.Closer
	uuid   [16]byte
	failed atomic.Pointer[error] // first failed write or sync; sticky
	ended  chan struct{}         // closed after failed is set

	// The writer's.
	replayed bool // Replay has succeeded
	time     int64
	realEnd  Pos   // end of the newest frame that is not a mark
	witness  Pos   // greatest durable position that a frame header names
	filled   int64 // bytes of the active file that are allocated
	spare    *spare
	mark     [HeaderSize]byte

	left, spareRoom, reserve atomic.Int64 // bytes allocated: in the active segment, for the next, in reserve
	full                     atomic.Bool
	resMu                    sync.Mutex // who makes or takes the reserve

	end     atomic.Uint64 // Pos of the next frame
	durable atomic.Uint64 // Pos

	mu     sync.RWMutex // guards segs, the end and sealed of each, open
	segs   []*segment   // by number and by position; the last one is active
	open   []*segment   // sealed segments with an open file, oldest opened first
	closed bool

	bufs   sync.Pool      // *[firstRead]byte, of ReadFrame
	bg     sync.WaitGroup // spare and seal goroutines
	sealMu sync.Mutex     // one writer of seals

	cpMu  sync.Mutex // one writer of checkpoints
	cpsMu sync.Mutex
	cps   []checkpoint // newest first

	syncs, frames, bytes atomic.Uint64
	torn, lastSync       atomic.Int64
}

// Next is the position at which the next Append writes its frame. It is 0 until
// Replay has found the end of the log.
func (l *Log) Next() Pos { return Pos(l.end.Load()) }

// Durable is the position before which everything is durable.
func (l *Log) Durable() Pos { return Pos(l.durable.Load()) }

// Active is the number of the segment that frames are appended to.
func (l *Log) Active() uint64 { return l.active().no }

// UUID names this log; every file of it carries the name.
func (l *Log) UUID() [16]byte { return l.uuid }

// Stats returns the counters. They are read one by one, not as one snapshot.
func (l *Log) Stats() Stats {
	durable := l.durable.Load()
	return Stats{
		Syncs: l.syncs.Load(), Frames: l.frames.Load(), Bytes: l.bytes.Load(),
		TornBytes: l.torn.Load(), LastSync: time.Duration(l.lastSync.Load()),
		Unsynced: max(l.end.Load(), durable) - durable,
	}
}

// Segments lists the segments, oldest first.
func (l *Log) Segments() []Segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]Segment, len(l.segs))
	for i, s := range l.segs {
		end := s.end
		if !s.sealed {
			end = max(l.Next(), s.first)
		}
		out[i] = Segment{No: s.no, First: s.first, End: end, Bytes: pageSize + int64(end-s.first), Sealed: s.sealed}
	}
	return out
}

// Close makes everything durable, leaves a mark that proves it to the next Replay,
// waits for the log's goroutines and releases the lock. It returns the error that
// failed the log, if one did; the lock is released even then.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.mu.Unlock()

	var err error
	if l.replayed {
		if err = l.Sync(); err == nil {
			if err = l.Mark(); err == nil {
				err = l.Sync()
			}
		}
	}
	if f := l.takeSpare(); f != nil {
		f.Close()
		l.fs.Remove(spareName) // a leftover: the next Open removes it too
	}
	l.bg.Wait()
	l.cpMu.Lock() // a checkpoint under way is finished first
	defer l.cpMu.Unlock()

	l.mu.Lock()
	l.closed = true
	segs := slices.Concat(l.segs, l.open)
	l.mu.Unlock()
	for _, s := range segs {
		s.close()
	}
	if err == nil {
		err = l.err()
	}
	if lerr := l.lock.Close(); err == nil && lerr != nil {
		err = fmt.Errorf("release the lock: %w", lerr)
	}
	return err
}

// fail makes the first error of the log stick and returns what sticks.
func (l *Log) fail(doing string, err error) error {
	err = fmt.Errorf("%s: %w: %w", doing, ErrFailed, err)
	if l.failed.CompareAndSwap(nil, &err) {
		close(l.ended)
	}
	return l.err()
}

// Failed is closed when a write or a sync has failed, a background one included.
func (l *Log) Failed() <-chan struct{} { return l.ended }

// Err is why the log failed, or nil.
func (l *Log) Err() error { return l.err() }

func (l *Log) err() error {
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// usable is the sticky error, or ErrClosed.
func (l *Log) usable() error {
	if err := l.err(); err != nil {
		return err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	return nil
}
