package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	clusterQueue   = "bench"
	plainStream    = "plain"
	pendingMost    = 1000 // messages of PublishAsync that wait for their answers
	clusterBatch   = 100
	clusterCallers = 16
)

// clusterBody is text, as most bodies are; zeros would be six bytes each in JSON.
var clusterBody = bytes.Repeat([]byte("0123456789abcdef"), 8)

// stalls is how long PublishAsync may wait for answers: a busy disk keeps it waiting.
var stalls = jetstream.WithStallWait(time.Minute)

func clusterTasks(n int) []glassq.Task {
	ts := make([]glassq.Task, n)
	for i := range ts {
		ts[i] = glassq.Task{Queue: clusterQueue, Body: clusterBody}
	}
	return ts
}

func (k *clusterBench) put(g *gateway, n int) func(int) (int, error) {
	ts := clusterTasks(n)
	return func(int) (int, error) {
		_, err := g.c.Put(k.ctx, ts)
		return n, err
	}
}

// puts: batches of Glassq beside messages that JetStream takes without being waited for.
func (k *clusterBench) puts() error {
	owner, other, err := k.roles()
	if err != nil {
		return err
	}
	// The library has one queue of what is pending, so one caller is as good as 16.
	plain := &contender{name: "PublishAsync, 1,000 pending", before: func() error { _, err := k.stream(); return err },
		do: func(i int) (int, error) {
			if i > 0 {
				return 0, nil
			}
			_, err := k.js.PublishAsync(plainStream, clusterBody, stalls)
			return 1, err
		}, after: k.published}
	return k.compare("put x 100, 16 callers", clusterCallers,
		[][2]string{{plain.name, "2.5"}, {"glassq, at the owner", "0.5"}},
		&contender{name: "glassq, at the owner", before: k.fresh, do: k.put(owner, clusterBatch)},
		&contender{name: "glassq, at the other gateway", before: k.fresh, do: k.put(other, clusterBatch)}, plain)
}

// takes: reserve and ack with a result each, beside fetch and acks that are confirmed.
func (k *clusterBench) takes() error {
	owner, other, err := k.roles()
	if err != nil {
		return err
	}
	var consumer jetstream.Consumer
	plain := &contender{name: "fetch 100 + confirmed ack, no result", before: func() (err error) {
		if consumer, err = k.stream(); err != nil {
			return err
		}
		return k.publishAll(k.tasks)
	}, do: func(int) (int, error) { return k.fetch(consumer) }}
	return k.compare("reserve + ack + result x 100, 16 callers", clusterCallers,
		[][2]string{{plain.name, "3.5"}, {"glassq, at the owner", "0.5"}},
		&contender{name: "glassq, at the owner", before: k.fill, do: k.take(owner)},
		&contender{name: "glassq, at the other gateway", before: k.fill, do: k.take(other)}, plain)
}

func (k *clusterBench) fill() error {
	if err := k.fresh(); err != nil {
		return err
	}
	return k.putMany(k.tasks)
}

func (k *clusterBench) putMany(n int) error {
	return inTurn(clusterCallers, (n+999)/1000, func(i int) error {
		_, err := k.gateways[0].c.Put(k.ctx, clusterTasks(min(1000, n-i*1000)))
		return err
	})
}

func (k *clusterBench) take(g *gateway) func(int) (int, error) {
	return func(int) (int, error) {
		leases, err := g.c.Reserve(k.ctx, glassq.Reserve{Queue: clusterQueue, Max: clusterBatch})
		if err != nil || len(leases) == 0 {
			return 0, err
		}
		acks := make([]glassq.Ack, len(leases))
		for i := range leases {
			acks[i] = glassq.Ack{Token: leases[i].Token(), Result: &glassq.Task{Type: glassq.TypeJSON,
				Body: result.Append(nil, leases[i].Body, leases[i].Type,
					&result.Record{OK: true, Took: time.Millisecond, Code: 200})}}
		}
		each, err := g.c.Ack(k.ctx, acks)
		return len(leases), errors.Join(err, errors.Join(each...))
	}
}

