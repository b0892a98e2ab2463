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
		{"a halt without a probe ends by hand, and so does any", haltByHand},
		{"a new rule counts anew, and none ends a halt", haltRules},
	}, perEnd("a halt and its count survive", haltSurvives))
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
