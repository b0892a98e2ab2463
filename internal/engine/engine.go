// Package engine is the queue over any log: it puts, hands out, acks, paces and waits, and keeps
// the pure core of internal/state in step with a Log. It knows records and frames; it does not know
// disks, files or other machines.
//
// A mutex guards the state. A call appends its records to the open frame, applies them, and waits
// until the frame is committed; a caller that waits and finds that nobody commits does it for all.
// So the state runs ahead of the log by the frames not yet committed, and no answer leaves before
// the frames that it rests on are. After a failed frame the engine refuses everything: the state is
// thrown away, never patched.
package engine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// Options tunes New. The zero value is ready for production.
type Options struct {
	CacheBytes      int64        // bytes of frames kept in memory for hand-outs; 0 means 64 MiB
	CheckpointEvery int64        // bytes that the log grows, at least, between two checkpoints; 0 means 64 MiB
	MaxQueues       int          // most queues; 0 means glassq.DefaultMaxQueues
	MaxRuns         int          // most runs, those included that have ended and are kept; 0 means glassq.DefaultMaxRuns
	Logger          *slog.Logger // nil discards

	Wall func() time.Time // the wall clock, for Start and for schedules; nil means time.Now

	// PutItself is told of each task that the engine puts without a call, for a schedule or as the
	// hook of a run, "" for none. It must neither block nor call the engine. nil tells nobody.
	PutItself func(queue, run string)
}

// An Engine is a queue over a log. It has the verbs of glassq.Store and glassq.Waits. The log's
// owner makes it with New, gives it the newest checkpoint and the frames after that, and starts it
// with Start.
type Engine struct {
	log    Log
	policy Policy
	opt    Options
	head   []byte // Log.Head zeros

	mu          sync.Mutex // guards everything down to the next gap
	st          *state.State
	adopting    bool           // StartFrom: bodies come from another log, where they are not counted
	open        *Frame         // being filled; never nil
	flying      []*Frame       // with the log, oldest first
	spare       []*Frame       // to be filled next
	err         error          // why every call is refused: closed, or failed
	closed      bool           // Close was called
	woken       []*state.Queue // have tasks, or room, and somebody who waits for that
	later       []*state.Queue // have room, but the open frame had none
	paced       []*state.Queue // whose rate lets nobody go before paceAt
	runsOn      bool           // a run may have reached a phase
	runWait     map[*runWaiter]struct{}
	parked      int64
	lazyAt      time.Time             // when the open frame is to be written though nobody waits; zero: not
	restUntil   time.Time             // when the background loop looks again at the latest; zero: when it is kicked
	paceAt      time.Time             // when rates next let waiting reserves go; zero: no one waits for that
	idleAt      time.Time             // when the log wants Idle; zero: it does not
	schedulesAt time.Time             // when schedules are next looked at; zero: at once
	tables      map[string]*timetable // of schedules, by name
	reclaimAt   time.Time             // while the log is tight: when the keeper is next asked to make room
	space       state.Space
	epoch       int    // of readers: where who reads bodies from now on is counted
	limit       uint64 // lease numbers below it are reserved durably
	frames      uint64 // committed

	tidying chan struct{} // full: somebody writes a checkpoint, which may take long

	readers [2]atomic.Int64 // who may read bodies at places learned in that epoch
	reading sync.WaitGroup  // all of them; Close waits for it
	written atomic.Uint64   // bytes of the frames committed
	ckSize  atomic.Uint64   // bytes of the last checkpoint
	ckAt    atomic.Uint64   // written when it was taken
	lookAt  atomic.Uint64   // written when the keeper looks again
	tight   atomic.Bool     // the log is to be asked for room
	work    chan struct{}   // the keeper has something to look at

	turns  turns         // who commits, and who waits for that
	kick   chan struct{} // the background loop has something new to wait for
	pace   chan struct{} // paceAt was set
	failed chan struct{} // closed by the first failed frame
	stop   chan struct{}
	wg     sync.WaitGroup
	cache  *cache

	start time.Time // with base: the engine's clock, which no change of the wall clock moves
	base  int64

	owedAt time.Time     // since when the log has owed an answer; zero: it owes none; mu
	soleAt time.Time     // the log had no other writer then: the last frame answered was given to it; mu
	gapAt  int64         // ms, where the time of the log stood when the gap began; mu
	gap    time.Duration // that passed beyond Policy.Stops and is not in a record yet; mu
	toldAt time.Time     // when a frame last told the time, or beat tried to have one do so; mu
}

