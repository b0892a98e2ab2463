package enginetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// leaseTime is the lease of the laws that name no other.
const leaseTime = time.Minute

// A world is one law's test and its system, with the verbs as one-liners that end the law when the
// engine refuses.
type world struct {
	*testing.T
	sys System
}

func (w *world) store() glassq.Store { return w.sys.Store() }

// part is the store as a part of an engine that it may lack. The law of it is skipped then.
func part[P any](w *world) P {
	w.Helper()
	p, ok := w.store().(P)
	if !ok {
		w.Skipf("left out: the engine is no %v", reflect.TypeFor[P]())
	}
	return p
}

// lawsOf has laws be skipped where the engine lacks the part P.
func lawsOf[P any](laws []law) []law {
	for i := range laws {
		body := laws[i].body
		laws[i].body = func(w *world) {
			part[P](w)
			body(w)
		}
	}
	return laws
}

// tasks makes one task of each body.
func tasks(queue string, bodies ...string) []glassq.Task {
	out := make([]glassq.Task, len(bodies))
	for i, b := range bodies {
		out[i] = glassq.Task{Queue: queue, Body: []byte(b)}
	}
	return out
}

// numbered makes the names 0 to n-1.
func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

// dense makes positions 0 to n-1 of a run.
func dense(queue, run string, n int) []glassq.Task {
	out := tasks(queue, numbered(n)...)
	for i := range out {
		out[i].Run, out[i].Position, out[i].Dense = run, uint32(i), true
	}
	return out
}

func (w *world) put(ts ...glassq.Task) []glassq.Receipt {
	w.Helper()
	r, err := w.store().Put(w.Context(), ts)
	if err != nil || len(r) != len(ts) {
		w.Fatalf("Put of %d tasks = %d receipts, %v; want as many, nil", len(ts), len(r), err)
	}
	return r
}

// reserve takes what is ready now, at most n, and waits for nothing.
func (w *world) reserve(queue string, n int) []glassq.Lease {
	w.Helper()
	return w.reserveFor(queue, n, leaseTime)
}

func (w *world) reserveFor(queue string, n int, lease time.Duration) []glassq.Lease {
	w.Helper()
	got, err := w.store().Reserve(w.Context(), glassq.Reserve{Queue: queue, Max: n, Lease: lease})
	if err != nil || len(got) > n {
		w.Fatalf("Reserve of %d from %s = %d leases, %v; want at most that, nil", n, queue, len(got), err)
	}
	return got
}

// one takes the one task that the queue must hand out next.
func (w *world) one(queue string) *glassq.Lease {
	w.Helper()
	got := w.reserve(queue, 1)
	if len(got) != 1 {
		w.Fatalf("Reserve from %s = no lease; want one", queue)
	}
	return &got[0]
}

// want takes exactly these bodies, in this order.
func (w *world) want(queue string, bodies ...string) []glassq.Lease {
	w.Helper()
	got := w.reserve(queue, len(bodies)+1)
	if b := bodiesOf(got); !slices.Equal(b, bodies) {
		w.Fatalf("Reserve from %s = %q; want %q", queue, b, bodies)
	}
	return got
}

// none checks that the queue hands out nothing now.
func (w *world) none(queue string) {
	w.Helper()
	if got := w.reserve(queue, 10); len(got) > 0 {
		w.Fatalf("Reserve from %s = %q; want nothing", queue, bodiesOf(got))
	}
}

// drain takes and acks all that is ready now and all that comes back within the longest lease used.
func (w *world) drain(queue string) []glassq.Lease {
	w.Helper()
	var all []glassq.Lease
	for range 2 {
		for {
			got := w.reserve(queue, 1000)
			if len(got) == 0 {
				break
			}
			w.ack(acksOf(got)...)
			all = append(all, got...)
		}
		time.Sleep(leaseTime + time.Second)
	}
	return all
}

func bodiesOf(ls []glassq.Lease) []string {
	out := make([]string, len(ls))
	for i := range ls {
		out[i] = string(ls[i].Body)
	}
	return out
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

func acksOf(ls []glassq.Lease) []glassq.Ack {
	out := make([]glassq.Ack, len(ls))
	for i := range ls {
		out[i] = glassq.Ack{Token: ls[i].Token()}
	}
	return out
}

// withResult is an ack of l with a result.
func withResult(l *glassq.Lease, outcome glassq.Outcome, body string) glassq.Ack {
	return glassq.Ack{Token: l.Token(), Outcome: outcome, Result: &glassq.Task{Body: []byte(body)}}
}

// ack acks, and every one must be OK.
func (w *world) ack(acks ...glassq.Ack) {
	w.Helper()
	for i, err := range w.tryAck(acks...) {
		if err != nil {
			w.Fatalf("Ack %d of %d, lease %v: %v; want nil", i, len(acks), acks[i].Token, err)
		}
	}
}

func (w *world) tryAck(acks ...glassq.Ack) []error {
	w.Helper()
	errs, err := w.store().Ack(w.Context(), acks)
	if err != nil || len(errs) != len(acks) {
		w.Fatalf("Ack of %d = %d answers, %v; want as many, nil", len(acks), len(errs), err)
	}
	return errs
}

func (w *world) nack(n glassq.Nack) {
	w.Helper()
	if err := w.tryNack(n); err != nil {
		w.Fatalf("Nack(%+v) = %v; want nil", n, err)
	}
}

func (w *world) tryNack(n glassq.Nack) error {
	w.Helper()
	errs, err := w.store().Nack(w.Context(), []glassq.Nack{n})
	if err != nil || len(errs) != 1 {
		w.Fatalf("Nack = %d answers, %v; want 1, nil", len(errs), err)
	}
	return errs[0]
}

func (w *world) tryExtend(t glassq.Token, lease time.Duration) error {
	w.Helper()
	errs, err := w.store().Extend(w.Context(), []glassq.Extend{{Token: t, Lease: lease}})
	if err != nil || len(errs) != 1 {
		w.Fatalf("Extend = %d answers, %v; want 1, nil", len(errs), err)
	}
	return errs[0]
}

// lost checks that ack, nack and extend of a token are refused, the ack with a result.
func (w *world) lost(t glassq.Token) {
	w.Helper()
	ack := glassq.Ack{Token: t, Result: &glassq.Task{Body: []byte("stale")}, Put: tasks("follow", "stale")}
	w.code("Ack of "+t.String(), w.tryAck(ack)[0], glassq.CodeLeaseLost)
	w.code("Nack of "+t.String(), w.tryNack(glassq.Nack{Token: t}), glassq.CodeLeaseLost)
	w.code("Extend of "+t.String(), w.tryExtend(t, leaseTime), glassq.CodeLeaseLost)
}

// code checks that err carries a code.
func (w *world) code(call string, err error, want glassq.Code) {
	w.Helper()
	if e, ok := errors.AsType[*glassq.Error](err); !ok || e.Code != want {
		w.Fatalf("%s = %v; want code %s", call, err, want)
	}
}

// ok ends the law when err is not nil.
func (w *world) ok(call string, err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%s = %v; want nil", call, err)
	}
}

