package main

import (
	"context"
	"os"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/output"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

// outputBatch is how many results are taken at once unless somebody says otherwise.
const outputBatch = 4000

type outputFlags struct {
	remote   remote
	out      string
	format   string
	template string
	only     string
	json     bool
	quiet    bool
	sum      summaryFlags
	opt      output.Options
}

func (a *app) outputCmd() *cobra.Command {
	var f outputFlags
	cmd := &cobra.Command{
		Use:   "output",
		Short: "Take the results of a run, print them, and prove at the end that none is missing",
		Long: `Take results and print them as they come, or write them into a file with --out. A result is acked when
it is written, and synced if it went into a file; what could not be written stays in its queue. With
--run it may start before the run exists, ends when the run is complete and all its results are taken,
and prints the books; without, it follows the queue of results until it is stopped, and names the runs
whose results lie elsewhere. A server that is away is waited for.

Formats: text, ndjson (what --json prints), csv, template, none. A file of ndjson or csv that exists is
read first and continued; the figures are then of the whole file, and rates of this call alone. A
template is one of Go's text/template with the fields ID Run OK RT Lag Due Code Err Msg Bytes Time Worker
Attempt Input Host Line and the function json.

With --only, results that do not meet its conditions are taken and counted and not written: they are gone
then. Conditions are ok, failed, and KEY=VALUE with a key of --by: err=timeout, code=503 or 5xx, host=NAME.

Rules of --fail-if: p50 to p99.99, min, mean or max (due.p99 from the due moment) with a duration; ok,
failed, late or err:CLASS with a share or a count; dead, missing, duplicate, results or rate with a
number. A rule on what was not measured is broken.`,
		Example: `  glassq output --run r1 --json > r1.ndjson
  glassq output --run r1 --out r1.ndjson    # goes on where an earlier one ended
  glassq output --run r1 --format none --summary json --fail-if 'p99>250ms' --fail-if 'ok<99.9%'
  glassq output --run r1 --out r1.csv --format csv --failed-out again.ndjson
  glassq output --run r1 --only failed,err=timeout --out slow.ndjson
  glassq output --run r1 --keep-order --template '{{.Input}} {{.Code}}'
  glassq output --run r1 --template '{{.ID}} {{.Code}} {{.RT}}'`,
		Args: arguments(0, 0),
	}
	f.remote.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.opt.Run, "run", "", "`name` of the run; it may not exist yet")
	fs.StringVar(&f.opt.Queue, "results", "", "`queue` of the results; default the run's, else results")
	fs.StringVar(&f.out, "out", "", "`file` for the results; one of ndjson or csv that exists is read and continued")
	fs.BoolVar(&f.json, "json", false, "print results as JSON lines: --format ndjson")
	fs.StringVar(&f.format, "format", "", "`form` of a result: text, ndjson, csv, template or none; default text, and ndjson with --out")
	fs.StringVar(&f.template, "template", "", "print each result by this `template`")
	fs.BoolVarP(&f.opt.KeepOrder, "keep-order", "k", false,
		"with --run: in the order of the tasks; a result waits for earlier ones, up to 32 MiB of them")
	fs.IntVar(&f.opt.Batch, "batch", outputBatch, "most results taken at once")
	fs.DurationVar(&f.opt.Lease, "lease", 10*time.Second, "time to write results before they come again")
	fs.StringVar(&f.only, "only", "", "write only results that meet all of these `conditions`, such as failed,err=timeout; all are taken and counted")
	fs.BoolVar(&f.quiet, "quiet", false, "no progress")
	f.sum.flags(cmd)
	cpu := profileFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(a); err != nil {
			return err
		}
		stop, err := profile(*cpu)
		if err != nil {
			return err
		}
		defer stop()
		tuneSmall()
		return a.output(cmd, &f)
	}
	return cmd
}

