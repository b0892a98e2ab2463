// Package output takes the results of a run, writes them, and proves at the end that none is
// missing.
//
// A result is acked only when its line was written, flushed and synced, so a crash or a full disk
// repeats results and loses none; a result taken again is counted and not written twice. Memory
// does not grow with the results but for a bit for each position.
//
// The package knows a queue's verbs and the shape of result records; it does not know servers,
// files or flags.
package output

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
)

// A Queue is what an output needs: a broker.Broker or a client. Its methods are glassq's.
type Queue interface {
	Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error)
	Ack(ctx context.Context, acks []glassq.Ack) ([]error, error)
	Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error)
	Extend(ctx context.Context, extends []glassq.Extend) ([]error, error)
	Run(ctx context.Context, name string) (glassq.Run, error)
	AwaitRun(ctx context.Context, name string, phase glassq.Phase, wait time.Duration) (glassq.Run, error)
	RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32, max int) ([]glassq.Interval, error)
	Runs(ctx context.Context) ([]glassq.Run, error)
	Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error)
}

// A Format says what is written of a result.
type Format string

const (
	NDJSON Format = "ndjson" // the result record, one line of JSON
	Text   Format = "text"   // id, ok or failed, code, seconds and error class, with tabs between
	CSV    Format = "csv"    // a header, then the members of a result; see columns
	Custom Format = "template"
	None   Format = "none" // nothing: results are counted and acked
)

// ParseFormat reads the name of a format. The error has code bad_request.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case NDJSON, Text, CSV, Custom, None:
		return f, nil
	}
	return "", glassq.Errorf(glassq.CodeBadRequest, "format %.40q is not one of text, ndjson, csv, template, none", s)
}

// Options tunes Run. The zero value follows queue results and writes nothing.
type Options struct {
	Run      string        // end when this run is drained; "" follows until ctx is done
	Queue    string        // queue of results; "" means that of Run, or glassq.DefaultResults
	W        io.Writer     // for lines; may be nil with format none. It is written in whole batches
	Sync     func() error  // makes what W was given durable, before it is acked; nil for nothing to do
	Format   Format        // "" means ndjson, or none when W is nil
	Template *Template     // with format template
	Columns  []string      // of CSV: members of o that results are known to have, beside those that the first ones have
	Raw      bool          // of CSV: texts as they are, though a spreadsheet may take them for formulas
	Batch    int           // most results in one reserve; 0 means 1,000
	Lease    time.Duration // of a result while it is written; 0 means 10s
	Seen     *Seen         // what W already has, see LoadSeen; nil for nothing. Run adds to it; after an error load it anew
	// KeepOrder writes the results of Run in the order of their positions. Up to 32 MiB or 50,000
	// of them wait for an earlier one; beyond that the earlier one is written where it comes. When
	// ctx is done those that wait are not written: they go back.
	KeepOrder bool
	window    int // that number of results, for tests; 0 means 50,000

	By []By // groupings beside that by host; without effect when Seen was loaded, which has its own

	// Only says which results are written; nil for all. The others are taken and counted like them,
	// and are gone then.
	Only *Filter

	// Lists of ids, one on each line; nil for none.
	Missing, Duplicate io.Writer
	// Failed gets failed tasks as lines that dispatch takes again, those that LoadSeen found too;
	// nil for nobody.
	Failed io.Writer

	// Found is told of the run once it exists, before anything is taken; nil for nobody. With an
	// error nothing is.
	Found func(ctx context.Context, run glassq.Run) error
	// Reader is what the run knows this output by, among its Readers.
	Reader string
	// Progress is told where things stand, every 200 ms; nil for nobody.
	Progress func(Summary)
	// Own says that the program of this output makes the run too: that it is not there yet is not
	// worth a sentence.
	Own bool

	// Notify is told sentences for people, such as why nothing moves; nil for nobody. It
	// is called by several goroutines.
	Notify func(message string)
}

const (
	defaultBatch = 1000
	defaultLease = 10 * time.Second
	longWait     = 10 * time.Minute // of one parked call; it is made again
	graceTime    = 10 * time.Second // for the last acks, once ctx is done
)