// fetch fetches and has each ack confirmed, all of them at the same time.
func (k *clusterBench) fetch(c jetstream.Consumer) (int, error) {
	batch, err := c.Fetch(clusterBatch, jetstream.FetchMaxWait(time.Second))
	if err != nil {
		return 0, err
	}
	var got []jetstream.Msg
	for m := range batch.Messages() {
		got = append(got, m)
	}
	errs := make([]error, len(got))
	var wg sync.WaitGroup
	for i, m := range got {
		wg.Go(func() { errs[i] = m.DoubleAck(k.ctx) })
	}
	wg.Wait()
	return len(got), errors.Join(errs...)
}

// ones: one task a call.
func (k *clusterBench) ones() error {
	owner, other, err := k.roles()
	if err != nil {
		return err
	}
	plain := &contender{name: "publish one by one", before: func() error { _, err := k.stream(); return err },
		do: func(int) (int, error) {
			_, err := k.js.Publish(k.ctx, plainStream, clusterBody)
			return 1, err
		}}
	text, end, err := k.sets(owner)
	if err != nil {
		return err
	}
	defer end()
	return k.compare("put x 1, 16 callers", clusterCallers,
		[][2]string{{plain.name, "0.8"}, {plain.name, "0.8"}, {"glassq, at the owner", "0.5"}},
		&contender{name: "glassq, at the owner", before: k.fresh, do: k.put(owner, 1)},
		&contender{name: "glassq, at the owner's memcached door", before: k.fresh, do: text},
		&contender{name: "glassq, at the other gateway", before: k.fresh, do: k.put(other, 1)}, plain)
}

// sets puts one task after the other through the memcached door, each caller by its own connection.
func (k *clusterBench) sets(g *gateway) (do func(int) (int, error), end func(), err error) {
	request := fmt.Appendf(nil, "set %s 0 0 %d\r\n%s\r\n", clusterQueue, len(clusterBody), clusterBody)
	const stored = "STORED\r\n"
	var conns []net.Conn
	end = func() {
		for _, c := range conns {
			c.Close()
		}
	}
	for range clusterCallers {
		c, err := net.Dial("tcp", g.text)
		if err != nil {
			end()
			return nil, nil, err
		}
		conns = append(conns, c)
	}
	return func(i int) (int, error) {
		answer := make([]byte, len(stored))
		if _, err := conns[i].Write(request); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(conns[i], answer); err != nil || string(answer) != stored {
			return 0, fmt.Errorf("set: %q, %w", answer, err)
		}
		return 1, nil
	}, end, nil
}

