package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// Pairs runs every verb of an engine beside every verb, itself included, for the race detector:
// callers goroutines of the one and as many of the other. All pairs together take about as long as
// took, in real time and outside of a bubble, where goroutines run truly at once. What an engine
// returns is read and written over, as callers may, and so is what it was given. At the end the
// books must balance. Then each verb runs beside Close: it must end, with code closed, and so it
// does when it is called again later.
//
// open makes an engine over a fresh, empty store; Pairs closes it. One whose files roll often shows
// more.
func Pairs(t *testing.T, callers int, took time.Duration, open func(t testing.TB) glassq.Store) {
	t.Run("verbs", func(t *testing.T) {
		s := open(t)
		defer s.Close()
		verbs := verbsOf(s)
		each := took / time.Duration(len(verbs)*(len(verbs)+1)/2)
		for i, a := range verbs {
			for _, b := range verbs[i:] {
				c := &caller{TB: t, Store: s, ctx: t.Context()}
				c.fill()
				ctx, stop := context.WithTimeout(t.Context(), each)
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() { c.loop(ctx, a) })
					wg.Go(func() { c.loop(ctx, b) })
				}
				wg.Wait()
				stop()
				if t.Failed() {
					t.Fatalf("while %s ran beside %s", a.name, b.name)
				}
			}
		}
		balance(t, s)
	})
	t.Run("close", func(t *testing.T) {
		s := open(t)
		for i, v := range verbsOf(s) {
			if i > 0 {
				s = open(t)
				v = verbsOf(s)[i]
			}
			closeBeside(t, callers, v, s)
		}
	})
}

// closeBeside closes s when every caller of v is at work.
func closeBeside(t *testing.T, callers int, v verb, s glassq.Store) {
	c := &caller{TB: t, Store: s, ctx: t.Context()}
	c.fill()
	begun := make(chan struct{}, callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := 0; ; n++ {
				err := v.call(c)
				if n == 0 {
					begun <- struct{}{}
				}
				if glassq.CodeOf(err) == glassq.CodeClosed || !c.check(v, err) {
					return
				}
			}
		})
	}
	for range callers {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close beside %s = %v; want nil", v.name, err)
	}
	wg.Wait()
	err := v.call(c)
	for n := 0; err == nil && n < 100; n++ { // its own time was over before it asked
		err = v.call(c)
	}
	if glassq.CodeOf(err) != glassq.CodeClosed {
		t.Errorf("%s after Close = %v; want code closed", v.name, err)
	}
}

// balance checks the books of all queues and runs of an engine that is at rest.
func balance(t *testing.T, s glassq.Store) {
	queues, err := s.Queues(t.Context())
	if err != nil {
		t.Fatalf("Queues = %v; want nil", err)
	}
	for _, q := range queues {
		if q.Pending != q.Books.Pending() || q.Pending != uint64(q.Delayed+q.Ready+q.Leased) {
			t.Errorf("queue %s: books %+v, pending %d (delayed %d, ready %d, leased %d)",
				q.Name, q.Books, q.Pending, q.Delayed, q.Ready, q.Leased)
		}
	}
	runs, err := s.Runs(t.Context())
	if err != nil {
		t.Fatalf("Runs = %v; want nil", err)
	}
	for _, r := range runs {
		if r.Pending != r.Books.Pending() {
			t.Errorf("run %s: books %+v, pending %d", r.Name, r.Books, r.Pending)
		}
	}
}

// A caller calls verbs with arguments drawn at random. Safe for concurrent use.
type caller struct {
	testing.TB
	glassq.Store
	ctx context.Context
}

// loop calls v until ctx is done, and at least once.
func (c *caller) loop(ctx context.Context, v verb) {
	for {
		c.check(v, v.call(c))
		if ctx.Err() != nil {
			return
		}
	}
}

// check reports an error that a verb beside others has no reason to return, and whether it had.
func (c *caller) check(v verb, err error) bool {
	if err == nil {
		return true
	}
	switch glassq.CodeOf(err) {
	case glassq.CodeNotFound, glassq.CodeQueueFull, glassq.CodeRunConflict, glassq.CodeLeaseLost:
		return true
	case glassq.CodeBadRequest:
		if v.name == "drop" { // tasks of the queue are leased
			return true
		}
	}
	c.Errorf("%s = %v", v.name, err)
	return false
}

