package live_test

import (
	"context"
	"fmt"
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
}

func (h *heldCounter) Held(ctx context.Context, queues ...string) ([]glassq.Held, error) {
	h.calls++
	return h.Engine.Held(ctx, queues...)
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
