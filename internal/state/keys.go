package state

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/glassq/glassq"
)

// A standing is what a key of a keyring waits for.
type standing uint8

const (
	keyIdle   standing = iota // no task of it is ready
	keyOpen                   // its turn: it is in a ring
	keyHeld                   // the end of a hold
	keyFull                   // the end of a lease
	keyPaced                  // a token
	keyCosts                  // tokens for the cost of its next task
	keyHalted                 // a probe
	keyStandings
)

var standingNames = [keyStandings]string{keyHeld: glassq.KeyHeld, keyFull: glassq.KeyFull, keyPaced: glassq.KeyPaced,
	keyCosts: glassq.KeyCost, keyHalted: glassq.KeyHalted}

// A keyring hands the tasks of a queue out by their keys. The keys that may go are in a ring for
// each priority, and each has a turn of as many hand-outs as its weight, so between two hand-outs
// of a key that stays in its ring every other gets at most its weight. A key is in the ring of its
// most urgent ready task only. One that may not go is in no ring: it comes back when a lease ends
// or at a moment in State.keyTimers. So nothing is looked for among keys.
//
// The order within a ring is not part of the state: a start makes it anew from the tasks.
type keyring struct {
	rules  *keyRules
	keys   map[string]*key // those that a class names
	marks  keyMarks        // those that none does
	rings  [10]*key        // the key whose turn it is
	filled uint16          // bit p: ring p holds something
	counts [keyStandings]int64
	low    uint64 // no ready task has a lower number
	swept  bool   // a timer for sweep is set
}

// A key is a key of which there are tasks. With many keys it is far away in memory at each hand-out,
// so what that looks at stands first, in two lines of the processor's cache.
type key struct {
	next   *key // in the ring
	lim    *limits
	halt   *keyBreaker // nil while nothing is counted of it
	ready  int64
	leased int32
	credit int16 // hand-outs left of its turn
	stands standing
	level  int8  // with keyOpen: the ring
	due    int64 // ms: when a timer looks at it again; 0 for none
	held   int64 // of its mark, as rate
	rate   int64
	lanes  keyLane // by priority, the most urgent first

	prev *key // in the ring
	q    *Queue
	name string
	cost int64 // of its mark, as why
	why  *string
	num  uint32 // names it in State.keyTimers
	refs int32  // classes that name it
}

func (k *key) mark() keyMark { return keyMark{k.name, k.rate, k.cost, k.held, k.why} }

func (k *key) setMark(m keyMark) {
	k.name, k.rate, k.cost, k.held, k.why = m.name, m.rate, m.cost, m.held, m.why
}

// A keyLane holds the ready tasks of one key and priority.
type keyLane struct {
	ready    int64
	lane     lane
	priority int8
	next     *keyLane
}

// lane returns the lane of a priority, made by its first use.
func (k *key) lane(priority int8) *keyLane {
	l := &k.lanes
	for l.priority > priority && l.next != nil {
		l = l.next
	}
	switch {
	case l.priority == priority:
	case l.ready == 0 && l.lane.empty(): // no task is in it
		l.priority = priority
	case l.priority > priority:
		l.next = &keyLane{priority: priority}
		l = l.next
	default:
		lower := *l
		*l = keyLane{priority: priority, next: &lower}
	}
	return l
}

// top is the most urgent lane with a ready task. There must be one.
func (k *key) top() *keyLane {
	for l := &k.lanes; l != nil; l = l.next {
		if l.ready > 0 {
			return l
		}
	}
	panic("state: a key with ready tasks has none in its lanes")
}

func (r *keyring) link(k *key, level int8) {
	k.level = level
	head := r.rings[level]
	if head == nil {
		r.rings[level] = k
		r.filled |= 1 << level
		k.next, k.prev = k, k
		return
	}
	k.next, k.prev = head, head.prev
	head.prev.next, head.prev = k, k
}

func (r *keyring) unlink(k *key) {
	if k.next == k {
		r.rings[k.level] = nil
		r.filled &^= 1 << k.level
	} else {
		k.next.prev, k.prev.next = k.prev, k.next
		if r.rings[k.level] == k {
			r.rings[k.level] = k.next
		}
	}
	k.next, k.prev = nil, nil
}

