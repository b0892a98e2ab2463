package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/glassq/glassq/worker"
	"github.com/spf13/cobra"
)

const defaultConcurrency = 64

// workFlags are those of every kind of work.
type workFlags struct {
	remote    remote
	untilDone string
	strict    bool
	quiet     bool
	json      bool
	opt       worker.Options
}

func (f *workFlags) flags(cmd *cobra.Command, concurrency int, what string) {
	f.remote.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.opt.Queue, "queue", glassq.DefaultQueue, "`queue` to take from")
	fs.IntVarP(&f.opt.Concurrency, "concurrency", "c", concurrency, what)
	fs.IntVar(&f.opt.Prefetch, "prefetch", 0, "tasks held ready; 0 adapts to how fast they are done")
	fs.DurationVar(&f.opt.Lease, "lease", 10*time.Second, "length of leases; they are extended while the work lasts")
	fs.DurationVar(&f.opt.Drain, "drain", 25*time.Second, "grace for what is under way when stopped")
	fs.StringVar(&f.untilDone, "until-done", "", "end when this `run` is complete; it may not exist yet")
	strictFlag(fs, &f.strict, "with --until-done: ")
	fs.BoolVar(&f.quiet, "quiet", false, "no lines but of errors")
	fs.BoolVar(&f.json, "json", false, "print at the end what was done as JSON")
}

func (a *app) workCmd() *cobra.Command {
	return group("work", "Take tasks, do them, and ack them with their results", a.workHTTPCmd(), a.workExecCmd(),
		a.workPipeCmd())
}

func checkConcurrency(n int) error {
	if n < 1 || n > 100_000 {
		return usagef("-c %d is not between 1 and 100,000", n)
	}
	return nil
}

// workerName is how results name this process.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// A labour is one kind of work, ready to begin.
type labour struct {
	name    string // of the command
	what    string // at work at once, for the first line
	drains  string // what the first Ctrl-C says
	handler func(int) worker.Handler
	wrap    func(worker.Queue) worker.Queue // nil for none
	halted  <-chan struct{}                 // closed when the work shall end by itself; nil never
	kill    func()                          // ends what runs when it is halted; nil lets it end
	leave   func()                          // ends what runs when the program leaves at once; nil for nothing
	end     chan error                      // errors that end the work; nil for none
}

// work runs a worker until it is stopped, the run of --until-done is complete, or the labour ends.
func (a *app) work(cmd *cobra.Command, f *workFlags, l labour) error {
	if err := glassq.CheckName(f.opt.Queue); err != nil {
		return usagef("--queue: %w", err)
	}
	if err := checkLease(f.opt.Lease); err != nil {
		return err
	}
	if f.strict && f.untilDone == "" {
		return usagef("--strict is about the end of a run: give --until-done too")
	}
	q, err := a.dial(cmd, &f.remote, -1)
	if err != nil {
		return err
	}
	defer q.Close()
	a.leave = l.leave
	ctx, stop := a.interruptible(l.name, l.drains)
	defer stop()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	f.opt.Logger = a.console.Logger()
	var waiting sync.WaitGroup
	var run glassq.Run // that of --until-done at its end; to be read after Wait
	if f.untilDone != "" {
		if err := glassq.CheckName(f.untilDone); err != nil {
			return err
		}
		done := make(chan struct{})
		f.opt.Done = done
		waiting.Go(func() {
			r, err := q.AwaitRun(ctx, f.untilDone, glassq.PhaseComplete, -1)
			if err != nil {
				end(err)
				return
			}
			run = r
			close(done)
		})
	}
	over := make(chan struct{})
	waiting.Go(func() {
		select {
		case err := <-l.end:
			end(err)
		case <-l.halted:
			end(errHalted)
			if l.kill != nil {
				l.kill()
			}
		case <-over:
		}
	})
	if !f.quiet {
		a.console.Say("%s: %s, from queue %s at %s", l.name, l.what, f.opt.Queue, f.remote.server)
	}
	var queue worker.Queue = q
	if l.wrap != nil {
		queue = l.wrap(q)
	}
	if a.console.Terminal() && !f.quiet {
		w := newWorkReport(queue, func(s string) { a.console.Say("%s: %s", l.name, s) })
		f.remote.away.Store(w)
		queue = w
		waiting.Go(func() { w.run(over) })
	}
	began := time.Now()
	stats, err := worker.Run(ctx, queue, f.opt, l.handler)
	cause := context.Cause(ctx)
	end(nil)
	close(over)
	waiting.Wait()
	if !f.quiet {
		a.console.Say("%s: %s", l.name, describeWork(stats, time.Since(began)))
	}
	if f.json {
		perr := a.printJSON(map[string]any{"queue": f.opt.Queue, "done": stats.Done, "ok": stats.OK, "failed": stats.Failed,
			"nacked": stats.Nacked, "undone": stats.Undone, "lost": stats.Lost, "seconds": time.Since(began).Seconds()})
		if err == nil {
			err = perr
		}
	}
	switch {
	case err != nil:
		return f.remote.absent(err)
	case cause == nil:
		return wentWell(&run, f.strict)
	case isInterrupted(cause) && f.untilDone == "":
		return nil // it has no end of its own
	case isInterrupted(cause):
		return exit(exitInterrupted)
	case errors.Is(cause, client.ErrUnreachable):
		return f.remote.absent(fmt.Errorf("wait for run %s: %w", f.untilDone, cause))
	}
	return cause
}

func checkLease(d time.Duration) error {
	if d < glassq.MinLease || d > glassq.MaxLease {
		return usagef("--lease %v is not between %v and %v", d, glassq.MinLease, glassq.MaxLease)
	}
	return nil
}

// errHalted is the cause that ends a worker whose --halt rule holds.
var errHalted = errors.New("halted")

var _ worker.Queue = (*client.Client)(nil)

func describeWork(s worker.Stats, took time.Duration) string {
	text := fmt.Sprintf("done %s (ok %s, failed %s) in %s, %s/s", plain.Comma(s.Done), plain.Comma(s.OK),
		plain.Comma(s.Failed), report.Short(took), term.PerSecond(s.Done, took))
	if back := s.Nacked + s.Undone; back > 0 {
		text += fmt.Sprintf("; %s given back", plain.Comma(back))
	}
	if s.Lost > 0 {
		text += fmt.Sprintf("; %s lost", plain.Plural(s.Lost, "lease", "leases"))
	}
	return text
}
