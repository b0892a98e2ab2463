package main

import (
	"fmt"
	"time"

	"github.com/glassq/glassq/internal/fetch"
	"github.com/spf13/cobra"
)

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
	f.opt.Worker = workerName()
	fetcher, err := fetch.New(f.opt)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return fetcher, nil
}

func (a *app) workHTTPCmd() *cobra.Command {
	var f workFlags
	var ff fetchFlags
	cmd := &cobra.Command{
		Use:   "http",
		Short: "Do HTTP requests: a task is a URL, or JSON with url, method, header, body, timeout",
		Long: `Do HTTP requests. A task is a URL, or {"url", "method", "header", "body", "timeout"} as JSON. Each task
gets one request and one result. A server that is away is waited for.`,
		Example: `  glassq work http -c 100
  glassq work http --server https://queue.example:5080 --key-file key --ca ca.pem --until-done r1`,
		Args: cobra.NoArgs,
	}
	f.flags(cmd, defaultConcurrency, "requests at once")
	ff.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkConcurrency(f.opt.Concurrency); err != nil {
			return err
		}
		tune()
		fetcher, err := ff.open()
		if err != nil {
			return err
		}
		defer fetcher.Close()
		return a.work(cmd, &f, labour{name: "glassq work http", what: fmt.Sprintf("%d at once", f.opt.Concurrency),
			drains: "draining, requests under way end", handler: fetcher.Handler})
	}
	return cmd
}
