package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

func leasesOf(n, size int) []glassq.Lease {
	l := make([]glassq.Lease, n)
	for i := range l {
		l[i].Body = make([]byte, size)
	}
	return l
}

func TestAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAhead(0, 8)
		want := func(what string, n int) {
			t.Helper()
			if a.n != n {
				t.Errorf("after %s: %d ahead, want %d", what, a.n, n)
			}
		}
		want("the start", 16)
		a.came(leasesOf(16, 10), 16, 3)
		want("a batch that came in time", 16)
		a.came(leasesOf(15, 10), 16, 0)
		want("a batch that the queue could not fill", 16)
		a.came(leasesOf(16, 10), 16, 0)
		want("running dry", 32)
		a.came(leasesOf(32, maxAheadSize/60), 32, 0)
		want("running dry of large bodies", 32)
		for range 20 {
			a.came(leasesOf(1, 10), 1, 0)
		}
		want("running dry for long", maxAhead)
		a.tooLong()
		want("a task that waited too long right away", maxAhead/2)
		a.tooLong()
		want("another of the same batch", maxAhead/2)
		for range 20 {
			time.Sleep(2 * maxWaited)
			a.tooLong()
		}
		want("tasks that waited for long", 16)
		a.n = 1 // as when leases went back
		time.Sleep(2 * maxWaited)
		a.tooLong()
		want("a task that waited too long for few", 1)
		a.came(leasesOf(1, 10), 1, 0)
		want("running dry of few", 2)
		a.atLeast(9)
		want("another place", 18)
		a.atLeast(3)
		want("fewer places", 18)

		a = newAhead(5, 8)
		a.came(leasesOf(5, 10), 5, 0)
		a.tooLong()
		want("anything, when it is fixed", 5)
	})
}
