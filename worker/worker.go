package worker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
)

// A Queue is what a worker needs of a queue server; *store.Store and *client.Client have it. It
// must not keep the slices it is given, nor the bodies in them: they are used again.
//
// An error of a whole call ends the worker, that of Extend excepted. So a Queue that may be away
// for a while waits and retries.
type Queue interface {
	Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error)
	Ack(ctx context.Context, acks []glassq.Ack) ([]error, error)
	Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error)
	Extend(ctx context.Context, extends []glassq.Extend) ([]error, error)
}

// A Handler does one task at a time; each of a worker's goroutines has its own. If it is an
// io.Closer too, it is closed when its goroutine ends.
type Handler interface {
	// Handle does the task of l and says in r what came out of it. After nil the task is acked with
	// what r holds; an error gives it back: see NackError, any other error means after the queue's
	// backoff, with the error's text as the reason. A panic is such an error, and the handler is
	// called again with other tasks. Errors are logged, those of one text once a minute.
	//
	// ctx is done when the lease is lost or the worker's grace period is over; Handle then returns
	// soon, and with ctx's error unless the work got done. The same ctx serves many tasks. l and r
	// are the handler's until it returns. l.Late counts up to the call.
	Handle(ctx context.Context, l *glassq.Lease, r *Reply) error
}

// A Shedder is a Handler that keeps something between tasks, such as connections. When the worker
// lacks files or the like, it calls Shed on the handlers without a task, which then close what they
// keep. Shed never runs beside Handle of the same handler.
type Shedder interface{ Shed() }

// A HandlerFunc is a Handler without state of its own.
type HandlerFunc func(ctx context.Context, l *glassq.Lease, r *Reply) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, l *glassq.Lease, r *Reply) error {
	return f(ctx, l, r)
}

// A Reply is what goes with the ack of a task.
type Reply struct {
	// Body is the result, a record as result.Append makes it. It starts empty with room from
	// earlier tasks, to append to. Empty means no result: the task is booked as ok.
	Body []byte
	Type string        // content type of Body; "" means JSON
	Put  []glassq.Task // follow-ups, put in the commit of the ack

	// Judged says that Outcome is what Body says, so that the worker need not read Body for its
	// Stats. The queue books the task by Body all the same.
	Judged  bool
	Outcome glassq.Outcome

	by *held // whose ack it goes with; nil outside of Run
}

// A NackError returned by a Handler says how the task is given back.
type NackError struct {
	Delay  time.Duration // until it is ready again; 0 means the queue's backoff, glassq.AtOnce none
	Dead   bool          // straight to dead
	Undone bool          // back to its old place, the attempt not counted: at once, or after a Delay above 0
	Err    error         // the reason, or nil

	// Hold stops the key of the task for all workers, for this long from now, at most
	// glassq.MaxHold; 0 holds nothing. It is for a task with a Key.
	Hold time.Duration

	// Lack names what the worker itself has too little of, such as "open files"; "" for nothing.
	// The worker takes fewer tasks at once for a while, and says so. It finds out by itself where
	// Err is of files, memory or disk.
	Lack string
}

func (e *NackError) Error() string {
	if e.Err == nil {
		return "given back"
	}
	return e.Err.Error()
}

func (e *NackError) Unwrap() error { return e.Err }

// Options tunes Run. The zero value is ready for production.
type Options struct {
	Queue       string          // queue to take tasks from; "" means "tasks"
	Concurrency int             // handlers at work at once; 0 means 16
	Lease       time.Duration   // length of leases, which are extended when a third is over; 0 means 10s
	Prefetch    int             // leases waiting for a handler, at most 10,000; 0 adapts: see prefetch.go
	Drain       time.Duration   // grace for work in progress after the end; 0 means 25s, negative none
	Done        <-chan struct{} // when closed, the worker drains as if ctx were done; nil never
	Logger      *slog.Logger    // nil discards

	// Gate makes what lets handlers begin, once for a Run; nil lets them all. The gate calls wake
	// when a place is free and no handler that held one is about to return from Handle; never while
	// it holds a lock that Enter or Places takes. Calls after the end of Run do nothing.
	Gate func(wake func()) Gate
}

