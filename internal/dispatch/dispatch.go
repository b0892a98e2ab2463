// Package dispatch turns inputs into the tasks of a run.
//
// A [Source] is a template with numbers, or a file or stream of lines. Run puts what it yields as
// positions 0, 1, 2 … of a run and seals the run. Dispatching the same source under the same name
// again puts only what is missing: no task is put twice, whatever was interrupted.
//
// The package holds a few batches at any moment, however long the source is. It knows a queue's
// verbs; it does not know servers, flags or terminals, and never looks into a body.
package dispatch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
)

// A Queue is what dispatching needs: a broker.Broker or a client. Its methods are glassq's.
type Queue interface {
	Put(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error)
	SetRun(ctx context.Context, name string, change glassq.RunChange) (glassq.Run, error)
	RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32, max int) ([]glassq.Interval, error)
}

// Options tunes Run. Only Source is needed.
type Options struct {
	Source   Source
	Queue    string // "" means glassq.DefaultQueue
	Run      string // "" means a new name, see NewRunName
	Results  string // queue of the run's results; "" means results.<Run>, or results when Run is ""
	RetryOf  string // the run whose tasks are put again; "" for none
	Batch    int    // most tasks in one put; 0 means 2,000
	Parallel int    // puts under way at once; 0 means 2

	// Single puts each task by itself. Otherwise those of a Source of numbers are put as ranges,
	// where the queue takes them; see glassq.Range.
	Single bool

	// Flow is what else the run is made with: its hooks, and the run that it comes after. The other
	// members are the dispatch's own.
	Flow glassq.RunChange

	// Only puts those positions of the source alone; nil puts all. They keep their numbers.
	Only *Positions

	// For tasks that do not say otherwise; zero values mean the queue's defaults.
	Priority glassq.Priority
	Delay    time.Duration
	TTL      time.Duration
	Attempts int
	Lease    time.Duration
	Headers  map[string]string // a task's own headers win

	// Refused is told of a task that the queue will never take, such as one that is too large; the
	// run goes on without it, and is sealed without it. Nil ends the run at the first. It is called
	// by several goroutines.
	Refused func(e *RefusedError)

	// Started is told the run's name and record before the first put; nil for nobody.
	Started func(glassq.Run)
	// Progress is told how many positions are done with, put now or before, of how many (0 when not
	// known); nil for nobody. It is called after each batch, by several goroutines.
	Progress func(done, total uint64)
	// Notify is told sentences for people, such as why nothing moves; nil for nobody. It is called
	// by several goroutines.
	Notify func(message string)
}

// A Report is what Run has done.
type Report struct {
	Run        glassq.Run    // as it was at the last answer
	Put        uint64        // tasks put by this call
	Skipped    uint64        // positions that were put before
	Duplicates uint64        // refused because their ids were put before
	Refused    uint64        // refused for good, and told to Options.Refused
	Empty      uint64        // empty lines of the source that were passed over, as far as it was read
	Total      uint64        // tasks in the source that are of the run, as far as it was read, but not refused ones
	Took       time.Duration // from start to seal
}

// NewRunName makes a run's name of the time and two random bytes: r-20261124-153000-1f2e.
func NewRunName(now time.Time) string {
	var b [2]byte
	rand.Read(b[:]) // never fails
	return now.UTC().Format("r-20060102-150405-") + hex.EncodeToString(b[:])
}

// Run puts the tasks of opt.Source and seals the run. It blocks until all are put, ctx is done, or
// an error; the report is valid in each case, and a run that was not sealed can be continued.
//
// A full queue or disk is waited for. Errors: run_conflict when the run has another source, queue
// or total; a *LineError; a *RefusedError; the queue's.
func Run(ctx context.Context, q Queue, opt Options) (Report, error) {
	d, err := newDispatch(q, opt)
	if err != nil {
		return Report{}, err
	}
	err = d.run(ctx)
	return d.result(), err
}

