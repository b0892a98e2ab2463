package ladder

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/jetstream/natstest"
)

// A lan is a bridge with a network namespace for each server and gateway of a fleet. The clients of
// a test are at the bridge: they reach everybody.
type lan struct {
	t      *testing.T
	bridge string
	hosts  map[string]*host // by address
}

// A host is one machine of it.
type host struct{ name, ip string }

// newLan makes n hosts, or skips the test where that is not possible.
func newLan(t *testing.T, n int) (l *lan, at []natstest.Place) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("left out: root only (it makes network namespaces); run make cluster-test as root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip: apt-get install iproute2")
	}
	l = &lan{t: t, bridge: fmt.Sprint("gq", os.Getpid()), hosts: map[string]*host{}}
	net := fmt.Sprintf("198.18.%d.", os.Getpid()%256) // of those that nobody routes
	if err := l.ip("link", "add", l.bridge, "type", "bridge"); err != nil {
		t.Skipf("needs network namespaces: %v", err)
	}
	t.Cleanup(func() {
		for _, h := range l.hosts {
			l.ip("netns", "del", h.name) // and its link
		}
		l.ip("link", "del", l.bridge)
	})
	l.must("addr", "add", net+"1/24", "dev", l.bridge)
	l.must("link", "set", l.bridge, "up")
	for i := range n {
		h := &host{name: fmt.Sprint(l.bridge, ".", i), ip: fmt.Sprint(net, i+2)}
		if err := l.ip("netns", "add", h.name); err != nil {
			t.Skipf("needs network namespaces: %v", err)
		}
		l.hosts[h.ip] = h
		l.must("link", "add", h.name, "type", "veth", "peer", "name", "eth0", "netns", h.name)
		l.must("link", "set", h.name, "master", l.bridge, "up")
		l.must("-n", h.name, "addr", "add", h.ip+"/24", "dev", "eth0")
		l.must("-n", h.name, "link", "set", "lo", "up")
		l.must("-n", h.name, "link", "set", "eth0", "up")
		at = append(at, natstest.Place{Host: h.ip, Under: []string{"ip", "netns", "exec", h.name}})
	}
	return l, at
}

func (l *lan) ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (l *lan) must(args ...string) {
	if err := l.ip(args...); err != nil {
		l.t.Fatal(err)
	}
}

// at is the host of an address with a port.
func (l *lan) at(addr string) *host { return l.hosts[addr[:strings.LastIndexByte(addr, ':')]] }

// nobody is a network card that there is not.
const nobody = "02:00:00:00:00:01"

// lose loses all that some hosts send to others, in silence, until the function that it returns is
// called.
func (l *lan) lose(from, to []*host) (heal func()) {
	each := func(do func(a, b *host)) {
		for _, a := range from {
			for _, b := range to {
				if a != b {
					do(a, b)
				}
			}
		}
	}
	each(func(a, b *host) {
		l.must("-n", a.name, "neigh", "replace", b.ip, "lladdr", nobody, "dev", "eth0", "nud", "permanent")
	})
	return func() {
		each(func(a, b *host) { l.must("-n", a.name, "neigh", "del", b.ip, "dev", "eth0") })
	}
}

// part cuts hosts off from others in both directions.
func (l *lan) part(a, b []*host) (heal func()) {
	there, back := l.lose(a, b), l.lose(b, a)
	return func() { there(); back() }
}

// narrow lets hosts send 1 Mbit a second: more waits for 100 ms at most, or is lost.
func (l *lan) narrow(list []*host) (heal func(), err error) {
	heal = func() {
		for _, h := range list {
			exec.Command("tc", "-n", h.name, "qdisc", "del", "dev", "eth0", "root").Run()
		}
	}
	for _, h := range list {
		if out, err := exec.Command("tc", "-n", h.name, "qdisc", "add", "dev", "eth0", "root", "tbf",
			"rate", "1mbit", "burst", "16kbit", "latency", "100ms").CombinedOutput(); err != nil {
			return heal, fmt.Errorf("tc: %w: %s", err, out)
		}
	}
	return heal, nil
}

const apart = 12 * time.Second // longer than an election and a take-over

