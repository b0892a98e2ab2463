package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/internal/fetch"
	"github.com/glassq/glassq/internal/output"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/glassq/glassq/internal/stores"
	"github.com/glassq/glassq/worker"
	"github.com/spf13/cobra"
)

const (
	continuedRun = "run"            // name of the run in a folder that was named
	resultsName  = "results.ndjson" // in the folder, when no --out is named
)

type runFlags struct {
	source                sourceFlags
	pace                  paceFlags
	only                  *dispatch.Positions // nil for all
	single                bool
	timed                 *timedSource // nil without --duration, or with a rate
	fetch                 fetchFlags
	data, sync, name, out string
	concurrency           int
	lease                 time.Duration
	json, quiet           bool
	sum                   summaryFlags
	own                   bool // the folder was made for this call
}

func (a *app) runCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [TEMPLATE]",
		Short: "Do a whole job in this process, on a queue of its own",
		Long: `Dispatch, work and output in one process, on an embedded queue: each URL is requested, each has one
result, and the books balance. Without --data the queue lies in a new folder, which is deleted when
they do. With --data the same command, after a crash or Ctrl-C, goes on where it was. Without --out
and --json the results are only summed up.`,
		Example: `  glassq run 'http://127.0.0.1:8888/?q={0}' -n 1000000 -c 100
  glassq run --file urls.txt --data d --out results.ndjson`,
		Args: arguments(0, 1),
	}
	f.source.flags(cmd)
	f.pace.flags(cmd)
	requestFlags(cmd, &f.source.task, &f.fetch)
	fs := cmd.Flags()
	fs.IntVarP(&f.concurrency, "concurrency", "c", defaultConcurrency, "requests at once")
	fs.DurationVar(&f.lease, "lease", 10*time.Second, "how long what was in work waits after a crash")
	fs.StringVar(&f.data, "data", "", "`folder` that keeps the queue, to continue in")
	fs.StringVar(&f.sync, "sync", disk.SyncAlways, "when a step counts as done: always (synced), interval or never")
	fs.StringVar(&f.name, "run", "", "`name` of the run; default run with --data, else a new one")
	fs.BoolVar(&f.single, "single", false, "put each number by itself; by default those of a template are one record")
	fs.StringVar(&f.out, "out", "", "`file` for the results, CSV if its name ends in .csv, else JSON lines; one that exists is continued")
	fs.BoolVar(&f.json, "json", false, "print the results as JSON lines")
	f.sum.flags(cmd)
	fs.BoolVar(&f.quiet, "quiet", false, "no progress")
	cpu := profileFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(a); err != nil {
			return err
		}
		timed, err := f.pace.forDuration(cmd, &f.source)
		if err != nil {
			return err
		}
		src, done, err := f.source.openSource(cmd, args, a.in, func(s string) { a.console.Say("glassq run: %s", s) })
		if err != nil {
			return err
		}
		defer done()
		if _, f.only, err = f.source.only(); err != nil {
			return err
		}
		if err := checkURL(args); err != nil {
			return err
		}
		stop, err := profile(*cpu)
		if err != nil {
			return err
		}
		defer stop()
		defer tune(mostGarbage)()
		if timed {
			f.timed = newTimedSource(src, f.pace.duration, f.concurrency)
			src = f.timed
		}
		return a.run(&f, src)
	}
	return cmd
}

func (f *runFlags) check(a *app) error {
	if err := f.pace.check(); err != nil {
		return err
	}
	if f.out != "" && f.json {
		return usagef("--json prints the results and --out writes them to a file; leave one out")
	}
	if err := f.sum.check(a, f.json || a.isStdout(f.out)); err != nil {
		return err
	}
	if f.name != "" {
		if err := glassq.CheckName(f.name); err != nil {
			return err
		}
	}
	if err := checkConcurrency(f.concurrency); err != nil {
		return err
	}
	if err := checkLease(f.lease); err != nil {
		return err
	}
	return checkSync(f.sync)
}

// checkURL refuses a template that makes no URLs, before a million tasks are made of it.
func checkURL(args []string) error {
	if len(args) == 0 {
		return nil
	}
	t := strings.ToLower(args[0])
	if strings.HasPrefix(t, "http://") || strings.HasPrefix(t, "https://") || strings.HasPrefix(t, "{") {
		return nil
	}
	return usagef("template %q, character 1: a URL begins with http:// or https://", args[0])
}

