package state

import (
	"math"
	"slices"
	"time"

	"github.com/glassq/glassq"
)

// A Queue is one queue of a State. Its exported fields belong to the owner of the State and are not
// part of it.
type Queue struct {
	Name string

	Waiters any // whoever waits for a task of it

	// What a list of very many queues looks at lies together.
	count    [5]int64 // by glassq.State
	bytes    int64
	books    glassq.Books
	halting  *halting // nil without a rule
	ring     *keyring // instead of lanes and filled, while the queue looks at keys; else nil
	filled   uint16   // bit p: lane p may hold something
	num      uint32
	settings glassq.Settings
	Pace     Pace // hand-outs per second, by the owner's own clock; the owner asks, records change it
	lanes    [10]lane
	dead     deadSet
	ids      idWindow
	going    going
	headers  bool // a task of it may have headers; it is not part of the state, see Leased.Headers
}

// Settings returns the queue's settings.
func (q *Queue) Settings() glassq.Settings { return q.settings }

// Count is how many tasks are in a state.
func (q *Queue) Count(s glassq.State) int64 { return q.count[s] }

// holds is how many tasks there are in all states.
func (q *Queue) holds() int64 {
	return q.count[glassq.Delayed] + q.count[glassq.Ready] + q.count[glassq.Leased] + q.count[glassq.Dead]
}

// Info tells what the queue holds. Oldest and Waiters are the owner's to fill in.
func (q *Queue) Info() glassq.QueueInfo {
	return glassq.QueueInfo{
		Name: q.Name, Delayed: q.count[glassq.Delayed], Ready: q.count[glassq.Ready],
		Leased: q.count[glassq.Leased], Dead: q.count[glassq.Dead], Bytes: q.bytes,
		Books: q.books, Pending: q.books.Pending(), Progress: q.going.info(), Halted: q.Halted(), HaltedKeys: q.HaltedKeys(),
		Settings: q.settings,
		Keys:     q.keyCounts(),
	}
}

// Queue returns the queue of that name, or nil.
func (s *State) Queue(name string) *Queue {
	if s.named == nil || s.named.Name != name { // batches are mostly of one queue
		s.named = s.queues[name]
	}
	return s.named
}

// Touch returns the queue of that name, made if need be: a reserve on a new queue waits.
func (s *State) Touch(name string) *Queue { return s.queue(name) }

// QueueCount is how many queues there are.
func (s *State) QueueCount() int { return len(s.queues) }

// Queues returns all queues in the order of their names.
func (s *State) Queues() []*Queue { return slices.Clone(s.byName) }

func (s *State) queue(name string) *Queue {
	q := s.queues[name]
	if q == nil {
		q = &Queue{Name: name, num: uint32(len(s.byNum)), ids: idWindow{all: &s.idCount}}
		s.byNum = append(s.byNum, q)
		s.queues[name] = q
		i, _ := s.place(name)
		s.byName = slices.Insert(s.byName, i, q)
	}
	return q
}

func (s *State) applySettings(name string, set glassq.Settings) {
	q := s.queue(name)
	was := q.settings
	if q.settings = set; set.Unique != was.Unique {
		q.ids.prune(s.now) // as it was until now
		s.holdIDs(q)
	}
	s.setHalt(q)
	q.Pace.Set(schedule(set), s.nanos())
	s.atOnce(q, func() { s.setKeyRules(q) })
	if was.Paused && !set.Paused {
		q.Pace.Wake(s.nanos())
	}
	if q.count[glassq.Ready] > 0 {
		s.hooks.Ready(q)
	}
}

// holdIDs has the ids of q held by their tasks, or not, as its settings say.
func (s *State) holdIDs(q *Queue) {
	var there func(uint64) bool
	if q.settings.Unique == glassq.UniquePending {
		there = func(n uint64) bool { return s.tasks.look(n) != nil }
	}
	q.ids.hold(there)
}

// nanos is the time of the last record on the clock of a Pace.
func (s *State) nanos() int64 { return s.now * int64(time.Millisecond) }

// oneReady counts one more task that is ready. Hand-outs that were due while there was none are
// nobody's.
func (s *State) oneReady(q *Queue) {
	if q.count[glassq.Ready] == 0 {
		q.Pace.Wake(s.nanos())
	}
	q.count[glassq.Ready]++
}

// release counts a hand-out in the schedule of its queue, and notes with the run what was asked
// for.
func (s *State) release(q *Queue, run *Run) {
	if !q.Pace.Limited() {
		return
	}
	q.Pace.Release()
	if run != nil {
		run.rate, run.stages = q.settings.Rate, q.settings.Stages
	}
}

