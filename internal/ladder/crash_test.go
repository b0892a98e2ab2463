package ladder

import (
	"context"
	"flag"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq/internal/wal/waltest"
)

var (
	crashes = flag.Int("crashes", 20_000, "distinct simulated crashes to reach")
	seed    = flag.Uint64("seed", 1, "of scripts, kept writes and walks")
	only    = flag.String("script", "", "play only the script of this name")
)

// budget is n, or a tenth under -short: the race detector, which runs so, needs the same paths, not
// the same number of disks. Every script is played even then, and crashes at a tenth of its
// moments.
func budget(n int) int {
	if testing.Short() {
		return (n + 9) / 10
	}
	return n
}

// variants is how many disks are tried of each moment, beside those of a killed process and of a
// power cut that keeps nothing.
const variants = 6

// tally counts over all scripts.
type tally struct {
	scripts, points, crashes, again, drains atomic.Int64
}

// TestCrash plays every script, and more of them until the budget is reached. After every call of
// the file system it crashes in many ways, also while recovering from a crash, twice; every disk
// that comes of it must recover to a state that was promised, and go on from there.
func TestCrash(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a life is short and leaves much behind
	start := time.Now()
	var total tally
	var next atomic.Int64
	names := map[string]bool{}
	for _, s := range table {
		names[s.name] = true
	}
	t.Logf("-seed %d", *seed)
	t.Run("scripts", func(t *testing.T) {
		for w := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for !t.Failed() {
					i := int(next.Add(1)) - 1
					if i >= len(table) && total.crashes.Load() >= int64(budget(*crashes)) {
						return
					}
					s := table[i%len(table)]
					if *only != "" && s.name != *only {
						if i > 100*len(table) {
							return
						}
						continue
					}
					x := explorer{t: t, script: s, seed: *seed + uint64(i/len(table)), total: &total}
					x.run()
				}
			})
		}
	})
	took := time.Since(start)
	last := *seed + uint64(max(int(next.Load())-1-runtime.GOMAXPROCS(0), 0)/len(table)) // of the rounds that began
	n := total.crashes.Load()
	stdout("rung=crash crashes=%d scripts=%d named=%d points=%d while_recovering=%d drains=%d seed=%d next_seed=%d seconds=%.0f per_second=%.0f failed=%v",
		n, total.scripts.Load(), len(names), total.points.Load(), total.again.Load(), total.drains.Load(), *seed, last+1,
		took.Seconds(),
		float64(n)/took.Seconds(), t.Failed())
}

// An explorer tries the crashes of one script.
type explorer struct {
	t      *testing.T
	script script
	seed   uint64
	total  *tally
	seen   map[uint64]struct{} // script, crash points and kept writes
	hash   maphash.Hash
	rng    *rand.Rand
}

func (x *explorer) run() {
	h := fmt.Appendf(nil, "%s", x.script.name)
	id := uint64(14695981039346656037)
	for _, c := range h {
		id = (id ^ uint64(c)) * 1099511628211
	}
	x.rng = rand.New(rand.NewPCG(x.seed, id))
	x.seen = map[uint64]struct{}{}
	steps := x.script.steps
	if strings.HasPrefix(x.script.name, "mixed") {
		steps = mixed(x.rng, 10+x.rng.IntN(10))
	}
	x.total.scripts.Add(1)
	var points []point
	synctest.Test(x.t, func(t *testing.T) {
		p := &play{fs: waltest.NewFS(), opt: x.script.opt, from: candsOf(newModel()), cut: candsOf(newModel()),
			steps: steps, rng: x.rng,
			pre: "a", keep: func(int) bool { return true }, settle: x.rng.IntN(3) > 0}
		var err error
		if points, err = p.run(t.Context()); err == nil {
			err = p.same(t.Context())
		}
		if err != nil {
			x.fail(nil, steps, err)
		}
		p.stop()
	})
	step, from := 1, 0
	if testing.Short() {
		step, from = 10, x.rng.IntN(10)
	}
	for i := from; i < len(points); i += step {
		if x.t.Failed() {
			return
		}
		synctest.Test(x.t, func(t *testing.T) {
			time.Sleep(time.Until(time.UnixMilli(points[i].at)))
			x.point(t.Context(), &points[i], steps)
		})
	}
}

