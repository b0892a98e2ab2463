package enginetest

import (
	"time"

	"github.com/glassq/glassq"
)

// P2: every put task is delivered until it is acked, expires, goes dead, or a person ends it.
func deliveryLaws() []law {
	return []law{
		{"P2 an expired lease is handed out again, one attempt higher", expiryRedelivers},
		{"P2 a second expiry waits by backoff", expiryBacksOff},
		{"P2 a nack with a delay comes back after it", nackDelay},
		{"P2 a nack without a delay backs off by attempt", nackBackoff},
		{"P2 an undone task returns to its place, the attempt not counted", undone},
		{"P2 an undone task with a delay waits for it, the attempt not counted", putOff},
		{"P2 an extension moves the deadline", extension},
		{"P2 the lease is the reserve's, else the task's, else the default", leaseLengths},
	}
}

func expiryRedelivers(w *world) {
	w.put(tasks("q", "a")...)
	first := w.one("q")
	if first.Attempt != 1 || first.Length != leaseTime || !first.Deadline.Equal(time.Now().Add(leaseTime)) {
		w.Errorf("first lease: attempt %d, length %v, deadline in %v; want 1, %v, the same",
			first.Attempt, first.Length, time.Until(first.Deadline), leaseTime)
	}
	time.Sleep(leaseTime - 10*time.Millisecond)
	w.none("q")
	time.Sleep(20 * time.Millisecond)
	second := w.one("q")
	if second.Attempt != 2 || string(second.Body) != "a" || second.Number <= first.Number {
		w.Errorf("second lease: number %d, attempt %d, body %q; want one over %d, 2, a",
			second.Number, second.Attempt, second.Body, first.Number)
	}
	w.lost(first.Token())
	w.ack(glassq.Ack{Token: second.Token()})
}

func expiryBacksOff(w *world) {
	w.put(tasks("q", "a")...)
	w.one("q")
	time.Sleep(leaseTime + 10*time.Millisecond)
	for attempt := 2; attempt <= 5; attempt++ {
		if l := w.one("q"); l.Attempt != attempt {
			w.Fatalf("attempt = %d; want %d", l.Attempt, attempt)
		}
		time.Sleep(leaseTime)
		w.comesIn(time.Second << (attempt - 2))
	}
}

// comesIn checks that q hands out nothing for 4/5 of d, and is ready 6/5 of d from now.
func (w *world) comesIn(d time.Duration) {
	w.Helper()
	const slack = 10 * time.Millisecond
	time.Sleep(d*4/5 - slack)
	w.none("q")
	time.Sleep(d*2/5 + 2*slack)
	if q := w.queue("q"); q.Ready != 1 {
		w.Fatalf("%v later, and a fifth, queue q has %d ready, %d delayed; want 1 ready", d, q.Ready, q.Delayed)
	}
}

func nackDelay(w *world) {
	w.put(tasks("q", "a")...)
	w.nack(glassq.Nack{Token: w.one("q").Token(), Delay: 90 * time.Second})
	w.held("q", 1, 0, 0, 0)
	time.Sleep(90*time.Second - 10*time.Millisecond)
	w.none("q")
	time.Sleep(20 * time.Millisecond)
	l := w.one("q")
	if l.Attempt != 2 {
		w.Errorf("attempt after a nack = %d; want 2", l.Attempt)
	}
	w.nack(glassq.Nack{Token: l.Token(), Delay: glassq.AtOnce})
	if l = w.one("q"); l.Attempt != 3 {
		w.Errorf("attempt after a nack with delay 0 = %d; want 3, at once", l.Attempt)
	}
}

func nackBackoff(w *world) {
	w.put(tasks("q", "a")...)
	for attempt := 1; attempt <= 14; attempt++ {
		l := w.one("q")
		if l.Attempt != attempt {
			w.Fatalf("attempt = %d; want %d", l.Attempt, attempt)
		}
		w.nack(glassq.Nack{Token: l.Token()})
		w.comesIn(min(time.Second<<(attempt-1), 10*time.Minute))
	}
}

