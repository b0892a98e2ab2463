package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
)

// A memQueue is a Queue in memory: leases run out by the clock, waiting is parked.
type memQueue struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when tasks come
	ready   []glassq.Task
	leases  map[uint64]*memLease
	number  uint64

	results  []string // bodies of accepted results
	acks     int      // calls
	nacks    []glassq.Nack
	extends  int
	put      int
	refuse   error // answer to every ack, while set
	broken   error // error of whole calls to Ack, while set
	reserves int
	travels  time.Duration // of an answer of Reserve; one whose caller is gone before is lost
}

type memLease struct {
	task  glassq.Task
	until time.Time
}

func newMemQueue(n int) *memQueue {
	q := &memQueue{changed: make(chan struct{}), leases: map[uint64]*memLease{}}
	for i := range n {
		q.ready = append(q.ready, glassq.Task{ID: fmt.Sprint(i), Body: fmt.Append(nil, i), Type: glassq.TypeText})
	}
	return q
}

func (q *memQueue) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	for {
		q.mu.Lock()
		q.reserves++
		changed := q.changed
		var out []glassq.Lease
		for len(q.ready) > 0 && len(out) < r.Max {
			q.number++
			t := q.ready[0]
			q.ready = q.ready[1:]
			q.leases[q.number] = &memLease{task: t, until: time.Now().Add(r.Lease)}
			t.Queue = r.Queue
			out = append(out, glassq.Lease{Task: t, Number: q.number, Attempt: 1, Length: r.Lease})
		}
		q.mu.Unlock()
		if len(out) > 0 && q.travels > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(q.travels):
			}
		}
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

func (q *memQueue) live(t glassq.Token) (*memLease, error) {
	l := q.leases[t.Number]
	if l == nil || time.Now().After(l.until) {
		return nil, glassq.ErrLeaseLost
	}
	return l, nil
}

func (q *memQueue) Ack(_ context.Context, acks []glassq.Ack) ([]error, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.acks++
	if q.broken != nil {
		return nil, q.broken
	}
	errs := make([]error, len(acks))
	for i, a := range acks {
		if _, errs[i] = q.live(a.Token); errs[i] != nil {
			continue
		}
		if errs[i] = q.refuse; errs[i] != nil {
			continue
		}
		delete(q.leases, a.Token.Number)
		if a.Result != nil {
			q.results = append(q.results, string(a.Result.Body))
		}
		q.put += len(a.Put)
	}
	return errs, nil
}

func (q *memQueue) Nack(_ context.Context, nacks []glassq.Nack) ([]error, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var back []glassq.Task
	errs := make([]error, len(nacks))
	for i, n := range nacks {
		var l *memLease
		if l, errs[i] = q.live(n.Token); errs[i] != nil {
			continue
		}
		if n.Dead && n.Undone {
			errs[i] = glassq.Errorf(glassq.CodeBadRequest, "not both")
			continue
		}
		delete(q.leases, n.Token.Number)
		q.nacks = append(q.nacks, n)
		switch {
		case n.Undone && n.Delay > 0:
			time.AfterFunc(n.Delay, func() {
				q.mu.Lock()
				defer q.mu.Unlock()
				q.giveBack(l.task)
			})
		case n.Undone:
			back = append(back, l.task)
		}
	}
	if len(back) > 0 {
		q.giveBack(back...)
	}
	return errs, nil
}

// giveBack makes tasks ready again. q.mu is held.
func (q *memQueue) giveBack(tasks ...glassq.Task) {
	q.ready = append(tasks, q.ready...)
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *memQueue) Extend(_ context.Context, extends []glassq.Extend) ([]error, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.extends++
	errs := make([]error, len(extends))
	for i, e := range extends {
		var l *memLease
		if l, errs[i] = q.live(e.Token); l != nil {
			l.until = time.Now().Add(e.Lease)
		}
	}
	return errs, nil
}

// take ends all leases, as a person who redrives or a server that lost them would.
func (q *memQueue) take() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.leases)
}

func each(h HandlerFunc) func(int) Handler { return func(int) Handler { return h } }

