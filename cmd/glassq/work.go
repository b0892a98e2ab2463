package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/fetch"
	"github.com/glassq/glassq/worker"
	"github.com/spf13/cobra"
)

const defaultConcurrency = 64

type workFlags struct {
	remote    remote
	untilDone string
	quiet     bool
	opt       worker.Options
	fetch     fetchFlags
}

// fetchFlags say how requests are made.
type fetchFlags struct {
	opt       fetch.Options
	keepAlive bool
}

func (f *fetchFlags) flags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.DurationVar(&f.opt.Timeout, "timeout", 30*time.Second, "most time for a request, connecting included")
	fs.DurationVar(&f.opt.ConnectTimeout, "connect-timeout", 10*time.Second, "most time to connect")
	fs.IntVar(&f.opt.Retries, "retries", 0, "further tries of a request that got no answer")
	fs.StringVar(&f.opt.Engine, "engine", fetch.EngineAuto, "HTTP engine: auto, fast or std")
	fs.BoolVar(&f.keepAlive, "keep-alive", true, "use connections again")
}

// open makes the fetcher; the caller must Close it.
func (f *fetchFlags) open() (*fetch.Fetcher, error) {
	f.opt.NoKeepAlive = !f.keepAlive
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	f.opt.Worker = fmt.Sprintf("%s-%d", host, os.Getpid())
	fetcher, err := fetch.New(f.opt)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return fetcher, nil
}

func (a *app) workCmd() *cobra.Command {
	return group("work", "Take tasks, do them, and ack them with their results", a.workHTTPCmd())
}

func (a *app) workHTTPCmd() *cobra.Command {
	var f workFlags
	cmd := &cobra.Command{
		Use:   "http",
		Short: "Do HTTP requests: a task is a URL, or JSON with url, method, header, body, timeout",
		Long: `Do HTTP requests. A task is a URL, or {"url", "method", "header", "body", "timeout"} as JSON. Each task
gets one request and one result. A server that is away is waited for.`,
		Example: `  glassq work http -c 100
  glassq work http --server https://queue.example:5080 --key-file key --ca ca.pem --until-done r1`,
		Args: cobra.NoArgs,
	}
	f.remote.flags(cmd)
	f.fetch.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.opt.Queue, "queue", glassq.DefaultQueue, "`queue` to take from")
	fs.IntVarP(&f.opt.Concurrency, "concurrency", "c", defaultConcurrency, "requests at once")
	fs.IntVar(&f.opt.Prefetch, "prefetch", 0, "tasks held ready; default twice -c")
	fs.DurationVar(&f.opt.Lease, "lease", 10*time.Second, "length of leases; they are extended while the work lasts")
	fs.DurationVar(&f.opt.Drain, "drain", 25*time.Second, "grace for requests under way when stopped")
	fs.StringVar(&f.untilDone, "until-done", "", "end when this `run` is complete; it may not exist yet")
	fs.BoolVar(&f.quiet, "quiet", false, "no lines but of errors")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkConcurrency(f.opt.Concurrency); err != nil {
			return err
		}
		tune()
		return a.work(cmd, &f)
	}
	return cmd
}

func checkConcurrency(n int) error {
	if n < 1 || n > 100_000 {
		return usagef("-c %d is not between 1 and 100,000", n)
	}
	return nil
}

func (a *app) work(cmd *cobra.Command, f *workFlags) error {
	fetcher, err := f.fetch.open()
	if err != nil {
		return err
	}
	defer fetcher.Close()
	q, err := a.open(cmd, &f.remote, -1)
	if err != nil {
		return err
	}
	defer q.Close()
	ctx, stop := a.interruptible("glassq work http", "draining, requests under way end")
	defer stop()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	f.opt.Logger = a.console.logger()
	var waiting sync.WaitGroup
	if f.untilDone != "" {
		if err := glassq.CheckName(f.untilDone); err != nil {
			return err
		}
		done := make(chan struct{})
		f.opt.Done = done
		waiting.Go(func() {
			if _, err := q.AwaitRun(ctx, f.untilDone, glassq.PhaseComplete, -1); err != nil {
				end(err)
				return
			}
			close(done)
		})
	}
	if !f.quiet {
		a.console.say("glassq work http: %d at once, from queue %s at %s", f.opt.Concurrency, f.opt.Queue, f.remote.server)
	}
	began := time.Now()
	stats, err := worker.Run(ctx, q, f.opt, fetcher.Handler)
	cause := context.Cause(ctx)
	end(nil)
	waiting.Wait()
	if !f.quiet {
		a.console.say("glassq work http: %s", describeWork(stats, time.Since(began)))
	}
	switch {
	case err != nil:
		return f.remote.absent(err)
	case cause == nil || isInterrupted(cause) && f.untilDone == "":
		return nil // it has no end of its own
	case isInterrupted(cause):
		return exit(exitInterrupted)
	}
	return f.remote.absent(fmt.Errorf("wait for run %s: %w", f.untilDone, cause))
}

var _ worker.Queue = (*client.Client)(nil)

func describeWork(s worker.Stats, took time.Duration) string {
	text := fmt.Sprintf("done %s (ok %s, failed %s) in %s, %s/s", commas(s.Done), commas(s.OK), commas(s.Failed), brief(took), perSecond(s.Done, took))
	if back := s.Nacked + s.Undone; back > 0 {
		text += fmt.Sprintf("; %s given back", commas(back))
	}
	if s.Lost > 0 {
		text += fmt.Sprintf("; %s leases lost", commas(s.Lost))
	}
	return text
}