// A Report is what Run has done.
type Report struct {
	Summary                        // Run and Total as the output knew them
	Run        glassq.Run          // as it was at the end; zero without one
	Queue      string              // that results were taken from
	Passed     uint64              // of those taken, those that Options.Only let pass
	NoRecord   uint64              // of all in the file, those that are no JSON object; they are kept as raw or b64
	Missing    uint64              // positions that are done, that W lacks, and that nobody else is known to have
	ReadBefore uint64              // those that W lacks because other readers took them
	Readers    []string            // of the run, beside this one
	MissingIDs []glassq.Interval   // the positions that W lacks, the first 1,000 intervals
	Errors     []report.ErrorCount // most frequent first, those of a continued file included

	tally *tally // for Document
}

// Balanced reports whether the books add up: every put task of the run is in exactly one column, no
// result is missing or in another file, and a complete run has nothing pending. Without a run there
// are no books.
func (r *Report) Balanced() bool {
	b := r.Run.Books
	return b.OK+b.Failed+b.Dead.Sum() <= b.Put &&
		r.Run.Pending == b.Pending() &&
		r.Missing == 0 && r.ReadBefore == 0 &&
		(!r.Run.Complete || b.Pending() == 0)
}

// Run takes results and writes them until the run is drained, ctx is done, or an error. It waits
// for a run that does not exist yet. When ctx is done what was taken is written and acked first;
// with a run the error is then ctx's, without one it is nil.
//
// Nothing is acked that was not written: after a write error, such as a full disk, the results
// return to their queue. The report is valid in each case; its Missing is found only when there is
// a run and it could be asked.
func Run(ctx context.Context, q Queue, opt Options) (Report, error) {
	o, err := newOutput(q, opt)
	if err != nil {
		return Report{}, err
	}
	err = o.run(ctx)
	if herr := o.head(nil); err == nil { // there was no result
		err = herr
	}
	rep := o.report()
	if opt.Run == "" && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	if opt.Run != "" && !away(err) {
		if berr := o.balance(ctx, &rep); err == nil {
			err = berr // of two errors the first is the cause
		}
	}
	for _, l := range []interface{ close() error }{o.failed, o.missing, o.duplicate} {
		if lerr := l.close(); err == nil {
			err = lerr
		}
	}
	if n := o.failed.unknown + o.seen.unknown; n > 0 {
		o.say("%s failed results do not say what their tasks were, and are not in the list of failed tasks",
			plain.Comma(n))
	}
	return rep, err
}

// output is one call of Run.
type output struct {
	q       Queue
	opt     Options
	queue   string // that results are taken from
	tasks   string // the queue of the run's tasks, "" when not known; tally.mu guards it
	seen    *Seen
	columns *columns // of CSV; nil before its first line
	tally   *tally
	passed  uint64 // results that opt.Only let pass; tally.mu guards it

	missing, duplicate *idList
	failed             *failedList
}

func newOutput(q Queue, opt Options) (*output, error) {
	if opt.Format == "" {
		opt.Format = NDJSON
		if opt.W == nil {
			opt.Format = None
		}
	}
	if _, err := ParseFormat(string(opt.Format)); err != nil {
		return nil, err
	}
	switch {
	case opt.Format != None && opt.W == nil:
		return nil, errors.New("output: no writer")
	case opt.KeepOrder && opt.Run == "":
		return nil, glassq.Errorf(glassq.CodeBadRequest, "the order is that of a run's positions: name the run")
	case (opt.Format == Custom) != (opt.Template != nil):
		return nil, glassq.Errorf(glassq.CodeBadRequest, "format template needs a template, and other formats none")
	}
	if opt.Batch <= 0 {
		opt.Batch = defaultBatch
	}
	opt.Batch = min(opt.Batch, glassq.MaxBatch)
	if opt.Lease == 0 {
		opt.Lease = defaultLease
	}
	o := &output{q: q, opt: opt, seen: opt.Seen,
		missing:   newIDList("missing", opt.Missing, false),
		failed:    newFailedList(opt.Failed),
		duplicate: newIDList("duplicate", opt.Duplicate, true),
	}
	if o.seen == nil {
		o.seen = new(Seen)
	}
	o.columns = o.seen.columns
	if o.tally = o.seen.tally; o.tally == nil {
		var err error
		if o.tally, err = newTally(time.Now(), opt.By); err != nil {
			return nil, err
		}
	}
	o.seen.tally = nil // it is ours now
	o.tally.start = time.Now()
	o.tally.run = opt.Run
	o.tally.before = o.seen.Count(opt.Run)
	return o, nil
}

