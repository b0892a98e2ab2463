package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	httpdoor "github.com/glassq/glassq/internal/door/http"
	"github.com/glassq/glassq/internal/live"
)

func nothing(context.Context) error { return nil }

// events reads a stream of events until ctx is done, and returns how many ticks came.
func (w *watch) events(ctx context.Context) (ticks int, err error) {
	req, err := http.NewRequestWithContext(ctx, "GET", w.url+"/v1/events", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, unless(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return 0, fmt.Errorf("GET /v1/events = %s", resp.Status)
	}
	in := bufio.NewReaderSize(resp.Body, 256<<10)
	for {
		line, _, err := in.ReadLine()
		if err != nil {
			return ticks, unless(ctx, err)
		}
		if string(line) == "event: tick" {
			ticks++
		}
	}
}

// unless is err, but nil when ctx is done, which ends what a reader does.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// listen reads streams of events, and prints how many ticks came.
func (w *watch) listen(ctx context.Context) error {
	var ticks atomic.Int64
	began := time.Now()
	err := inTurn(w.streams, w.streams, func(int) error {
		n, err := w.events(ctx)
		ticks.Add(int64(n))
		return err
	})
	fmt.Printf("    %.2f ticks a second a stream, asked: 1\n",
		float64(ticks.Load())/float64(w.streams)/time.Since(began).Seconds())
	return err
}

// crowd reads events like listen, with connections beside that ask for them and read nothing.
func (w *watch) crowd(ctx context.Context) error {
	return inTurn(w.readers, w.readers, func(i int) error {
		if i%2 == 1 {
			_, err := w.events(ctx)
			return err
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.server.addr)
		if err != nil {
			return unless(ctx, err)
		}
		defer c.Close()
		if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c, "GET /v1/events HTTP/1.1\r\nHost: %s\r\n\r\n", w.server.addr); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
}

// scrape asks for the metrics every 100 ms.
func (w *watch) scrape(ctx context.Context) error {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if _, err := w.get(ctx, "/metrics"); err != nil {
				return unless(ctx, err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

var formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)

// redrive presses the button that makes all dead tasks of a queue ready, and has tasks pass before,
// meanwhile and afterwards.
func (w *watch) redrive() error {
	before, err := w.pass(w.span, nothing)
	if err != nil {
		return err
	}
	var took time.Duration
	meanwhile, err := w.pass(time.Hour, func(ctx context.Context) error {
		began := time.Now()
		if err := w.press(ctx); err != nil {
			return err
		}
		for t := time.Tick(20 * time.Millisecond); ; <-t {
			q, err := w.c.Queues(ctx, deadQueue)
			if err != nil || len(q) == 0 {
				return fmt.Errorf("%d queues %s: %w", len(q), deadQueue, err)
			}
			if q[0].Dead == 0 {
				took = time.Since(began)
				return errEnded
			}
		}
	})
	if err != nil {
		return err
	}
	after, err := w.pass(w.span, nothing)
	if err != nil {
		return err
	}
	most := max(ratio(meanwhile.put, before.put), ratio(meanwhile.reserve, before.reserve),
		ratio(meanwhile.ack, before.ack))
	fmt.Printf("redrive of %d by the button, in %.1f s\n    before:    %v\n    meanwhile: %v\n    after:     %v\n"+
		"    p99 of calls at most %.2f times that before, asked: 2\n", w.dead, took.Seconds(), before, meanwhile, after, most)
	return nil
}

// redriveSuite is the row of suite watch about dead tasks alone.
func redriveSuite(b *bench) error {
	w := newWatch(b)
	defer w.end()
	if err := w.begin("redrive", *syncs); err != nil {
		return err
	}
	if err := w.kill(deadQueue, w.dead); err != nil {
		return err
	}
	return w.redrive()
}

// manySuite is the row of suite watch about very many queues alone, beside fewer tasks.
func manySuite(b *bench) error {
	w := newWatch(b)
	w.rate = 2000
	defer w.end()
	return w.manyQueues()
}

// press sends the form of a queue's page.
func (w *watch) press(ctx context.Context) error {
	page, err := w.get(ctx, "/queues/"+deadQueue)
	if err != nil {
		return err
	}
	token := formToken.FindSubmatch(page.body)
	if token == nil {
		return fmt.Errorf("the page of %s has no form", deadQueue)
	}
	form := url.Values{"form": {string(token[1])}, "back": {"/queues/" + deadQueue}}
	req, err := http.NewRequestWithContext(ctx, "POST", w.url+"/queues/"+deadQueue+"/redrive",
		strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
		return fmt.Errorf("redrive = %s: %.300s: %w", resp.Status, text, err)
	}
	return nil
}

// manyQueues looks at a server that holds a task in each of very many queues.
func (w *watch) manyQueues() error {
	if err := w.begin("many", disk.SyncInterval); err != nil {
		return err
	}
	err := inTurn(64, w.many, func(i int) error {
		_, err := w.c.Put(w.ctx, []glassq.Task{{Queue: fmt.Sprint("q", i), Body: []byte("x")}})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d queues, sync interval\n", w.many)
	for _, path := range []string{"/", "/queues", "/dead", "/metrics"} {
		if err := w.page(path); err != nil {
			return err
		}
	}
	return nil
}

// countSuite is the row of suite watch about internal/live alone.
func countSuite(b *bench) error { return newWatch(b).liveCost() }

// liveCost compares the processor time a task of the HTTP door, in process, with and without the
// counting of internal/live. What calls the door counts too.
func (w *watch) liveCost() error {
	for _, batch := range []int{1, loadBatch} {
		if err := w.countCost(batch); err != nil {
			return err
		}
	}
	return nil
}

// countCost prints the row of one size of batch. Both servers are there all the time, and have their turns in short
// slices, so that what else the machine does falls on both. Counting makes no system call, so the system's
// time, which syncs and other programs move most, is taken as the mean of both.
func (w *watch) countCost(batch int) error {
	const slices = 10         // of each side, a round
	var doors [2]http.Handler // without, with
	for i, seen := range []*live.Live{nil, live.New(live.Options{})} {
		h, end, err := openDoor(w.ctx, filepath.Join(w.dir, fmt.Sprint("cost", i)), seen)
		if err != nil {
			return err
		}
		defer end()
		doors[i] = h
	}
	var without, more []float64 // µs a task; % of it
	for range w.rounds {
		var user, system [2]float64
		var tasks [2]float64
		for k := range 2 * slices {
			i := (k + k/2) % 2 // 0 1 1 0: neither always comes second
			cpu, of := processor(), userTime()
			n, err := w.passDoor(doors[i], batch, w.span/slices)
			if err != nil {
				return err
			}
			of = userTime() - of
			user[i] += float64(of.Microseconds())
			system[i] += float64((processor() - cpu - of).Microseconds())
			tasks[i] += float64(n)
		}
		all := user[0]/tasks[0] + (system[0]+system[1])/(tasks[0]+tasks[1])
		without = append(without, all)
		more = append(more, (user[1]/tasks[1]-user[0]/tasks[0])/all*100)
	}
	same := func(f float64) float64 { return f }
	fmt.Printf("internal/live, batches of %3d: processor time a task %.2f µs, with counting %+.1f %% (median of %d, from %+.1f to %+.1f), "+
		"asked: at most 3 %%\n", batch, median(without, same), median(more, same), w.rounds, quantile(more, 0, same), quantile(more, 1, same))
	return nil
}

// openDoor opens a store of its own, with or without counting before it, and the HTTP door; end closes
// them.
func openDoor(ctx context.Context, dir string, seen *live.Live) (h http.Handler, end func(), err error) {
	opt := disk.Options{Sync: *syncs}
	if seen != nil {
		opt.Synced = seen.Synced
	}
	e, err := disk.Open(dir, opt)
	if err != nil {
		return nil, nil, err
	}
	var store glassq.Store = e
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if seen != nil {
		store = seen.Over(e)
		wg.Go(func() { seen.Keep(ctx) })
	}
	return httpdoor.New(broker.New(store, glassq.Limits{}), httpdoor.Options{Live: seen}), func() {
		cancel()
		wg.Wait()
		e.Close()
		os.RemoveAll(dir)
	}, nil
}

// passDoor puts, reserves and acks tasks of a run through a handler for a while, and returns how many passed.
func (w *watch) passDoor(h http.Handler, batch int, span time.Duration) (int64, error) {
	tasks := bytes.Repeat([]byte(`{"body":"http://localhost:8888/?q=12345","run":"r"}`+"\n"), batch)
	began := time.Now()
	var n atomic.Int64
	err := inTurn(loadCallers, loadCallers, func(i int) error {
		queue := fmt.Sprint("/v1/queues/q", i)
		for {
			if _, err := ask(h, queue+"/tasks", tasks); err != nil {
				return err
			}
			leases, err := ask(h, fmt.Sprint(queue, "/reserve?max=", batch), nil)
			if err != nil {
				return err
			}
			var acks []byte
			for _, m := range leaseToken.FindAll(leases, -1) {
				acks = append(append(append(acks, '{'), m...), "}\n"...)
				n.Add(1)
			}
			if _, err := ask(h, "/v1/ack", acks); err != nil {
				return err
			}
			if time.Since(began) > span || w.ctx.Err() != nil {
				return w.ctx.Err()
			}
		}
	})
	if n.Load() == 0 {
		return 0, fmt.Errorf("no task passed: %w", err)
	}
	return n.Load(), err
}

var leaseToken = regexp.MustCompile(`"token":"[^"]+"`)

// An answer is what a handler writes.
type answer struct {
	bytes.Buffer
	header http.Header
	status int
}

func (a *answer) Header() http.Header    { return a.header }
func (a *answer) WriteHeader(status int) { a.status = status }

// ask posts lines to a handler.
func ask(h http.Handler, path string, lines []byte) ([]byte, error) {
	req, err := http.NewRequest("POST", "http://localhost"+path, bytes.NewReader(lines))
	if err != nil {
		return nil, err
	}
	req.RemoteAddr = "127.0.0.1:1"
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Glassq-Worker", "bench")
	a := &answer{header: http.Header{}, status: 200}
	h.ServeHTTP(a, req)
	if a.status != 200 {
		return nil, fmt.Errorf("POST %s = %d: %.300s", path, a.status, a.Bytes())
	}
	return a.Bytes(), nil
}

// processorOf is the processor time that a process has taken, in steps of 10 ms; 0 where the system
// does not tell.
func processorOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name of the program
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
