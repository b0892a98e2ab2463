package live

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// What readers see. Every method returns a copy that belongs to the caller, costs no call of the
// store, and never waits but for the moment in which another call is counted.

// A Worker is somebody who takes tasks or puts them, known by the name that it gave, else by its
// address.
type Worker struct {
	Name     string    `json:"name"`
	Door     string    `json:"door"`              // "" is the program itself
	Version  string    `json:"version,omitempty"` // of its program
	InFlight int       `json:"in_flight"`         // leases that it holds
	Waiting  int       `json:"waiting"`           // calls of it that wait for a task
	Since    time.Time `json:"since,omitzero"`    // when it was first seen
	Seen     time.Time `json:"seen,omitzero"`     // when it last called, or a lease of it was extended
}

// A Series is what happened in equal steps, oldest first. Step k began at Start + k*Step; the step
// that is not over yet is not in it.
type Series struct {
	Start     time.Time
	Step      time.Duration
	Samples   []Sample
	Latencies []Latencies // as many as Samples for the server, nil for a queue
}

// ServerSeries is the series of the whole server over the last span, in the finest steps that reach
// so far back: a second for 15 minutes, 10 s for 24 hours, 5 minutes for 30 days. 0 is all of the
// coarsest.
func (l *Live) ServerSeries(span time.Duration) Series {
	l.mu.Lock()
	defer l.mu.Unlock()
	return pick(l.server, span)
}

// QueueSeries is the series of a queue: a second for 15 minutes and a minute for 24 hours, where it
// is among the 100 queues that were active last, else 5 minutes for 24 hours. ok is false where
// nothing is kept of it.
func (l *Live) QueueSeries(name string, span time.Duration) (s Series, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.byName[name]
	if q == nil || q.rest == nil {
		return s, false
	}
	return pick(append(slices.Clone(q.active), q.rest...), span), true
}

func pick(rings []*ring, span time.Duration) Series {
	now := time.Now().Unix()
	for _, r := range rings {
		if long := time.Duration(r.Step) * time.Second * time.Duration(len(r.Samples)); span > 0 && span <= long {
			return r.series(now, now-int64(span/time.Second))
		}
	}
	return rings[len(rings)-1].series(now, 0)
}

// A Totals is what happened since the server began.
type Totals struct {
	Since     time.Time
	Counts    Counts
	Durations Durations
	Answers   []Answers // by door and code
	Workers   int       // that are known
	Working   int       // workers that wait, or were seen within the last minute
	Others    int       // leases in flight whose holder is not: anonymous ones, and those beyond 10,000 workers
	InFlight  int       // leases in flight that are known
	Storage   string    // ok, low or full at the last tick; "" before the first
}

// Answers are how many calls were answered so; each item of an ack, nack or extend counts.
type Answers struct {
	Door string
	Code string // ok, or that of the error
	N    uint64
}

// Totals tells what happened since the server began.
func (l *Live) Totals() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := Totals{Since: l.start, Counts: l.total, Durations: l.dur, Workers: len(l.byWork),
		Others: l.workers.all[0].InFlight, InFlight: l.held.live, Storage: l.storage}
	now := time.Now()
	for _, i := range l.byWork {
		if w := l.workers.all[i]; w.Waiting > 0 || now.Sub(w.Seen) <= time.Minute {
			t.Working++
		}
	}
	for k, n := range l.answers {
		t.Answers = append(t.Answers, Answers{k.door, string(k.code), *n})
	}
	slices.SortFunc(t.Answers, func(a, b Answers) int {
		return cmp.Or(cmp.Compare(a.Door, b.Door), cmp.Compare(a.Code, b.Code))
	})
	return t
}

// Workers lists who is known, those that hold most leases first. most bounds the list; 0 is all.
func (l *Live) Workers(most int) []Worker {
	l.mu.Lock()
	all := make([]Worker, 0, len(l.byWork))
	for i := range maps.Values(l.byWork) {
		all = append(all, *l.workers.all[i])
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b Worker) int {
		return cmp.Or(cmp.Compare(b.InFlight, a.InFlight), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Door, b.Door))
	})
	if most > 0 && len(all) > most {
		all = all[:most]
	}
	return all
}

// A QueueView is what is known of a queue beside its books.
type QueueView struct {
	Counts  Counts
	Asked   time.Time     // when somebody last asked for tasks of it; zero: not since the server began, or forgotten
	Asker   string        // who that was
	Holders []Holder      // who holds leases of it, the most first, at most 10
	Known   int           // leases in flight that are known
	Age     time.Duration // mean between ready and hand-out, of the last second in which tasks were handed out
	Lag     time.Duration // mean between due, by the queue's rate, and hand-out, of the same
	Results string        // the queue that the last task handed out names for its result; "" is the run's or the default
}

// A Holder is a worker with leases of one queue.
type Holder struct {
	Worker
	Leases int // of this queue
}

// Queue tells what is known of a queue; the zero QueueView where that is nothing.
func (l *Live) Queue(name string) (v QueueView) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.byName[name]
	if q == nil {
		return v
	}
	v = QueueView{Counts: q.n, Asked: q.asked, Asker: q.asker, Age: q.age, Lag: q.lag, Results: q.results}
	for i, n := range q.holders {
		v.Known += n
		v.Holders = append(v.Holders, Holder{*l.workers.all[i], n})
	}
	slices.SortFunc(v.Holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(b.Leases, a.Leases), cmp.Compare(a.Name, b.Name))
	})
	v.Holders = v.Holders[:min(len(v.Holders), 10)]
	return v
}

// Counts are what happened since the server began, by queue; those beyond 10,000 queues are in
// none.
func (l *Live) Counts() map[string]Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]Counts, len(l.byName))
	for name, q := range l.byName {
		all[name] = q.n
	}
	return all
}

// Holder tells who holds a lease, and until when if it is not extended; ok is false where that is
// not known: a lease of before the server began, or none.
func (l *Live) Holder(number uint64) (w Worker, until time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.held.get(number)
	if d == nil {
		return w, until, false
	}
	return *l.workers.all[d.worker], l.start.Add(time.Duration(d.deadline) * time.Second), true
}
