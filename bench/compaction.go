package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal"
)

var compact = flag.Int("compact", 8_000_000, "tasks of the log that suite compaction compacts while it puts")

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

// parts is how many times the puts go without compaction and then with it.
const parts = 3

// engineCompaction puts at a constant rate, in turn beside a log that needs no compaction and while
// a part of it is compacted: four fifths of what is in that part end at one stroke. The disk's own
// times are measured between the two.
func engineCompaction(ctx context.Context, dir string) error {
	defer os.RemoveAll(dir)
	e, err := disk.Open(filepath.Join(dir, "log"), disk.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	each := max(1, *compact/parts)
	for k := 0; k < each*parts; k += 10_000 {
		ts := make([]glassq.Task, min(10_000, each*parts-k))
		for i := range ts {
			ts[i] = glassq.Task{Queue: "q", Run: ends((k + i) / each), Position: uint32(k + i), Dense: true,
				Body: fmt.Appendf(nil, "%032d", k+i)}
			if (k+i)%5 == 0 {
				ts[i].Run = "stays"
			}
		}
		if _, err := e.Put(ctx, ts); err != nil {
			return err
		}
	}
	var quiet, busy []time.Duration // p99 of each turn
	for part := range parts {
		bare50, bare99, err := wal.SyncTimes(dir)
		if err != nil {
			return err
		}
		without, usual, err := steadyAlone(ctx, e)
		if err != nil {
			return err
		}
		if _, err := e.CancelRun(ctx, ends(part)); err != nil {
			return err
		}
		with, moved, took, err := steadyBeside(ctx, e, usual)
		if err != nil {
			return err
		}
		p50, p99, most := quantiles(without)
		fmt.Printf("put, %d/s in batches of %d, from due to answered: %6d puts, p50 %v p99 %v most %v; bare sync p50 %v p99 %v\n",
			int(steadyTasks*time.Second/steadyEvery), steadyTasks, len(without), p50, p99, most, bare50, bare99)
		if len(with) == 0 {
			fmt.Printf("    the log of %d tasks was not compacted: too few for that\n", *compact)
			continue
		}
		c50, c99, most := quantiles(with)
		fmt.Printf("    the same while %.0f MB are moved in %.1f s:          %6d puts, p50 %v p99 %v most %v\n", moved/1e6,
			took.Seconds(), len(with), c50, c99, most)
		quiet, busy = append(quiet, p99), append(busy, c99)
	}
	if len(busy) > 0 {
		slices.Sort(quiet)
		slices.Sort(busy)
		fmt.Printf("    p99 during compaction ÷ p99 without, medians of %d turns each: %.2f; asked: 1.5 at most\n", len(busy),
			float64(busy[len(busy)/2])/float64(quiet[len(quiet)/2]))
	}
	return nil
}

func ends(part int) string { return fmt.Sprintf("ends%d", part) }

func appended(ctx context.Context, e *disk.Engine) uint64 {
	s, _ := e.Stats(ctx)
	return s.Bytes
}

// steadyAlone puts for -seconds, and tells how many bytes a second that appends.
func steadyAlone(ctx context.Context, e *disk.Engine) (all []late, usual float64, err error) {
	began, before := time.Now(), appended(ctx, e)
	all, err = steady(ctx, e, func() bool {
		time.Sleep(lookEvery)
		return time.Since(began).Seconds() < *seconds
	})
	return all, float64(appended(ctx, e)-before) / time.Since(began).Seconds(), err
}

// steadyBeside puts while the log is compacted, which is seen by what is appended beside the puts:
// usual is what they append in a second. Puts that were due before or after it do not count.
func steadyBeside(ctx context.Context, e *disk.Engine, usual float64) (all []late, moved float64, took time.Duration,
	err error) {
	var first, last time.Time
	began := time.Now()
	at, size := began, appended(ctx, e)
	all, err = steady(ctx, e, func() bool {
		time.Sleep(lookEvery)
		now, is := time.Now(), appended(ctx, e)
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
	all = slices.DeleteFunc(all, func(l late) bool { return l.due.Before(first) || l.due.After(last) })
	return all, moved, last.Sub(first), err
}
