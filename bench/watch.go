package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
)

var small = flag.Bool("small", false, "suites watch, keys and cluster with a few thousand tasks, 2 s a row: to see that they work")

// A watch is a server that is watched while tasks pass, and how much of everything there is.
type watch struct {
	*bench
	server *process
	url    string
	c      *client.Client

	queues, dead, many int // queues that tasks pass through; dead tasks in one more; queues of another server
	rate               int // tasks per second that pass by put + reserve + ack
	span               time.Duration
	streams, readers   int
	rounds             int
}

const (
	loadBatch   = 100
	loadCallers = 16
	deadQueue   = "dead"
)

// watchSuite measures what watching a server costs it, and how fast its pages are.
func watchSuite(b *bench) error {
	return newWatch(b).all()
}

func newWatch(b *bench) *watch {
	w := &watch{bench: b, queues: 1000, dead: 1_000_000, many: 100_000, rate: 20_000,
		span: time.Duration(*seconds * float64(time.Second)), streams: 10, readers: 500, rounds: *rounds}
	if *small {
		w.shrink(2 * time.Second)
	}
	return w
}

// shrink leaves enough of everything to see that it works.
func (w *watch) shrink(span time.Duration) {
	w.queues, w.dead, w.many, w.rate, w.span, w.readers, w.rounds = 20, 3000, 300, 2000, span, 20, 1
}

// A side is one of the two sides of a row: what is beside the tasks that pass.
type side struct {
	list *[]passed
	do   func(context.Context) error
}

// all prints all rows.
func (w *watch) all() error {
	defer w.end()
	if err := w.begin("watch", *syncs); err != nil {
		return err
	}
	began := time.Now()
	if err := w.die(); err != nil {
		return err
	}
	fmt.Printf("%d queues, %d dead tasks (made in %.1f s), %d tasks/s by put + reserve + ack of %d over HTTP, sync %s, "+
		"%v a row, median of %d\n",
		w.queues+1, w.dead, time.Since(began).Seconds(), w.rate, loadBatch, *syncs, w.span, w.rounds)
	for _, row := range []struct {
		name, asked string
		do          func(context.Context) error // beside the tasks, until its context is done
	}{
		{fmt.Sprint(w.streams, " event streams"), "3 % of a core", w.listen},
		{"/metrics every 100 ms", "", w.scrape},
		{fmt.Sprint(w.readers, " readers of events, every second one never reads"), "", w.crowd},
	} {
		fmt.Println(row.name)
		var without, with []passed
		sides := []side{{&without, nothing}, {&with, row.do}}
		for range w.rounds {
			for _, side := range sides {
				p, err := w.pass(w.span, side.do)
				if err != nil {
					return fmt.Errorf("%s: %w", row.name, err)
				}
				*side.list = append(*side.list, p)
			}
			slices.Reverse(sides) // so that neither always has a warm server
		}
		a, z := middle(without), middle(with)
		fmt.Printf("    without: %v\n    with:    %v\n    of a core %+.2f %%", a, z, (z.core-a.core)*100)
		if row.asked != "" {
			fmt.Printf(", asked: %s", row.asked)
		}
		fmt.Printf("; p99 of put %.2f, reserve %.2f, ack %.2f times\n", ratio(z.put, a.put), ratio(z.reserve, a.reserve),
			ratio(z.ack, a.ack))
	}
	if err := w.pages(); err != nil {
		return err
	}
	if err := w.redrive(); err != nil {
		return err
	}
	if err := w.manyQueues(); err != nil {
		return err
	}
	return w.liveCost()
}

func (w *watch) end() {
	if w.server != nil {
		w.server.stop()
	}
}

// begin starts a server of its own, in place of the one before.
func (w *watch) begin(folder, sync string) (err error) {
	w.end()
	if w.server, err = start(w.ctx, w.glassq, "serve", "--data", filepath.Join(w.dir, folder), "--http", "127.0.0.1:0",
		"--memcached", "off", "--sync", sync); err != nil {
		return err
	}
	w.url = "http://" + w.server.addr
	w.c, err = client.New(w.url, client.Options{})
	return err
}

// die has tasks of a run die in one queue, and ten in each of the others.
func (w *watch) die() error {
	if err := w.kill(deadQueue, w.dead); err != nil {
		return err
	}
	return inTurn(loadCallers, w.queues, func(i int) error { return w.kill(fmt.Sprint("q", i), 10) })
}

