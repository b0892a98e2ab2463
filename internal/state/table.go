package state

import (
	"slices"

	"github.com/glassq/glassq"
)

// An entry is what the index keeps of a task: 24 bytes, no pointers.
type entry struct {
	w0    uint64 // frame 56 bits, state 3, flags 5
	w1    uint64 // offset in the frame 27 bits, size 25, attempts 12
	class uint32
	n     uint32
}

const (
	flagTTL        = 1 << iota // ttl holds when it ends
	flagDense                  // n is its position in its run
	flagResult                 // it is a result: not booked in its run
	flagDeadNacked             // it is dead because it was nacked, not for its attempts

	maxFrame  = 1<<56 - 1
	maxOffset = 1<<27 - 1
	maxSize   = 1<<25 - 1
)

func (e *entry) frame() uint64           { return e.w0 >> 8 }
func (e *entry) state() glassq.State     { return glassq.State(e.w0 >> 5 & 7) }
func (e *entry) setState(s glassq.State) { e.w0 = e.w0&^(7<<5) | uint64(s)<<5 }
func (e *entry) has(flag uint64) bool    { return e.w0&flag != 0 }
func (e *entry) offset() uint32          { return uint32(e.w1 >> 37) }
func (e *entry) size() int64             { return int64(e.w1 >> 12 & maxSize) }
func (e *entry) attempts() int           { return int(e.w1 & 0xfff) }
func (e *entry) setAttempts(n int)       { e.w1 = e.w1&^0xfff | uint64(n)&0xfff }

func makeEntry(frame uint64, offset uint32, size int, class, n uint32, flags uint64) entry {
	if frame > maxFrame || offset > maxOffset {
		panic("state: a body's place is out of bounds")
	}
	return entry{
		w0:    frame<<8 | flags,
		w1:    uint64(offset)<<37 | uint64(min(size, maxSize))<<12,
		class: class, n: n,
	}
}

const chunkLen = 4096

// A chunk holds the entries of chunkLen consecutive task numbers. Once few of them live it keeps only
// those.
type chunk struct {
	live   int
	dense  []entry  // chunkLen of them, or nil
	keys   []uint16 // places of sparse, ascending
	sparse []entry
}

// sparseAt is how many live entries make a full chunk give up its array.
const sparseAt = 64

func (c *chunk) at(i uint16) *entry {
	if c.dense != nil {
		return &c.dense[i]
	}
	if k, ok := slices.BinarySearch(c.keys, i); ok {
		return &c.sparse[k]
	}
	return nil
}

func (c *chunk) thin() {
	c.keys = make([]uint16, 0, c.live)
	c.sparse = make([]entry, 0, c.live)
	for i := range c.dense {
		if c.dense[i].state() != glassq.Gone {
			c.keys = append(c.keys, uint16(i))
			c.sparse = append(c.sparse, c.dense[i])
		}
	}
	c.dense = nil
}

// A table maps task numbers to entries. Numbers grow; the front of the table goes as its tasks do.
type table struct {
	chunks []*chunk
	base   uint64 // number of chunks dropped from the front
	next   uint64 // the next task number
	live   int64
}

func (t *table) add(e entry) uint64 {
	n := t.next
	t.next++
	t.place(n, e)
	return n
}

// place puts e at number n, which must not be taken and not lie in a thinned chunk.
func (t *table) place(n uint64, e entry) {
	ci := n / chunkLen
	if len(t.chunks) == 0 {
		t.base = ci
	}
	for t.base+uint64(len(t.chunks)) <= ci {
		t.chunks = append(t.chunks, nil)
	}
	c := t.chunks[ci-t.base]
	if c == nil {
		c = &chunk{dense: make([]entry, chunkLen)}
		t.chunks[ci-t.base] = c
	}
	c.dense[n%chunkLen] = e
	c.live++
	t.live++
}

// get returns the entry of task n, or nil when it is gone.
func (t *table) get(n uint64) *entry {
	ci := n / chunkLen
	if ci < t.base || ci-t.base >= uint64(len(t.chunks)) {
		return nil
	}
	c := t.chunks[ci-t.base]
	if c == nil {
		return nil
	}
	e := c.at(uint16(n % chunkLen))
	if e == nil || e.state() == glassq.Gone {
		return nil
	}
	return e
}

// remove forgets task n, which must live.
func (t *table) remove(n uint64) {
	ci := n/chunkLen - t.base
	c := t.chunks[ci]
	c.at(uint16(n % chunkLen)).setState(glassq.Gone)
	c.live--
	t.live--
	full := n/chunkLen < t.next/chunkLen
	switch {
	case c.live == 0 && full:
		t.chunks[ci] = nil
		for len(t.chunks) > 0 && t.chunks[0] == nil {
			t.chunks = t.chunks[1:]
			t.base++
		}
	case c.live <= sparseAt && full && c.dense != nil:
		c.thin()
	}
}

// all calls fn for every task in order of number.
func (t *table) all(fn func(n uint64, e *entry) bool) {
	for i, c := range t.chunks {
		if c == nil {
			continue
		}
		first := (t.base + uint64(i)) * chunkLen
		if c.dense == nil {
			for k := range c.sparse {
				if c.sparse[k].state() != glassq.Gone && !fn(first+uint64(c.keys[k]), &c.sparse[k]) {
					return
				}
			}
			continue
		}
		for k := range c.dense {
			if c.dense[k].state() != glassq.Gone && !fn(first+uint64(k), &c.dense[k]) {
				return
			}
		}
	}
}
