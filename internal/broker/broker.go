// Package broker is the one set of rules before an engine: names, sizes and bounds, defaults,
// schemas, and whether a result is booked as ok or failed. Every door and every embedded program
// calls it; it knows neither.
package broker

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/stages"
	"github.com/glassq/glassq/result"
)

// A Broker is the one set of rules before an engine: every door and every embedded program calls
// it. It checks names, sizes and bounds, fills in defaults, and decides whether a result is booked
// as ok or failed. It keeps no state but the compiled schemas of queues, and has all methods of the
// [glassq.Store] it stands before. All of them are safe for concurrent use.
//
// Put, Ack and Extend fill in defaults in the tasks they are given.
type Broker struct {
	store   Store
	maxBody atomic.Int64
	compile SchemaCompiler // nil: schemas are refused

	settings sync.Mutex                         // held while a queue's settings change, so that schemas follow in the same order
	mu       sync.Mutex                         // guards the replacing of schemas
	schemas  atomic.Pointer[map[string]*checks] // by queue, never changed in place; nil for none
}

var _ Store = (*Broker)(nil)

// New stands before s. A MaxBody beyond HardMaxBody is taken as HardMaxBody.
func New(s glassq.Store, lim glassq.Limits) *Broker {
	b := &Broker{store: Full(s)}
	b.SetLimits(lim)
	return b
}

// Limits returns the limits in force.
func (b *Broker) Limits() glassq.Limits { return glassq.Limits{MaxBody: int(b.maxBody.Load())} }

// SetLimits changes them, for calls from then on, as New takes them.
func (b *Broker) SetLimits(lim glassq.Limits) {
	if lim.MaxBody <= 0 {
		lim.MaxBody = glassq.DefaultMaxBody
	}
	b.maxBody.Store(int64(min(lim.MaxBody, glassq.HardMaxBody)))
}

// Put checks tasks and puts them, all or none. A bad one is named by its index from 0.
func (b *Broker) Put(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	if err := b.checkTasks(ctx, tasks); err != nil {
		return nil, err
	}
	receipts, err := b.store.Put(ctx, tasks)
	return warned(tasks, receipts), err
}

// warned says in the receipts which members of tasks are close to options.
func warned(tasks []glassq.Task, receipts []glassq.Receipt) []glassq.Receipt {
	for i := range receipts {
		if tasks[i].Extra != nil {
			receipts[i].Warning = envelope.Warning(tasks[i].Extra)
		}
	}
	return receipts
}

func (b *Broker) checkTasks(ctx context.Context, tasks []glassq.Task) error {
	if len(tasks) > glassq.MaxBatch {
		return glassq.Errorf(glassq.CodeTooLarge, "%d tasks in one put; send at most %d at a time", len(tasks),
			glassq.MaxBatch)
	}
	size, meta := 0, 0
	var last string // names checked already: batches are mostly of one queue
	for i := range tasks {
		t := &tasks[i]
		if t.Queue != last || i == 0 {
			if err := glassq.CheckName(t.Queue); err != nil {
				return atTask(i, len(tasks), err)
			}
			last = t.Queue
		}
		if err := b.checkTask(t); err != nil {
			return atTask(i, len(tasks), err)
		}
		if c := b.checksOf(t.Queue); c != nil && c.task != nil {
			if err := ctx.Err(); err != nil { // checks take time: they end with the request
				return err
			}
			if err := agrees(t, c.task, "the body", t.Queue); err != nil {
				return atTask(i, len(tasks), err)
			}
		}
		size, meta = size+len(t.Body), meta+metaOf(t)
	}
	if size > glassq.MaxPutBytes || meta > glassq.MaxPutBytes {
		return glassq.Errorf(glassq.CodeTooLarge,
			"%d bytes of bodies, and %d of headers and other members, in one put; send at most %d of each at a time", size, meta,
			glassq.MaxPutBytes)
	}
	return nil
}

