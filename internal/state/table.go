package state

import (
	"cmp"
	"maps"
	"slices"

	"github.com/glassq/glassq"
)

// An entry is what the index keeps of a task: 24 bytes, no pointers.
type entry struct {
	w0    uint64 // frame 56 bits, 0 for a position of a range, whose body is that of the range; state 3, flags 5
	w1    uint64 // offset in the frame 27 bits, size 25, attempts 12
	class uint32
	n     uint32
}

const (
	flagTTL        = 1 << iota // a timer says when it ends
	flagDense                  // n is its position in its run
	flagResult                 // it is a result: not booked in its run
	flagDeadNacked             // it is dead because it was nacked, not for its attempts
	flagLapsed                 // its ttl passed while it was leased or dead: it ends when it comes back

	flagHeld = flagDeadNacked // of a delayed task: it waits for another run, and has no timer

	maxFrame  = 1<<56 - 1
	maxOffset = 1<<27 - 1
	maxSize   = 1<<25 - 1
	maxTries  = 1<<12 - 1
)

func (e *entry) frame() uint64           { return e.w0 >> 8 }
func (e *entry) state() glassq.State     { return glassq.State(e.w0 >> 5 & 7) }
func (e *entry) setState(s glassq.State) { e.w0 = e.w0&^(7<<5) | uint64(s)<<5 }
func (e *entry) has(flag uint64) bool    { return e.w0&flag != 0 }
func (e *entry) offset() uint32          { return uint32(e.w1 >> 37) }
func (e *entry) size() int64             { return int64(e.w1 >> 12 & maxSize) }
func (e *entry) attempts() int           { return int(e.w1 & maxTries) }
func (e *entry) setAttempts(n int)       { e.w1 = e.w1&^maxTries | uint64(n)&maxTries }

func makeEntry(frame uint64, offset uint32, size int, class, n uint32, flags uint64) entry {
	e := entry{w0: flags, w1: uint64(min(size, maxSize)) << 12, class: class, n: n}
	e.setPlace(frame, offset)
	return e
}

func (e *entry) setPlace(frame uint64, offset uint32) {
	if frame > maxFrame || offset > maxOffset {
		panic("state: a body's place is out of bounds")
	}
	e.w0 = frame<<8 | e.w0&0xff
	e.w1 = uint64(offset)<<37 | e.w1&(1<<37-1)
}

const (
	chunkLen = 512  // tasks of a chunk
	hotMost  = 1024 // chunks kept unpacked, 12 KiB each
	spareMax = 64   // unpacked arrays kept for the next use
)

// A chunk holds the entries of chunkLen consecutive task numbers: unpacked while they are in use,
// packed otherwise. An array that an Image holds is never changed: shared parts are copied before
// they are.
type chunk struct {
	all         *[chunkLen]entry // nil when packed
	packed      []byte           // never changed
	reasons     map[uint16]string
	costs       []uint32         // by place, those that were put with one; nothing in it changes, it only grows
	marks       map[uint16]*mark // what was said of tasks; nil for nothing
	first, last uint64           // frames between which the packed entries lie
	live        int32
	used        bool // since the sweep last came by
	open        bool // positions of a range become tasks in it: it stays though none lives
	shared      bool // an Image holds all
	oldReasons  bool // an Image holds reasons
	oldMarks    bool // an Image holds marks
}

// A table maps task numbers to entries. Numbers grow; chunks without a task go. The positions of a
// range have numbers, and an entry once they were handed out.
//
// A pointer that get returned is good until the next trim.
type table struct {
	shelves []*shelf // by number
	chunks  int      // on all of them
	last    *chunk   // the one last looked up, and its number: neighbours mostly follow each other
	lastNo  uint64
	next    uint64 // the next task number
	live    int64
	marks   int64    // of all chunks
	hot     []uint64 // unpacked chunks in the order of the sweep
	hotMost int
	spares  []*[chunkLen]entry
	unused  []chunk // made together, see newChunk
	page    []byte  // see keep
	buf     []byte
	scratch *[chunkLen]entry // of read, unpacked
	read    []byte           // what scratch was unpacked from
}

const shelfLen = 512 // chunks of a shelf

// A shelf holds the chunks of shelfLen consecutive numbers that are there.
type shelf struct {
	no     uint64
	count  int
	chunks [shelfLen]*chunk
}

// shelf returns the place of shelf no, or the one where it belongs.
func (t *table) shelf(no uint64) (i int, ok bool) {
	if len(t.shelves) == 0 || no < t.shelves[0].no {
		return 0, false
	}
	// Mostly none is missing between the first and the last.
	if k := no - t.shelves[0].no; k < uint64(len(t.shelves)) && t.shelves[k].no == no {
		return int(k), true
	}
	return slices.BinarySearchFunc(t.shelves, no, func(s *shelf, no uint64) int { return cmp.Compare(s.no, no) })
}

