package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A work is one row group of the report.
type work struct {
	ID, What string
	conns    int
	batch    int // of a take; of a put 1, or 0 for as many as the setting has under way
	kind     kind
	rate     int // of kind latency: puts a second
}

type kind int

const (
	put kind = iota
	take
	done
	latency
)

// works is what each setting does, in this order.
var works = []work{
	{ID: "pipelined", What: "put, pipelined or in batches, 1 connection", conns: 1, kind: put},
	{ID: "put1", What: "put, one at a time, 1 connection", conns: 1, batch: 1, kind: put},
	{ID: "put16", What: "put, one at a time, 16 connections", conns: 16, batch: 1, kind: put},
	{ID: "put64", What: "put, one at a time, 64 connections", conns: 64, batch: 1, kind: put},
	{ID: "take1", What: "take + ack, one at a time, 16 connections", conns: 16, batch: 1, kind: take},
	{ID: "take100", What: "take + ack, batches of 100, 16 connections", conns: 16, batch: 100, kind: take},
	{ID: "done", What: "put → done with a result stored, 4 producers, 8 workers, batches of 100", conns: 8,
		batch: 100, kind: done},
	{ID: "late1000", What: "latency of single puts at 1,000/s, 16 connections", conns: 16, kind: latency, rate: 1000},
	{ID: "late5000", What: "latency of single puts at 5,000/s, 16 connections", conns: 16, kind: latency, rate: 5000},
}

// A cell is what one setting did in one round of one work.
type cell struct {
	Setting, Work string
	N             int // tasks that were asked for
	Did           int // tasks that were done
	Took          time.Duration
	P50, P99      time.Duration // of latency
	Memory, Disk  int64         // bytes, of the backlog
	Ready         time.Duration // from a start after kill -9 to the first task, of the backlog
}

func (c cell) rate() float64 {
	if c.Took == 0 {
		return 0
	}
	return float64(c.Did) / c.Took.Seconds()
}

func (c cell) String() string {
	switch {
	case c.P50 > 0:
		return fmt.Sprintf("%-10s %9.0f/s  p50 %v p99 %v", c.Work, c.rate(), c.P50, c.P99)
	case c.Memory > 0:
		return fmt.Sprintf("%-10s %d tasks, %d MB resident, %.0f bytes a task on disk, first task %v after kill -9",
			c.Work, c.Did, c.Memory>>20, float64(c.Disk)/float64(c.Did), c.Ready)
	}
	return fmt.Sprintf("%-10s %9.0f/s  (%d in %v)", c.Work, c.rate(), c.Did, c.Took.Round(time.Millisecond))
}

// A course is one round of one setting: a server that begins empty, and all works.
type course struct {
	*env
	*setting
	n     int
	most  time.Duration // of a cell
	first bool          // this round also measures what a backlog costs

	server *server
	held   int // tasks that wait in the queue
}

func (c *course) run() (cells []cell, err error) {
	dir, err := os.MkdirTemp(c.env.dir, "s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if c.server, err = c.begin(dir); err != nil {
		return nil, err
	}
	defer func() { c.server.kill() }()
	if c.prepare != nil {
		if err := c.prepare(c.ctx, c.server); err != nil {
			return nil, fmt.Errorf("prepare: %w%s", err, c.server.said())
		}
	}
	// Files are made and code is read before the first cell.
	if _, err := c.puts(1, c.depth, c.depth, paced, false); err != nil {
		return nil, fmt.Errorf("warm up: %w%s", err, c.server.said())
	}
	empty := diskUse(dir)
	for _, w := range works {
		if c.atMost > 0 && w.conns > c.atMost {
			continue
		}
		got, err := c.cell(w)
		if err != nil {
			return cells, fmt.Errorf("%s: %w%s", w.What, err, c.server.said())
		}
		got.Setting, got.Work, got.N = c.Name, w.ID, c.n
		cells = append(cells, got)
		if w.ID == "pipelined" && c.first {
			got, err := c.backlog(dir, empty)
			if err != nil {
				return cells, fmt.Errorf("backlog: %w%s", err, c.server.said())
			}
			cells = append(cells, got)
		}
	}
	return cells, nil
}

