package state

import "slices"

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
	fifo := l.head < len(l.runs)
	if len(l.back) > 0 && (!fifo || l.back[0] < l.runs[l.head].first) {
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
		return
	}
	r := &l.runs[l.head]
	if r.first++; r.first == r.end {
		if l.head++; l.head == len(l.runs) {
			l.runs, l.head = l.runs[:0], 0
			if cap(l.runs) > 1024 {
				l.runs = nil
			}
		}
	}
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
	l.from(0, func(n uint64) bool {
		if n != last && keep(n) {
			tidied.push(n)
			last = n
		}
		return true
	})
	*l = tidied
}

func (l *lane) reset() { *l = lane{} }

// from calls fn for numbers >= n in ascending order until it returns false. It leaves the heap in
// ascending order, which is a heap too, so that the next page of a million costs one look at each.
func (l *lane) from(n uint64, fn func(uint64) bool) {
	slices.Sort(l.back)
	back := l.back
	b, _ := slices.BinarySearch(back, n)
	for _, r := range l.runs[l.head:] {
		for k := max(r.first, n); k < r.end; k++ {
			for ; b < len(back) && back[b] < k; b++ {
				if !fn(back[b]) {
					return
				}
			}
			if !fn(k) {
				return
			}
		}
	}
	for ; b < len(back); b++ {
		if !fn(back[b]) {
			return
		}
	}
}
