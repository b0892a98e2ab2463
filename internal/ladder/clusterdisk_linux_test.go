package ladder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/glassq/glassq/internal/jetstream/natstest"
)

// lead has a server lead the log, and waits until it does.
func (f *fleet) lead(n *natstest.Node) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nc, err := nats.Connect("nats://" + n.Addr)
	if err != nil {
		f.t.Fatal(err)
	}
	defer nc.Close()
	asked, said := time.Time{}, ""
	for ; ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		msg, err := nc.Request("$JS.API.STREAM.INFO.GLASSQ_siege_0", nil, time.Second)
		var is struct {
			Cluster struct {
				Leader string `json:"leader"`
			} `json:"cluster"`
		}
		if err == nil && json.Unmarshal(msg.Data, &is) == nil && is.Cluster.Leader == n.Name {
			return
		}
		if time.Since(asked) < 10*time.Second { // the election is under way
			continue
		}
		msg, err = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.GLASSQ_siege_0",
			fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, n.Name), 5*time.Second)
		if err == nil {
			asked, said = time.Now(), string(msg.Data)
		}
	}
	f.t.Fatalf("server %s does not lead: %s", n.Name, said)
}

// follower is a server that does not lead.
func (f *fleet) follower(rng *rand.Rand) *natstest.Node {
	leader := f.leader()
	for {
		if n := f.nodes.Nodes[rng.IntN(3)]; n != leader {
			return n
		}
	}
}

// files finds the files below the folder of a server whose path has a part.
func files(n *natstest.Node, part string) (paths []string, err error) {
	err = filepath.WalkDir(n.Folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, part) && strings.HasSuffix(path, ".blk") {
			paths = append(paths, path)
		}
		return err
	})
	if err == nil && len(paths) == 0 {
		err = errors.New("server " + n.Name + " has no " + part)
	}
	return paths, err
}

// flip flips a bit in the middle of the log as one server has it.
func flip(n *natstest.Node) error {
	paths, err := files(n, "GLASSQ_siege_0/msgs")
	if err != nil {
		return err
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 4
	return os.WriteFile(paths[0], b, 0o600)
}

// shorten cuts all Raft logs of one server to a half.
func shorten(n *natstest.Node) error {
	paths, err := files(n, "_js_/")
	for _, path := range paths {
		is, statErr := os.Stat(path)
		if err = errors.Join(err, statErr); err == nil {
			err = os.Truncate(path, is.Size()/2)
		}
	}
	return err
}

// TestClusterDamage: one server of three has other data than it wrote, and is made leader; then all
// gateways start anew, so that the log is read. Either nothing is missing, or the gateways refuse it
// and say which server to stop; without that one nothing is missing.
func TestClusterDamage(t *testing.T) {
	if !*everyRow {
		t.Skip("left out: it takes minutes; make cluster-test runs it")
	}
	for _, row := range []struct {
		name string
		harm func(f *fleet, n *natstest.Node) error // n runs before and after it
	}{
		{"a flipped bit", func(_ *fleet, n *natstest.Node) error { n.Kill(); return flip(n) }},
		{"cut Raft logs", func(_ *fleet, n *natstest.Node) error { n.Kill(); return shorten(n) }},
		{"an old copy of its store", func(f *fleet, n *natstest.Node) error {
			old := filepath.Join(f.t.TempDir(), "old")
			n.Kill()
			if err := os.CopyFS(old, os.DirFS(n.Folder)); err != nil {
				return err
			}
			f.back(n)
			f.acks(200)
			n.Kill()
			if err := os.RemoveAll(n.Folder); err != nil {
				return err
			}
			return os.CopyFS(n.Folder, os.DirFS(old))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(*seed, 22))
			f := newFleet(t, natstest.Options{Lazy: *lazyNodes})
			began := time.Now()
			stop := f.x.crowd(rng.Uint64(), 2, 6, 300)
			f.acks(200)
			n := f.follower(rng)
			if err := row.harm(f, n); err != nil {
				t.Fatal(err)
			}
			f.back(n)
			f.acks(20)
			f.lead(n)
			f.acks(20)
			refused := f.anew()
			if refused != "" {
				n.Kill()
				if again := f.anew(); again != "" {
					t.Errorf("without the damaged server: %s", again)
				}
			}
			f.acks(20)
			stop()
			if err := f.x.drain(); err != nil {
				t.Error(err)
			}
			r := f.x.judge()
			if r.Faults() > 0 {
				t.Error(r)
			}
			var total sums
			total.add(r)
			stdout("rung=cluster row=%q %v refused=%q seed=%d seconds=%.0f failed=%v", "one server has "+row.name, &total, refused, *seed,
				time.Since(began).Seconds(), t.Failed())
		})
	}
}

