package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// A heldLog holds what is appended until it is let go, in an order of the test's.
type heldLog struct {
	cluster.FencedLog
	mu   sync.Mutex
	pass int      // appends that go through before the others are held; negative: all do
	held []func() // in the order of the appends
}

func (l *heldLog) Append(after uint64, msg []byte, answer func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pass != 0 {
		l.pass--
		l.FencedLog.Append(after, msg, answer)
		return
	}
	msg = append([]byte{}, msg...)
	l.held = append(l.held, func() { l.FencedLog.Append(after, msg, answer) })
}

// hold lets pass more appends through, and holds those after them.
func (l *heldLog) hold(pass int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass = pass
}

// all are those that are held now, or were before and have been let go.
func (l *heldLog) all() []func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.held)
}

func joinHeld(t *testing.T, world *clustertest.World) (*cluster.Store, *heldLog) {
	t.Helper()
	opt := often(t)
	opt.CheckpointEvery = 1 << 20 // no frames of its own
	ground := world.Join().Ground()
	log := &heldLog{FencedLog: ground.Log, pass: -1}
	ground.Log = log
	g, err := cluster.Open(t.Context(), ground, opt)
	if err != nil {
		t.Fatal(err)
	}
	return g, log
}

// TestVoid: an owner has sent two frames that are on their way when another one takes over. The
// first finds its place taken. The second finds a message where it expects its own first, and is
// stored behind it. It does not count, nobody is told that it does, and both puts are done once.
func TestVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		a, logA := joinHeld(t, world)
		defer a.Close()
		putTo(t, a, "before")
		b, logB := joinHeld(t, world)
		defer b.Close()
		synctest.Wait()
		logA.hold(0)
		var wg sync.WaitGroup
		for _, body := range []string{"first", "second"} {
			wg.Go(func() { putTo(t, a, body) })
			synctest.Wait()
		}
		logB.hold(1) // its claim
		wg.Go(b.Steal)
		synctest.Wait()
		if len(logA.all()) != 2 || len(logB.all()) != 1 {
			t.Fatalf("%d and %d messages are held, want two puts and the first frame of the other owner", len(logA.all()),
				len(logB.all()))
		}
		claim := world.Last()
		logA.all()[1]()
		if last := world.Last(); last != claim+1 {
			t.Fatalf("the log ends with message %d, want the second put behind the claim, %d", last, claim+1)
		}
		logA.all()[0]()
		logA.hold(-1)
		logB.hold(-1)
		logB.all()[0]()
		wg.Wait()
		c, _ := joinHeld(t, world)
		defer c.Close()
		c.Steal() // it reads the log anew
		got := drained(t, c, "q")
		if len(got) != 3 || got["before"] != 1 || got["first"] != 1 || got["second"] != 1 {
			t.Errorf("there is %v, want three tasks", got)
		}
	})
}

// TestVoidAtOnce: an owner that was stopped sends on what it had, and one of its messages takes the place
// of the next one of the present owner, who is not one any more and takes over again, at once.
func TestVoidAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		a, logA := joinHeld(t, world)
		defer a.Close()
		putTo(t, a, "before")
		b, _ := joinHeld(t, world)
		defer b.Close()
		synctest.Wait()
		before := world.Last()
		logA.hold(0)
		var wg sync.WaitGroup
		for _, body := range []string{"first", "second", "third"} {
			wg.Go(func() { putTo(t, a, body) })
			synctest.Wait()
		}
		b.Steal()
		if last := world.Last(); last != before+2 || len(logA.all()) < 3 {
			t.Fatalf("the log ends with message %d and %d are held; want %d, a claim and a frame, and three puts", last, len(logA.all()), before+2)
		}
		logA.all()[2]()
		if last := world.Last(); last != before+3 {
			t.Fatalf("the log ends with message %d, want the third put behind those of the other owner", last)
		}
		began := time.Now()
		putTo(t, b, "fourth")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the next put took %v, want that there is an owner at once", took)
		}
		logA.hold(-1)
		logA.all()[0]()
		wg.Wait()
		got := drained(t, b, "q")
		for _, body := range []string{"before", "first", "second", "third", "fourth"} {
			if got[body] != 1 {
				t.Errorf("%s is there %d times, want once", body, got[body])
			}
		}
	})
}

func putTo(t *testing.T, s *cluster.Store, body string) {
	if _, err := s.Put(context.Background(), []glassq.Task{{Queue: "q", ID: body, Body: []byte(body)}}); err != nil {
		t.Errorf("put of %s: %v", body, err)
	}
}

// drained takes and acks everything in the queue and returns how often each body came.
func drained(t *testing.T, s *cluster.Store, queue string) map[string]int {
	t.Helper()
	got := map[string]int{}
	for {
		ls, err := s.Reserve(context.Background(), glassq.Reserve{Queue: queue, Max: 100})
		if err != nil {
			t.Fatal(err)
		}
		if len(ls) == 0 {
			return got
		}
		acks := make([]glassq.Ack, len(ls))
		for i := range ls {
			got[string(ls[i].Body)]++
			acks[i].Token = ls[i].Token()
		}
		if _, err := s.Ack(context.Background(), acks); err != nil {
			t.Fatal(err)
		}
	}
}

