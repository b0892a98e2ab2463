package state

import (
	"time"

	"github.com/glassq/glassq"
)

// A lease is a live hand-out.
type lease struct {
	task     uint64 // 0: none
	deadline int64  // ms
	length   int64  // ms, as granted
}

const leaseBlockLen = 32

// A leaseBlock holds the live leases among leaseBlockLen consecutive numbers. One that an Image
// holds is copied before it is changed.
type leaseBlock struct {
	live   int32
	shared bool
	l      [leaseBlockLen]lease
}

// A leaseTable holds the live leases by their numbers.
type leaseTable struct {
	blocks map[uint64]*leaseBlock
	live   int

	last  *leaseBlock // the block last looked up, and its number: neighbours mostly follow each other
	lastK uint64
	spare *leaseBlock // an empty one for the next use
}

// block returns the block of a number, or nil.
func (t *leaseTable) block(number uint64) *leaseBlock {
	if k := number / leaseBlockLen; t.last == nil || t.lastK != k {
		t.last, t.lastK = t.blocks[k], k
	}
	return t.last
}

func (t *leaseTable) put(number uint64, b *leaseBlock) {
	k := number / leaseBlockLen
	t.blocks[k] = b
	t.last, t.lastK = b, k
}

func (t *leaseTable) get(number uint64) (lease, bool) {
	b := t.block(number)
	if b == nil {
		return lease{}, false
	}
	l := b.l[number%leaseBlockLen]
	return l, l.task != 0
}

func (t *leaseTable) set(number uint64, l lease) {
	b := t.writable(number)
	if b == nil {
		if t.blocks == nil {
			t.blocks = map[uint64]*leaseBlock{}
		}
		if b, t.spare = t.spare, nil; b == nil {
			b = &leaseBlock{}
		}
		t.put(number, b)
	}
	if b.l[number%leaseBlockLen].task == 0 {
		b.live++
		t.live++
	}
	b.l[number%leaseBlockLen] = l
}

// remove forgets a lease that is live.
func (t *leaseTable) remove(number uint64) {
	b := t.writable(number)
	b.l[number%leaseBlockLen] = lease{}
	t.live--
	if b.live--; b.live == 0 {
		delete(t.blocks, number/leaseBlockLen)
		t.last, t.spare = nil, b
	}
}

func (t *leaseTable) writable(number uint64) *leaseBlock {
	b := t.block(number)
	if b != nil && b.shared {
		own := *b
		own.shared = false
		b = &own
		t.put(number, b)
	}
	return b
}

// each calls fn for every live lease, in no order.
func (t *leaseTable) each(fn func(number uint64, l lease)) {
	for k, b := range t.blocks {
		for i := range b.l {
			if b.l[i].task != 0 {
				fn(k*leaseBlockLen+uint64(i), b.l[i])
			}
		}
	}
}

// share returns the leases as they are now, for somebody else to read.
func (t *leaseTable) share() leaseTable {
	out := leaseTable{blocks: make(map[uint64]*leaseBlock, len(t.blocks)), live: t.live}
	for k, b := range t.blocks {
		b.shared = true
		out.blocks[k] = b
	}
	return out
}

// Backoff is how long, in ms, a task waits after its attempt-th try failed: 1 s doubled with every
// try, at most 10 minutes, changed by up to a fifth either way so that tasks which failed together
// do not come back together. Zero attempts wait for nothing.
func Backoff(task uint64, attempt int) int64 {
	if attempt <= 0 {
		return 0
	}
	ms := int64(10 * time.Minute / time.Millisecond)
	if attempt <= 10 {
		ms = min(ms, 1000<<(attempt-1))
	}
	h := (task*0x9e3779b97f4a7c15 + uint64(attempt)) * 0xbf58476d1ce4e5b9
	return ms*4/5 + int64(h>>33)%(ms*2/5+1)
}

func (s *State) maxAttempts(e *entry) int {
	c := &s.class[e.class]
	switch {
	case c.attempts > 0:
		return int(c.attempts)
	case c.queue.settings.Attempts > 0:
		return c.queue.settings.Attempts
	}
	return glassq.DefaultAttempts
}
