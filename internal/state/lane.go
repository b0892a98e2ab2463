package state

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/glassq/glassq"
)

// A lane orders task numbers. New tasks come in growing order and are kept as ranges; those that
// come back (nacked, expired, due, redriven) go to a heap. Numbers leave in ascending order. Tasks
// that end while in a lane are left in it and skipped by the caller.
type lane struct {
	runs []span
	head int // first of runs in use
	back []uint64
}

type span struct{ first, end uint64 } // end is excluded

func (l *lane) push(n uint64) {
	if k := len(l.runs); k > l.head && l.runs[k-1].end == n {
		l.runs[k-1].end++
		return
	}
	if l.head > 64 && l.head > len(l.runs)/2 {
		l.runs = slices.Delete(l.runs, 0, l.head)
		l.head = 0
	}
	l.runs = append(l.runs, span{n, n + 1})
}

func (l *lane) giveBack(n uint64) {
	l.back = append(l.back, n)
	i := len(l.back) - 1
	for i > 0 {
		p := (i - 1) / 2
		if l.back[p] <= l.back[i] {
			break
		}
		l.back[p], l.back[i] = l.back[i], l.back[p]
		i = p
	}
}

// first returns the lowest number.
func (l *lane) first() (uint64, bool) {
	fifo := l.head < len(l.runs)
	if len(l.back) > 0 && (!fifo || l.back[0] < l.runs[l.head].first) {
		return l.back[0], true
	}
	if fifo {
		return l.runs[l.head].first, true
	}
	return 0, false
}

// pop drops the lowest number.
func (l *lane) pop() {
	if n, ok := l.first(); ok {
		l.drop(n + 1)
	}
}

// drop drops all numbers below n.
func (l *lane) drop(n uint64) {
	for len(l.back) > 0 && l.back[0] < n {
		l.popBack()
	}
	for l.head < len(l.runs) {
		if r := &l.runs[l.head]; r.end > n {
			r.first = max(r.first, n)
			return
		}
		l.head++
	}
	l.runs, l.head = l.runs[:0], 0
	if cap(l.runs) > 1024 {
		l.runs = nil
	}
}

// popBack drops the lowest of those that came back.
func (l *lane) popBack() {
	last := len(l.back) - 1
	l.back[0] = l.back[last]
	l.back = l.back[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && l.back[c+1] < l.back[c] {
			c++
		}
		if l.back[i] <= l.back[c] {
			break
		}
		l.back[i], l.back[c] = l.back[c], l.back[i]
		i = c
	}
	if last == 0 {
		l.back = nil
	}
}

// insert puts numbers that were in no lane where they belong.
func (l *lane) insert(s span) {
	i, _ := slices.BinarySearchFunc(l.runs[l.head:], s.first,
		func(r span, n uint64) int { return cmp.Compare(r.first, n) })
	l.runs = slices.Insert(l.runs, l.head+i, s)
}

// tidy drops those that keep says no to, and what is there twice, once they are more than those that
// count: tasks that left the lane elsewhere than at its beginning, and came back.
func (l *lane) tidy(count int64, keep func(uint64) bool) {
	size := len(l.back)
	for _, r := range l.runs[l.head:] {
		size += int(r.end - r.first)
	}
	if int64(size) <= 2*count+1024 {
		return
	}
	var tidied lane
	last := uint64(0)
	l.from(0, func(n uint64) uint64 {
		if n != last && keep(n) {
			tidied.push(n)
			last = n
		}
		return n + 1
	})
	*l = tidied
}

func (l *lane) reset() { *l = lane{} }

// from calls fn for numbers >= n in ascending order; fn says from which one on the next may be, and
// 0 for no more. It leaves the heap in ascending order, which is a heap too, so that the next page
// of a million costs one look at each.
func (l *lane) from(n uint64, fn func(uint64) (next uint64)) {
	slices.Sort(l.back)
	back := l.back
	b, _ := slices.BinarySearch(back, n)
	for _, r := range l.runs[l.head:] {
		for k := max(r.first, n); k < r.end; k = n {
			for ; b < len(back) && back[b] < k; b++ {
				if fn(back[b]) == 0 {
					return
				}
			}
			if n = fn(k); n == 0 {
				return
			}
		}
	}
	for ; b < len(back); b++ {
		if fn(back[b]) == 0 {
			return
		}
	}
}

// firstIn returns the first ready task of a lane, and clears away those that ended in it.
func (s *State) firstIn(l *lane) (uint64, *entry) {
	for {
		n, ok := l.first()
		if !ok {
			return 0, nil
		}
		e := s.tasks.get(n)
		if e == nil {
			e = s.untaken(n)
		}
		if e != nil && e.state() == glassq.Ready {
			return n, e
		}
		l.drop(s.after(n))
	}
}

// Head returns the task that is to be handed out next, whatever the settings say but for those of
// keys.
func (s *State) Head(q *Queue) (n uint64, p Place, ok bool) {
	s.tasks.trim()
	if q.ring != nil {
		return s.keyHead(q.ring)
	}
	for q.filled != 0 {
		priority := bits.Len16(q.filled) - 1
		if n, e := s.firstIn(&q.lanes[priority]); e != nil {
			return n, s.placeOf(n, e), true
		}
		q.filled &^= 1 << priority
	}
	return 0, p, false
}
