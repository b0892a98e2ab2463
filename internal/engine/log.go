package engine

import (
	"errors"
	"io"
	"time"

	"github.com/glassq/glassq/internal/state"
)

// A Log keeps frames in the order in which it is given them, and checkpoints beside them. The
// engine gives it one frame after the other and calls it once a frame, not once a task. An id names
// a frame: ids grow, are never 0, and stay below 2^56.
//
// No two calls of Commit run at once. All other methods may be called at any time from any
// goroutine. A method marked "locked" is called with the engine's lock held: it must be quick, and
// must not call the engine. The other methods may call it.
type Log interface {
	// Head is how many spare bytes Frame.Buf begins with, for what the log writes before the
	// records. It never changes.
	Head() int

	// Next is the id of the frame that will be committed next, when none is with the log: at the
	// start, and after what MoveOpen has done. Locked.
	Next() uint64

	// After is the id of the frame after the one named id, which holds size bytes of records. The
	// engine asks when it gives the one to the log and begins to fill the other. Locked.
	After(id uint64, size int) uint64

	// Commit takes a frame into the log. It may return before that is done, and at most
	// Policy.Window frames are with the log at a time. The log then calls, in the order of the
	// frames, f.Written at most once, and after it exactly one of f.Done and f.Failed; from within
	// Commit if it likes. Until then it may read the frame, write to the spare bytes of Buf and
	// behind its end, and keeps nothing of it afterwards.
	//
	// A frame is in the log as a whole or not at all, and only if all frames before it are. After a
	// Failed no frame gets Done any more.
	Commit(f *Frame)

	// Read returns a committed frame, verified. It may wait for the disk or the network. The
	// records are the engine's, which does not change them. They may lie in again, which is nil or
	// what an earlier Read returned and nobody needs any more.
	//
	// An error that wraps ErrDamaged says that the frame is gone or rotten for good: its tasks
	// become dead. Any other error says that the frame could not be read now: its tasks go back to
	// their queue.
	Read(id uint64, again []byte) (Stored, error)

	// Room refuses a change for which the log has no room, with the code storage_full. size is how
	// many bytes of records are not in the log yet, those of the change included. The log is asked
	// only while it says that it is tight, see Engine.SetTight. Locked.
	Room(kind Kind, size int) error

	// Checkpoint makes what write writes the newest checkpoint: the state after all frames before
	// the id at. These are done when it is called; a log whose Done does not mean durable makes
	// them so first. One checkpoint is written at a time. write may be called again when the first
	// try found no room. When Checkpoint returns nil the checkpoint is durable; when it returns an
	// error the older ones are as they were. oldest is the id of the oldest checkpoint that a start
	// may fall back to; size is in bytes.
	Checkpoint(at uint64, write func(io.Writer) error) (oldest, size uint64, err error)

	// Extents lists the parts in which the log gives its room back, oldest first. The last one
	// takes whatever frame comes next. Locked.
	Extents() []Extent

	// Free gives up an extent in which no task lies, as of a durable checkpoint, and which ends
	// before the oldest one. The log may keep it for somebody who still reads it, as a copy does:
	// it is offered again with the next checkpoint. An error is logged, and the engine goes on.
	Free(x Extent) error

	// Idle does what nobody waits for and is due by now: the engine calls it when the time has come
	// that the last Idle, Done or CallIdle named. It returns when it is to be called next; zero is
	// never. It runs on the engine's background loop, so timers wait for it.
	Idle(now time.Time) (next time.Time)
}

// A Frame is one group commit. The engine fills it and gives it to the log, which answers by
// Written, Done and Failed.
type Frame struct {
	ID      uint64 // as Next or After told
	Buf     []byte // Log.Head spare bytes, the records, and a capacity of at least 8 bytes more
	Time    int64  // ms since 1970, when the first record was made; never less than in the frame before
	Count   int    // records, at least one
	Waited  bool   // somebody waits until it is as durable as the log promises
	Durable bool   // it is done when it is durable, whatever the log promises for others

	engine *Engine
	number uint64       // from 1 on: who waits for the frame knows only that
	limit  uint64       // lease numbers reserved once it is durable
	bodies bool         // tasks can be read from it; Engine.mu
	cached bool         // the same, as of when it was given to the log
	wrote  bool         // Written was called
	living state.Living // in it, until it is known in which extent it is; Engine.mu
	given  time.Time    // to the log; Engine.mu
}

// A Stored is a frame as it was read.
type Stored struct {
	Time    int64 // ms since 1970
	Records []byte
}

// An Extent is a part of a log that is freed as a whole.
type Extent = state.Extent

// A Kind is what a change does to the room that a log has.
type Kind int

const (
	Grows   Kind = iota // puts and follow-ups
	Answers             // acks with a result
	Shrinks             // everything else
)

// A Policy is what differs between logs. The zero value is that of a log on a disk of this machine.
type Policy struct {
	// Window is how many frames may be with the log at a time; 0 means 1.
	Window int
	// HandOutsWait: a lease is told when the frame with its hand-out is done. Else it is told at
	// once, for a log whose numbers are never used twice and which has no other writer.
	HandOutsWait bool
	// ExtendsWait: an extend is answered when its frame is done. Else it is answered at once, and a
	// crash may forget the new deadline.
	ExtendsWait bool
	// ReadsWait: what is told of queues and runs is in frames that are done. Else it may be of
	// frames that are still to be. Stats never wait.
	ReadsWait bool
	// Seen says how long ago, by this process's monotonic clock, the last frame was stored that
	// Start goes on from; last is the time of the log then, in ms. ok is false when that is not
	// known. Then the start is a cold one: the wall clock says how long the log was at rest, see
	// resume. nil is never known.
	Seen func(last int64) (ago time.Duration, ok bool)
	// Stops is how long the time of the log goes on while the log owes the answer of a frame, for a
	// log that may be out of reach. What passes beyond, and what passed before a start, is a gap: it
	// moves the deadlines of live leases too. 0 never stops it.
	Stops time.Duration
	// Fresh is how long ago the frame may have been given to the log on which a call rests that has no
	// frame of its own, a refusal and an empty answer too, for a log that may have another writer by
	// now: where it is longer an empty frame is committed first. 0 means any time.
	Fresh time.Duration
	// NumbersByTime: a start hands out no lease number below the log's time in ms times 1024, so
	// that none is used twice when a log went back unseen.
	NumbersByTime bool
	// FrameBytes is when the open frame takes no more records until it is with the log; 0 means
	// 1 MiB.
	FrameBytes int
	// FreesFront: the log gives back only its oldest extent.
	FreesFront bool
	// MostAway is the longest rest that the wall clock of a cold start is believed; 0 means 31
	// days.
	MostAway time.Duration
}

// ErrDamaged: what is stored does not check out, or is not there any more. It will not pass.
var ErrDamaged = errors.New("damaged")

// Damaged makes an error that wraps err and ErrDamaged, with the words of err.
func Damaged(err error) error { return &damage{err} }

type damage struct{ error }

func (d *damage) Is(target error) bool { return target == ErrDamaged }

func (d *damage) Unwrap() error { return d.error }
