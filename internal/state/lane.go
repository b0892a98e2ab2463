package state

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/glassq/glassq"
)

// A lane orders task numbers. New tasks come in growing order and are kept as spans; those that
// come back (nacked, expired, due, redriven) go to a heap. Numbers leave in ascending order. Tasks
// that end while in a lane are left in it and skipped by the caller.
//
// Where many keys take turns a lane has a span for each task, so only the first and the last are
// at hand. Those between take a byte or two for the gap before them and one for their length.
type lane struct {
	cur, tail span   // the first, and the last unless that is the first; empty where there is none
	rest      []byte // those between: uvarints of the gap to the end of the one before, and of the length
	off       int    // what was read of rest
	end       uint64 // of the last one in rest
	back      []uint64
}

type span struct{ first, end uint64 } // end is excluded

func (s span) empty() bool { return s.first >= s.end }

func (l *lane) push(n uint64) { l.add(span{n, n + 1}) }

// add puts a span behind all others.
func (l *lane) add(s span) {
	switch {
	case l.cur.empty():
		l.cur = s
	case l.tail.empty() && l.cur.end == s.first:
		l.cur.end = s.end
	case l.tail.empty():
		l.tail, l.end = s, l.cur.end
	case l.tail.end == s.first:
		l.tail.end = s.end
	default:
		if l.off > 1024 && l.off > len(l.rest)/2 {
			l.rest, l.off = slices.Delete(l.rest, 0, l.off), 0
		}
		l.rest = binary.AppendUvarint(binary.AppendUvarint(l.rest, l.tail.first-l.end), l.tail.end-l.tail.first)
		l.tail, l.end = s, l.tail.end
	}
}

// next drops the first span.
func (l *lane) next() {
	if l.off == len(l.rest) {
		l.cur, l.tail = l.tail, span{}
		return
	}
	l.cur, l.off = between(l.rest, l.off, l.cur.end)
	if l.off == len(l.rest) {
		if l.rest, l.off = l.rest[:0], 0; cap(l.rest) > 16<<10 {
			l.rest = nil
		}
	}
}

// between reads a span of lane.rest, behind one that ends at end, and where the next one is.
func between(rest []byte, off int, end uint64) (span, int) {
	gap, k := binary.Uvarint(rest[off:])
	length, n := binary.Uvarint(rest[off+k:])
	return span{end + gap, end + gap + length}, off + k + n
}

// spans are all spans, the first one first.
func (l *lane) spans(yield func(span) bool) {
	if l.cur.empty() || !yield(l.cur) {
		return
	}
	s := l.cur
	for off := l.off; off < len(l.rest); {
		if s, off = between(l.rest, off, s.end); !yield(s) {
			return
		}
	}
	if !l.tail.empty() {
		yield(l.tail)
	}
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
	if len(l.back) > 0 && (l.cur.empty() || l.back[0] < l.cur.first) {
		return l.back[0], true
	}
	return l.cur.first, !l.cur.empty()
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
	for !l.cur.empty() {
		if l.cur.end > n {
			l.cur.first = max(l.cur.first, n)
			return
		}
		l.next()
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
func (l *lane) insert(in span) {
	if last := cmp.Or(l.tail.end, l.cur.end); in.first >= last {
		l.add(in)
		return
	}
	anew := lane{back: l.back}
	for s := range l.spans {
		if !in.empty() && in.first < s.first {
			anew.add(in)
			in = span{}
		}
		anew.add(s)
	}
	if !in.empty() {
		anew.add(in)
	}
	*l = anew
}

func (l *lane) reset() { *l = lane{} }

// from calls fn for numbers >= n in ascending order; fn says from which one on the next may be, and
// 0 for no more. It leaves the heap in ascending order, which is a heap too, so that the next page
// of a million costs one look at each.
func (l *lane) from(n uint64, fn func(uint64) (next uint64)) {
	slices.Sort(l.back)
	back := l.back
	b, _ := slices.BinarySearch(back, n)
	for r := range l.spans {
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
	n, e := s.headIn(q)
	if e == nil {
		return 0, p, false
	}
	return n, s.placeOf(n, e), true
}

// headIn is Head of a queue that does not look at keys; nil when there is none.
func (s *State) headIn(q *Queue) (uint64, *entry) {
	for q.filled != 0 {
		priority := bits.Len16(q.filled) - 1
		if n, e := s.firstIn(&q.lanes[priority]); e != nil {
			return n, e
		}
		q.filled &^= 1 << priority
	}
	return 0, nil
}
