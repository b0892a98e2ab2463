package live

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
)

// secs is now as leases keep it.
func (l *Live) secs(now time.Time) uint32 {
	return uint32(min(max(int64(now.Sub(l.start)/time.Second), 0), math.MaxUint32-1)) + 1
}

// seconds is a length of a lease, rounded up.
func seconds(d time.Duration) uint16 {
	return uint16(min((d+time.Second-1)/time.Second, math.MaxUint16))
}

// count notes that n calls, or items of one, were answered. One that ended with its request counts as
// unavailable, which is what its door says of it. The caller holds mu.
func (l *Live) count(c *Caller, err error, n int) {
	if n == 0 {
		return
	}
	code := codeOK
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = glassq.CodeUnavailable
	case err != nil:
		code = glassq.CodeOf(err)
	}
	if k := (answerKey{c.Door, code}); l.answerN == nil || l.answer != k {
		if l.answers[k] == nil {
			l.answers[k] = new(uint64)
		}
		l.answer, l.answerN = k, l.answers[k]
	}
	*l.answerN += uint64(n)
}

// codeOK is the code of an answer that is no error.
const codeOK glassq.Code = "ok"

// begin takes mu and tells who calls.
func (l *Live) begin(ctx context.Context) (c *Caller, now time.Time) {
	c, now = callerOf(ctx), time.Now()
	l.mu.Lock()
	return c, now
}

// Put passes through.
func (l *Live) Put(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	began := time.Now()
	receipts, err := l.store.Put(ctx, tasks)
	l.put(ctx, tasks, receipts, err, began)
	return receipts, err
}

// PutWait passes through. The time that it waited for room is no latency.
func (l *Live) PutWait(ctx context.Context, tasks []glassq.Task, wait time.Duration) ([]glassq.Receipt, error) {
	receipts, err := l.store.PutWait(ctx, tasks, wait)
	l.put(ctx, tasks, receipts, err, time.Time{})
	return receipts, err
}

// put notes a put; began is zero where its time is not to count.
func (l *Live) put(ctx context.Context, tasks []glassq.Task, receipts []glassq.Receipt, err error, began time.Time) {
	c, now := l.begin(ctx)
	defer l.mu.Unlock()
	l.count(c, err, 1)
	if err != nil {
		return
	}
	if !began.IsZero() {
		l.dur.Put.add(now.Sub(began))
	}
	l.stored(tasks, receipts, now)
}

// stored notes tasks that were put; receipts is nil where duplicates are not told. The caller holds
// mu.
func (l *Live) stored(tasks []glassq.Task, receipts []glassq.Receipt, now time.Time) {
	lastRun := ""
	for i := range tasks {
		t := &tasks[i]
		if receipts != nil && receipts[i].Duplicate {
			continue
		}
		n := t.Tasks()
		if receipts != nil && t.Range != nil {
			n = receipts[i].Put
		}
		l.total.Put += n
		if q := l.queueOf(t.Queue, now); q != nil {
			q.n.Put += n
		}
		if t.Run != lastRun {
			lastRun = t.Run
			l.runOf(lastRun, now)
		}
	}
}

// Reserve passes through.
func (l *Live) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	if r.Look {
		return l.store.Reserve(ctx, r)
	}
	c, began := l.begin(ctx)
	if q := l.queueOf(r.Queue, began); q != nil {
		q.asked, q.asker = began, c.Worker
	}
	worker := l.workerOf(c, began)
	l.workers.all[worker].Waiting++ // which also keeps it known
	l.mu.Unlock()

	leases, err := l.store.Reserve(ctx, r)

	_, now := l.begin(ctx)
	defer l.mu.Unlock()
	l.workers.all[worker].Waiting--
	l.workers.all[worker].Seen = now
	l.count(c, err, 1)
	if err != nil {
		return leases, err
	}
	q := l.queueOf(r.Queue, now)
	if q != nil {
		q.asked = now
	}
	if len(leases) == 0 {
		return leases, nil
	}
	if took := now.Sub(began); leases[0].Age >= took {
		l.dur.Reserve.add(took) // else it waited for the task
	}
	n, kept := uint64(len(leases)), 0
	l.total.Out += n
	if q != nil {
		q.n.Out += n
	}
	lastRun, run, runHeld := "", uint16(0), 0
	var age, lag time.Duration
	lastLength, length, at, out := time.Duration(0), uint16(0), l.secs(now), l.ms(now)
	for i := range leases {
		d := &leases[i]
		l.dur.Age.add(d.Age)
		l.dur.Lag.add(d.Late)
		age, lag = age+max(d.Age, 0), lag+max(d.Late, 0)
		if d.Run != lastRun {
			l.runHolds(run, runHeld)
			lastRun, run, runHeld = d.Run, l.runOf(d.Run, now), 0
		}
		if d.Number == 0 { // taken, not leased
			l.total.OK++
			if q != nil {
				q.n.OK++
			}
			continue
		}
		if q == nil {
			continue
		}
		q.results = d.ResultQueue
		if d.Length != lastLength {
			lastLength, length = d.Length, seconds(d.Length)
		}
		if l.held.set(d.Number, leased{queue: q.index, run: run, worker: worker, length: length,
			deadline: at + uint32(length), out: out}) {
			kept++
			runHeld++
		}
	}
	l.runHolds(run, runHeld)
	l.total.Age, l.total.Lag = l.total.Age+age, l.total.Lag+lag
	if q != nil {
		q.n.Age, q.n.Lag = q.n.Age+age, q.n.Lag+lag
	}
	if kept > 0 {
		l.hold(q, worker, kept)
	}
	return leases, nil
}