func (t *table) chunk(ci uint64) *chunk {
	if t.last != nil && t.lastNo == ci {
		return t.last
	}
	i, ok := t.shelf(ci / shelfLen)
	if !ok {
		return nil
	}
	t.last, t.lastNo = t.shelves[i].chunks[ci%shelfLen], ci
	return t.last
}

// from returns the first chunk at number ci or behind; nil when there is none.
func (t *table) from(ci uint64) (uint64, *chunk) {
	i, ok := t.shelf(ci / shelfLen)
	k := ci % shelfLen
	if !ok {
		k = 0
	}
	for ; i < len(t.shelves); i++ {
		s := t.shelves[i]
		for ; k < shelfLen; k++ {
			if c := s.chunks[k]; c != nil {
				return s.no*shelfLen + k, c
			}
		}
		k = 0
	}
	return 0, nil
}

// add keeps a task under the next number.
func (t *table) add(e entry) uint64 {
	n := t.next
	t.next++
	t.set(n, e)
	return n
}

// set keeps a task under a number below next that has none.
func (t *table) set(n uint64, e entry) *entry {
	ci := n / chunkLen
	c := t.chunk(ci)
	if c == nil {
		c = t.newChunk()
		t.place(ci, c)
		c.all = t.array()
		t.hot = append(t.hot, ci)
	}
	at := &t.openChunk(ci, c)[n%chunkLen]
	*at = e
	c.live++
	t.live++
	return at
}

// pass leaves out count numbers.
func (t *table) pass(count uint64) {
	last := t.next / chunkLen
	if t.next += count; t.next/chunkLen > last {
		t.shut(last)
	}
}

const (
	madeTogether = 16      // chunks; one that lives keeps the memory of the others
	pageLen      = 8 << 10 // bytes of packed chunks; likewise
)

// newChunk returns an empty chunk.
func (t *table) newChunk() *chunk {
	if len(t.unused) == 0 {
		t.unused = make([]chunk, madeTogether)
	}
	c := &t.unused[0]
	t.unused = t.unused[1:]
	return c
}

// keep returns a copy of a packed chunk. Copies are made side by side: each by itself would be an
// allocation for few tasks, and rounded up.
func (t *table) keep(packed []byte) []byte {
	if cap(t.page)-len(t.page) < len(packed) {
		if len(packed) > pageLen/4 {
			return slices.Clone(packed)
		}
		t.page = make([]byte, 0, pageLen)
	}
	start := len(t.page)
	t.page = append(t.page, packed...)
	return t.page[start:len(t.page):len(t.page)]
}

// place puts c at chunk number ci, which is not there.
func (t *table) place(ci uint64, c *chunk) {
	i, ok := t.shelf(ci / shelfLen)
	if !ok {
		t.shelves = slices.Insert(t.shelves, i, &shelf{no: ci / shelfLen})
	}
	t.shelves[i].chunks[ci%shelfLen] = c
	t.last, t.lastNo = c, ci
	t.shelves[i].count++
	t.chunks++
}

// shut notes that a chunk need not stay when no task in it lives.
func (t *table) shut(ci uint64) {
	c := t.chunk(ci)
	if c == nil {
		return
	}
	if c.open = false; c.live == 0 && ci < t.next/chunkLen {
		t.forget(ci, c)
	}
}

func (t *table) array() *[chunkLen]entry {
	if k := len(t.spares); k > 0 {
		a := t.spares[k-1]
		t.spares = t.spares[:k-1]
		return a
	}
	return new([chunkLen]entry)
}

// release keeps an array for later when nobody else holds it.
func (t *table) release(c *chunk) {
	if !c.shared && len(t.spares) < spareMax {
		*c.all = [chunkLen]entry{}
		t.spares = append(t.spares, c.all)
	}
	c.all, c.shared = nil, false
}

// openChunk returns the entries of a chunk, to be read and changed.
func (t *table) openChunk(ci uint64, c *chunk) *[chunkLen]entry {
	c.used = true
	switch {
	case c.all == nil:
		c.all = t.array()
		if _, _, _, ok := unpack(c.packed, c.all); !ok {
			panic("state: a packed chunk does not unpack")
		}
		c.packed = nil
		t.hot = append(t.hot, ci)
	case c.shared:
		own := t.array()
		*own = *c.all
		c.all, c.shared = own, false
	}
	return c.all
}

// trim packs chunks that were not used lately, so that no more than hotMost are unpacked.
func (t *table) trim() {
	if len(t.hot) > t.hotMost {
		t.packSome()
	}
}

