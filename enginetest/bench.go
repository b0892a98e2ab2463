package enginetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// Bench measures an engine as sub-benchmarks of b, in tasks per second. open makes an engine over a
// fresh, empty store; Bench closes it.
func Bench(b *testing.B, open func(b *testing.B) glassq.Store) {
	for _, c := range []struct{ callers, batch int }{{8, 256}, {1, 1}, {64, 1}} {
		b.Run(fmt.Sprintf("put/callers=%d/batch=%d", c.callers, c.batch), func(b *testing.B) {
			benchPut(b, open(b), c.callers, c.batch)
		})
	}
	b.Run("reserve+ack/callers=16/batch=100", func(b *testing.B) {
		benchReserve(b, open(b), 16, 100)
	})
}

// benchPut is b.N batches of 32-byte bodies.
func benchPut(b *testing.B, s glassq.Store, callers, batch int) {
	defer s.Close()
	ts := make([]glassq.Task, batch)
	for i := range ts {
		ts[i] = glassq.Task{Queue: "q", Body: make([]byte, 32)}
	}
	ctx := b.Context()
	spread(b, callers, batch, func() error {
		_, err := s.Put(ctx, ts)
		return err
	})
}

// benchReserve is b.N batches, each reserved and acked. The tasks are put before the clock starts.
func benchReserve(b *testing.B, s glassq.Store, callers, batch int) {
	defer s.Close()
	ctx := b.Context()
	ts := make([]glassq.Task, batch)
	for i := range ts {
		ts[i] = glassq.Task{Queue: "q", Body: make([]byte, 32)}
	}
	var fill sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for range callers {
		fill.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := s.Put(ctx, ts); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	if fill.Wait(); b.Failed() {
		return
	}
	spread(b, callers, batch, func() error { return reserveAndAck(ctx, s, batch) })
}

func reserveAndAck(ctx context.Context, s glassq.Store, batch int) error {
	ls, err := s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: batch, Lease: time.Hour})
	if err != nil {
		return err
	}
	if len(ls) != batch {
		return fmt.Errorf("reserve = %d leases; want %d", len(ls), batch)
	}
	errs, err := s.Ack(ctx, acksOf(ls))
	if err != nil {
		return err
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// spread does b.N times do, shared by callers, and reports tasks per second. It counts by b.N and
// not by b.Loop, which serves one goroutine.
func spread(b *testing.B, callers, batch int, do func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)*float64(batch)/b.Elapsed().Seconds(), "tasks/s")
}