func (l *Live) runHolds(run uint16, n int) {
	if run != 0 {
		l.runs.all[run].held += n
	}
}

// An ending is what leases held that end one after the other, and are mostly of one queue, run and
// worker: what is known of these is brought up to date once.
type ending struct {
	queue  *queue
	run    uint16
	worker uint16
	n      int
}

// let ends what a lease held, and returns its queue. The caller calls ended before mu is free.
func (l *Live) let(d leased, now time.Time) *queue {
	e := &l.ending
	if q := l.queues.all[d.queue]; e.n == 0 || e.queue != q || e.run != d.run || e.worker != d.worker {
		l.ended()
		*e = ending{queue: l.queueOf(q.name, now), run: d.run, worker: d.worker}
		if d.run != 0 {
			l.runMoved(d.run, now)
		}
	}
	e.n++
	return e.queue
}

// ended brings up to date what the leases held that let ended.
func (l *Live) ended() {
	e := &l.ending
	if e.n > 0 {
		l.hold(e.queue, e.worker, -e.n)
		l.runHolds(e.run, -e.n)
		e.n = 0
	}
}

// endOf forgets the lease of a token, and returns it and its queue. Of a lease that is not
// known, of before the start, that is the queue that the token names, if it does. The caller calls
// ended before mu is free.
func (l *Live) endOf(t glassq.Token, now time.Time) (q *queue, gone leased) {
	if d := l.held.get(t.Number); d != nil {
		gone = *d
		l.held.remove(t.Number)
		l.workers.all[gone.worker].Seen = now
		return l.let(gone, now), gone
	}
	if t.Queue == "" {
		return nil, gone
	}
	return l.queueOf(t.Queue, now), gone
}

// answered counts the answers of a batch.
func (l *Live) answered(c *Caller, errs []error) {
	fine := 0
	for _, err := range errs {
		if err == nil {
			fine++
		} else {
			l.count(c, err, 1)
		}
	}
	l.count(c, nil, fine)
}

// Ack passes through.
func (l *Live) Ack(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	began := time.Now()
	errs, err := l.store.Ack(ctx, acks)
	l.acked(ctx, acks, errs, err, began)
	return errs, err
}

// AckWait passes through. The time that it waited for room is no latency.
func (l *Live) AckWait(ctx context.Context, ack glassq.Ack, wait time.Duration) error {
	err := l.store.AckWait(ctx, ack, wait)
	l.acked(ctx, []glassq.Ack{ack}, []error{err}, nil, time.Time{})
	return err
}

// acked notes acks; began is zero where their time is not to count.
func (l *Live) acked(ctx context.Context, acks []glassq.Ack, errs []error, err error, began time.Time) {
	var classes []string
	if err == nil {
		classes = classesOf(acks)
	}
	c, now := l.begin(ctx)
	defer l.mu.Unlock()
	if err != nil {
		l.count(c, err, 1)
		return
	}
	if !began.IsZero() {
		l.dur.Ack.add(now.Sub(began))
	}
	l.answered(c, errs)
	for i := range acks {
		a := &acks[i]
		if errs[i] != nil {
			continue
		}
		q, gone := l.endOf(a.Token, now)
		if gone.run != 0 {
			class := ""
			if classes != nil {
				class = classes[i]
			}
			l.went(&gone, class, now)
		}
		if a.Outcome == glassq.Failed {
			l.total.Failed++
		} else {
			l.total.OK++
		}
		switch {
		case q == nil:
		case a.Outcome == glassq.Failed:
			q.n.Failed++
		default:
			q.n.OK++
		}
		if a.Result != nil {
			l.total.Put++
			if r := l.resultsOf(a, q, gone.run, now); r != nil {
				r.n.Put++
			}
		}
		l.stored(a.Put, nil, now)
	}
	l.ended()
}

// resultsOf is the queue of a result. Where the ack does not say so, it is that of the tasks that
// the queue handed out last, of the run, or the default: right wherever the tasks of a queue are
// alike.
func (l *Live) resultsOf(a *glassq.Ack, q *queue, run uint16, now time.Time) *queue {
	name := a.Result.Queue
	if name == "" && q != nil {
		name = q.results
	}
	if name == "" && run != 0 {
		name = l.runs.all[run].results
	}
	return l.queueOf(cmp.Or(name, glassq.DefaultResults), now)
}