// head writes what comes before the first line, once; leases are the first results.
func (o *output) head(leases []glassq.Lease) error {
	if o.opt.Format != CSV || o.columns != nil {
		return nil
	}
	o.columns = chooseColumns(leases, o.opt.Columns, o.opt.Raw)
	if _, err := o.opt.W.Write(o.columns.header()); err != nil {
		return &WriteError{err}
	}
	return nil
}

// A WriteError is that results could not be written or synced. Those results were not acked: they
// are back in their queue.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return "write results: " + e.Err.Error() }

func (e *WriteError) Unwrap() error { return e.Err }

// run finds the queue, starts the end's watcher, and takes results until the end.
func (o *output) run(ctx context.Context) error {
	queue := o.opt.Queue
	if o.opt.Run != "" {
		if _, err := o.q.Run(ctx, o.opt.Run); errors.Is(err, glassq.ErrNotFound) && !o.opt.Own {
			o.say("waiting for run %s, which does not exist yet", o.opt.Run)
		}
		rec, err := o.await(ctx, glassq.PhaseExists)
		if err != nil {
			return err
		}
		if o.opt.Found != nil {
			if err := o.opt.Found(ctx, rec); err != nil {
				return err
			}
		}
		if queue == "" {
			queue = rec.Results
		}
		if queue != rec.Results {
			o.say("run %s keeps its results in queue %s; taking those in %s, as told: the end comes when someone has taken the others",
				rec.Name, rec.Results, queue)
		}
	}
	if queue == "" {
		queue = glassq.DefaultResults
	}
	o.queue = queue
	return o.takeResults(ctx)
}

// say tells a person something.
func (o *output) say(format string, args ...any) {
	if o.opt.Notify != nil {
		o.opt.Notify(fmt.Sprintf(format, args...))
	}
}

// await waits for a phase of the run, however long it takes.
func (o *output) await(ctx context.Context, phase glassq.Phase) (glassq.Run, error) {
	for {
		rec, err := o.q.AwaitRun(ctx, o.opt.Run, phase, longWait)
		switch {
		case ctx.Err() != nil:
			return rec, ctx.Err()
		case errors.Is(err, glassq.ErrNotFound):
			continue
		case err != nil:
			return rec, fmt.Errorf("wait for run %s: %w", o.opt.Run, err)
		}
		o.know(rec)
		if phase == glassq.PhaseExists || rec.Complete && rec.Waiting == 0 {
			return rec, nil
		}
	}
}

// know passes on what was learned of the run.
func (o *output) know(rec glassq.Run) {
	o.tally.mu.Lock()
	defer o.tally.mu.Unlock()
	o.tasks = rec.Queue
	if rec.Sealed {
		o.tally.total = rec.Total
	}
}

func (o *output) report() Report {
	s := o.tally.summary()
	o.tally.mu.Lock()
	defer o.tally.mu.Unlock()
	return Report{Summary: s, Queue: o.queue, Passed: o.passed, NoRecord: o.tally.all.raw,
		Errors: o.tally.all.classes.list(), tally: o.tally}
}

// balance asks for the run's books and finds what is missing.
func (o *output) balance(ctx context.Context, rep *Report) error {
	if ctx.Err() != nil { // interrupted: the books as they are, if they come soon
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), graceTime)
		defer cancel()
	}
	rec, err := o.q.Run(ctx, o.opt.Run)
	if errors.Is(err, glassq.ErrNotFound) {
		return nil // it never came to be: there is nothing to balance
	}
	if err != nil {
		return fmt.Errorf("ask for the books of run %s: %w", o.opt.Run, err)
	}
	rep.Run = rec
	for _, r := range rec.Readers {
		if r != o.opt.Reader {
			rep.Readers = append(rep.Readers, r)
		}
	}
	rep.Missing, rep.MissingIDs, err = o.findMissing(ctx)
	if len(rep.Readers) > 0 && rec.Waiting == 0 {
		rep.Missing, rep.ReadBefore = 0, rep.Missing
	}
	return err
}
