package process

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/worker"
)

// A stock is a queue of tasks without leases that run out: what is nacked comes again, counted
// unless undone.
type stock struct {
	mu       sync.Mutex
	changed  sync.Cond
	ready    []glassq.Lease
	out      map[uint64]glassq.Lease
	number   uint64
	acked    map[string]int // by id
	attempts int            // counted beyond the first of each task
	left     int
	empty    chan struct{} // closed when all are acked
}

func newStock(bodies []string) *stock {
	q := &stock{out: map[uint64]glassq.Lease{}, acked: map[string]int{}, left: len(bodies), empty: make(chan struct{})}
	q.changed.L = &q.mu
	for i, b := range bodies {
		q.ready = append(q.ready, glassq.Lease{Task: glassq.Task{Queue: "tasks", ID: fmt.Sprint(i), Body: []byte(b),
			Type: glassq.TypeText}, Attempt: 1})
	}
	return q
}

func (q *stock) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	stop := context.AfterFunc(ctx, q.changed.Broadcast)
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && ctx.Err() == nil {
		q.changed.Wait()
	}
	n := min(len(q.ready), r.Max)
	leases := append([]glassq.Lease(nil), q.ready[:n]...)
	q.ready = q.ready[n:]
	for i := range leases {
		q.number++
		leases[i].Number = q.number
		q.out[q.number] = leases[i]
	}
	return leases, ctx.Err()
}

func (q *stock) Ack(_ context.Context, acks []glassq.Ack) ([]error, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range acks {
		q.acked[q.out[a.Token.Number].ID]++
		delete(q.out, a.Token.Number)
		if q.left--; q.left == 0 {
			close(q.empty)
		}
	}
	return make([]error, len(acks)), nil
}

func (q *stock) Nack(_ context.Context, nacks []glassq.Nack) ([]error, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range nacks {
		l := q.out[n.Token.Number]
		delete(q.out, n.Token.Number)
		if !n.Undone {
			l.Attempt++
			q.attempts++
		}
		q.ready = append(q.ready, l)
	}
	q.changed.Broadcast()
	return make([]error, len(nacks)), nil
}

func (q *stock) Extend(_ context.Context, extends []glassq.Extend) ([]error, error) {
	return make([]error, len(extends)), nil
}

// Three children of which one after the other dies do all tasks once, each death costs one attempt,
// and nothing is left waiting, with any window.
func TestPipeFarm(t *testing.T) {
	const tasks, deaths = 3000, 20
	for _, window := range []int{0, 1, 5} {
		t.Run(fmt.Sprint("window ", window), func(t *testing.T) {
			p, _ := newPipe(t, PipeOptions{Children: 3, Window: window, Stderr: io.Discard}, "normal")
			var bodies []string
			for i := range tasks {
				body := fmt.Sprint("ok ", i)
				if i%(tasks/deaths) == 7 {
					body = "once"
				}
				bodies = append(bodies, body)
			}
			q := newStock(bodies)
			stats, err := worker.Run(t.Context(), q, worker.Options{Concurrency: p.Concurrency(), Gate: p.Gate(),
				Done: q.empty, Drain: time.Hour}, p.Handler)
			if err != nil || stats.OK != tasks || len(q.acked) != tasks || q.attempts != deaths {
				t.Errorf("Run = %+v, %v with %d tasks acked and %d attempts counted; want %d, and one for each of %d deaths",
					stats, err, len(q.acked), q.attempts, tasks, deaths)
			}
			for i, c := range p.children {
				if c.proc != nil {
					t.Errorf("child %d is left", i)
				}
			}
			if p.windows != nil {
				p.windows.check(t)
				for i := range p.windows.of {
					if n := p.windows.of[i].lines; n != 0 {
						t.Errorf("child %d has %d lines after the end", i, n)
					}
				}
			}
		})
	}
}
