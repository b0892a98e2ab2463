package engine

import (
	"slices"
	"sync"
)

const (
	slabSize  = 1 << 20 // bytes of a slab, less in a small cache
	slabLeast = 4 << 10
	frameCost = 64 // bytes that a frame takes in the index and in the list of its slab
)

// A cache keeps the payloads of frames lately written or read, so that a hand-out seldom reads the
// log. The oldest goes first. Safe for concurrent use.
//
// Payloads are copied into slabs. A slab that goes is left to the collector and never used again,
// so who reads in it may go on for as long as it likes. The index has no pointers: with many small
// frames the collector would have more to do with it than with anything else.
type cache struct {
	read func(id uint64, again []byte) (Stored, error)
	max  int64 // bytes, frameCost included; one frame may be larger
	slab int   // bytes of a usual slab

	mu    sync.Mutex // guards everything below
	size  int64
	at    map[uint64]cachedAt
	slabs []slab   // oldest first
	first uint64   // number of the oldest slab
	open  uint64   // number of the slab that is filled; below first: none
	spare []uint64 // a list of frames that is not in use

	loading map[uint64]*load // by frame: those that somebody reads from the log
}

// A load is a read that others wait for.
type load struct {
	done chan struct{} // closed when p or err is set
	p    payload
	err  error
}

// cachedAt is where the payload of a frame is.
type cachedAt struct {
	slab       uint64
	start, end uint32
	time       int64
}

type slab struct {
	buf    []byte   // only appended to
	frames []uint64 // in it, to be forgotten with it
}

// A payload is what a frame holds.
type payload struct {
	frame uint64 // 0: none
	time  int64  // ms
	bytes []byte // never changed
}

func newCache(size int64, read func(id uint64, again []byte) (Stored, error)) *cache {
	return &cache{read: read, max: size, slab: int(min(slabSize, max(slabLeast, size/16))), at: map[uint64]cachedAt{},
		first:   1,
		loading: map[uint64]*load{}}
}

// large tells whether a payload would fill much of a slab. It gets one of its own.
func (c *cache) large(p payload) bool { return len(p.bytes) > c.slab/4 }

// add keeps a copy of a payload.
func (c *cache) add(p payload) {
	if c.large(p) {
		p.bytes = slices.Clone(p.bytes) // now, so that nobody waits for it
	}
	c.keep(p)
}

// keep keeps a payload, or a copy of one that is not large.
func (c *cache) keep(p payload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.at[p.frame]; ok {
		return
	}
	var number uint64
	start := 0
	if c.large(p) {
		number = c.grow(p.bytes)
	} else {
		if c.open < c.first || cap(c.slabs[c.open-c.first].buf)-len(c.slabs[c.open-c.first].buf) < len(p.bytes) {
			c.open = c.grow(make([]byte, 0, c.slab))
		}
		number = c.open
		s := &c.slabs[number-c.first]
		start = len(s.buf)
		s.buf = append(s.buf, p.bytes...)
	}
	s := &c.slabs[number-c.first]
	s.frames = append(s.frames, p.frame)
	c.at[p.frame] = cachedAt{slab: number, start: uint32(start), end: uint32(start + len(p.bytes)), time: p.time}
	c.size += frameCost
	for c.size > c.max && len(c.slabs) > 1 {
		c.drop()
	}
}

// grow adds a slab with buf, and returns its number.
func (c *cache) grow(buf []byte) uint64 {
	c.slabs = append(c.slabs, slab{buf: buf, frames: c.spare})
	c.spare = nil
	c.size += int64(cap(buf))
	return c.first + uint64(len(c.slabs)) - 1
}

// drop forgets the oldest slab.
func (c *cache) drop() {
	s := &c.slabs[0]
	for _, f := range s.frames {
		delete(c.at, f)
	}
	c.size -= int64(cap(s.buf)) + frameCost*int64(len(s.frames))
	c.spare = s.frames[:0]
	*s = slab{}
	c.slabs = c.slabs[1:]
	c.first++
}

// frame returns the payload of a committed frame, verified when it comes from the log. Callers that
// ask for one frame at the same time share one read: they mostly follow each other through a
// backlog.
func (c *cache) frame(frame uint64) (payload, error) {
	c.mu.Lock()
	if at, ok := c.at[frame]; ok {
		defer c.mu.Unlock()
		return payload{frame: frame, time: at.time, bytes: c.slabs[at.slab-c.first].buf[at.start:at.end:at.end]}, nil
	}
	l := c.loading[frame]
	if l != nil {
		c.mu.Unlock()
		<-l.done
		return l.p, l.err
	}
	l = &load{done: make(chan struct{})}
	c.loading[frame] = l
	c.mu.Unlock()

	var f Stored
	if f, l.err = c.read(frame, nil); l.err == nil {
		l.p = payload{frame: frame, time: f.Time, bytes: f.Records}
		c.keep(l.p)
	}
	c.mu.Lock()
	delete(c.loading, frame)
	c.mu.Unlock()
	close(l.done)
	return l.p, l.err
}
