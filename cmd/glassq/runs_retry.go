package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

// retryFlags say what of a run is put again.
type retryFlags struct {
	dispatch     dispatchFlags
	failed, dead bool
	missing, as  string
}

func (a *app) runsRetryCmd() *cobra.Command {
	var f retryFlags
	cmd := &cobra.Command{
		Use:   "retry RUN [TEMPLATE]",
		Short: "Put failed, dead or missing tasks of a run again",
		Long: `Put tasks of a run again, as a run of their own with the same positions: failed ones (--failed), dead
ones (--dead), both by their last outcome when the run was retried before; those whose results a file
lacks (--missing FILE), or those of a list (--ids FILE, as glassq output writes it). They are made anew of
the run's source: a template with numbers is remembered by the server, a file must be given again, and is
compared with the one before.

Without any of these flags failed and dead ones are. Dead tasks without --as are redriven in their place,
as tasks of the old run; nothing is made anew then.`,
		Example: `  glassq runs retry r1 --failed
  glassq runs retry r1 --missing r1.ndjson --file urls.txt --as r1b
  glassq runs retry r1 --dead`,
		Args: arguments(1, 2),
	}
	d := &f.dispatch
	d.remote.flags(cmd)
	cmd.Flags().BoolVar(&d.opt.Flow.Hooks, "hooks", false, "put the hooks of the run at the end of the new one, too")
	d.source.flags(cmd)
	requestFlags(cmd, &d.source.task, nil)
	fs := cmd.Flags()
	fs.BoolVar(&f.failed, "failed", false, "those whose result is a failure")
	fs.BoolVar(&f.dead, "dead", false, "those that ended without a result")
	fs.StringVar(&f.missing, "missing", "", "those that are done and whose results this `file` lacks, of JSON lines or CSV")
	fs.StringVar(&f.as, "as", "", "`name` of the new run; default RUN.2, or the next that is free")
	fs.BoolVar(&d.wait, "wait", false, "wait for the end of the new run")
	strictFlag(fs, &d.strict, "with --wait: ")
	fs.BoolVar(&d.quiet, "quiet", false, "no progress")
	fs.BoolVar(&d.json, "json", false, "print what was done as JSON")
	fs.DurationVar(&d.retry, "retry", 60*time.Second, "how long to wait for a server that is away")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.retry(cmd, &f, args) }
	return cmd
}

func (a *app) retry(cmd *cobra.Command, f *retryFlags, args []string) error {
	q, err := a.dial(cmd, &f.dispatch.remote, f.dispatch.retry)
	if err != nil {
		return err
	}
	defer q.Close()
	ctx, stop := a.interruptible("glassq runs retry", "stopping after the puts under way")
	defer stop()
	run, err := q.Run(ctx, args[0])
	if err != nil {
		return f.dispatch.remote.absent(err)
	}
	if !f.failed && !f.dead && f.missing == "" && f.dispatch.source.ids == "" {
		f.failed, f.dead = true, true
	}
	if f.dead && !f.failed && f.missing == "" && f.dispatch.source.ids == "" && f.as == "" {
		return f.dispatch.remote.absent(a.redrive(ctx, q, &f.dispatch, &run))
	}
	only, err := f.positions(ctx, q, &run)
	if err != nil {
		return f.dispatch.remote.absent(err)
	}
	if run.RetryOf != "" { // the first run of the job has the source and the name
		first, err := q.Run(ctx, run.RetryOf)
		switch {
		case err == nil:
			run = first
		case !errors.Is(err, glassq.ErrNotFound):
			return f.dispatch.remote.absent(err)
		}
	}
	if only.Count() == 0 {
		a.console.Say("glassq runs retry: run %s has nothing of that kind, or it was put again already: glassq runs show %s",
			run.Name, run.Name)
		if f.dispatch.json {
			return a.printJSON(map[string]any{"run": "", "put": 0})
		}
		return nil
	}
	src, done, err := f.source(cmd, args[1:], a, &run)
	if err != nil {
		return err
	}
	defer done()
	if _, err := sameSource(ctx, q, run.Name, src.Fingerprint()); err != nil {
		return f.dispatch.remote.absent(err)
	}
	if f.as == "" {
		if f.as, err = freeName(ctx, q, run.Name); err != nil {
			return f.dispatch.remote.absent(err)
		}
	}
	f.dispatch.name, f.dispatch.naming = cmd.CommandPath(), "as"
	f.dispatch.opt = dispatch.Options{Source: src, Only: only, Run: f.as, Queue: run.Queue, RetryOf: run.Name,
		Flow: f.dispatch.opt.Flow}
	return a.dispatchTo(ctx, cmd, q, &f.dispatch)
}

// redrive makes the dead tasks of a run ready again, in their queue, and waits for their end if that
// was asked for.
func (a *app) redrive(ctx context.Context, q *client.Client, f *dispatchFlags, run *glassq.Run) error {
	n := 0
	var err error
	if run.Books.Dead.Attempts+run.Books.Dead.Nacked > 0 {
		if run.Queue == "" {
			return usagef("run %s was not dispatched, so it does not say in which queue its tasks are: glassq queue redrive QUEUE --run %s",
				run.Name, run.Name)
		}
		if n, err = q.RedriveSome(ctx, run.Queue, glassq.DeadFilter{Run: run.Name}); err != nil {
			return err
		}
	}
	done := map[string]any{"run": run.Name, "redriven": n}
	if !f.json {
		if err := a.printf("%s: %s redriven\n", run.Name, plain.Plural(n, "task", "tasks")); err != nil {
			return err
		}
	}
	var end error
	if f.wait {
		bar := a.runMeter("retry", f.quiet, false, q, "")
		defer bar.Close()
		var last glassq.Run
		last, end = a.awaitEnd(ctx, q, f, run.Name, bar)
		addBooks(done, &last)
	}
	if f.json {
		if err := a.printJSON(done); end == nil {
			end = err
		}
	}
	return end
}

