package live_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/live"
)

// An idle store does nothing with what it is given: what is left is the cost of a Live.
type idle struct {
	glassq.Store
	receipts []glassq.Receipt
	leases   []glassq.Lease
	errs     []error
	next     uint64
}

func (s *idle) Queues(context.Context, ...string) ([]glassq.QueueInfo, error) { return nil, nil }
func (s *idle) Runs(context.Context) ([]glassq.Run, error)                    { return nil, nil }

func (s *idle) Put(_ context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	return s.receipts[:len(tasks)], nil
}

func (s *idle) Reserve(_ context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	for i := range s.leases[:r.Max] {
		s.next++
		s.leases[i].Number = s.next
		s.leases[i].Age += time.Microsecond
	}
	return s.leases[:r.Max], nil
}

func (s *idle) Ack(_ context.Context, acks []glassq.Ack) ([]error, error) {
	return s.errs[:len(acks)], nil
}

// BenchmarkOwn is what a Live costs a task that is put, handed out and acked with a result.
func BenchmarkOwn(b *testing.B) {
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			under := &idle{receipts: make([]glassq.Receipt, batch), leases: make([]glassq.Lease, batch),
				errs: make([]error, batch)}
			tasks, acks, result := make([]glassq.Task, batch), make([]glassq.Ack, batch), glassq.Task{Body: []byte("{}")}
			for i := range batch {
				tasks[i] = glassq.Task{Queue: "q", Run: "r"}
				under.leases[i] = glassq.Lease{Task: glassq.Task{Queue: "q", Run: "r"}, Length: time.Minute, Age: 15 * time.Millisecond}
				acks[i] = glassq.Ack{Result: &result}
			}
			s, ctx := live.New(live.Options{}).Over(under), by("w")
			b.ReportAllocs()
			for b.Loop() {
				s.Put(ctx, tasks)
				leases, _ := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: batch})
				for i := range leases {
					acks[i].Token = leases[i].Token()
				}
				s.Ack(ctx, acks)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/task")
		})
	}
}