func (o Options) withDefaults() (Options, error) {
	if o.Queue == "" {
		o.Queue = glassq.DefaultQueue
	}
	if o.Concurrency == 0 {
		o.Concurrency = 16
	}
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	o.Prefetch = min(o.Prefetch, glassq.MaxBatch)
	if o.Drain == 0 {
		o.Drain = 25 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Concurrency < 0 || o.Prefetch < 0:
		return o, glassq.Errorf(glassq.CodeBadRequest, "concurrency %d or prefetch %d is negative", o.Concurrency, o.Prefetch)
	case o.Lease < glassq.MinLease || o.Lease > glassq.MaxLease:
		return o, glassq.Errorf(glassq.CodeBadRequest, "lease %v is not between %v and %v", o.Lease, glassq.MinLease,
			glassq.MaxLease)
	}
	return o, glassq.CheckName(o.Queue)
}

// Stats counts what a worker did with the tasks it began.
type Stats struct {
	Done   uint64 // acked: OK and Failed
	OK     uint64 // acked, booked as ok
	Failed uint64 // acked, booked as failed
	Nacked uint64 // given back after work on them
	Undone uint64 // given back unbegun, or cancelled by the drain
	Lost   uint64 // leases that ran out or were taken away while held
}

// Run takes tasks from q and has them done by handlers, of which newHandler makes one for each of
// the goroutines 0 to Concurrency-1. It returns when ctx or Options.Done is done and the worker has
// drained: leases not begun go back at once, work in progress gets Options.Drain to end, then is
// cancelled and goes back; every ack is flushed. No goroutine of it is left then.
//
// The error is nil after a drain, else the first error of a whole call to q.
func Run(ctx context.Context, q Queue, opt Options, newHandler func(i int) Handler) (Stats, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return Stats{}, err
	}
	w := &worker{q: q, opt: opt, wake: make(chan struct{}, 1), draining: make(chan struct{}),
		extend: make(chan struct{}, 1)}
	w.work.L, w.room.L = &w.mu, &w.mu
	w.order.next, w.order.prev = &w.order, &w.order
	if opt.Gate != nil {
		w.gate = opt.Gate(w.entrance)
	}
	w.ahead = newAhead(opt.Prefetch, w.places())
	return w.run(ctx, newHandler)
}

// answerGrace is how long the answer of a reserve may take that is under way when the drain begins:
// leases in it go back at once then, and not when they run out.
const answerGrace = 100 * time.Millisecond

// flushGrace is how long the last acks may take after the grace period of the work.
const flushGrace = 10 * time.Second

type worker struct {
	q    Queue
	opt  Options
	gate Gate // nil lets all handlers begin

	wake     chan struct{} // something has ended, or a full batch has; capacity 1
	draining chan struct{} // closed when the drain begins
	trouble  trouble       // what was said of handlers
	extend   chan struct{} // the first lease is held; capacity 1

	mu      sync.Mutex // guards everything below
	work    sync.Cond  // ready is not empty, or stopped
	room    sync.Cond  // leases are wanted, or stopped
	ready   fifo       // leases no handler has begun
	ahead   ahead      // how many of those there should be
	order   held       // ring of all held leases, the longest not extended first
	ended   []*held    // leases to be acked or nacked
	unacked int        // leases that handlers are through with and the queue has not been told of
	free    []*held    // for use again
	stopped bool       // no lease is begun any more
	over    bool       // no handler is left, and no lease comes any more
	err     error      // first error of a whole call
	stats   Stats
	load    load
	strain  strain
	cancel  context.CancelFunc // begins the drain
}