// Nack passes through.
func (l *Live) Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error) {
	errs, err := l.store.Nack(ctx, nacks)
	c, now := l.begin(ctx)
	defer l.mu.Unlock()
	if err != nil {
		l.count(c, err, 1)
		return errs, err
	}
	l.answered(c, errs)
	for i := range nacks {
		n := &nacks[i]
		if errs[i] != nil {
			continue
		}
		if q, _ := l.endOf(n.Token, now); !n.Dead {
			l.total.Back++
			if q != nil {
				q.n.Back++
			}
		}
	}
	l.ended()
	return errs, err
}

// Extend passes through.
func (l *Live) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	errs, err := l.store.Extend(ctx, extends)
	c, now := l.begin(ctx)
	defer l.mu.Unlock()
	if err != nil {
		l.count(c, err, 1)
		return errs, err
	}
	l.answered(c, errs)
	for i := range extends {
		x := &extends[i]
		if errs[i] == nil { // a repeat is counted too: the store does not say that it is one
			l.stored(x.Put, nil, now)
		}
		d := l.held.get(x.Token.Number)
		if d == nil || errs[i] != nil {
			continue
		}
		if x.Lease != 0 {
			d.length = seconds(x.Lease)
		}
		d.deadline = l.secs(now) + uint32(d.length)
		l.workers.all[d.worker].Seen = now
	}
	return errs, err
}

// Configure passes through.
func (l *Live) Configure(ctx context.Context, queue string, c glassq.SettingsChange) (glassq.Settings, error) {
	set, err := l.store.Configure(ctx, queue, c)
	l.operated(ctx, queue, "", err)
	return set, err
}

// Purge passes through.
func (l *Live) Purge(ctx context.Context, queue string, states ...glassq.State) (int, error) {
	n, err := l.store.Purge(ctx, queue, states...)
	l.operated(ctx, queue, "", err)
	return n, err
}

// Redrive passes through.
func (l *Live) Redrive(ctx context.Context, queue string, most int) (int, error) {
	n, err := l.store.Redrive(ctx, queue, most)
	l.operated(ctx, queue, "", err)
	return n, err
}

// RedriveSome passes through.
func (l *Live) RedriveSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	n, err := l.store.RedriveSome(ctx, queue, f)
	l.operated(ctx, queue, "", err)
	return n, err
}

// PurgeSome passes through.
func (l *Live) PurgeSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	n, err := l.store.PurgeSome(ctx, queue, f)
	l.operated(ctx, queue, "", err)
	return n, err
}

// Drop passes through.
func (l *Live) Drop(ctx context.Context, queue string) error {
	err := l.store.Drop(ctx, queue)
	l.operated(ctx, queue, "", err)
	return err
}

// CancelRun passes through.
func (l *Live) CancelRun(ctx context.Context, name string) (int, error) {
	n, err := l.store.CancelRun(ctx, name)
	l.operated(ctx, "", name, err)
	return n, err
}

// DropRun passes through.
func (l *Live) DropRun(ctx context.Context, name string) error {
	err := l.store.DropRun(ctx, name)
	l.operated(ctx, "", "", err)
	return err
}

// SetRun passes through.
func (l *Live) SetRun(ctx context.Context, name string, change glassq.RunChange) (glassq.Run, error) {
	run, err := l.store.SetRun(ctx, name, change)
	if err == nil {
		_, now := l.begin(ctx)
		l.runOf(name, now)
		l.mu.Unlock()
	}
	return run, err
}

// operated notes what somebody did to a queue or a run, "" for none.
func (l *Live) operated(ctx context.Context, queue, run string, err error) {
	c, now := l.begin(ctx)
	l.count(c, err, 1)
	if err == nil {
		if queue != "" {
			l.queueOf(queue, now)
		}
		l.runOf(run, now)
	}
	l.mu.Unlock()
}

// Heard tells an event of what was audited, with the worker of ctx.
func (l *Live) Heard(ctx context.Context, e *audit.Entry) {
	l.events.tell(&Event{Time: e.Time, Kind: KindAction, Action: e.Action, Worker: callerOf(ctx).Worker, Who: e.Who,
		Door: e.Door, From: e.From, Queue: e.Queue, Run: e.Run, What: e.What, Count: e.Count, Outcome: e.Outcome})
}

// ReleaseKey passes through.
func (l *Live) ReleaseKey(ctx context.Context, queue, key string) error {
	err := l.store.ReleaseKey(ctx, queue, key)
	l.operated(ctx, queue, "", err)
	return err
}

// SetSchedule passes through.
func (l *Live) SetSchedule(ctx context.Context, name string, c glassq.ScheduleChange) (glassq.Schedule, error) {
	s, err := l.store.SetSchedule(ctx, name, c)
	l.operated(ctx, "", "", err)
	return s, err
}

// DropSchedule passes through.
func (l *Live) DropSchedule(ctx context.Context, name string) error {
	err := l.store.DropSchedule(ctx, name)
	l.operated(ctx, "", "", err)
	return err
}
