package worker

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

func TestBehind(t *testing.T) {
	const window = 10 * time.Second
	for _, tt := range []struct {
		name string
		l    load
		want bool
	}{
		{"nothing done", load{}, false},
		{"no rate", load{begun: 1000, busy: 40 * time.Second}, false},
		{"late and busy", load{begun: 1000, paced: 1000, late: 100 * time.Second, busy: 40 * time.Second}, true},
		{"late, with time to spare", load{begun: 1000, paced: 1000, late: 100 * time.Second, busy: 20 * time.Second}, false},
		{"busy and in time", load{begun: 1000, paced: 1000, late: time.Second, busy: 40 * time.Second}, false},
		{"a few are late", load{begun: 1000, paced: 100, late: 100 * time.Second, busy: 40 * time.Second}, false},
	} {
		if got := tt.l.behind(4, window); got != tt.want {
			t.Errorf("%s: behind = %v, want %v", tt.name, got, tt.want)
		}
	}
	if exhausted(17*time.Second, window, 2) || !exhausted(19*time.Second, window, 2) {
		t.Error("two processors are exhausted by 19 s of 20, not by 17")
	}
}

func TestProcessTime(t *testing.T) {
	before, ok := processTime()
	if !ok {
		t.Skip("left out: this system does not tell the time that a process used")
	}
	for n := 0; ; n++ {
		if after, _ := processTime(); after > before {
			return
		}
		if n > 1e8 {
			t.Fatalf("processTime stays at %v", before)
		}
	}
}

// A lateQueue hands out tasks as a rate does that the worker is too slow for.
type lateQueue struct {
	*memQueue
	late time.Duration
}

func (q *lateQueue) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	leases, err := q.memQueue.Reserve(ctx, r)
	for i := range leases {
		leases[i].Late = q.late
	}
	return leases, err
}

// A worker that is too slow for a rate says so, once a minute; one that is as busy without a rate
// does not.
func TestBottleneck(t *testing.T) {
	for _, late := range []time.Duration{0, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			q := &lateQueue{memQueue: newMemQueue(10_000), late: late}
			var b bytes.Buffer
			ctx, cancel := context.WithTimeout(t.Context(), 95*time.Second)
			defer cancel()
			_, err := Run(ctx, q, Options{Concurrency: 2, Logger: slog.New(slog.NewTextHandler(&b, nil))},
				each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
					time.Sleep(100 * time.Millisecond)
					return ok(ctx, l, r)
				}))
			want := 0
			if late > 0 {
				want = 2
			}
			if got := strings.Count(b.String(), "the worker is the bottleneck: all its handlers are busy"); got != want ||
				err != nil {
				t.Errorf("late %v: %d warnings, want %d: %v\n%s", late, got, want, err, b.String())
			}
		})
	}
}