// New makes an engine with an empty state over a log, which is open and has listed its extents.
func New(log Log, policy Policy, opt Options) *Engine {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	opt.CacheBytes = cmp.Or(max(opt.CacheBytes, 0), 64<<20)
	opt.MaxQueues = cmp.Or(max(opt.MaxQueues, 0), glassq.DefaultMaxQueues)
	opt.MaxRuns = cmp.Or(max(opt.MaxRuns, 0), glassq.DefaultMaxRuns)
	opt.CheckpointEvery = cmp.Or(max(opt.CheckpointEvery, 0), 64<<20)
	policy.Window = max(policy.Window, 1)
	policy.FrameBytes = cmp.Or(policy.FrameBytes, frameSoft)
	e := &Engine{log: log, policy: policy, opt: opt, head: make([]byte, log.Head()),
		open: &Frame{}, runWait: map[*runWaiter]struct{}{}, cache: newCache(opt.CacheBytes, log.Read),
		kick: make(chan struct{}, 1), pace: make(chan struct{}, 1), work: make(chan struct{}, 1),
		failed: make(chan struct{}), stop: make(chan struct{}), tidying: make(chan struct{}, 1)}
	for range policy.Window {
		e.spare = append(e.spare, &Frame{})
	}
	e.turns.init(policy.Window)
	e.forget()
	return e
}

// forget begins with an empty state.
func (e *Engine) forget() {
	e.space = state.Space{FrontOnly: e.policy.FreesFront}
	e.space.Know(e.log.Extents())
	e.st = state.New(state.Hooks{
		Live: func(f uint64, n, record int64) {
			e.lives(f, state.Living{Tasks: 1, Bytes: n, Extra: max(0, record-n)})
		},
		Dropped: func(f uint64, n int64) {
			if !e.adopting {
				e.lives(f, state.Living{Tasks: -1, Bytes: -n})
			}
		},
		Ready:      e.ready,
		Lowered:    e.lowered,
		RunChanged: func() { e.runsOn = true },
	})
}

// RestoreState begins with the state of a checkpoint: read passes it to the function that it is
// given. After an error the state is empty, and another checkpoint may be tried. It is called
// before Start.
func (e *Engine) RestoreState(read func(restore func(io.Reader) error) error) error {
	err := read(e.st.Restore)
	if err != nil {
		e.forget()
	}
	return err
}

// ReplayFrame applies a frame of the log. It is called before Start, for the frames after the
// checkpoint, in their order.
func (e *Engine) ReplayFrame(id uint64, f Stored) error {
	e.st.Advance(f.Time)
	if off, err := e.st.ApplyAll(f.Records, id); err != nil {
		return fmt.Errorf("record at %d: %w", off, err)
	}
	return nil
}

// QueueNames are the queues that there are, before Start.
func (e *Engine) QueueNames() (names []string) {
	for _, q := range e.st.Queues() {
		names = append(names, q.Name)
	}
	return names
}

// Start begins to serve: it reserves lease numbers in the log and waits for that, so that no
// hand-out does. The caller must Close the engine. Errors: ErrDamaged when tasks lie in extents
// that are not there, and that of the frame.
func (e *Engine) Start() error {
	e.space.Know(e.log.Extents())
	if e.space.Lost != 0 {
		return Damaged(fmt.Errorf("%d tasks lie in segments of the log that are missing", e.space.Lost))
	}
	e.firstFrame()
	return e.begun()
}

