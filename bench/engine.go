package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal"
)

var seconds = flag.Float64("seconds", 3, "seconds that each speed of suite engine, and each row of watch and counting, is measured for")

// engineRows measures the embedded engine: speed with --sync always beside the disk's bare sync,
// put while the log is compacted, then memory, start and disk space of backlogs.
func engineRows(b *bench) error {
	fmt.Printf("embedded engine, %s, %d CPUs, sync always unless it says otherwise\n", runtime.Version(), runtime.NumCPU())
	alone := 0.0
	for _, c := range []struct{ callers, batch int }{{8, 256}, {1, 256}, {1, 1}, {64, 1}} {
		dir := filepath.Join(b.dir, fmt.Sprint("put", c.callers, "x", c.batch))
		got, err := enginePut(b.ctx, dir, c.callers, c.batch)
		if err != nil {
			return err
		}
		fmt.Printf("put, %2d callers x %3d: %9.0f/s  p50 %v p99 %v  %.2f allocations a batch  %.2f syncs a batch\n",
			c.callers, c.batch, got.rate, got.p50, got.p99, got.allocs, got.syncs)
		switch {
		case c.callers == 8:
			fmt.Printf("    asked: 1,000,000/s, 2 allocations a batch\n")
		case c.callers == 1:
			fmt.Printf("    p50 %.2f of the bare sync of %v; %.2f of %d x the bare sync rate",
				float64(got.p50)/float64(got.bare), got.bare,
				got.rate*got.bare.Seconds()/float64(c.batch), c.batch)
			if alone = got.rate; c.batch == 1 {
				fmt.Printf("; asked: p50 at most 1.25, one sync each")
			}
			fmt.Println()
		default:
			fmt.Printf("    %.1f times one caller; asked: 10\n", got.rate/alone)
		}
	}
	for _, callers := range []int{drainCallers, 1} {
		got, err := engineDrain(b.ctx, filepath.Join(b.dir, fmt.Sprint("drain", callers)), callers)
		if err != nil {
			return err
		}
		fmt.Printf("reserve + ack, %2d callers x %d: %9.0f/s  %.2f syncs a batch\n", callers, drainBatch, got.rate, got.syncs)
		if callers > 1 {
			fmt.Printf("    asked: 700,000/s\n")
		} else {
			fmt.Printf("    %.2f of %d x the bare sync rate (bare sync %v); asked: 0.60\n",
				got.rate*got.bare.Seconds()/drainBatch, drainBatch, got.bare)
		}
	}
	return engineBacklogs(b)
}

// A speed is what some callers reached.
type speed struct {
	rate     float64 // tasks per second
	p50, p99 time.Duration
	allocs   float64 // a batch
	syncs    float64 // a batch
	bare     time.Duration
}

// besides measures the disk's bare sync right before and right after do, because disks drift.
func (s *speed) besides(dir string, do func() error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	before, err := wal.BareSync(dir)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := wal.BareSync(dir)
	s.bare = (before + after) / 2
	return err
}

func engineTasks(first, n int) []glassq.Task {
	ts := make([]glassq.Task, n)
	for i := range ts {
		k := first + i
		ts[i] = glassq.Task{Queue: "q", Run: "r", Position: uint32(k), Dense: true, Body: fmt.Appendf(nil, "%032d", k)}
		if k%100 == 0 {
			ts[i].Priority, ts[i].TTL = glassq.Level(k/100%10), 24*time.Hour
		}
	}
	return ts
}

