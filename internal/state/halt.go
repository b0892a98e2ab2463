package state

import (
	"fmt"
	"math"
	"time"

	"github.com/glassq/glassq"
)

// A breaker counts endings of tasks, and halts their hand-outs when too many of them failed, see
// glassq.Settings.Halt. It sees each ending in the record that makes it: an ack, a nack that counts,
// a lease that runs out.
type breaker struct {
	ring   [(glassq.MaxHalt + 63) / 64]uint64 // of the last rule.Of endings, bits of those that failed
	n      uint8                              // endings in it
	at     uint8                              // where the next one goes
	failed uint8                              // bits

	halted bool
	share  uint8  // how many had failed
	since  int64  // ms, of the halt; failed probes do not move it
	until  int64  // ms, when a probe goes out; 0 for never
	probe  uint64 // the lease number of the one that is out; 0 for none
}

// halting is the rule of a queue, and what it counts: with all of its tasks, or key by key.
type halting struct {
	rule   glassq.HaltRule
	resume int64 // ms from a halt until a probe goes out; 0 for never
	breaker
	keys *keyHalts // nil unless each key has a breaker of its own
}

// setHalt has q keep the rule of its settings. A new rule begins with no endings.
func (s *State) setHalt(q *Queue) {
	rule, err := glassq.ParseHalt(q.settings.Halt)
	was, perKey := q.halting, q.settings.HaltsKeys()
	if err != nil || rule == (glassq.HaltRule{}) {
		s.dropHalts(q)
		return
	}
	resume := int64(q.settings.HaltResume * 1000)
	if was == nil || was.rule != rule || perKey != (was.keys != nil) {
		s.dropHalts(q)
		q.halting = &halting{rule: rule, resume: resume}
		if perKey {
			q.halting.keys = newKeyHalts()
		}
		return
	}
	moved := was.resume != resume
	was.resume = resume
	if moved && was.halted && was.probe == 0 {
		s.haltUntil(q)
	}
	if moved && was.keys != nil {
		for b := range breakers(&was.keys.halted) {
			if b.probe == 0 {
				b.wait(resume, s.now)
			}
			s.placeHalted(q, b)
		}
	}
}

// dropHalts forgets the rule of q, and all that it halted.
func (s *State) dropHalts(q *Queue) {
	h := q.halting
	if q.halting = nil; h == nil || h.keys == nil || q.ring == nil {
		return
	}
	for _, b := range h.keys.by {
		if k := q.ring.keys[b.name]; k != nil {
			k.halt = nil
		}
	}
	for b := range breakers(&h.keys.halted) {
		s.placeHalted(q, b)
	}
}

// MayHandOut is how many tasks of q may be handed out now, as far as its halt goes.
func (s *State) MayHandOut(q *Queue) int {
	switch h := q.halting; {
	case h == nil || !h.halted:
		return math.MaxInt
	case !h.mayProbe(s.now):
		return 0
	}
	return 1
}

// mayProbe tells whether a probe may go out at a moment in ms. It is halted.
func (b *breaker) mayProbe(now int64) bool { return b.until != 0 && now >= b.until && b.probe == 0 }

// wait sets when the next probe goes out.
func (b *breaker) wait(resume, now int64) {
	if b.probe, b.until = 0, 0; resume > 0 {
		b.until = now + resume
	}
}

// haltUntil sets when the next probe of q goes out.
func (s *State) haltUntil(q *Queue) {
	h := q.halting
	if h.wait(h.resume, s.now); h.until != 0 {
		s.halts.push(h.until, uint64(q.num))
	}
}

func (s *State) haltValid(t timer) bool {
	q := s.byNum[t.ref]
	return q != nil && q.halting != nil && q.halting.halted && q.halting.until == t.at
}

// breakerOf is that of the tasks of a class, nil for none; a key has none before its first ending.
func (c *class) breakerOf() *breaker {
	switch h := c.queue.halting; {
	case h == nil:
		return nil
	case h.keys == nil:
		return &h.breaker
	case c.key != nil && c.key.halt != nil:
		return &c.key.halt.breaker
	}
	return nil
}

// haltOut notes a hand-out of a task.
func (c *class) haltOut(number uint64) {
	if b := c.breakerOf(); b != nil && b.halted {
		b.probe = number
	}
}

// haltBack notes that a lease was given back without an ending: another probe may go out.
func (s *State) haltBack(c *class, number uint64) {
	if b := c.breakerOf(); b != nil && b.halted && b.probe == number {
		b.probe = 0
		s.hooks.Ready(c.queue)
	}
}

// haltEnd counts an ending.
func (s *State) haltEnd(c *class, number uint64, failed bool) {
	q := c.queue
	h := q.halting
	if h == nil {
		return
	}
	if h.keys != nil {
		s.keyEnded(c, number, failed)
		return
	}
	switch h.count(h.rule, number, failed) {
	case halts:
		h.since = s.now
		s.haltUntil(q)
	case haltsOn:
		s.haltUntil(q)
	case goesOn:
		s.resume(q)
	}
}

