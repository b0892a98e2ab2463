package state

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/glassq/glassq"
)

// place is where the queue of a name is among all in their order, or belongs.
func (s *State) place(name string) (i int, ok bool) {
	return slices.BinarySearchFunc(s.byName, name,
		func(q *Queue, name string) int { return strings.Compare(q.Name, name) })
}

// QueuesBehind are up to most queues whose names are behind a name, in the order of their names, until
// the next record.
func (s *State) QueuesBehind(name string, most int) []*Queue {
	i, ok := s.place(name)
	if ok {
		i++
	}
	return s.byName[i:min(len(s.byName), i+most)]
}

// Has tells whether the queue has what a glassq.QueueQuery asks for.
func (q *Queue) Has(what string) bool {
	switch what {
	case glassq.HasReady:
		return q.count[glassq.Ready] > 0
	case glassq.HasDelayed:
		return q.count[glassq.Delayed] > 0
	case glassq.HasLeased:
		return q.count[glassq.Leased] > 0
	case glassq.HasDead:
		return q.count[glassq.Dead] > 0
	case glassq.HasPaused:
		return q.settings.Paused
	}
	return true
}

// Rank is where the queue stands in a list that is sorted so: lower is earlier. ok is false for one that
// such a list does not have.
func (s *State) Rank(q *Queue, by string) (rank uint64, ok bool) {
	const late = 1 << 60 // beyond every task
	switch by {
	case glassq.SortReady:
		return uint64(math.MaxInt64 - q.count[glassq.Ready]), true
	case glassq.SortDead:
		return uint64(math.MaxInt64 - q.count[glassq.Dead]), true
	case glassq.SortOldest, glassq.SortUrgent:
		rank = late
		if n, ok := s.Eldest(q, nil); ok {
			rank = n
		}
	}
	if by == glassq.SortUrgent {
		switch {
		case q.holds() == 0:
			return 0, false
		case q.settings.Paused && q.count[glassq.Ready] > 0:
		case q.count[glassq.Dead] > 0:
			rank += 2 * late
		default:
			rank += 4 * late
		}
	}
	return rank, true
}

// AddTo adds the queue to totals, but for those who wait for it.
func (q *Queue) AddTo(t *glassq.QueueTotals) {
	t.Queues++
	if q.holds() > 0 {
		t.Holding++
	}
	if q.settings.Paused {
		t.Paused++
	}
	if q.halting != nil && q.halting.breaker.halted {
		t.Halted++
	}
	t.Delayed, t.Ready = t.Delayed+q.count[glassq.Delayed], t.Ready+q.count[glassq.Ready]
	t.Leased, t.Dead = t.Leased+q.count[glassq.Leased], t.Dead+q.count[glassq.Dead]
	t.Bytes, t.Pending = t.Bytes+q.bytes, t.Pending+q.books.Pending()
	b, o := &t.Books, &q.books
	b.Put, b.OK, b.Failed = b.Put+o.Put, b.OK+o.OK, b.Failed+o.Failed
	d, e := &b.Dead, &o.Dead
	d.Attempts, d.Nacked, d.Expired = d.Attempts+e.Attempts, d.Nacked+e.Nacked, d.Expired+e.Expired
	d.Purged, d.Cancelled = d.Purged+e.Purged, d.Cancelled+e.Cancelled
	if k := q.keyCounts(); k != nil {
		t.Keys = cmp.Or(t.Keys, &glassq.KeyCounts{})
		t.Keys.Waiting, t.Keys.Held, t.Keys.Full = t.Keys.Waiting+k.Waiting, t.Keys.Held+k.Held, t.Keys.Full+k.Full
		t.Keys.Paced, t.Keys.Halted = t.Keys.Paced+k.Paced, t.Keys.Halted+k.Halted
	}
}
