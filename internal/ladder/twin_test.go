package ladder

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal/waltest"
	"pgregory.net/rapid"
)

// A way is how a life is lived that ought to make no difference to anyone who looks on.
type way struct {
	name   string
	opt    disk.Options
	single bool                                // batches are split into single ones
	before func(w *twin, rng *rand.Rand) error // comes between any two steps
}

// roomy has neither rolls nor checkpoints while it runs.
var roomy = disk.Options{SegmentSize: 4 << 20}

// ways are compared with the first of them.
var ways = []way{
	{name: "plainly", opt: roomy},
	{name: "one at a time", opt: roomy, single: true},
	{name: "with rolls, checkpoints and moves", opt: disk.Options{SegmentSize: 8 << 10, CacheBytes: 1}},
	{name: "with restarts", opt: roomy, before: func(w *twin, rng *rand.Rand) error {
		if rng.IntN(3) > 0 {
			return nil
		}
		return w.restart(nil)
	}},
	{name: "with restarts in small segments", opt: disk.Options{SegmentSize: 8 << 10},
		before: func(w *twin, rng *rand.Rand) error {
			if rng.IntN(3) > 0 {
				return nil
			}
			return w.restart(nil)
		}},
	{name: "killed", opt: disk.Options{SegmentSize: 12 << 10}, before: func(w *twin, rng *rand.Rand) error {
		if rng.IntN(3) > 0 {
			return nil
		}
		return w.kill(nil)
	}},
	{name: "from archive to archive", opt: disk.Options{SegmentSize: 8 << 10}, before: func(w *twin, rng *rand.Rand) error {
		if rng.IntN(4) > 0 {
			return nil
		}
		fs, err := moved(context.Background(), w.fs, w.e, rng.IntN(2) == 0)
		if err != nil {
			return err
		}
		w.fs = fs
		return w.open()
	}},
	{name: "from the log alone", opt: roomy, before: func(w *twin, rng *rand.Rand) error {
		if rng.IntN(4) > 0 {
			return nil
		}
		return w.restart(func(points []string) error {
			for _, name := range points {
				if err := w.fs.Remove(name); err != nil {
					return err
				}
			}
			return w.fs.SyncDir()
		})
	}},
	{name: "from the older checkpoint", opt: disk.Options{SegmentSize: 8 << 10},
		before: func(w *twin, rng *rand.Rand) error {
			if rng.IntN(4) > 0 {
				return nil
			}
			// A store that is closed writes a checkpoint, so the older one of the two is then
			// recent too: only of one that is killed does the older need the segments that the
			// newer one has no use for.
			end := w.restart
			if rng.IntN(3) > 0 {
				end = w.kill
			}
			return end(func(points []string) error {
				if len(points) == 2 && !w.fs.Flip(points[1], 70, 1) {
					return fmt.Errorf("%s is too short to be damaged", points[1])
				}
				return nil
			})
		}},
}

// A twin is a store that lives in one of the ways, and notes all that it answers.
type twin struct {
	glassq.Store // the engine
	e            *disk.Engine
	fs           *waltest.FS
	way          *way
	rng          *rand.Rand // of the way, not of what is done
	said         strings.Builder
}

func (w *twin) open() error {
	opt := w.way.opt
	opt.FS = w.fs
	e, err := disk.Open("", opt)
	if err == nil {
		w.e, w.Store = e, e
	}
	return err
}

// restart closes and opens; between is told the checkpoints, the newest last.
func (w *twin) restart(between func(points []string) error) error {
	if err := w.e.Close(); err != nil {
		return err
	}
	return w.again(between)
}

// kill ends the process, but not the machine, and opens; between is told the checkpoints, the
// newest last.
func (w *twin) kill(between func(points []string) error) error {
	after := w.fs.Image().Kill()
	w.fs.CrashAfter(0)
	w.e.Close()
	w.fs = after
	return w.again(between)
}