func (w *worker) run(ctx context.Context, newHandler func(int) Handler) (Stats, error) {
	drainCtx, drain := context.WithCancel(ctx)
	defer drain()
	w.cancel = drain
	bare := context.WithoutCancel(ctx)
	takeCtx, cancelTake := context.WithCancel(bare) // for Reserve
	defer cancelTake()
	workCtx, cancelWork := context.WithCancel(bare) // for the handlers
	defer cancelWork()
	callCtx, cancelCalls := context.WithCancel(bare) // for Ack, Nack and Extend
	defer cancelCalls()

	var handlers, taker, keeper, timers sync.WaitGroup
	for i := range w.opt.Concurrency {
		handlers.Go(func() { w.handle(workCtx, i, newHandler(i)) })
	}
	allOver := make(chan struct{})
	taker.Go(func() { w.reserve(takeCtx) })
	keeper.Go(func() { w.settleLeases(callCtx) })
	timers.Go(func() { w.extendAll(callCtx, allOver) })
	timers.Go(func() { w.watchLoad(allOver) })

	select {
	case <-drainCtx.Done():
	case <-w.opt.Done:
	}
	grace, answer := max(w.opt.Drain, 0), answerGrace
	if w.failed() {
		grace, answer = 0, 0 // the queue is gone: nothing that is done can be told
	}
	endWork := time.AfterFunc(grace, cancelWork)
	defer endWork.Stop()
	endCalls := time.AfterFunc(grace+flushGrace, cancelCalls)
	defer endCalls.Stop()
	w.stop()
	endTake := time.AfterFunc(answer, cancelTake)
	defer endTake.Stop()
	handlers.Wait()
	taker.Wait()
	w.finish()
	keeper.Wait()
	close(allOver)
	timers.Wait()
	w.stopTimers()
	return w.stats, w.err
}

func (w *worker) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

func (w *worker) isStopped() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// fail ends the worker because of an error of a whole call.
func (w *worker) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.cancel()
}

// stop begins the drain: leases not begun are given back.
func (w *worker) stop() {
	w.mu.Lock()
	w.stopped = true
	for h := w.ready.pop(); h != nil; h = w.ready.pop() {
		w.giveBack(h)
	}
	w.work.Broadcast()
	w.room.Broadcast()
	w.mu.Unlock()
	close(w.draining)
	w.signal()
}

// giveBack ends a lease that no handler has begun. w.mu is held.
func (w *worker) giveBack(h *held) {
	h.end = endUndone
	h.nack = glassq.Nack{Undone: true}
	w.end(h)
}

// finish tells the settler that nothing more will end.
func (w *worker) finish() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.signal()
}

func (w *worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// reserve keeps ready filled until the drain begins; ctx ends a call that is under way then.
func (w *worker) reserve(ctx context.Context) {
	for {
		n := w.awaitRoom()
		if n == 0 {
			return
		}
		leases, err := w.q.Reserve(ctx, glassq.Reserve{Queue: w.opt.Queue, Max: n, Wait: -1, Lease: w.opt.Lease})
		if len(leases) > 0 {
			w.takeLeases(leases, n)
		}
		if ctx.Err() != nil || w.isStopped() {
			return
		}
		if err != nil {
			w.fail(fmt.Errorf("reserve from %s: %w", w.opt.Queue, err))
			return
		}
	}
}

// awaitRoom waits until leases are wanted and returns how many to ask for, 0 when there is nothing
// more to take.
func (w *worker) awaitRoom() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead.atLeast(w.places())
	for !w.stopped && (w.ahead.wants(w.ready.n) == 0 || w.crowded()) {
		w.room.Wait()
	}
	if w.stopped {
		return 0
	}
	return w.ahead.wants(w.ready.n)
}

// takeLeases hands leases, of which up to asked were wanted, to the handlers, or back if the drain
// has begun.
func (w *worker) takeLeases(leases []glassq.Lease, asked int) {
	now := time.Now()
	w.mu.Lock()
	w.ahead.came(leases, asked, w.ready.n)
	idle := w.order.next == &w.order
	for i := range leases {
		h := w.newHeld()
		h.lease = leases[i]
		h.since, h.taken = now, now
		h.w, h.reply.by = w, h
		w.order.push(h)
		if w.stopped {
			w.giveBack(h)
			continue
		}
		w.ready.push(h)
		if i == 0 || w.gate == nil { // who is let in wakes the next one
			w.work.Signal()
		}
	}
	stopped := w.stopped
	w.mu.Unlock()
	if idle {
		select {
		case w.extend <- struct{}{}:
		default:
		}
	}
	if stopped {
		w.signal()
	}
}