// metaOf is how many bytes of headers and unknown members a task has.
func metaOf(t *glassq.Task) int {
	n := len(t.Extra)
	for k, v := range t.Headers {
		n += len(k) + len(v)
	}
	return n
}

// BytesOf is what tasks bring, as far as it can be much: bodies, headers and unknown members.
func BytesOf(tasks ...glassq.Task) (n int) {
	for i := range tasks {
		n += len(tasks[i].Body) + metaOf(&tasks[i])
	}
	return n
}

// inParts calls do with one part of items after the other. What a part brings is at most
// glassq.MaxPutBytes, unless it is one item: an engine writes it as one frame, whose size has a bound.
func inParts[T any](items []T, size func(*T) int, do func([]T) ([]error, error)) (all []error, err error) {
	for rest := items; len(rest) > 0; {
		n := 1
		for sum := size(&rest[0]); n < len(rest); n++ {
			if sum += size(&rest[n]); sum > glassq.MaxPutBytes {
				break
			}
		}
		errs, err := do(rest[:n])
		if err != nil {
			return nil, err // the answers of a part would be taken for those of the first items
		}
		if n == len(items) {
			return errs, nil
		}
		all, rest = append(all, errs...), rest[n:]
	}
	return all, nil
}

func atTask(i, of int, err error) error {
	if of == 1 {
		return err
	}
	return glassq.Errorf(glassq.CodeOf(err), "task %d: %w", i, err)
}

// checkTask checks everything but the queue's name.
func (b *Broker) checkTask(t *glassq.Task) error {
	switch {
	case int64(len(t.Body)) > b.maxBody.Load():
		return glassq.Errorf(glassq.CodeTooLarge, "body of %d bytes; the limit is %d", len(t.Body),
			b.maxBody.Load())
	case t.Priority < glassq.Lowest || t.Priority > 9:
		return glassq.Errorf(glassq.CodeBadRequest, "priority %d is not 0 to 9", t.Priority.Level())
	case t.Delay < 0 || t.Delay > glassq.MaxDelay:
		return outside("delay", t.Delay, 0, glassq.MaxDelay)
	case t.TTL < 0 || t.TTL > glassq.MaxDelay:
		return outside("ttl", t.TTL, 0, glassq.MaxDelay)
	case t.Attempts < 0 || t.Attempts > glassq.MaxAttempts:
		return glassq.Errorf(glassq.CodeBadRequest, "attempts %d is not 1 to %d", t.Attempts, glassq.MaxAttempts)
	case len(t.ID) > glassq.MaxID || !utf8.ValidString(t.ID):
		return glassq.Errorf(glassq.CodeBadRequest, "id %.60q is not UTF-8 of at most %d bytes", t.ID, glassq.MaxID)
	case len(t.Type) > glassq.MaxName:
		return glassq.Errorf(glassq.CodeBadRequest, "type is longer than %d bytes", glassq.MaxName)
	case len(t.Key) > glassq.MaxKey || !utf8.ValidString(t.Key):
		return glassq.Errorf(glassq.CodeBadRequest, "key %.60q is not UTF-8 of at most %d bytes; use a hash of what is longer", t.Key, glassq.MaxKey)
	case t.Cost > glassq.MaxCost:
		return glassq.Errorf(glassq.CodeBadRequest, "cost %d is not 1 to %d", t.Cost, glassq.MaxCost)
	case t.Dense && t.Run == "":
		return glassq.Errorf(glassq.CodeBadRequest, "n without run: a position needs the run it is a position in")
	}
	if err := checkLease(t.Lease); err != nil {
		return err
	}
	if t.Range != nil {
		if err := b.checkRange(t); err != nil {
			return err
		}
	}
	if t.Run != "" {
		if err := glassq.CheckName(t.Run); err != nil {
			return err
		}
		if !t.Dense && t.OfAttempt == 0 {
			// "<run>/<n>" is the id of a position, however it was said.
			if run, n, ok := glassq.ParseDenseID(t.ID); ok && run == t.Run {
				t.Position, t.Dense = n, true
			}
		}
		if t.Dense && t.ID != "" {
			if t.ID != glassq.DenseID(t.Run, t.Position) {
				return glassq.Errorf(glassq.CodeBadRequest, "id %.60q is not that of position %d of run %s; leave it out", t.ID,
					t.Position, t.Run)
			}
			t.ID = ""
		}
	}
	if t.ResultQueue != "" {
		if err := glassq.CheckName(t.ResultQueue); err != nil {
			return err
		}
	}
	if n := metaOf(t); n > glassq.MaxMeta {
		return glassq.Errorf(glassq.CodeTooLarge, "%d bytes of headers and other members; the limit is %d", n, glassq.MaxMeta)
	}
	return nil
}

