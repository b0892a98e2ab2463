package ladder

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
	"github.com/glassq/glassq/internal/wal/waltest"
)

var salvages = flag.Int("salvages", 12, "lives of TestSalvage")

// TestSalvage kills a store that has lived for a while, damages one frame of its log, and repairs it. What is there
// afterwards are tasks of the life, each once and as it was put: all that were there at its end but for those whose
// bodies lay in that frame, and for those that the report counts as refused. The report names the frame, and counts right.
func TestSalvage(t *testing.T) {
	start := time.Now()
	ends := map[string]int{}
	last := *seed
	for ; last < *seed+uint64(budget(*salvages)) && !t.Failed(); last++ {
		rng := rand.New(rand.NewPCG(last, 32))
		w := &wreck{p: &play{fs: waltest.NewFS(), from: candsOf(newModel()), cut: candsOf(newModel()), rng: rng, pre: "s",
			opt:   disk.Options{SegmentSize: 8 << 10 << (2 * rng.IntN(4)), CacheBytes: 1},
			steps: mixed(rng, 20+rng.IntN(60)), settle: true}}
		var at time.Time
		synctest.Test(t, func(t *testing.T) {
			_, err := w.p.run(t.Context())
			if err == nil {
				err = w.end()
			}
			if err != nil {
				t.Errorf("-seed %d -salvages 1: %v\nlife: %q", last, err, w.p.steps)
			}
			at = time.Now()
		})
		for range 8 {
			if t.Failed() || len(w.frames) == 0 {
				break
			}
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(at))
				f := &w.frames[rng.IntN(len(w.frames))]
				how, err := w.repair(t.Context(), f, rng)
				if err != nil {
					t.Errorf("-seed %d -salvages 1: the frame at %d, %s byte %d, of %d bytes: %s: %v\nlife: %q", last, f.Pos, f.file,
						f.off, len(f.Payload), how, err, w.p.steps)
				}
				ends[how]++
			})
		}
	}
	stdout("rung=salvage lives=%d salvaged=%d whole=%d torn=%d seed=%d next_seed=%d seconds=%.0f failed=%v", last-*seed, ends["salvaged"],
		ends["whole"], ends["torn"], *seed, last, time.Since(start).Seconds(), t.Failed())
	if !t.Failed() && (ends["salvaged"] == 0 || ends["whole"] == 0) {
		t.Error("one of the two ends never came: the rung is blind")
	}
}

// A wreck is a store that was killed.
type wreck struct {
	p      *play
	rested bool // before that
	frames []frame
	ever   map[string]glassq.Task // all tasks of the life, by body
}

// A frame of a log, and where it lies.
type frame struct {
	wal.Frame
	file string
	off  int64
}

// end kills the store.
func (w *wreck) end() error {
	if w.rested = w.p.rng.IntN(3) > 0; w.rested {
		time.Sleep(time.Second) // for the frame that proves what is before it
	}
	w.p.d.m.advance(w.p.d.now())
	files := w.p.fs.Image().Kill()
	w.p.stop()
	w.p.fs = files
	w.ever = map[string]glassq.Task{}
	for _, m := range w.p.models { // what is put in a frame and over in it, too
		for _, t := range m.tasks {
			w.ever[string(t.Body)] = t.Task
		}
	}
	v, err := wal.NewSurvey(files)
	if err != nil {
		return err
	}
	return v.Frames(0, func(f wal.Frame, _ bool) error {
		f.Payload = slices.Clone(f.Payload)
		at := v.Lost(f.Pos, nil)
		w.frames = append(w.frames, frame{f, at.File, at.Offset})
		all, err := w.frames[len(w.frames)-1].bodies()
		for body, t := range all { // positions that were there already, too
			if _, known := w.ever[body]; !known {
				w.ever[body] = t
			}
		}
		return err
	})
}

// bodies are those that lie in the frame, with their tasks.
func (f *frame) bodies() (map[string]glassq.Task, error) {
	all := map[string]glassq.Task{}
	var dec state.Decoder
	err := state.Puts(f.Payload, func(_ uint64, rec []byte) error {
		if state.IsCheckpoint(rec) {
			return nil
		}
		var t glassq.Task
		if _, err := dec.Task(&t, rec); err != nil {
			return err
		}
		for _, x := range positions(&t) {
			all[string(x.Body)] = x
		}
		return nil
	})
	return all, err
}