// laneOf is the lane of a class.
func (s *State) laneOf(c *class) *lane {
	if c.key != nil {
		return &c.key.lane(c.priority).lane
	}
	return &c.queue.lanes[c.priority]
}

// keyMoved counts that a task went from one state to another; Gone is none. Its entry and lane are
// as they are after that.
func (s *State) keyMoved(c *class, n uint64, from, to glassq.State) {
	k := c.key
	if k == nil {
		return
	}
	if from == glassq.Ready {
		s.keyReady(c, n, -1)
	}
	switch glassq.Leased {
	case from:
		k.leased--
	case to:
		k.leased++
	}
	if to == glassq.Ready {
		s.keyReady(c, n, 1)
	}
	s.placeKey(k)
}

// keyReady counts that so many tasks, n the first of them, are ready that were not; below 0 that they
// are not any more.
func (s *State) keyReady(c *class, n uint64, count int64) {
	k := c.key
	l := k.lane(c.priority)
	k.ready += count
	if l.ready += count; l.ready == 0 {
		l.lane.reset() // what is left in it ended
	}
	if r := c.queue.ring; n < r.low {
		r.low = n
	}
}

// keyCounts is keyMoved of count tasks that become ready, n the first of them, or below 0 that end.
func (s *State) keyCounts(c *class, n uint64, count int64) {
	if c.key != nil {
		s.keyReady(c, n, count)
		s.placeKey(c.key)
	}
}

// costOf is what task n said it costs.
func (s *State) costOf(n uint64) uint32 {
	if len(s.rangeCosts) > 0 {
		if r := s.rangeAt(n); r != nil {
			return max(s.rangeCosts[r.first], 1)
		}
	}
	return s.tasks.cost(n)
}

// placeKey has a key stand where it belongs.
func (s *State) placeKey(k *key) {
	stands, due := s.standing(k)
	var level int8
	if stands == keyOpen {
		level = k.top().priority
	}
	if stands == k.stands && due == k.due && (stands != keyOpen || level == k.level) {
		return
	}
	if due != 0 && due <= s.now {
		panic("state: a key waits for a moment that has passed")
	}
	r := k.q.ring
	kept := r.filled == 0 // until now keys kept everything back
	if k.stands == keyOpen {
		r.unlink(k)
	}
	r.counts[k.stands]--
	r.counts[stands]++
	was := k.due
	k.stands, k.due = stands, due
	if was != 0 {
		s.keyTimers.drop(s.keyTimerValid)
	}
	if due != 0 {
		s.keyTimers.push(due, uint64(k.num))
	}
	if stands == keyOpen {
		if kept && !s.bulk {
			k.q.Pace.Wake(s.nanos())
		}
		k.credit = k.lim.weight
		r.link(k, level)
		s.hooks.Ready(k.q)
	}
}

// standing tells what a key waits for, and until when, in ms, if a moment ends it.
func (s *State) standing(k *key) (standing, int64) {
	ns := s.nanos()
	switch {
	case k.ready == 0:
		return keyIdle, 0
	case k.held > s.now:
		return keyHeld, k.held
	case k.halt != nil && k.halt.halted && !k.halt.mayProbe(s.now):
		if k.halt.probe == 0 {
			return keyHalted, k.halt.until
		}
		return keyHalted, 0
	case k.lim.concurrency > 0 && int64(k.leased) >= k.lim.concurrency:
		return keyFull, 0
	}
	if k.lim.rate.on() && k.rate > ns { // else it is full, which most are
		if due := k.lim.rate.due(k.rate, 1); due > ns {
			return keyPaced, ceilMs(due)
		}
	}
	if k.lim.cost.on() && k.cost > ns {
		if n, e := s.firstIn(&k.top().lane); e != nil {
			if due := k.lim.cost.due(k.cost, float64(s.costOf(n))); due > ns {
				return keyCosts, ceilMs(due)
			}
		}
	}
	return keyOpen, 0
}