// folder makes sure that there is one for the queue, and a name for the run.
func (f *runFlags) folder() error {
	if f.data != "" {
		if f.name == "" {
			f.name = continuedRun
		}
		return nil
	}
	if f.name == "" {
		f.name = dispatch.NewRunName(time.Now())
	}
	state, err := stateDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fmt.Errorf("make a folder for the queue: %w", err)
	}
	f.data, err = os.MkdirTemp(state, "run-")
	if err != nil {
		return fmt.Errorf("make a folder for the queue: %w", err)
	}
	f.own = true
	return nil
}

func (a *app) run(f *runFlags, src dispatch.Source) error {
	fetcher, err := f.fetch.newFetcher(func(s string) { a.console.Say("glassq run: %s", s) })
	if err != nil {
		return err
	}
	defer fetcher.Close()
	if err := f.folder(); err != nil {
		return err
	}
	j := &job{a: a, f: f, src: src, fetcher: fetcher}
	err = j.openJob()
	if err == nil {
		err = j.do()
		if cerr := j.close(); err == nil {
			err = cerr
		}
	}
	switch {
	case !f.own || f.data == stores.Memory:
	case err == nil || exitCode(err) == exitNotWell || exitCode(err) == exitThreshold || exitCode(err) == exitUsage &&
		j.put.Put == 0:
		a.removeAll(f.data)
	default:
		a.console.Say("glassq run: the queue is kept; go on with the same command and --data %s --run %s", f.data, f.name)
	}
	return err
}

// A job is one call of run.
type job struct {
	a       *app
	f       *runFlags
	src     dispatch.Source
	fetcher *fetch.Fetcher
	store   *stores.Store
	results *resultFile // nil when there is no file
	opt     output.Options
	began   time.Time
	before  glassq.Stats
	bar     *term.Meter

	put   dispatch.Report
	taken output.Report
}

func (j *job) openJob() error {
	var err error
	j.store, err = openStore(context.Background(), j.f.data, stores.Options{Sync: j.f.sync, Logger: j.a.console.Logger()})
	if err != nil {
		return err
	}
	if err := j.f.sum.openSummary(j.a, &j.opt); err != nil {
		return errors.Join(err, j.store.Close())
	}
	if path := j.path(); path != "" {
		j.opt.Format = fileFormat(path)
		j.results, err = openResults(path, output.LoadOptions{Run: j.f.name, Format: j.opt.Format,
			Raw: j.opt.Raw, By: j.opt.By, Failed: j.opt.Failed})
		if err != nil {
			return errors.Join(err, j.f.sum.close(), j.store.Close())
		}
		j.opt.Seen = j.results.seen
	}
	// A folder that is continued may hold the rate of another call. Its schedule begins anew: while
	// nobody ran there was nothing to keep to.
	for _, pace := range []paceFlags{{}, j.f.pace} {
		if _, err := j.store.Configure(context.Background(), glassq.DefaultQueue, pace.change()); err != nil {
			return errors.Join(err, j.close())
		}
	}
	j.before, err = j.store.Stats(context.Background())
	return err
}

// path is where the results go; "" for nowhere.
func (j *job) path() string {
	if j.f.out == "" && j.f.data != stores.Memory {
		return filepath.Join(j.f.data, resultsName)
	}
	return j.f.out
}

func (j *job) close() error {
	err := errors.Join(j.store.Close(), j.f.sum.close())
	if j.results != nil {
		err = errors.Join(err, j.results.f.Close())
	}
	return err
}

// writer is where results go. Results that an earlier call wrote to the folder are printed again
// with --json, so that what is printed is always whole.
func (j *job) writer() (io.Writer, func() error, error) {
	switch {
	case j.results == nil && j.f.json:
		return j.a.data(), syncer(j.a.out), nil
	case j.results == nil:
		return nil, nil, nil
	case !j.f.json:
		return j.results, j.sync(), nil
	}
	if _, err := io.Copy(j.a.data(), io.NewSectionReader(j.results.f, 0, j.results.size.Load())); err != nil {
		return nil, nil, fmt.Errorf("print earlier results: %w", err)
	}
	return io.MultiWriter(j.results, j.a.data()), j.sync(), nil
}

func (j *job) sync() func() error {
	if j.f.sync != disk.SyncAlways {
		return j.results.there
	}
	return j.results.syncer()
}

