package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// A logbook keeps what is logged: message, err, and whether there is a stack.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (b *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logbook) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *logbook) WithGroup(string) slog.Handler            { return b }
func (b *logbook) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "err":
			line += ": " + a.Value.String()
		case "stack":
			if strings.Contains(a.Value.String(), "trouble_test.go") {
				line += " at trouble_test.go"
			}
		}
		return true
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
	return nil
}

// A nack that the queue refuses goes in plain with the reason, and does not wait for the end of its lease.
func TestNackRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, log, began := newMemQueue(1), &logbook{}, time.Now()
		done := make(chan struct{})
		stats, err := Run(t.Context(), q, Options{Concurrency: 1, Lease: time.Hour, Done: done, Logger: slog.New(log)},
			each(func(context.Context, *glassq.Lease, *Reply) error {
				close(done)
				return &NackError{Dead: true, Undone: true, Err: errors.New("busy")}
			}))
		want := "nack refused: not both: busy"
		if took := time.Since(began); err != nil || stats.Nacked != 1 || took >= time.Minute || q.nacks[0].Reason != want {
			t.Errorf("%+v, %v after %v, nacks %+v; want one nack, %q, at once", stats, err, took, q.nacks, want)
		}
		if line := "WARN nack refused: not both"; !slices.Contains(log.lines, line) {
			t.Errorf("logged %q, want %q", log.lines, line)
		}
	})
}

// A handler that panics or fails is heard of, once a minute for each text, and its tasks go back
// with the reason.
func TestHandlerTrouble(t *testing.T) {
	var list []int
	tests := []struct {
		name   string
		do     func() error
		reason string // of the nack
		log    string // "" for nothing
	}{
		{"panic", func() error { panic("no such thing") }, "panic: no such thing",
			"ERROR handler panicked, task goes back: panic: no such thing at trouble_test.go"},
		{"panic of the runtime", func() error { list[0]++; return nil },
			"panic: runtime error: index out of range [0] with length 0",
			"ERROR handler panicked, task goes back: panic: runtime error: index out of range [0] with length 0 at trouble_test.go"},
		{"error", func() error { return errors.New("disk full") }, "disk full", "WARN task not done, goes back: disk full"},
		{"later", func() error { return &NackError{Delay: time.Second, Err: errors.New("busy")} }, "busy",
			"WARN task not done, goes back: busy"},
		{"later, and no reason", func() error { return &NackError{Delay: time.Second} }, "given back", ""},
		{"unbegun", func() error { return &NackError{Undone: true, Err: errors.New("halted")} }, "halted", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, log := newMemQueue(3), &logbook{}
				done := make(chan struct{})
				calls := 0
				stats, err := Run(t.Context(), q, Options{Concurrency: 1, Drain: 2 * saidFor, Done: done, Logger: slog.New(log)},
					each(
						func(ctx context.Context, l *glassq.Lease, r *Reply) error {
							calls++
							if calls == 3 {
								close(done)
								time.Sleep(saidFor)
							}
							return tt.do()
						}))
				want := []string{tt.log, tt.log}
				if tt.log == "" {
					want = nil
				}
				if err != nil || stats.Nacked+stats.Undone < 3 || q.nacks[0].Reason != tt.reason ||
					!slices.Equal(log.lines, want) {
					t.Errorf("%+v, %v, reason %q, logged %q; want 3 or more given back, %q, %q", stats, err, q.nacks[0].Reason, log.lines,
						tt.reason, want)
				}
			})
		})
	}
}