func (w *watch) kill(queue string, count int) error {
	for done := 0; done < count; {
		tasks := make([]glassq.Task, min(10_000, count-done))
		for i := range tasks {
			tasks[i] = glassq.Task{Queue: queue, Run: "watched", Body: fmt.Appendf(nil, "http://h/?q=%d", done+i)}
		}
		if _, err := w.c.Put(w.ctx, tasks); err != nil {
			return err
		}
		for left := len(tasks); left > 0; {
			leases, err := w.c.Reserve(w.ctx, glassq.Reserve{Queue: queue, Max: 1000})
			if err != nil || len(leases) == 0 {
				return fmt.Errorf("reserve of %s had %d tasks: %w", queue, len(leases), err)
			}
			nacks := make([]glassq.Nack, len(leases))
			for i := range leases {
				nacks[i] = glassq.Nack{Token: leases[i].Token(), Dead: true, Reason: "connection refused"}
			}
			each, err := w.c.Nack(w.ctx, nacks)
			if err = errors.Join(err, errors.Join(each...)); err != nil {
				return err
			}
			left -= len(leases)
		}
		done += len(tasks)
	}
	return nil
}

// inTurn calls do for 0 to n-1 from some goroutines, up to the first error.
func inTurn(callers, n int, do func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for errs[c] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[c] = do(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// A passed is what tasks that pass saw of a server.
type passed struct {
	rate              float64       // tasks per second
	core              float64       // processor time of the server per second
	put, reserve, ack time.Duration // p99 of a batch, from when it was called
	resident          float64       // MB, at the end
}

func (p passed) String() string {
	return fmt.Sprintf("%.0f tasks/s, server %.1f %% of a core and %.0f MB, p99 put %v reserve %v ack %v",
		p.rate, p.core*100, p.resident, p.put.Round(time.Microsecond),
		p.reserve.Round(time.Microsecond), p.ack.Round(time.Microsecond))
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// middle has the median of each figure.
func middle(all []passed) (m passed) {
	m.rate = median(all, func(p passed) float64 { return p.rate })
	m.core = median(all, func(p passed) float64 { return p.core })
	m.resident = median(all, func(p passed) float64 { return p.resident })
	m.put = median(all, func(p passed) time.Duration { return p.put })
	m.reserve = median(all, func(p passed) time.Duration { return p.reserve })
	m.ack = median(all, func(p passed) time.Duration { return p.ack })
	return m
}

func median[T any, F float64 | time.Duration](all []T, of func(T) F) F {
	return quantile(all, .5, of)
}

func quantile[T any, F float64 | time.Duration](all []T, q float64, of func(T) F) F {
	var list []F
	for _, one := range all {
		list = append(list, of(one))
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)]
}

// pass has tasks pass, and do beside them, for a span or until do ends with errEnded.
func (w *watch) pass(span time.Duration, do func(context.Context) error) (p passed, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, span)
	defer cancel()
	var beside error
	var wg sync.WaitGroup
	wg.Go(func() {
		if beside = do(ctx); beside != nil {
			cancel()
		}
	})
	pid := w.server.cmd.Process.Pid
	cpu := processorOf(pid)
	began := time.Now()
	var n atomic.Int64
	took := make([][][3]time.Duration, loadCallers)
	errs := make([]error, loadCallers)
	var load sync.WaitGroup
	for c := range loadCallers {
		load.Go(func() {
			every := time.Second * loadBatch * loadCallers / time.Duration(w.rate)
			for k := 0; ; k++ {
				due := began.Add(time.Duration(k)*every + every*time.Duration(c)/loadCallers)
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
				}
				if ctx.Err() != nil {
					return
				}
				// each caller has queues of its own, so that it gets the tasks that it put
				queue := fmt.Sprint("q", (k*loadCallers+c)%max(w.queues/loadCallers*loadCallers, loadCallers))
				t, err := w.cycle(queue)
				if err != nil {
					errs[c] = err
					cancel()
					return
				}
				took[c] = append(took[c], t)
				n.Add(loadBatch)
			}
		})
	}
	load.Wait()
	spent := time.Since(began).Seconds()
	p.rate, p.core = float64(n.Load())/spent, (processorOf(pid)-cpu).Seconds()/spent
	p.resident = float64(status(pid, "VmRSS:"))
	cancel()
	wg.Wait()
	if errors.Is(beside, errEnded) {
		beside = nil
	}
	all := slices.Concat(took...)
	for i, f := range []*time.Duration{&p.put, &p.reserve, &p.ack} {
		*f = quantile(all, .99, func(t [3]time.Duration) time.Duration { return t[i] })
	}
	return p, errors.Join(beside, errors.Join(errs...), w.ctx.Err())
}

// errEnded ends pass early.
var errEnded = errors.New("ended")

