package output

import (
	"context"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// A fakeQueue is a results queue and one run, in memory. It wakes waiters instead of polling.
type fakeQueue struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	run     *glassq.Run
	ready   []glassq.Lease
	leased  map[uint64]glassq.Lease
	acked   []uint64
	done    []glassq.Interval
	put     []glassq.Interval
	dead    []glassq.Interval
	extends int
	number  uint64
	calls   int // of Reserve and AwaitRun
	fail    error
	rate    float64
}

func newFake() *fakeQueue {
	return &fakeQueue{changed: make(chan struct{}), leased: make(map[uint64]glassq.Lease)}
}

func (q *fakeQueue) change(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	close(q.changed)
	q.changed = make(chan struct{})
}

// add puts the result of position n of run r1.
func (q *fakeQueue) add(n uint32, body string) {
	q.change(func() {
		q.number++
		q.ready = append(q.ready, glassq.Lease{Number: q.number, Task: glassq.Task{
			Queue: "results.r1", ID: glassq.DenseID("r1", n), Run: "r1", Position: n, OfAttempt: 1, Body: []byte(body),
		}})
	})
}

// wait calls f, with q.mu held, at each change until it answers true.
func (q *fakeQueue) wait(ctx context.Context, d time.Duration, f func() bool) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		q.mu.Lock()
		ok, changed := f(), q.changed
		q.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *fakeQueue) Reserve(ctx context.Context, r glassq.Reserve) (leases []glassq.Lease, err error) {
	q.mu.Lock()
	q.calls++
	fail := q.fail
	q.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	err = q.wait(ctx, r.Wait, func() bool {
		n := min(r.Max, len(q.ready))
		leases, q.ready = q.ready[:n:n], q.ready[n:]
		for _, l := range leases {
			q.leased[l.Number] = l
		}
		return n > 0
	})
	return leases, err
}

func (q *fakeQueue) Ack(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	errs := make([]error, len(acks))
	q.change(func() {
		for i, a := range acks {
			if _, ok := q.leased[a.Token.Number]; !ok {
				errs[i] = glassq.ErrLeaseLost
			}
			delete(q.leased, a.Token.Number)
			q.acked = append(q.acked, a.Token.Number)
		}
	})
	return errs, nil
}

func (q *fakeQueue) Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error) {
	q.change(func() {
		for _, n := range nacks {
			if l, ok := q.leased[n.Token.Number]; ok {
				delete(q.leased, n.Token.Number)
				q.ready = append(q.ready, l)
			}
		}
	})
	return make([]error, len(nacks)), nil
}

func (q *fakeQueue) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	errs := make([]error, len(extends))
	for i, e := range extends {
		q.extends++
		if _, ok := q.leased[e.Token.Number]; !ok {
			errs[i] = glassq.ErrLeaseLost
		}
	}
	return errs, nil
}

func (q *fakeQueue) state() (glassq.Run, bool) {
	if q.run == nil {
		return glassq.Run{}, false
	}
	r := *q.run
	r.Pending = r.Books.Pending()
	r.Complete = r.Sealed && r.Pending == 0
	r.Waiting = uint64(len(q.ready) + len(q.leased))
	return r, true
}

func (q *fakeQueue) Run(ctx context.Context, name string) (glassq.Run, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, ok := q.state()
	if !ok {
		return r, glassq.ErrNotFound
	}
	return r, nil
}

func (q *fakeQueue) AwaitRun(ctx context.Context, name string, phase glassq.Phase, wait time.Duration) (r glassq.Run,
	err error) {
	q.mu.Lock()
	q.calls++
	q.mu.Unlock()
	var exists bool
	err = q.wait(ctx, wait, func() bool {
		r, exists = q.state()
		return exists && (phase == glassq.PhaseExists || r.Complete && r.Waiting == 0)
	})
	if err == nil && !exists {
		err = glassq.ErrNotFound
	}
	return r, err
}

func (q *fakeQueue) RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32,
	max int) ([]glassq.Interval, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var page []glassq.Interval
	list := q.done
	switch set {
	case glassq.IDsPut:
		list = q.put
	case glassq.IDsDead:
		list = q.dead
	}
	for _, iv := range list {
		if iv.Last >= from && len(page) < max {
			page = append(page, iv)
		}
	}
	return page, nil
}

func (q *fakeQueue) Runs(ctx context.Context) ([]glassq.Run, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r, ok := q.state(); ok {
		return []glassq.Run{r}, nil
	}
	return nil, nil
}

func (q *fakeQueue) Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return []glassq.QueueInfo{{Name: names[0], Settings: glassq.Settings{Rate: q.rate}}}, nil
}
