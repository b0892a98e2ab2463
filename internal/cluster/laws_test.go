package cluster_test

import (
	"log/slog"
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

// join opens one more gateway, which is closed when the test ends.
func join(t testing.TB, world *clustertest.World, opt cluster.Options) (*clustertest.Member, *cluster.Store) {
	t.Helper()
	m := world.Join()
	g, err := cluster.Open(t.Context(), m.Ground(), opt)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { g.Close() })
	return m, g
}

// A system is a store of several gateways. Calls go to the one in use.
type system struct {
	world    *clustertest.World
	gateways []*cluster.Store
	members  []*clustertest.Member
	use      int
}

func newSystem(t testing.TB, opt clustertest.Options, gateways, use int) *system {
	s := &system{world: clustertest.New(opt), gateways: make([]*cluster.Store, gateways),
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
	g, err := cluster.Open(t.Context(), s.members[i].Ground(), often(t))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	s.gateways[i] = g
}

func (s *system) Store() glassq.Store { return s.gateways[s.use] }

func (s *system) Kill(t testing.TB) {
	t.Helper()
	s.world.Kill(s.members...) // in one moment: a take-over by one that dies next costs the next gateway a wait
	for _, g := range s.gateways {
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

// TestLaws runs every law of an engine on a log of several machines, at the owner and at a gateway
// that is not.
func TestLaws(t *testing.T) {
	for _, tt := range []struct {
		name          string
		gateways, use int
	}{
		{"at the owner", 1, 0},
		{"at another gateway", 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enginetest.Run(t, enginetest.Harness{Open: func(t testing.TB) enginetest.System {
				return newSystem(t, clustertest.Options{}, tt.gateways, tt.use)
			}})
		})
	}
}