// keyLeased counts the hand-out of task n against what its key may.
func (s *State) keyLeased(c *class, n uint64) {
	k := c.key
	if k == nil {
		return
	}
	if k.lim.rate.on() {
		k.rate = k.lim.rate.take(k.rate, s.nanos(), 1)
	}
	if k.lim.cost.on() {
		k.cost = k.lim.cost.take(k.cost, s.nanos(), float64(s.costOf(n)))
	}
	if k.stands != keyOpen {
		return
	}
	if k.credit--; k.credit > 0 {
		return
	}
	k.credit = k.lim.weight
	if r := c.queue.ring; r.rings[k.level] == k {
		r.rings[k.level] = k.next
	} else {
		r.unlink(k)
		r.link(k, k.level)
	}
}

// settleCost has task n have cost what it did, and not what it said.
func (s *State) settleCost(c *class, n uint64, real uint32) {
	k := c.key
	if k == nil || !k.lim.cost.on() {
		return
	}
	k.cost = k.lim.cost.take(k.cost, s.nanos(), float64(real)-float64(s.costOf(n)))
	s.placeKey(k)
}

// applyKeyCost settles the cost of the task of a lease, which ends in the next record.
func (s *State) applyKeyCost(number uint64, real uint32) error {
	l, _ := s.leases.get(number)
	e := s.tasks.get(l.task)
	if e == nil || e.state() != glassq.Leased {
		return recordErr("cost of a lease that is not live")
	}
	s.settleCost(&s.class[e.class], l.task, real)
	return nil
}

// keyHead returns the task that is to be handed out next.
func (s *State) keyHead(r *keyring) (uint64, *entry) {
	if r.filled == 0 {
		return 0, nil
	}
	return s.firstIn(&r.rings[bits.Len16(r.filled)-1].top().lane)
}

// keyOf returns the key of that name, for one more class.
func (s *State) keyOf(q *Queue, name string) *key {
	r := q.ring
	k := r.keys[name]
	if k == nil {
		if last := len(s.spareKeys) - 1; last >= 0 {
			k, s.spareKeys = s.spareKeys[last], s.spareKeys[:last]
		} else {
			k = &key{num: uint32(len(s.byKey))}
			s.byKey = append(s.byKey, k)
		}
		k.setMark(r.marks.take(name))
		k.name, k.q, k.lim = name, q, r.rules.of(name)
		if h := q.halting; h != nil && h.keys != nil {
			k.halt = h.keys.by[name]
		}
		r.keys[name] = k
		r.counts[keyIdle]++
	}
	k.refs++
	return k
}

// unrefKey notes that a class less names a key, and forgets it with the last one but for its mark.
func (s *State) unrefKey(k *key) {
	if k.refs--; k.refs > 0 {
		return
	}
	r := k.q.ring
	delete(r.keys, k.name)
	r.counts[k.stands]--
	if m := k.mark(); m.stands(s.now) {
		r.marks.put(m)
		s.sweepLater(k.q)
	}
	*k = key{num: k.num}
	s.spareKeys = append(s.spareKeys, k)
}

// Keys lists keys of q, as glassq.Keys says.
func (s *State) Keys(q *Queue, after string, most int) []glassq.KeyInfo {
	if q.ring == nil {
		return nil
	}
	// The first names behind after, which tasks without a key never are; beyond twice as many the rest is cut off.
	var names []string
	cut := func() {
		slices.Sort(names)
		names = names[:min(most, len(names))]
	}
	add := func(name string) {
		if name <= after || len(names) >= most && len(names) == 2*most && name > names[most-1] {
			return
		}
		if names = append(names, name); len(names) > 2*most {
			cut()
		}
	}
	for name, k := range q.ring.keys {
		if m := k.mark(); k.ready > 0 || k.leased > 0 || m.stands(s.now) || k.halt != nil && k.halt.halted {
			add(name)
		}
	}
	for i := range q.ring.marks.n {
		if m := q.ring.marks.at(i); m.stands(s.now) {
			add(m.name)
		}
	}
	if h := q.halting; h != nil && h.keys != nil {
		for b := range breakers(&h.keys.halted) {
			if m := q.ring.marks.get(b.name); q.ring.keys[b.name] == nil && (m == nil || !m.stands(s.now)) {
				add(b.name)
			}
		}
	}
	cut()
	out := make([]glassq.KeyInfo, len(names))
	for i, name := range names {
		out[i] = s.keyInfo(q, name)
	}
	return out
}