// fill has the queue that all share hold tasks in every state, and not too many.
func (c *caller) fill() {
	held, err := c.Queues(c.ctx, shared)
	if err == nil && held[0].Ready > 500 {
		_, err = c.Purge(c.ctx, shared)
	}
	if err != nil && glassq.CodeOf(err) != glassq.CodeNotFound {
		c.Fatal(err)
	}
	for range 4 {
		for _, v := range []verb{{"put", (*caller).put}, {"put delayed", (*caller).putDelayed},
			{"nack", (*caller).nackDead}, {"reserve", (*caller).hold}} {
			c.check(v, v.call(c))
		}
	}
}

// A verb calls an engine once, with what has to come before.
type verb struct {
	name string
	call func(*caller) error
}

const (
	shared = "q"
	moment = time.Millisecond // of waiting
)

// verbsOf returns all that s can do.
func verbsOf(s glassq.Store) []verb {
	verbs := []verb{
		{"put", (*caller).put},
		{"put delayed", (*caller).putDelayed},
		{"put dense", (*caller).putDense},
		{"put named", (*caller).putNamed},
		{"take", (*caller).take},
		{"look", (*caller).look},
		{"reserve", (*caller).hold},
		{"reserve waiting", (*caller).holdWaiting},
		{"ack", (*caller).ack},
		{"nack", (*caller).nack},
		{"nack dead", (*caller).nackDead},
		{"nack undone", (*caller).nackUndone},
		{"extend", (*caller).extend},
		{"queues", (*caller).queues},
		{"configure", (*caller).configure},
		{"peek", (*caller).peek},
		{"purge", (*caller).purge},
		{"redrive", (*caller).redrive},
		{"redrive some", (*caller).redriveSome},
		{"purge some", (*caller).purgeSome},
		{"drop", (*caller).drop},
		{"runs", (*caller).runs},
		{"run", (*caller).run},
		{"set run", (*caller).setRun},
		{"run ids", (*caller).runIDs},
		{"await run", (*caller).awaitRun},
		{"cancel run", (*caller).cancelRun},
		{"drop run", (*caller).dropRun},
		{"stats", (*caller).stats},
	}
	if w, ok := s.(glassq.Waits); ok {
		verbs = append(verbs,
			verb{"put wait", func(c *caller) error { return c.putWait(w) }},
			verb{"ack wait", func(c *caller) error { return c.ackWait(w) }},
			verb{"held", func(c *caller) error { return c.held(w) }},
			verb{"await idle", func(c *caller) error { return c.awaitIdle(w) }})
	}
	if k, ok := s.(glassq.Keys); ok {
		verbs = append(verbs,
			verb{"keys", func(c *caller) error { return c.keys(k) }},
			verb{"release key", func(c *caller) error { return k.ReleaseKey(c.ctx, shared, "no key") }})
	}
	if f, ok := s.(glassq.Finder); ok {
		verbs = append(verbs,
			verb{"find", func(c *caller) error { return c.find(f) }},
			verb{"next delayed", func(c *caller) error { return c.nextDelayed(f) }})
	}
	if x, ok := s.(glassq.Schedules); ok {
		verbs = append(verbs,
			verb{"schedules", func(c *caller) error { return c.schedules(x) }},
			verb{"set schedule", func(c *caller) error { return c.setSchedule(x) }},
			verb{"drop schedule", func(c *caller) error { return x.DropSchedule(c.ctx, "none") }})
	}
	if k, ok := s.(glassq.Copier); ok {
		verbs = append(verbs, verb{"copy", func(c *caller) error { return c.copied(k) }})
	}
	if a, ok := s.(glassq.Archiver); ok {
		verbs = append(verbs, verb{"archive", func(c *caller) error { return a.Archive(c.ctx, io.Discard) }})
	}
	return verbs
}

// read reads all of an answer, whatever it points to.
func (c *caller) read(answer any) {
	if _, err := json.Marshal(answer); err != nil {
		c.Error(err)
	}
}

// anyRun names one of a few runs. They change with time, so that not all are sealed.
func anyRun() string { return "r" + strconv.FormatInt(time.Now().Unix()*4+rand.Int64N(4), 10) }

// body is a new one, small or larger.
func body() []byte { return make([]byte, rand.IntN(64)<<(rand.IntN(10)/8*4)) }

func (c *caller) putTwo(t glassq.Task) error {
	t.Queue, t.Body, t.Headers = shared, body(), map[string]string{"a": "b"}
	ts := []glassq.Task{t, t}
	if t.Dense {
		ts[1].Position++
	}
	got, err := c.Store.Put(c.ctx, ts)
	c.read(got)
	clear(t.Body) // it is the caller's again
	clear(t.Headers)
	return err
}

