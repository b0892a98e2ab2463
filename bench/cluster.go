package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/freeport"
	"github.com/glassq/glassq/internal/jetstream/natstest"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	clusterBacklog = flag.Int("cluster-backlog", 1_000_000, "suite cluster: tasks that wait while memory and pauses are measured")
	clusterLog     = flag.Int("cluster-log", 10_000_000, "suite cluster: tasks that pass before the log is measured")
)

// A clusterBench is three NATS servers and two gateways as processes, and how much of everything there is.
type clusterBench struct {
	*bench
	dir      string
	nodes    *natstest.Cluster
	gateways []*gateway
	js       jetstream.JetStream

	span                        time.Duration // of a side of a row
	rounds, tasks, backlog, log int           // tasks: those that a side finds when it takes
	singles                     int           // tasks that are put one after the other
}

// A gateway is a server of Glassq, always at the same address.
type gateway struct {
	args []string
	addr string
	text string // address of its memcached door
	c    *client.Client
	cmd  *exec.Cmd
}

// clusterSuite measures a store of several machines beside plain JetStream on the same servers, as they sync
// each message and as they sync when nothing is set.
func clusterSuite(b *bench) error {
	for _, lazy := range []bool{false, true} {
		k := &clusterBench{bench: b, span: time.Duration(*seconds * float64(time.Second)), rounds: *rounds, tasks: 200_000,
			backlog: *clusterBacklog, log: *clusterLog, singles: 500}
		if *small {
			k.span, k.rounds, k.tasks, k.backlog, k.log, k.singles = time.Second/2, 1, 5000, 5000, 20_000, 20
		}
		if err := k.both(lazy); err != nil {
			return err
		}
	}
	return nil
}

// both runs all rows on servers that sync in one of the two ways.
func (k *clusterBench) both(lazy bool) (err error) {
	mode := "sync_interval always"
	if lazy {
		mode = "sync_interval as it comes"
	}
	if k.dir, err = os.MkdirTemp(k.bench.dir, "cluster-"); err != nil {
		return err
	}
	defer k.end()
	if err := k.begin(lazy); err != nil {
		return err
	}
	fmt.Printf("three NATS servers with %s, two gateways and the load on this machine; %v a side, median of %d rounds, least and most\n",
		mode, k.span, k.rounds)
	rows := []func() error{k.puts, k.takes, k.ones, k.handOuts, k.memory, k.pauses}
	if lazy {
		rows = append(rows, k.cleaned) // what the log keeps does not depend on syncs, and these are faster
	}
	for _, row := range rows {
		if err := row(); err != nil {
			return fmt.Errorf("%w%s", err, k.said())
		}
	}
	return nil
}

func (k *clusterBench) begin(lazy bool) error {
	binary, err := natstest.Binary()
	if err != nil {
		return err
	}
	if k.nodes, err = natstest.Start(binary, k.dir, 3, natstest.Options{Lazy: lazy, Store: "50GB"}); err != nil {
		return err
	}
	nc, err := nats.Connect(strings.TrimSuffix(k.nodes.URL(""), "/"), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	if k.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(pendingMost)); err != nil {
		return err
	}
	addrs, err := freeport.Addresses(4)
	if err != nil {
		return err
	}
	for i, addr := range addrs[:2] {
		g := &gateway{addr: addr, text: addrs[2+i], args: []string{"serve", "--store", k.nodes.URL("bench"), "--accept-lazy-sync",
			"--http", addr, "--memcached", addrs[2+i], "--manager", "off", "--data", filepath.Join(k.dir, fmt.Sprint("g", i+1))}}
		if g.c, err = client.New("http://"+addr, client.Options{}); err != nil {
			return err
		}
		k.gateways = append(k.gateways, g)
		if err := k.start(g); err != nil {
			return err
		}
	}
	return nil
}

