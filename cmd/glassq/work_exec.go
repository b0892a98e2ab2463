package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/glassq/glassq"
	processes "github.com/glassq/glassq/internal/process"
	"github.com/glassq/glassq/worker"
	"github.com/spf13/cobra"
)

// A farm is what work exec and work pipe have in common.
type farm struct {
	work    workFlags
	joblog  string
	halt    string
	timeout time.Duration
	retries int
}

func (f *farm) flags(cmd *cobra.Command, what string) {
	f.work.flags(cmd, runtime.NumCPU(), what)
	fs := cmd.Flags()
	fs.SetInterspersed(false) // what follows the command is the command's
	fs.IntVarP(&f.work.opt.Concurrency, "jobs", "j", runtime.NumCPU(), "the same as -c")
	fs.StringVar(&f.joblog, "joblog", "", "`file` for a table of what was run, as GNU parallel writes it; one that exists is continued")
	fs.StringVar(&f.halt, "halt", "never", "when to end by itself: never, or `rule` soon,fail=1 or now,fail=10%; also success, done")
	fs.DurationVar(&f.timeout, "timeout", 0, "most time for a task; then its process group is ended; 0 means none")
	fs.IntVar(&f.retries, "retries", 0, "further tries of a task that fails; it goes back to the queue in between")
}

// openFiles makes the halting rule and the job log. The caller must call done, which closes the
// log.
func (f *farm) openFiles(a *app, name string) (halt *processes.Halt, log *processes.Joblog, done func(), err error) {
	if f.timeout < 0 || f.retries < 0 {
		return nil, nil, nil, usagef("--timeout and --retries are not negative")
	}
	if err := checkConcurrency(f.work.opt.Concurrency); err != nil {
		return nil, nil, nil, err
	}
	if halt, err = processes.ParseHalt(f.halt); err != nil {
		return nil, nil, nil, usagef("%w", err)
	}
	if f.joblog == "" {
		return halt, nil, func() {}, nil
	}
	file, err := os.OpenFile(f.joblog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, nil, usagef("open the job log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, nil, nil, fmt.Errorf("open the job log: %w", err)
	}
	log = processes.NewJoblog(file, info.Size() > 0)
	return halt, log, func() {
		if err := errors.Join(log.Close(), file.Close()); err != nil {
			a.console.Say("%s: %v", name, err)
		}
	}, nil
}

// farmVerdict is the exit of a farm that its own rule may have ended.
func (a *app) farmVerdict(name string, halt *processes.Halt, err error) error {
	if !errors.Is(err, errHalted) {
		return err
	}
	a.console.Say("%s: halted by --halt: %s", name, halt)
	if halt.Failure() {
		return exit(exitThreshold)
	}
	return nil
}

func (a *app) workExecCmd() *cobra.Command {
	var f farm
	var opt processes.ExecOptions
	var print, tag, keep bool
	cmd := &cobra.Command{
		Use:   "exec [flags] CMD [ARG…]",
		Short: "Run a command per task: its body as standard input, as {} or in the environment",
		Long: `Run a process per task. The task's body is its standard input, or stands where {} is. Its environment has
GLASSQ_TASK_ID, GLASSQ_TASK_RUN, GLASSQ_TASK_N, GLASSQ_TASK_ATTEMPT, GLASSQ_TASK_QUEUE, GLASSQ_TASK_TYPE and
GLASSQ_TASK_BODY. A command appends lines like {"progress":0.4,"checkpoint":"offset 81920"} to the file that
GLASSQ_TASK_PROGRESS names; the next try finds the checkpoint in the file GLASSQ_TASK_CHECKPOINT. No shell is
involved unless --shell says so, and then {} is the body as one word, bare, in double quotes, in $(…) or in a
here-document, never a part of the text; elsewhere it is refused. The result has exit, signal, ru (times,
memory), and the first bytes of standard output and error. Flags stand before the command.`,
		Example: `  glassq work exec -c 4 convert {} -resize 50% {}.small
  glassq work exec --timeout 30s --retries 2 --joblog log python3 job.py
  glassq work exec --shell --tag 'curl -s {} | wc -c'
  glassq work exec sh -c 'test -e "$1" && rm -v -- "$1"' sh {}`,
		Args: arguments(1, -1),
	}
	f.flags(cmd, "processes at once")
	fs := cmd.Flags()
	fs.BoolVar(&opt.Shell, "shell", false, "run the command by sh -c")
	fs.IntVar(&opt.Capture, "capture", 8<<10, "`bytes` of standard output, and of standard error, kept in the result")
	fs.BoolVar(&print, "print", false, "print each task's standard output, up to --capture, when it ends")
	fs.BoolVar(&tag, "tag", false, "print with the task's body, or its first 1,000 bytes, before each line")
	fs.BoolVarP(&keep, "keep-order", "k", false, "print in the order of the tasks")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := "glassq work exec"
		halt, log, done, err := f.openFiles(a, name)
		if err != nil {
			return err
		}
		defer done()
		opt.Command, opt.Timeout, opt.Retries = args, f.timeout, f.retries
		opt.Worker, opt.Halt, opt.Joblog, opt.Logger = workerName(), halt, log, a.console.Logger()
		if opt.Capture == 0 {
			opt.Capture = -1
		}
		ended := make(chan error, 2) // of printing, and of starting
		opt.Failed = func(err error) { ended <- &exitError{exitUnexpected, err} }
		if print || tag || keep {
			if f.work.json {
				return usagef("--json prints what was done, and --print, --tag and --keep-order what the commands print; leave one out")
			}
			opt.Print = processes.NewPrinter(a.data(), tag, keep, func(err error) { ended <- err })
		}
		farm, err := processes.NewExec(opt)
		if err != nil {
			return usagef("%w", err)
		}
		defer farm.Close()
		job := labour{name: name, what: fmt.Sprintf("%d at once", f.work.opt.Concurrency), halted: halt.Reached(),
			drains: "draining, processes under way end", handler: farm.Handler, end: ended}
		if keep {
			job.wrap = func(q worker.Queue) worker.Queue { return &orderedQueue{q, opt.Print} }
		}
		err = a.work(cmd, &f.work, job.with(halt, farm.Kill))
		if perr := printed(opt.Print); perr != nil && err == nil {
			err = perr
		}
		return a.farmVerdict(name, halt, err)
	}
	return cmd
}

func printed(p *processes.Printer) error {
	if p == nil {
		return nil
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("print the output of tasks: %w", err)
	}
	return nil
}

// with ends what runs when the rule says now, and when the program leaves at once.
func (l labour) with(halt *processes.Halt, kill func()) labour {
	l.leave = kill
	if halt.Now() {
		l.kill = kill
	}
	return l
}

// An orderedQueue tells a printer in which order tasks come and which of them go back.
type orderedQueue struct {
	worker.Queue
	p *processes.Printer
}

func (q *orderedQueue) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	leases, err := q.Queue.Reserve(ctx, r)
	q.p.Taken(leases)
	return leases, err
}

func (q *orderedQueue) Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error) {
	for i := range nacks {
		q.p.Given(nacks[i].Token.Number)
	}
	return q.Queue.Nack(ctx, nacks)
}

func (q *orderedQueue) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	errs, err := q.Queue.Extend(ctx, extends)
	for i := range errs {
		if errors.Is(errs[i], glassq.ErrLeaseLost) {
			q.p.Given(extends[i].Token.Number)
		}
	}
	return errs, err
}
