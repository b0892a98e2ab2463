package live_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/live"
)

// heldCounter counts how often it is asked what queues hold.
type heldCounter struct {
	*disk.Engine
	calls int
	fails string // the verb that the store, at another machine, does not answer; "" is none
}

func (h *heldCounter) fail(verb string) error {
	if verb == h.fails {
		return glassq.Errorf(glassq.CodeUnavailable, "no owner")
	}
	return nil
}

func (h *heldCounter) Held(ctx context.Context, queues ...string) ([]glassq.Held, error) {
	h.calls++
	if err := h.fail("held"); err != nil {
		return nil, err
	}
	return h.Engine.Held(ctx, queues...)
}

func (h *heldCounter) Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error) {
	if err := h.fail("queues"); err != nil {
		return nil, err
	}
	return h.Engine.Queues(ctx, names...)
}

func (h *heldCounter) Runs(ctx context.Context) ([]glassq.Run, error) {
	if err := h.fail("runs"); err != nil {
		return nil, err
	}
	return h.Engine.Runs(ctx)
}

func (h *heldCounter) Run(ctx context.Context, name string) (glassq.Run, error) {
	if err := h.fail("run"); err != nil {
		return glassq.Run{}, err
	}
	return h.Engine.Run(ctx, name)
}

func (h *heldCounter) Stats(ctx context.Context) (glassq.Stats, error) {
	if err := h.fail("stats"); err != nil {
		return glassq.Stats{}, err
	}
	return h.Engine.Stats(ctx)
}

// TestTickAsksOnce: a tick asks of all queues at once, because the store may be at another machine.
func TestTickAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := disk.Open("mem:", disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		l, h := live.New(live.Options{}), &heldCounter{Engine: e}
		store := l.Over(h)
		l.Tick(t.Context(), time.Now())
		if h.calls != 0 {
			t.Errorf("a tick without queues asks %d times what they hold", h.calls)
		}
		for i := range 50 {
			put(t, store, fmt.Sprint("q", i), 1)
		}
		l.Tick(t.Context(), time.Now())
		if h.calls != 1 {
			t.Errorf("a tick of 50 queues asks %d times what they hold, want once", h.calls)
		}
	})
}

// TestTickAfterOutage: what a store did not tell for a while is told once it answers again, also of queues
// and runs that nothing calls any more.
func TestTickAfterOutage(t *testing.T) {
	task := func(queue, run string) []glassq.Task {
		return []glassq.Task{{Queue: queue, Run: run, Body: []byte("x")}}
	}
	for _, verb := range []string{"queues", "runs", "held", "run", "stats"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, err := disk.Open("mem:", disk.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				must := func(_ any, err error) {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
				}
				must(e.Put(t.Context(), task("before", "before")))
				h := &heldCounter{Engine: e, fails: verb}
				l := live.New(live.Options{})
				store := l.Over(h)
				must(store.Put(t.Context(), task("called", "called")))
				for range 2 {
					l.Tick(t.Context(), time.Now())
				}
				h.fails = ""
				l.Tick(t.Context(), time.Now())
				must(e.Put(t.Context(), task("before", "before"))) // by another gateway
				l.Tick(t.Context(), time.Now())
				var queues, runs []string
				list, _, err := l.Events(t.Context(), 0, 100)
				must(nil, err)
				for _, ev := range list {
					for _, q := range ev.Queues {
						queues = append(queues, q.Name)
					}
					for _, r := range ev.Runs {
						runs = append(runs, r.Name)
					}
				}
				for _, name := range []string{"before", "called"} {
					if !slices.Contains(queues, name) || !slices.Contains(runs, name) {
						t.Errorf("events tell of queues %v and runs %v; want %s among both", queues, runs, name)
					}
				}
			})
		})
	}
}