var fenceRounds = flag.Int("rounds", 100, "hand-overs of TestFenceAlone")

// TestFenceAlone: owners come and go, and each believes in itself until the log refuses it. Every
// task is done once.
func TestFenceAlone(t *testing.T) {
	rounds := *fenceRounds
	if testing.Short() {
		rounds = min(rounds, 50)
	}
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{})
		opt := often(t)
		gateways := make([]*cluster.Store, 3)
		for i := range gateways {
			_, g := join(t, world, opt)
			gateways[i] = g
		}
		rng := rand.New(rand.NewPCG(1, 2))
		any := func() *cluster.Store { return gateways[rng.IntN(len(gateways))] }
		acked, numbers := map[string]bool{}, map[uint64]bool{}
		last := uint64(0)
		for round := range rounds {
			any().Steal()
			body := fmt.Sprint(round)
			putTo(t, any(), body)
			if rng.IntN(2) == 0 {
				any().Steal()
			}
			ls, err := any().Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Wait: time.Minute})
			if err != nil || len(ls) != 1 || acked[string(ls[0].Body)] || numbers[ls[0].Number] || ls[0].Number <= last {
				t.Fatalf("round %d: reserve = %v, %v; want one lease with a new number of a task not acked", round, ls, err)
			}
			if rng.IntN(2) == 0 {
				any().Steal()
			}
			last = ls[0].Number
			numbers[last], acked[string(ls[0].Body)] = true, true
			ack := []glassq.Ack{{Token: ls[0].Token(), Result: &glassq.Task{Body: ls[0].Body}}}
			for i := range 2 {
				if errs, err := any().Ack(t.Context(), ack); err != nil || errs[0] != nil {
					t.Fatalf("round %d: ack %d of lease %d = %v, %v", round, i, last, errs, err)
				}
			}
		}
		got := drained(t, any(), glassq.DefaultResults)
		if len(got) != rounds {
			t.Errorf("there are %d results, want %d", len(got), rounds)
		}
		for body, n := range got {
			if n != 1 {
				t.Errorf("result %s is there %d times", body, n)
			}
		}
	})
}

// TestTakeOver: what becomes of the owner, and how long a call at another gateway waits at most.
func TestTakeOver(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(world *clustertest.World, m *clustertest.Member, g *cluster.Store)
		most time.Duration
	}{
		{"killed", func(_ *clustertest.World, m *clustertest.Member, g *cluster.Store) { m.Kill(); g.Abort() }, 5 * time.Second},
		{"closed", func(_ *clustertest.World, _ *clustertest.Member, g *cluster.Store) { g.Close() }, 500 * time.Millisecond},
		{"cut off", func(_ *clustertest.World, m *clustertest.Member, _ *cluster.Store) { m.Cut(true, true, true) }, 6 * time.Second},
		{"cut off from the log", func(_ *clustertest.World, m *clustertest.Member, _ *cluster.Store) { m.Cut(true, false, false) },
			10 * time.Second},
		{"the machines elect", func(w *clustertest.World, _ *clustertest.Member, _ *cluster.Store) { w.Elect(5 * time.Second) },
			12 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := clustertest.New(clustertest.Options{Delay: 2 * time.Millisecond, Hop: time.Millisecond})
				opt := often(t)
				opt.Beat = 0
				member, owner := join(t, world, opt)
				putTo(t, owner, "before")
				_, other := join(t, world, opt)
				putTo(t, other, "before")
				lease, err := other.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Lease: 3 * time.Second})
				if err != nil || len(lease) != 1 {
					t.Fatalf("reserve = %v, %v", lease, err)
				}
				if !owner.Owns() {
					t.Fatal("the first gateway does not own the store")
				}
				synctest.Wait()
				time.Sleep(2 * time.Second) // signs of life
				x := []glassq.Extend{{Token: lease[0].Token(), Lease: 2 * time.Second}}
				if errs, err := other.Extend(t.Context(), x); err != nil || errs[0] != nil {
					t.Fatalf("extend = %v, %v", errs, err)
				}
				at, _ := owner.Stats(t.Context())
				away, _ := other.Stats(t.Context())
				if at.Cluster.Role != glassq.RoleOwner || away.Cluster.Role != glassq.RoleGateway ||
					away.Cluster.Owner != at.Cluster.Gateway || away.Leases != 1 || away.Cluster.AsOf.IsZero() {
					t.Errorf("stats at the owner %+v, at the other gateway %+v %+v", at.Cluster, away.Cluster, away)
				}
				tt.end(world, member, owner)
				began := time.Now()
				putTo(t, other, "after")
				took := time.Since(began)
				t.Logf("a put took %v", took)
				if took > tt.most {
					t.Errorf("a put took %v, want %v at most", took, tt.most)
				}
				errs, err := other.Ack(t.Context(), []glassq.Ack{{Token: lease[0].Token()}})
				if err != nil || errs[0] != nil {
					t.Errorf("ack of a lease of 2s, whatever passed meanwhile: %v, %v", errs, err)
				}
				member.Cut(false, false, false)
				if got := drained(t, other, "q"); len(got) != 1 || got["after"] != 1 {
					t.Errorf("there is %v, want the second task once", got)
				}
			})
		})
	}
}
