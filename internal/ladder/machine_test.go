package ladder

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq/internal/wal/waltest"
	"pgregory.net/rapid"
)

// A tape lets rapid choose, which tries lives at random and makes a short one of a long one that
// fails.
type tape struct{ t *rapid.T }

// evenly is a number below n, each as likely: rapid's own ranges prefer small ones.
func evenly(n int) *rapid.Generator[int] {
	if n == 1 {
		return rapid.Just(0)
	}
	return rapid.Custom(func(t *rapid.T) int {
		v := uint64(0)
		for top := uint64(n-1) << 5; top > 0; top >>= 1 { // so many bits that the remainder favours nothing
			v <<= 1
			if coin.Draw(t, "bit") {
				v |= 1
			}
		}
		return int(v % uint64(n))
	})
}

var coin = rapid.Bool()

func (c tape) IntN(n int) int          { return evenly(n).Draw(c.t, "choice") }
func (c tape) Uint32N(n uint32) uint32 { return uint32(c.IntN(int(n))) }

func (c tape) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		if j := i - c.IntN(i+1); i != j { // rapid makes choices small: then nothing moves
			swap(i, j)
		}
	}
}

// bubble runs a check of rapid with fake time: rapid wants its panics back on its own goroutine.
func bubble(t *testing.T, check func(ctx context.Context)) {
	var thrown any
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if thrown = recover(); thrown != nil {
				if err, ok := thrown.(runtime.Error); ok {
					thrown = fmt.Sprintf("%v\n%s", err, debug.Stack())
				}
			}
		}()
		check(t.Context())
	})
	switch fmt.Sprintf("%T", thrown) {
	case "<nil>":
	case "rapid.stopTest":
		panic(thrown) // rapid takes failures from different lines for different ones
	default:
		panic(thrown)
	}
}

// A machine is a store beside its model, through any number of lives.
type machine struct {
	rt    *rapid.T
	ctx   context.Context
	p     *play
	lives int
	log   []string

	steps, crashes, deep int
}

// busy are the steps of a life that rapid chooses from: each as often as it stands there.
var busy = slices.Concat(strings.Fields("wait look grab unpause hour expire reserve reserve put"), pipeline, usual)

// anyStep is one of those, and anyTurn one of those with keys too, or an archive.
var (
	anyStep = rapid.Map(evenly(len(busy)), func(i int) string { return busy[i] })
	anyTurn = rapid.Map(evenly(len(both)+3), func(i int) string {
		if i >= len(both) {
			return "archive"
		}
		return both[i]
	})
	both = slices.Concat(busy, turns)
)

// TestMachine is one state machine of the whole engine: every verb with every option, clock moves,
// restarts, and ends of the process or of the power in the middle of a step or of a recovery. After
// every step the store must show what the model does. rapid drives it, and shrinks what fails to
// the choices that matter;
// -rapid.checks, -rapid.steps and -rapid.seed are its flags.
func TestMachine(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // what fails, fails again more often
	start := time.Now()
	var lives, steps, crashes, deep int
	defer func() {
		stdout("rung=machine machines=%d lives=%d steps=%d crashes=%d while_recovering=%d seed=%s seconds=%.0f failed=%v",
			lives-crashes, lives, steps, crashes, deep, flag.Lookup("rapid.seed").Value, time.Since(start).Seconds(), t.Failed())
	}()
	rapid.Check(t, func(rt *rapid.T) {
		bubble(t, func(ctx context.Context) {
			x := &machine{rt: rt, ctx: ctx}
			defer func() {
				if x.p != nil {
					x.p.stop()
				}
				lives, steps, crashes, deep = lives+x.lives, steps+x.steps, crashes+x.crashes, deep+x.deep
			}()
			opt := options(evenly(10).Draw(rt, "options"))
			x.p = &play{fs: waltest.NewFS(), opt: opt, from: candsOf(newModel()), cut: candsOf(newModel()), rng: tape{rt},
				pre: "a", settle: true}
			x.lives++
			x.must("the first start", x.p.begin(ctx))
			rt.Repeat(map[string]func(*rapid.T){
				"step":  func(*rapid.T) { x.step() },
				"steps": func(*rapid.T) { x.step(); x.step(); x.step(); x.step() },
				"crash": func(*rapid.T) {
					if evenly(3).Draw(rt, "spare") == 0 {
						x.crash()
					} else {
						x.step()
					}
				},
				"": func(*rapid.T) { x.must("after it", x.p.same(ctx)) },
			})
			if rapid.Bool().Draw(rt, "drain") {
				x.must("drain", x.p.drain(ctx))
			}
		})
	})
}

func (x *machine) must(what string, err error) {
	if err != nil {
		x.rt.Fatalf("%s: %v\nlife: %q", what, err, x.log)
	}
}

func (x *machine) step() {
	name := anyTurn.Draw(x.rt, "step")
	x.steps++
	x.log = append(x.log, name)
	x.must(name, x.p.take(x.ctx, name))
}

// crash ends the life in the middle of a step, or after it, and starts the next one, which may end
// while it recovers.
func (x *machine) crash() {
	name := anyTurn.Draw(x.rt, "last step")
	at, ok := x.during(func() {
		x.steps++
		x.log = append(x.log, name)
		x.must(name, x.p.take(x.ctx, name))
		synctest.Wait()
	})
	if !ok {
		x.p.mark(x.p.fs.Calls())
		at = x.p.points()[0]
	}
	for again := true; again; {
		x.p.stop()
		x.crashes++
		x.lives++
		x.log = append(x.log, "crash")
		fs, from := x.disk(&at)
		x.p = &play{fs: fs, opt: x.p.opt, from: from, cut: at.power, floor: at.floor, rng: tape{x.rt}, pre: at.prefix + "a",
			settle: true}
		at, again = x.during(func() { x.must("the start after a crash", x.p.begin(x.ctx)) })
		if again {
			x.deep++
		}
	}
}

// during does something and notes the moment of one call of the file system, if there are so many.
func (x *machine) during(do func()) (at point, ok bool) {
	call := rapid.IntRange(0, 24).Draw(x.rt, "crash in call") // 0 is none
	if call > 0 {
		start := x.p.fs.Calls()
		x.p.fs.OnCall(func(n int) {
			if n-start == call {
				x.p.mark(n)
			}
		})
		defer x.p.fs.OnCall(nil)
	}
	do()
	if ps := x.p.points(); len(ps) > 0 {
		return ps[0], true
	}
	return at, false
}

// disk is what is left of the disk, and what may be on it.
func (x *machine) disk(at *point) (*waltest.FS, cands) {
	ends := []string{"kill", "power cut, nothing kept", "power cut, some kept", "power cut, torn"}
	if x.p.opt.Sync != "" {
		ends = ends[:1] // what a power cut leaves may look like two states that differ in what does not show
	}
	var fate func() waltest.Fate
	switch rapid.SampledFrom(ends).Draw(x.rt, "end") {
	case "kill":
		return at.image.Kill(), at.kill
	case "power cut, nothing kept":
		fate = func() waltest.Fate { return waltest.Lost }
	case "power cut, some kept":
		fate = func() waltest.Fate { return waltest.Fate(evenly(2).Draw(x.rt, "fate")) }
	default:
		fate = func() waltest.Fate { return waltest.Fate(evenly(4).Draw(x.rt, "fate")) }
	}
	return at.image.Crash(fate), at.power
}
