//go:build unix

package ladder

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/history"
	"github.com/glassq/glassq/internal/jetstream/natstest"
)

var (
	rounds    = flag.Int("rounds", 1, "rounds of each row of TestCluster")
	everyRow  = flag.Bool("every-row", false, "TestCluster runs all rows, not three")
	soak      = flag.Duration("soak", 0, "how long TestClusterSoak has a fault a minute; 0 leaves it out")
	lazyNodes = flag.Bool("lazy", false, "the NATS servers of TestCluster sync as they do when nothing is set")
)

// A fleet is three NATS servers and three gateways, all of them processes.
type fleet struct {
	t        *testing.T
	nodes    *natstest.Cluster
	gateways []*server
	x        *siege
}

// newFleet starts one. The gateways are at the places given, as natstest.Options has them of servers.
func newFleet(t *testing.T, opt natstest.Options, at ...natstest.Place) *fleet {
	f := &fleet{t: t, nodes: natstest.New(t, 3, opt)}
	binary := build(t)
	var addrs []string
	for i := range 3 {
		store := []string{"--store", f.nodes.URL("siege"), "--accept-lazy-sync"}
		var g *server
		if i < len(at) {
			g = newServerAt(t, at[i].Host+":5080", at[i].Under, binary, t.TempDir(), append(store, "--insecure", "http")...)
		} else {
			g = newServer(t, binary, t.TempDir(), store...)
		}
		f.gateways, addrs = append(f.gateways, g), append(addrs, g.addr)
		f.start(g)
	}
	f.x = newSiege(t, addrs...)
	return f
}

func (f *fleet) start(g *server) {
	if err := g.start(); err != nil {
		f.t.Fatal(err)
	}
}

// cluster waits until a gateway says that it is the owner, and returns it with what it knows.
func (f *fleet) cluster() (owner *server, is glassq.ClusterStats) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for {
		for i, c := range f.x.all {
			if f.gateways[i].cmd == nil {
				continue
			}
			one, end := context.WithTimeout(ctx, time.Second)
			stats, err := c.Stats(one)
			end()
			if err == nil && stats.Cluster != nil && stats.Cluster.Role == glassq.RoleOwner && stats.Cluster.Leader != "" {
				return f.gateways[i], *stats.Cluster
			}
		}
		if ctx.Err() != nil {
			f.t.Fatal("no gateway owns the store")
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func (f *fleet) owner() *server {
	g, _ := f.cluster()
	return g
}

func (f *fleet) leader() *natstest.Node {
	_, is := f.cluster()
	return f.nodes.Node(is.Leader)
}

// back starts servers again.
func (f *fleet) back(nodes ...*natstest.Node) {
	for _, n := range nodes {
		if err := n.Start(); err != nil {
			f.t.Fatal(err)
		}
	}
	for _, n := range nodes {
		if err := n.Ready(); err != nil {
			f.t.Fatal(err)
		}
	}
}

const away = 2 * time.Second // what is killed

// A row is something that goes wrong while clients are at it.
type row struct {
	name string
	harm func(f *fleet, rng *rand.Rand)
}

// rows are what goes wrong with processes. The first three are those of a short run.
var rows = []row{
	{"owner killed", func(f *fleet, _ *rand.Rand) {
		g := f.owner()
		g.kill()
		f.start(g)
	}},
	{"leader killed", func(f *fleet, _ *rand.Rand) {
		n := f.leader()
		n.Kill()
		time.Sleep(away)
		f.back(n)
	}},
	{"owner stopped as planned", func(f *fleet, _ *rand.Rand) {
		g := f.owner()
		g.end(syscall.SIGTERM)
		f.start(g)
	}},
	{"gateway killed", func(f *fleet, _ *rand.Rand) {
		owner := f.owner()
		i := slices.IndexFunc(f.gateways, func(g *server) bool { return g != owner })
		f.gateways[i].kill()
		f.start(f.gateways[i])
	}},
	{"any server killed", func(f *fleet, rng *rand.Rand) {
		n := f.nodes.Nodes[rng.IntN(3)]
		n.Kill()
		time.Sleep(away)
		f.back(n)
	}},
	{"leader and owner killed", func(f *fleet, _ *rand.Rand) {
		g, is := f.cluster()
		n := f.nodes.Node(is.Leader)
		n.Kill()
		g.kill()
		time.Sleep(away)
		f.back(n)
		f.start(g)
	}},
	{"two servers killed", func(f *fleet, rng *rand.Rand) {
		i := rng.IntN(3)
		a, b := f.nodes.Nodes[i], f.nodes.Nodes[(i+1)%3]
		a.Kill()
		b.Kill()
		time.Sleep(away)
		f.back(a, b)
	}},
	{"all servers killed", func(f *fleet, _ *rand.Rand) {
		f.nodes.Stop()
		time.Sleep(away)
		f.back(f.nodes.Nodes...)
	}},
	{"all servers and gateways killed", func(f *fleet, _ *rand.Rand) {
		for _, g := range f.gateways {
			g.kill()
		}
		f.nodes.Stop()
		f.back(f.nodes.Nodes...)
		for _, g := range f.gateways {
			f.start(g)
		}
	}},
	{"servers restarted one by one", func(f *fleet, _ *rand.Rand) {
		for _, n := range f.nodes.Nodes {
			n.Kill()
			f.back(n)
		}
	}},
	{"owner stopped and continued", func(f *fleet, _ *rand.Rand) {
		g := f.owner()
		g.cmd.Process.Signal(syscall.SIGSTOP)
		time.Sleep(3 * away)
		g.cmd.Process.Signal(syscall.SIGCONT)
	}},
	{"leader stopped and continued", func(f *fleet, _ *rand.Rand) {
		n := f.leader()
		n.Pause()
		time.Sleep(3 * away)
		n.Continue()
	}},
	{"one server wiped", func(f *fleet, rng *rand.Rand) {
		n := f.nodes.Nodes[rng.IntN(3)]
		n.Kill()
		if err := os.RemoveAll(filepath.Join(n.Folder, "jetstream")); err != nil {
			f.t.Fatal(err)
		}
		f.back(n)
	}},
}

// longest is the longest time in which no client heard that a call was done.
func longest(ops []history.Op) time.Duration {
	var ends []int64
	for i := range ops {
		if ops[i].Outcome == history.OK {
			ends = append(ends, ops[i].End)
		}
	}
	slices.Sort(ends)
	most := int64(0)
	for i := 1; i < len(ends); i++ {
		most = max(most, ends[i]-ends[i-1])
	}
	return time.Duration(most)
}

// TestCluster: clients put and work through any of three gateways while gateways and NATS servers
// are killed and stopped. Nothing is lost, comes back, or is handed out twice, and no crash excuses
// a repeat: a hand-out is in the log before it is told.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: three NATS servers and three gateways are slow beside the race detector")
	}
	run := rows
	if !*everyRow {
		run = rows[:3]
		t.Logf("3 of %d rows; make cluster-test runs all", len(rows))
	}
	newFleet(t, natstest.Options{Lazy: *lazyNodes}).suffer(t, run)
}