func (s *State) applyGiveUp(r *reader) {
	queue, run := r.str(), r.str()
	up := GivenUp{Count: r.uvarint(), next: math.Float64frombits(r.uvarint())}
	if r.bad = r.bad || !(up.next > 0 && up.next <= math.MaxFloat64); r.bad {
		return
	}
	if q := s.queues[queue]; q != nil {
		q.Pace.GiveUp(up)
	}
	if r := s.runs[run]; r != nil {
		r.givenUp += up.Count
	}
}

// each calls fn for every task of q in a state, in order of number; fn may end the task or change
// its state.
func (s *State) each(q *Queue, want glassq.State, fn func(n uint64, e *entry)) {
	if q.count[want] == 0 {
		return
	}
	s.pick(func(e *entry) bool { return e.state() == want && s.class[e.class].queue == q }, func(n uint64, e *entry) bool {
		fn(n, e)
		return q.count[want] > 0
	})
}

// pick calls fn for the tasks that want says yes to, in order of number, until it returns false; fn
// may end the task, and nothing else.
func (s *State) pick(want func(*entry) bool, fn func(n uint64, e *entry) bool) {
	var found []uint64
	for ci, c := s.tasks.from(0); c != nil; ci, c = s.tasks.from(ci + 1) {
		found = s.tasks.numbers(found[:0], ci, want)
		for _, n := range found {
			if !fn(n, s.tasks.get(n)) {
				return
			}
		}
		s.tasks.trim()
	}
}

func (s *State) applyPurge(name string, states byte) {
	q := s.queues[name]
	if q == nil {
		return
	}
	for _, st := range []glassq.State{glassq.Delayed, glassq.Ready} {
		if states>>st&1 == 0 {
			continue
		}
		for _, r := range s.rangesOf(func(c *class) bool { return c.queue == q }) {
			if r.state == st {
				s.endRest(r, func(d *glassq.DeadCounts, n uint64) { d.Purged += n })
			}
		}
		s.each(q, st, func(n uint64, e *entry) {
			s.end(n, e, func(d *glassq.DeadCounts) { d.Purged++ })
			if st == glassq.Delayed {
				s.delays.drop(s.delayValid)
			}
		})
	}
	if states>>glassq.Dead&1 != 0 {
		for _, n := range q.dead.all() {
			s.drop(n, s.tasks.get(n), false) // booked when it died
			s.tasks.trim()
		}
	}
}

func (s *State) delayValid(t timer) bool {
	e := s.tasks.look(t.ref)
	return e != nil && e.state() == glassq.Delayed && !e.has(flagHeld)
}

func (s *State) applyRedrive(name string, most int) {
	q := s.queues[name]
	for q != nil && most > 0 && q.count[glassq.Dead] > 0 {
		n := q.dead.first()
		s.revive(q, n, s.tasks.get(n))
		most--
	}
}

func (s *State) applyDrop(name string) {
	q := s.queues[name]
	if q == nil {
		return
	}
	s.applyPurge(name, 1<<glassq.Delayed|1<<glassq.Ready|1<<glassq.Dead)
	s.forgetLast(noClass)
	s.named = nil
	s.idCount -= len(q.ids.seen)
	s.acked.forget(q.num)
	delete(s.queues, name)
	i, _ := s.place(name)
	s.byName = slices.Delete(s.byName, i, i+1)
	s.byNum[q.num] = nil
}

// Peek returns up to most tasks of q in a state, in order of number from cursor on.
func (s *State) Peek(q *Queue, want glassq.State, cursor uint64, most int) []uint64 {
	var found []uint64
	from := func(l *lane) {
		k := 0
		l.from(cursor, func(n uint64) uint64 {
			if e := s.view(n); e == nil {
				return s.after(n)
			} else if e.state() == want {
				found = append(found, n)
				if k++; k == most {
					return 0
				}
			}
			return n + 1
		})
	}
	switch {
	case q.count[want] == 0:
	case want == glassq.Dead:
		for n := range q.dead.from(cursor) {
			if found = append(found, n); len(found) == most {
				break
			}
		}
	case want == glassq.Ready && q.ring == nil:
		for p := range q.lanes {
			from(&q.lanes[p])
		}
		slices.Sort(found)
		found = slices.Compact(found)
	default:
		var some []uint64
		for ci, c := s.tasks.from(cursor / chunkLen); c != nil && len(found) < most; ci, c = s.tasks.from(ci + 1) {
			some = s.tasks.numbers(some[:0], ci, func(e *entry) bool { return e.state() == want && s.class[e.class].queue == q })
			for _, n := range some {
				if n >= cursor {
					found = append(found, n)
				}
			}
		}
		found = s.restIn(found, q, want, cursor, most)
		slices.Sort(found)
	}
	return found[:min(most, len(found))]
}
