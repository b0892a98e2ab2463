package enginetest

import (
	"errors"
	"fmt"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// Waiting: reserves are parked, served in order, and end in time.
func waitLaws() []law {
	return []law{
		{"waiting reserves are served in order of arrival", waitersInOrder},
		{"a put wakes one waiter for each task", wakesOne},
		{"a reserve that waits in vain returns none, without error", waitInVain},
		{"a waiter takes what a nack, an expiry or a delay makes ready", waitForReturn},
		{"a look shows what comes next, waits for it, and takes nothing", looks},
		{"waiters of one queue leave the others alone", waitersPerQueue},
		{"Close ends every wait and every later call with closed", closeEnds},
		{"stats and queues count what is held", counts},
	}
}

func waitersInOrder(w *world) {
	var waiting []*asked
	for range 5 {
		waiting = append(waiting, w.ask(glassq.Reserve{Queue: "q", Max: 1, Wait: -1, Lease: leaseTime}))
		synctest.Wait()
	}
	for i := range waiting {
		w.put(tasks("q", fmt.Sprint(i))...)
		synctest.Wait()
		for k, a := range waiting {
			if a.over() != (k <= i) {
				w.Fatalf("after put %d, waiter %d over = %v", i, k, a.over())
			}
		}
		if got := bodiesOf(waiting[i].leases); waiting[i].err != nil || len(got) != 1 || got[0] != fmt.Sprint(i) {
			w.Fatalf("waiter %d got %q, %v; want task %d", i, got, waiting[i].err, i)
		}
	}
}

func wakesOne(w *world) {
	var waiting []*asked
	for range 6 {
		waiting = append(waiting, w.ask(glassq.Reserve{Queue: "q", Max: 1, Wait: -1, Lease: leaseTime}))
	}
	synctest.Wait()
	if n := w.queue("q").Waiters; n != 6 {
		w.Errorf("waiters of the queue = %d; want 6", n)
	}
	w.put(tasks("q", "a", "b")...)
	w.put(tasks("q", "c")...)
	synctest.Wait()
	over := 0
	seen := map[string]bool{}
	for _, a := range waiting {
		if a.over() {
			over++
			for _, b := range bodiesOf(a.leases) {
				seen[b] = true
			}
		}
	}
	if over != 3 || len(seen) != 3 || w.queue("q").Waiters != 3 {
		w.Errorf("3 tasks ended %d waits with %d tasks, %d wait on; want 3, 3, 3", over, len(seen), w.queue("q").Waiters)
	}
	w.held("q", 0, 0, 3, 0)
}

func looks(w *world) {
	look := glassq.Reserve{Queue: "q", Max: 1, Look: true, Wait: -1}
	first := w.ask(look)
	synctest.Wait()
	worker := w.ask(glassq.Reserve{Queue: "q", Max: 1, Wait: -1, Lease: leaseTime})
	synctest.Wait()
	w.put(tasks("q", "a")...)
	synctest.Wait()
	for _, a := range []*asked{first, worker} {
		if got := bodiesOf(a.leases); !a.over() || a.err != nil || len(got) != 1 || got[0] != "a" {
			w.Fatalf("a look and a reserve wait, and a task is put: over %v, %q, %v; want it in both", a.over(), got, a.err)
		}
	}
	if l := first.leases[0]; l.Number != 0 || l.Attempt != 0 {
		w.Errorf("the look got number %d, attempt %d; want 0, 0", l.Number, l.Attempt)
	}
	w.put(tasks("q", "b", "c")...)
	behind := w.ask(glassq.Reserve{Queue: "empty", Max: 1, Wait: -1, Lease: leaseTime})
	synctest.Wait()
	for range 2 {
		again := w.ask(look)
		<-again.done
		if got := bodiesOf(again.leases); len(got) != 1 || got[0] != "b" {
			w.Errorf("look = %q, %v; want b", got, again.err)
		}
	}
	w.held("q", 0, 2, 1, 0)
	w.want("q", "b", "c")
	if behind.over() {
		w.Errorf("a look ended another queue's wait")
	}
}

func waitInVain(w *world) {
	a := w.ask(glassq.Reserve{Queue: "q", Max: 3, Wait: 7 * time.Second, Lease: leaseTime})
	<-a.done
	if a.err != nil || len(a.leases) != 0 || a.took < 7*time.Second || a.took > 7100*time.Millisecond {
		w.Errorf("Reserve with wait 7s = %d leases, %v, after %v; want none, nil, 7s", len(a.leases), a.err, a.took)
	}
	start := time.Now()
	w.none("q")
	if d := time.Since(start); d > 100*time.Millisecond {
		w.Errorf("Reserve with wait 0 took %v", d)
	}
	w.put(tasks("q", "a")...)
	synctest.Wait()
	w.held("q", 0, 1, 0, 0) // the wait that is over takes nothing
}

func waitForReturn(w *world) {
	late := glassq.Task{Queue: "q", Body: []byte("a"), Delay: 5 * time.Second}
	w.put(late)
	next := func(after time.Duration, attempt int) *glassq.Lease {
		a := w.ask(glassq.Reserve{Queue: "q", Max: 1, Wait: time.Hour, Lease: 10 * time.Second})
		<-a.done
		if a.err != nil || len(a.leases) != 1 || a.leases[0].Attempt != attempt {
			w.Fatalf("waiting Reserve = %+v, %v; want one lease of attempt %d", a.leases, a.err, attempt)
		}
		if a.took < after-10*time.Millisecond || a.took > after+200*time.Millisecond {
			w.Errorf("attempt %d came after %v; want %v", attempt, a.took, after)
		}
		return &a.leases[0]
	}
	next(5*time.Second, 1)
	l := next(10*time.Second, 2) // by expiry of the first
	w.nack(glassq.Nack{Token: l.Token(), Delay: 3 * time.Second})
	l = next(3*time.Second, 3)
	w.nack(glassq.Nack{Token: l.Token(), Undone: true})
	next(0, 3)
}

func waitersPerQueue(w *world) {
	a := w.ask(glassq.Reserve{Queue: "a", Max: 1, Wait: -1, Lease: leaseTime})
	b := w.ask(glassq.Reserve{Queue: "b", Max: 1, Wait: -1, Lease: leaseTime})
	synctest.Wait()
	w.put(tasks("b", "for b")...)
	synctest.Wait()
	if a.over() || !b.over() {
		w.Fatalf("a put to b ended the wait for a: %v, for b: %v; want false, true", a.over(), b.over())
	}
	w.put(tasks("a", "for a")...)
	if <-a.done; len(a.leases) != 1 || string(a.leases[0].Body) != "for a" {
		w.Errorf("the waiter of a got %q", bodiesOf(a.leases))
	}
}

func closeEnds(w *world) {
	s := w.store()
	w.put(tasks("other", "a")...)
	l := w.one("other")
	var waiting []*asked
	for range 3 {
		waiting = append(waiting, w.ask(glassq.Reserve{Queue: "q", Max: 1, Wait: -1, Lease: leaseTime}))
	}
	awaited := make(chan error, 1)
	go func() {
		_, err := s.AwaitRun(w.Context(), "never", glassq.PhaseExists, time.Hour)
		awaited <- err
	}()
	synctest.Wait()
	w.ok("Close", s.Close())
	for _, a := range waiting {
		<-a.done
		w.code("waiting Reserve on Close", a.err, glassq.CodeClosed)
	}
	w.code("AwaitRun on Close", <-awaited, glassq.CodeClosed)
	_, err := s.Put(w.Context(), tasks("q", "a"))
	w.code("Put after Close", err, glassq.CodeClosed)
	_, err = s.Reserve(w.Context(), glassq.Reserve{Queue: "q", Max: 1, Wait: -1, Lease: leaseTime})
	w.code("Reserve after Close", err, glassq.CodeClosed)
	if errs, err := s.Ack(w.Context(), []glassq.Ack{{Token: l.Token()}}); !errors.Is(err, glassq.ErrClosed) {
		w.Errorf("Ack after Close = %v, %v; want code closed", errs, err)
	}
	_, err = s.Stats(w.Context())
	w.code("Stats after Close", err, glassq.CodeClosed)
	w.ok("second Close", s.Close())
}

func counts(w *world) {
	ts := tasks("q", numbered(6)...)
	ts[5].Delay = time.Hour
	w.put(ts...)
	w.put(tasks("p", "12345")...)
	ls := w.reserve("q", 3)
	w.ack(glassq.Ack{Token: ls[0].Token()})
	w.nack(glassq.Nack{Token: ls[1].Token(), Dead: true})
	w.held("q", 1, 2, 1, 1)
	w.books("q", glassq.Books{Put: 6, OK: 1, Dead: glassq.DeadCounts{Nacked: 1}})
	w.ask(glassq.Reserve{Queue: "waited", Max: 1, Wait: -1, Lease: leaseTime})
	time.Sleep(30 * time.Second)
	st, err := w.store().Stats(w.Context())
	if err != nil || st.Tasks != 6 || st.Leases != 1 || st.Waiters != 1 {
		w.Errorf("Stats = tasks %d, leases %d, waiters %d, %v; want 6, 1, 1", st.Tasks, st.Leases, st.Waiters, err)
	}
	qs, err := w.store().Queues(w.Context())
	w.ok("Queues", err)
	names := map[string]glassq.QueueInfo{}
	for i, q := range qs {
		names[q.Name] = q
		if i > 0 && qs[i-1].Name >= q.Name {
			w.Errorf("queue %s comes after %s", q.Name, qs[i-1].Name)
		}
	}
	if p := names["p"]; p.Ready != 1 || p.Oldest < 29 || p.Oldest > 31 || p.Bytes < 5 {
		w.Errorf("queue p = %+v; want 1 ready for 30s, of 5 bytes", p)
	}
	if names["waited"].Waiters != 1 {
		w.Errorf("queue waited = %+v; want one waiter", names["waited"])
	}
	_, err = w.store().Queues(w.Context(), "no-such")
	w.code("Queues of an unknown name", err, glassq.CodeNotFound)
}
