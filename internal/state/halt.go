package state

import (
	"fmt"
	"math"
	"time"

	"github.com/glassq/glassq"
)

// A breaker pauses the hand-outs of a queue when too many of its tasks fail, see
// glassq.Settings.Halt. It sees each ending in the record that makes it: an ack, a nack that counts,
// a lease that runs out.
type breaker struct {
	rule   glassq.HaltRule
	resume int64 // ms from a halt until a probe goes out; 0 for never

	ring   [(glassq.MaxHalt + 63) / 64]uint64 // of the last rule.Of endings, bits of those that failed
	n      int                                // endings in it
	at     int                                // where the next one goes
	failed int                                // bits

	halted bool
	since  int64  // ms, of the halt; failed probes do not move it
	until  int64  // ms, when a probe goes out; 0 for never
	probe  uint64 // the lease number of the one that is out; 0 for none
	share  int    // how many had failed
}

// setHalt has q keep the rule of its settings. A new rule begins with no endings.
func (s *State) setHalt(q *Queue) {
	rule, err := glassq.ParseHalt(q.settings.Halt)
	if err != nil || rule == (glassq.HaltRule{}) {
		q.breaker = nil
		return
	}
	resume := int64(q.settings.HaltResume * 1000)
	if b := q.breaker; b != nil && b.rule == rule {
		if b.resume != resume && b.halted && b.probe == 0 {
			b.resume = resume
			s.haltUntil(q)
		}
		b.resume = resume
		return
	}
	q.breaker = &breaker{rule: rule, resume: resume}
}

// MayHandOut is how many tasks of q may be handed out now, as far as its halt goes.
func (s *State) MayHandOut(q *Queue) int {
	switch b := q.breaker; {
	case b == nil || !b.halted:
		return math.MaxInt
	case b.until == 0 || s.now < b.until || b.probe != 0:
		return 0
	}
	return 1
}

// haltUntil sets when the next probe of q goes out.
func (s *State) haltUntil(q *Queue) {
	b := q.breaker
	if b.probe, b.until = 0, 0; b.resume > 0 {
		b.until = s.now + b.resume
		s.halts.push(b.until, uint64(q.num))
	}
}

func (s *State) haltValid(t timer) bool {
	q := s.byNum[t.ref]
	return q != nil && q.breaker != nil && q.breaker.halted && q.breaker.until == t.at
}

// haltOut notes a hand-out of q.
func (q *Queue) haltOut(number uint64) {
	if b := q.breaker; b != nil && b.halted {
		b.probe = number
	}
}

// haltEnd counts an ending in q. Of a queue that is halted only that of the probe counts: others
// were handed out before.
func (s *State) haltEnd(q *Queue, number uint64, failed bool) {
	b := q.breaker
	switch {
	case b == nil:
		return
	case b.halted:
		if number != b.probe {
			return
		}
		if failed {
			s.haltUntil(q)
		} else {
			s.resume(q)
		}
		return
	}
	word, bit := &b.ring[b.at/64], uint64(1)<<(b.at%64)
	if b.n == b.rule.Of && *word&bit != 0 {
		b.failed--
	}
	if *word &^= bit; failed {
		*word |= bit
		b.failed++
	}
	b.n, b.at = min(b.n+1, b.rule.Of), (b.at+1)%b.rule.Of
	if b.n == b.rule.Of && float64(b.failed)*100 > b.rule.Percent*float64(b.rule.Of) {
		b.halted, b.since, b.share = true, s.now, b.failed
		s.haltUntil(q)
	}
}

// haltBack notes that a lease of q was given back without an ending: another probe may go out.
func (s *State) haltBack(q *Queue, number uint64) {
	if b := q.breaker; b != nil && b.halted && b.probe == number {
		b.probe = 0
	}
}

// resume ends a halt of q; endings are counted anew.
func (s *State) resume(q *Queue) {
	if b := q.breaker; b != nil && b.halted {
		*b = breaker{rule: b.rule, resume: b.resume}
		s.halts.drop(s.haltValid)
		if q.count[glassq.Ready] > 0 {
			s.hooks.Ready(q)
		}
	}
}

// Halted says why hand-outs of q pause; one that is nil is not halted.
func (q *Queue) Halted() (h glassq.Halted) {
	if q == nil || q.breaker == nil || !q.breaker.halted {
		return h
	}
	b := q.breaker
	h.Why = fmt.Sprintf("%d of the last %d endings failed (%s)", b.share, b.rule.Of, q.settings.Halt)
	h.Since = time.UnixMilli(b.since)
	if b.until != 0 {
		h.Until = time.UnixMilli(b.until)
	}
	return h
}

// DecideResume ends the halt of a queue; nil when it is not halted.
func (s *State) DecideResume(queue string) []byte {
	if !s.Queue(queue).Halted().Now() {
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
		q := &im.queues[i]
		b := q.breaker
		if b == nil {
			continue
		}
		e.str(q.name)
		e.num(uint64(b.n), uint64(b.at))
		e.num(b.ring[:]...)
		halted := uint64(0)
		if b.halted {
			halted = 1
		}
		e.num(halted, uint64(b.since), uint64(b.until), b.probe, uint64(b.share))
	}
}

func (s *State) restoreHalts(d *decoder) {
	for k := d.num(); k > 0 && d.err == nil; k-- {
		q := s.queues[d.str()]
		if q == nil || q.breaker == nil {
			d.fail("halt of a queue")
			return
		}
		b := q.breaker
		n, at := d.num(), d.num()
		for i := range b.ring {
			b.ring[i] = d.num()
		}
		halted := d.num()
		b.since, b.until, b.probe, b.share = int64(d.num()), int64(d.num()), d.num(), int(d.num()&0xff)
		if n > uint64(b.rule.Of) || at >= uint64(b.rule.Of) || halted > 1 {
			d.fail("halt")
			return
		}
		b.n, b.at, b.halted = int(n), int(at), halted == 1
		for i := range b.rule.Of {
			b.failed += int(b.ring[i/64] >> (i % 64) & 1)
		}
		if b.halted && b.until != 0 {
			s.halts.push(b.until, uint64(q.num))
		}
	}
}
