package state

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/glassq/glassq"
)

// TestPositions: a set with stretches says what plain bits say.
func TestPositions(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		p, bits := newPositions(), roaring.New()
		space := uint32(5 * wholeLen)
		base := []uint32{0, 1<<32 - 1 - space}[seed%2] // at both ends of what there is
		draw := func() (a, b uint32) {
			a, b = base+rnd.Uint32N(space+1), base+rnd.Uint32N(space+1)
			if rnd.IntN(3) == 0 {
				b = min(a+rnd.Uint32N(100), base+space)
			}
			return min(a, b), max(a, b)
		}
		for range 150 {
			a, b := draw()
			switch rnd.IntN(6) {
			case 0:
				if rnd.IntN(3) == 0 {
					p.AddAll(a, b)
					bits.AddRange(uint64(a), uint64(b)+1)
				}
			case 1:
				if !p.inWhole(a) {
					p.Remove(a)
					bits.Remove(a)
				}
			case 2:
				p = &positionSet{p.whole, p.bits.Clone()} // as an image shares it
			default:
				p.Add(a)
				bits.Add(a)
			}
			if got, want := p.Contains(b), bits.Contains(b); got != want {
				t.Fatalf("seed %d: Contains(%d) = %v, want %v", seed, b, got, want)
			}
			if a, b = draw(); rnd.IntN(8) > 0 {
				b = uint32(min(uint64(b), uint64(a)+2000))
			}
			if got, want := p.count(a, b), bits.CardinalityInRange(uint64(a), uint64(b)+1); got != want {
				t.Fatalf("seed %d: count(%d, %d) = %d, want %d", seed, a, b, got, want)
			}
			if !p.all().Equals(bits) {
				t.Fatalf("seed %d: the bits differ", seed)
			}
			most := 1 + rnd.IntN(10)
			if got, want := p.intervals(a, most), intervalsOf(bits, a, most); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d: intervals(%d, %d) = %v, want %v", seed, a, most, got, want)
			}
			not := roaring.New()
			not.AddRange(uint64(a), uint64(b)+1)
			not.AndNot(bits)
			if got, want := p.missing(a, b), intervalsOf(not, 0, 1<<30); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d: missing(%d, %d) = %v, want %v", seed, a, b, got, want)
			}
		}
	}
}

func intervalsOf(b *roaring.Bitmap, from uint32, most int) (out []glassq.Interval) {
	it := b.Iterator()
	it.AdvanceIfNeeded(from)
	for it.HasNext() {
		n := it.Next()
		if k := len(out) - 1; k >= 0 && out[k].Last+1 == n {
			out[k].Last = n
		} else if len(out) == most {
			break
		} else {
			out = append(out, glassq.Interval{First: n, Last: n})
		}
	}
	return out
}
