package worker

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// A worker that lacks files gives its tasks back uncounted and with a delay, does not spin, takes
// fewer at once, says so once a minute, and does all once it has files again.
func TestLack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		q := newMemQueue(n)
		began := time.Now()
		var calls, failed, busy, most atomic.Int64
		var b bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		stats, err := Run(ctx, q, Options{Concurrency: 16, Logger: slog.New(slog.NewTextHandler(&b, nil))},
			each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
				calls.Add(1)
				now := busy.Add(1)
				defer busy.Add(-1)
				if time.Since(began) < 90*time.Second {
					failed.Add(1)
					return &os.SyscallError{Syscall: "socket", Err: syscall.EMFILE}
				}
				most.Store(max(most.Load(), now))
				time.Sleep(time.Second)
				return ok(ctx, l, r)
			}))
		if err != nil || stats.OK != n || stats.Done != n {
			t.Errorf("Run = %+v, %v; want %d ok", stats, err, n)
		}
		for _, nack := range q.nacks {
			if !nack.Undone || nack.Reason != "" && nack.Delay < lackDelay {
				t.Fatalf("nack %+v; want undone, with a delay", nack)
			}
		}
		if failed.Load() > 100 {
			t.Errorf("%d tries in 90 s without files: it spins", failed.Load())
		}
		if got := strings.Count(b.String(), "the worker itself lacks open files"); got < 1 || got > 2 {
			t.Errorf("said %d times, want once a minute:\n%s", got, b.String())
		}
		if most.Load() != 16 {
			t.Errorf("at most %d at once in the end, want 16 again", most.Load())
		}
	})
}

// A worker that can only put tasks off takes no more of them until the first is due.
func TestPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(5000)
		began := time.Now()
		free := began.Add(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		before := atomic.Int64{}
		stats, err := Run(ctx, q, Options{Concurrency: 4}, each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
			if wait := time.Until(free); wait > 0 {
				before.Add(1)
				return &NackError{Undone: true, Delay: wait}
			}
			return ok(ctx, l, r)
		}))
		if err != nil || stats.OK != 5000 {
			t.Errorf("Run = %+v, %v; want 5000 ok", stats, err)
		}
		if n := before.Load(); n < 100 || n > 3*maxPutOff {
			t.Errorf("%d of 5000 tasks were put off, want about %d", n, maxPutOff)
		}
	})
}

// A hoarder keeps one of few things for itself once it has worked.
type hoarder struct {
	left *atomic.Int64
	has  bool
}

func (h *hoarder) Shed() {
	if h.has {
		h.has = false
		h.left.Add(1)
	}
}

func (h *hoarder) Handle(ctx context.Context, l *glassq.Lease, r *Reply) error {
	if !h.has && h.left.Add(-1) < 0 {
		h.left.Add(1)
		return syscall.EMFILE
	}
	h.has = true
	time.Sleep(20 * time.Millisecond)
	return ok(ctx, l, r)
}

// Handlers that keep what others lack give it back while they have no task.
func TestShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(2000)
		var left atomic.Int64
		left.Store(20)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		stats, err := Run(ctx, q, Options{Concurrency: 100}, func(int) Handler { return &hoarder{left: &left} })
		if err != nil || stats.OK != 2000 {
			t.Errorf("Run = %+v, %v; want 2000 ok within a minute", stats, err)
		}
	})
}
