package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/spf13/cobra"
)

type dispatchFlags struct {
	remote   remote
	source   sourceFlags
	retry    time.Duration
	priority int
	preview  bool
	quiet    bool
	json     bool
	opt      dispatch.Options
}

func (a *app) dispatchCmd() *cobra.Command {
	var f dispatchFlags
	cmd := &cobra.Command{
		Use:   "dispatch [TEMPLATE]",
		Short: "Put the tasks of a run",
		Long: `Put the tasks of a run: made of a template and numbers, or of the lines of a file or of standard
input. The same command with the same --run again puts only what is missing.

In a template {0} is the number, {0:06} the number with six digits, {line} the line; both are escaped
for a URL, and taken as they are with {=0} and {=line}; {{ is a brace.`,
		Example: `  glassq dispatch 'http://127.0.0.1:8888/?q={0}' -n 100000 --run r1
  glassq dispatch --file urls.txt
  seq 100 | glassq dispatch 'http://127.0.0.1:8888/{line}'`,
		Args: cobra.MaximumNArgs(1),
	}
	f.remote.flags(cmd)
	f.source.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.opt.Run, "run", "", "`name` of the run; default a new one, which is printed")
	fs.StringVar(&f.opt.Queue, "queue", glassq.DefaultQueue, "`queue` to put to")
	fs.StringVar(&f.opt.Results, "results", "", "`queue` for the results; default results.<run> with --run, else results")
	fs.IntVar(&f.opt.Batch, "batch", 2000, "most tasks in one put")
	fs.IntVar(&f.priority, "priority", 4, "priority of the tasks, 0 lowest to 9 highest")
	fs.DurationVar(&f.opt.Delay, "delay", 0, "time before a task is handed out")
	fs.DurationVar(&f.opt.TTL, "ttl", 0, "time after which a task that nobody took is dead; 0 never")
	fs.IntVar(&f.opt.Attempts, "attempts", 0, "most tries of a task; default the queue's, 20")
	fs.DurationVar(&f.retry, "retry", 60*time.Second, "how long to wait for a server that is away")
	fs.BoolVar(&f.preview, "dry-run", false, "print the first tasks and put nothing")
	fs.BoolVar(&f.json, "json", false, "print what was done as JSON")
	fs.BoolVar(&f.quiet, "quiet", false, "no progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.priority < 0 || f.priority > 9 {
			return usagef("--priority %d is not 0 to 9", f.priority)
		}
		f.opt.Priority = glassq.Level(f.priority)
		src, done, err := f.source.open(cmd, args, a.in)
		if err != nil {
			return err
		}
		defer done()
		f.opt.Source = src
		if f.preview {
			return a.preview(src)
		}
		return a.dispatch(cmd, &f)
	}
	return cmd
}

// preview prints the first three bodies of a source.
func (a *app) preview(src dispatch.Source) error {
	tasks := make([]glassq.Task, 3)
	n, err := src.Next(tasks)
	if err != nil && err != io.EOF {
		return err
	}
	for _, t := range tasks[:n] {
		if err := a.printf("%s\n", t.Body); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) dispatch(cmd *cobra.Command, f *dispatchFlags) error {
	q, err := a.open(cmd, &f.remote, f.retry)
	if err != nil {
		return err
	}
	defer q.Close()
	named := f.opt.Run != ""
	ctx, stop := a.interruptible("glassq dispatch", "stopping after the puts under way")
	defer stop()
	f.opt.Started = func(r glassq.Run) {
		a.console.say("glassq dispatch: run %s, to queue %s at %s, results to %s", r.Name, f.opt.Queue, f.remote.server, r.Results)
		if !named && !f.json {
			a.printf("%s\n", r.Name) // whoever does not read it finds it above
		}
	}
	f.opt.Notify = func(s string) { a.console.say("glassq dispatch: %s", s) }
	bar := a.meter("dispatch", f.quiet, false)
	defer bar.close()
	f.opt.Progress = bar.set
	rep, err := dispatch.Run(ctx, q, f.opt)
	bar.close()
	if err != nil {
		if name := rep.Run.Name; name != "" {
			a.console.say("glassq dispatch: put %s so far, run %s is not sealed; the same command with --run %s continues it",
				commas(rep.Put), name, name)
		}
		return f.remote.absent(err)
	}
	a.console.say("glassq dispatch: %s", describeDispatch(&rep))
	if f.json {
		return a.printJSON(map[string]any{"run": rep.Run.Name, "put": rep.Put, "skipped": rep.Skipped,
			"duplicates": rep.Duplicates, "total": rep.Total, "seconds": rep.Took.Seconds()})
	}
	return nil
}

func describeDispatch(rep *dispatch.Report) string {
	s := fmt.Sprintf("put %s tasks in %s (%s/s)", commas(rep.Put), brief(rep.Took), perSecond(rep.Put, rep.Took))
	if rep.Skipped+rep.Duplicates > 0 {
		s += fmt.Sprintf(", %s were there before", commas(rep.Skipped+rep.Duplicates))
	}
	return s + fmt.Sprintf("; run %s is sealed with %s", rep.Run.Name, commas(rep.Total))
}

// printJSON prints v on one line.
func (a *app) printJSON(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.printf("%s\n", line)
}
