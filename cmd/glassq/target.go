package main

import (
	"os"

	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/target"
	"github.com/spf13/cobra"
)

func (a *app) targetCmd() *cobra.Command {
	var opt target.Options
	var addr, logFile string
	var size byteSize
	cmd := &cobra.Command{
		Use:     "target",
		Short:   "Run a web server to aim at, with chosen latency, errors and sizes",
		Long:    `Run a web server to aim at. GET /?q=7 answers a few bytes; GET /count tells how many requests came.`,
		Example: `  glassq target --listen 127.0.0.1:8888 --latency 5ms --errors 0.01`,
		Args:    arguments(0, 0),
	}
	fs := cmd.Flags()
	fs.StringVar(&addr, "listen", "127.0.0.1:8888", "`address`; port 0 takes a free one")
	fs.DurationVar(&opt.Latency, "latency", 0, "time before every answer")
	fs.DurationVar(&opt.Jitter, "jitter", 0, "up to that much more, evenly spread")
	fs.Float64Var(&opt.Errors, "errors", 0, "share of requests answered with status 500, 0 to 1")
	fs.Var(&size, "size", "least size of an answer")
	fs.StringVar(&logFile, "log", "", "`file` to append a line for each request to: its q")
	cmd.RunE = func(*cobra.Command, []string) error {
		opt.Size = int(size)
		if logFile != "" {
			f, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
			if err != nil {
				return usagef("open the log: %w", err)
			}
			defer f.Close()
			opt.Log = f
		}
		server, err := target.New(opt)
		if err != nil {
			return usagef("%w", err)
		}
		ctx, stop := a.interruptible("glassq target", "stopping, requests under way may end")
		defer stop()
		ln, err := listen(addr)
		if err != nil {
			return err
		}
		defer tune(mostGarbage)()
		a.console.Say("glassq target: http on %s", ln.Addr())
		err = server.Run(ctx, ln)
		a.console.Say("glassq target: answered %s", plain.Plural(server.Count(), "request", "requests"))
		return err
	}
	return cmd
}
