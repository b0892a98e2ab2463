package worker

import (
	"time"

	"github.com/glassq/glassq"
)

// How many leases wait for a handler. Few are fair to other workers and cheap to lose; many keep
// handlers busy while a call to the queue is under way. So, unless Options.Prefetch fixes it, it
// begins with twice the handlers, or the places of the gate, doubles when handlers ran out of work
// while the queue had more, and halves when tasks waited here for longer than maxWaited.
//
// Leases that no handler has begun in a third of their length go back: all handlers are at work
// that takes long, and another worker may be idle. The number halves, down to one lease, and no
// more are taken before a handler is free.

const (
	maxWaited    = time.Second
	maxAhead     = 4096     // leases
	maxAheadSize = 32 << 20 // bytes of their bodies, judged by those that came last
)

// An ahead is that number. It is guarded by worker.mu.
type ahead struct {
	n      int
	fixed  bool
	least  int       // what it begins with, and what waiting for a second lowers it to
	shrunk time.Time // when it was halved last
	none   bool      // leases went back unbegun, and no handler was free since
	dried  bool      // that is why none are left, rather than that they were used up
}

func newAhead(prefetch, places int) ahead {
	a := ahead{n: prefetch, fixed: prefetch > 0}
	a.atLeast(places)
	return a
}

// atLeast notes how many tasks can be at work at once. Fewer than before lower the number only as
// tasks wait too long.
func (a *ahead) atLeast(places int) {
	if a.fixed {
		return
	}
	least := min(2*places, glassq.MaxBatch)
	if least > a.least {
		a.n = max(a.n, least)
	}
	a.least = least
}

// came notes what a call that wanted asked leases has brought, when left were still waiting.
func (a *ahead) came(leases []glassq.Lease, asked, left int) {
	dried := a.dried
	a.dried = false
	if a.fixed || dried || left > 0 || len(leases) < asked {
		return
	}
	size := 0
	for i := range leases {
		size += len(leases[i].Body)
	}
	if size/len(leases)*2*a.n <= maxAheadSize {
		a.n = max(min(2*a.n, maxAhead), a.n)
	}
}

// wants is how many leases to ask for when ready ones wait: none until half of them are used up.
func (a *ahead) wants(ready int) int {
	if a.none || ready > a.n/2 {
		return 0
	}
	return max(a.n-ready, 1)
}

// tooLong notes that a task waited for longer than maxWaited.
func (a *ahead) tooLong() {
	if now := time.Now(); !a.fixed && now.Sub(a.shrunk) > maxWaited {
		a.n = min(max(a.n/2, a.least), a.n)
		a.shrunk = now
	}
}

// stale gives back leases that nobody has begun for too long. w.mu is held.
func (w *worker) stale(now time.Time) {
	if w.ahead.fixed {
		return
	}
	limit := now.Add(-max(w.opt.Lease/3, maxWaited))
	back := false
	for w.ready.any() && !w.ready.first().taken.After(limit) {
		w.giveBack(w.ready.pop())
		back = true
	}
	if back {
		w.ahead.none, w.ahead.dried = true, true
		w.ahead.n = max(w.ahead.n/2, 1)
		w.signal()
	}
}