// firstFrame begins the time of the log, and the frame that comes first. From now on the log may fail
// the engine.
func (e *Engine) firstFrame() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.st.AfterRestart()
	e.limit = e.st.Limit()
	last := e.st.Now()
	ahead, changed := e.startClock()
	e.resetFrame(e.open, 1, e.log.Next())
	if e.policy.Stops > 0 && last > 0 {
		e.open.Time = last
		e.append(state.AppendGap(nil, e.base-last))
	}
	e.tick()
	if changed {
		e.append(state.AppendClock(nil, ahead))
	}
}

// begun reserves lease numbers and begins to serve.
func (e *Engine) begun() error {
	e.mu.Lock()
	e.tick()
	if first := uint64(e.st.Now()) * 1024; e.policy.NumbersByTime && first > e.st.Limit() {
		e.append(state.AppendNumbers(nil, first))
		e.st.AfterRestart()
	}
	e.append(state.AppendNumbers(nil, e.st.Limit()+NumberBlock))
	e.open.Durable = true
	first := e.open.number
	e.mu.Unlock()
	if err := e.wait(first); err != nil {
		return err
	}
	e.wg.Go(e.background)
	e.wg.Go(e.keep)
	e.wg.Go(e.pacer)
	return nil
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

// Failed is closed when a frame failed, or Fail was called: the engine refuses everything from then
// on, and the server should exit.
func (e *Engine) Failed() <-chan struct{} { return e.failed }

// await waits until done is closed, ctx is done, or wait has passed, negative is for ever. It tells
// whether done is.
func await(ctx context.Context, done <-chan struct{}, wait time.Duration) bool {
	var timeout <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-done:
		return true
	case <-timeout:
	case <-ctx.Done():
	}
	return false
}

// Close commits everything and writes a checkpoint. Reserves that wait end with code closed. When
// it returns no frame is with the log, and it is not called any more; the log's owner then closes
// it. A second Close does nothing. The error is why the engine had failed, or that of the
// checkpoint.
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
	err := failed
	if err == nil {
		e.tidying <- struct{}{}
		err = e.checkpoint(nil)
		<-e.tidying
	}
	e.BetweenFrames(func() {})
	e.reading.Wait()
	return err
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

// Stats tells what the engine has done since it was started, of a failed one too. It never waits.
// The log's owner adds what it knows.
func (e *Engine) Stats(context.Context) (glassq.Stats, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return glassq.Stats{}, e.err
	}
	s := glassq.Stats{Frames: e.frames, Bytes: e.written.Load(), Storage: glassq.StorageOK, Waiters: e.parked}
	e.st.Figures(&s)
	s.LiveBytes = e.space.Bytes + e.open.living.Bytes
	for _, f := range e.flying {
		s.LiveBytes += f.living.Bytes
	}
	return s, nil
}

// SkipNumbers hands out no lease number below the one that skip returns for the limit below which
// they may have been handed out so far. It waits for the commit.
func (e *Engine) SkipNumbers(skip func(limit uint64) uint64) error {
	return e.change(func() ([]byte, error) {
		return state.AppendNumbers(nil, max(skip(e.st.Limit()), e.st.Limit())), nil
	}, nil)
}

// fail ends the engine. The caller holds mu.
func (e *Engine) fail(err error) {
	select {
	case <-e.failed:
		return // closed since, perhaps
	default:
	}
	if glassq.CodeOf(err) == glassq.CodeUnknown { // of the frame; what comes now is surely not done
		err = glassq.Errorf(glassq.CodeUnavailable, "the store has stopped: %w", err)
	}
	e.err = err
	if glassq.CodeOf(err) != glassq.CodeUnavailable { // another one owns the log: it is in order, and the owner tells
		e.opt.Logger.Error("the log failed, the store stops", "err", err)
	}
	e.wakeAll()
	close(e.failed)
	e.turns.fail(err) // those who wait for the frame being filled hear of it too
}
