package state

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/glassq/glassq"
)

// A positionSet is a set of positions of a run: long stretches that came as a whole are kept as
// intervals, all others as bits. No position is in both.
type positionSet struct {
	whole []glassq.Interval // in order, none next to another; never changed in place: an Image holds them
	bits  *roaring.Bitmap
}

// wholeLen is how long a stretch is that is kept as an interval: what one container of the bits
// covers.
const wholeLen = 1 << 16

// newPositions returns an empty set whose clones are cheap: they share what neither changes.
func newPositions() *positionSet {
	b := roaring.New()
	b.SetCopyOnWrite(true)
	return &positionSet{bits: b}
}

// at is the place among the intervals of the first that ends at n or later.
func (p *positionSet) at(n uint32) int {
	i, _ := slices.BinarySearchFunc(p.whole, n, func(x glassq.Interval, n uint32) int {
		if x.Last < n {
			return -1
		}
		return 1
	})
	return i
}

func (p *positionSet) inWhole(n uint32) bool {
	if len(p.whole) == 0 {
		return false
	}
	i := p.at(n)
	return i < len(p.whole) && p.whole[i].First <= n
}

// Contains tells whether n is in the set.
func (p *positionSet) Contains(n uint32) bool { return p.inWhole(n) || p.bits.Contains(n) }

// Add adds one position.
func (p *positionSet) Add(n uint32) {
	if !p.inWhole(n) {
		p.bits.Add(n)
	}
}

// Remove takes out a position that was added by Add: those of a stretch stay for ever.
func (p *positionSet) Remove(n uint32) { p.bits.Remove(n) }

// AddAll adds all positions from first to last.
func (p *positionSet) AddAll(first, last uint32) {
	if last-first < wholeLen {
		for _, x := range p.missing(first, last) {
			p.bits.AddRange(uint64(x.First), uint64(x.Last)+1)
		}
		return
	}
	p.bits.RemoveRange(uint64(first), uint64(last)+1)
	i := p.at(first)
	if i > 0 && p.whole[i-1].Last+1 == first {
		i--
	}
	k := i
	for ; k < len(p.whole) && (p.whole[k].First <= last || p.whole[k].First-1 == last); k++ {
		first, last = min(first, p.whole[k].First), max(last, p.whole[k].Last)
	}
	p.whole = slices.Concat(p.whole[:i], []glassq.Interval{{First: first, Last: last}}, p.whole[k:])
}

// count is how many positions from first to last are in the set.
func (p *positionSet) count(first, last uint32) uint64 {
	n := p.bits.CardinalityInRange(uint64(first), uint64(last)+1)
	for _, x := range p.whole[p.at(first):] {
		if x.First > last {
			break
		}
		n += uint64(min(x.Last, last)-max(x.First, first)) + 1
	}
	return n
}

// next returns the first interval of the set at from or behind, cut off before from; ok is false
// when there is none. Neighbours of the two kinds are one interval.
func (p *positionSet) next(from uint32) (x glassq.Interval, ok bool) {
	first := p.bits.NextValue(from)
	i := p.at(from)
	if i < len(p.whole) && (first < 0 || int64(max(p.whole[i].First, from)) < first) {
		first = int64(max(p.whole[i].First, from))
	}
	if first < 0 {
		return x, false
	}
	x = glassq.Interval{First: uint32(first), Last: uint32(first)}
	for n := uint64(first); ; n = uint64(x.Last) + 1 {
		if n > 1<<32-1 {
			return x, true
		}
		for i < len(p.whole) && uint64(p.whole[i].Last) < n {
			i++
		}
		if i < len(p.whole) && uint64(p.whole[i].First) <= n {
			x.Last = p.whole[i].Last
		} else if p.bits.Contains(uint32(n)) {
			x.Last = p.lastBit(uint32(n))
		} else {
			return x, true
		}
	}
}

// lastBit returns the last position of those from n on of which none is missing among the bits, which
// have n. It asks for longer and longer pieces: roaring's own NextAbsentValue (2.30) is wrong beyond
// the first container.
func (p *positionSet) lastBit(n uint32) uint32 {
	last, step := uint64(n), uint64(1)
	full := func() bool {
		end := last + step + 1
		return end <= glassq.MaxPositions && p.bits.CardinalityInRange(last+1, end) == step
	}
	for full() {
		last, step = last+step, step*2
	}
	for ; step > 0; step /= 2 {
		if full() {
			last += step
		}
	}
	return uint32(last)
}

// intervals returns up to most intervals, from position from on.
func (p *positionSet) intervals(from uint32, most int) (out []glassq.Interval) {
	for len(out) < most {
		x, ok := p.next(from)
		if !ok {
			break
		}
		out = append(out, x)
		if x.Last == 1<<32-1 {
			break
		}
		from = x.Last + 1
	}
	return out
}

// missing returns what of the positions from first to last is not in the set.
func (p *positionSet) missing(first, last uint32) (out []glassq.Interval) {
	for {
		x, ok := p.next(first)
		if !ok || x.First > last {
			return append(out, glassq.Interval{First: first, Last: last})
		}
		if x.First > first {
			out = append(out, glassq.Interval{First: first, Last: x.First - 1})
		}
		if x.Last >= last {
			return out
		}
		first = x.Last + 1
	}
}

// all returns the set as bits, to be read: where it has stretches it is a copy, as large as one
// container for every 65,536 positions of them.
func (p *positionSet) all() *roaring.Bitmap {
	if len(p.whole) == 0 {
		return p.bits
	}
	b := p.bits.Clone()
	for _, x := range p.whole {
		b.AddRange(uint64(x.First), uint64(x.Last)+1)
	}
	return b
}