// Preview returns the first tasks, at most max, as Run would put them into a run that does not
// exist yet. An error comes with the tasks before it. Nothing is put, and q of Run is not needed.
func Preview(opt Options, max int) ([]glassq.Task, error) {
	d, err := newDispatch(nil, opt)
	if err != nil {
		return nil, err
	}
	var tasks []glassq.Task
	for len(tasks) < max {
		d.jump()
		batch := make([]glassq.Task, max-len(tasks))
		n, err := d.opt.Source.Next(batch)
		for _, t := range batch[:n] {
			pos := uint32(d.read)
			d.read++
			if d.opt.Only != nil && !d.opt.Only.has(pos) {
				continue
			}
			if err := d.dress(&t, pos); err != nil {
				return tasks, err
			}
			tasks = append(tasks, t)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return tasks, err
		}
	}
	return tasks, nil
}

// dispatch is one call of Run.
type dispatch struct {
	q     Queue
	opt   Options
	name  string
	start time.Time
	rec   glassq.Run // as last answered
	total uint64     // of the source; 0 when not known

	read       uint64 // positions read from the source; reader only
	taken      uint64 // of those, the ones that are to be put; reader only
	put        atomic.Uint64
	skipped    atomic.Uint64
	duplicates atomic.Uint64
	refused    atomic.Uint64

	blocked sync.Mutex // held to write the next field
	said    time.Time  // when Notify was last told that nothing moves
}

func newDispatch(q Queue, opt Options) (*dispatch, error) {
	if opt.Source == nil {
		return nil, errors.New("dispatch: no source")
	}
	if opt.Queue == "" {
		opt.Queue = glassq.DefaultQueue
	}
	now := time.Now()
	name := opt.Run
	if name == "" {
		name = NewRunName(now)
	}
	if opt.Results == "" {
		opt.Results = glassq.DefaultResults
		if opt.Run != "" {
			opt.Results += "." + opt.Run
		}
	}
	for _, s := range []string{name, opt.Queue, opt.Results} {
		if err := glassq.CheckName(s); err != nil {
			return nil, err
		}
	}
	if opt.Batch <= 0 {
		opt.Batch = 2000
	}
	opt.Batch = min(opt.Batch, glassq.MaxBatch)
	if opt.Parallel <= 0 {
		opt.Parallel = 2
	}
	d := &dispatch{q: q, opt: opt, name: name, start: now}
	d.total, _ = opt.Source.Total()
	if opt.Only != nil {
		d.total = opt.Only.Count()
	}
	return d, nil
}

func (d *dispatch) run(ctx context.Context) error {
	err := d.openRun(ctx)
	if err != nil {
		return err
	}
	if d.opt.Started != nil {
		d.opt.Started(d.rec)
	}
	whole, err := d.putRanges(ctx)
	if err == nil && !whole {
		err = d.putAll(ctx)
	}
	if err != nil {
		return err
	}
	r, err := d.q.SetRun(ctx, d.name, glassq.RunChange{Sealed: true, Total: d.taken - d.refused.Load()})
	if err != nil {
		return fmt.Errorf("seal run %s: %w", d.name, err)
	}
	d.rec = r
	return nil
}

// openRun makes the run, or makes sure that it is of this source.
func (d *dispatch) openRun(ctx context.Context) error {
	source := d.opt.Source.Fingerprint()
	if source != "" && d.opt.Only != nil {
		source += " only " + d.opt.Only.describe()
	}
	change := d.opt.Flow
	change.Source, change.Queue, change.Results, change.RetryOf = source, d.opt.Queue, d.opt.Results, d.opt.RetryOf
	var err error
	d.rec, err = d.q.SetRun(ctx, d.name, change)
	switch {
	case errors.Is(err, glassq.ErrRunConflict):
		return glassq.Errorf(glassq.CodeRunConflict, "%w; take another --run, or leave it out for a new one", err)
	case errors.Is(err, glassq.ErrNotFound): // the run that it comes after, or retries
		return glassq.Errorf(glassq.CodeBadRequest, "make run %s: %w", d.name, err)
	case err != nil:
		return fmt.Errorf("make run %s: %w", d.name, err)
	case source == "" && d.rec.Source != "":
		return glassq.Errorf(glassq.CodeRunConflict,
			"run %s was made for other tasks: it has the source %s, and this is a stream; take another --run, or leave it out for a new one", d.name, d.rec.Source)
	}
	return nil
}

