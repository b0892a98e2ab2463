package cluster_test

import (
	"cmp"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/enginetest"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// often has checkpoints, moved bodies and freed extents all the time.
func often(t testing.TB) cluster.Options {
	return cluster.Options{CacheBytes: 1, CheckpointEvery: 4 << 10, ExtentBytes: 2 << 10, Beat: 10 * time.Minute,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// A system is a store of several gateways. Calls go to the one in use.
type system struct {
	world    *clustertest.World
	gateways []*cluster.Store
	members  []*clustertest.Member
	use      int
	beat     time.Duration // 0: that of often
	mu       sync.Mutex    // rand
	rand     *rand.Rand    // nil: calls go to the gateway in use, and the owner stays
}

func newSystem(t testing.TB, opt clustertest.Options, gateways, use int, beat time.Duration) *system {
	s := &system{beat: beat, world: clustertest.New(opt), gateways: make([]*cluster.Store, gateways),
		members: make([]*clustertest.Member, gateways), use: use}
	s.open(t)
	return s
}

func (s *system) open(t testing.TB) {
	t.Helper()
	for i := range s.gateways {
		s.join(t, i)
		if i == 0 {
			s.gateways[0].Runs(t.Context()) // it is the owner
			synctest.Wait()                 // and has told so
		}
	}
}

func (s *system) join(t testing.TB, i int) {
	t.Helper()
	s.members[i] = s.world.Join()
	opt := often(t)
	opt.Beat = cmp.Or(s.beat, opt.Beat)
	g, err := cluster.Open(t.Context(), s.members[i].Ground(), opt)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	s.gateways[i] = g
}

// Store is the gateway in use. With chance it is any, and now and then another one takes over
// from an owner that goes on believing in itself.
func (s *system) Store() glassq.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rand == nil {
		return s.gateways[s.use]
	}
	if s.rand.IntN(10) == 0 {
		s.gateways[s.rand.IntN(len(s.gateways))].Steal()
	}
	return s.gateways[s.rand.IntN(len(s.gateways))]
}

func (s *system) Kill(t testing.TB) {
	t.Helper()
	for i, g := range s.gateways {
		s.members[i].Kill()
		g.Abort()
	}
	s.world.Forget("shard.0") // else the next gateway waits whether the last one still lives
	s.open(t)
}

func (s *system) PowerCut(t testing.TB) { t.Helper(); s.Kill(t) }

func (s *system) Restart(t testing.TB) {
	t.Helper()
	s.Close(t)
	s.open(t)
}

func (s *system) Close(t testing.TB) {
	t.Helper()
	for i := len(s.gateways) - 1; i >= 0; i-- {
		if err := s.gateways[i].Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// TestLaws runs every law of an engine on a log of several machines: at the owner, at a gateway
// that is not, and at any while the owner moves.
func TestLaws(t *testing.T) {
	for _, tt := range []struct {
		name          string
		opt           clustertest.Options
		gateways, use int
		moves         bool
		beat          time.Duration
	}{
		{"at the owner", clustertest.Options{}, 1, 0, false, 0},
		{"at another gateway", clustertest.Options{}, 2, 1, false, 0},
		{"at any gateway, and the owner moves", clustertest.Options{Faults: clustertest.Faults{Refused: 0.05, Stale: 0.1,
			Skipped: 0.01, Rotten: 0.01}}, 3, 0, true, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enginetest.Run(t, enginetest.Harness{Open: func(t testing.TB) enginetest.System {
				s := newSystem(t, tt.opt, tt.gateways, tt.use, tt.beat)
				if tt.moves {
					s.rand = rand.New(rand.NewPCG(1, 1))
				}
				return s
			}})
		})
	}
}