// repair damages a frame, has the store repaired, and looks at what comes of it.
func (w *wreck) repair(ctx context.Context, f *frame, rng *rand.Rand) (how string, err error) {
	base, err := os.MkdirTemp("", "ladder")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "d")
	files := w.p.fs.Kill()
	if files.Flip(f.file, f.off+int64(rng.IntN(wal.HeaderSize+len(f.Payload))), 1<<rng.IntN(8)); err == nil {
		err = unload(files, dir)
	}
	if err != nil {
		return "", err
	}
	lost, err := f.bodies()
	if err != nil {
		return "", err
	}
	said, err := disk.Repair(dir, false)
	switch {
	case err != nil:
		return "", err
	case said.Whole():
		how = "whole"
	case said.Cannot != nil:
		return "hopeless", said.Cannot
	case said.Refusal == nil || len(said.Losses) != 1 || said.Losses[0].File != f.file || said.Losses[0].From != f.Pos:
		return "refused", fmt.Errorf("the start says %w, and the report has the losses %v", said.Refusal, said.Losses)
	default:
		how = "salvaged"
		if said, err = disk.Repair(dir, true); err != nil {
			return how, err
		}
	}
	if files, err = load(dir); err != nil {
		return how, err
	}
	opt := w.p.opt
	opt.FS = files
	e, err := disk.Open("", opt)
	if err != nil {
		return how, err
	}
	is, err := e.Stats(ctx)
	if is.Disk != nil && is.Disk.TornBytes > 0 && !w.rested {
		how = "torn"
		for i := range w.frames {
			if behind := &w.frames[i]; behind.Pos > f.Pos {
				more, _ := behind.bodies() // as before
				maps.Copy(lost, more)
			}
		}
	}
	if err == nil {
		err = w.compare(ctx, e, lost, said)
	}
	return how, errors.Join(err, e.Close())
}

// compare holds what a store shows against the life, and against what was said of it.
func (w *wreck) compare(ctx context.Context, e *disk.Engine, lost map[string]glassq.Task, said *disk.Salvage) error {
	synctest.Wait()
	qs, err := e.Queues(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	more := 0 // puts since the cut
	for i := range qs {
		q := &qs[i]
		if q.Name == hookQueue || q.Name == dueQueue { // these are put by the store itself
			continue
		}
		more += int(q.Books.Put)
		if q.Books.Pending() != uint64(q.Delayed+q.Ready+q.Leased) {
			return fmt.Errorf("queue %s: the books %+v; it holds delayed %d, ready %d, leased %d", q.Name, q.Books, q.Delayed, q.Ready, q.Leased)
		}
		for _, st := range allStates {
			for next := uint64(1); next > 0; {
				ps, after, err := e.Peek(ctx, q.Name, st, next, 1)
				switch {
				case glassq.CodeOf(err) == glassq.CodeDamaged && next < 1000 && said.Lost+said.Unread.Needed() > 0:
					next++ // the body of the next one is lost
					continue
				case err != nil:
					return fmt.Errorf("Peek(%s, %v, %d): %w", q.Name, st, next, err)
				}
				if next = after; len(ps) == 0 {
					continue
				}
				p := &ps[0]
				body := string(p.Body)
				was, known := w.ever[body]
				switch {
				case strings.Contains(p.Reason, "a task does not read") && said.Lost+said.Unread.Needed() > 0:
				case !known:
					return fmt.Errorf("task %d of %s, %.30q, was never put", p.Number, q.Name, body)
				case there[body]:
					return fmt.Errorf("task %d of %s, %.30q, is there twice", p.Number, q.Name, body)
				case was.Queue != q.Name || !sameOptions(&p.Task, &was):
					return fmt.Errorf("task %d of %s is %+v; it was put as %+v", p.Number, q.Name, p.Task, was)
				}
				there[body] = true
			}
		}
	}
	m := w.p.d.m.clone()
	m.advance(time.Now().UnixMilli())
	missing, refused := 0, said.Refused
	var some []string
	for i := range m.tasks {
		t := &m.tasks[i]
		body := string(t.Body)
		if _, gone := lost[body]; !gone && !there[body] && t.Queue != hookQueue && t.Queue != dueQueue {
			missing++
			some = append(some, fmt.Sprintf("%d of %s %.30q", t.num, t.Queue, body))
		}
	}
	if missing > refused {
		return fmt.Errorf("%d tasks whose bodies do read are gone, and the report has %d refused: %q", missing, refused, some)
	}
	if said.Kept == "" {
		return nil
	}
	own := said.Again[hookQueue] + said.Again[dueQueue]
	again := -own
	for _, n := range said.Again {
		again += n
	}
	for i := range said.Queues {
		if q := &said.Queues[i]; q.Name != hookQueue && q.Name != dueQueue {
			more -= int(q.Books.Put)
		}
	}
	if most := again - max(said.Refused-own, 0); more > most || more < again-said.Refused {
		return fmt.Errorf("the store has %d tasks more than before the damage; the report says %d again and %d refused, %d of both perhaps of its own",
			more, again, said.Refused, own)
	}
	return nil
}