// enginePut puts for a while.
func enginePut(ctx context.Context, dir string, callers, batch int) (got speed, err error) {
	defer os.RemoveAll(dir)
	err = got.besides(dir, func() error {
		e, err := disk.Open(dir, disk.Options{})
		if err != nil {
			return err
		}
		defer e.Close()
		ts := make([]glassq.Task, batch)
		for i := range ts {
			ts[i] = glassq.Task{Queue: "q", Run: "r", Body: make([]byte, 32)}
		}
		took := make([][]time.Duration, callers)
		errs := make([]error, callers)
		for c := range callers {
			took[c] = make([]time.Duration, 0, 1<<16)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s0, _ := e.Stats(ctx)
		began := time.Now()
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for at := began; at.Sub(began).Seconds() < *seconds; {
					if _, errs[c] = e.Put(ctx, ts); errs[c] != nil {
						return
					}
					now := time.Now()
					took[c] = append(took[c], now.Sub(at))
					at = now
				}
			})
		}
		wg.Wait()
		spent := time.Since(began)
		runtime.ReadMemStats(&after)
		s1, _ := e.Stats(ctx)
		all := slices.Sorted(slices.Values(slices.Concat(took...)))
		got.rate, got.p50, got.p99 = float64(len(all)*batch)/spent.Seconds(), all[len(all)/2], all[len(all)*99/100]
		got.allocs = float64(after.Mallocs-before.Mallocs) / float64(len(all))
		got.syncs = float64(s1.Disk.Syncs-s0.Disk.Syncs) / float64(len(all))
		return errors.Join(errs...)
	})
	return got, err
}

func engineFill(ctx context.Context, e *disk.Engine, tasks int) error {
	for k := 0; k < tasks; k += 10_000 {
		if _, err := e.Put(ctx, engineTasks(k, min(10_000, tasks-k))); err != nil {
			return err
		}
	}
	return nil
}

const (
	drainCallers = 16
	drainBatch   = 100
)

// engineDrain reserves and acks a full queue for a while, or until it is empty.
func engineDrain(ctx context.Context, dir string, callers int) (got speed, err error) {
	const tasks = 2_000_000
	defer os.RemoveAll(dir)
	err = got.besides(dir, func() error {
		e, err := disk.Open(dir, disk.Options{})
		if err != nil {
			return err
		}
		defer e.Close()
		for k := 0; k < tasks; k += 10_000 {
			ts := engineTasks(k, 10_000)
			for i := range ts { // a plain queue: few of a high priority would be all that a short time sees
				ts[i].Priority, ts[i].TTL = 0, 0
			}
			if _, err := e.Put(ctx, ts); err != nil {
				return err
			}
		}
		s0, _ := e.Stats(ctx)
		rate, batches, err := drainAll(ctx, e, callers)
		got.rate = rate
		s1, _ := e.Stats(ctx)
		got.syncs = float64(s1.Disk.Syncs-s0.Disk.Syncs) / float64(batches)
		return err
	})
	return got, err
}

// drainAll has callers reserve and ack for a while, or until the queue is empty, and returns tasks per
// second and how many batches it were.
func drainAll(ctx context.Context, e *disk.Engine, callers int) (rate float64, batches int64, err error) {
	began := time.Now()
	var n, all atomic.Int64
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for c := range errs {
		wg.Go(func() {
			for time.Since(began).Seconds() < *seconds {
				acked, err := reserveAck(ctx, e, glassq.Reserve{Queue: "q", Max: drainBatch})
				if err != nil || acked == 0 {
					errs[c] = err
					return
				}
				n.Add(int64(acked))
				all.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(began).Seconds(), all.Load(), errors.Join(errs...)
}

// reserveAck acks what it reserves, and returns how many these were.
func reserveAck(ctx context.Context, e *disk.Engine, r glassq.Reserve) (int, error) {
	leases, err := e.Reserve(ctx, r)
	if err != nil || len(leases) == 0 {
		return 0, err
	}
	return len(leases), ackAll(ctx, e, leases)
}

func ackAll(ctx context.Context, e *disk.Engine, leases []glassq.Lease) error {
	acks := make([]glassq.Ack, len(leases))
	for i := range leases {
		acks[i].Token = leases[i].Token()
	}
	each, err := e.Ack(ctx, acks)
	return errors.Join(err, errors.Join(each...))
}

// status reads a line of a process's status in MB; 0 where there is none.
func status(pid int, name string) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			kb, _ := strconv.Atoi(f[1])
			return kb >> 10
		}
	}
	return 0
}
