package state

// A timer is a moment in ms and what it is for: a task number or a lease number.
type timer struct {
	at  int64
	ref uint64
}

// timers is a heap of moments. A timer whose cause went away stays until it comes up or until half of
// the heap is stale; valid tells which still count.
type timers struct {
	heap  []timer
	stale int
}

func (t *timers) less(i, j int) bool {
	a, b := &t.heap[i], &t.heap[j]
	return a.at < b.at || a.at == b.at && a.ref < b.ref
}

func (t *timers) push(at int64, ref uint64) {
	t.heap = append(t.heap, timer{at, ref})
	for i := len(t.heap) - 1; i > 0; {
		p := (i - 1) / 2
		if !t.less(i, p) {
			return
		}
		t.heap[p], t.heap[i] = t.heap[i], t.heap[p]
		i = p
	}
}

func (t *timers) pop() timer {
	top := t.heap[0]
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap = t.heap[:last]
	t.down(0)
	return top
}

func (t *timers) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(t.heap) {
			return
		}
		if c+1 < len(t.heap) && t.less(c+1, c) {
			c++
		}
		if !t.less(c, i) {
			return
		}
		t.heap[i], t.heap[c] = t.heap[c], t.heap[i]
		i = c
	}
}

// drop notes that one timer became stale, and clears them out when they are the most.
func (t *timers) drop(valid func(timer) bool) {
	if t.stale++; t.stale < 1024 || t.stale < len(t.heap)/2 {
		return
	}
	keep := t.heap[:0]
	for _, x := range t.heap {
		if valid(x) {
			keep = append(keep, x)
		}
	}
	t.heap, t.stale = keep, 0
	for i := len(keep)/2 - 1; i >= 0; i-- {
		t.down(i)
	}
}