// cycle puts, reserves and acks a batch, and returns how long each took.
func (w *watch) cycle(queue string) (took [3]time.Duration, err error) {
	tasks := make([]glassq.Task, loadBatch)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: queue, Body: []byte("http://localhost:8888/?q=12345")}
	}
	began := time.Now()
	if _, err := w.c.Put(w.ctx, tasks); err != nil {
		return took, err
	}
	took[0] = time.Since(began)
	began = time.Now()
	leases, err := w.c.Reserve(w.ctx, glassq.Reserve{Queue: queue, Max: loadBatch})
	if err != nil {
		return took, err
	}
	took[1] = time.Since(began)
	acks := make([]glassq.Ack, len(leases))
	for i := range leases {
		acks[i].Token = leases[i].Token()
	}
	began = time.Now()
	each, err := w.c.Ack(w.ctx, acks)
	took[2] = time.Since(began)
	return took, errors.Join(err, errors.Join(each...))
}

// A view is one answer to a reader.
type view struct {
	first time.Duration // from the request to the first byte
	wire  float64       // bytes that came in, headers among them
	body  []byte
}

// get asks for one path by a connection of its own, as a browser that takes gzip.
func (w *watch) get(ctx context.Context, path string) (v view, err error) {
	var conn *counted
	began := time.Now()
	t := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		conn = &counted{Conn: c}
		return conn, err
	}}
	defer t.CloseIdleConnections()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { began = time.Now() },
		GotFirstResponseByte: func() { v.first = time.Since(began) }})
	req, err := http.NewRequestWithContext(ctx, "GET", w.url+path, nil)
	if err != nil {
		return v, err
	}
	resp, err := t.RoundTrip(req) // asks for gzip by itself
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	v.body, err = io.ReadAll(resp.Body)
	v.wire = float64(conn.n.Load())
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("GET %s = %s: %.200s", path, resp.Status, v.body)
	}
	return v, err
}

// A counted is a connection that counts the bytes that come in.
type counted struct {
	net.Conn
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

var asset = regexp.MustCompile(`"(/assets/[^"]+)"`)

// pages reads each page while tasks pass.
func (w *watch) pages() error {
	peeked, _, err := w.c.Peek(w.ctx, deadQueue, glassq.Dead, 0, 1)
	if err != nil || len(peeked) == 0 {
		return fmt.Errorf("peek of %s = %d tasks: %w", deadQueue, len(peeked), err)
	}
	big, err := w.c.Put(w.ctx, []glassq.Task{{Queue: "big", Type: glassq.TypeOctets,
		Body: bytes.Repeat([]byte{1}, glassq.DefaultMaxBody)}})
	if err != nil {
		return err
	}
	for _, path := range []string{"/", "/queues", "/queues/" + deadQueue, "/queues/" + deadQueue + "/tasks?state=dead",
		fmt.Sprintf("/queues/%s/tasks/%s", deadQueue, url.PathEscape(peeked[0].ID)),
		"/queues/big/tasks/" + glassq.AssignedID(big[0].Number), "/runs", "/runs/watched", "/dead", "/workers"} {
		if err := w.page(path); err != nil {
			return err
		}
	}
	return nil
}

// page reads a page up to 50 times a second while tasks pass, and prints what that took.
func (w *watch) page(path string) error {
	var views []view
	p, err := w.pass(w.span, func(ctx context.Context) error {
		for t := time.Tick(20 * time.Millisecond); ; {
			v, err := w.get(w.ctx, path)
			if err != nil {
				return err
			}
			views = append(views, v)
			select {
			case <-t:
			case <-ctx.Done():
				return nil
			}
		}
	})
	if err != nil || len(views) == 0 {
		return fmt.Errorf("%d views of %s: %w", len(views), path, err)
	}
	assets := 0.0
	for _, m := range asset.FindAllSubmatch(views[0].body, -1) {
		v, err := w.get(w.ctx, strings.ReplaceAll(string(m[1]), "&amp;", "&"))
		if err != nil {
			return err
		}
		assets += v.wire
	}
	first := func(v view) time.Duration { return v.first }
	wire := quantile(views, 1, func(v view) float64 { return v.wire })
	fmt.Printf("%-32.32s first byte p50 %v p99 %v (asked: 100 ms), on the wire %.1f KB, "+
		"%.1f with its files (asked: 150); %d views, %.0f tasks/s\n", path, median(views, first).Round(time.Microsecond),
		quantile(views, .99, first).Round(time.Microsecond), wire/1e3, (wire+assets)/1e3, len(views), p.rate)
	return nil
}
