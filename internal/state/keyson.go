package state

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/glassq/glassq"
)

// keySweep is how long, in ms, what a key need not remember any more may be kept.
const keySweep = 60_000

// sweepRef marks a timer that is for a queue's sweep, and not for a key.
const sweepRef = 1 << 63

func (s *State) sweepLater(q *Queue) {
	if !q.ring.swept {
		q.ring.swept = true
		s.keyTimers.push((s.now/keySweep+1)*keySweep, sweepRef|uint64(q.num)) // the same moment after a start
	}
}

// keyTimerDue does what a timer of a key or of a queue's sweep says.
func (s *State) keyTimerDue(ref uint64) {
	if ref&sweepRef == 0 {
		k := s.byKey[ref]
		k.due = 0
		s.placeKey(k)
		return
	}
	q := s.byNum[ref&^sweepRef]
	r := q.ring
	r.swept = false
	for i := r.marks.n - 1; i >= 0; i-- {
		if m := r.marks.at(i); !m.stands(s.now) {
			r.marks.take(m.name)
		}
	}
	if !r.rules.on && q.count[glassq.Ready]+q.count[glassq.Leased] == 0 && !r.holds(s.now) {
		s.keysOff(q) // it looked at keys for the sake of a hold
		return
	}
	if r.marks.n > 0 || !r.rules.on {
		s.sweepLater(q)
	}
}

func (s *State) keyTimerValid(t timer) bool {
	if t.ref&sweepRef != 0 {
		q := s.byNum[t.ref&^sweepRef]
		return q != nil && q.ring != nil && q.ring.swept
	}
	return s.byKey[t.ref].due == t.at
}

// keptBack tells whether keys keep everything back that is ready.
func (q *Queue) keptBack() bool {
	return q.ring != nil && q.ring.filled == 0 && q.count[glassq.Ready] > 0
}

// atOnce has fn place many keys of q, where what is in between does not count: the pace wakes when they
// kept everything back before, and do not after.
func (s *State) atOnce(q *Queue, fn func()) {
	kept := q.keptBack()
	s.bulk = true
	fn()
	s.bulk = false
	if kept && !q.keptBack() {
		q.Pace.Wake(s.nanos())
	}
}

// holds tells whether any hold stands.
func (r *keyring) holds(now int64) bool {
	for i := range r.marks.n {
		if r.marks.at(i).held > now {
			return true
		}
	}
	for _, k := range r.keys {
		if k.held > now {
			return true
		}
	}
	return false
}

// setKeyRules has a queue look at keys as its settings say, or not at all.
func (s *State) setKeyRules(q *Queue) {
	rules := newKeyRules(&q.settings)
	if q.ring == nil {
		if rules.on {
			s.keysOn(q, rules)
		}
		return
	}
	if !rules.on && !q.ring.holds(s.now) {
		s.keysOff(q)
		return
	}
	old := q.ring.rules
	q.ring.rules = rules
	ns := s.nanos()
	move := func(m *keyMark) {
		from, to := old.of(m.name), rules.of(m.name)
		m.rate = from.rate.moved(m.rate, ns, &to.rate)
		m.cost = from.cost.moved(m.cost, ns, &to.cost)
	}
	for i := range q.ring.marks.n {
		move(q.ring.marks.writable(i))
	}
	for _, name := range slices.Sorted(maps.Keys(q.ring.keys)) {
		k := q.ring.keys[name]
		m := k.mark()
		move(&m)
		k.setMark(m)
		k.lim = rules.of(name)
		k.credit = min(k.credit, k.lim.weight)
		s.placeKey(k)
	}
	if !rules.on {
		s.sweepLater(q)
	}
}

// keysOn begins to look at keys: the ready tasks of q are put into lanes by key, in one pass.
func (s *State) keysOn(q *Queue, rules *keyRules) {
	q.ring = &keyring{rules: rules, keys: map[string]*key{}, low: math.MaxUint64}
	for i := range s.class {
		if c := &s.class[i]; c.queue == q {
			c.key = s.keyOf(q, c.name())
		}
	}
	q.lanes, q.filled = [10]lane{}, 0
	s.relane(q)
	s.orderRings(q.ring)
	if !rules.on {
		s.sweepLater(q)
	}
}

// keysOff ends that.
func (s *State) keysOff(q *Queue) {
	for i := range s.class {
		if c := &s.class[i]; c.queue == q && c.key != nil {
			k := c.key
			if c.key = nil; k.stands == keyOpen && k.refs == 1 {
				q.ring.unlink(k)
			}
			k.due = 0
			s.unrefKey(k)
		}
	}
	q.ring = nil
	s.relane(q)
}

// relane puts the ready tasks of q into the lanes where they belong, which are empty, and counts them
// and the leased ones with their keys.
func (s *State) relane(q *Queue) {
	left := q.count[glassq.Ready] + q.count[glassq.Leased]
	var some []uint64
	for ci, c := s.tasks.from(0); c != nil && left > 0; ci, c = s.tasks.from(ci + 1) {
		some = s.tasks.numbers(some[:0], ci, func(e *entry) bool {
			return (e.state() == glassq.Ready || e.state() == glassq.Leased) && s.class[e.class].queue == q
		})
		for _, n := range some {
			e := s.tasks.look(n)
			s.inLane(n, e)
			left--
		}
	}
	for _, r := range s.rangesOf(func(c *class) bool { return c.queue == q }) {
		if r.state == glassq.Ready {
			s.restInLane(r)
		}
	}
}

// inLane puts task n, which is new to its key, into its lane if it is ready.
func (s *State) inLane(n uint64, e *entry) {
	c := &s.class[e.class]
	if e.state() == glassq.Ready {
		s.laneOf(c).push(n)
		c.queue.filled |= 1 << c.priority
	}
	s.keyMoved(c, n, glassq.Gone, e.state())
}

// orderRings has the keys in each ring in the order of the tasks that come next: so they came there,
// unless tasks of ranges were counted behind all others.
func (s *State) orderRings(r *keyring) {
	if len(s.ranges) == 0 {
		return
	}
	type turn struct {
		k    *key
		next uint64
	}
	var turns []turn
	for _, k := range r.keys {
		if k.stands == keyOpen {
			n, _ := k.top().lane.first()
			turns = append(turns, turn{k, n})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int { return cmp.Compare(a.next, b.next) })
	for _, t := range turns {
		r.unlink(t.k)
		r.link(t.k, t.k.level)
	}
}