// point crashes at one moment in several ways, and in one of them lets everything come to its end.
func (x *explorer) point(ctx context.Context, p *point, steps []string) {
	x.total.points.Add(1)
	n := min(variants, 1<<min(p.image.Pending(), 20))
	if *crashes < 50_000 {
		n = min(n, 1) // a small budget is spent on all moments
	}
	for v := range n + 2 {
		if x.t.Failed() {
			return
		}
		x.crash(ctx, p, v, steps, []int{p.call}, v == 2)
	}
}

// crash makes the disk of variant v of a moment and recovers from it. Recoveries crash as well, to
// a depth of two.
func (x *explorer) crash(ctx context.Context, at *point, v int, steps []string, path []int, drain bool) {
	fs, from := x.disk(at, v)
	x.hash.Reset()
	maphash.WriteComparable(&x.hash, len(path))
	for _, c := range path {
		maphash.WriteComparable(&x.hash, c)
	}
	fs.Hash(&x.hash)
	key := x.hash.Sum64()
	if _, ok := x.seen[key]; ok {
		return
	}
	x.seen[key] = struct{}{}
	x.total.crashes.Add(1)

	p := &play{fs: fs, opt: x.script.opt, from: from, cut: at.power, floor: at.floor, rng: x.rng,
		pre: at.prefix + string('a'+byte(len(path)))}
	deep := len(path) <= 2 && (v < 2 || x.rng.IntN(3) == 0)
	if x.rng.IntN(4) == 0 {
		p.steps = make([]string, 1+x.rng.IntN(3))
		for i := range p.steps {
			p.steps[i] = after[x.rng.IntN(len(after))]
		}
	}
	if deep {
		lot := x.rng.IntN(3)
		p.keep = func(call int) bool { return call%3 == lot }
		x.total.again.Add(1)
	}
	points, err := p.run(ctx)
	if err == nil && drain {
		x.total.drains.Add(1)
		err = p.drain(ctx)
	}
	if err != nil {
		x.fail(path, steps, fmt.Errorf("variant %d, then %q: %w", v, p.steps, err))
	}
	p.stop()
	if err != nil || drain {
		return // time went on
	}
	for i := range points {
		q := &points[i]
		x.crash(ctx, q, x.rng.IntN(variants+2), steps, append(path[:len(path):len(path)], q.call), false)
	}
}

// after are the steps that a recovered store takes.
var after = strings.Fields("one put big reserve reserve ack result take nack die undo extend again stale ids dup restart")

// disk makes variant v of a moment: 0 keeps what a killed process leaves, 1 only what was synced,
// the others what chance says.
func (x *explorer) disk(p *point, v int) (*waltest.FS, cands) {
	switch v {
	case 0:
		return p.image.Kill(), p.kill
	case 1:
		return p.image.Crash(func() waltest.Fate { return waltest.Lost }), p.power
	}
	share := []float64{0.15, 0.5, 0.85, 1}[x.rng.IntN(4)]
	rough := []float64{0, 0.1, 0.3}[x.rng.IntN(3)]
	return p.image.Crash(func() waltest.Fate {
		switch {
		case x.rng.Float64() < rough:
			return waltest.Torn + waltest.Fate(x.rng.IntN(2))
		case x.rng.Float64() < share:
			return waltest.Kept
		}
		return waltest.Lost
	}), p.power
}

func (x *explorer) fail(path []int, steps []string, err error) {
	x.t.Errorf("script %q (-seed %d -script %q), steps %q, crash after call %v: %v", x.script.name, x.seed,
		x.script.name, steps, path, err)
}