func (s *State) keyInfo(q *Queue, name string) glassq.KeyInfo {
	lim := q.ring.rules.of(name)
	info := glassq.KeyInfo{Key: strings.Clone(name), Weight: int(lim.weight), Concurrency: int(lim.concurrency)}
	m := q.ring.marks.get(name)
	if k := q.ring.keys[name]; k != nil {
		mark := k.mark()
		m = &mark
		info.Ready, info.Leased, info.Why = k.ready, int64(k.leased), standingNames[k.stands]
	}
	if m == nil {
		m = &keyMark{}
	}
	if m.held > s.now {
		info.HeldUntil, info.Why = m.held+s.ahead, glassq.KeyHeld
		if m.why != nil {
			info.HeldFor = *m.why
		}
	}
	info.Halted = q.keyHalted(name)
	if info.Halted.Now() && info.Why == "" && info.Ready == 0 {
		info.Why = glassq.KeyHalted
	}
	tokens := func(b *bucket, full int64) *float64 {
		if !b.on() {
			return nil
		}
		left := b.left(full, s.nanos())
		return &left
	}
	info.Tokens, info.CostTokens = tokens(&lim.rate, m.rate), tokens(&lim.cost, m.cost)
	return info
}

// keyCounts is nil for a queue that does not look at keys.
func (q *Queue) keyCounts() *glassq.KeyCounts {
	if q.ring == nil {
		return nil
	}
	n := &q.ring.counts
	c := &glassq.KeyCounts{Held: n[keyHeld], Full: n[keyFull], Paced: n[keyPaced] + n[keyCosts], Halted: n[keyHalted]}
	c.Waiting = n[keyOpen] + c.Stopped()
	return c
}

// Eldest is the ready task of q with the lowest number; it fills in its place if p is not
// nil.
func (s *State) Eldest(q *Queue, p *Place) (n uint64, ok bool) {
	if q.count[glassq.Ready] == 0 {
		return 0, false
	}
	if q.ring == nil {
		s.tasks.trim()
		for { // until the lowest number of a lane is a ready task: others are not looked at
			var lowest *lane
			at := uint64(math.MaxUint64)
			for filled := q.filled; filled != 0; filled &= filled - 1 {
				l := &q.lanes[bits.TrailingZeros16(filled)]
				if k, any := l.first(); any && k < at {
					lowest, at = l, k
				}
			}
			if lowest == nil {
				return 0, false
			}
			if k, e := s.firstIn(lowest); e != nil && k == at {
				return s.located(k, p)
			}
		}
	}
	n = uint64(math.MaxUint64)
	for _, r := range s.rangesOf(func(c *class) bool { return c.queue == q }) {
		if r.state == glassq.Ready {
			n = r.next()
			break
		}
	}
	var some []uint64
	for ci, c := s.tasks.from(q.ring.low / chunkLen); c != nil && ci*chunkLen < n; ci, c = s.tasks.from(ci + 1) {
		some = s.tasks.numbers(some[:0], ci, func(e *entry) bool {
			return e.state() == glassq.Ready && s.class[e.class].queue == q
		})
		if len(some) > 0 {
			n = min(n, some[0])
			break
		}
		q.ring.low = (ci + 1) * chunkLen
	}
	return s.located(n, p)
}

// located returns task n if it is there, and fills in its place if p is not nil.
func (s *State) located(n uint64, p *Place) (uint64, bool) {
	e := s.view(n)
	if e == nil {
		return 0, false
	}
	if p != nil {
		s.locate(p, n, e)
	}
	return n, true
}

// AppendKeyCost appends what the task of a lease really cost, right before its ack.
func AppendKeyCost(dst []byte, number uint64, cost uint32) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(dst, byte(opKeyCost)), number), uint64(cost))
}
