package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
)

type dispatchFlags struct {
	name     string // of the command
	naming   string // its flag that names the run
	remote   remote
	source   sourceFlags
	retry    time.Duration
	priority int
	pace     paceFlags
	headers  map[string]string
	out      string
	wait     bool
	strict   bool
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

In a template {0} is the number, {0:06} the number with six digits, {line} the line, {col:name} a column
of CSV; they are escaped for a URL, and taken as they are with {=0}, {=line}, {=col:name} (in a string of
JSON: as JSON writes them); {{ is a brace.
A line of ndjson is a task with body (or b64) and options, or a request with url; a line of vegeta is one
of its targets as JSON.

--rate and --stages belong to the queue: the server keeps them at the lease, over all workers together.
They are set before the first put, go on when this program dies, and are cleared at the end of the run,
for which it waits.

--on-end and --on-failed put a task when the run ends, in the commit that ends it, exactly once: its
body is the books of the run as JSON. They take the name of a queue, or a task as JSON without a body.
--after keeps the tasks of the run delayed until another run has ended well.`,
		Example: `  glassq dispatch 'http://127.0.0.1:8888/?q={0}' -n 100000 --run r1
  glassq dispatch --file urls.txt
  glassq dispatch 'https://{=col:host}/u/{col:id}' --file users.csv --method POST --header 'X-Id: {=col:id}'
  seq 100 | glassq dispatch 'http://127.0.0.1:8888/{line}' --wait --out results.ndjson
  glassq dispatch 'http://127.0.0.1:8888/?q={0}' -n 400000 --stages 0..5000/30s,5000/1m
  glassq dispatch 'http://127.0.0.1:8888/?q={0}' -n 100000 --ids failed.ids --run r2
  glassq dispatch --file pages.txt --run load --after fetch --on-end reports --on-failed '{"queue":"alarms","priority":9}'`,
		Args: arguments(0, 1),
	}
	f.remote.flags(cmd)
	f.source.flags(cmd)
	requestFlags(cmd, &f.source.task, nil)
	f.pace.flags(cmd)
	fs := cmd.Flags()
	fs.StringToStringVar(&f.headers, "task-header", nil,
		"headers of the tasks in the queue, name=value, such as traceparent")
	fs.DurationVar(&f.opt.Lease, "lease", 0, "length of leases of workers that name none; default 60s")
	fs.BoolVar(&f.wait, "wait", false, "wait for the end of the run, and print its books")
	fs.StringVar(&f.out, "out", "", "with --wait: `file` for the results, taken from the first one on as glassq output --out does")
	strictFlag(fs, &f.strict, "with --wait: ")
	fs.StringVar(&f.opt.Run, "run", "", "`name` of the run; default a new one, which is printed")
	fs.StringVar(&f.opt.Queue, "queue", glassq.DefaultQueue, "`queue` to put to")
	fs.StringVar(&f.opt.Results, "results", "", "`queue` for the results; default results.RUN with --run, else results")
	flowFlags(fs, &f.opt.Flow)
	fs.IntVar(&f.opt.Batch, "batch", 2000, "most tasks in one put")
	fs.BoolVar(&f.opt.Single, "single", false, "put each number by itself; by default those of a template are one record")
	fs.IntVar(&f.priority, "priority", 4, "priority of the tasks, 0 lowest to 9 highest")
	fs.DurationVar(&f.opt.Delay, "delay", 0, "time before a task is handed out")
	fs.DurationVar(&f.opt.TTL, "ttl", 0, "time after which a task that nobody took is dead; 0 never")
	fs.IntVar(&f.opt.Attempts, "attempts", 0, "most tries of a task; default the queue's, 20")
	fs.DurationVar(&f.retry, "retry", 60*time.Second, "how long to wait for a server that is away")
	fs.BoolVar(&f.preview, "dry-run", false, "print the first tasks and put nothing; with --json all of each, as it would be put")
	fs.BoolVar(&f.json, "json", false, "print what was done as JSON, with --wait at the end of the run")
	fs.BoolVar(&f.quiet, "quiet", false, "no progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.priority < 0 || f.priority > 9 {
			return usagef("--priority %d is not 0 to 9", f.priority)
		}
		if err := checkTaskFlags(&f.opt); err != nil {
			return err
		}
		f.opt.Priority, f.opt.Headers = glassq.Level(f.priority), f.headers
		if err := f.pace.check(); err != nil {
			return err
		}
		for _, name := range [][2]string{{"run", f.opt.Run}, {"queue", f.opt.Queue}, {"results", f.opt.Results}} {
			if err := glassq.CheckName(name[1]); name[1] != "" && err != nil {
				return usagef("--%s: %w", name[0], err)
			}
		}
		if err := checkFlow(&f.opt.Flow); err != nil {
			return err
		}
		if f.out != "" && !f.wait || f.strict && !f.wait && !f.pace.asked() {
			return usagef("--out and --strict are about the end of the run: give --wait too")
		}
		if timed, err := f.pace.forDuration(cmd, &f.source); err != nil {
			return err
		} else if timed {
			return usagef("--duration needs --rate here: without one, how many tasks there are depends on how fast they are done, which glassq run knows")
		}
		src, done, err := f.source.openSource(cmd, args, a.in, func(s string) { a.console.Say("glassq dispatch: %s", s) })
		if err != nil {
			return err
		}
		defer done()
		f.opt.Source = src
		if f.preview {
			return a.preview(&f)
		}
		f.name, f.naming = cmd.CommandPath(), "run"
		return a.dispatch(cmd, &f)
	}
	return cmd
}

// previewed is how many tasks --dry-run prints.
const previewed = 3

// preview prints the first bodies of a source, or with --json its first tasks.
func (a *app) preview(f *dispatchFlags) (err error) {
	if _, f.opt.Only, err = f.source.only(); err != nil {
		return err
	}
	tasks, bad := dispatch.Preview(f.opt, previewed)
	for i := range tasks {
		line := tasks[i].Body
		if f.json {
			line = envelope.AppendTask(nil, &tasks[i])
		}
		if err := a.printf("%s\n", line); err != nil {
			return err
		}
	}
	return bad
}

func (a *app) dispatch(cmd *cobra.Command, f *dispatchFlags) error {
	of, only, err := f.source.only()
	if err != nil {
		return err
	}
	q, err := a.dial(cmd, &f.remote, f.retry)
	if err != nil {
		return err
	}
	defer q.Close()
	ctx, stop := a.interruptible(f.name, "stopping after the puts under way; the run goes on")
	defer stop()
	if f.opt.Only = only; only != nil {
		known, err := sameSource(ctx, q, of, f.opt.Source.Fingerprint())
		if err != nil {
			return f.remote.absent(err)
		}
		if known && of != f.opt.Run { // with the name of the old run what it lacks is put into it
			f.opt.RetryOf = of
		}
	}
	return a.dispatchTo(ctx, cmd, q, f)
}

// sameSource refuses ids of a run that was made of other tasks. A run that is forgotten, or came
// from a stream, cannot be compared. known tells that the server has the run.
func sameSource(ctx context.Context, q *client.Client, run, source string) (known bool, err error) {
	r, err := q.Run(ctx, run)
	if errors.Is(err, glassq.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask for run %s: %w", run, err)
	}
	if have, _, _ := strings.Cut(r.Source, " only "); have != source && have != "" && source != "" {
		return true, usagef("the ids are of run %s, which was dispatched from another source: %s, not %s", run, have, source)
	}
	return true, nil
}

// dispatchTo puts the tasks, with a rate if one was asked for, and waits for the run's end if that
// was. With --out it takes the results meanwhile.
func (a *app) dispatchTo(ctx context.Context, cmd *cobra.Command, q *client.Client, f *dispatchFlags) error {
	named := f.opt.Run != ""
	putting, fail := context.WithCancelCause(ctx) // ends too when results cannot be taken
	defer fail(nil)
	var take *taker
	if f.out != "" {
		var err error
		if take, err = a.openTaker(cmd, f); err != nil {
			return err
		}
		defer take.close()
	}
	pace, err := f.pace.set(ctx, q, f.opt.Queue)
	if err != nil {
		return f.remote.absent(err)
	}
	if pace != nil {
		a.console.Say("%s: queue %s hands out %s until the run ends", f.name, f.opt.Queue, &f.pace)
	}
	waits := f.wait || pace != nil
	var bar *term.Meter
	if waits {
		bar = a.runMeter("dispatch", f.quiet, false, q, "")
	} else {
		bar = a.meter("dispatch", f.quiet, false)
	}
	defer bar.Close()
	f.opt.Started = func(r glassq.Run) {
		a.console.Say("%s: run %s, to queue %s at %s, results to %s", f.name, r.Name, f.opt.Queue, f.remote.server,
			r.Results)
		if !named && !f.json {
			a.printf("%s\n", r.Name) // whoever does not read it finds it above
		}
		if bar.OnBoard() {
			bar.Begin(r.Name)
		}
		if take != nil {
			if bar.OnBoard() {
				take.meter.Store(bar)
			}
			take.begin(ctx, r.Name, fail)
		}
	}
	f.opt.Notify = func(s string) { a.console.Say("%s: %s", f.name, s) }
	f.opt.Progress = bar.Set
	f.opt.Refused = f.source.refused(f.opt.Notify)
	rep, err := dispatch.Run(putting, q, f.opt)
	if err != nil && take != nil {
		take.stop()
		if ctx.Err() == nil && putting.Err() != nil {
			err = context.Cause(putting) // what ended the taking ended the putting
		}
	}
	if err != nil || !bar.OnBoard() {
		bar.Close()
	}
	if s := f.source.bad(); s != "" {
		a.console.Say("%s: %s", f.name, s)
	}
	if err != nil {
		if name := rep.Run.Name; name != "" {
			a.console.Say("%s: put %s so far, run %s is not sealed; the same command with --%s %s continues it",
				f.name, plain.Comma(rep.Put), name, f.naming, name)
		}
		a.sayPace(f, pace)
		return f.remote.absent(err)
	}
	if rep.Total == 0 && f.opt.Source.Fingerprint() == "" && f.opt.Only == nil {
		a.console.Say("%s: there were no lines to make tasks of", f.name)
	}
	a.console.Say("%s: %s", f.name, describeDispatch(&rep))
	done := map[string]any{"run": rep.Run.Name, "put": rep.Put, "skipped": rep.Skipped, "empty": rep.Empty, "bad": f.source.skipped.Load(),
		"duplicates": rep.Duplicates, "total": rep.Total, "seconds": rep.Took.Seconds()}
	if !waits {
		if f.json {
			return a.printJSON(done)
		}
		return nil
	}
	var end error
	var run glassq.Run
	if take != nil {
		if !bar.OnBoard() {
			bar = a.meter("output", f.quiet, false)
			take.meter.Store(bar)
		}
		end = f.remote.absent(take.end())
		run = take.rep.Run
		done["missing"], done["duplicate"] = take.rep.Missing, take.rep.Duplicates
	} else {
		run, end = a.awaitEnd(ctx, q, f, rep.Run.Name, bar)
	}
	if f.json {
		addBooks(done, &run)
		if err := a.printJSON(done); end == nil {
			end = err
		}
	}
	if pace == nil {
		return end
	}
	if isInterrupted(end) {
		a.sayPace(f, pace)
		return end
	}
	said, err := pace.clear(context.WithoutCancel(ctx))
	if err != nil {
		return errors.Join(end, f.remote.absent(err))
	}
	a.console.Say("%s: %s", f.name, said)
	return end
}

// addBooks adds the books of a run to what is printed as JSON, and those of the job when it was
// retried.
func addBooks(done map[string]any, run *glassq.Run) {
	b := run.Books
	done["complete"], done["ok"], done["failed"], done["dead"], done["pending"] = run.Complete, b.OK, b.Failed, b.Dead.Sum(),
		b.Pending()
	if run.Job != nil {
		done["job"] = run.Job
	}
}

// sayPace says that a rate stays, and how to get rid of it.
func (a *app) sayPace(f *dispatchFlags, p *paced) {
	if p != nil {
		a.console.Say("%s: the rate of queue %s stays; glassq queue set %s --rate 0 clears it", f.name, p.queue, p.queue)
	}
}

// awaitEnd waits for the end of a run and says how it ended. The bar goes on when it is a board.
func (a *app) awaitEnd(ctx context.Context, q *client.Client, f *dispatchFlags, run string,
	bar *term.Meter) (glassq.Run, error) {
	onBoard := bar.OnBoard()
	if !onBoard {
		bar = a.meter("done", f.quiet, false)
	}
	defer bar.Close()
	for {
		r, err := q.AwaitRun(ctx, run, glassq.PhaseComplete, time.Second)
		if err != nil {
			bar.Close()
			return r, f.remote.absent(err)
		}
		b := r.Books
		if !onBoard {
			bar.Set(b.Put-b.Pending(), b.Put)
		}
		if !r.Complete {
			continue
		}
		bar.Close()
		a.console.Say("%s", report.BooksLine(b))
		a.sayJob(&r)
		return r, wentWell(&r, f.strict)
	}
}

func describeDispatch(rep *dispatch.Report) string {
	s := fmt.Sprintf("put %s in %s (%s/s)", plain.Plural(rep.Put, "task", "tasks"), report.Short(rep.Took),
		term.PerSecond(rep.Put, rep.Took))
	if rep.Skipped+rep.Duplicates > 0 {
		s += fmt.Sprintf(", %s were there before", plain.Comma(rep.Skipped+rep.Duplicates))
	}
	s += emptyLines(rep.Empty)
	return s + fmt.Sprintf("; run %s is sealed with %s", rep.Run.Name, plain.Comma(rep.Total))
}

// checkTaskFlags refuses options that no queue takes, before there is a run of theirs.
func checkTaskFlags(o *dispatch.Options) error {
	switch {
	case o.Delay < 0 || o.TTL < 0:
		return usagef("--delay and --ttl are not negative")
	case o.Attempts < 0 || o.Attempts > glassq.MaxAttempts:
		return usagef("--attempts %d is not 1 to %d, or 0 for the queue's", o.Attempts, glassq.MaxAttempts)
	case o.Lease != 0:
		return checkLease(o.Lease)
	}
	return nil
}