// again opens what an end has left.
func (w *twin) again(between func(points []string) error) error {
	if between != nil {
		names, err := w.fs.List()
		if err != nil {
			return err
		}
		var points []string
		for _, name := range names {
			if strings.HasPrefix(name, "checkpoint-") && !strings.HasSuffix(name, ".tmp") {
				points = append(points, name)
			}
		}
		slices.Sort(points)
		if err := between(points); err != nil {
			return err
		}
	}
	return w.open()
}

// rest lets what nobody waits for be written, and then does what the way wants.
func (w *twin) rest() error {
	time.Sleep(10 * time.Millisecond)
	if w.way.before == nil {
		return nil
	}
	if err := w.way.before(w, w.rng); err != nil {
		return fmt.Errorf("between two steps: %w", err)
	}
	synctest.Wait() // what is due by the wall clock is put
	return nil
}

// note writes down answers; of errors their codes.
func (w *twin) note(call string, answers ...any) {
	fmt.Fprintf(&w.said, " %s:", call)
	for _, a := range answers {
		if err, ok := a.(error); ok {
			a = glassq.CodeOf(err)
		}
		fmt.Fprintf(&w.said, " %v", a)
	}
	w.said.WriteByte('\n')
}

func (w *twin) Put(ctx context.Context, ts []glassq.Task) (out []glassq.Receipt, err error) {
	if !w.way.single {
		out, err = w.Store.Put(ctx, ts)
	}
	for i := range ts {
		var one []glassq.Receipt
		if !w.way.single {
			break
		}
		if one, err = w.Store.Put(ctx, ts[i:i+1]); err != nil {
			break
		}
		out = append(out, one...)
	}
	w.note("Put", out, err)
	return out, err
}

func (w *twin) Reserve(ctx context.Context, r glassq.Reserve) (out []glassq.Lease, err error) {
	single := w.way.single
	if single && r.Take { // what is taken is an ending at once: it may halt the queue, or end its halt, before the next single one
		qs, err := w.Store.Queues(ctx, r.Queue)
		single = (err != nil || len(qs) == 0 || qs[0].Settings.Halt == "") && !w.watched(ctx)
	}
	for most := r.Max; most > 0; {
		if single {
			r.Max = 1
		}
		var some []glassq.Lease
		if some, err = w.Store.Reserve(ctx, r); err != nil {
			break
		}
		out = append(out, some...)
		if most -= r.Max; len(some) == 0 {
			break
		}
		r.Wait = 0
	}
	for i := range out {
		l := &out[i]
		w.note("leased", l.TaskID(), l.Attempt, l.Length, l.Age, l.Deadline.UnixMilli(), l.Run, l.OfAttempt,
			string(l.Body[:min(20, len(l.Body))]), l.Headers)
	}
	w.note("Reserve", len(out), err)
	return out, err
}

// each calls do with all of some, or with single ones, one after the other, and notes the answers.
func each[T any](w *twin, call string, single bool, some []T, do func([]T) ([]error, error)) (errs []error, err error) {
	if single {
		for i := range some {
			var one []error
			if one, err = do(some[i : i+1]); err != nil {
				break
			}
			errs = append(errs, one...)
		}
	} else {
		errs, err = do(some)
	}
	for _, e := range errs {
		w.note(call, e)
	}
	w.note(call, err)
	return errs, err
}

func (w *twin) Ack(ctx context.Context, some []glassq.Ack) ([]error, error) {
	single := w.way.single && !w.watched(ctx)
	return each(w, "Ack", single, some, func(x []glassq.Ack) ([]error, error) { return w.Store.Ack(ctx, x) })
}

// watched tells whether something waits for the end of a run. Then the ends that a call brings come after all
// that it does, and those of single ones in between.
func (w *twin) watched(ctx context.Context) bool {
	rs, err := w.Store.Runs(ctx)
	return err != nil || slices.ContainsFunc(rs, func(r glassq.Run) bool { return r.OnEnd+r.OnFailed != "" || r.Held })
}

