package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

var (
	tenantBacklog = flag.Int("tenant-backlog", 1_000_000, "suite keys: tasks that one tenant keeps ready")
	tenantSeconds = flag.Float64("tenant-seconds", 60, "suite keys: how long that is, beside quiet tenants")
	interleaved   = flag.Int("interleaved", 10_000_000, "suite keys: tasks over 10,000 keys whose memory is measured")
)

// A keysBench is how much of everything suite keys takes.
type keysBench struct {
	*bench
	tasks, keys     int // tasks that a side drains; their keys
	idle, busy      int // keys that are remembered without tasks; keys that have tasks beside them
	quiet           int // tenants that put a task a second
	backlog         int
	span            time.Duration // of quiet tenants
	interleaved     int
	rounds          int
	workers, atOnce int // who takes the tasks of tenants, and how many at a time
}

// keysSuite measures what shares and limits of keys cost.
func keysSuite(b *bench) error {
	k := &keysBench{bench: b, tasks: 2_000_000, keys: 10_000, idle: 999_000, busy: 1000, quiet: 100,
		backlog: *tenantBacklog, span: time.Duration(*tenantSeconds * float64(time.Second)),
		interleaved: *interleaved, rounds: *rounds, workers: drainCallers, atOnce: drainBatch}
	if *small {
		k.shrink(2 * time.Second)
	}
	return k.all()
}

// shrink leaves enough of everything to see that it works.
func (k *keysBench) shrink(span time.Duration) {
	k.tasks, k.keys, k.idle, k.busy, k.backlog, k.interleaved = 50_000, 1000, 50_000, 100, 5000, 50_000
	k.span, k.rounds = span, 1
}

