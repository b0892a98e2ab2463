package ladder

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal/waltest"
)

var flips = flag.Int("flips", 2500, "bytes to flip one at a time, spread evenly over the store; each of them once it has no more")

// flipped is the life whose store is damaged: whole segments, checkpoints, bodies that were moved,
// leases, results, runs, dead tasks, and a last segment. Its tasks need no clock.
var flipped = strings.Fields("big big reserve ack sleep ids put reserve result big reserve die set seal put big reserve allack sleep big put reserve ack sleep put")

// TestFlipped flips one byte of a store that was closed, in turn. A start must refuse, or fall back
// to something whole, or show exactly what was there but for bodies that it reports; it never hands
// out other bytes, and never drops a task without saying so.
func TestFlipped(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 9))
	p := &play{fs: waltest.NewFS(), opt: disk.Options{SegmentSize: 8 << 10, CacheBytes: 1}, from: candsOf(newModel()),
		cut:   candsOf(newModel()),
		steps: flipped, rng: rng, pre: "f", settle: true}
	var at time.Time
	synctest.Test(t, func(t *testing.T) {
		if _, err := p.run(t.Context()); err != nil {
			t.Fatalf("-seed %d: %v", *seed, err)
		}
		if err := p.e.Close(); err != nil {
			t.Fatal(err)
		}
		at = time.Now()
	})
	type place struct {
		name string
		off  int64
	}
	var all []place
	names, err := p.fs.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := p.fs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Size()
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		for off := range size {
			all = append(all, place{name, off})
		}
	}
	if len(p.d.m.tasks) < 5 || len(names) < 5 {
		t.Fatalf("the store to damage has %d tasks in files %q: too little to see anything", len(p.d.m.tasks), names)
	}
	step := max(1, len(all)/max(1, budget(*flips)))
	var next, refused, reported, whole atomic.Int64
	next.Store(int64(rng.IntN(step)))
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				i := int(next.Add(int64(step))) - step
				if i >= len(all) {
					return
				}
				x := all[i]
				bits := byte(1) << (i % 8)
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(time.Until(at))
					fs := p.fs.Kill()
					fs.Flip(x.name, x.off, bits)
					how, err := openFlipped(t.Context(), fs, p)
					if err != nil {
						t.Errorf("%s, byte %d, bit %#x (-seed %d): %v", x.name, x.off, bits, *seed, err)
					}
					map[string]*atomic.Int64{"refused": &refused, "reported": &reported, "whole": &whole}[how].Add(1)
				})
			}
		})
	}
	wg.Wait()
	stdout("rung=flips flips=%d of=%d refused=%d reported=%d whole=%d seed=%d failed=%v",
		refused.Load()+reported.Load()+whole.Load(), len(all), refused.Load(), reported.Load(), whole.Load(), *seed,
		t.Failed())
	if refused.Load() == 0 || reported.Load() == 0 || whole.Load() == 0 {
		t.Error("one of the three ends never came: the rung is blind")
	}
}

// openFlipped opens a damaged store and compares it with what p left there.
func openFlipped(ctx context.Context, fs *waltest.FS, p *play) (how string, err error) {
	opt := p.opt
	opt.FS = fs
	e, err := disk.Open("", opt)
	if err != nil {
		if c := glassq.CodeOf(err); c != glassq.CodeDamaged && !strings.Contains(err.Error(), "format") {
			return "refused", fmt.Errorf("Open = %w; want code damaged", err)
		}
		return "refused", nil
	}
	defer e.Close()
	how = "whole"
	now := time.Now().UnixMilli()
	m := p.d.m.clone()
	m.advance(now)
	got, err := observe(ctx, e, now)
	switch {
	case glassq.CodeOf(err) == glassq.CodeDamaged:
		how = "reported"
	case err != nil:
		return how, err
	case got != m.view():
		return how, fmt.Errorf("started with another state:\n%s", diff(got, m.view()))
	}
	for _, q := range append(slices.Clip(queues), "next") {
		want := m.heads(q, 1000)
		missing := 0
		for {
			ls, err := e.Reserve(ctx, glassq.Reserve{Queue: q, Max: 100})
			if glassq.CodeOf(err) == glassq.CodeDamaged {
				continue // nothing else was left; it is dead now
			}
			if err != nil {
				return how, fmt.Errorf("Reserve from %s = %w", q, err)
			}
			if len(ls) == 0 {
				break
			}
			for i := range ls {
				for len(want) > 0 && !bytes.Equal(ls[i].Body, m.find(want[0]).Body) {
					want = want[1:]
					missing++
				}
				if len(want) == 0 {
					return how, fmt.Errorf("Reserve from %s: body %q is none of those to come", q,
						ls[i].Body[:min(30, len(ls[i].Body))])
				}
				want = want[1:]
			}
		}
		missing += len(want)
		if missing == 0 {
			continue
		}
		how = "reported"
		is, err := e.Queues(ctx, q)
		if err != nil {
			return how, err
		}
		if dead := m.held(q, glassq.Dead) + int64(missing); is[0].Dead != dead {
			return how, fmt.Errorf("queue %s: %d tasks were not handed out, and %d are dead; want %d", q, missing, is[0].Dead,
				dead)
		}
	}
	return how, nil
}