// partitions are the rows of a network.
func partitions(l *lan) []row {
	leader := func(f *fleet) (n *natstest.Node, at *host, others []*host) {
		n = f.leader()
		for _, x := range f.nodes.Nodes {
			if x != n {
				others = append(others, l.at(x.Addr))
			}
		}
		return n, l.at(n.Addr), others
	}
	gateways := func(f *fleet, but *server) (list []*host) {
		for _, g := range f.gateways {
			if g != but {
				list = append(list, l.at(g.addr))
			}
		}
		return list
	}
	return []row{
		{"leader and owner cut off", func(f *fleet, _ *rand.Rand) {
			g := f.owner()
			_, at, others := leader(f)
			heal := l.part([]*host{at, l.at(g.addr)}, append(others, gateways(f, g)...))
			f.meanwhile(apart)
			heal()
		}},
		{"leader cut off from the servers", func(f *fleet, _ *rand.Rand) {
			_, at, others := leader(f)
			heal := l.part([]*host{at}, others)
			f.meanwhile(apart)
			heal()
		}},
		{"what the leader sends is lost", func(f *fleet, _ *rand.Rand) {
			_, at, others := leader(f)
			heal := l.lose([]*host{at}, append(others, gateways(f, nil)...))
			f.meanwhile(apart)
			heal()
		}},
		{"what is sent to the leader is lost", func(f *fleet, _ *rand.Rand) {
			_, at, others := leader(f)
			heal := l.lose(append(others, gateways(f, nil)...), []*host{at})
			f.meanwhile(apart)
			heal()
		}},
		{"leader and one server do not hear each other", func(f *fleet, rng *rand.Rand) {
			_, at, others := leader(f)
			heal := l.part([]*host{at}, others[rng.IntN(2):][:1])
			f.meanwhile(apart)
			heal()
		}},
		{"owner cut off from the log", func(f *fleet, _ *rand.Rand) {
			g := f.owner()
			_, at, others := leader(f)
			heal := l.part([]*host{l.at(g.addr)}, append(others, at))
			f.meanwhile(apart)
			heal()
		}},
		{"what the owner sends to the log is lost", func(f *fleet, _ *rand.Rand) {
			g := f.owner()
			_, at, others := leader(f)
			heal := l.lose([]*host{l.at(g.addr)}, append(others, at))
			f.meanwhile(apart)
			heal()
		}},
		{"every server alone", func(f *fleet, _ *rand.Rand) {
			_, at, others := leader(f)
			all := append(slices.Clone(others), at)
			heal := l.lose(all, all)
			f.meanwhile(apart / 2)
			heal()
		}},
		{"a narrow network", func(f *fleet, _ *rand.Rand) {
			_, at, others := leader(f)
			heal, err := l.narrow(append(append(others, at), gateways(f, nil)...))
			if err != nil {
				f.t.Errorf("needs tc with tbf: %v", err)
			}
			f.meanwhile(apart)
			heal()
		}},
	}
}

// TestClusterNet: servers and gateways on machines of their own, as far as their network goes, of
// which parts are cut off. Clients reach all gateways.
func TestClusterNet(t *testing.T) {
	if !*everyRow {
		t.Skip("left out: it takes minutes; make cluster-test runs it, as root")
	}
	l, at := newLan(t, 6)
	newFleet(t, natstest.Options{Lazy: *lazyNodes, Places: at[:3]}, at[3:]...).suffer(t, partitions(l))
}

// TestClusterSoak: for a long time something goes wrong by chance once a minute, with processes or
// with the network; between the faults clients go on. What they saw is judged after each.
func TestClusterSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("left out: -soak says for how long; make cluster-test SOAK=60m")
	}
	l, at := newLan(t, 6)
	f := newFleet(t, natstest.Options{Lazy: *lazyNodes, Places: at[:3]}, at[3:]...)
	list := slices.Concat(rows, partitions(l))
	rng := rand.New(rand.NewPCG(*seed, 23))
	var total sums
	gap, faults, began := time.Duration(0), 0, time.Now()
	for ; time.Since(began) < *soak; faults++ {
		minute := time.After(time.Minute)
		row := list[rng.IntN(len(list))]
		t.Logf("minute %d: %s", faults+1, row.name)
		f.round(row, rng, &total, &gap)
		stop := f.x.crowd(rng.Uint64(), 1, 3, 300)
		<-minute
		stop()
		if err := f.x.drain(); err != nil {
			t.Error(err)
		}
		r := f.x.judge()
		total.add(r)
		if r.Faults() > 0 {
			t.Error(r)
		}
	}
	stdout("rung=cluster row=%q faults_made=%d %v pause=%.1fs lazy=%v seed=%d seconds=%.0f failed=%v", "a fault a minute", faults,
		&total, gap.Seconds(), *lazyNodes, *seed, time.Since(began).Seconds(), t.Failed())
}