func (k *keysBench) all() error {
	if err := k.inProcess(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fill := exec.CommandContext(k.ctx, self, child, "keys", filepath.Join(k.dir, "interleaved"), strconv.Itoa(k.interleaved))
	fill.Stdout, fill.Stderr = os.Stdout, os.Stderr
	return fill.Run()
}

// inProcess prints all rows but that of memory, which wants a process of its own.
func (k *keysBench) inProcess() error {
	for _, mode := range slices.Compact([]string{*syncs, disk.SyncInterval}) {
		if err := k.limits(mode); err != nil {
			return err
		}
	}
	if err := k.remembered(); err != nil {
		return err
	}
	return k.tenants()
}

// Limits that never bind: with 16 x 100 leases out over 1,000 keys or more, none has 1,000,000 leases,
// nor 10,000 hand-outs a second.
var (
	wide  = glassq.KeyLimits{Concurrency: new(1_000_000)}
	swift = glassq.KeyLimits{Rate: new(glassq.KeyRate("10000/s")), Burst: new(10_000.0)}
)

// A keySide is one side of a row: a queue whose tasks have so many keys in turn.
type keySide struct {
	name     string
	keys     int // 0 for tasks without a key
	settings glassq.SettingsChange
	idle     int // keys that had a task each before
}

// keyed says that a side's tasks have keys, and what the queue says of them.
func keyed(name string, keys int, l glassq.KeyLimits) keySide {
	return keySide{name: name, keys: keys, settings: glassq.SettingsChange{Keys: &glassq.KeyRules{KeyLimits: l}}}
}

// keyTasks are tasks of a plain queue, whose keys take turns.
func keyTasks(first, n, keys int) []glassq.Task {
	ts := engineTasks(first, n)
	for i := range ts {
		ts[i].Priority, ts[i].TTL = 0, 0
		if keys > 0 {
			ts[i].Key = fmt.Sprintf("tenant-%06d", (first+i)%keys)
		}
	}
	return ts
}

// open makes a store with the queue of a side and its idle keys.
func (s keySide) open(ctx context.Context, dir, mode string) (*disk.Engine, error) {
	e, err := disk.Open(dir, disk.Options{Sync: mode})
	if err != nil {
		return nil, err
	}
	_, err = e.Configure(ctx, "q", s.settings)
	for first := 0; first < s.idle && err == nil; first += glassq.MaxBatch {
		ts := keyTasks(first, min(glassq.MaxBatch, s.idle-first), 0)
		for i := range ts {
			ts[i].Run, ts[i].Key = "before", fmt.Sprintf("idle-%08d", first+i)
		}
		if _, err = e.Put(ctx, ts); err == nil {
			_, err = reserveAck(ctx, e, glassq.Reserve{Queue: "q", Max: len(ts)})
		}
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// compare drains the same tasks from the queues of all sides in turn; the first is what others are
// compared with.
func (k *keysBench) compare(mode, asked string, sides ...keySide) error {
	rows, cpus := make([]row, len(sides)), make([]row, len(sides))
	order := make([]int, len(sides))
	for i := range sides {
		rows[i].name, order[i] = sides[i].name, i
	}
	for range k.rounds {
		for _, i := range order {
			rate, cpu, err := k.drain(mode, sides[i])
			if err != nil {
				return fmt.Errorf("%s: %w", sides[i].name, err)
			}
			rows[i].rates, cpus[i].rates = append(rows[i].rates, rate), append(cpus[i].rates, cpu)
		}
		slices.Reverse(order)
	}
	fmt.Printf("reserve + ack, %d callers x %d, sync %s, %d tasks\n", drainCallers, drainBatch, mode, k.tasks)
	for i, r := range rows {
		fmt.Printf("    %-42s %9.0f/s  %.0f  %.2f µs of processor time a task", r.name, r.median(), r.rates, cpus[i].median())
		if i > 0 {
			fmt.Printf("  ratio %.2f", r.median()/rows[0].median())
		}
		fmt.Println()
	}
	fmt.Printf("    asked: a ratio of %s\n", asked)
	return nil
}

// drain returns tasks per second, and the µs of processor time that each took.
func (k *keysBench) drain(mode string, s keySide) (rate, cpu float64, err error) {
	dir := filepath.Join(k.dir, "keys")
	defer os.RemoveAll(dir)
	e, err := s.open(k.ctx, dir, mode)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = cmp.Or(err, e.Close()) }()
	for first := 0; first < k.tasks; first += glassq.MaxBatch {
		if _, err := e.Put(k.ctx, keyTasks(first, min(glassq.MaxBatch, k.tasks-first), s.keys)); err != nil {
			return 0, 0, err
		}
	}
	used := processor()
	rate, batches, err := drainAll(k.ctx, e, drainCallers)
	if err == nil && batches == 0 {
		err = errors.New("a full queue gave nothing")
	}
	return rate, (processor() - used).Seconds() * 1e6 / float64(batches*drainBatch), err
}

func (k *keysBench) limits(mode string) error {
	return k.compare(mode, "0.85", keySide{name: "no keys"},
		keySide{name: fmt.Sprintf("%d keys, fair", k.keys), keys: k.keys, settings: glassq.SettingsChange{Fair: new(true)}},
		keyed(fmt.Sprintf("%d keys, each at most 1,000,000 leases", k.keys), k.keys, wide),
		keyed(fmt.Sprintf("%d keys, each at most 10,000/s", k.keys), k.keys, swift))
}

// remembered measures the same beside many keys without tasks that are remembered, because their buckets
// fill in an hour; and what memory each takes, beside as many that are not remembered.
func (k *keysBench) remembered() error {
	one := keyed("", 0, glassq.KeyLimits{Rate: new(glassq.KeyRate("1/h")), Burst: new(1.0)})
	one.settings.Keys.Overrides = map[string]glassq.KeyLimits{"tenant-*": swift}
	one.name, one.keys, one.idle = fmt.Sprintf("%d keys, %d beside them", k.busy, k.idle), k.busy, k.idle
	if err := k.compare(*syncs, "0.75", keySide{name: "no keys"}, one); err != nil {
		return err
	}
	two := keyed("", 0, wide)
	two.idle = k.idle
	var held [2]uint64 // bytes
	for i, s := range []keySide{one, two} {
		dir := filepath.Join(k.dir, "idle")
		heap() // what pools hold outlives one collection
		before := heap()
		e, err := s.open(k.ctx, dir, disk.SyncNever)
		if err != nil {
			return err
		}
		heap()
		held[i] = heap() - before
		if err := e.Close(); err != nil {
			return err
		}
		os.RemoveAll(dir)
	}
	fmt.Printf("an idle key that is remembered, its name of 13 bytes included: %.1f bytes; asked: 64 and its name\n",
		(float64(held[0])-float64(held[1]))/float64(k.idle))
	return nil
}

// keysFill shows the memory of a backlog over many keys, in a process of its own.
func keysFill(ctx context.Context, dir string, tasks int) error {
	const keys = 10_000
	defer os.RemoveAll(dir)
	e, err := keyed("", keys, wide).open(ctx, dir, disk.SyncInterval)
	if err != nil {
		return err
	}
	for first := 0; first < tasks; first += glassq.MaxBatch {
		if _, err := e.Put(ctx, keyTasks(first, min(glassq.MaxBatch, tasks-first), keys)); err != nil {
			return errors.Join(err, e.Close())
		}
	}
	fmt.Printf("%d ready over %d keys in turn: resident %d MB, at most %d MB; asked for 10 million: 600\n", tasks, keys,
		status(os.Getpid(), "VmRSS:"), status(os.Getpid(), "VmHWM:"))
	return e.Close()
}