// outside refuses a duration that is out of bounds.
func outside(what string, d, least, most time.Duration) error {
	said := d.String()
	if d == math.MaxInt64 { // a door's word for one that is longer still
		said = "of over 292 years"
	}
	return glassq.Errorf(glassq.CodeBadRequest, "%s %s is not between %v and %v; a number counts seconds", what, said,
		least, most)
}

// checkLease checks the length of a lease; 0 is the default.
func checkLease(d time.Duration) error {
	if d != 0 && (d < glassq.MinLease || d > glassq.MaxLease) {
		return outside("lease", d, glassq.MinLease, glassq.MaxLease)
	}
	return nil
}

// Reserve checks r and reserves.
func (b *Broker) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	if err := glassq.CheckName(r.Queue); err != nil {
		return nil, err
	}
	if r.Max == 0 {
		r.Max = 1
	}
	if r.Max < 0 || r.Max > glassq.MaxBatch {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "max %d is not 1 to %d", r.Max, glassq.MaxBatch)
	}
	if r.Look && (r.Max != 1 || r.Take) {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "a look shows one task and takes none")
	}
	if err := checkLease(r.Lease); err != nil {
		return nil, err
	}
	return b.store.Reserve(ctx, r)
}

// Ack checks acks, decides their outcomes, and acks. An ack that does not check out is answered for
// itself and the rest go on.
func (b *Broker) Ack(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	check := func(a *glassq.Ack) error { return b.checkAck(ctx, a) }
	return Batch(acks, check, func(some []glassq.Ack) ([]error, error) { return b.ackChecked(ctx, some) })
}

// checkAck checks an ack and decides its outcome.
func (b *Broker) checkAck(ctx context.Context, a *glassq.Ack) error {
	a.Outcome, a.Checked = glassq.OK, ""
	if a.Cost != nil && *a.Cost > glassq.MaxCost {
		return glassq.Errorf(glassq.CodeBadRequest, "cost %d is not 0 to %d", *a.Cost, glassq.MaxCost)
	}
	if r := a.Result; r != nil {
		if r.Queue != "" {
			if err := glassq.CheckName(r.Queue); err != nil {
				return err
			}
		}
		if r.Range != nil {
			return glassq.Errorf(glassq.CodeBadRequest, "a result is of one task and cannot be a range")
		}
		if err := b.checkTask(r); err != nil {
			return err
		}
		// Of a lease that is named by its number alone the engine tells the queue.
		if err := b.checkResult(ctx, a, a.Token.Queue); err != nil {
			return err
		}
		a.Outcome = result.OutcomeOf(r.Body, r.Type)
	}
	return b.checkTasks(ctx, a.Put)
}

// Nack checks nacks and gives the leases back; bad ones are answered for themselves.
func (b *Broker) Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error) {
	return Batch(nacks, func(n *glassq.Nack) error {
		if n.Dead && n.Undone {
			return glassq.Errorf(glassq.CodeBadRequest, "a nack is either dead or undone, not both")
		}
		if n.Delay > glassq.MaxDelay {
			return outside("delay", n.Delay, 0, glassq.MaxDelay)
		}
		if n.Hold < 0 || n.Hold > glassq.MaxHold {
			return outside("hold", n.Hold, 0, glassq.MaxHold)
		}
		if len(n.Reason) > glassq.MaxReason {
			n.Reason = n.Reason[:glassq.MaxReason]
		}
		return nil
	}, func(some []glassq.Nack) ([]error, error) { return b.store.Nack(ctx, some) })
}

