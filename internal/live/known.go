package live

import (
	"cmp"
	"slices"
	"time"
)

// queueOf returns what is known of a queue, made if need be; nil when too many are known that
// leases are held of. The caller holds mu.
func (l *Live) queueOf(name string, now time.Time) *queue {
	q := l.lastQ
	if q == nil || q.name != name {
		if q = l.byName[name]; q == nil {
			if q = l.newQueue(name); q == nil {
				return nil
			}
		}
		l.lastQ = q
	}
	if !q.touched {
		q.touched = true
		l.touched = append(l.touched, q)
		q.at = l.secs(now)
		l.toNewest(q)
	}
	return q
}

func (l *Live) newQueue(name string) *queue {
	if len(l.byName) >= maxQueues {
		inUse := func(q *queue) bool { return len(q.holders) > 0 || q.touched }
		old := l.byAge.Front()
		for tries := 0; old != nil && inUse(old.Value.(*queue)); old = old.Next() {
			if tries++; tries > 16 {
				return nil
			}
		}
		if old == nil {
			return nil
		}
		l.forgetQueue(old.Value.(*queue))
	}
	q := &queue{name: name, polled: l.knowsAll}
	q.index, l.byName[name] = l.queues.add(q), q
	return q
}

func (l *Live) forgetQueue(q *queue) {
	l.knowsAll = false
	l.depth.move(q.levels, levels{})
	l.dropRings(q)
	if q.place != nil {
		if l.oldestRings == q.place {
			l.oldestRings = q.place.Next()
		}
		l.byAge.Remove(q.place)
		q.place = nil
	}
	delete(l.byName, q.name)
	l.queues.drop(q.index)
	q.busy = false
	if l.lastQ == q {
		l.lastQ = nil
	}
}

// toNewest puts q at the end of the list by age.
func (l *Live) toNewest(q *queue) {
	switch {
	case q.place == nil:
		q.place = l.byAge.PushBack(q)
	case q.place.Next() != nil:
		if l.oldestRings == q.place {
			l.oldestRings = q.place.Next()
		}
		l.byAge.MoveToBack(q.place)
	}
	if l.oldestRings == nil && q.rest != nil {
		l.oldestRings = q.place
	}
}

// idleActive is how long an active queue had no call before another may take its place.
const idleActive = 60

// giveRings sees to it that q has the rings that it may have. The caller holds mu.
func (l *Live) giveRings(q *queue) {
	if q.active == nil {
		if len(l.active) >= maxActive {
			old := slices.MinFunc(l.active, func(a, b *queue) int { return cmp.Compare(a.at, b.at) })
			if q.at > old.at+idleActive {
				l.dropActive(old)
			}
		}
		if len(l.active) < maxActive {
			q.active = l.makeRings(activeRings)
			l.active = append(l.active, q)
		}
	}
	if q.rest == nil {
		q.rest = l.makeRings(restRings)
		l.toNewest(q)
	}
	for l.bytes > maxRingBytes && l.oldestRings != nil && l.oldestRings != q.place {
		l.dropRings(l.oldestRings.Value.(*queue))
		l.oldestRings = l.oldestRings.Next()
	}
}

func (l *Live) makeRings(all []Resolution) (rings []*ring) {
	for _, r := range all {
		n := newRing(r, false)
		rings, l.bytes = append(rings, n), l.bytes+n.bytes()
	}
	return rings
}

func (l *Live) dropActive(q *queue) {
	if q.active == nil {
		return
	}
	for _, r := range q.active {
		l.bytes -= r.bytes()
	}
	q.active = nil
	i := slices.Index(l.active, q)
	l.active = slices.Delete(l.active, i, i+1)
}

func (l *Live) dropRings(q *queue) {
	l.dropActive(q)
	for _, r := range q.rest {
		l.bytes -= r.bytes()
	}
	q.rest = nil
}

// runOf returns the index of a run and notes that it moved; 0 for none, and when too many are
// known.
func (l *Live) runOf(name string, now time.Time) uint16 {
	if name == "" {
		return 0
	}
	i, ok := l.byRun[name]
	if !ok {
		if len(l.byRun) >= maxRuns {
			return 0 // until the next tick forgets some
		}
		r := &run{name: name}
		i = l.runs.add(r)
		r.index, l.byRun[name] = i, i
	}
	l.runMoved(i, now)
	return i
}

func (l *Live) runMoved(i uint16, now time.Time) {
	if r := l.runs.all[i]; r != nil && !r.moved {
		r.moved, r.at = true, l.secs(now)
		l.moved = append(l.moved, r)
	}
}

// workerOf returns the index of who calls, and notes that it was seen; 0 for those beyond what is
// kept.
func (l *Live) workerOf(c *Caller, now time.Time) uint16 {
	if c.Worker == "" {
		return 0
	}
	k := workerKey{c.Door, c.Worker}
	i, ok := l.byWork[k]
	if !ok {
		if len(l.byWork) >= maxWorkers {
			l.workers.all[0].Seen = now
			return 0
		}
		i = l.workers.add(&Worker{Name: c.Worker, Door: c.Door, Since: now})
		l.byWork[k] = i
	}
	w := l.workers.all[i]
	w.Seen = now
	if c.Version != "" {
		w.Version = c.Version
	}
	return i
}

// forgetOld forgets workers and runs that were silent for long, so that others may come.
func (l *Live) forgetOld(now time.Time) {
	for k, i := range l.byWork {
		if w := l.workers.all[i]; w.InFlight == 0 && w.Waiting == 0 && now.Sub(w.Seen) > forgetAfter {
			delete(l.byWork, k)
			l.workers.free = append(l.workers.free, i)
		}
	}
	for name, i := range l.byRun {
		if r := l.runs.all[i]; r.held == 0 && !r.moved && l.secs(now)-r.at > uint32(forgetAfter/time.Second) {
			delete(l.byRun, name)
			l.runs.drop(i)
		}
	}
}

// hold notes n hand-outs of q to worker i; n may be negative.
func (l *Live) hold(q *queue, i uint16, n int) {
	w := l.workers.all[i]
	w.InFlight += n
	if q == nil {
		return
	}
	if q.holders == nil {
		q.holders = map[uint16]int{}
	}
	if q.holders[i] += n; q.holders[i] <= 0 {
		delete(q.holders, i)
	}
}

func (d *levels) move(from, to levels) {
	d.delayed += to.delayed - from.delayed
	d.ready += to.ready - from.ready
	d.leased += to.leased - from.leased
	d.dead += to.dead - from.dead
}