// A batch is tasks to be put together, and the lines that they were made of, if they were.
type batch struct {
	tasks []glassq.Task
	lines []uint64
}

// putAll reads batches and hands them to opt.Parallel goroutines that put them.
func (d *dispatch) putAll(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	full := make(chan batch)
	empty := make(chan batch, d.opt.Parallel+1)
	for range d.opt.Parallel + 1 {
		empty <- batch{}
	}
	var wg sync.WaitGroup
	for range d.opt.Parallel {
		wg.Go(func() {
			for b := range full {
				if ctx.Err() == nil {
					if err := d.putBatch(ctx, b); err != nil {
						stop(err)
					}
				}
				empty <- b
			}
		})
	}
	err := d.readAll(ctx, full, empty)
	close(full)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause // it came first: what readAll says follows from it
	}
	return err
}

// readAll sends what is to be put to full, in order. Batches come back on empty.
func (d *dispatch) readAll(ctx context.Context, full chan<- batch, empty <-chan batch) error {
	before := putBefore{d: d}
	in, _ := d.opt.Source.(lined)
	for {
		var b batch
		select {
		case b = <-empty:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if b.tasks == nil {
			b.tasks = make([]glassq.Task, d.opt.Batch)
		}
		b.tasks, b.lines = b.tasks[:d.opt.Batch], b.lines[:0]
		d.jump()
		n, err := d.next(ctx, b.tasks)
		if err != nil && err != io.EOF {
			return err
		}
		k, other := 0, 0
		for i := range b.tasks[:n] {
			pos := uint32(d.read)
			d.read++
			if d.opt.Only != nil && !d.opt.Only.has(pos) {
				other++
				continue
			}
			d.taken++
			was, berr := before.has(ctx, pos)
			if berr != nil {
				return berr
			}
			if was {
				continue
			}
			if i != k {
				b.tasks[k] = b.tasks[i]
			}
			if berr := d.dress(&b.tasks[k], pos); berr != nil {
				return berr
			}
			if in != nil {
				b.lines = append(b.lines, in.lineOf(i))
			}
			k++
		}
		if skipped := n - k - other; skipped > 0 {
			d.skipped.Add(uint64(skipped))
			d.progress()
		}
		b.tasks = b.tasks[:k]
		select {
		case full <- b:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err == io.EOF {
			return d.unmet()
		}
	}
}

// next is Source.Next that ends with ctx. A stream from which nothing comes cannot be told to end:
// its read is left to itself, and the source is not used again.
func (d *dispatch) next(ctx context.Context, dst []glassq.Task) (int, error) {
	src, ok := d.opt.Source.(interface{ waits() bool })
	if !ok || !src.waits() {
		return d.opt.Source.Next(dst)
	}
	type answer struct {
		n   int
		err error
	}
	read := make(chan answer, 1)
	go func() {
		n, err := d.opt.Source.Next(dst)
		read <- answer{n, err}
	}()
	select {
	case a := <-read:
		return a.n, a.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// jump passes over positions that are not wanted, where the source can do it without reading them.
func (d *dispatch) jump() {
	src, ok := d.opt.Source.(interface{ skip(n uint64) })
	if !ok || d.opt.Only == nil {
		return
	}
	next, ok := d.opt.Only.next(d.read)
	if !ok {
		next = MaxTasks
	}
	src.skip(next - d.read)
	d.read = next
}

// unmet says whether positions are wanted that the source does not have.
func (d *dispatch) unmet() error {
	if d.opt.Only == nil || d.taken == d.opt.Only.Count() {
		return nil
	}
	return glassq.Errorf(glassq.CodeBadRequest, "%d of the %d ids are beyond the end of the source; is it the one they were dispatched from?",
		d.opt.Only.Count()-d.taken, d.opt.Only.Count())
}

// dress makes t the task at a position of the run. A task with an id of its own keeps it, is no
// position, and is told from others by its id.
func (d *dispatch) dress(t *glassq.Task, pos uint32) error {
	if run, _, ok := glassq.ParseDenseID(t.ID); ok && (run == t.Run || run == d.name) {
		t.ID = "" // where it came from: its name there is not its name here
	}
	t.Queue, t.Run = d.opt.Queue, d.name
	t.Position, t.Dense = 0, t.ID == ""
	if t.Dense {
		t.Position = pos
	} else if err := d.ownID(t.ID, pos); err != nil {
		return err
	}
	if t.Priority == 0 {
		t.Priority = d.opt.Priority
	}
	if t.Delay == 0 {
		t.Delay = d.opt.Delay
	}
	if t.TTL == 0 {
		t.TTL = d.opt.TTL
	}
	if t.Attempts == 0 {
		t.Attempts = d.opt.Attempts
	}
	if t.Lease == 0 {
		t.Lease = d.opt.Lease
	}
	switch {
	case len(d.opt.Headers) == 0:
	case t.Headers == nil:
		t.Headers = d.opt.Headers
	default:
		all := maps.Clone(d.opt.Headers)
		maps.Copy(all, t.Headers)
		t.Headers = all
	}
	return nil
}

// ownID refuses to put a task with an id of its own where it might be there already and nobody
// would know: a queue remembers such ids for glassq.DedupWindow and glassq.DedupCount only. Half of
// both is allowed, for clocks that differ.
func (d *dispatch) ownID(id string, pos uint32) error {
	age := d.start.Sub(d.rec.Created)
	if d.rec.Books.Put == 0 || age.Abs() < glassq.DedupWindow/2 && d.rec.Books.Put < glassq.DedupCount/2 {
		return nil
	}
	return glassq.Errorf(glassq.CodeRunConflict,
		"run %s was begun %v ago, and the task at position %d has an id of its own, %.60q: such ids are remembered for %v and %d tasks, so it might be put twice; take another --run, and --renumber to be able to continue it",
		d.name, age.Round(time.Second), pos, id, glassq.DedupWindow, glassq.DedupCount)
}

func (d *dispatch) progress() {
	if d.opt.Progress != nil {
		d.opt.Progress(d.put.Load()+d.duplicates.Load()+d.skipped.Load()+d.refused.Load(), d.total)
	}
}

func (d *dispatch) result() Report {
	empty := uint64(0)
	if src, ok := d.opt.Source.(lined); ok {
		empty = src.empty()
	}
	return Report{
		Empty: empty, Run: d.rec, Put: d.put.Load(), Skipped: d.skipped.Load(), Duplicates: d.duplicates.Load(),
		Refused: d.refused.Load(), Total: d.taken - d.refused.Load(), Took: time.Since(d.start),
	}
}

// putBefore answers which positions were put before, for ascending positions, page by page.
type putBefore struct {
	d    *dispatch
	page []glassq.Interval
	last bool // no page follows
}

const intervalPage = 1000

func (p *putBefore) has(ctx context.Context, pos uint32) (bool, error) {
	for {
		for len(p.page) > 0 && p.page[0].Last < pos {
			p.page = p.page[1:]
		}
		if len(p.page) > 0 {
			return p.page[0].First <= pos, nil
		}
		if p.last {
			return false, nil
		}
		var err error
		if p.page, err = p.d.q.RunIDs(ctx, p.d.name, glassq.IDsPut, pos, intervalPage); err != nil {
			return false, fmt.Errorf("ask what was put: %w", err)
		}
		p.last = len(p.page) < intervalPage
	}
}