// Batch calls do with those items that check accepts, and puts the answers back in their places:
// what check refuses is answered for itself. More than glassq.MaxBatch items are code too_large.
func Batch[T any](items []T, check func(*T) error, do func([]T) ([]error, error)) ([]error, error) {
	if len(items) == 0 {
		return nil, nil
	}
	if len(items) > glassq.MaxBatch {
		return nil, glassq.Errorf(glassq.CodeTooLarge, "%d items in one call; send at most %d at a time", len(items),
			glassq.MaxBatch)
	}
	var bad []error
	for i := range items {
		if err := check(&items[i]); err != nil {
			if bad == nil {
				bad = make([]error, len(items))
			}
			bad[i] = err
		}
	}
	if bad == nil {
		return do(items)
	}
	var good []T
	for i := range items {
		if bad[i] == nil {
			good = append(good, items[i])
		}
	}
	if len(good) == 0 {
		return bad, nil
	}
	errs, err := do(good)
	if err != nil {
		return nil, err
	}
	k := 0
	for i := range bad {
		if bad[i] == nil {
			bad[i] = errs[k]
			k++
		}
	}
	return bad, nil
}

// PutWait checks tasks as Put does and puts them when there is room.
func (b *Broker) PutWait(ctx context.Context, tasks []glassq.Task, wait time.Duration) ([]glassq.Receipt, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	if err := b.checkTasks(ctx, tasks); err != nil {
		return nil, err
	}
	receipts, err := b.store.PutWait(ctx, tasks, wait)
	return warned(tasks, receipts), err
}

// AckWait checks the ack as Ack does and acks when there is room.
func (b *Broker) AckWait(ctx context.Context, ack glassq.Ack, wait time.Duration) error {
	if err := b.checkAck(ctx, &ack); err != nil {
		return err
	}
	for {
		err := b.store.AckWait(ctx, ack, wait)
		u, unchecked := errors.AsType[*glassq.UncheckedError](err)
		if !unchecked {
			return err
		}
		if err := b.checkAgain(ctx, &ack, u); err != nil {
			return err
		}
	}
}

// Held tells how much queues hold.
func (b *Broker) Held(ctx context.Context, queues ...string) ([]glassq.Held, error) {
	for _, queue := range queues {
		if err := glassq.CheckName(queue); err != nil {
			return nil, err
		}
	}
	return b.store.Held(ctx, queues...)
}

// AwaitIdle checks the name and waits.
func (b *Broker) AwaitIdle(ctx context.Context, queue string, wait time.Duration) (bool, error) {
	if err := glassq.CheckName(queue); err != nil {
		return false, err
	}
	return b.store.AwaitIdle(ctx, queue, wait)
}

// Stats passes through.
func (b *Broker) Stats(ctx context.Context) (glassq.Stats, error) { return b.store.Stats(ctx) }

// Close closes the engine.
func (b *Broker) Close() error { return b.store.Close() }

// Queues passes through, with the names checked.
func (b *Broker) Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error) {
	var each []string // a name that comes twice is listed once
	for _, name := range names {
		if err := glassq.CheckName(name); err != nil {
			return nil, err
		}
		if !slices.Contains(each, name) {
			each = append(each, name)
		}
	}
	return b.store.Queues(ctx, each...)
}

