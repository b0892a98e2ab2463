package ladder

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glassq/glassq/internal/jetstream/natstest"
)

// A plant is a fleet whose servers have a file system each, all of which lose power together.
type plant struct {
	*fleet
	disks []*volume
}

func newPlant(t *testing.T, lazy bool, options string) *plant {
	p := &plant{}
	opt := natstest.Options{Lazy: lazy}
	for range 3 {
		v := newVolume(t, diskSize/2, options)
		p.disks = append(p.disks, v)
		opt.Places = append(opt.Places, natstest.Place{Folder: filepath.Join(v.dir, "data")})
	}
	p.fleet = newFleet(t, opt)
	return p
}

// blackout takes the power from all servers, and lets them start on what their disks have kept. A
// server is stopped before its disk goes: what it hears afterwards, such as of a sync that failed
// and was reported as done, it can tell nobody. So all that clients were told stands.
func (p *plant) blackout(meanwhile func()) error {
	for _, n := range p.nodes.Nodes {
		n.Pause()
	}
	for _, v := range p.disks {
		if err := v.cut(); err != nil {
			return err
		}
	}
	p.nodes.Stop()
	meanwhile()
	for _, v := range p.disks {
		if err := v.umount(); err != nil {
			return err
		}
		if err := v.mount(); err != nil {
			return err
		}
	}
	p.back(p.nodes.Nodes...)
	return nil
}

// sync writes down what the file system has.
func (v *volume) sync() error {
	d, err := os.Open(v.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// TestClusterPower cuts the power of all NATS servers in one moment, again and again, of their
// gateways too every second time. With sync_interval: always nothing is lost. Servers that sync as
// they do when nothing is set must lose something, and no gateway that knows may go on.
func TestClusterPower(t *testing.T) {
	if !*everyRow {
		t.Skip("left out: it takes minutes; make cluster-test runs it, as root")
	}
	rng := rand.New(rand.NewPCG(*seed, 21))
	t.Logf("-seed %d", *seed)
	t.Run("control", lazyBlackout)
	var total sums
	began, done, gap := time.Now(), 0, time.Duration(0)
	for i, options := range []string{"commit=300", "data=writeback,commit=300", "commit=1"} {
		t.Run(options, func(t *testing.T) {
			n := *cuts / 3
			if i < *cuts%3 {
				n++
			}
			if n == 0 {
				t.Skip("left out: -cuts is small")
			}
			p := newPlant(t, false, options)
			for k := range n {
				p.owner()
				stop := p.x.crowd(rng.Uint64(), 2, 6, 300)
				p.acks(20)
				time.Sleep(time.Duration(rng.Int64N(int64(time.Second)))) // the cut comes at some moment
				err := p.blackout(func() {
					for _, g := range p.gateways {
						if (done+k)%2 == 0 {
							g.kill()
						}
					}
				})
				if err != nil {
					t.Fatalf("cut %d: %v", k, err)
				}
				for _, g := range p.gateways {
					if g.cmd == nil {
						p.start(g)
					}
				}
				p.acks(20)
				stop()
				if err := p.x.drain(); err != nil {
					t.Fatalf("cut %d: %v", k, err)
				}
				gap = max(gap, longest(p.x.ops))
				r := p.x.judge()
				total.add(r)
				if r.Faults() > 0 {
					t.Errorf("cut %d: %v", k, r)
				}
				t.Logf("cut %d: %v", k, r)
			}
			done += n
		})
	}
	if done > 0 {
		stdout("rung=cluster row=%q cuts=%d %v pause=%.1fs seed=%d seconds=%.0f failed=%v", "power cut of all servers", done,
			&total, gap.Seconds(), *seed, time.Since(began).Seconds(), t.Failed())
	}
}

var (
	endsWith = regexp.MustCompile(`the log ends with message \d+|the log of the store was deleted under it|a part of it is not there any more`)
	hasSeen  = regexp.MustCompile(`has seen message \d+|message \d+ \(chain \w+\) was stored`)
)

// lazyBlackout is the control: the servers lose what they had confirmed, and gateways say so, those
// that lived through it and one that starts and has its folder. Of servers that have synced once the
// last moments are lost; of others, all.
func lazyBlackout(t *testing.T) {
	for _, synced := range []bool{true, false} {
		t.Run(fmt.Sprint("synced once ", synced), func(t *testing.T) {
			p := newPlant(t, true, "commit=300")
			p.owner()
			stop := p.x.crowd(*seed, 2, 6, 300)
			p.acks(100)
			for _, v := range p.disks {
				if !synced {
					break
				} else if err := v.sync(); err != nil {
					t.Fatal(err)
				}
			}
			_, is := p.cluster()
			p.acks(300)
			p.seen(is.Message)
			fresh := p.gateways[2]
			err := p.blackout(func() { fresh.kill() })
			stop()
			if err != nil {
				t.Fatal(err)
			}
			if err := fresh.start(); err != nil {
				t.Log(err)
			}
			for i, g := range p.gateways {
				code, err := g.exit(time.Minute)
				text := g.said.String()
				ends, seen := endsWith.FindString(text), hasSeen.FindString(text)
				if err != nil || code != 8 || ends == "" || seen == "" {
					t.Errorf("gateway %d: exit code %d, %v; want 8, and what it has seen that is not there", i+1, code, err)
				}
				stdout("rung=cluster row=%q synced=%v gateway=%d code=%d: %q, %q", "control: servers that sync lazily", synced, i+1,
					code, ends, seen)
			}
		})
	}
}

// seen waits until all gateways have written down that they have seen more than message n.
func (p *plant) seen(n uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for _, g := range p.gateways {
		file := filepath.Join(g.args[slices.Index(g.args, "--data")+1], "seen")
		for is := (struct{ Number uint64 }{}); is.Number <= n; pause(ctx, 20*time.Millisecond) {
			text, err := os.ReadFile(file)
			if err == nil {
				err = json.Unmarshal(text, &is)
			}
			if ctx.Err() != nil {
				p.t.Fatalf("a gateway has not seen more than message %d for 3 minutes: %v", n, err)
			}
		}
	}
}

// exit waits until the process has ended by itself, and returns its exit code.
func (s *server) exit(most time.Duration) (code int, err error) {
	select {
	case <-s.life.over:
		s.cmd = nil
		return s.life.code, nil
	case <-time.After(most):
		return 0, fmt.Errorf("it still runs after %v", most)
	}
}