func ok(_ context.Context, l *glassq.Lease, r *Reply) error {
	r.Body = result.Append(r.Body, l.Body, l.Type, &result.Record{OK: true})
	return nil
}

func TestDoesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		q := newMemQueue(n)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		stats, err := Run(ctx, q, Options{Concurrency: 8}, each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
			time.Sleep(time.Millisecond)
			return ok(ctx, l, r)
		}))
		if want := (Stats{Done: n, OK: n}); err != nil || stats != want {
			t.Errorf("Run = %+v, %v; want %+v", stats, err, want)
		}
		seen := map[string]bool{}
		for _, r := range q.results {
			seen[r] = true
		}
		if len(seen) != n || len(q.leases) != 0 {
			t.Errorf("%d different results, %d leases left; want %d, 0", len(seen), len(q.leases), n)
		}
		if q.acks > n/4 {
			t.Errorf("%d calls to Ack for %d tasks: not batched", q.acks, n)
		}
	})
}

// silentQueue answers no ack before a moment.
type silentQueue struct {
	*memQueue
	until time.Time
}

func (q *silentQueue) Ack(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	time.Sleep(time.Until(q.until))
	return q.memQueue.Ack(ctx, acks)
}

// TestDoneTwiceIsBounded: while a queue does not answer, work stops soon: if the worker died, all of
// it would be done again.
func TestDoneTwiceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, concurrency = 10_000, 8
		q := &silentQueue{newMemQueue(n), time.Now().Add(20 * time.Second)}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		before := 0
		var mu sync.Mutex
		opt := Options{Concurrency: concurrency, Prefetch: n}
		stats, err := Run(ctx, q, opt, each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
			mu.Lock()
			if time.Now().Before(q.until) {
				before++
			}
			mu.Unlock()
			time.Sleep(time.Millisecond)
			return ok(ctx, l, r)
		}))
		if want := (Stats{Done: n, OK: n}); err != nil || stats != want {
			t.Errorf("Run = %+v, %v; want %+v", stats, err, want)
		}
		if before < maxUnacked || before > maxUnacked+concurrency {
			t.Errorf("%d tasks were begun while no ack was answered; want %d, and one a handler", before, maxUnacked)
		}
	})
}

func TestIdleIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(0)
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		stats, err := Run(ctx, q, Options{}, each(ok))
		if stats != (Stats{}) || err != nil || q.reserves != 1 || q.extends != 0 {
			t.Errorf("an idle day = %+v, %v with %d reserves and %d extends; want one reserve", stats, err, q.reserves,
				q.extends)
		}
	})
}

func TestExtends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(3) // one in work, two waiting
		done := make(chan struct{})
		var n atomic.Int32
		stats, err := Run(t.Context(), q, Options{Concurrency: 1, Prefetch: 2, Lease: 3 * time.Second, Done: done},
			each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
				time.Sleep(20 * time.Second)
				if n.Add(1) == 3 {
					close(done)
				}
				return ok(ctx, l, r)
			}))
		if want := (Stats{Done: 3, OK: 3}); err != nil || stats != want {
			t.Errorf("Run = %+v, %v; want %+v", stats, err, want)
		}
		if q.extends < 59 || q.extends > 62 {
			t.Errorf("%d extends in 60 s with a lease of 3 s, want one a second", q.extends)
		}
	})
}

func TestLostLeaseCancelsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(3)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, q.take)
		time.AfterFunc(time.Minute, func() { // a later task has a working context again
			q.mu.Lock()
			q.ready = append(q.ready, glassq.Task{ID: "later"})
			close(q.changed)
			q.changed = make(chan struct{})
			q.mu.Unlock()
		})
		time.AfterFunc(2*time.Minute, cancel)
		var cancelled, begun atomic.Int32
		stats, err := Run(ctx, q, Options{Concurrency: 2, Prefetch: 2, Lease: 9 * time.Second},
			each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
				begun.Add(1)
				if l.ID == "later" {
					if ctx.Err() != nil {
						t.Error("a new task got a cancelled context")
					}
					return ok(ctx, l, r)
				}
				<-ctx.Done()
				cancelled.Add(1)
				return ok(ctx, l, r)
			}))
		if want := (Stats{Done: 1, OK: 1, Lost: 3}); err != nil || stats != want {
			t.Errorf("Run = %+v, %v; want %+v", stats, err, want)
		}
		if begun.Load() != 3 || cancelled.Load() != 2 || len(q.results) != 1 {
			t.Errorf("begun %d, cancelled %d, results %q; want 3, 2, one", begun.Load(), cancelled.Load(), q.results)
		}
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(10)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		stats, err := Run(ctx, q, Options{Concurrency: 2, Prefetch: 8, Drain: 25 * time.Second}, func(i int) Handler {
			return HandlerFunc(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
				if i == 0 {
					time.Sleep(10 * time.Second) // ends within the grace
					return ok(ctx, l, r)
				}
				<-ctx.Done()
				return ctx.Err()
			})
		})
		if stats.OK != 1 || stats.Undone < 2 || stats.Nacked != 0 || stats.Lost != 0 || err != nil {
			t.Errorf("Run = %+v, %v; want 1 ok, the rest undone", stats, err)
		}
		if took := time.Since(start); took < 26*time.Second || took > 27*time.Second {
			t.Errorf("drain ended after %v, want 26s", took)
		}
		for _, n := range q.nacks {
			if !n.Undone {
				t.Errorf("nack %+v, want undone", n)
			}
		}
		if len(q.leases) != 0 || len(q.ready)+len(q.results) != 10 {
			t.Errorf("leases %d, ready %d, nacks %d, results %d: do not add up", len(q.leases), len(q.ready), len(q.nacks),
				len(q.results))
		}
	})
}

func TestErrorsAreNacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stats, err := Run(ctx, q, Options{Concurrency: 1}, each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
			switch l.ID {
			case "0":
				return errors.New("boom")
			case "1":
				return &NackError{Dead: true, Err: errors.New("hopeless")}
			case "2":
				r.Body = append(r.Body, `{"o":{"ok":0}}`...)
				r.Put = []glassq.Task{{Queue: "more"}}
			}
			return nil
		}))
		if want := (Stats{Done: 2, OK: 1, Failed: 1, Nacked: 2}); err != nil || stats != want {
			t.Errorf("Run = %+v, %v; want %+v", stats, err, want)
		}
		if len(q.nacks) != 2 || q.nacks[0].Delay != 0 || q.nacks[0].Reason != "boom" || !q.nacks[1].Dead ||
			q.nacks[1].Reason != "hopeless" {
			t.Errorf("nacks = %+v", q.nacks)
		}
		if len(q.results) != 1 || q.put != 1 {
			t.Errorf("results %q, follow-ups %d; want one each", q.results, q.put)
		}
	})
}

func TestResultsQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(5)
		q.refuse = glassq.ErrQueueFull
		time.AfterFunc(time.Minute, func() { q.mu.Lock(); q.refuse = nil; q.mu.Unlock() })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		stats, err := Run(ctx, q, Options{Concurrency: 5}, each(ok))
		if want := (Stats{Done: 5, OK: 5}); err != nil || stats != want {
			t.Errorf("Run = %+v, %v; want %+v", stats, err, want)
		}
	})
}

func TestBadResultIsNacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(1)
		q.refuse = glassq.ErrTooLarge
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		stats, err := Run(ctx, q, Options{}, each(ok))
		if want := (Stats{Nacked: 1}); err != nil || stats != want {
			t.Errorf("Run = %+v, %v; want %+v", stats, err, want)
		}
	})
}

func TestBrokenQueueEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(100)
		q.broken = glassq.ErrClosed
		_, err := Run(t.Context(), q, Options{}, each(ok))
		if !errors.Is(err, glassq.ErrClosed) {
			t.Errorf("Run = %v, want ErrClosed", err)
		}
	})
}

func TestOptions(t *testing.T) {
	for _, opt := range []Options{{Queue: "a b"}, {Lease: time.Millisecond}, {Concurrency: -1}} {
		if _, err := Run(t.Context(), newMemQueue(0), opt, each(ok)); err == nil {
			t.Errorf("Run(%+v) = nil, want an error", opt)
		}
	}
}