func (c *caller) put() error { return c.putTwo(glassq.Task{Priority: glassq.Level(rand.IntN(3))}) }
func (c *caller) putDelayed() error {
	return c.putTwo(glassq.Task{Delay: time.Duration(rand.IntN(5)) * moment, TTL: 4 * moment})
}
func (c *caller) putDense() error {
	return c.putTwo(glassq.Task{Run: anyRun(), Dense: true, Position: rand.Uint32N(1 << 16)})
}
func (c *caller) putNamed() error {
	return c.putTwo(glassq.Task{ID: strconv.Itoa(rand.IntN(1000)), Run: anyRun()})
}

// reserve returns the tokens of what it got, and has read and written over the rest.
func (c *caller) reserve(r glassq.Reserve) ([]glassq.Token, error) {
	r.Queue, r.Max = shared, 1+rand.IntN(4)
	if r.Look {
		r.Max = 1
	}
	leases, err := c.Reserve(c.ctx, r)
	if err != nil {
		return nil, err
	}
	c.read(leases)
	tokens := make([]glassq.Token, len(leases))
	for i := range leases {
		tokens[i] = leases[i].Token()
		clear(leases[i].Body)
		clear(leases[i].Headers)
	}
	return tokens, nil
}

func (c *caller) take() error { _, err := c.reserve(glassq.Reserve{Take: true}); return err }
func (c *caller) look() error { _, err := c.reserve(glassq.Reserve{Look: true}); return err }
func (c *caller) hold() error { _, err := c.reserve(glassq.Reserve{Lease: time.Second}); return err }