// check finds the format and looks at everything that can be wrong before results are taken.
func (f *outputFlags) check(a *app) error {
	for _, name := range []string{f.opt.Run, f.opt.Queue} {
		if err := glassq.CheckName(name); name != "" && err != nil {
			return err
		}
	}
	if f.opt.KeepOrder && f.opt.Run == "" {
		return usagef("--keep-order is about the positions of a run: give --run too")
	}
	if f.out != "" && f.json {
		return usagef("--json prints the results and --out writes them to a file; leave one out")
	}
	format := f.format
	switch {
	case f.json && format != "" && format != string(output.NDJSON):
		return usagef("--json is --format ndjson, not %s; leave one out", format)
	case f.template != "" && (f.json || format != "" && format != string(output.Custom)):
		return usagef("--template is a format of its own; leave out --json and --format")
	case format == string(output.Custom) && f.template == "":
		return usagef("--format template needs --template TEXT")
	case f.template != "":
		format = string(output.Custom)
	case format != "":
	case f.out != "":
		format = string(fileFormat(f.out))
	case f.json:
		format = string(output.NDJSON)
	default:
		format = string(output.Text)
	}
	var err error
	if f.opt.Format, err = output.ParseFormat(format); err != nil {
		return usagef("--format: %w", err)
	}
	if f.only != "" {
		if f.opt.Only, err = output.ParseFilter(f.only); err != nil {
			return usagef("--only: %w", err)
		}
		if f.opt.Format == output.None {
			return usagef("--only is about what is written, and --format none writes nothing; leave one out")
		}
		if info, err := os.Stat(f.out); f.out != "" && err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			return usagef("--only with --out %s, which has results: a file that lacks some on purpose cannot be continued; name another", f.out)
		}
	}
	if f.opt.Format == output.None && f.out != "" {
		return usagef("--format none writes nothing; leave out --out")
	}
	if f.template != "" {
		if f.opt.Template, err = output.ParseTemplate(f.template); err != nil {
			return usagef("--template: %w", err)
		}
	}
	return f.sum.check(a, f.out == "" && f.opt.Format != output.None || a.isStdout(f.out))
}

func (a *app) output(cmd *cobra.Command, f *outputFlags) error {
	f.opt.W, f.opt.Sync = a.data(), syncer(a.out)
	where := "standard output"
	if err := f.sum.openSummary(a, &f.opt); err != nil {
		return err
	}
	defer f.sum.close()
	if f.out != "" {
		file, err := openResults(f.out, output.LoadOptions{Run: f.opt.Run, Format: f.opt.Format, Raw: f.opt.Raw, By: f.opt.By,
			Failed: f.opt.Failed})
		if err != nil {
			return err
		}
		defer file.f.Close()
		f.opt.W, f.opt.Sync, f.opt.Seen = file, file.syncer(), file.seen
		where = f.out
	}
	q, err := a.dial(cmd, &f.remote, -1)
	if err != nil {
		return err
	}
	defer q.Close()
	ctx, stop := a.interruptible("glassq output", "stopping, what was taken is written")
	defer stop()
	introduce(&f.opt, q, f.out)
	f.opt.Notify = func(s string) { a.console.Say("glassq output: %s", s) }
	var bar *term.Meter
	if f.opt.Run == "" {
		bar = a.meter("output", f.quiet, f.out == "")
	} else {
		bar = a.runMeter("output", f.quiet, f.out == "", q, f.opt.Run)
	}
	defer bar.Close()
	f.opt.Progress = bar.Summary
	rep, err := output.Run(ctx, q, f.opt)
	bar.Close()
	a.sayResults(&rep, &f.sum)
	if f.only != "" {
		a.console.Say("  %s written: --only %s", plain.Plural(rep.Passed, "of them was", "of them were"), f.only)
	}
	a.sayWaiting(cmd.Context(), q, &rep.Run, f.out)
	return a.finish(&f.sum, &rep, f.remote.absent(notWritten(err, where, &rep)))
}

// sayWaiting names the other runs of the job whose results nobody has taken yet; file is where
// those of run are, "" for nowhere.
func (a *app) sayWaiting(ctx context.Context, q *client.Client, run *glassq.Run, file string) {
	if run.Job == nil {
		return
	}
	for _, name := range run.Job.Runs {
		other, err := q.Run(ctx, name)
		if err != nil || name == run.Name || other.Waiting == 0 {
			continue // what cannot be asked now is in the books all the same
		}
		take := "glassq output --run " + name
		if file != "" {
			take += " --out " + file
		}
		a.console.Say("  run %s has %s waiting: %s", name, plain.Plural(other.Waiting, "result", "results"), take)
	}
}
