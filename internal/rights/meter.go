package rights

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
)

// Rates bound what the holders of a token put in a second; 0 is no bound.
type Rates struct {
	Puts  int64 `json:"puts_per_second,omitempty"`
	Bytes int64 `json:"bytes_per_second,omitempty"` // of bodies, headers and unknown members
}

func (r Rates) check() error {
	if r.Puts < 0 || r.Bytes < 0 {
		return glassq.Errorf(glassq.CodeBadRequest, "a rate below 0; leave it out for no bound")
	}
	return nil
}

// A Meter counts what the holders of a token put, over all connections and doors. Tokens of one
// name, an old and a new one, share it. It is safe for concurrent use, and allocates nothing but
// the error of a refusal.
//
// What may be put is saved up for at most a second. A batch passes when something is left of that,
// and is counted as a whole: what was too much is owed, and the next one waits until it is paid.
// So a batch of any size passes, large ones do not starve beside small ones, and the rate is kept
// over time.
type Meter struct {
	puts, bytes budget
	began       time.Time // what the budgets count from; its monotonic reading counts
	refused     *Refused
}

// Refused counts puts that a rate refused.
type Refused struct{ Puts, Bytes atomic.Uint64 }

const (
	saved    = time.Second // for which a rate is saved up
	mostOwed = 365 * 24 * time.Hour
)

// A budget is one rate.
type budget struct {
	rate atomic.Int64 // a second; 0 is no bound
	due  atomic.Int64 // when all that has passed is paid for, in ns from Meter.began
}

// cost is the time in which a rate grants n.
func cost(n, rate int64) int64 {
	return int64(min(math.Ceil(float64(n)*float64(time.Second)/float64(rate)), float64(mostOwed)))
}

// take counts n, or returns after which time it would.
func (b *budget) take(now, n int64) (wait time.Duration) {
	rate := b.rate.Load()
	if rate == 0 || n == 0 {
		return 0
	}
	for {
		due := b.due.Load()
		from := max(due, now-int64(saved))
		if wait := from + cost(1, rate) - now; wait > 0 {
			return time.Duration(wait)
		}
		if b.due.CompareAndSwap(due, from+cost(n, rate)) {
			return 0
		}
	}
}

// owe counts n whatever was put before; below 0 it gives back.
func (b *budget) owe(now, n int64) {
	rate := b.rate.Load()
	if rate == 0 || n == 0 {
		return
	}
	for {
		due := b.due.Load()
		from := max(due, now-int64(saved))
		if b.due.CompareAndSwap(due, min(from+cost(n, rate), now+int64(mostOwed))) {
			return
		}
	}
}

func newMeter(refused *Refused) *Meter {
	return &Meter{began: time.Now().Add(-saved), refused: refused}
}

func (m *Meter) now() int64 { return int64(time.Since(m.began)) }

// set has other rates from now on. It reports whether they are others.
func (m *Meter) set(r Rates) bool {
	puts, bytes := m.puts.rate.Swap(r.Puts), m.bytes.rate.Swap(r.Bytes)
	return puts != r.Puts || bytes != r.Bytes
}

// Rates are those of now.
func (m *Meter) Rates() Rates { return Rates{m.puts.rate.Load(), m.bytes.rate.Load()} }

// take counts a put of some tasks of so many bytes. Where it is refused, wait says for how long,
// and over by which rate.
func (m *Meter) take(tasks, bytes int64) (wait time.Duration, over string) {
	if m.puts.rate.Load() == 0 && m.bytes.rate.Load() == 0 {
		return 0, ""
	}
	now := m.now()
	if wait = m.puts.take(now, tasks); wait > 0 {
		m.refused.Puts.Add(1)
		return wait, "tasks"
	}
	if wait = m.bytes.take(now, bytes); wait > 0 {
		m.puts.owe(now, -tasks)
		m.refused.Bytes.Add(1)
		return wait, "bytes"
	}
	return 0, ""
}

// Take counts a put by a holder of the token before it is done. Its error has code quota, and says
// when to try again.
func (l *Live) Take(tasks, bytes int64) error {
	wait, over := l.meter.take(tasks, bytes)
	if wait == 0 {
		return nil
	}
	most := l.meter.Rates().Puts
	if over == "bytes" {
		most = l.meter.Rates().Bytes
	}
	err := glassq.Errorf(glassq.CodeQuota, "token %s may put %d %s a second, and has put more; try again in %v", l.Name, most,
		over, wait.Round(time.Millisecond)+time.Millisecond)
	err.RetryAfter = wait
	return err
}

// Owe counts what was put as a part of something that is never refused for its rate; below 0 it
// gives back what Take has counted.
func (l *Live) Owe(tasks, bytes int64) {
	m := l.meter
	if m.puts.rate.Load() == 0 && m.bytes.rate.Load() == 0 {
		return
	}
	now := m.now()
	m.puts.owe(now, tasks)
	m.bytes.owe(now, bytes)
}

// Rates are those of the token now.
func (l *Live) Rates() Rates { return l.meter.Rates() }
