package enginetest

import (
	"slices"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// P4: one live lease per task, numbers that are never used twice, acks that may be repeated.
func leaseLaws() []law {
	return slices.Concat([]law{
		{"P4 lease numbers grow and are never used twice, whatever ends", numbersGrow},
		{"P4 a hand-out lost by a power cut cannot be acked", lostHandOut},
		{"P4 many callers, one live lease per task", oneLiveLease},
		{"P4 an expired lease is lost before and after the next hand-out", staleLease},
		{"P4 a number with the wrong queue is not found", wrongQueue},
		{"P4 a number alone names its lease, live and acked", numberAlone},
		{"P4 an unknown number is lost", unknownNumber},
		{"P4 a repeated ack is OK and changes nothing", repeatedAck},
		{"P4 a repeated ack in the same call is OK and changes nothing", repeatedInOneCall},
		{"P4 an acked number is forgotten after 10 minutes", ackedForgotten},
		{"P4 an acked lease is neither nacked nor extended", ackedIsOver},
	}, perEnd("P4 a repeated ack is OK", repeatedAckAfter))
}

func numbersGrow(w *world) {
	w.put(tasks("q", numbered(40)...)...)
	last := uint64(0)
	ends := []func(){
		func() { w.sys.PowerCut(w.T) },
		func() { w.sys.Kill(w.T) },
		func() { w.sys.Restart(w.T) },
		func() {},
	}
	for round := range 24 {
		ls := w.reserve("q", 1+round%5)
		if len(ls) == 0 {
			w.Fatalf("round %d: nothing to reserve", round)
		}
		for _, l := range ls {
			if l.Number <= last || l.Number >= 1<<53 {
				w.Fatalf("round %d: lease number %d; want over %d and below 2^53", round, l.Number, last)
			}
			last = l.Number
		}
		if round%3 == 0 {
			w.nack(glassq.Nack{Token: ls[0].Token(), Undone: true})
		}
		ends[round%len(ends)]()
		if round%6 == 5 {
			time.Sleep(20 * time.Minute)
		}
	}
}

// lostHandOut cuts the power between a hand-out and its sync. The engine may have kept the lease,
// and then its ack is good; or not, and then the task is ready and the old number means nothing.
func lostHandOut(w *world) {
	w.put(tasks("q", numbered(20)...)...)
	acked := uint64(0)
	for range 10 {
		l := w.one("q")
		w.sys.PowerCut(w.T)
		if q := w.queue("q"); q.Leased > 0 {
			w.ack(glassq.Ack{Token: l.Token()})
			acked++
			continue
		}
		w.lost(l.Token())
		again := w.one("q")
		if string(again.Body) != string(l.Body) || again.Number <= l.Number {
			w.Fatalf("after the cut the queue hands out task %s as number %d; want %s, over %d",
				again.Body, again.Number, l.Body, l.Number)
		}
		w.lost(l.Token())
		w.ack(glassq.Ack{Token: again.Token()})
		acked++
	}
	w.books("q", glassq.Books{Put: 20, OK: acked})
	if got := len(w.drain("q")); got != 10 {
		w.Errorf("10 of 20 tasks were acked and %d came later; want 10", got)
	}
}

func oneLiveLease(w *world) {
	const n, callers = 500, 8
	w.put(tasks("q", numbered(n)...)...)
	var mu sync.Mutex
	seen := map[string]int{}
	numbers := map[uint64]bool{}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for {
				ls, err := w.store().Reserve(w.Context(), glassq.Reserve{Queue: "q", Max: 1 + c, Lease: leaseTime})
				if err != nil || len(ls) == 0 {
					if err != nil {
						w.Errorf("Reserve = %v", err)
					}
					return
				}
				mu.Lock()
				for _, l := range ls {
					seen[string(l.Body)]++
					numbers[l.Number] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for body, k := range seen {
		if k != 1 {
			w.Errorf("task %s has %d live leases; want 1", body, k)
		}
	}
	if len(seen) != n || len(numbers) != n {
		w.Errorf("%d tasks were handed out with %d numbers; want %d and %d", len(seen), len(numbers), n, n)
	}
}

func staleLease(w *world) {
	w.put(tasks("q", "a")...)
	first := w.one("q")
	time.Sleep(leaseTime + time.Second)
	w.lost(first.Token())
	second := w.one("q")
	w.lost(first.Token())
	w.held("q", 0, 0, 1, 0) // the newer lease is untouched
	w.ack(withResult(second, glassq.OK, "good"))
	w.lost(first.Token())
	w.want("results", "good")
	w.none("follow")
	w.books("q", glassq.Books{Put: 1, OK: 1})
}

func wrongQueue(w *world) {
	w.put(tasks("q", "a")...)
	w.put(tasks("other", "b")...)
	l := w.one("q")
	wrong := glassq.Token{Queue: "other", Number: l.Number}
	w.lost(wrong)
	w.lost(glassq.Token{Queue: "never", Number: l.Number})
	w.held("q", 0, 0, 1, 0)
	w.ack(glassq.Ack{Token: l.Token()})
	w.lost(wrong)
	w.want("other", "b")
	w.none("results")
}

func numberAlone(w *world) {
	w.put(tasks("q", "a", "b", "c")...)
	a, b, c := w.one("q"), w.one("q"), w.one("q")
	alone := func(l *glassq.Lease) glassq.Token { return glassq.Token{Number: l.Number} }
	if err := w.tryExtend(alone(a), time.Hour); err != nil {
		w.Errorf("Extend of a number alone = %v; want nil", err)
	}
	ack := withResult(a, glassq.OK, "done")
	ack.Token = alone(a)
	w.ack(ack)
	w.ack(ack)
	w.lost(glassq.Token{Queue: "other", Number: a.Number})
	w.ack(glassq.Ack{Token: a.Token()})
	w.nack(glassq.Nack{Token: alone(b), Undone: true})
	if got := w.one("q"); string(got.Body) != "b" || got.Attempt != 1 {
		w.Errorf("after the undone nack by number: task %s, attempt %d; want b, 1", got.Body, got.Attempt)
	}
	w.lost(alone(b))
	w.lost(glassq.Token{Number: c.Number + 1000})
	w.ack(acksOf(w.want("results", "done"))...)
	w.sys.PowerCut(w.T)
	w.ack(ack)
	w.none("results")
}

func unknownNumber(w *world) {
	w.put(tasks("q", "a")...)
	l := w.one("q")
	for _, n := range []uint64{1, l.Number + 1, l.Number + 1_000_000, 1<<53 - 1} {
		if n != l.Number {
			w.lost(glassq.Token{Queue: "q", Number: n})
		}
	}
	w.ack(glassq.Ack{Token: l.Token()})
}

// repeat acks l again with another outcome, result and follow-up; nothing may change.
func (w *world) repeat(l *glassq.Lease) {
	w.Helper()
	again := withResult(l, glassq.Failed, "another result")
	again.Put = tasks("follow", "another follow-up")
	w.ack(again)
	w.held("follow", 0, 0, 0, 0)
	w.books("q", glassq.Books{Put: 2, OK: 1})
	w.books("results", glassq.Books{Put: 1})
}

func repeatedAck(w *world) {
	w.put(tasks("q", "a", "b")...)
	l := w.one("q")
	w.ack(withResult(l, glassq.OK, "result"))
	w.repeat(l)
	time.Sleep(9 * time.Minute)
	w.repeat(l)
	w.want("results", "result")
}

func repeatedAckAfter(w *world, end func()) {
	w.put(tasks("q", "a", "b")...)
	l := w.one("q")
	w.ack(withResult(l, glassq.OK, "result"))
	for range 3 {
		end()
		w.repeat(l)
		time.Sleep(2 * time.Minute)
	}
	w.lost(glassq.Token{Queue: "results", Number: l.Number})
	time.Sleep(5 * time.Minute)
	w.lost(l.Token())
	w.want("results", "result")
}

func repeatedInOneCall(w *world) {
	w.put(tasks("q", "a", "b")...)
	l := w.one("q")
	w.ack(withResult(l, glassq.OK, "first"), withResult(l, glassq.Failed, "second"))
	w.want("results", "first")
	w.books("q", glassq.Books{Put: 2, OK: 1})
	w.repeat(l)
}

func ackedForgotten(w *world) {
	w.put(tasks("q", "a", "b")...)
	l := w.one("q")
	w.ack(withResult(l, glassq.OK, "result"))
	time.Sleep(glassq.AckedWindow - time.Second)
	w.repeat(l)
	time.Sleep(2 * time.Second)
	w.lost(l.Token())
	w.want("results", "result")
	w.books("q", glassq.Books{Put: 2, OK: 1})
}

func ackedIsOver(w *world) {
	w.put(tasks("q", "a")...)
	l := w.one("q")
	w.ack(glassq.Ack{Token: l.Token()})
	w.code("Nack after the ack", w.tryNack(glassq.Nack{Token: l.Token()}), glassq.CodeLeaseLost)
	w.code("Extend after the ack", w.tryExtend(l.Token(), leaseTime), glassq.CodeLeaseLost)
	w.none("q")
	w.books("q", glassq.Books{Put: 1, OK: 1})
}