// do runs the three parts until the last result is taken, or until one of them fails.
func (j *job) do() error {
	w, sync, err := j.writer()
	if err != nil {
		return err
	}
	name := "glassq run"
	ctx, stop := j.a.interruptible(name, "draining, requests under way end")
	defer stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer j.a.watch(j.store, name, fmt.Sprintf("go on with the same command and --data %s --run %s", j.f.data, j.f.name),
		fail)()
	say := func(s string) { j.a.console.Say("%s: %s", name, s) }
	say(fmt.Sprintf("run %s, %s at once, %s, data %s, sync %s", j.f.name, plain.Plural(j.f.concurrency, "request", "requests"),
		j.f.fetch.describe(j.fetcher), j.f.data, j.f.sync))
	j.bar = j.a.runMeter("run", j.f.quiet, j.f.json, j.store, j.f.name)
	defer j.bar.Close()

	opt := j.opt
	opt.Own = true
	opt.W, opt.Columns = w, j.fetcher.Members()
	introduce(&opt, j.store, j.path())
	opt.Run, opt.Sync, opt.Lease, opt.Progress, opt.Notify = j.f.name, sync, j.f.lease, j.progress, say
	err = j.parts(ctx, opt, say)
	j.bar.Close()
	if j.taken.Run.Name != "" {
		j.report()
	}
	return j.a.finish(&j.f.sum, &j.taken, notWritten(err, j.path(), &j.taken))
}

func (j *job) progress(s output.Summary) {
	if n, known := j.src.Total(); known && j.f.only == nil {
		s.Total = n
	}
	j.bar.Summary(s)
}

// parts runs dispatcher, worker and output side by side. When one fails, or ctx is done, the
// dispatcher and the worker stop, and what they have finished is still taken.
func (j *job) parts(ctx context.Context, opt output.Options, say func(string)) error {
	j.began = time.Now()
	working, halt := context.WithCancelCause(ctx) // of dispatcher and worker
	defer halt(nil)
	taking, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	drained := make(chan struct{})
	var putErr, workErr, takeErr error // of the goroutines; read after Wait
	var makers, takers sync.WaitGroup
	if j.f.timed != nil {
		j.f.timed.over = working.Done()
	}
	makers.Go(func() {
		j.put, putErr = dispatch.Run(working, j.store, dispatch.Options{
			Source: j.src, Run: j.f.name, Only: j.f.only, Single: j.f.single, Parallel: 1, Notify: say,
			Refused: j.f.source.refused(say),
		})
		if putErr != nil {
			halt(putErr)
		}
	})
	makers.Go(func() {
		handler := j.fetcher.Handler
		if j.f.timed != nil {
			handler = j.f.timed.handler(handler)
		}
		_, workErr = worker.Run(working, j.store, worker.Options{
			Concurrency: j.f.concurrency, Lease: j.f.lease, Done: drained, Logger: j.a.console.Logger(),
		}, handler)
		if workErr != nil {
			halt(workErr)
		}
	})
	takers.Go(func() {
		defer close(drained)
		if j.taken, takeErr = output.Run(taking, j.store, opt); takeErr != nil {
			halt(takeErr)
		}
	})
	makers.Wait()
	if working.Err() != nil {
		leave(context.Cause(working))
	}
	takers.Wait()
	switch cause := context.Cause(working); {
	case cause != nil:
		return cause // the first trouble
	case takeErr != nil:
		return takeErr
	}
	return errors.Join(putErr, workErr)
}

// report prints what a person wants to know at the end, and the books.
func (j *job) report() {
	took := time.Since(j.began)
	say := j.a.console.Say
	if s := j.f.source.bad(); s != "" {
		say("glassq run: %s", s)
	}
	if s := emptyLines(j.put.Empty); s != "" {
		say("glassq run: put %s%s", plain.Plural(j.put.Put, "task", "tasks"), s)
	}
	j.a.sayResults(&j.taken, &j.f.sum)
	st, err := j.store.Stats(context.Background())
	if err != nil {
		return // the engine failed; that is said already
	}
	say("this call took %s, sync %s: %s syncs, %s frames, %s bytes appended", report.Short(took),
		st.Disk.Sync, plain.Comma(st.Disk.Syncs-j.before.Disk.Syncs), plain.Comma(st.Frames-j.before.Frames),
		plain.Comma(st.Bytes-j.before.Bytes))
}