// queue shows a queue; one that does not exist is empty.
func (w *world) queue(name string) glassq.QueueInfo {
	w.Helper()
	qs, err := w.store().Queues(w.Context(), name)
	if errors.Is(err, glassq.ErrNotFound) {
		return glassq.QueueInfo{Name: name}
	}
	if err != nil || len(qs) != 1 {
		w.Fatalf("Queues(%s) = %d, %v; want 1, nil", name, len(qs), err)
	}
	return qs[0]
}

// held checks how many tasks a queue holds in each state.
func (w *world) held(name string, delayed, ready, leased, dead int64) {
	w.Helper()
	q := w.queue(name)
	if q.Delayed != delayed || q.Ready != ready || q.Leased != leased || q.Dead != dead {
		w.Fatalf("queue %s holds delayed %d, ready %d, leased %d, dead %d; want %d, %d, %d, %d",
			name, q.Delayed, q.Ready, q.Leased, q.Dead, delayed, ready, leased, dead)
	}
}

// books checks the books of a queue, and that they agree with what it holds.
func (w *world) books(name string, want glassq.Books) {
	w.Helper()
	q := w.queue(name)
	if q.Books != want || q.Pending != want.Pending() || q.Pending != uint64(q.Delayed+q.Ready+q.Leased) {
		w.Fatalf("queue %s: books %+v, pending %d (delayed %d, ready %d, leased %d); want %+v",
			name, q.Books, q.Pending, q.Delayed, q.Ready, q.Leased, want)
	}
}

func (w *world) run(name string) glassq.Run {
	w.Helper()
	r, err := w.store().Run(w.Context(), name)
	w.ok("Run("+name+")", err)
	return r
}

func (w *world) setRun(name string, c glassq.RunChange) glassq.Run {
	w.Helper()
	r, err := w.store().SetRun(w.Context(), name, c)
	w.ok("SetRun("+name+")", err)
	return r
}

func (w *world) runBooks(name string, want glassq.Books) {
	w.Helper()
	if r := w.run(name); r.Books != want || r.Pending != want.Pending() {
		w.Fatalf("run %s: books %+v, pending %d; want %+v, %d", name, r.Books, r.Pending, want, want.Pending())
	}
}

// ids checks a set of positions of a run, given as intervals.
func (w *world) ids(run string, set glassq.IDSet, want ...glassq.Interval) {
	w.Helper()
	got, err := w.store().RunIDs(w.Context(), run, set, 0, 1000)
	if err != nil || !slices.Equal(got, want) {
		w.Fatalf("RunIDs(%s, %s) = %v, %v; want %v", run, set, got, err, want)
	}
}

func (w *world) configure(queue string, c glassq.SettingsChange) {
	w.Helper()
	_, err := w.store().Configure(w.Context(), queue, c)
	w.ok("Configure("+queue+")", err)
}

// peek shows up to 1000 tasks of a state.
func (w *world) peek(queue string, state glassq.State) []glassq.Peeked {
	w.Helper()
	got, next, err := w.store().Peek(w.Context(), queue, state, 0, 1000)
	if err != nil || next != 0 {
		w.Fatalf("Peek(%s, %v) = %d tasks, next %d, %v; want all of them", queue, state, len(got), next, err)
	}
	return got
}

// An asked is a reserve under way.
type asked struct {
	leases []glassq.Lease
	err    error
	took   time.Duration
	done   chan struct{}
}

// ask begins a reserve that waits; what it got may be read when done is closed.
func (w *world) ask(r glassq.Reserve) *asked {
	a := &asked{done: make(chan struct{})}
	s, start := w.store(), time.Now()
	go func() { // ends with the engine at the latest
		defer close(a.done)
		a.leases, a.err = s.Reserve(w.Context(), r)
		a.took = time.Since(start)
	}()
	return a
}

// over tells whether the reserve has returned.
func (a *asked) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}