// begin starts the server and waits until it answers.
func (c *course) begin(dir string) (*server, error) {
	s, err := c.start(c.env, dir)
	if err != nil {
		return nil, err
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		k, err := c.dial(c.ctx, s, queue, false)
		if err == nil {
			k.Close()
			return s, nil
		}
		if time.Since(began) > 2*time.Minute || c.ctx.Err() != nil {
			s.kill()
			return nil, fmt.Errorf("does not answer: %w%s", err, s.said())
		}
	}
}

// backlog measures what the tasks that wait cost, and how soon they are there again after kill -9.
func (c *course) backlog(dir string, empty int64) (cell, error) {
	got := cell{Setting: c.Name, Work: "backlog", N: c.n, Did: c.held, Memory: c.server.memory(),
		Disk: max(0, diskUse(dir)-empty)}
	c.server.kill()
	began := time.Now()
	s, err := c.begin(dir)
	if err != nil {
		return got, err
	}
	c.server = s
	taken, err := c.takes(1, 1, 1, min(time.Minute, 5*c.most), queue)
	got.Ready = time.Since(began)
	if c.held -= taken.Did; taken.Did == 0 {
		got.Ready, c.held = 0, 0 // it has forgotten all
	}
	return got, err
}

func (c *course) cell(w work) (cell, error) {
	switch w.kind {
	case put:
		depth := w.batch
		if depth == 0 {
			depth = c.depth
		} else if c.stride > 0 {
			depth = c.stride
		}
		got, err := c.puts(w.conns, depth, c.n, queue, false)
		c.held += got.Did
		return got, err
	case take:
		if c.held < c.n {
			more, err := c.puts(4, min(c.depth, 500), c.n-c.held, queue, false)
			if err != nil {
				return more, err
			}
			c.held += more.Did
		}
		got, err := c.takes(w.conns, w.batch, min(c.n, c.held), c.most, queue)
		c.held -= got.Did
		return got, err
	case latency:
		return c.late(w.conns, w.rate)
	}
	return c.through(w)
}

// puts has conns connections put depth tasks at a time until n are answered or the time is over.
func (c *course) puts(conns, depth, n int, queue string, keep bool) (cell, error) {
	open, close, err := c.open(conns, queue, keep)
	defer close()
	if err != nil {
		return cell{}, err
	}
	return c.putsBy(open, depth, n)
}

// putsBy is puts for connections that are open.
func (c *course) putsBy(open []conn, depth, n int) (cell, error) {
	var next, did atomic.Int64
	var end time.Time
	began, err := c.all(open, func(ctx context.Context, k conn) error {
		for time.Now().Before(end) && ctx.Err() == nil {
			// Shares are taken from one counter, so that a slow connection does not keep the others waiting.
			at := int(next.Add(int64(depth)))
			share := min(depth, depth-(at-n))
			if share <= 0 {
				return nil
			}
			if err := k.Put(ctx, many[:share]); err != nil {
				return err
			}
			did.Add(int64(share))
		}
		return nil
	}, func(began time.Time) { end = began.Add(c.most) })
	return cell{Did: int(did.Load()), Took: time.Since(began)}, err
}

// open makes conns connections, which close ends.
func (c *course) open(conns int, queue string, keep bool) (open []conn, close func(), err error) {
	open = make([]conn, conns)
	close = func() {
		for _, k := range open {
			if k != nil {
				k.Close()
			}
		}
	}
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for i := range open {
		wg.Go(func() { // at one time: some of them are programs
			k, err := c.dial(c.ctx, c.server, queue, keep)
			if err != nil {
				errs[i] = fmt.Errorf("connect: %w", err)
				return
			}
			open[i] = k
		})
	}
	wg.Wait()
	return open, close, errors.Join(errs...)
}

// each opens conns connections, then calls do with each at one time, and says when that began.
func (c *course) each(conns int, queue string, keep bool, do func(context.Context, conn) error,
	at func(time.Time)) (time.Time, error) {
	open, close, err := c.open(conns, queue, keep)
	defer close()
	if err != nil {
		return time.Now(), err
	}
	return c.all(open, do, at)
}