type closer struct {
	HandlerFunc
	closed *atomic.Int32
}

func (c closer) Close() error { c.closed.Add(1); return nil }

func TestHandlersAreClosed(t *testing.T) {
	var n atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, newMemQueue(0), Options{Concurrency: 7},
		func(int) Handler { return closer{ok, &n} }); err != nil || n.Load() != 7 {
		t.Errorf("Run = %v with %d handlers closed, want 7", err, n.Load())
	}
}

func BenchmarkWorker(b *testing.B) {
	q := newMemQueue(b.N)
	done := make(chan struct{})
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := Run(b.Context(), q, Options{Concurrency: 64, Done: done},
		each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
			if left.Add(-1) == 0 {
				close(done)
			}
			return ok(ctx, l, r)
		})); err != nil {
		b.Fatal(err)
	}
}

// Leases whose answer is on its way when the drain begins go back at once.
func TestDrainAwaitsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(20)
		q.travels = answerGrace / 2
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(q.travels/2, cancel)
		stats, err := Run(ctx, q, Options{Concurrency: 2, Lease: 10 * time.Second}, func(int) Handler {
			return HandlerFunc(func(context.Context, *glassq.Lease, *Reply) error { return nil })
		})
		if err != nil || stats.Done != 0 || stats.Undone == 0 || uint64(len(q.nacks)) != stats.Undone || len(q.leases) != 0 {
			t.Errorf("Run = %+v, %v, %d nacks, %d still leased; want all that was on its way given back", stats, err,
				len(q.nacks), len(q.leases))
		}
		// Nothing is on its way: the drain ends although the call is parked.
		began := time.Now()
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := Run(ctx, newMemQueue(0), Options{}, func(int) Handler { return nil }); err != nil ||
			time.Since(began) > time.Minute+time.Second {
			t.Errorf("Run of an empty queue: %v after %v", err, time.Since(began))
		}
	})
}

// TestBusyWorkerSharesAcks: a call to the queue costs a sync there, so many endings share one; a
// single ending waits for ackWait only.
func TestBusyWorkerSharesAcks(t *testing.T) {
	for _, tt := range []struct {
		name               string
		tasks, concurrency int
		most               int           // calls of Ack
		within             time.Duration // until the last ack
	}{
		{"busy", 400, 16, 10, 400/16*time.Millisecond + ackWait + busyWait},
		{"idle", 1, 16, 1, time.Millisecond + ackWait},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newMemQueue(tt.tasks)
				ctx, cancel := context.WithCancel(t.Context())
				end := make(chan error, 1)
				go func() {
					_, err := Run(ctx, q, Options{Concurrency: tt.concurrency},
						each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
							time.Sleep(time.Millisecond)
							return ok(ctx, l, r)
						}))
					end <- err
				}()
				time.Sleep(tt.within)
				synctest.Wait()
				q.mu.Lock()
				if len(q.results) != tt.tasks || q.acks > tt.most {
					t.Errorf("after %v: %d results in %d acks; want %d in at most %d", tt.within, len(q.results), q.acks, tt.tasks,
						tt.most)
				}
				q.mu.Unlock()
				cancel()
				if err := <-end; err != nil {
					t.Errorf("Run = %v", err)
				}
			})
		})
	}
}

// TestJudged: a handler that knows the outcome is believed for the counts, and only for the task it
// says it of.
func TestJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(30)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n := 0
		stats, err := Run(ctx, q, Options{Concurrency: 1}, each(func(_ context.Context, _ *glassq.Lease, r *Reply) error {
			n++
			r.Body = append(r.Body, `{"o":{"ok":1}}`...)
			if n%3 == 0 {
				r.Body = append(r.Body[:0], `{"o":{"ok":0}}`...)
			}
			if n%2 == 0 {
				r.Judged, r.Outcome = true, result.OutcomeOf(r.Body, "")
			}
			return nil
		}))
		if want := (Stats{Done: 30, OK: 20, Failed: 10}); err != nil || stats != want {
			t.Errorf("Run = %+v, %v; want %+v", stats, err, want)
		}
	})
}