func (w *twin) Nack(ctx context.Context, some []glassq.Nack) ([]error, error) {
	return each(w, "Nack", w.way.single, some, func(x []glassq.Nack) ([]error, error) { return w.Store.Nack(ctx, x) })
}

func (w *twin) Extend(ctx context.Context, some []glassq.Extend) ([]error, error) {
	return each(w, "Extend", w.way.single, some, func(x []glassq.Extend) ([]error, error) { return w.Store.Extend(ctx, x) })
}

func (w *twin) Schedules(ctx context.Context) ([]glassq.Schedule, error) { return w.e.Schedules(ctx) }

func (w *twin) SetSchedule(ctx context.Context, name string, c glassq.ScheduleChange) (glassq.Schedule, error) {
	return w.e.SetSchedule(ctx, name, c)
}

func (w *twin) DropSchedule(ctx context.Context, name string) error {
	return w.e.DropSchedule(ctx, name)
}

// live takes the steps and returns all that was to be seen.
func live(ctx context.Context, v *way, steps []string, seed uint64) (said string, err error) {
	w := &twin{fs: waltest.NewFS(), way: v, rng: rand.New(rand.NewPCG(seed, 1))}
	if err := w.open(); err != nil {
		return "", err
	}
	defer func() {
		if cerr := w.e.Close(); err == nil {
			err = cerr
		}
	}()
	d := &driver{s: w, m: newModel(), rng: rand.New(rand.NewPCG(seed, 2)), prefix: "t"}
	for i, name := range steps {
		fmt.Fprintf(&w.said, "step %d, %s\n", i, name)
		if name == "restart" {
			name = "sleep" // the way decides about those
		}
		if err := d.step(ctx, name); err != nil {
			return "", fmt.Errorf("step %d, %s: %w", i, name, err)
		}
		if err := w.rest(); err != nil {
			return "", fmt.Errorf("after step %d, %s: %w", i, name, err)
		}
		seen, err := observe(ctx, w.e, time.Now().UnixMilli())
		if err != nil {
			return "", fmt.Errorf("after step %d, %s: %w", i, name, err)
		}
		w.said.WriteString(seen)
	}
	return w.said.String(), nil
}

// TestWays: the same steps lived in different ways have the same answers, and the same is there
// after each step. Beyond the model's word, this holds two runs of the engine against each other.
func TestWays(t *testing.T) {
	start := time.Now()
	lives, taken := 0, 0
	defer func() {
		stdout("rung=ways ways=%d lives=%d steps=%d seconds=%.0f failed=%v", len(ways), lives, taken,
			time.Since(start).Seconds(), t.Failed())
	}()
	rapid.Check(t, func(rt *rapid.T) {
		n := 1 + evenly(50).Draw(rt, "length")
		steps := rapid.SliceOfN(anyStep, n, n).Draw(rt, "steps")
		seed := rapid.Uint64Range(0, 1<<20).Draw(rt, "seed")
		var plain string
		some := []int{0, 0, 0, 0} // the first, and three others of them
		for i := range some[1:] {
			some[i+1] = 1 + evenly(len(ways)-1).Draw(rt, "way")
		}
		for i, n := range some {
			v := &ways[n]
			var said string
			var err error
			bubble(t, func(ctx context.Context) { said, err = live(ctx, v, steps, seed) })
			lives, taken = lives+1, taken+len(steps)
			switch {
			case err != nil:
				rt.Fatalf("lived %s: %v", v.name, err)
			case i == 0:
				plain = said
			case said != plain:
				rt.Fatalf("lived %s and %s, these differ:\n%s", v.name, ways[0].name, firstDiff(said, plain))
			}
		}
	})
}

// firstDiff shows the first line in which two texts differ, with the step that it belongs to.
func firstDiff(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	step := ""
	for i := range min(len(a), len(b)) {
		if strings.HasPrefix(b[i], "step ") {
			step = b[i]
		}
		if a[i] != b[i] {
			return fmt.Sprintf("%s\n  got  %s\n  want %s", step, a[i], b[i])
		}
	}
	return fmt.Sprintf("after %s one of them has more to say", step)
}
