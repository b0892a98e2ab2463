package enginetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// P8: put = ok + failed + dead + pending, for every queue and run, after every step of a random
// walk through all verbs and ends. The seed is in the law's name.
func walkLaws() []law {
	var out []law
	for seed := range uint64(8) {
		out = append(out, law{fmt.Sprintf("P8 the books balance after every step/seed %d", seed), func(w *world) {
			k := &walker{world: w, m: newModel(), rng: rand.New(rand.NewPCG(seed, 8))}
			for step := range 300 {
				what := k.step()
				if k.compare(); w.Failed() {
					w.Fatalf("seed %d, step %d: after %s", seed, step, what)
				}
			}
		}})
	}
	return out
}

// A walker takes random steps with an engine and its model. The test's time is always a whole
// second and every deadline lies between two of them, so nothing hangs on the order within a
// moment.
type walker struct {
	*world
	m      *model
	rng    *rand.Rand
	bodies int
	run    int    // number of the run that is dispatched now
	next   uint32 // its next position
}

var walkQueues = []string{"q0", "q1", glassq.DefaultResults}

func (k *walker) runName() string { return fmt.Sprintf("run%d", k.run) }

func (k *walker) body() []byte {
	k.bodies++
	return fmt.Appendf(nil, "body %d", k.bodies)
}

func (k *walker) one(of int) bool { return k.rng.IntN(of) == 0 }

func (k *walker) step() string {
	queue := walkQueues[k.rng.IntN(2)]
	switch x := k.rng.IntN(100); {
	case x < 25:
		k.putSome(queue)
		return "put"
	case x < 50:
		k.reserveSome(walkQueues[k.rng.IntN(3)])
		return "reserve"
	case x < 65:
		k.ackSome()
		return "ack"
	case x < 77:
		k.nackOne()
		return "nack"
	case x < 80:
		k.ackStale()
		return "stale ack"
	case x < 91:
		// What the engine need not have made durable by itself is before this put, so that only
		// this moment's hand-outs can be lost by an end.
		k.put(glassq.Task{Queue: "barrier"})
		time.Sleep(time.Duration(1+k.rng.IntN(12)) * time.Second)
		k.m.advance(time.Now())
		return "sleep"
	case x < 92:
		want := k.m.purge(queue)
		if n, err := k.store().Purge(k.Context(), queue); k.exists(err) && n != want {
			k.Errorf("Purge(%s) = %d; want %d", queue, n, want)
		}
		return "purge"
	case x < 93:
		want := k.m.purgeDead(queue)
		if n, err := k.store().Purge(k.Context(), queue, glassq.Dead); k.exists(err) && n != want {
			k.Errorf("Purge(%s, dead) = %d; want %d", queue, n, want)
		}
		return "purge of the dead"
	case x < 95:
		want := k.m.redrive(queue)
		if n, err := k.store().Redrive(k.Context(), queue, 0); k.exists(err) && n != want {
			k.Errorf("Redrive(%s) = %d; want %d", queue, n, want)
		}
		return "redrive"
	case x < 96:
		return k.cancelOne()
	case x < 98:
		k.end(k.sys.Kill)
		return "kill"
	case x < 99:
		k.end(k.sys.PowerCut)
		return "power cut"
	}
	k.end(k.sys.Restart)
	return "restart"
}

// end ends the engine and opens it again. That must take no time: what the engine does by its clock
// meanwhile, the model would not know.
func (k *walker) end(how func(testing.TB)) {
	before := time.Now()
	how(k.T)
	k.reconcile()
	if took := time.Since(before); took != 0 {
		k.Fatalf("the engine was away for %v; want no time", took)
	}
}

// exists accepts not_found of a queue that was never used.
func (k *walker) exists(err error) bool {
	if err != nil && glassq.CodeOf(err) != glassq.CodeNotFound {
		k.Errorf("operator's verb = %v", err)
	}
	return err == nil
}

