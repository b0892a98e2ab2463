package state

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/glassq/glassq"
)

// A State is the queue as the records applied so far made it.
type State struct {
	now    int64 // ms since 1970, as records and frames say; never goes back
	ahead  int64 // ms that the wall clock was ahead of it when that was last noted
	tasks  table
	leases leaseTable
	limit  uint64 // lease numbers below it are reserved in the log
	next   uint64 // the next lease number

	queues   map[string]*Queue
	byNum    []*Queue          // by Queue.num; nil where one was dropped
	byName   []*Queue          // all, in the order of their names
	idCount  int               // ids that they remember
	heldRuns map[string][]*Run // those that wait for another run, by the queue of their tasks, the oldest first
	runs     map[string]*Run
	classes  map[string]uint32
	class    []class
	free     []uint32 // unused places of class
	lastEnc  []byte   // the encoded class of the last put, and its number:
	lastNum  uint32   // batches are mostly of one class
	named    *Queue   // the queue last looked up by its name

	leaseTimers timers // ref: lease number
	delays      timers // ref: task
	ttls        timers // ref: task
	keyTimers   timers // ref: key.num, or a queue with sweepRef
	halts       timers // ref: number of a queue
	acked       ackedWindow
	checkpoints int64 // tasks that have one

	byKey     []*key // by key.num
	spareKeys []*key // of them, those that are none
	scratch   []byte
	bulk      bool // many keys are placed, by one record or by Restore

	owing  []*Run               // have come to their ends, which are to be written
	places map[string]hookPlace // reserved for hooks, by queue

	schedules map[string]*Timed

	ranges                 []*taskRange      // by number
	rangeCosts             map[uint64]uint32 // by first number, of those that were put with one
	untouched              uint64            // positions of them that were not handed out yet
	rangeDelays, rangeTTLs timers            // ref: the first number of a range
	shown                  entry             // what view returned of one of them
	strays                 int64             // positions that a snapshot has entries of, until its ranges are known

	hooks Hooks
}

// Hooks tell the owner of a State what a record changed. They must not call back.
type Hooks struct {
	// Live and Dropped tell that a task's body, or its checkpoint, lies in a frame, or no longer.
	// bytes is about what its record takes there, the same in both, and record is what it takes; 0 where a
	// snapshot does not say.
	Live    func(frame uint64, bytes, record int64)
	Dropped func(frame uint64, bytes int64)
	// Ready is called when a queue has something to hand out that it had not.
	Ready func(*Queue)
	// Lowered is called when a queue holds less than before, or less that is not dead.
	Lowered func(*Queue)
	// RunChanged is called when a run may have reached a phase that somebody waits for.
	RunChanged func()
}

// New returns an empty state.
func New(h Hooks) *State {
	if h.Live == nil {
		h.Live = func(uint64, int64, int64) {}
	}
	if h.Dropped == nil {
		h.Dropped = func(uint64, int64) {}
	}
	if h.Ready == nil {
		h.Ready = func(*Queue) {}
	}
	if h.Lowered == nil {
		h.Lowered = func(*Queue) {}
	}
	if h.RunChanged == nil {
		h.RunChanged = func() {}
	}
	s := &State{hooks: h, next: 1, limit: 1, lastNum: noClass,
		queues: map[string]*Queue{}, runs: map[string]*Run{}, classes: map[string]uint32{}, rangeCosts: map[uint64]uint32{}}
	s.tasks.next, s.tasks.hotMost = 1, hotMost
	return s
}

// Now is the time of the last record, in ms.
func (s *State) Now() int64 { return s.now }

// Ahead is how far, in ms, the wall clock was ahead of that when a start last noted it; 0 if none
// did.
func (s *State) Ahead() int64 { return s.ahead }

