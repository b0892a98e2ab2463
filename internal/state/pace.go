package state

import "time"

// A Pace releases tasks at a rate: each has a due moment, 1/rate after the one before. When nobody
// asked for a while the schedule starts anew instead of catching up in a burst.
type Pace struct {
	every float64 // ns between two; 0: no limit
	next  float64 // ns, the due moment of the next
}

// slack is how far behind its schedule a Pace may be and still keep to it: callers come in batches.
const slack = float64(20 * time.Millisecond)

// SetRate sets the rate per second; 0 means no limit.
func (p *Pace) SetRate(rate float64) {
	every := 0.0
	if rate > 0 {
		every = float64(time.Second) / rate
	}
	if every != p.every {
		*p = Pace{every: every}
	}
}

// Take returns how many of up to most tasks may go at now, in ns of a monotonic clock, and when the
// first of them was due. With none, wait is how long until the next.
func (p *Pace) Take(now int64, most int) (n int, due int64, wait time.Duration) {
	if p.every == 0 {
		return most, now, 0
	}
	t := float64(now)
	if p.next < t-max(slack, p.every) {
		p.next = t
	}
	if p.next > t {
		return 0, 0, time.Duration(p.next-t) + 1
	}
	n = min(most, int((t-p.next)/p.every)+1)
	due = int64(p.next)
	p.next += float64(n) * p.every
	return n, due, 0
}

// Return gives back n that Take gave and nobody used.
func (p *Pace) Return(n int) { p.next -= float64(n) * p.every }

// Interval is the time between two, in ns.
func (p *Pace) Interval() float64 { return p.every }