func undone(w *world) {
	ts := tasks("q", "a", "b", "c")
	for i := range ts {
		ts[i].Attempts = 1
	}
	w.put(ts...)
	last := uint64(0)
	for range 3 {
		ls := w.reserve("q", 2)
		if b := bodiesOf(ls); len(b) != 2 || b[0] != "a" || b[1] != "b" {
			w.Fatalf("Reserve after undone = %q; want a and b, in their old places", b)
		}
		// The later one first: the order of giving back must not matter.
		for _, i := range []int{1, 0} {
			if ls[i].Attempt != 1 || ls[i].Number <= last {
				w.Fatalf("lease %d of attempt %d; want attempt 1 and a number over %d", ls[i].Number, ls[i].Attempt, last)
			}
			w.nack(glassq.Nack{Token: ls[i].Token(), Undone: true})
		}
		last = ls[1].Number
	}
	w.want("q", "a", "b", "c")
	w.books("q", glassq.Books{Put: 3})
}

func putOff(w *world) {
	ts := tasks("q", "a", "b")
	for i := range ts {
		ts[i].Attempts = 1
	}
	w.put(ts...)
	for range 3 {
		l := w.one("q")
		if string(l.Body) != "a" || l.Attempt != 1 {
			w.Fatalf("leased %s, attempt %d; want a, 1", l.Body, l.Attempt)
		}
		w.nack(glassq.Nack{Token: l.Token(), Undone: true, Delay: 5 * time.Second})
		other := w.one("q")
		if string(other.Body) != "b" {
			w.Fatalf("leased %s while a waits; want b", other.Body)
		}
		w.nack(glassq.Nack{Token: other.Token(), Undone: true, Delay: 8 * time.Second})
		w.comesIn(5 * time.Second)
		time.Sleep(3 * time.Second) // b is there too
	}
	w.want("q", "a", "b")
	w.books("q", glassq.Books{Put: 2})
}

func extension(w *world) {
	w.put(tasks("q", "a")...)
	l := w.reserveFor("q", 1, 10*time.Second)[0]
	for range 5 {
		time.Sleep(9 * time.Second)
		w.ok("Extend by 10s", w.tryExtend(l.Token(), 10*time.Second))
	}
	time.Sleep(9 * time.Second)
	w.none("q")
	w.ok("Extend by the granted length", w.tryExtend(l.Token(), 0))
	time.Sleep(9900 * time.Millisecond)
	w.none("q")
	w.ok("Extend by 1h", w.tryExtend(l.Token(), time.Hour))
	time.Sleep(59 * time.Minute)
	w.none("q")
	w.ok("Extend to 1s, which shortens it", w.tryExtend(l.Token(), time.Second))
	time.Sleep(1010 * time.Millisecond)
	w.code("Extend after the deadline", w.tryExtend(l.Token(), time.Hour), glassq.CodeLeaseLost)
	if again := w.one("q"); again.Attempt != 2 {
		w.Errorf("attempt after extensions and one expiry = %d; want 2", again.Attempt)
	}
}

func leaseLengths(w *world) {
	ts := tasks("q", "its own", "none")
	ts[0].Lease = 5 * time.Second
	w.put(ts...)
	ls := w.reserveFor("q", 2, 0)
	if len(ls) != 2 || ls[0].Length != 5*time.Second || ls[1].Length != glassq.DefaultLease {
		w.Fatalf("leases = %+v; want lengths of 5s and %v", ls, glassq.DefaultLease)
	}
	time.Sleep(5010 * time.Millisecond)
	got := w.reserveFor("q", 2, 7*time.Second)
	if len(got) != 1 || got[0].Length != 7*time.Second {
		w.Fatalf("after 5s Reserve = %+v; want the first task, for 7s", got)
	}
}