// handOuts: how long it takes from a put until a caller who waits has the task.
func (k *clusterBench) handOuts() error {
	owner, other, err := k.roles()
	if err != nil {
		return err
	}
	if err := k.fresh(); err != nil {
		return err
	}
	consumer, err := k.stream()
	if err != nil {
		return err
	}
	at := func(g *gateway) (put, take func() error, done func() error) {
		var lease []glassq.Lease
		return func() error { _, err := g.c.Put(k.ctx, clusterTasks(1)); return err },
			func() (err error) {
				lease, err = g.c.Reserve(k.ctx, glassq.Reserve{Queue: clusterQueue, Max: 1, Wait: time.Minute})
				return err
			}, func() error { _, err := g.c.Ack(k.ctx, []glassq.Ack{{Token: lease[0].Token()}}); return err }
	}
	plain := func() (put, take func() error, done func() error) {
		var msg jetstream.Msg
		return func() error { _, err := k.js.Publish(k.ctx, plainStream, clusterBody); return err },
			func() (err error) { msg, err = consumer.Next(jetstream.FetchMaxWait(time.Minute)); return err },
			func() error { return msg.DoubleAck(k.ctx) }
	}
	type side struct {
		name            string
		put, take, done func() error
		took            []time.Duration
	}
	sides := []*side{{name: "glassq, at the owner"}, {name: "glassq, at the other gateway"}, {name: "plain JetStream"}}
	sides[0].put, sides[0].take, sides[0].done = at(owner)
	sides[1].put, sides[1].take, sides[1].done = at(other)
	sides[2].put, sides[2].take, sides[2].done = plain()
	for range k.singles {
		for _, s := range sides {
			took, err := handOver(s.put, s.take)
			if err == nil {
				err = s.done()
			}
			if err != nil {
				return fmt.Errorf("hand-out, %s: %w", s.name, err)
			}
			s.took = append(s.took, took)
		}
	}
	fmt.Printf("put -> parked reserve, %d each in turn\n", k.singles)
	var p50 []time.Duration
	for _, s := range sides {
		same := func(d time.Duration) time.Duration { return d }
		p50 = append(p50, median(s.took, same))
		fmt.Printf("    %-50s p50 %v p99 %v\n", s.name, median(s.took, same), quantile(s.took, .99, same))
	}
	fmt.Printf("    at the owner / plain JetStream: %.2f, asked: at most 1.0; at the other gateway: %.2f\n", ratio(p50[0], p50[2]),
		ratio(p50[1], p50[2]))
	return nil
}

// handOver is the time from a put until take returns, which waits by then.
func handOver(put, take func() error) (time.Duration, error) {
	var taken time.Time
	var takeErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		takeErr = take()
		taken = time.Now()
	})
	time.Sleep(5 * time.Millisecond) // take waits by now, or the figure is a little worse
	began := time.Now()
	err := put()
	wg.Wait()
	return taken.Sub(began), errors.Join(err, takeErr)
}

// memory of gateways while tasks wait, and what one that has nothing to do takes of a core.
func (k *clusterBench) memory() error {
	owner, other, err := k.roles()
	if err != nil {
		return err
	}
	if err := k.fresh(); err != nil {
		return err
	}
	if err := k.putMany(k.backlog); err != nil {
		return err
	}
	pids := [2]int{owner.cmd.Process.Pid, other.cmd.Process.Pid}
	core := func(span time.Duration) (share [2]float64) {
		before := [2]time.Duration{processorOf(pids[0]), processorOf(pids[1])}
		select {
		case <-time.After(span):
		case <-k.ctx.Done():
		}
		for i, pid := range pids {
			share[i] = 100 * ratio(processorOf(pid)-before[i], span)
		}
		return share
	}
	fmt.Printf("with %d tasks that wait: the owner %d MB resident, the other gateway %d MB; asked for a million: 150 and 60\n", k.backlog,
		status(pids[0], "VmRSS:"), status(pids[1], "VmRSS:"))
	began := time.Now()
	for time.Since(began) < time.Minute && core(time.Second)[0] > 2 && k.ctx.Err() == nil {
	} // what the puts have left to do: a checkpoint, a collection
	rested, span := time.Since(began), max(k.span, time.Second)
	share := core(span)
	fmt.Printf("idle for %v, %v after the last put: the owner %.1f %% of a core and %d MB, the other gateway %.1f %% and %d MB; asked: 2 %%\n",
		span, rested.Round(time.Second), share[0], status(pids[0], "VmRSS:"), share[1], status(pids[1], "VmRSS:"))
	return k.ctx.Err()
}