// Configure checks the settings and changes them.
func (b *Broker) Configure(ctx context.Context, queue string, c glassq.SettingsChange) (glassq.Settings, error) {
	if err := glassq.CheckName(queue); err != nil {
		return glassq.Settings{}, err
	}
	switch {
	case c.Rate != nil && (*c.Rate < 0 || *c.Rate > glassq.MaxRate || math.IsNaN(*c.Rate)):
		return glassq.Settings{}, glassq.Errorf(glassq.CodeBadRequest,
			"rate %v is not between 0 (no limit) and 10,000,000 a second", *c.Rate)
	case c.Attempts != nil && (*c.Attempts < 0 || *c.Attempts > glassq.MaxAttempts):
		return glassq.Settings{}, glassq.Errorf(glassq.CodeBadRequest, "attempts %d is not 1 to %d, or 0 for the default",
			*c.Attempts, glassq.MaxAttempts)
	case c.MaxTasks != nil && *c.MaxTasks < 0, c.MaxBytes != nil && *c.MaxBytes < 0:
		return glassq.Settings{}, glassq.Errorf(glassq.CodeBadRequest, "max_tasks and max_bytes are 0 (no limit) or more")
	case c.Unique != nil && *c.Unique != "" && *c.Unique != glassq.UniquePending:
		return glassq.Settings{}, glassq.Errorf(glassq.CodeBadRequest,
			`unique is %.40q; it is "" (an id is taken for ten minutes from its put) or "pending" (also while its task is there)`, *c.Unique)
	case c.MaxUnique != nil && (*c.MaxUnique < 0 || *c.MaxUnique > math.MaxInt32):
		return glassq.Settings{}, glassq.Errorf(glassq.CodeBadRequest, "max_unique %d is not 1 to %d, or 0 for %d",
			*c.MaxUnique, math.MaxInt32, glassq.DedupCount)
	case c.Catchup != nil && !(*c.Catchup >= 0 && *c.Catchup <= glassq.MaxCatchup.Seconds()):
		return glassq.Settings{}, glassq.Errorf(glassq.CodeBadRequest, "catchup %v is not between 0 and %v seconds",
			*c.Catchup, glassq.MaxCatchup.Seconds())
	case c.Rate != nil && *c.Rate != 0 && c.Stages != nil && *c.Stages != "":
		return glassq.Settings{}, glassq.Errorf(glassq.CodeBadRequest,
			"rate and stages at once: stages are a rate that changes; set one of them")
	case c.Stages != nil:
		if _, err := stages.Parse(*c.Stages); err != nil {
			return glassq.Settings{}, err
		}
	}
	if err := checkHalt(&c); err != nil {
		return glassq.Settings{}, err
	}
	b.settings.Lock()
	defer b.settings.Unlock()
	if _, err := b.compileSchemas(queue, c.Apply(glassq.Settings{})); err != nil {
		return glassq.Settings{}, err
	}
	if err := b.checkKeys(ctx, queue, c); err != nil {
		return glassq.Settings{}, err
	}
	s, err := b.store.Configure(ctx, queue, c)
	if err != nil {
		return s, err
	}
	return s, b.setSchemas(queue, s)
}

// Peek checks the page and peeks; max 0 means 100, and at most 1,000 are shown.
func (b *Broker) Peek(ctx context.Context, queue string, state glassq.State, cursor uint64, max int) ([]glassq.Peeked,
	uint64, error) {
	if err := glassq.CheckName(queue); err != nil {
		return nil, 0, err
	}
	if state < glassq.Delayed || state > glassq.Dead {
		return nil, 0, glassq.Errorf(glassq.CodeBadRequest, "state is one of delayed, ready, leased, dead")
	}
	if max <= 0 {
		max = 100
	}
	return b.store.Peek(ctx, queue, state, cursor, min(max, 1000))
}

// Purge checks the states and purges.
func (b *Broker) Purge(ctx context.Context, queue string, states ...glassq.State) (int, error) {
	if err := glassq.CheckName(queue); err != nil {
		return 0, err
	}
	for _, s := range states {
		if s != glassq.Delayed && s != glassq.Ready && s != glassq.Dead {
			return 0, glassq.Errorf(glassq.CodeBadRequest, "only delayed, ready and dead tasks can be purged; a leased one finishes")
		}
	}
	return b.store.Purge(ctx, queue, states...)
}

