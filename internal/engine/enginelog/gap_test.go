package enginelog_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
)

func (s *system) reserve(t *testing.T, queue string, lease time.Duration) []glassq.Lease {
	t.Helper()
	got, err := s.log.Engine.Reserve(t.Context(), glassq.Reserve{Queue: queue, Max: 1, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (s *system) ack(t *testing.T, l glassq.Lease) error {
	t.Helper()
	errs, err := s.log.Engine.Ack(t.Context(), []glassq.Ack{{Token: l.Token()}})
	if err != nil {
		t.Fatal(err)
	}
	return errs[0]
}

// TestGap: what passes while the log answers nobody costs no lease its time, and holds up no delay;
// a lease that is granted meanwhile is told with the time that it has.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(true)
		var stall time.Duration // of the next frame; set while nothing is under way
		s.opt.Fail = func(*engine.Frame) error {
			time.Sleep(stall)
			stall = 0
			return nil
		}
		s.open(t)
		defer func() { s.Close(t) }()
		ctx := t.Context()
		_, err := s.log.Engine.Put(ctx, []glassq.Task{{Queue: "a", Body: []byte("1")}, {Queue: "a", Body: []byte("2")},
			{Queue: "b", Delay: 5 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		first := s.reserve(t, "a", 3*time.Second)[0]
		synctest.Wait()
		stall = 10 * time.Second
		second := s.reserve(t, "a", 3*time.Second)[0] // returns after 10 s
		if left := time.Until(second.Deadline); left < 1900*time.Millisecond || left > 3*time.Second {
			t.Errorf("a lease of 3s has %v when it is told", left)
		}
		if got := s.reserve(t, "b", time.Minute); len(got) != 1 {
			t.Error("a delay of 5s is not over after 10s")
		}
		time.Sleep(time.Second)
		if err := s.ack(t, first); err != nil {
			t.Errorf("ack of a lease that had 3s before the gap of 10s, 1s after it: %v", err)
		}
		s.Restart(t)
		time.Sleep(time.Until(second.Deadline) - 100*time.Millisecond)
		if got := s.reserve(t, "a", time.Minute); len(got) != 0 {
			t.Error("a task is handed out twice")
		}
		time.Sleep(5 * time.Second) // and its backoff
		if got := s.reserve(t, "a", time.Minute); len(got) != 1 {
			t.Error("a lease does not end")
		}
	})
}

// TestGapAtStart: neither does what passes between two engines, and the numbers go on from the time.
func TestGapAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(true)
		s.open(t)
		defer func() { s.Close(t) }()
		if err := put(s, "a"); err != nil {
			t.Fatal(err)
		}
		_, err := s.log.Engine.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("b"), TTL: 30 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		l := s.reserve(t, "q", 10*time.Second)[0]
		s.log.Kill(false)
		s.log.Close()
		time.Sleep(time.Minute)
		s.open(t)
		if got := s.reserve(t, "q", time.Minute); len(got) != 0 {
			t.Errorf("after the minute without an engine there is %q, want nothing: one is leased, the other has expired", got[0].Body)
		}
		time.Sleep(8 * time.Second)
		if err := s.ack(t, l); err != nil {
			t.Errorf("ack 8s after the start: %v", err)
		}
		if err := put(s, "c"); err != nil {
			t.Fatal(err)
		}
		least := uint64(time.Now().Add(-time.Minute).UnixMilli()) * 1024
		if n := s.reserve(t, "q", time.Minute)[0].Number; n < least {
			t.Errorf("lease number %d, want %d at least", n, least)
		}
	})
}

// TestFresh: an answer that rests on no frame of its own has one committed when the last is old.
func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(true)
		s.open(t)
		defer s.Close(t)
		frames := func() uint64 {
			stats, _ := s.log.Engine.Stats(t.Context())
			return stats.Frames
		}
		lost := func() error {
			errs, err := s.log.Engine.Ack(t.Context(), []glassq.Ack{{Token: glassq.Token{Queue: "q", Number: 1}}})
			if glassq.CodeOf(errs[0]) != glassq.CodeLeaseLost {
				t.Errorf("ack of no lease = %v", errs[0])
			}
			return err
		}
		for _, tt := range []struct {
			name  string
			quiet time.Duration
			call  func() error
			more  uint64
		}{
			{"runs at once", 0, func() error { _, err := s.log.Engine.Runs(t.Context()); return err }, 0},
			{"runs after 2s", 2 * time.Second, func() error { _, err := s.log.Engine.Runs(t.Context()); return err }, 1},
			{"lease_lost after 2s", 2 * time.Second, lost, 1},
			{"queues after 2s", 2 * time.Second, func() error { _, err := s.log.Engine.Queues(t.Context()); return err }, 1},
			{"held after 2s", 2 * time.Second, func() error { _, err := s.log.Engine.Held(t.Context(), "q"); return err }, 1},
		} {
			time.Sleep(tt.quiet)
			before := frames()
			if err := tt.call(); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if n := frames() - before; n != tt.more {
				t.Errorf("%s: %d frames, want %d", tt.name, n, tt.more)
			}
		}
	})
}
