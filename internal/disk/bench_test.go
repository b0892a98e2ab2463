package disk

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/glassq/glassq"
)

// BenchmarkReserveAck16x100: 16 callers take and ack a full queue in batches of 100.
func BenchmarkReserveAck16x100(b *testing.B) { reserveAck(b, open(b, b.TempDir(), Options{}), 16) }

// BenchmarkReserveAckMemory: the same by one caller without a disk, so that only the work is seen.
func BenchmarkReserveAckMemory(b *testing.B) { reserveAck(b, open(b, "mem:", Options{}), 1) }

func reserveAck(b *testing.B, e *Engine, callers int) {
	defer e.Close()
	const batch = 100
	tasks := make([]glassq.Task, 5000)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "q", Run: "r", Dense: true, Body: make([]byte, 32)}
	}
	for n := 0; n < b.N*batch; n += len(tasks) {
		for i := range tasks {
			tasks[i].Position = uint32(n + i)
		}
		if _, err := e.Put(b.Context(), tasks[:min(len(tasks), b.N*batch-n)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	var done atomic.Int64
	for range callers {
		wg.Go(func() {
			for {
				leases, err := e.Reserve(b.Context(), glassq.Reserve{Queue: "q", Max: batch})
				if err != nil {
					b.Error(err)
				}
				if len(leases) == 0 {
					return
				}
				acks := make([]glassq.Ack, len(leases))
				for i := range leases {
					acks[i].Token = leases[i].Token()
				}
				errs, err := e.Ack(b.Context(), acks)
				if err = errors.Join(append(errs, err)...); err != nil {
					b.Error(err)
				}
				done.Add(int64(len(leases)))
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(done.Load())/b.Elapsed().Seconds(), "tasks/s")
}

// BenchmarkPutAlone: one caller, one task at a time, one sync each.
func BenchmarkPutAlone(b *testing.B) {
	e := open(b, b.TempDir(), Options{})
	defer e.Close()
	for b.Loop() {
		if _, err := e.Put(b.Context(), []glassq.Task{{Queue: "q", Body: make([]byte, 32)}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPut8x256: 8 callers put batches of 256 tasks of 32 bytes.
func BenchmarkPut8x256(b *testing.B) {
	e := open(b, b.TempDir(), Options{})
	defer e.Close()
	tasks := make([]glassq.Task, 256)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "q", Run: "r", Body: make([]byte, 32)}
	}
	b.ReportAllocs()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := e.Put(b.Context(), tasks); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N*256)/b.Elapsed().Seconds(), "tasks/s")
}
