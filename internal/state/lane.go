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
// at hand. Those between take a byte or two for the gap before them and one for their length. They
// are far away in memory, so some are copied at a time.
type lane struct {
	cur  span      // the first
	more *laneMore // those behind it; nil for none
	back *[]uint64 // those that came back, a heap; nil for none

	near     [14]byte // a copy of more.rest from more.off on
	read, of uint8    // what was read of near, of how many bytes
}

// A laneMore holds the spans of a lane behind the first.
type laneMore struct {
	tail span   // the last; empty where there is none
	rest []byte // those before it: uvarints of the gap to the end of the one before, and of the length
	off  int    // what was read of rest, but for what was read of lane.near
	end  uint64 // of the last one in rest
}

type span struct{ first, end uint64 } // end is excluded

func (s span) empty() bool { return s.first >= s.end }

func (l *lane) push(n uint64) { l.add(span{n, n + 1}) }

// add puts a span behind all others.
func (l *lane) add(s span) {
	if l.cur.empty() {
		l.cur = s
		return
	}
	m := l.more
	if m == nil || m.tail.empty() {
		if l.cur.end == s.first {
			l.cur.end = s.end
			return
		}
		if m == nil {
			m = &laneMore{}
			l.more = m
		}
		m.tail, m.end = s, l.cur.end
		return
	}
	if m.tail.end == s.first {
		m.tail.end = s.end
		return
	}
	if m.off > 1024 && m.off > len(m.rest)/2 {
		m.rest, m.off = slices.Delete(m.rest, 0, m.off), 0
	}
	m.rest = binary.AppendUvarint(binary.AppendUvarint(m.rest, m.tail.first-m.end), m.tail.end-m.tail.first)
	m.tail, m.end = s, m.tail.end
}

// next drops the first span.
func (l *lane) next() {
	s, n := between(l.near[l.read:l.of], l.cur.end)
	if n > 0 {
		l.cur, l.read = s, l.read+uint8(n)
		return
	}
	m := l.more
	if m == nil {
		l.cur = span{}
		return
	}
	m.off += int(l.read)
	l.read, l.of = 0, 0
	if m.off == len(m.rest) {
		l.cur, m.tail = m.tail, span{}
		if m.rest, m.off = m.rest[:0], 0; cap(m.rest) > 16<<10 {
			m.rest = nil
		}
		return
	}
	l.cur, n = between(m.rest[m.off:], l.cur.end)
	m.off += n
	l.of = uint8(copy(l.near[:], m.rest[m.off:]))
}

// between reads a span of laneMore.rest, behind one that ends at end, and how many bytes it takes;
// 0 when it is not there as a whole.
func between(rest []byte, end uint64) (span, int) {
	gap, k := binary.Uvarint(rest)
	if k <= 0 {
		return span{}, 0
	}
	length, n := binary.Uvarint(rest[k:])
	if n <= 0 {
		return span{}, 0
	}
	return span{end + gap, end + gap + length}, k + n
}

// spans are all spans, the first one first.
func (l *lane) spans(yield func(span) bool) {
	if l.cur.empty() || !yield(l.cur) {
		return
	}
	m := l.more
	if m == nil {
		return
	}
	s, n := l.cur, 0
	for off := m.off + int(l.read); off < len(m.rest); off += n {
		if s, n = between(m.rest[off:], s.end); !yield(s) {
			return
		}
	}
	if !m.tail.empty() {
		yield(m.tail)
	}
}

// empty tells that nothing is in the lane.
func (l *lane) empty() bool { return l.cur.empty() && l.back == nil }

func (l *lane) giveBack(n uint64) {
	if l.back == nil {
		l.back = new([]uint64)
	}
	back := append(*l.back, n)
	*l.back = back
	i := len(back) - 1
	for i > 0 {
		p := (i - 1) / 2
		if back[p] <= back[i] {
			break
		}
		back[p], back[i] = back[i], back[p]
		i = p
	}
}

// first returns the lowest number.
func (l *lane) first() (uint64, bool) {
	if l.back != nil {
		if least := (*l.back)[0]; l.cur.empty() || least < l.cur.first {
			return least, true
		}
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
	for l.back != nil && (*l.back)[0] < n {
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
	back := *l.back
	last := len(back) - 1
	if last == 0 {
		l.back = nil
		return
	}
	back[0] = back[last]
	back = back[:last]
	*l.back = back
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && back[c+1] < back[c] {
			c++
		}
		if back[i] <= back[c] {
			break
		}
		back[i], back[c] = back[c], back[i]
		i = c
	}
}

// insert puts numbers that were in no lane where they belong.
func (l *lane) insert(in span) {
	last := l.cur.end
	if l.more != nil {
		last = cmp.Or(l.more.tail.end, last)
	}
	if in.first >= last {
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
	var back []uint64
	if l.back != nil {
		back = *l.back
		slices.Sort(back)
	}
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
// keys, and fills in its place if p is not nil.
func (s *State) Head(q *Queue, p *Place) (n uint64, ok bool) {
	s.tasks.trim()
	n, e := s.head(q)
	if e != nil && p != nil {
		s.locate(p, n, e)
	}
	return n, e != nil
}

func (s *State) head(q *Queue) (uint64, *entry) {
	if q.ring != nil {
		return s.keyHead(q.ring)
	}
	for q.filled != 0 {
		priority := bits.Len16(q.filled) - 1
		if n, e := s.firstIn(&q.lanes[priority]); e != nil {
			return n, e
		}
		q.filled &^= 1 << priority
	}
	return 0, nil
}