// What comes of an ending.
type verdict uint8

const (
	staysSo verdict = iota
	halts           // hand-outs pause from now on
	haltsOn         // the probe failed
	goesOn          // the probe succeeded: endings are to be counted anew
)

// count counts an ending. While hand-outs are halted only that of the probe counts: others were
// handed out before.
func (b *breaker) count(rule glassq.HaltRule, number uint64, failed bool) verdict {
	switch {
	case b.halted && number != b.probe:
		return staysSo
	case b.halted && failed:
		return haltsOn
	case b.halted:
		return goesOn
	}
	word, bit := &b.ring[b.at/64], uint64(1)<<(b.at%64)
	if int(b.n) == rule.Of && *word&bit != 0 {
		b.failed--
	}
	if *word &^= bit; failed {
		*word |= bit
		b.failed++
	}
	b.n, b.at = uint8(min(int(b.n)+1, rule.Of)), uint8((int(b.at)+1)%rule.Of)
	if int(b.n) < rule.Of || float64(b.failed)*100 <= rule.Percent*float64(rule.Of) {
		return staysSo
	}
	b.halted, b.share = true, b.failed
	return halts
}

// resume ends a halt of q and of its keys; endings are counted anew.
func (s *State) resume(q *Queue) {
	h := q.halting
	if h == nil {
		return
	}
	if h.keys != nil {
		for b := range breakers(&h.keys.halted) {
			s.forgetHalt(q, b)
		}
		return
	}
	if h.halted {
		h.breaker = breaker{}
		s.halts.drop(s.haltValid)
		if q.count[glassq.Ready] > 0 {
			s.hooks.Ready(q)
		}
	}
}

// Halted says why hand-outs of q pause; one that is nil is not halted.
func (q *Queue) Halted() (h glassq.Halted) {
	if q == nil || q.halting == nil {
		return h
	}
	return q.halting.breaker.why(q)
}

// why says why a breaker of q halts, if it does.
func (b *breaker) why(q *Queue) (h glassq.Halted) {
	if !b.halted {
		return h
	}
	h.Why = fmt.Sprintf("%d of the last %d endings failed (%s)", b.share, q.halting.rule.Of, q.settings.Halt)
	h.Since = time.UnixMilli(b.since)
	if b.until != 0 {
		h.Until = time.UnixMilli(b.until)
	}
	return h
}

// DecideResume ends the halt of a queue and of its keys; nil when none is halted.
func (s *State) DecideResume(queue string) []byte {
	if q := s.Queue(queue); !q.Halted().Now() && q.HaltedKeys().Count == 0 {
		return nil
	}
	return AppendResume(nil, queue)
}

// AppendResume appends that the halt of a queue has ended.
func AppendResume(dst []byte, queue string) []byte {
	return appendString(append(dst, byte(opHalt)), queue)
}

// writeHalts writes the section of what queues count for their rules.
func (im *Image) writeHalts(e *encoder) {
	n := 0
	for i := range im.queues {
		if im.queues[i].breaker != nil {
			n++
		}
	}
	if n == 0 {
		return
	}
	e.num(sectionHalts, uint64(n))
	for i := range im.queues {
		if q := &im.queues[i]; q.breaker != nil {
			e.str(q.name)
			e.breaker(q.breaker)
		}
	}
}

func (e *encoder) breaker(b *breaker) {
	e.num(uint64(b.n), uint64(b.at))
	e.num(b.ring[:]...)
	halted := uint64(0)
	if b.halted {
		halted = 1
	}
	e.num(halted, uint64(b.since), uint64(b.until), b.probe, uint64(b.share))
}

func (s *State) restoreHalts(d *decoder) {
	for k := d.num(); k > 0 && d.err == nil; k-- {
		q := s.queues[d.str()]
		if q == nil || q.halting == nil || q.halting.keys != nil {
			d.fail("halt of a queue")
			return
		}
		h := q.halting
		if h.breaker = d.breaker(h.rule); h.halted && h.until > s.now {
			s.halts.push(h.until, uint64(q.num))
		}
	}
}

func (d *decoder) breaker(rule glassq.HaltRule) (b breaker) {
	n, at := d.num(), d.num()
	for i := range b.ring {
		b.ring[i] = d.num()
	}
	halted := d.num()
	b.since, b.until, b.probe, b.share = int64(d.num()), int64(d.num()), d.num(), uint8(d.num())
	if n > uint64(rule.Of) || at >= uint64(rule.Of) || halted > 1 {
		d.fail("halt")
		return breaker{}
	}
	b.n, b.at, b.halted = uint8(n), uint8(at), halted == 1
	for i := range rule.Of {
		b.failed += uint8(b.ring[i/64] >> (i % 64) & 1)
	}
	return b
}
