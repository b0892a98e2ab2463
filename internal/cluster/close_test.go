package cluster_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// TestCloseCutOff: an owner that cannot reach the log any more still ends, and says of the call that
// was under way that nothing is known of it.
func TestCloseCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := clustertest.New(clustertest.Options{}).Join()
		g, err := cluster.Open(t.Context(), member.Ground(), often(t))
		if err != nil {
			t.Fatal(err)
		}
		putTo(t, g, "first")
		member.Cut(true, true, true)
		put := make(chan error, 1)
		go func() {
			_, err := g.Put(t.Context(), []glassq.Task{{Queue: "q"}})
			put <- err
		}()
		synctest.Wait()
		began := time.Now()
		if err := g.Close(); err != nil {
			t.Errorf("close = %v", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("close took %s", took)
		}
		if err := <-put; glassq.CodeOf(err) != glassq.CodeUnknown {
			t.Errorf("the put under way = %v, want outcome_unknown", err)
		}
	})
}

// TestOwnerGoesUnheard: a put that the owner did, and of which the receipt was lost, is not done
// again at the next owner when it has no id.
func TestOwnerGoesUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(t, clustertest.Options{Hop: 10 * time.Millisecond}, 2, 1)
		defer s.gateways[1].Close()
		time.Sleep(time.Second)
		put := make(chan error, 1)
		go func() {
			_, err := s.gateways[1].Put(t.Context(), []glassq.Task{{Queue: "q"}})
			put <- err
		}()
		time.Sleep(15 * time.Millisecond) // the owner has it, and its receipt is on the way
		s.members[1].Cut(false, true, false)
		time.Sleep(6 * time.Millisecond)
		s.members[1].Cut(false, false, false)
		time.Sleep(time.Millisecond)
		if err := s.gateways[0].Close(); err != nil {
			t.Error(err)
		}
		err := <-put
		n := drained(t, s.gateways[1], "q")[""]
		if n > 1 || err == nil && n != 1 || err != nil && glassq.CodeOf(err) != glassq.CodeUnknown {
			t.Errorf("put = %v, and there are %d tasks; want one, or outcome_unknown", err, n)
		}
	})
}

// TestTimeOfHandOver: the time of the log goes on where it was when a gateway takes over from a
// checkpoint with nothing behind it: what is delayed stays so, and ids are remembered.
func TestTimeOfHandOver(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *system)
	}{
		{"planned", func(s *system) { s.gateways[0].Close() }},
		{"by death", func(s *system) { s.members[0].Kill(); s.gateways[0].Abort() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSystem(t, clustertest.Options{}, 2, 1)
				defer s.gateways[1].Close()
				task := glassq.Task{Queue: "q", ID: "a", Delay: 24 * time.Hour}
				if _, err := s.gateways[0].Put(t.Context(), []glassq.Task{task}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Minute) // signs of life, and a checkpoint
				if err := s.gateways[0].Checkpoint(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Minute)
				tt.end(s)
				qs, err := s.gateways[1].Queues(t.Context(), "q")
				if err != nil || qs[0].Delayed != 1 {
					t.Errorf("after the hand-over %+v, %v; want one that is delayed", qs, err)
				}
				task.ID = "b"
				if _, err := s.gateways[1].Put(t.Context(), []glassq.Task{task}); err != nil {
					t.Fatal(err)
				}
				receipts, err := s.gateways[1].Put(t.Context(), []glassq.Task{task})
				if err != nil || !receipts[0].Duplicate {
					t.Errorf("a repeated put = %+v, %v; want a duplicate", receipts, err)
				}
			})
		})
	}
}

// TestTimeAfterAttempt: a gateway that tries to take over and dies shows a sign of life, but tells no time: the
// next owner goes on from what the last one told.
func TestTimeAfterAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(t, clustertest.Options{}, 2, 1)
		defer s.gateways[1].Close()
		const delay = 24 * time.Hour
		began := time.Now()
		if _, err := s.gateways[0].Put(t.Context(), []glassq.Task{{Queue: "q", Delay: delay}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Minute) // signs of life
		s.members[0].Kill()
		s.gateways[0].Abort()
		time.Sleep(15 * time.Minute)
		attempt(t, s)
		ps, _, err := s.gateways[1].Peek(t.Context(), "q", glassq.Delayed, 0, 1)
		if err != nil || len(ps) != 1 {
			t.Fatalf("Peek = %d tasks, %v", len(ps), err)
		}
		if want := delay - time.Since(began); ps[0].Due != want {
			t.Errorf("%v after a put with a delay of %v the task is due in %v; want %v", time.Since(began), delay, ps[0].Due, want)
		}
	})
}

// attempt tells that another gateway tries to take over. It never does.
func attempt(t *testing.T, s *system) {
	t.Helper()
	ground := s.world.Join().Ground()
	text, _, err := ground.Hints.Get(t.Context(), "store")
	if err != nil {
		t.Fatal(err)
	}
	var is struct{ Store string }
	if err := json.Unmarshal(text, &is); err != nil {
		t.Fatal(err)
	}
	if err := ground.Bus.Tell(fmt.Appendf(nil, `{"store":%q,"kind":"takes","from":"another","epoch":1}`, is.Store)); err != nil {
		t.Fatal(err)
	}
}

// TestOwnerAfterAttempt: an owner that goes on while another gateway tries in vain to take over still says that
// it is the owner, at every gateway, and how it is.
func TestOwnerAfterAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(t, clustertest.Options{}, 2, 0)
		defer s.Close(t)
		putTo(t, s.gateways[0], "a")
		before, err := s.gateways[0].Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		attempt(t, s)
		time.Sleep(24 * time.Hour) // many beats
		for i, g := range s.gateways {
			stats, err := g.Stats(t.Context())
			if err != nil || stats.Cluster.Owner != before.Cluster.Owner {
				t.Errorf("stats at gateway %d = %+v, %v; want owner %s", i, stats.Cluster, err, before.Cluster.Owner)
			}
		}
	})
}

// TestDeposedIsNoError: an owner that was cut off and finds another one says who it is now, and does
// not report a failed log.
func TestDeposedIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		var said bytes.Buffer
		opt := often(t)
		opt.Logger, opt.Beat = slog.New(slog.NewTextHandler(&said, nil)), time.Second
		first, a := join(t, world, opt)
		putTo(t, a, "one")
		opt.Logger = nil
		_, b := join(t, world, opt)
		first.Cut(true, true, true)
		putTo(t, b, "two")
		first.Cut(false, false, false)
		putTo(t, a, "three")
		time.Sleep(time.Minute)
		synctest.Wait()
		if text := said.String(); strings.Contains(text, "level=ERROR") || !strings.Contains(text, "owns the store no more") {
			t.Errorf("it said %s", text)
		}
	})
}
