package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

var backlog = flag.Int("backlog", 10_000_000, "tasks that suite engine keeps ready")

// engineRows measures the embedded engine in this process: speed with --sync always beside the disk's bare
// sync, then memory, start and disk space of a backlog of -backlog tasks.
func engineRows(b *bench) error {
	ctx, dir, bare, tasks := b.ctx, b.dir, b.bare, *backlog
	fmt.Printf("embedded engine, %s, %d CPUs, sync always, bare sync p50 %v\n", runtime.Version(), runtime.NumCPU(), bare)
	for _, c := range []struct{ callers, batch int }{{8, 256}, {1, 256}, {1, 1}, {64, 1}} {
		if err := enginePut(ctx, filepath.Join(dir, fmt.Sprint("put", c.callers, c.batch)), c.callers, c.batch); err != nil {
			return err
		}
	}
	if err := engineDrain(ctx, filepath.Join(dir, "drain")); err != nil {
		return err
	}
	return engineBacklog(ctx, filepath.Join(dir, "backlog"), tasks)
}

func engineTasks(first, n int) []glassq.Task {
	ts := make([]glassq.Task, n)
	for i := range ts {
		k := first + i
		ts[i] = glassq.Task{Queue: "q", Run: "r", N: uint32(k), Dense: true, Body: fmt.Appendf(nil, "%032d", k)}
		if k%100 == 0 {
			ts[i].Priority, ts[i].TTL = glassq.Level(k/100%10), 24*time.Hour
		}
	}
	return ts
}

// enginePut puts for three seconds.
func enginePut(ctx context.Context, dir string, callers, batch int) error {
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	ts := make([]glassq.Task, batch)
	for i := range ts {
		ts[i] = glassq.Task{Queue: "q", Run: "r", Body: make([]byte, 32)}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s0, _ := e.Stats(ctx)
	began := time.Now()
	took := make([][]time.Duration, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		took[c] = make([]time.Duration, 0, 1<<16)
		wg.Go(func() {
			for at := began; at.Sub(began) < 3*time.Second; {
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
	fmt.Printf("put, %2d callers x %3d: %9.0f/s  p50 %v p99 %v  %.2f allocations a batch  %.2f syncs a batch\n", callers, batch,
		float64(len(all)*batch)/spent.Seconds(), all[len(all)/2], all[len(all)*99/100],
		float64(after.Mallocs-before.Mallocs)/float64(len(all)), float64(s1.Syncs-s0.Syncs)/float64(len(all)))
	return errors.Join(errs...)
}

func engineFill(ctx context.Context, e *disk.Engine, tasks int) error {
	for k := 0; k < tasks; k += 10_000 {
		if _, err := e.Put(ctx, engineTasks(k, min(10_000, tasks-k))); err != nil {
			return err
		}
	}
	return nil
}

// engineDrain reserves and acks with 16 callers in batches of 100.
func engineDrain(ctx context.Context, dir string) error {
	const tasks = 2_000_000
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	if err := engineFill(ctx, e, tasks); err != nil {
		return err
	}
	began := time.Now()
	var n atomic.Int64
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for c := range errs {
		wg.Go(func() {
			for {
				leases, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 100})
				if err != nil || len(leases) == 0 {
					errs[c] = err
					return
				}
				acks := make([]glassq.Ack, len(leases))
				for i := range leases {
					acks[i].Token = leases[i].Token()
				}
				each, err := e.Ack(ctx, acks)
				if err = errors.Join(err, errors.Join(each...)); err != nil {
					errs[c] = err
					return
				}
				n.Add(int64(len(leases)))
			}
		})
	}
	wg.Wait()
	fmt.Printf("reserve + ack, 16 callers x 100: %.0f/s\n", float64(n.Load())/time.Since(began).Seconds())
	return errors.Join(errs...)
}

// engineBacklog fills a store, looks at memory, opens a copy of the files as a kill would leave them, and
// acks half at random.
func engineBacklog(ctx context.Context, dir string, tasks int) error {
	e, err := disk.Open(dir, disk.Options{Sync: disk.SyncInterval})
	if err != nil {
		return err
	}
	if err := engineFill(ctx, e, tasks); err != nil {
		return err
	}
	fmt.Printf("%d ready: resident %d MB, at most %d MB\n", tasks, status("VmRSS:"), status("VmHWM:"))
	killed := dir + "-killed"
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		return err
	}
	began := time.Now()
	again, err := disk.Open(killed, disk.Options{})
	if err != nil {
		return err
	}
	fmt.Printf("start on what a kill leaves: %.2f s\n", time.Since(began).Seconds())
	if err := again.Close(); err != nil {
		return err
	}
	os.RemoveAll(killed)
	debug.FreeOSMemory()

	rnd := rand.New(rand.NewPCG(1, 2))
	var back []glassq.Nack
	began = time.Now()
	for {
		leases, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 10_000, Lease: 12 * time.Hour})
		if err != nil {
			return err
		}
		if len(leases) == 0 {
			break
		}
		var acks []glassq.Ack
		for i := range leases {
			if rnd.IntN(2) == 0 {
				acks = append(acks, glassq.Ack{Token: leases[i].Token()})
			} else {
				back = append(back, glassq.Nack{Token: leases[i].Token(), Undone: true})
			}
		}
		if _, err := e.Ack(ctx, acks); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(back, 10_000) {
		if _, err := e.Nack(ctx, part); err != nil {
			return err
		}
	}
	fmt.Printf("half acked at random in %.1f s\n", time.Since(began).Seconds())
	began = time.Now()
	for i := 0; ; i++ {
		s, err := e.Stats(ctx)
		if err != nil {
			return err
		}
		ratio := float64(s.DiskBytes) / float64(max(s.LiveBytes, 1))
		if ratio < 2 || time.Since(began) > time.Minute {
			fmt.Printf("disk %d MB, live %d MB, %.2fx, after %.1f s\n", s.DiskBytes>>20, s.LiveBytes>>20, ratio, time.Since(began).Seconds())
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	return e.Close()
}

// status reads a line of the process's status in MB; 0 where there is none.
func status(name string) int {
	b, err := os.ReadFile("/proc/self/status")
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