// suffer lives through rows, each of them rounds times.
func (f *fleet) suffer(t *testing.T, list []row) {
	rng := rand.New(rand.NewPCG(*seed, 20))
	for _, row := range list {
		t.Run(row.name, func(t *testing.T) {
			f.t = t
			var total sums
			began, gap := time.Now(), time.Duration(0)
			for range *rounds {
				f.round(row, rng, &total, &gap)
			}
			stdout("rung=cluster row=%q rounds=%d %v pause=%.1fs lazy=%v seed=%d seconds=%.0f failed=%v", row.name, *rounds, &total,
				gap.Seconds(), *lazyNodes, *seed, time.Since(began).Seconds(), t.Failed())
		})
	}
	f.t = t
}

// round lives through a row once, and judges what clients saw.
func (f *fleet) round(row row, rng *rand.Rand, total *sums, gap *time.Duration) {
	f.owner()
	stop := f.x.crowd(rng.Uint64(), 2, 6, 300)
	f.acks(20)
	row.harm(f, rng)
	f.acks(20)
	stop()
	if err := f.x.drain(); err != nil {
		f.t.Error(err)
	}
	*gap = max(*gap, longest(f.x.ops))
	r := f.x.judge()
	total.add(r)
	if r.Faults() > 0 {
		f.t.Errorf("%v", r)
	}
}

// meanwhile lets something that goes wrong last, and says what was done in that time.
func (f *fleet) meanwhile(d time.Duration) {
	before := f.x.acked.Load()
	time.Sleep(d)
	f.t.Logf("meanwhile %d acks", f.x.acked.Load()-before)
}

// acks waits until clients have acked n tasks more.
func (f *fleet) acks(n int64) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for want := f.x.acked.Load() + n; f.x.acked.Load() < want; pause(ctx, 20*time.Millisecond) {
		if ctx.Err() != nil {
			f.t.Fatal("no task was done for 3 minutes")
		}
	}
}

// end sends the process a signal and waits for its end.
func (s *server) end(sig os.Signal) {
	s.cmd.Process.Signal(sig)
	<-s.life.over
	s.cmd = nil
}
