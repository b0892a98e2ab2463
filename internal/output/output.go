// Package output takes the results of a run, writes them, and proves at the end that none is missing.
//
// A result is acked only when its line was written, flushed and synced, so a crash or a full disk
// repeats results and loses none; a result taken again is counted and not written twice. Memory does
// not grow with the results but for a bit for each position.
//
// The package knows a queue's verbs and the shape of result records; it does not know servers, files
// or flags.
package output

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/glassq/glassq"
)

// A Queue is what an output needs: a glassq.Broker or a client. Its methods are glassq's.
type Queue interface {
	Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error)
	Ack(ctx context.Context, acks []glassq.Ack) ([]error, error)
	Run(ctx context.Context, name string) (glassq.Run, error)
	AwaitRun(ctx context.Context, name string, phase glassq.Phase, wait time.Duration) (glassq.Run, error)
	RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32, max int) ([]glassq.Interval, error)
}

// A Format says what is written of a result.
type Format string

const (
	NDJSON Format = "ndjson" // the result record, one line of JSON
	Text   Format = "text"   // id, ok or failed, code, seconds and error class, with tabs between
	None   Format = "none"   // nothing: results are counted and acked
)

// Options tunes Run. The zero value follows queue results and writes nothing.
type Options struct {
	Run    string        // end when this run is drained; "" follows until ctx is done
	Queue  string        // queue of results; "" means that of Run, or glassq.DefaultResults
	W      io.Writer     // for lines; may be nil with format none. It is written in whole batches
	Sync   func() error  // makes what W was given durable, before it is acked; nil for nothing to do
	Format Format        // "" means ndjson, or none when W is nil
	Batch  int           // most results in one reserve; 0 means 1,000
	Lease  time.Duration // of a result while it is written; 0 means 10s
	Seen   *Seen         // what W already has, see LoadSeen; nil for nothing. Run adds to it; after an error load it anew

	// Retry is how long a queue that cannot be reached is waited for; 0 means not at all, negative
	// without end.
	Retry time.Duration

	// Progress is told where things stand, every 200 ms; nil for nobody.
	Progress func(Summary)
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
	Run        glassq.Run // as it was at the end; zero without one
	Written    uint64
	Before     uint64            // positions of the run that Seen had at the start
	Duplicates uint64            // results taken again and not written
	OK, Failed uint64            // of those written
	Missing    uint64            // positions that are done and that W lacks
	MissingIDs []glassq.Interval // those positions, the first 1,000 intervals
	RT         Percentiles
	Errors     []ErrorCount // most frequent first
	Took       time.Duration
}

// Balanced reports whether the books add up: every put task of the run is in exactly one column, no
// result is missing, and a complete run has nothing pending. Without a run there are no books.
func (r *Report) Balanced() bool {
	b := r.Run.Books
	return b.OK+b.Failed+b.Dead.Sum() <= b.Put &&
		r.Run.Pending == b.Pending() &&
		r.Missing == 0 &&
		(!r.Run.Complete || b.Pending() == 0)
}

// Run takes results and writes them until the run is drained, ctx is done, or an error. It waits for
// a run that does not exist yet. When ctx is done what was taken is written and acked first; with a
// run the error is then ctx's, without one it is nil.
//
// Nothing is acked that was not written: after a write error, such as a full disk, the results return
// to their queue when their leases end. The report is valid in each case; its Missing is found only
// when there is a run and it could be asked.
func Run(ctx context.Context, q Queue, opt Options) (Report, error) {
	o, err := newOutput(q, opt)
	if err != nil {
		return Report{}, err
	}
	err = o.run(ctx)
	rep := o.report()
	if opt.Run == "" && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	if opt.Run != "" && !errors.Is(err, errUnavailable) {
		if berr := o.balance(ctx, &rep); err == nil {
			err = berr // of two errors the first is the cause
		}
	}
	return rep, err
}

// output is one call of Run.
type output struct {
	q     Queue
	opt   Options
	seen  *Seen
	tally *tally
}

func newOutput(q Queue, opt Options) (*output, error) {
	if opt.Format == "" {
		opt.Format = NDJSON
		if opt.W == nil {
			opt.Format = None
		}
	}
	switch {
	case opt.Format != NDJSON && opt.Format != Text && opt.Format != None:
		return nil, glassq.Errorf(glassq.CodeBadRequest, "format %.40q is not one of ndjson, text, none", string(opt.Format))
	case opt.Format != None && opt.W == nil:
		return nil, errors.New("output: no writer")
	}
	if opt.Batch <= 0 {
		opt.Batch = defaultBatch
	}
	opt.Batch = min(opt.Batch, glassq.MaxBatch)
	if opt.Lease == 0 {
		opt.Lease = defaultLease
	}
	o := &output{q: q, opt: opt, seen: opt.Seen, tally: newTally(time.Now())}
	if o.seen == nil {
		o.seen = new(Seen)
	}
	o.tally.run = opt.Run
	o.tally.before = o.seen.Count(opt.Run)
	return o, nil
}

// run finds the queue, starts the end's watcher, and takes results until the end.
func (o *output) run(ctx context.Context) error {
	queue := o.opt.Queue
	if o.opt.Run != "" {
		rec, err := o.await(ctx, glassq.PhaseExists)
		if err != nil {
			return err
		}
		if queue == "" {
			queue = rec.Results
		}
		if queue != rec.Results {
			return glassq.Errorf(glassq.CodeBadRequest, "run %s has its results in queue %s, not %s; leave --results out", rec.Name, rec.Results, queue)
		}
	}
	if queue == "" {
		queue = glassq.DefaultResults
	}
	return o.take(ctx, queue)
}

// await waits for a phase of the run, however long it takes.
func (o *output) await(ctx context.Context, phase glassq.Phase) (glassq.Run, error) {
	for {
		var rec glassq.Run
		err := o.again(ctx, func() (err error) {
			rec, err = o.q.AwaitRun(ctx, o.opt.Run, phase, longWait)
			return err
		})
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
	if rec.Sealed {
		o.tally.total = rec.Total
	}
}

func (o *output) report() Report {
	s := o.tally.summary()
	return Report{
		Written: s.Written, Before: s.Before, Duplicates: s.Duplicates, OK: s.OK, Failed: s.Failed,
		RT: s.RT, Errors: o.tally.errors(), Took: s.Took,
	}
}

// balance asks for the run's books and finds what is missing.
func (o *output) balance(ctx context.Context, rep *Report) error {
	if ctx.Err() != nil { // interrupted: the books as they are, if they come soon
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), graceTime)
		defer cancel()
	}
	var rec glassq.Run
	err := o.again(ctx, func() (err error) {
		rec, err = o.q.Run(ctx, o.opt.Run)
		return err
	})
	if errors.Is(err, glassq.ErrNotFound) {
		return nil // it never came to be: there is nothing to balance
	}
	if err != nil {
		return fmt.Errorf("ask for the books of run %s: %w", o.opt.Run, err)
	}
	rep.Run = rec
	return o.again(ctx, func() (err error) {
		rep.Missing, rep.MissingIDs, err = findMissing(ctx, o.q, o.opt.Run, o.seen)
		return err
	})
}