// Apply changes the state by the record at the start of b, whose place is (frame, offset), and
// returns how long it is. An error means that b is not a record that could have been written in
// this state: the log is damaged, or of another program, and the state is not to be used any more.
func (s *State) Apply(b []byte, frame uint64, offset uint32) (int, error) {
	if len(b) == 0 {
		return 0, recordErr("empty record")
	}
	s.tasks.trim()
	if op(b[0]) == opPut {
		p, err := decodePut(b)
		if err != nil {
			return 0, err
		}
		return p.size, s.applyPut(&p, frame, offset)
	}
	r := reader{b: b[1:]}
	var err error
	switch op(b[0]) {
	case opTime:
		delta := r.small()
		if !r.bad {
			s.Advance(s.now + int64(delta))
		}
	case opLease:
		number, n, length := r.uvarint(), r.uvarint(), r.small()
		if !r.bad {
			err = s.applyLease(number, n, int64(length))
		}
	case opAck:
		number, how := r.uvarint(), r.byte()
		if r.newer = how&0x7f > byte(glassq.Failed); !r.bad && !r.newer {
			err = s.applyAck(number, glassq.Outcome(how&0x7f), how&0x80 != 0)
		}
	case opNack:
		number, kind, delay, reason := r.uvarint(), r.most(nackPutOff), r.small(), r.str()
		if !r.bad && !r.newer {
			err = s.applyNack(number, kind, int64(delay), reason)
		}
	case opExtend:
		number, length := r.uvarint(), r.small()
		if !r.bad {
			err = s.applyExtend(number, int64(length))
		}
	case opTake:
		n := r.uvarint()
		if !r.bad {
			err = s.applyTake(n)
		}
	case opNumbers:
		limit := r.uvarint()
		if !r.bad && limit > s.limit {
			s.limit = limit
		}
	case opQueue:
		var set glassq.Settings
		name, js := r.str(), r.bytes(r.uvarint())
		if !r.bad && json.Unmarshal(js, &set) == nil {
			s.applySettings(name, set)
		} else {
			r.bad = true
		}
	case opPurge:
		name, states := r.str(), r.byte()
		if !r.bad {
			s.applyPurge(name, states)
		}
	case opRedrive:
		name, max := r.str(), r.small()
		if !r.bad {
			s.applyRedrive(name, int(max))
		}
	case opDrop:
		name := r.str()
		if !r.bad {
			s.applyDrop(name)
		}
	case opRun:
		var c glassq.RunChange
		name, js := r.str(), r.bytes(r.uvarint())
		if !r.bad && json.Unmarshal(js, &c) == nil {
			s.applyRun(name, c)
		} else {
			r.bad = true
		}
	case opMove:
		return s.applyMove(b, frame, offset)
	case opProgress:
		return s.applyProgress(b, frame, offset)
	case opClock:
		ahead := unzigzag(r.uvarint())
		if !r.bad {
			s.ahead = ahead
		}
	case opGap:
		s.applyGap(&r)
	case opGiveUp:
		s.applyGiveUp(&r)
	case opHold:
		queue, key, length, why := r.str(), r.str(), r.small(), r.str()
		if !r.bad {
			s.applyHold(queue, key, int64(length), why)
		}
	case opKeyCost:
		number, cost := r.uvarint(), r.uvarint()
		if r.bad = r.bad || cost > math.MaxUint32; !r.bad {
			err = s.applyKeyCost(number, uint32(cost))
		}
	case opHook:
		s.applyHook(&r)
	case opSchedule:
		s.applySchedule(&r)
	case opDue:
		err = s.applyDue(&r)
	case opRunEnd:
		name, k := r.str(), r.uvarint()
		if !r.bad {
			err = s.applyRunEnd(name, k)
		}
	case opHalt:
		name := r.str()
		if q := s.queues[name]; !r.bad && q != nil {
			s.resume(q)
		}
	case opCancel:
		name := r.str()
		if !r.bad {
			s.applyCancel(name)
		}
	case opRedriveSome:
		err = s.applySome(&r)
	case opRunDrop:
		name := r.str()
		if !r.bad {
			s.applyRunDrop(name)
		}
	default:
		return 0, newerErr(fmt.Sprintf("unknown record %d", b[0]))
	}
	if r.bad || r.newer {
		return 0, r.err(fmt.Sprintf("record %d", b[0]))
	}
	return len(b) - len(r.b), err
}