// pauses: how long a client waits at most while parts stop, with the tasks of the row before waiting.
func (k *clusterBench) pauses() error {
	for _, way := range []struct {
		what string
		most time.Duration
		harm func(owner *gateway) error
	}{
		{"owner killed", 5 * time.Second, func(g *gateway) error { g.stop(os.Kill); return k.start(g) }},
		{"owner stopped as planned", 500 * time.Millisecond, func(g *gateway) error { g.stop(syscall.SIGTERM); return k.start(g) }},
		{"leader of the stream killed", 12 * time.Second, func(g *gateway) error {
			st, err := g.c.Stats(k.ctx)
			if err != nil {
				return err
			}
			n := k.nodes.Node(st.Cluster.Leader)
			if n == nil {
				return fmt.Errorf("no server is the leader, as the owner says: %+v", st.Cluster)
			}
			n.Kill()
			time.Sleep(2 * time.Second)
			return errors.Join(n.Start(), n.Ready())
		}},
	} {
		longest, err := k.pause(way.harm)
		if err != nil {
			return fmt.Errorf("%s: %w", way.what, err)
		}
		fmt.Printf("%s, %d tasks waiting: longest pause of a client %v; asked: %v\n", way.what, k.backlog,
			longest.Round(time.Millisecond), way.most)
	}
	return nil
}

// pause has clients put one task after the other through any gateway while harm is done, and returns the
// longest time that one of them waited for a put. One that cannot reach a gateway goes to the other one.
func (k *clusterBench) pause(harm func(owner *gateway) error) (longest time.Duration, err error) {
	owner, _, err := k.roles()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	var most atomic.Int64
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			at := c
			for n := 0; ctx.Err() == nil; n++ {
				task := clusterTasks(1)
				task[0].ID = fmt.Sprint(time.Now().UnixNano(), "-", c) // so that it may be put twice
				began := time.Now()
				for ctx.Err() == nil {
					if _, err := k.gateways[at%2].c.Put(ctx, task); err == nil {
						break
					}
					at++
					time.Sleep(5 * time.Millisecond)
				}
				if waited := int64(time.Since(began)); ctx.Err() == nil {
					most.Store(max(most.Load(), waited))
				}
			}
		})
	}
	settle := func() { time.Sleep(max(k.span, time.Second)) } // puts that pass before and after
	settle()
	most.Store(0)
	err = harm(owner)
	settle()
	cancel()
	wg.Wait()
	return time.Duration(most.Load()), err
}

// cleaned: what the log holds when nearly all is done, and one task waits for ever.
func (k *clusterBench) cleaned() error {
	if err := k.fresh(); err != nil {
		return err
	}
	if _, err := k.gateways[0].c.Put(k.ctx, []glassq.Task{{Queue: "forever", Body: clusterBody}}); err != nil {
		return err
	}
	owner, _, err := k.roles()
	if err != nil {
		return err
	}
	const once = 10_000
	passed := 0
	for ; passed < k.log; passed += once {
		if err := k.putMany(once); err != nil {
			return err
		}
		err := inTurn(clusterCallers, once/clusterBatch, func(int) error { _, err := k.takeOnly(owner); return err })
		if err != nil {
			return err
		}
	}
	var sizes []uint64
	err = k.wait("", func() bool {
		s, err := k.js.Stream(k.ctx, "GLASSQ_bench_0")
		if err != nil {
			return false
		}
		sizes = append(sizes, s.CachedInfo().State.Bytes)
		n := len(sizes)
		return n > 500 && slices.Min(sizes[n-250:]) == sizes[n-1] && slices.Max(sizes[n-250:])-sizes[n-1] < 1<<20
	})
	if len(sizes) == 0 {
		return err
	}
	fmt.Printf("log after %d tasks that passed and one that waits: %.1f MB; asked: two extents of 16 MiB and 2.5 times what lives\n", passed,
		float64(sizes[len(sizes)-1])/1e6)
	return nil
}

// takeOnly reserves and acks, without results.
func (k *clusterBench) takeOnly(g *gateway) (int, error) {
	leases, err := g.c.Reserve(k.ctx, glassq.Reserve{Queue: clusterQueue, Max: clusterBatch})
	if err != nil || len(leases) == 0 {
		return 0, err
	}
	acks := make([]glassq.Ack, len(leases))
	for i := range leases {
		acks[i].Token = leases[i].Token()
	}
	each, err := g.c.Ack(k.ctx, acks)
	return len(leases), errors.Join(err, errors.Join(each...))
}
