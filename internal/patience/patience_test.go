package patience

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestOver asks before one commit, after one of so many callers, during which so many others came.
func TestOver(t *testing.T) {
	const took = 200 * time.Microsecond
	tests := []struct {
		name      string
		n, others int
		took      time.Duration
		now       int           // callers of the next commit
		waits     time.Duration // about
	}{
		{"nothing before", 0, 0, 0, 1, 0},
		{"one caller", 1, 0, took, 1, 0},
		{"all are here", 3, 1, took, 4, 0},
		{"more are here", 3, 1, took, 5, 0},
		{"one is missing", 3, 1, took, 3, took},
		{"the answered are missing", 3, 1, took, 1, took},
		{"a commit that took nothing", 3, 1, least / 2, 1, 0},
		{"a commit that took long", 3, 1, time.Second, 1, most},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p Patience
			p.Done(tt.n, tt.others, tt.took)
			if got := waits(&p, tt.now); got < tt.waits || got > tt.waits+step {
				t.Errorf("after a commit of %d and %d, %d wait for %v, want %v", tt.n, tt.others, tt.now, got, tt.waits)
			}
		})
	}
}

const step = 10 * time.Microsecond

// waits asks until p is over, for a commit of n callers, and returns how long that took.
func waits(p *Patience, n int) time.Duration {
	began := time.Unix(1, 0)
	now := began
	for ; !p.Over(n, now); now = now.Add(step) {
	}
	return now.Sub(began)
}

// TestInVain: after waits in vain, more and more commits wait for nobody; one that is worth it ends
// that.
func TestInVain(t *testing.T) {
	const took = 200 * time.Microsecond
	for _, tt := range []struct {
		name      string
		n, others int // of each commit, before which two are likely
	}{
		{"nobody comes", 1, 1},
		{"there is no end of them", 2, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Patience
			var between []int // commits from wait to wait
			for i, last := 0, 0; i < 20; i++ {
				p.likely, p.took = 2, took
				if waits(&p, 1) > 0 {
					between = append(between, i-last)
					last = i
				}
				p.Done(tt.n, tt.others, took)
			}
			if want := []int{0, 2, 4, 8}; !slices.Equal(between, want) {
				t.Errorf("commits between waits: %v, want %v", between, want)
			}
			for waits(&p, 1) == 0 {
				p.likely, p.took = 2, took
			}
			p.Over(2, time.Unix(1, 0))
			p.Done(2, 0, took)
			for range 3 {
				if waits(&p, 1) == 0 {
					t.Error("no wait after one that was worth it")
				}
				p.Over(2, time.Unix(1, 0))
				p.Done(2, 0, took)
			}
		})
	}
}

// TestRandom: callers who come at random, whether anybody was answered or not, are hardly ever made
// to wait for others, however many of them come during a commit.
func TestRandom(t *testing.T) {
	const took, commits = 300 * time.Microsecond, 20_000
	for _, each := range []time.Duration{10, 30, 100, 150, 200, 300, 1000} {
		rng := rand.New(rand.NewPCG(1, uint64(each)))
		gap := func() time.Duration { return time.Duration(rng.ExpFloat64() * float64(each*time.Microsecond)) }
		var p Patience
		now := time.Unix(1, 0)
		next := now.Add(gap()) // who comes next
		until := func(end time.Time) (n int) {
			for now = end; !next.After(now); next = next.Add(gap()) {
				n++
			}
			return n
		}
		waited := 0
		for n, i := 0, 0; i < commits; i++ {
			if n == 0 {
				n = until(next)
			}
			began := now
			for !p.Over(n, now) {
				n += until(now.Add(step))
			}
			if now.After(began) {
				waited++
			}
			others := until(now.Add(took))
			p.Done(n, others, took)
			n = others
		}
		if waited > commits/50 {
			t.Errorf("with one caller each %d µs %d of %d commits waited", each, waited, commits)
		}
	}
}

// TestStandingClock: a wait ends although its clock stands.
func TestStandingClock(t *testing.T) {
	var p Patience
	p.Done(2, 0, time.Second)
	for asked := 0; !p.Over(1, time.Unix(1, 0)); asked++ {
		if asked > 2*mostAsk {
			t.Fatalf("asked %d times", asked)
		}
	}
}