// all is each for connections that are open.
func (c *course) all(open []conn, do func(context.Context, conn) error, at func(time.Time)) (time.Time, error) {
	var wg sync.WaitGroup
	errs := make([]error, len(open))
	ctx, cancel := context.WithTimeout(c.ctx, c.most+time.Minute)
	defer cancel()
	began := time.Now()
	at(began)
	for i, k := range open {
		wg.Go(func() {
			if errs[i] = do(ctx, k); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return began, errors.Join(errs...)
}

// A tally counts what is done, and calls enough when that is n. It also knows when the last one was done.
type tally struct {
	n      int64
	did    atomic.Int64
	last   atomic.Int64 // nanoseconds after began
	began  time.Time
	enough func()
}

func (t *tally) add(k int) {
	t.last.Store(int64(time.Since(t.began)))
	if t.did.Add(int64(k)) >= t.n {
		t.enough()
	}
}

func (t *tally) cell() cell {
	return cell{Did: int(t.did.Load()), Took: time.Duration(t.last.Load())}
}

// lull is how long nothing may be done before a queue counts as empty: a client library may look once a second.
const lull = 2500 * time.Millisecond

// takes has conns connections take and ack up to batch tasks at a time, until n are done, the time is over, or
// nothing was done for a while.
func (c *course) takes(conns, batch, n int, most time.Duration, queue string) (cell, error) {
	return c.drained(conns, batch, n, most, queue, false, nil)
}

func (c *course) drained(conns, batch, n int, most time.Duration, queue string, result bool,
	beside func(context.Context) error) (cell, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	t := &tally{n: int64(n), enough: cancel}
	var wg sync.WaitGroup
	var quiet, put error
	start := func(began time.Time) {
		t.began = began
		end := time.AfterFunc(most, cancel) // not before all are connected
		wg.Go(func() { <-ctx.Done(); end.Stop() })
		wg.Go(func() { // ends the turns when the queue is empty
			for ctx.Err() == nil {
				time.Sleep(moment)
				if idle := time.Since(began) - time.Duration(t.last.Load()); t.did.Load() > 0 && idle > lull {
					cancel()
				}
			}
		})
		if beside != nil {
			wg.Go(func() { put = beside(ctx) })
		}
	}
	if c.drain != nil {
		start(time.Now())
		quiet = c.drain(ctx, c.server, queue, conns, batch, result, t.add)
	} else {
		_, quiet = c.each(conns, queue, result, func(all context.Context, k conn) error {
			for ctx.Err() == nil {
				did, err := k.Turn(all, batch, result)
				if err != nil {
					return err
				}
				if did > 0 {
					t.add(did)
				}
			}
			return nil
		}, start)
	}
	cancel()
	wg.Wait()
	if c.ctx.Err() != nil {
		return t.cell(), c.ctx.Err()
	}
	return t.cell(), errors.Join(quiet, put)
}

// through puts n tasks while workers take them, end them, and store a result for each.
func (c *course) through(w work) (cell, error) {
	open, close, err := c.open(4, through, true)
	defer close()
	if err != nil {
		return cell{}, err
	}
	return c.drained(w.conns, w.batch, c.n, c.most, through, true, func(context.Context) error {
		_, err := c.putsBy(open, w.batch, c.n)
		return err
	})
}

// late puts single tasks at a constant rate, whether the puts before are answered or not, and counts
// each from when it was due.
func (c *course) late(conns, rate int) (cell, error) {
	most := min(c.most, 10*time.Second)
	n := int(most.Seconds() * float64(rate))
	every := time.Second / time.Duration(rate)
	var next atomic.Int64
	var start time.Time
	took := make([]time.Duration, n)
	began, err := c.each(conns, paced, false, func(ctx context.Context, k conn) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			due := start.Add(time.Duration(i) * every)
			if time.Since(start) > most+most/2 { // it falls behind, and the figures say so
				return nil
			}
			time.Sleep(time.Until(due))
			if err := k.Put(ctx, many[:1]); err != nil {
				return err
			}
			took[i] = time.Since(due)
		}
	}, func(began time.Time) { start = began })
	all := time.Since(began)
	took = slices.DeleteFunc(took, func(d time.Duration) bool { return d == 0 })
	if err != nil || len(took) == 0 {
		return cell{}, err
	}
	slices.Sort(took)
	return cell{Did: len(took), Took: all, P50: took[len(took)/2], P99: took[len(took)*99/100]}, nil
}

// diskUse is how many bytes of the disk the files below dir take.
func diskUse(dir string) (sum int64) {
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				sum += blocks(info)
			}
		}
		return nil // files come and go while a server runs
	})
	return sum
}