// holdWaiting is mostly served by who puts, and now and then its caller goes away.
func (c *caller) holdWaiting() error {
	ctx, stop := context.WithTimeout(c.ctx, time.Duration(rand.IntN(1000))*time.Microsecond)
	defer stop()
	leases, err := c.Reserve(ctx, glassq.Reserve{Queue: shared, Max: 2, Wait: moment / 2})
	c.read(leases)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// first returns the first of the errors of a batch and of its call.
func first(errs []error, err error) error {
	if err != nil {
		return err
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *caller) anAck(token glassq.Token) glassq.Ack {
	return glassq.Ack{Token: token, Outcome: glassq.Outcome(rand.IntN(2)), Result: &glassq.Task{Body: body()},
		Put: []glassq.Task{{Queue: "follow", Body: body()}}}
}

func (c *caller) ack() error {
	tokens, err := c.reserve(glassq.Reserve{})
	if err != nil {
		return err
	}
	acks := make([]glassq.Ack, len(tokens))
	for i := range tokens {
		if acks[i] = c.anAck(tokens[i]); i%2 > 0 {
			acks[i] = glassq.Ack{Token: tokens[i]}
		}
	}
	if err := first(c.Ack(c.ctx, acks)); err != nil {
		return err
	}
	_, err = c.Reserve(c.ctx, glassq.Reserve{Queue: glassq.DefaultResults, Max: 10, Take: true})
	if err == nil {
		_, err = c.Reserve(c.ctx, glassq.Reserve{Queue: "follow", Max: 10, Take: true})
	}
	return err
}

func (c *caller) nackSome(n glassq.Nack) error {
	tokens, err := c.reserve(glassq.Reserve{})
	if err != nil || len(tokens) == 0 {
		return err
	}
	nacks := make([]glassq.Nack, len(tokens))
	for i := range nacks {
		nacks[i] = n
		nacks[i].Token = tokens[i]
	}
	return first(c.Nack(c.ctx, nacks))
}

func (c *caller) nack() error {
	return c.nackSome(glassq.Nack{Delay: time.Duration(rand.IntN(3)-1) * moment})
}
func (c *caller) nackDead() error   { return c.nackSome(glassq.Nack{Dead: true, Reason: "a reason"}) }
func (c *caller) nackUndone() error { return c.nackSome(glassq.Nack{Undone: true}) }

func (c *caller) extend() error {
	tokens, err := c.reserve(glassq.Reserve{Lease: time.Second})
	if err != nil {
		return err
	}
	extends := make([]glassq.Extend, len(tokens))
	for i := range extends {
		extends[i] = glassq.Extend{Token: tokens[i], Lease: time.Second}
	}
	return first(c.Extend(c.ctx, extends))
}

func (c *caller) queues() error {
	got, err := c.Queues(c.ctx)
	c.read(got)
	return err
}

// configure sets limits, a rate and a pause, and takes them away again.
func (c *caller) configure() error {
	most, rate, paused := rand.Int64N(100), float64(rand.IntN(2)*1000), true
	got, err := c.Configure(c.ctx, shared, glassq.SettingsChange{MaxTasks: &most, Rate: &rate, Paused: &paused})
	if err != nil {
		return err
	}
	c.read(got)
	most, rate, paused = 0, 0, false
	_, err = c.Configure(c.ctx, shared, glassq.SettingsChange{MaxTasks: &most, Rate: &rate, Paused: &paused})
	return err
}

func (c *caller) peek() error {
	for _, st := range []glassq.State{glassq.Delayed, glassq.Ready, glassq.Leased, glassq.Dead} {
		got, _, err := c.Peek(c.ctx, shared, st, 0, 5)
		if err != nil {
			return err
		}
		c.read(got)
	}
	return nil
}

func (c *caller) purge() error   { _, err := c.Purge(c.ctx, shared); return err }
func (c *caller) redrive() error { _, err := c.Redrive(c.ctx, shared, 1); return err }
func (c *caller) redriveSome() error {
	_, err := c.RedriveSome(c.ctx, shared, glassq.DeadFilter{Run: anyRun(), Max: 2})
	return err
}
func (c *caller) purgeSome() error {
	_, err := c.PurgeSome(c.ctx, shared, glassq.DeadFilter{Why: glassq.DeadNacked, Reason: "reason", Max: 2})
	return err
}
func (c *caller) drop() error { return c.Drop(c.ctx, shared) }

func (c *caller) runs() error {
	got, err := c.Runs(c.ctx)
	c.read(got)
	return err
}

func (c *caller) run() error {
	got, err := c.Run(c.ctx, anyRun())
	c.read(got)
	return err
}

func (c *caller) setRun() error {
	got, err := c.SetRun(c.ctx, anyRun(), glassq.RunChange{Source: "s", Queue: shared, Sealed: rand.IntN(8) == 0,
		Total: 1 << 16})
	c.read(got)
	return err
}

func (c *caller) runIDs() error {
	for _, set := range []glassq.IDSet{glassq.IDsPut, glassq.IDsDone, glassq.IDsFailed, glassq.IDsDead} {
		got, err := c.RunIDs(c.ctx, anyRun(), set, 0, 10)
		if err != nil {
			return err
		}
		c.read(got)
	}
	return nil
}

func (c *caller) awaitRun() error {
	got, err := c.AwaitRun(c.ctx, anyRun(), glassq.PhaseComplete, moment)
	c.read(got)
	return err
}

func (c *caller) cancelRun() error { _, err := c.CancelRun(c.ctx, anyRun()); return err }

func (c *caller) dropRun() error { return c.DropRun(c.ctx, anyRun()) }

func (c *caller) stats() error {
	got, err := c.Stats(c.ctx)
	c.read(got)
	return err
}

func (c *caller) putWait(w glassq.Waits) error {
	got, err := w.PutWait(c.ctx, tasks(shared, "a", "b"), moment)
	c.read(got)
	return err
}

func (c *caller) ackWait(w glassq.Waits) error {
	tokens, err := c.reserve(glassq.Reserve{})
	for _, token := range tokens {
		if err := w.AckWait(c.ctx, c.anAck(token), moment); err != nil {
			return err
		}
	}
	return err
}

func (c *caller) held(w glassq.Waits) error {
	got, err := w.Held(c.ctx, shared)
	if err == nil {
		c.read(got[0])
	}
	return err
}

func (c *caller) awaitIdle(w glassq.Waits) error {
	_, err := w.AwaitIdle(c.ctx, shared, moment)
	return err
}

func (c *caller) keys(k glassq.Keys) error {
	got, err := k.Keys(c.ctx, shared, "", 10)
	c.read(got)
	return err
}

func (c *caller) find(f glassq.Finder) error {
	got, err := f.Find(c.ctx, glassq.Find{Queue: shared, ID: "no id"})
	c.read(got)
	return err
}

func (c *caller) nextDelayed(f glassq.Finder) error {
	_, err := f.NextDelayed(c.ctx, shared)
	return err
}

func (c *caller) schedules(x glassq.Schedules) error {
	got, err := x.Schedules(c.ctx)
	c.read(got)
	return err
}

func (c *caller) setSchedule(x glassq.Schedules) error {
	got, err := x.SetSchedule(c.ctx, "s", glassq.ScheduleChange{Cron: "0 0 1 1 *", Task: `{"queue":"due","body":1}`})
	c.read(got)
	return err
}

func (c *caller) copied(k glassq.Copier) error {
	return k.Copy(c.ctx, func(_ string, _ int64, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
}