func (s *State) applyPut(p *put, frame uint64, offset uint32) error {
	ci, err := s.classOf(p)
	if err != nil {
		return err
	}
	c := &s.class[ci]
	q, run := c.queue, c.run
	q.headers = p.bits&putHeaders != 0 || q.headers && q.holds() > 0
	if p.count > 0 {
		return s.putRange(p, ci, frame, offset)
	}
	var flags uint64
	switch {
	case p.of > 0:
		flags |= flagResult
		if p.bits&putDense != 0 {
			flags |= flagDense
		}
	case p.bits&putDense != 0:
		flags |= flagDense
		if run == nil {
			return recordErr("position without run")
		}
		run.put.Add(p.n)
	}
	if p.ttl > 0 {
		flags |= flagTTL
	}
	body := len(p.rest)
	e := makeEntry(frame, offset, body, ci, p.n, flags)
	if p.delay > 0 {
		e.setState(glassq.Delayed)
	} else {
		e.setState(glassq.Ready)
	}
	n := s.tasks.add(e)
	if p.cost > 0 {
		s.tasks.setCost(n, p.cost)
	}
	if len(p.id) > 0 && flags&(flagResult|flagDense) == 0 {
		q.ids.add(hashID(p.id), n, s.now)
	}
	c.refs++
	s.hooks.Live(frame, s.weight(&e), int64(p.size))
	q.books.Put++
	q.bytes += e.size()
	if run != nil {
		if p.of == 0 {
			run.books.Put++
			s.reopened(run)
			s.noteHeld(run, q.Name)
		} else {
			run.results++
		}
	}
	if p.ttl > 0 {
		s.ttls.push(s.now+int64(p.ttl), n)
	}
	if p.delay > 0 {
		q.count[glassq.Delayed]++
		s.delays.push(s.now+int64(p.delay), n)
		return nil
	}
	if run != nil && run.waits && s.keepBack(s.tasks.get(n)) {
		return nil
	}
	s.oneReady(q)
	s.laneOf(c).push(n)
	q.filled |= 1 << c.priority
	s.keyMoved(c, n, glassq.Gone, glassq.Ready)
	s.hooks.Ready(q)
	return nil
}

// drop forgets task n. One that was not acked gives its id free.
func (s *State) drop(n uint64, e *entry, acked bool) {
	q, ci, frame, weight, from := s.class[e.class].queue, e.class, e.frame(), s.weight(e), e.state()
	s.remark(n, e, nil)
	if !e.has(flagResult|flagDense) && (!acked || q.ids.held != nil) {
		q.ids.ended(n, acked)
	}
	q.count[e.state()]--
	q.bytes -= e.size()
	if e.has(flagTTL) {
		e.w0 &^= flagTTL
		s.ttls.drop(s.ttlValid)
	}
	if run := s.class[ci].run; run != nil && e.has(flagResult) && e.state() != glassq.Dead {
		s.resultGone(run)
	}
	if from == glassq.Dead {
		q.dead.remove(n)
	}
	s.tasks.remove(n)
	s.keyMoved(&s.class[ci], n, from, glassq.Gone)
	s.bodyGone(n, frame, weight)
	s.hooks.Lowered(q)
	s.unref(ci)
}

// resultGone notes that a result of run was taken, or died.
func (s *State) resultGone(run *Run) {
	if run.results--; run.results == 0 {
		s.hooks.RunChanged()
	}
}

// settled notes that a run may have come to its end.
func (s *State) settled(run *Run) {
	switch {
	case run == nil || run.ended != 0 || !run.over():
	case run.owed || s.watched(run):
		s.owe(run)
	default:
		run.ended = s.now
		s.hooks.RunChanged()
	}
}

// booked returns the run whose books count the task, or nil.
func (s *State) booked(e *entry) *Run {
	if e.has(flagResult) {
		return nil
	}
	return s.class[e.class].run
}

func (s *State) applyLease(number, n uint64, length int64) error {
	e := s.taken(n)
	if e == nil || e.state() != glassq.Ready {
		return recordErr(fmt.Sprintf("lease %d of task %d, which is not ready", number, n))
	}
	c := &s.class[e.class]
	if err := s.unready(c, n); err != nil {
		return err
	}
	s.release(c.queue, s.booked(e))
	e.setState(glassq.Leased)
	e.setAttempts(e.attempts() + 1)
	c.queue.count[glassq.Ready]--
	c.queue.count[glassq.Leased]++
	s.keyLeased(c, n)
	c.haltOut(number)
	s.keyMoved(c, n, glassq.Ready, glassq.Leased)
	s.leases.set(number, lease{task: n, deadline: s.now + length, length: length})
	s.leaseTimers.push(s.now+length, number)
	if number >= s.next {
		s.next = number + 1
	}
	return nil
}

// unready takes task n, which is ready and the first of its lane, out of it.
func (s *State) unready(c *class, n uint64) error {
	l := s.laneOf(c)
	if first, ok := l.first(); !ok || first != n { // else those before it ended
		if first, e := s.firstIn(l); e == nil || first != n {
			return recordErr(fmt.Sprintf("task %d is not the first of its lane", n))
		}
	}
	l.pop()
	return nil
}

