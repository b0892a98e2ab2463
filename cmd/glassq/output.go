package main

import (
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/output"
	"github.com/spf13/cobra"
)

type outputFlags struct {
	remote remote
	out    string
	json   bool
	strict bool
	quiet  bool
	opt    output.Options
}

func (a *app) outputCmd() *cobra.Command {
	var f outputFlags
	cmd := &cobra.Command{
		Use:   "output",
		Short: "Take the results of a run, print them, and prove at the end that none is missing",
		Long: `Take results and print them as they come: as text, or one JSON record on each line with --json, or into
a file with --out. A result is acked when it is written. With --run it may start before the run exists,
ends when the run is complete and all its results are taken, and prints the books; without, it follows
the queue of results until it is stopped. A server that is away is waited for.`,
		Example: `  glassq output --run r1 --json > r1.ndjson
  glassq output --run r1 --out r1.ndjson    # goes on where an earlier one ended`,
		Args: cobra.NoArgs,
	}
	f.remote.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.opt.Run, "run", "", "`name` of the run; it may not exist yet")
	fs.StringVar(&f.opt.Queue, "results", "", "`queue` of the results; default the run's, else results")
	fs.StringVar(&f.out, "out", "", "`file` for the results, as JSON lines; one that exists is read and continued")
	fs.BoolVar(&f.json, "json", false, "print results as JSON lines")
	fs.IntVar(&f.opt.Batch, "batch", 1000, "most results taken at once")
	fs.DurationVar(&f.opt.Lease, "lease", 10*time.Second, "time to write results before they come again")
	fs.BoolVar(&f.strict, "strict", false, "exit 4 when tasks failed or are dead")
	fs.BoolVar(&f.quiet, "quiet", false, "no progress")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.out != "" && f.json {
			return usagef("--json prints the results and --out writes them to a file; leave one out")
		}
		for _, name := range []string{f.opt.Run, f.opt.Queue} {
			if err := glassq.CheckName(name); name != "" && err != nil {
				return err
			}
		}
		return a.output(cmd, &f)
	}
	return cmd
}

func (a *app) output(cmd *cobra.Command, f *outputFlags) error {
	f.opt.Format, f.opt.W, f.opt.Sync = output.Text, a.out, syncer(a.out)
	if f.json || f.out != "" {
		f.opt.Format = output.NDJSON
	}
	if f.out != "" {
		file, err := openResults(f.out, f.opt.Run)
		if err != nil {
			return err
		}
		defer file.f.Close()
		f.opt.W, f.opt.Sync, f.opt.Seen = file.f, syncer(file.f), file.seen
	}
	q, err := a.open(cmd, &f.remote, -1)
	if err != nil {
		return err
	}
	defer q.Close()
	ctx, stop := a.interruptible("glassq output", "stopping, what was taken is written")
	defer stop()
	f.opt.Notify = func(s string) { a.console.say("glassq output: %s", s) }
	bar := a.meter("output", f.quiet, f.out == "")
	defer bar.close()
	f.opt.Progress = bar.summary
	rep, err := output.Run(ctx, q, f.opt)
	bar.close()
	a.console.say("%s", summaryOf(&rep).Line())
	if rep.Run.Name != "" {
		a.sayErrors(&rep)
		a.console.say("%s", output.FormatBooks(rep.Run.Books, rep.Missing, rep.Duplicates))
	}
	if err != nil {
		return f.remote.absent(err)
	}
	return a.verdict(&rep, f.strict)
}

// summary shows a summary on the meter.
func (m *meter) summary(s output.Summary) {
	m.set(s.Before+s.Written, s.Total)
	if s.RT.Count > 0 {
		m.note("p50 " + brief(s.RT.P50) + "  p99 " + brief(s.RT.P99))
	}
}

func summaryOf(rep *output.Report) output.Summary {
	return output.Summary{Run: rep.Run.Name, Total: rep.Run.Total, Written: rep.Written, Before: rep.Before,
		Duplicates: rep.Duplicates, OK: rep.OK, Failed: rep.Failed, RT: rep.RT, Took: rep.Took}
}

// sayErrors tells the most frequent errors.
func (a *app) sayErrors(rep *output.Report) {
	for i, e := range rep.Errors {
		if i == 5 {
			a.console.say("  and %d more kinds", len(rep.Errors)-i)
			return
		}
		a.console.say("  failed: %s  %s", commas(e.Count), e.Class)
	}
}

// verdict is how a run that was output ends. Of several troubles the worst counts.
func (a *app) verdict(rep *output.Report, strict bool) error {
	if rep.Run.Name == "" {
		return nil
	}
	if !rep.Balanced() {
		for i, iv := range rep.MissingIDs {
			if i == 5 {
				a.console.say("  and more")
				break
			}
			a.console.say("  missing: %s to %s", glassq.DenseID(rep.Run.Name, iv.First), glassq.DenseID(rep.Run.Name, iv.Last))
		}
		return &exitError{exitUnbalanced, glassq.Errorf(glassq.CodeInternal,
			"the books of run %s do not balance: %s results are missing here; another output may have taken them", rep.Run.Name, commas(rep.Missing))}
	}
	if b := rep.Run.Books; strict && b.Failed+b.Dead.Sum() > 0 {
		return exit(exitStrict)
	}
	return nil
}
