package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

var compact = flag.Int("compact", 8_000_000, "tasks of the log that suite engine compacts while it puts")

const (
	steadyTasks = 10 // of a put
	steadyEvery = 200 * time.Microsecond
	steadyMost  = 128 // puts under way at one time
	lookEvery   = 50 * time.Millisecond
)

// A late is how long after it was due a put was answered.
type late struct {
	due  time.Time
	took time.Duration
}

// steady puts at a constant rate, whether the puts before are answered or not, until more says no,
// which is asked now and then. How long a put took counts from when it was due, so that nothing
// that holds up the puts hides how long.
func steady(ctx context.Context, e *disk.Engine, more func() bool) ([]late, error) {
	dues := make(chan time.Time, 1<<20)
	taken := make([][]late, steadyMost)
	errs := make([]error, steadyMost)
	var wg sync.WaitGroup
	for c := range taken {
		wg.Go(func() {
			ts := make([]glassq.Task, steadyTasks)
			for i := range ts {
				ts[i] = glassq.Task{Queue: "steady", Body: make([]byte, 32)}
			}
			for due := range dues {
				if _, err := e.Put(ctx, ts); err != nil {
					errs[c] = err
					continue
				}
				taken[c] = append(taken[c], late{due, time.Since(due)})
			}
		})
	}
	var stop atomic.Bool
	wg.Go(func() {
		for more() {
		}
		stop.Store(true)
	})
	for due := time.Now(); !stop.Load() && ctx.Err() == nil; due = due.Add(steadyEvery) {
		time.Sleep(time.Until(due))
		dues <- due
	}
	close(dues)
	wg.Wait()
	return slices.Concat(taken...), errors.Join(append(errs, ctx.Err())...)
}

func quantiles(all []late) (p50, p99, most time.Duration) {
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.SortFunc(all, func(a, b late) int { return int(a.took - b.took) })
	return all[len(all)/2].took, all[len(all)*99/100].took, all[len(all)-1].took
}

// engineCompaction puts at a constant rate beside a log that needs no compaction, and then while it
// is compacted: three quarters of what is in it ends at one stroke.
func engineCompaction(ctx context.Context, dir string) error {
	defer os.RemoveAll(dir)
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	for k := 0; k < *compact; k += 10_000 {
		ts := make([]glassq.Task, min(10_000, *compact-k))
		for i := range ts {
			ts[i] = glassq.Task{Queue: "q", Run: "ends", Position: uint32(k + i), Dense: true,
				Body: fmt.Appendf(nil, "%032d", k+i)}
			if (k+i)%4 == 0 {
				ts[i].Run = "stays"
			}
		}
		if _, err := e.Put(ctx, ts); err != nil {
			return err
		}
	}
	grown := func() uint64 {
		s, _ := e.Stats(ctx)
		return s.Bytes
	}
	began, before := time.Now(), grown()
	without, err := steady(ctx, e, func() bool {
		time.Sleep(lookEvery)
		return time.Since(began).Seconds() < *seconds
	})
	if err != nil {
		return err
	}
	usual := float64(grown()-before) / time.Since(began).Seconds()

	if _, err := e.CancelRun(ctx, "ends"); err != nil {
		return err
	}
	// Compaction is seen by what is appended to the log beside the puts.
	var first, last time.Time
	var moved float64
	began = time.Now()
	at, size := began, grown()
	with, err := steady(ctx, e, func() bool {
		time.Sleep(lookEvery)
		now, is := time.Now(), grown()
		beside := float64(is-size) - usual*now.Sub(at).Seconds()
		if beside > usual*now.Sub(at).Seconds() {
			if first.IsZero() {
				first = at
			}
			last, moved = now, moved+beside
		}
		at, size = now, is
		return now.Sub(began) < time.Minute && (first.IsZero() && now.Sub(began) < 5*time.Second ||
			now.Sub(last) < 3*time.Second)
	})
	if err != nil {
		return err
	}
	with = slices.DeleteFunc(with, func(l late) bool { return l.due.Before(first) || l.due.After(last) })
	p50, p99, most := quantiles(without)
	fmt.Printf("put, %d/s in batches of %d, from due to answered: %6d puts, p50 %v p99 %v most %v\n",
		int(steadyTasks*time.Second/steadyEvery), steadyTasks, len(without), p50, p99, most)
	if first.IsZero() {
		fmt.Printf("    the log of %d tasks was not compacted: too few for that\n", *compact)
		return nil
	}
	c50, c99, most := quantiles(with)
	fmt.Printf("    the same while %.0f MB are moved in %.1f s:          %6d puts, p50 %v p99 %v most %v\n", moved/1e6,
		last.Sub(first).Seconds(),
		len(with), c50, c99, most)
	fmt.Printf("    p99 while it is compacted %.2f of p50 without; asked: below 5\n", float64(c99)/float64(p50))
	return nil
}