// start starts a gateway and waits until it is ready.
func (k *clusterBench) start(g *gateway) error {
	said, err := os.OpenFile(filepath.Join(k.dir, "said"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer said.Close()
	g.cmd = exec.Command(k.glassq, g.args...)
	g.cmd.Stderr = said
	if err := g.cmd.Start(); err != nil {
		g.cmd = nil
		return err
	}
	return k.wait("gateway "+g.addr+" is not ready", func() bool {
		resp, err := http.Get("http://" + g.addr + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// said is what the gateways said last.
func (k *clusterBench) said() string {
	text, _ := os.ReadFile(filepath.Join(k.dir, "said"))
	return "\nthe gateways said last:\n" + string(text[max(0, len(text)-2000):])
}

// wait waits for a minute until something is so.
func (k *clusterBench) wait(what string, is func() bool) error {
	for began := time.Now(); time.Since(began) < time.Minute; {
		if is() {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-k.ctx.Done():
			return k.ctx.Err()
		}
	}
	return errors.New(what + k.said())
}

func (k *clusterBench) end() {
	if k.js != nil {
		k.js.Conn().Close()
	}
	for _, g := range k.gateways {
		g.stop(os.Kill)
	}
	if k.nodes != nil {
		k.nodes.Stop()
	}
	os.RemoveAll(k.dir)
}

func (g *gateway) stop(how os.Signal) {
	if g.cmd != nil {
		g.cmd.Process.Signal(how)
		g.cmd.Wait()
		g.cmd = nil
	}
}

// roles are the gateway that owns the store, and the other one.
func (k *clusterBench) roles() (owner, other *gateway, err error) {
	err = k.wait("no gateway owns the store", func() bool {
		for i, g := range k.gateways {
			if st, err := g.c.Stats(k.ctx); err == nil && st.Cluster != nil && st.Cluster.Role == glassq.RoleOwner {
				owner, other = g, k.gateways[1-i]
				return true
			}
		}
		return false
	})
	return owner, other, err
}

// A contender is one side of a row.
type contender struct {
	name   string
	before func() error             // may be nil
	do     func(i int) (int, error) // how many tasks were done; 0 ends it
	after  func() error             // what is still under way is waited for; may be nil
	rates  []float64
	costs  []float64 // µs of processor time a task, of all processes: it says more than a rate where others are at work
}

// compare has the sides of a row do what they do, in turn, and prints how the first ones are beside
// others, by rate and by processor time.
func (k *clusterBench) compare(what string, callers int, asked [][2]string, sides ...*contender) error {
	order := slices.Clone(sides)
	for range k.rounds {
		for _, s := range order {
			rate, cost, err := k.race(s, callers)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", what, s.name, err)
			}
			s.rates, s.costs = append(s.rates, rate), append(s.costs, cost)
		}
		slices.Reverse(order)
	}
	fmt.Println(what)
	by, cost := map[string]float64{}, map[string]float64{}
	for _, s := range sides {
		r, c := row{rates: s.rates}, row{rates: s.costs}
		by[s.name], cost[s.name] = r.median(), c.median()
		fmt.Printf("    %-50s %9.0f/s %9.0f %9.0f   %7.1f µs of processor time a task\n", s.name, r.median(), slices.Min(s.rates),
			slices.Max(s.rates), c.median())
	}
	for i, a := range asked {
		name := sides[i].name
		fmt.Printf("    %s / %s: %.2f, asked: %s; by processor time %.2f\n", name, a[0], by[name]/by[a[0]], a[1], cost[a[0]]/cost[name])
	}
	return nil
}

// used is the processor time of everything: servers, gateways and this load.
func (k *clusterBench) used() time.Duration {
	all := processor()
	for _, g := range k.gateways {
		all += processorOf(g.cmd.Process.Pid)
	}
	for _, n := range k.nodes.Nodes {
		all += processorOf(n.Pid())
	}
	return all
}

// race has callers do what a side does for a while, and returns tasks per second and µs a task.
func (k *clusterBench) race(s *contender, callers int) (rate, cost float64, err error) {
	if s.before != nil {
		if err := s.before(); err != nil {
			return 0, 0, err
		}
	}
	var n atomic.Int64
	errs := make([]error, callers)
	began, before := time.Now(), k.used()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for time.Since(began) < k.span {
				did, err := s.do(c)
				if n.Add(int64(did)); err != nil || did == 0 {
					errs[c] = err
					return
				}
			}
		})
	}
	wg.Wait()
	err = errors.Join(errs...)
	if s.after != nil {
		err = cmp.Or(err, s.after())
	}
	if err == nil && n.Load() == 0 {
		err = errors.New("nothing was done")
	}
	tasks := float64(n.Load())
	return tasks / time.Since(began).Seconds(), float64((k.used() - before).Microseconds()) / tasks, err
}

// fresh is what a side of Glassq begins with: no tasks.
func (k *clusterBench) fresh() error {
	for _, q := range []string{clusterQueue, glassq.DefaultResults} {
		_, err := k.gateways[0].c.Purge(k.ctx, q)
		if err != nil && glassq.CodeOf(err) != glassq.CodeNotFound {
			return err
		}
	}
	return nil
}

// stream makes the stream of plain JetStream anew, with its consumer.
func (k *clusterBench) stream() (jetstream.Consumer, error) {
	if err := k.js.DeleteStream(k.ctx, plainStream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, err
	}
	s, err := k.js.CreateStream(k.ctx, jetstream.StreamConfig{Name: plainStream, Subjects: []string{plainStream},
		Replicas: 3,
		Storage:  jetstream.FileStorage, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		return nil, err
	}
	return s.CreateConsumer(k.ctx, jetstream.ConsumerConfig{Durable: "w", AckPolicy: jetstream.AckExplicitPolicy,
		Replicas: 3, AckWait: time.Minute, MaxAckPending: 100_000})
}

// publishAll publishes without waiting for each, and waits for all.
func (k *clusterBench) publishAll(n int) error {
	for range n {
		if _, err := k.js.PublishAsync(plainStream, clusterBody, stalls); err != nil {
			return err
		}
	}
	return k.published()
}

func (k *clusterBench) published() error {
	select {
	case <-k.js.PublishAsyncComplete():
		return nil
	case <-k.ctx.Done():
		return context.Cause(k.ctx)
	}
}