func (s *State) endLease(number uint64) (lease, *entry, error) {
	l, ok := s.leases.get(number)
	if !ok {
		return l, nil, recordErr(fmt.Sprintf("end of lease %d, which is not live", number))
	}
	s.leases.remove(number)
	s.leaseTimers.drop(s.leaseValid)
	e := s.tasks.get(l.task)
	if e == nil || e.state() != glassq.Leased {
		return l, nil, recordErr(fmt.Sprintf("lease %d of a task that is not leased", number))
	}
	return l, e, nil
}

func (s *State) leaseValid(t timer) bool {
	l, ok := s.leases.get(t.ref)
	return ok && l.deadline == t.at
}

func (s *State) ttlValid(t timer) bool {
	e := s.tasks.look(t.ref)
	return e != nil && e.has(flagTTL)
}

func (s *State) applyAck(number uint64, outcome glassq.Outcome, result bool) error {
	l, e, err := s.endLease(number)
	if err != nil {
		return err
	}
	c := &s.class[e.class]
	s.acked.add(number, c.queue.num, s.now)
	s.haltEnd(c, number, outcome == glassq.Failed)
	s.done(l.task, e, outcome, result)
	return nil
}

// done books an acked task and forgets it.
func (s *State) done(n uint64, e *entry, outcome glassq.Outcome, result bool) {
	q, run := s.class[e.class].queue, s.booked(e)
	book := func(b *glassq.Books) {
		if outcome == glassq.Failed {
			b.Failed++
		} else {
			b.OK++
		}
	}
	book(&q.books)
	if run != nil {
		book(&run.books)
		if e.has(flagDense) {
			if result {
				run.done.Add(e.n)
			}
			if outcome == glassq.Failed {
				run.failed.Add(e.n)
			}
		}
	}
	s.drop(n, e, true)
	s.settled(run)
}

func (s *State) applyTake(n uint64) error {
	e := s.taken(n)
	if e == nil || e.state() != glassq.Ready {
		return recordErr(fmt.Sprintf("take of task %d, which is not ready", n))
	}
	c := &s.class[e.class]
	if err := s.unready(c, n); err != nil {
		return err
	}
	s.release(c.queue, s.booked(e))
	s.keyLeased(c, n)
	s.haltEnd(c, 0, false)
	s.done(n, e, glassq.OK, false)
	return nil
}

func (s *State) applyNack(number uint64, kind byte, delay int64, reason string) error {
	l, e, err := s.endLease(number)
	if err != nil {
		return err
	}
	if reason != "" {
		s.tasks.setReason(l.task, reason)
	}
	if kind == nackUndone || kind == nackPutOff {
		s.settleCost(&s.class[e.class], l.task, 0) // the rate stays used: it counts hand-outs
	}
	if c := &s.class[e.class]; kind == nackUndone || kind == nackPutOff {
		s.haltBack(c, number)
	} else {
		s.haltEnd(c, number, true)
	}
	switch kind {
	case nackUndone:
		e.setAttempts(e.attempts() - 1)
		s.back(l.task, e, 0)
	case nackDead:
		s.die(l.task, e, func(d *glassq.DeadCounts) { d.Nacked++ })
	case nackPutOff:
		e.setAttempts(e.attempts() - 1)
		s.back(l.task, e, delay)
	default:
		s.retry(l.task, e, delay)
	}
	return nil
}

// retry makes a leased task ready again after delay ms, or dead when that was its last try.
func (s *State) retry(n uint64, e *entry, delay int64) {
	if e.attempts() >= s.maxAttempts(e) {
		s.die(n, e, func(d *glassq.DeadCounts) { d.Attempts++ })
		return
	}
	s.back(n, e, delay)
}

// back makes a leased or dead task ready in its old place, after delay ms.
func (s *State) back(n uint64, e *entry, delay int64) {
	c := &s.class[e.class]
	q := c.queue
	if e.has(flagLapsed) {
		s.expire(n, e)
		return
	}
	from := e.state()
	q.count[from]--
	if delay > 0 {
		e.setState(glassq.Delayed)
		q.count[glassq.Delayed]++
		s.delays.push(s.now+delay, n)
		s.keyMoved(c, n, from, glassq.Delayed)
		return
	}
	if s.keepBack(e) {
		s.keyMoved(c, n, from, glassq.Delayed)
		return
	}
	e.setState(glassq.Ready)
	s.oneReady(q)
	s.laneOf(c).giveBack(n)
	q.filled |= 1 << c.priority
	s.keyMoved(c, n, from, glassq.Ready)
	s.hooks.Ready(q)
}