// positions collects what is to be put again.
func (f *retryFlags) positions(ctx context.Context, q *client.Client, run *glassq.Run) (*dispatch.Positions, error) {
	only := new(dispatch.Positions)
	if f.dispatch.source.ids != "" {
		of, list, err := f.dispatch.source.only()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(jobOf(run), of) {
			return nil, usagef("the ids of %s are of run %s, not %s", f.dispatch.source.ids, of, run.Name)
		}
		only = list
	}
	lost, err := f.lost(ctx, q, run)
	if err != nil {
		return nil, err
	}
	only.Join(lost)
	if f.missing == "" {
		return only, nil
	}
	have, err := idsOfResults(f.missing, run.Name)
	if err != nil {
		return nil, err
	}
	missing := new(dispatch.Positions)
	if err := eachID(ctx, q, run.Name, glassq.IDsDone, missing.Add); err != nil {
		return nil, err
	}
	missing.Remove(have)
	only.Join(missing)
	return only, nil
}

// lost collects the positions of the job whose last outcome is one of those that are wanted.
func (f *retryFlags) lost(ctx context.Context, q *client.Client, run *glassq.Run) (*dispatch.Positions, error) {
	lost := new(dispatch.Positions)
	if !f.failed && !f.dead {
		return lost, nil
	}
	for i, name := range jobOf(run) {
		if i > 0 { // what was put again has another outcome
			again := new(dispatch.Positions)
			if err := eachID(ctx, q, name, glassq.IDsPut, again.Add); err != nil {
				return nil, err
			}
			lost.Remove(again)
		}
		for set, wanted := range map[glassq.IDSet]bool{glassq.IDsFailed: f.failed, glassq.IDsDead: f.dead} {
			if !wanted {
				continue
			}
			if err := eachID(ctx, q, name, set, lost.Add); err != nil {
				return nil, err
			}
		}
	}
	return lost, nil
}

// jobOf is the runs of the job that run is of: itself, when it was never retried.
func jobOf(run *glassq.Run) []string {
	if run.Job == nil {
		return []string{run.Name}
	}
	return run.Job.Runs
}

// eachID calls fn for all intervals of a set.
func eachID(ctx context.Context, q *client.Client, run string, set glassq.IDSet, fn func(glassq.Interval)) error {
	const page = 10_000
	for from := uint64(0); from < dispatch.MaxTasks; {
		list, err := q.RunIDs(ctx, run, set, uint32(from), page)
		if err != nil {
			return err
		}
		for _, iv := range list {
			fn(iv)
			from = uint64(iv.Last) + 1
		}
		if len(list) < page {
			return nil
		}
	}
	return nil
}

// idsOfResults reads which positions of a run a file of results has.
func idsOfResults(path, run string) (*dispatch.Positions, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("read the results: %w", err)
	}
	defer f.Close()
	p, err := dispatch.ReadResultIDs(f, run)
	if err != nil {
		return nil, usagef("%s: %w", path, err)
	}
	return p, nil
}

// source is what the run was dispatched from: as the flags say, or as the server remembers it.
func (f *retryFlags) source(cmd *cobra.Command, args []string, a *app, run *glassq.Run) (dispatch.Source, func(),
	error) {
	s := &f.dispatch.source
	text, _, _ := strings.Cut(run.Source, " only ")
	if len(args) == 0 && s.file == "" && !cmd.Flags().Changed("count") && s.numbers == "" {
		tmpl, numbers, ok := rememberedTemplate(text)
		if !ok {
			return nil, nil, usagef("run %s was dispatched from %s, which the server cannot make again: give the same --file, or the template with its flags", run.Name, orStream(text))
		}
		args = []string{tmpl}
		s.numbers = numbers
	}
	return s.openSource(cmd, args, a.in, func(s string) { a.console.Say("glassq runs retry: %s", s) })
}

func orStream(source string) string {
	if source == "" {
		return "a stream"
	}
	return source
}

// rememberedTemplate reads a source of the form: template "…" 0..99.
func rememberedTemplate(source string) (tmpl, numbers string, ok bool) {
	rest, ok := strings.CutPrefix(source, "template ")
	if !ok {
		return "", "", false
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "", "", false
	}
	tmpl, err = strconv.Unquote(quoted)
	numbers = strings.TrimSpace(rest[len(quoted):])
	_, _, rerr := dispatch.ParseRange(numbers) // a request or a hash is not remembered in full
	return tmpl, numbers, err == nil && rerr == nil
}

// freeName is the first of RUN.2, RUN.3 … that no run has.
func freeName(ctx context.Context, q *client.Client, run string) (string, error) {
	for n := 2; ; n++ {
		name := fmt.Sprintf("%s.%d", run, n)
		_, err := q.Run(ctx, name)
		if errors.Is(err, glassq.ErrNotFound) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
}
