package state

import (
	"hash/maphash"
	"strings"
)

// A keyMark is what a queue has to remember of a key, whether there are tasks of it or not.
type keyMark struct {
	name       string
	rate, cost int64   // ns: when its buckets are full again
	held       int64   // ms: when its hold ends
	why        *string // of the hold; nil for none
}

// stands tells whether there is anything to remember at a moment in ms.
func (m *keyMark) stands(now int64) bool {
	return m.held > now || m.rate > now*1e6 || m.cost > now*1e6
}

// keyMarkBlockLen makes a block just fit in a size class of the allocator, of 12,288 bytes.
const keyMarkBlockLen = 255

// A keyMarkBlock is a piece of marks. One that an Image holds is copied before it is changed.
type keyMarkBlock struct {
	shared bool
	m      [keyMarkBlockLen]keyMark
}

// keyMarks are those of the keys without tasks: a table of 48 bytes a key, and an index of at most 11
// bytes a key. Its zero value is ready.
type keyMarks struct {
	index  []uint32 // by hash, linear: 1 and the place in blocks; 0 is free
	blocks []*keyMarkBlock
	n      int // the places of blocks in use, without a gap
	seed   maphash.Seed
}

func (t *keyMarks) at(i int) *keyMark { return &t.blocks[i/keyMarkBlockLen].m[i%keyMarkBlockLen] }

// writable is at, for a change.
func (t *keyMarks) writable(i int) *keyMark {
	b := t.blocks[i/keyMarkBlockLen]
	if b.shared {
		b = &keyMarkBlock{m: b.m}
		t.blocks[i/keyMarkBlockLen] = b
	}
	return &b.m[i%keyMarkBlockLen]
}

func (t *keyMarks) home(name string) int {
	return int(maphash.String(t.seed, name) & uint64(len(t.index)-1))
}

// find returns the place in index of a key that is there.
func (t *keyMarks) find(name string) (slot int, ok bool) {
	if t.n == 0 {
		return 0, false
	}
	for i := t.home(name); ; i = (i + 1) & (len(t.index) - 1) {
		switch p := t.index[i]; {
		case p == 0:
			return 0, false
		case t.at(int(p)-1).name == name:
			return i, true
		}
	}
}

// get returns the mark of a key, for reading.
func (t *keyMarks) get(name string) *keyMark {
	if i, ok := t.find(name); ok {
		return t.at(int(t.index[i]) - 1)
	}
	return nil
}

// put keeps the mark of a key that has none, with a copy of its name: the name that a task brought is
// a piece of its class, which is longer and ends with it.
func (t *keyMarks) put(m keyMark) {
	m.name = strings.Clone(m.name)
	if (t.n+1)*4 > len(t.index)*3 {
		t.grow(max(2*len(t.index), 64))
	}
	if t.n == len(t.blocks)*keyMarkBlockLen {
		t.blocks = append(t.blocks, &keyMarkBlock{})
	}
	*t.writable(t.n) = m
	t.n++
	t.point(m.name, t.n)
}

// point has the index say where a key is.
func (t *keyMarks) point(name string, place int) {
	i := t.home(name)
	for t.index[i] != 0 {
		i = (i + 1) & (len(t.index) - 1)
	}
	t.index[i] = uint32(place)
}

func (t *keyMarks) grow(size int) {
	if t.index == nil {
		t.seed = maphash.MakeSeed()
	}
	t.index = make([]uint32, size)
	for i := range t.n {
		t.point(t.at(i).name, i+1)
	}
}

// take returns the mark of a key and forgets it; the zero mark is that of a key that has none.
func (t *keyMarks) take(name string) (m keyMark) {
	slot, ok := t.find(name)
	if !ok {
		return m
	}
	place := int(t.index[slot]) - 1
	m = *t.at(place)
	t.free(slot)
	t.n--
	if last := *t.at(t.n); place != t.n { // the last one fills the gap
		i, _ := t.findPlace(last.name, t.n+1)
		t.index[i] = uint32(place + 1)
		*t.writable(place) = last
	}
	*t.writable(t.n) = keyMark{}
	for len(t.blocks) > t.n/keyMarkBlockLen+2 {
		t.blocks[len(t.blocks)-1] = nil
		t.blocks = t.blocks[:len(t.blocks)-1]
	}
	if len(t.index) > 64 && t.n*8 < len(t.index) {
		t.grow(len(t.index) / 2)
	}
	return m
}

// findPlace returns where in index a place is named.
func (t *keyMarks) findPlace(name string, place int) (slot int, ok bool) {
	for i := t.home(name); t.index[i] != 0; i = (i + 1) & (len(t.index) - 1) {
		if t.index[i] == uint32(place) {
			return i, true
		}
	}
	return 0, false
}

// free empties a slot of index, and closes the gap in what was put behind it.
func (t *keyMarks) free(slot int) {
	mask := len(t.index) - 1
	for i := slot; ; {
		i = (i + 1) & mask
		p := t.index[i]
		if p == 0 {
			break
		}
		if home := t.home(t.at(int(p) - 1).name); (i-home)&mask >= (i-slot)&mask {
			t.index[slot], slot = p, i
		}
	}
	t.index[slot] = 0
}

// share returns the marks as they are now, for somebody else to read in the order of their places.
func (t *keyMarks) share() keyMarks {
	for _, b := range t.blocks {
		b.shared = true
	}
	return keyMarks{blocks: append([]*keyMarkBlock(nil), t.blocks...), n: t.n}
}
