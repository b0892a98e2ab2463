package enginetest

import (
	"context"
	"errors"
	"slices"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// P7: extra deliveries are bounded by what was in flight.
func crashLaws() []law {
	return slices.Concat([]law{
		{"P7 a cancelled reserve leases nothing and counts no attempt", cancelledReserve},
		{"P7 a cancel that races with a put leases or does not", cancelRacesPut},
		{"P7 without trouble nothing is delivered twice", noDuplicates},
		{"P7 a take is booked and never delivered again", takes},
	}, perEnd("P7 an end repeats at most what was in flight", boundedRepeats))
}

func boundedRepeats(w *world, end func()) {
	w.put(tasks("q", numbered(100)...)...)
	w.ack(acksOf(w.reserve("q", 60))...)
	flight := bodiesOf(w.reserve("q", 10))
	end()
	got := w.drain("q")
	for _, l := range got {
		switch {
		case slices.Contains(flight, string(l.Body)):
			if l.Attempt > 2 {
				w.Errorf("task %s in flight came back as attempt %d; want at most 2", l.Body, l.Attempt)
			}
		case l.Attempt != 1:
			w.Errorf("task %s was not in flight and came as attempt %d; want 1", l.Body, l.Attempt)
		}
	}
	if bodies := sorted(bodiesOf(got)); !slices.Equal(bodies, sorted(numbered(100)[60:])) {
		w.Errorf("after the end came %q; want 60 to 99, once each", bodies)
	}
}

func cancelledReserve(w *world) {
	ctx, cancel := context.WithCancel(w.Context())
	var err error
	var got []glassq.Lease
	done := make(chan struct{})
	s := w.store()
	go func() {
		defer close(done)
		got, err = s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 5, Wait: -1, Lease: leaseTime})
	}()
	synctest.Wait()
	cancel()
	<-done
	if !errors.Is(err, context.Canceled) || len(got) > 0 {
		w.Fatalf("cancelled Reserve = %d leases, %v; want none, %v", len(got), err, context.Canceled)
	}
	w.put(tasks("q", "a")...)
	synctest.Wait()
	w.held("q", 0, 1, 0, 0)
	if got, err = s.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 5, Lease: leaseTime}); err == nil || len(got) > 0 {
		w.Fatalf("Reserve with a cancelled context = %d leases, %v; want an error", len(got), err)
	}
	if l := w.one("q"); l.Attempt != 1 {
		w.Errorf("attempt after two cancelled reserves = %d; want 1", l.Attempt)
	}
}

func cancelRacesPut(w *world) {
	const rounds = 300
	leased := 0
	for i := range rounds {
		ctx, cancel := context.WithCancel(w.Context())
		var err error
		var got []glassq.Lease
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err = w.store().Reserve(ctx, glassq.Reserve{Queue: "q", Max: 5, Wait: -1, Lease: leaseTime})
		}()
		if i%2 == 0 {
			synctest.Wait()
		}
		go cancel()
		w.put(tasks("q", "a")...)
		<-done
		cancel()
		synctest.Wait() // what is to be given back has been
		if err != nil {
			if len(got) > 0 {
				w.Fatalf("round %d: Reserve = %d leases and %v", i, len(got), err)
			}
			l := w.one("q")
			if l.Attempt != 1 {
				w.Fatalf("round %d: attempt after a cancelled Reserve = %d; want 1", i, l.Attempt)
			}
			w.ack(glassq.Ack{Token: l.Token()})
			continue
		}
		leased++
		if len(got) != 1 || got[0].Attempt != 1 {
			w.Fatalf("round %d: Reserve = %+v; want one lease of attempt 1", i, got)
		}
		w.ack(acksOf(got)...)
	}
	w.Logf("%d of %d reserves were served before the cancel", leased, rounds)
	w.books("q", glassq.Books{Put: rounds, OK: rounds})
}

func noDuplicates(w *world) {
	const n = 1000
	w.put(tasks("q", numbered(n)...)...)
	seen := map[string]bool{}
	for i := 0; i < n; {
		ls := w.reserve("q", 37)
		if len(ls) == 0 {
			w.Fatalf("only %d of %d came", i, n)
		}
		for _, l := range ls {
			if seen[string(l.Body)] || l.Attempt != 1 {
				w.Fatalf("task %s came again, attempt %d", l.Body, l.Attempt)
			}
			seen[string(l.Body)] = true
		}
		i += len(ls)
		time.Sleep(leaseTime - time.Second)
		w.ack(acksOf(ls)...)
	}
	w.none("q")
}

// takes delivers at most once: what was taken and written does not come back after a kill.
func takes(w *world) {
	w.put(dense("q", "r", 10)...)
	take := func(n int) []string {
		got, err := w.store().Reserve(w.Context(), glassq.Reserve{Queue: "q", Max: n, Take: true})
		w.ok("Reserve to take", err)
		return bodiesOf(got)
	}
	if got := take(4); !slices.Equal(got, numbered(4)) {
		w.Fatalf("take of 4 = %q", got)
	}
	w.books("q", glassq.Books{Put: 10, OK: 4})
	w.sys.Kill(w.T)
	if got := take(2); !slices.Equal(got, []string{"4", "5"}) {
		w.Fatalf("take of 2 after a kill = %q; want 4 and 5", got)
	}
	w.sys.Restart(w.T)
	time.Sleep(leaseTime + time.Second)
	w.want("q", "6", "7", "8", "9")
	w.books("q", glassq.Books{Put: 10, OK: 6})
	w.runBooks("r", glassq.Books{Put: 10, OK: 6})
	a := w.ask(glassq.Reserve{Queue: "p", Max: 1, Wait: -1, Take: true})
	synctest.Wait()
	w.put(tasks("p", "x")...)
	if <-a.done; a.err != nil || len(a.leases) != 1 {
		w.Fatalf("waiting take = %d, %v; want 1", len(a.leases), a.err)
	}
	w.books("p", glassq.Books{Put: 1, OK: 1})
}
