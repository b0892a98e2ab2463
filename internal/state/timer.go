package state

// A timer is a moment in ms and what it is for: a task number or a lease number.
type timer struct {
	at  int64
	ref uint64
}

const timerBlockLen = 256

// A timerBlock is a piece of a heap. One that an Image holds is copied before it is changed.
type timerBlock struct {
	shared bool
	t      [timerBlockLen]timer
}

// timers is a heap of moments. A timer whose cause went away stays until it comes up or until half
// of the heap is stale; valid tells which still count.
type timers struct {
	blocks []*timerBlock
	n      int
	stale  int
}

func (t *timers) get(i int) timer { return t.blocks[i/timerBlockLen].t[i%timerBlockLen] }

func (t *timers) set(i int, x timer) {
	b := t.blocks[i/timerBlockLen]
	if b.shared {
		b = &timerBlock{t: b.t}
		t.blocks[i/timerBlockLen] = b
	}
	b.t[i%timerBlockLen] = x
}

func (a timer) less(b timer) bool { return a.at < b.at || a.at == b.at && a.ref < b.ref }

func (t *timers) push(at int64, ref uint64) {
	if t.n == len(t.blocks)*timerBlockLen {
		t.blocks = append(t.blocks, &timerBlock{})
	}
	t.n++
	t.up(t.n-1, timer{at, ref})
}

// up puts x at i or above it.
func (t *timers) up(i int, x timer) {
	for i > 0 {
		p := t.get((i - 1) / 2)
		if !x.less(p) {
			break
		}
		t.set(i, p)
		i = (i - 1) / 2
	}
	t.set(i, x)
}

func (t *timers) pop() timer {
	top := t.get(0)
	t.n--
	if t.n > 0 {
		t.down(0, t.get(t.n))
	}
	t.shrink()
	return top
}

// shrink lets go of blocks that are not needed, but for one.
func (t *timers) shrink() {
	keep := t.n/timerBlockLen + 2
	for len(t.blocks) > keep {
		t.blocks[len(t.blocks)-1] = nil
		t.blocks = t.blocks[:len(t.blocks)-1]
	}
}

// down puts x at i or below it.
func (t *timers) down(i int, x timer) {
	for {
		c := 2*i + 1
		if c >= t.n {
			break
		}
		least := t.get(c)
		if c+1 < t.n {
			if r := t.get(c + 1); r.less(least) {
				c, least = c+1, r
			}
		}
		if !least.less(x) {
			break
		}
		t.set(i, least)
		i = c
	}
	t.set(i, x)
}

// drop notes that one timer became stale, and clears them out when they are the most.
func (t *timers) drop(valid func(timer) bool) {
	if t.stale++; t.stale < 1024 || t.stale < t.n/2 {
		return
	}
	k := 0
	for i := range t.n {
		if x := t.get(i); valid(x) {
			if i != k {
				t.set(k, x)
			}
			k++
		}
	}
	t.n, t.stale = k, 0
	for i := k/2 - 1; i >= 0; i-- {
		t.down(i, t.get(i))
	}
	t.shrink()
}

// share returns the timers as they are now, for somebody else to read.
func (t *timers) share() timers {
	for _, b := range t.blocks {
		b.shared = true
	}
	return timers{blocks: append([]*timerBlock(nil), t.blocks...), n: t.n}
}

// earliest returns the next timer and the heap it is in; nil when there is none.
func (s *State) earliest() (first timer, in *timers) {
	for _, t := range [...]*timers{&s.leaseTimers, &s.delays, &s.rangeDelays, &s.ttls, &s.rangeTTLs, &s.halts,
		&s.keyTimers} {
		if t.n > 0 && (in == nil || t.get(0).at < first.at) {
			first, in = t.get(0), t
		}
	}
	return first, in
}

// Due returns when Advance next has something to do; ok is false for never.
func (s *State) Due() (at int64, ok bool) {
	t, in := s.earliest()
	return t.at, in != nil
}