// Redrive makes dead tasks ready again.
func (b *Broker) Redrive(ctx context.Context, queue string, max int) (int, error) {
	if err := glassq.CheckName(queue); err != nil {
		return 0, err
	}
	if max < 0 {
		return 0, glassq.Errorf(glassq.CodeBadRequest, "max %d is negative", max)
	}
	return b.store.Redrive(ctx, queue, max)
}

// RedriveSome checks the filter and makes dead tasks ready again.
func (b *Broker) RedriveSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	if err := checkFilter(queue, &f); err != nil {
		return 0, err
	}
	return b.store.RedriveSome(ctx, queue, f)
}

// PurgeSome checks the filter and drops dead tasks.
func (b *Broker) PurgeSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	if err := checkFilter(queue, &f); err != nil {
		return 0, err
	}
	return b.store.PurgeSome(ctx, queue, f)
}

func checkFilter(queue string, f *glassq.DeadFilter) error {
	if err := glassq.CheckName(queue); err != nil {
		return err
	}
	if f.Run != "" {
		if err := glassq.CheckName(f.Run); err != nil {
			return err
		}
	}
	switch {
	case f.Why != "" && f.Why != glassq.DeadAttempts && f.Why != glassq.DeadNacked:
		return glassq.Errorf(glassq.CodeBadRequest, "why %.40q is not one of attempts, nacked", f.Why)
	case f.Max < 0:
		return glassq.Errorf(glassq.CodeBadRequest, "max %d is negative", f.Max)
	case len(f.Reason) > glassq.MaxReason:
		return glassq.Errorf(glassq.CodeBadRequest, "reason is longer than the %d bytes that are kept of one", glassq.MaxReason)
	case len(f.Tasks) > glassq.MaxBatch:
		return glassq.Errorf(glassq.CodeTooLarge, "%d tasks are named; at most %d may be", len(f.Tasks), glassq.MaxBatch)
	}
	return nil
}

// Drop forgets a queue.
func (b *Broker) Drop(ctx context.Context, queue string) error {
	if err := glassq.CheckName(queue); err != nil {
		return err
	}
	b.settings.Lock()
	defer b.settings.Unlock()
	if err := b.store.Drop(ctx, queue); err != nil {
		return err
	}
	return b.setSchemas(queue, glassq.Settings{})
}

// Runs passes through.
func (b *Broker) Runs(ctx context.Context) ([]glassq.Run, error) { return b.store.Runs(ctx) }

// Run shows one run.
func (b *Broker) Run(ctx context.Context, name string) (glassq.Run, error) {
	if err := glassq.CheckName(name); err != nil {
		return glassq.Run{}, err
	}
	return b.store.Run(ctx, name)
}

// SetRun checks the names and makes or changes a run.
func (b *Broker) SetRun(ctx context.Context, name string, c glassq.RunChange) (glassq.Run, error) {
	for _, s := range []string{name, c.Queue, c.Results, c.RetryOf, c.After} {
		if s == "" && name != "" {
			continue
		}
		if err := glassq.CheckName(s); err != nil {
			return glassq.Run{}, err
		}
	}
	if len(c.Reader) > glassq.MaxReason {
		return glassq.Run{}, glassq.Errorf(glassq.CodeBadRequest, "reader is longer than %d bytes", glassq.MaxReason)
	}
	if len(c.Source) > glassq.MaxReason {
		return glassq.Run{}, glassq.Errorf(glassq.CodeBadRequest, "source is longer than %d bytes", glassq.MaxReason)
	}
	switch {
	case c.Hooks && c.RetryOf == "":
		return glassq.Run{}, glassq.Errorf(glassq.CodeBadRequest, "hooks are those of the run that is retried: name it in retry_of")
	case c.AfterAny && c.After == "":
		return glassq.Run{}, glassq.Errorf(glassq.CodeBadRequest, "after_any needs after: the run whose end is waited for")
	case c.Total > 0 && !c.Sealed:
		return glassq.Run{}, glassq.Errorf(glassq.CodeBadRequest, "total needs sealed: it is said when nothing more is put")
	}
	for _, hook := range []*glassq.Hook{&c.OnEnd, &c.OnFailed} {
		if err := b.checkHook(name, hook); err != nil {
			return glassq.Run{}, err
		}
	}
	return b.store.SetRun(ctx, name, c)
}