func (k *walker) putSome(queue string) {
	ts := make([]glassq.Task, 1+k.rng.IntN(5))
	for i := range ts {
		t := glassq.Task{Queue: queue, Body: k.body(), Priority: glassq.Level(k.rng.IntN(3))}
		switch k.rng.IntN(4) {
		case 0: // without run or id
		case 1:
			t.ID = fmt.Sprintf("id %d", k.rng.IntN(60))
		case 2:
			t.Run = k.runName()
		case 3:
			t.Run, t.Dense, t.Position = k.runName(), true, k.next
			if k.next > 0 && k.one(3) {
				t.Position = k.rng.Uint32N(k.next) // may be a duplicate
			} else if k.next++; k.one(5) {
				k.next++ // leaves a gap
			}
			if k.one(3) {
				t.Range = &glassq.Range{Count: 1 + k.rng.Uint64N(6)}
				t.Body = append(t.Body, " {0}"...)
				k.next = max(k.next, t.Position+uint32(t.Range.Count))
			}
		}
		switch k.rng.IntN(5) {
		case 0:
			t.TTL = time.Duration(1+k.rng.IntN(40))*time.Second + 250*time.Millisecond
		case 1:
			t.Attempts = 1 + k.rng.IntN(3)
		}
		if k.one(4) {
			t.Delay = time.Duration(k.rng.IntN(20))*time.Second + 750*time.Millisecond
		}
		ts[i] = t
	}
	// The window of ids that others chose may end within the walk; an id of unsure age is not put.
	now := time.Now()
	for i := range ts {
		if id, ok := k.m.ids[queue][ts[i].ID]; ok && now.Sub(id.at) > glassq.DedupWindow-time.Minute &&
			now.Sub(id.at) < glassq.DedupWindow+time.Minute {
			ts[i].ID = ""
		}
	}
	for i, r := range k.put(ts...) {
		if t := ts[i]; t.Range != nil {
			stored := uint64(0)
			for n := range t.Range.Count {
				x := t
				x.Range, x.Position = nil, t.Position+uint32(n)
				x.Body = append(t.Body[:len(t.Body)-len("{0}"):len(t.Body)-len("{0}")], fmt.Sprint(x.Position)...)
				if k.m.add(&x, now) {
					stored++
				}
			}
			if r.Put != stored || r.Duplicate != (stored == 0) {
				k.Errorf("Put of a range = %+v; want %d stored", r, stored)
			}
			continue
		}
		if stored := k.m.add(&ts[i], now); stored == r.Duplicate {
			k.Errorf("Put of %q (id %q) = %+v; want duplicate %v", ts[i].Body, ts[i].TaskID(), r, !stored)
		}
	}
}

func (k *walker) reserveSome(queue string) {
	length := time.Duration(3+k.rng.IntN(20))*time.Second + 500*time.Millisecond
	now := time.Now()
	for _, l := range k.reserveFor(queue, 1+k.rng.IntN(5), length) {
		t := k.m.tasks[string(l.Body)]
		switch {
		case t == nil || t.state != glassq.Ready || t.queue != queue:
			k.Errorf("handed out %q of %s, which is %+v in the model", l.Body, queue, t)
			continue
		case l.Attempt != t.attempt+1 || l.Number <= k.m.number || now.Before(t.notBefore):
			k.Errorf("handed out %q as attempt %d, number %d; want attempt %d, a number over %d, not before %v",
				l.Body, l.Attempt, l.Number, t.attempt+1, k.m.number, t.notBefore)
		}
		k.m.number = l.Number
		t.state, t.attempt, t.lease, t.deadline = glassq.Leased, l.Attempt, l.Token(), now.Add(length)
	}
}

// leased picks a task whose live lease is known, or nil.
func (k *walker) leased() *modelTask {
	var some []*modelTask
	for _, body := range k.m.order {
		if t := k.m.tasks[body]; t.state == glassq.Leased && t.lease.Number != 0 {
			some = append(some, t)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[k.rng.IntN(len(some))]
}

func (k *walker) ackSome() {
	for range 1 + k.rng.IntN(4) {
		t := k.leased()
		if t == nil {
			return
		}
		a := glassq.Ack{Token: t.lease, Outcome: glassq.Outcome(k.rng.IntN(2))}
		if !t.result && k.one(2) {
			a.Result = &glassq.Task{Body: k.body()}
		}
		if !t.result && !k.m.cancelled[t.run] && k.one(3) {
			a.Put = []glassq.Task{{Queue: "q1", Body: k.body()}}
		}
		k.world.ack(a)
		k.m.ack(t, &a, time.Now())
		if k.one(4) {
			k.world.ack(glassq.Ack{Token: a.Token, Outcome: glassq.Failed, Result: &glassq.Task{Body: k.body()}})
		}
	}
}

func (k *walker) nackOne() {
	t := k.leased()
	if t == nil {
		return
	}
	n := glassq.Nack{Token: t.lease, Delay: glassq.AtOnce}
	switch k.rng.IntN(4) {
	case 0:
		n.Undone = true
		n.Delay = time.Duration(k.rng.IntN(3)) * 1750 * time.Millisecond
	case 1:
		n.Delay = 0
	case 2:
		n.Delay = time.Duration(k.rng.IntN(10))*time.Second + 750*time.Millisecond
	case 3:
		n.Dead = t.ttl.IsZero() // what becomes of a redriven task after its ttl is not a law
	}
	k.world.nack(n)
	k.m.nack(t, &n, time.Now())
}

// ackStale acks a lease that ended, without an ack, before this moment.
func (k *walker) ackStale() {
	if len(k.m.ended) == 0 {
		return
	}
	x := k.m.ended[k.rng.IntN(len(k.m.ended))]
	if time.Since(x.at) < time.Second {
		return
	}
	k.code("stale Ack of "+x.token.String(), k.tryAck(glassq.Ack{Token: x.token,
		Result: &glassq.Task{Body: k.body()}})[0], glassq.CodeLeaseLost)
}

func (k *walker) cancelOne() string {
	name := k.runName()
	if k.m.rbooks[name] == nil {
		return "nothing"
	}
	want := k.m.cancel(name)
	if n, err := k.store().CancelRun(k.Context(), name); err != nil || n != want {
		k.Errorf("CancelRun(%s) = %d, %v; want %d", name, n, err, want)
	}
	k.run++
	k.next = 0
	return "cancel of " + name
}
