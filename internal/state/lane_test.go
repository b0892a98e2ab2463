package state

import (
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