// anew kills all gateways that run and starts all. It returns what a gateway says that refuses the
// log, or nothing when one owns it.
func (f *fleet) anew() (refused string) {
	for _, g := range f.gateways {
		if g.cmd != nil {
			g.kill()
		}
	}
	for _, g := range f.gateways {
		if err := g.start(); err != nil {
			return err.Error()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		for i, g := range f.gateways {
			select {
			case <-g.life.over:
				return fmt.Sprintf("exit code %d: %s", g.life.code, lastLine(g.said.String()))
			default:
			}
			one, end := context.WithTimeout(ctx, time.Second)
			stats, err := f.x.all[i].Stats(one)
			end()
			if err == nil && stats.Cluster != nil && stats.Cluster.Owner != "" {
				return ""
			}
		}
		pause(ctx, 50*time.Millisecond)
	}
	f.t.Fatal("no gateway owns the store, and none refuses it")
	return ""
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// fill takes all the room of a file system until the function that it returns is called.
func (v *volume) fill() (empty func() error, err error) {
	path := filepath.Join(v.dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	f.Close()
	return func() error { return os.Remove(path) }, nil
}

// TestClusterDisks: file systems of NATS servers that are full, and a disk of which each sync takes
// 50 ms. A server whose disk was full is to be started again, as docs/cluster.md says.
func TestClusterDisks(t *testing.T) {
	if !*everyRow {
		t.Skip("left out: it takes minutes; make cluster-test runs it, as root")
	}
	p := newPlant(t, *lazyNodes, "commit=5")
	full := func(f *fleet, list ...int) {
		var harmed []*natstest.Node
		var empty []func() error
		for _, i := range list {
			done, err := p.disks[i].fill()
			if err != nil {
				f.t.Fatal(err)
			}
			empty, harmed = append(empty, done), append(harmed, f.nodes.Nodes[i])
		}
		f.meanwhile(apart)
		for i, n := range harmed {
			if err := empty[i](); err != nil {
				f.t.Fatal(err)
			}
			n.Kill()
		}
		f.back(harmed...)
	}
	p.suffer(t, []row{
		{"a full disk", func(f *fleet, rng *rand.Rand) { full(f, rng.IntN(3)) }},
		{"all disks full", func(f *fleet, _ *rand.Rand) { full(f, 0, 1, 2) }},
		{"a disk 50 ms slow", func(f *fleet, rng *rand.Rand) {
			n := f.follower(rng)
			f.slow(n)
			f.meanwhile(apart)
			f.quick(n)
		}},
		{"the leader's disk 50 ms slow", func(f *fleet, rng *rand.Rand) {
			n := f.follower(rng)
			f.slow(n)
			f.x.paused.Store(true) // so that it catches up: another one cannot lead
			err := n.Ready()
			f.x.paused.Store(false)
			if err != nil {
				f.t.Error(err)
			}
			f.lead(n)
			f.meanwhile(apart)
			f.quick(n)
		}},
	})
}

// slow starts a server anew and delays each sync of it by 50 ms: strace holds the call back. It may
// never be in step while the others go on.
func (f *fleet) slow(n *natstest.Node) {
	if _, err := exec.LookPath("strace"); err != nil {
		f.t.Error("needs strace: apt-get install strace")
		return
	}
	n.Kill()
	n.Under = []string{"strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync",
		"-e", "inject=fsync,fdatasync:delay_exit=50000"}
	if err := n.Start(); err != nil {
		f.t.Fatal(err)
	}
}

// quick starts it anew as it was.
func (f *fleet) quick(n *natstest.Node) {
	n.Kill()
	n.Under = nil
	f.back(n)
}