// A slot is one handler's goroutine. ctx serves task after task until a lost lease cancels it.
type slot struct {
	i      int
	base   context.Context
	ctx    context.Context
	cancel context.CancelFunc
	shed   func() // the handler's Shed; nil when it has none
	lacks  int    // of strain.lacks, those that shed was called for

	paced      bool // the last task had a due moment and was leased after it
	late, busy time.Duration
	ended      time.Time // when the last task did
	waited     bool      // for the next one
}

// renew replaces a context that was cancelled for a lost lease.
func (s *slot) renew() {
	if s.ctx.Err() != nil && s.base.Err() == nil {
		s.cancel()
		s.ctx, s.cancel = context.WithCancel(s.base)
	}
}

// handle is one handler's goroutine.
func (w *worker) handle(base context.Context, i int, hd Handler) {
	if c, ok := hd.(io.Closer); ok {
		defer func() {
			if err := c.Close(); err != nil {
				w.opt.Logger.Warn("close handler", "err", err)
			}
		}()
	}
	s := &slot{i: i, base: base}
	if hs, ok := hd.(Shedder); ok {
		s.shed = hs.Shed
	}
	s.ctx, s.cancel = context.WithCancel(base)
	defer func() { s.cancel() }()
	for h := w.next(s, nil); h != nil; h = w.next(s, h) {
		began := s.ended
		if s.waited {
			began = time.Now()
		}
		waited := max(began.Sub(h.taken), 0)
		s.paced = h.lease.Late > 0
		h.lease.Late += waited
		s.late = h.lease.Late
		if waited > maxWaited {
			w.mu.Lock()
			w.ahead.tooLong()
			w.mu.Unlock()
		}
		err := w.do(s.ctx, hd, &h.lease, &h.reply)
		s.ended = time.Now()
		s.busy = s.ended.Sub(began)
		if judge(s.ctx, h, err); h.lack != "" {
			w.strained(h)
		}
	}
}

// judge decides how the lease of h ends, from what its handler returned.
func judge(ctx context.Context, h *held, err error) {
	if err == nil {
		h.end = endAck
		h.failed = false
		if len(h.reply.Body) > 0 {
			if h.reply.Type == "" {
				h.reply.Type = glassq.TypeJSON
			}
			outcome := h.reply.Outcome
			if !h.reply.Judged {
				outcome = result.OutcomeOf(h.reply.Body, h.reply.Type)
			}
			h.failed = outcome == glassq.Failed
		}
		return
	}
	h.end = endNack
	if ctx.Err() != nil {
		h.end = endUndone
		h.nack = glassq.Nack{Undone: true}
		return
	}
	putBack(h, err)
}

// next hands in the lease that a handler has ended, if any, and returns the next one, or nil when
// the worker stops. One lock for both: this is the hot path.
func (w *worker) next(s *slot, prev *held) *held {
	w.mu.Lock()
	defer w.mu.Unlock()
	if prev != nil {
		w.ahead.none = false
		w.load.add(s.paced, s.late, s.busy)
		w.strain.leave(prev)
		prev.cancel = nil
		if prev.lost {
			w.drop(prev)
		} else {
			w.end(prev)
			if n := len(w.ended); n == 1 || n == ackBatch {
				w.signal()
			}
		}
	}
	h := w.begin(s)
	s.waited = prev == nil
	for h == nil && !w.stopped {
		s.waited = true
		w.room.Signal()
		if s.shed != nil && s.lacks != w.strain.lacks {
			s.lacks = w.strain.lacks
			w.mu.Unlock()
			s.shed()
			w.mu.Lock()
		} else {
			w.work.Wait()
		}
		h = w.begin(s)
	}
	if w.ready.n <= w.ahead.n/2 {
		w.room.Signal()
	}
	if h != nil {
		s.renew() // under the lock, so that nobody cancels it for prev any more
		h.cancel = s.cancel
	}
	return h
}

// end queues h for the settler. w.mu is held.
func (w *worker) end(h *held) {
	h.ended = true
	w.unacked++
	w.ended = append(w.ended, h)
}

// told drops h, of whose end the queue knows or will never be told. w.mu is held.
func (w *worker) told(h *held) {
	w.unacked--
	w.drop(h)
	if w.unacked == maxUnacked {
		w.work.Broadcast()
	}
}