// die keeps a leased task as dead, for the reason that bump counts.
func (s *State) die(n uint64, e *entry, bump func(*glassq.DeadCounts)) {
	q, run := s.class[e.class].queue, s.booked(e)
	var one glassq.DeadCounts
	if bump(&one); one.Nacked > 0 {
		e.w0 |= flagDeadNacked
	}
	bump(&q.books.Dead)
	if run != nil {
		bump(&run.books.Dead)
		if e.has(flagDense) {
			run.dead.Add(e.n)
		}
	}
	s.goes(e, s.tasks.mark(n), -1)
	from := e.state()
	q.count[from]--
	e.setState(glassq.Dead)
	q.count[glassq.Dead]++
	q.dead.add(n)
	s.keyMoved(&s.class[e.class], n, from, glassq.Dead)
	s.hooks.Lowered(q)
	if c := &s.class[e.class]; c.run != nil && e.has(flagResult) {
		s.resultGone(c.run)
	}
	s.settled(run)
}

// expire ends a task whose ttl has passed.
func (s *State) expire(n uint64, e *entry) {
	s.end(n, e, func(d *glassq.DeadCounts) { d.Expired++ })
}

// end ends a task without an ack and forgets it.
func (s *State) end(n uint64, e *entry, bump func(*glassq.DeadCounts)) {
	q, run := s.class[e.class].queue, s.booked(e)
	bump(&q.books.Dead)
	if run != nil {
		bump(&run.books.Dead)
		if e.has(flagDense) {
			run.dead.Add(e.n)
		}
	}
	s.drop(n, e, false)
	s.settled(run)
}

func (s *State) applyExtend(number uint64, length int64) error {
	l, ok := s.leases.get(number)
	if !ok {
		return recordErr(fmt.Sprintf("extension of lease %d, which is not live", number))
	}
	if s.now+length == l.deadline {
		return nil
	}
	l.deadline = s.now + length
	s.leases.set(number, l)
	s.leaseTimers.push(l.deadline, number)
	s.leaseTimers.drop(s.leaseValid)
	return nil
}

// Advance moves time to now, in ms, and does what is due by then: leases and ttls expire, delays
// end. A now in the past changes nothing.
func (s *State) Advance(now int64) {
	if now <= s.now {
		return
	}
	for {
		s.tasks.trim()
		t, which := s.earliest()
		if which == nil || t.at > now {
			break
		}
		which.pop()
		// Each at its own moment, so that one long step does the same as many short ones.
		s.now = max(s.now, t.at)
		switch which {
		case &s.leaseTimers:
			if !s.leaseValid(t) {
				which.stale = max(0, which.stale-1)
				continue
			}
			l, _ := s.leases.get(t.ref)
			n := l.task
			s.leases.remove(t.ref)
			if e := s.tasks.get(n); e != nil && e.state() == glassq.Leased {
				s.haltEnd(&s.class[e.class], t.ref, true)
				s.retry(n, e, Backoff(n, e.attempts()-1))
			}
		case &s.keyTimers:
			if !s.keyTimerValid(t) {
				which.stale = max(0, which.stale-1)
				continue
			}
			s.keyTimerDue(t.ref)
		case &s.delays:
			if !s.delayValid(t) {
				which.stale = max(0, which.stale-1)
				continue
			}
			s.back(t.ref, s.tasks.get(t.ref), 0)
		case &s.halts:
			if !s.haltValid(t) {
				which.stale = max(0, which.stale-1)
				continue
			}
			if q := s.byNum[t.ref]; q.count[glassq.Ready] > 0 {
				s.hooks.Ready(q)
			}
		case &s.rangeDelays, &s.rangeTTLs:
			if !s.rangeDue(t, which == &s.rangeTTLs) {
				which.stale = max(0, which.stale-1)
			}
		default:
			if !s.ttlValid(t) {
				which.stale = max(0, which.stale-1)
				continue
			}
			e := s.tasks.get(t.ref)
			e.w0 &^= flagTTL // its timer is gone
			if st := e.state(); st == glassq.Ready || st == glassq.Delayed {
				if st == glassq.Delayed {
					s.delays.drop(s.delayValid)
				}
				s.expire(t.ref, e)
			} else {
				e.w0 |= flagLapsed // a leased task finishes; when it comes back, back ends it
			}
		}
	}
	s.now = now
}
