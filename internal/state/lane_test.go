package state

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLaneShowsAndGoesOn: a look in the middle changes nothing of the order in which numbers leave.
func TestLaneShowsAndGoesOn(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	var l lane
	var want []uint64
	for n := range uint64(1000) {
		if random.IntN(2) == 0 {
			l.push(n)
			want = append(want, n)
		}
	}
	for _, n := range random.Perm(1000) {
		if !slices.Contains(want, uint64(n)) {
			l.giveBack(uint64(n))
			want = append(want, uint64(n))
		}
		if n%100 == 0 {
			after, last := uint64(n), -1
			l.from(after, func(k uint64) uint64 {
				if k < after || int64(k) <= int64(last) {
					t.Fatalf("seed %d: %d came after %d", seed, k, last)
				}
				last = int(k)
				return k + 1
			})
		}
	}
	slices.Sort(want)
	for _, n := range want {
		if got, ok := l.first(); !ok || got != n {
			t.Fatalf("seed %d: first = %d, %v; want %d", seed, got, ok, n)
		}
		l.pop()
	}
}

func TestLane(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var l lane
	in := map[uint64]bool{}
	next := uint64(1)
	var holes []span // numbers that come later than others above them, as those of a range do
	for range 20000 {
		switch rnd.IntN(6) {
		case 5:
			if size := uint64(rnd.IntN(4)); rnd.IntN(2) == 0 && len(holes) > 0 {
				h := holes[0]
				holes = holes[1:]
				l.insert(h)
				for n := h.first; n < h.end; n++ {
					in[n] = true
				}
			} else if size > 0 {
				holes = append(holes, span{next, next + size})
				next += size
			}
		case 0, 1:
			next += uint64(rnd.IntN(2))
			l.push(next)
			in[next] = true
			next++
		case 2:
			n := uint64(rnd.Int64N(int64(next))) + 1
			hole := slices.ContainsFunc(holes, func(h span) bool { return h.first <= n && n < h.end })
			if n < next && !in[n] && !hole {
				l.giveBack(n)
				in[n] = true
			}
		default:
			n, ok := l.first()
			if ok != (len(in) > 0) {
				t.Fatalf("first() = %d, %v with %d in it", n, ok, len(in))
			}
			if !ok {
				continue
			}
			for k := range in {
				if k < n {
					t.Fatalf("first() = %d, but %d is in it", n, k)
				}
			}
			l.pop()
			delete(in, n)
		}
		var all []uint64
		l.from(0, func(n uint64) uint64 { all = append(all, n); return n + 1 })
		if want := slices.Sorted(maps.Keys(in)); !slices.Equal(all, want) {
			t.Fatalf("from(0) = %v, want %v", all, want)
		}
		if len(in) > 300 {
			l, in, holes = lane{}, map[uint64]bool{}, nil
		}
	}
}
