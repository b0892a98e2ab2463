package main

import (
	"fmt"

	"github.com/glassq/glassq/internal/plain"
	processes "github.com/glassq/glassq/internal/process"
	"github.com/spf13/cobra"
)

func (a *app) workPipeCmd() *cobra.Command {
	var f farm
	var opt processes.PipeOptions
	cmd := &cobra.Command{
		Use:   "pipe [flags] CMD [ARG…]",
		Short: "Give tasks to programs that live long: a line of JSON in, a line of JSON out",
		Long: `Start -c children and give each its tasks as lines of JSON: the lease, with token, id, body, type,
attempt. For each the child writes one line, in the same order: a result {"o":{"ok":1}}, which the worker
completes, or {"nack":{"delay":"5s","reason":"busy"}}. A child that ends is replaced and its task goes back.
A child begins with one task at a time and is given lines ahead while its answers come fast, some 5 ms of
work and at most 16 lines; --window fixes their number, and --window 1 never sends a task to a busy child.
Its standard error comes through, by lines. When the worker ends, the children's input does.
docs/pipe.md has the protocol. Flags stand before the command.`,
		Example: `  glassq work pipe -c 2 python3 -u worker.py
  glassq work pipe --window 1 --timeout 30s --until-done r1 ./worker`,
		Args: arguments(1, -1),
	}
	f.flags(cmd, "children")
	fs := cmd.Flags()
	fs.IntVar(&opt.Window, "window", 0, "`lines` that a child may be ahead of its answers; 0 adapts to how fast they come")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := "glassq work pipe"
		halt, log, done, err := f.openFiles(a, name)
		if err != nil {
			return err
		}
		defer done()
		ended := make(chan error, 1)
		opt.Command, opt.Children, opt.Timeout, opt.Retries = args, f.work.opt.Concurrency, f.timeout, f.retries
		opt.Worker, opt.Halt, opt.Joblog, opt.Stderr, opt.Logger = workerName(), halt, log, a.console, a.console.Logger()
		opt.Failed = func(err error) { ended <- &exitError{exitUnexpected, err} }
		farm, err := processes.NewPipe(opt)
		if err != nil {
			return usagef("%w", err)
		}
		f.work.opt.Concurrency, f.work.opt.Gate = farm.Concurrency(), farm.Gate()
		what := plain.Plural(opt.Children, "child", "children")
		if opt.Window > 1 {
			what += fmt.Sprintf(", %d lines ahead", opt.Window)
		}
		err = a.work(cmd, &f.work, labour{name: name, what: what, halted: halt.Reached(), end: ended,
			drains: "draining, tasks under way end", handler: farm.Handler}.with(halt, farm.Kill))
		return a.farmVerdict(name, halt, err)
	}
	return cmd
}