// checkHook checks a hook of a run, "" for none, and brings it into its one form.
func (b *Broker) checkHook(run string, hook *glassq.Hook) error {
	if *hook == "" {
		return nil
	}
	t, err := HookTask(*hook)
	if err == nil && t.Range != nil {
		err = glassq.Errorf(glassq.CodeBadRequest, "a hook of run %s is one task, and cannot be a range", run)
	}
	if err == nil {
		err = glassq.CheckName(t.Queue)
	}
	if err == nil {
		err = b.checkTask(&t)
	}
	if err != nil {
		return err
	}
	if t.Run == run {
		return glassq.Errorf(glassq.CodeBadRequest,
			"a hook of run %s would put its task into the run itself, and so open it again; leave run out of the hook", run)
	}
	*hook = glassq.Hook(envelope.AppendHook(nil, &t))
	if len(*hook) > glassq.MaxHook {
		return glassq.Errorf(glassq.CodeTooLarge, "a hook of %d bytes; the limit is %d", len(*hook), glassq.MaxHook)
	}
	return nil
}

// HookTask is the task that a hook puts, without its id and body.
func HookTask(hook glassq.Hook) (t glassq.Task, err error) {
	err = envelope.ParseHook(hook, &t)
	return t, err
}

// RunIDs checks the set's name; max 0 means 10,000 intervals, which is also the most.
func (b *Broker) RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32, max int) ([]glassq.Interval,
	error) {
	if err := glassq.CheckName(name); err != nil {
		return nil, err
	}
	switch set {
	case glassq.IDsPut, glassq.IDsDone, glassq.IDsFailed, glassq.IDsDead:
	default:
		return nil, glassq.Errorf(glassq.CodeBadRequest, "state %.40q is not one of put, done, failed, dead", set)
	}
	if max <= 0 || max > glassq.MaxBatch {
		max = glassq.MaxBatch
	}
	return b.store.RunIDs(ctx, name, set, from, max)
}

// AwaitRun checks the phase and waits.
func (b *Broker) AwaitRun(ctx context.Context, name string, phase glassq.Phase, wait time.Duration) (glassq.Run,
	error) {
	if err := glassq.CheckName(name); err != nil {
		return glassq.Run{}, err
	}
	switch phase {
	case glassq.PhaseExists, glassq.PhaseComplete, glassq.PhaseDrained:
	default:
		return glassq.Run{}, glassq.Errorf(glassq.CodeBadRequest, "phase %.40q is not one of exists, complete, drained",
			phase)
	}
	return b.store.AwaitRun(ctx, name, phase, wait)
}

// CancelRun passes through.
func (b *Broker) CancelRun(ctx context.Context, name string) (int, error) {
	if err := glassq.CheckName(name); err != nil {
		return 0, err
	}
	return b.store.CancelRun(ctx, name)
}

// DropRun passes through.
func (b *Broker) DropRun(ctx context.Context, name string) error {
	if err := glassq.CheckName(name); err != nil {
		return err
	}
	return b.store.DropRun(ctx, name)
}

// Copy passes through.
func (b *Broker) Copy(ctx context.Context, file func(name string, size int64, r io.Reader) error) error {
	return b.store.Copy(ctx, file)
}

// Archive passes through.
func (b *Broker) Archive(ctx context.Context, w io.Writer) error { return b.store.Archive(ctx, w) }