func (t *table) packSome() {
	filling := t.next / chunkLen
	k := 0
	for ; len(t.hot)-k > t.hotMost; k++ {
		ci := t.hot[k]
		c := t.chunk(ci)
		if c == nil || c.all == nil {
			continue
		}
		if c.used || ci == filling {
			c.used = false
			t.hot = append(t.hot, ci)
			continue
		}
		t.buf = pack(t.buf[:0], c.all)
		c.packed = t.keep(t.buf)
		c.first, c.last = frames(c.all)
		t.release(c)
	}
	t.hot = append(t.hot[:0], t.hot[k:]...)
}

// frames tells between which frames entries lie.
func frames(all *[chunkLen]entry) (first, last uint64) {
	first = maxFrame
	for i := range all {
		if all[i].state() != glassq.Gone {
			first, last = min(first, all[i].frame()), max(last, all[i].frame())
		}
	}
	return first, last
}

// get returns the entry of task n, or nil when it is gone.
func (t *table) get(n uint64) *entry {
	ci := n / chunkLen
	c := t.chunk(ci)
	if c == nil {
		return nil
	}
	e := &t.openChunk(ci, c)[n%chunkLen]
	if e.state() == glassq.Gone {
		return nil
	}
	return e
}

// remove forgets task n, which must live.
func (t *table) remove(n uint64) {
	ci := n / chunkLen
	c := t.chunk(ci)
	t.openChunk(ci, c)[n%chunkLen] = entry{}
	t.setReason(n, "")
	c.live--
	t.live--
	if c.live == 0 && !c.open && ci < t.next/chunkLen {
		t.forget(ci, c)
	}
}

func (t *table) forget(ci uint64, c *chunk) {
	if c.all != nil {
		t.release(c)
	}
	i, _ := t.shelf(ci / shelfLen)
	s := t.shelves[i]
	s.chunks[ci%shelfLen] = nil
	t.last = nil
	t.chunks--
	if s.count--; s.count == 0 {
		t.shelves = slices.Delete(t.shelves, i, i+1)
	}
}

// reason is why task n was nacked.
func (t *table) reason(n uint64) string {
	if c := t.chunk(n / chunkLen); c != nil {
		return c.reasons[uint16(n%chunkLen)]
	}
	return ""
}

// setReason keeps or, with "", forgets why task n was nacked.
func (t *table) setReason(n uint64, reason string) {
	c := t.chunk(n / chunkLen)
	k := uint16(n % chunkLen)
	if c == nil || reason == "" && c.reasons[k] == "" {
		return
	}
	if c.oldReasons || c.reasons == nil {
		c.reasons, c.oldReasons = maps.Clone(c.reasons), false
		if c.reasons == nil {
			c.reasons = map[uint16]string{}
		}
	}
	if reason != "" {
		c.reasons[k] = reason
	} else if delete(c.reasons, k); len(c.reasons) == 0 {
		c.reasons = nil
	}
}

// cost is what task n said it costs.
func (t *table) cost(n uint64) uint32 {
	if c := t.chunk(n / chunkLen); c != nil && n%chunkLen < uint64(len(c.costs)) {
		return max(c.costs[n%chunkLen], 1)
	}
	return 1
}

// setCost notes what task n costs, which is newer than all that have one.
func (t *table) setCost(n uint64, cost uint32) {
	c := t.chunk(n / chunkLen)
	for uint64(len(c.costs)) < n%chunkLen {
		c.costs = append(c.costs, 0)
	}
	c.costs = append(c.costs, cost)
}

// entries returns the entries of a chunk for reading, until the next call of any method.
func (t *table) entries(c *chunk) *[chunkLen]entry {
	if c.all != nil {
		return c.all
	}
	if t.scratch == nil {
		t.scratch = new([chunkLen]entry)
	}
	if len(t.read) == 0 || len(c.packed) == 0 || &t.read[0] != &c.packed[0] {
		*t.scratch = [chunkLen]entry{}
		unpack(c.packed, t.scratch)
		t.read = c.packed
	}
	return t.scratch
}

// look is get for reading: it unpacks nothing for good. Until the next call of any method.
func (t *table) look(n uint64) *entry {
	c := t.chunk(n / chunkLen)
	if c == nil {
		return nil
	}
	e := &t.entries(c)[n%chunkLen]
	if e.state() == glassq.Gone {
		return nil
	}
	return e
}

// numbers appends the tasks of chunk ci that keep says yes to, in order.
func (t *table) numbers(dst []uint64, ci uint64, keep func(e *entry) bool) []uint64 {
	c := t.chunk(ci)
	if c == nil || c.live == 0 {
		return dst
	}
	all := t.entries(c)
	for i := range all {
		if all[i].state() != glassq.Gone && keep(&all[i]) {
			dst = append(dst, ci*chunkLen+uint64(i))
		}
	}
	return dst
}
