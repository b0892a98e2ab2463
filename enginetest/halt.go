package enginetest

import (
	"slices"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// A queue whose tasks fail too often pauses its hand-outs, see glassq.Settings.Halt.
func haltLaws() []law {
	return slices.Concat([]law{
		{"a queue halts with the ending that goes beyond its rule, and not before", haltsAtOnce},
		{"what counts as failed are failed acks, counted nacks and leases that run out", haltCounts},
		{"only the last endings count", haltForgets},
		{"after a halt one probe goes out; it ends the halt or halts again", haltProbes},
		{"a reserve that waits gets the next probe when one is put off", haltPutOff},
		{"a halt without a probe ends by hand, and so does any", haltByHand},
		{"a new rule counts anew, and none ends a halt", haltRules},
	}, perEnd("a halt and its count survive", haltSurvives), keyHaltLaws())
}

// keyHaltLaws are those of glassq.Settings.HaltPer. An engine without glassq.Keys passes over them.
func keyHaltLaws() []law {
	return lawsOf[glassq.Keys](slices.Concat([]law{
		{"keys: one that fails is halted, and no other", keyHalts},
		{"keys: each halted one sends one probe; it ends the halt or halts again", keyProbes},
		{"keys: a halt ends by hand, of one or of all", keyHaltByHand},
		{"keys: what is counted for one goes with the rule, and after a day", keyHaltForgets},
	}, perEnd("keys: a halt and its count survive", keyHaltSurvives)))
}

// rule sets the rule of queue q; resume is 0 for by hand.
func (w *world) rule(rule string, resume time.Duration) {
	w.Helper()
	seconds := resume.Seconds()
	w.configure("q", glassq.SettingsChange{Halt: &rule, HaltResume: &seconds})
}

// fail takes the next n tasks of q and acks them as failed.
func (w *world) fail(n int) { w.finish(n, glassq.Failed) }

func (w *world) finish(n int, as glassq.Outcome) {
	w.Helper()
	for range n {
		w.ack(withResult(w.one("q"), as, "done"))
	}
}

// halted checks that q hands out nothing, and says so.
func (w *world) halted() glassq.Halted {
	w.Helper()
	w.none("q")
	h := w.queue("q").Halted
	if !h.Now() {
		w.Fatalf("the queue hands out nothing, and does not say that it is halted")
	}
	return h
}

func (w *world) notHalted() {
	w.Helper()
	if h := w.queue("q").Halted; h.Now() {
		w.Fatalf("the queue is %v; want it to hand out", h)
	}
}

func haltsAtOnce(w *world) {
	w.rule("failed>40% of 5", time.Minute)
	w.put(tasks("q", numbered(20)...)...)
	w.fail(2)
	w.finish(2, glassq.OK)
	w.notHalted() // four endings are not five
	late := w.one("q")
	w.finish(1, glassq.OK)
	w.notHalted() // two of five are 40 per cent
	w.fail(1)
	w.notHalted() // the first failures are no more among the last five
	w.fail(1)
	w.notHalted()
	w.fail(1)
	if h := w.halted(); h.Why != "3 of the last 5 endings failed (failed>40% of 5)" || h.Until.Sub(h.Since) != time.Minute {
		w.Errorf("halted: %+v; want 3 of 5, and a probe after a minute", h)
	}
	w.ack(withResult(late, glassq.OK, "late")) // a lease that is out goes on, and counts for nothing
	w.halted()
	w.books("q", glassq.Books{Put: 20, OK: 4, Failed: 5})
	got, err := w.store().Reserve(w.Context(), glassq.Reserve{Queue: "q", Max: 1, Look: true})
	if err != nil || len(got) != 1 {
		w.Errorf("a look at a halted queue = %d tasks, %v; want one", len(got), err)
	}
}

func haltCounts(w *world) {
	w.rule("failed>99% of 4", 0)
	w.put(tasks("q", numbered(20)...)...)
	w.nack(glassq.Nack{Token: w.one("q").Token(), Dead: true})
	w.nack(glassq.Nack{Token: w.one("q").Token(), Undone: true})
	w.nack(glassq.Nack{Token: w.one("q").Token(), Undone: true, Delay: time.Hour})
	w.nack(glassq.Nack{Token: w.one("q").Token(), Delay: time.Hour})
	w.one("q")
	time.Sleep(leaseTime + 10*time.Second)
	w.notHalted()
	w.fail(1)
	w.halted()
}

func haltForgets(w *world) {
	w.rule("failed>50% of 4", 0)
	w.put(tasks("q", numbered(40)...)...)
	for range 5 {
		w.fail(2)
		w.finish(2, glassq.OK)
	}
	w.notHalted()
	w.fail(2)
	w.notHalted()
	w.fail(1)
	w.halted()
}

func haltProbes(w *world) {
	w.rule("failed>0% of 1", time.Minute)
	w.put(tasks("q", numbered(20)...)...)
	w.fail(1)
	w.halted()
	a := w.ask(glassq.Reserve{Queue: "q", Max: 10, Wait: time.Hour, Lease: 10 * time.Second})
	time.Sleep(59 * time.Second)
	synctest.Wait()
	if a.over() {
		w.Fatalf("a probe came before its time: %v, %v", a.leases, a.err)
	}
	<-a.done
	if len(a.leases) != 1 || a.took != time.Minute {
		w.Fatalf("the probe = %d tasks after %v; want one after a minute", len(a.leases), a.took)
	}
	w.halted()                                                       // while it is out
	w.nack(glassq.Nack{Token: a.leases[0].Token(), Undone: true})    // another may go
	w.nack(glassq.Nack{Token: w.one("q").Token(), Delay: time.Hour}) // it failed
	w.halted()
	time.Sleep(time.Minute)
	w.one("q")
	w.halted()
	time.Sleep(leaseTime) // one that expires counts as failed
	w.halted()
	time.Sleep(time.Minute)
	w.finish(1, glassq.OK)
	w.notHalted()
	w.finish(3, glassq.OK)
	w.fail(1) // it counts anew
	w.halted()
}

func haltPutOff(w *world) {
	w.rule("failed>0% of 1", time.Minute)
	w.put(tasks("q", numbered(3)...)...)
	w.fail(1)
	w.halted()
	time.Sleep(time.Minute)
	probe := w.one("q")
	a := w.ask(glassq.Reserve{Queue: "q", Max: 1, Wait: time.Hour, Lease: 10 * time.Second})
	time.Sleep(time.Second)
	synctest.Wait()
	if a.over() {
		w.Fatalf("two probes are out: %v, %v", a.leases, a.err)
	}
	w.nack(glassq.Nack{Token: probe.Token(), Undone: true, Delay: 10 * time.Minute})
	<-a.done
	if len(a.leases) != 1 || a.took > 5*time.Second {
		w.Fatalf("the next probe = %d tasks, %v, after %v; want one when the first was put off", len(a.leases), a.err, a.took)
	}
	w.halted()
}

func haltByHand(w *world) {
	no := false
	w.put(tasks("q", numbered(20)...)...)
	for _, resume := range []time.Duration{0, time.Hour} {
		w.rule("failed>0% of 1", resume)
		w.fail(1)
		if h := w.halted(); h.Until.IsZero() != (resume == 0) {
			w.Errorf("halted with resume %v: %+v", resume, h)
		}
		time.Sleep(30 * time.Minute)
		w.halted()
		w.configure("q", glassq.SettingsChange{Paused: &no})
		w.notHalted()
		w.finish(2, glassq.OK)
	}
}

func haltRules(w *world) {
	w.put(tasks("q", numbered(20)...)...)
	w.rule("failed>0% of 2", 0)
	w.fail(1)
	w.rule("failed>0% of 2", time.Minute) // the rule is the same
	w.finish(1, glassq.OK)
	w.halted()
	w.rule("failed>10% of 2", time.Minute)
	w.notHalted()
	w.fail(1)
	w.notHalted()
	w.fail(1)
	w.halted()
	w.rule("", 0)
	w.notHalted()
	w.fail(5)
	w.notHalted()
}

func haltSurvives(w *world, end func()) {
	w.rule("failed>50% of 4", time.Hour)
	w.put(tasks("q", numbered(20)...)...)
	w.fail(2)
	w.finish(1, glassq.OK)
	end()
	w.notHalted()
	w.fail(1)
	was := w.halted()
	end()
	if is := w.halted(); is.Why != was.Why || !is.Since.Equal(was.Since) || !is.Until.Equal(was.Until) {
		w.Errorf("after the end it is halted: %+v; before it was %+v", is, was)
	}
	time.Sleep(2 * time.Hour)
	probe := w.one("q")
	w.ack(withResult(probe, glassq.Failed, "no"))
	end()
	w.halted()
	time.Sleep(2 * time.Hour)
	w.finish(1, glassq.OK)
	end()
	w.notHalted()
	w.finish(3, glassq.OK)
}

// keyRule sets the rule of the keys of q.
func (w *world) keyRule(rule string, resume time.Duration) {
	w.Helper()
	seconds := resume.Seconds()
	w.configure("q", glassq.SettingsChange{Halt: &rule, HaltPer: new(glassq.HaltPerKey), HaltResume: &seconds})
}

// failKey puts n tasks of a key, and acks them as failed.
func (w *world) failKey(key string, n int) {
	w.Helper()
	for range n {
		w.put(keyed("q", key, "x")...)
		l := w.one("q")
		if l.Key != key {
			w.Fatalf("a task of %q came; want one of %q", l.Key, key)
		}
		w.ack(withResult(l, glassq.Failed, "no"))
	}
}

// haltedKeys checks which keys are halted, the last of them at the end.
func (w *world) haltedKeys(want ...string) {
	w.Helper()
	keys, err := part[glassq.Keys](w).Keys(w.Context(), "q", "", 100)
	if err != nil {
		w.Fatal(err)
	}
	var got []string
	for _, k := range keys {
		if k.Halted.Now() {
			got = append(got, k.Key)
		}
	}
	info := w.queue("q").HaltedKeys
	last := ""
	if len(want) > 0 {
		last = want[len(want)-1]
	}
	if slices.Sort(want); !slices.Equal(got, want) || info.Count != int64(len(want)) || info.Last != last {
		w.Fatalf("halted keys %q, and the queue says %+v; want %q, the last %q", got, info, want, last)
	}
}

func keyHalts(w *world) {
	w.keyRule("failed>40% of 5", 0)
	for range 3 {
		w.failKey("bad", 1)
		w.put(keyed("q", "good", "x")...)
		w.finish(1, glassq.OK)
		w.failKey("", 2) // tasks without a key are no key
	}
	w.haltedKeys()
	w.put(keyed("q", "bad", "a", "b", "c")...)
	w.finish(1, glassq.OK)
	out := w.one("q")
	w.finish(1, glassq.OK)
	w.haltedKeys("bad") // three of five, and nothing of it is ready or leased but one
	w.ack(withResult(out, glassq.OK, "late"))
	w.put(keyed("q", "bad", "d")...)
	w.none("q")
	w.haltedKeys("bad")
	w.put(keyed("q", "good", "e")...)
	w.put(keyed("q", "", "f")...)
	w.finish(2, glassq.OK)
	w.none("q")
	if why := w.queue("q").HaltedKeys.Halted.Why; why != "3 of the last 5 endings failed (failed>40% of 5)" {
		w.Errorf("bad is halted: %q", why)
	}
	if n := w.queue("q").Keys; n == nil || n.Halted != 1 || n.Waiting != 1 {
		w.Errorf("counts of keys %+v; want one that waits and is halted", n)
	}
}

func keyProbes(w *world) {
	w.keyRule("failed>0% of 1", time.Minute)
	w.configure("q", glassq.SettingsChange{Keys: &glassq.KeyRules{KeyLimits: glassq.KeyLimits{Weight: new(5)}}})
	w.failKey("a", 1)
	w.failKey("b", 1)
	w.haltedKeys("a", "b")
	w.put(keyed("q", "a", "1", "2", "3")...)
	w.put(keyed("q", "b", "1", "2", "3")...)
	a := w.ask(glassq.Reserve{Queue: "q", Max: 10, Wait: time.Hour, Lease: 10 * time.Second})
	<-a.done
	if got := keysOf(a.leases); len(a.leases) != 2 || a.leases[0].Key == a.leases[1].Key || a.took != time.Minute {
		w.Fatalf("probes of %q after %v; want one of each key after a minute", got, a.took)
	}
	w.none("q")
	if a.leases[0].Key == "b" {
		slices.Reverse(a.leases)
	}
	w.nack(glassq.Nack{Token: a.leases[0].Token(), Undone: true}) // another may go
	w.ack(withResult(&a.leases[1], glassq.Failed, "no"))
	w.haltedKeys("a", "b")
	if l := w.one("q"); l.Key != "a" {
		w.Errorf("the probe is of %q; want a", l.Key)
	}
	time.Sleep(leaseTime + time.Second) // one that expires counts as failed
	w.haltedKeys("a", "b")
	time.Sleep(2 * time.Minute)
	w.finish(2, glassq.OK)
	w.haltedKeys()
	w.finish(3, glassq.OK)
}

func keyHaltByHand(w *world) {
	w.keyRule("failed>0% of 1", 0)
	for _, key := range []string{"a", "b", "c"} {
		w.failKey(key, 1)
	}
	w.put(keyed("q", "b", "1")...)
	w.put(keyed("q", "c", "1")...)
	time.Sleep(48 * time.Hour)
	w.haltedKeys("a", "b", "c")
	keys := part[glassq.Keys](w)
	for _, key := range []string{"c", "a"} {
		if err := keys.ReleaseKey(w.Context(), "q", key); err != nil {
			w.Fatalf("ReleaseKey(%s): %v", key, err)
		}
	}
	if err := keys.ReleaseKey(w.Context(), "q", "a"); glassq.CodeOf(err) != glassq.CodeNotFound {
		w.Errorf("a second release = %v; want not_found", err)
	}
	w.haltedKeys("b")
	w.finish(1, glassq.OK)
	w.none("q")
	w.failKey("c", 1)
	w.configure("q", glassq.SettingsChange{Paused: new(false)})
	w.haltedKeys()
	w.finish(1, glassq.OK)
}

func keyHaltForgets(w *world) {
	w.keyRule("failed>50% of 4", 0)
	w.failKey("a", 3)
	w.keyRule("failed>40% of 4", 0)
	w.failKey("a", 3)
	time.Sleep(23 * time.Hour)
	w.failKey("a", 1)
	w.haltedKeys("a")
	w.keyRule("failed>50% of 4", 0)
	w.haltedKeys()
	w.failKey("a", 3)
	time.Sleep(24 * time.Hour)
	w.failKey("b", 1)
	w.failKey("a", 3)
	w.haltedKeys()
	w.failKey("a", 1)
	w.haltedKeys("a")
	w.put(keyed("q", "a", "x")...)
	w.configure("q", glassq.SettingsChange{HaltPer: new(glassq.HaltPerQueue)})
	w.haltedKeys()
	w.finish(1, glassq.OK)
}

func keyHaltSurvives(w *world, end func()) {
	w.keyRule("failed>50% of 4", time.Hour)
	w.failKey("a", 2)
	w.failKey("b", 4)
	w.put(keyed("q", "b", "1", "2", "3")...)
	end()
	w.haltedKeys("b")
	w.none("q")
	w.failKey("a", 2)
	end()
	w.haltedKeys("b", "a")
	time.Sleep(2 * time.Hour)
	w.ack(withResult(w.one("q"), glassq.Failed, "no"))
	end()
	w.none("q")
	w.haltedKeys("b", "a")
	time.Sleep(2 * time.Hour)
	w.finish(1, glassq.OK)
	end()
	w.haltedKeys("a")
	w.finish(1, glassq.OK)
}
