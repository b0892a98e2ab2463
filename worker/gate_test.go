package worker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// A memGate has so many places, which handlers give back themselves.
type memGate struct {
	mu     sync.Mutex
	places int
	taken  int
	wake   func()
}

func (g *memGate) Enter(int) (ok, more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.taken >= g.places {
		return false, false
	}
	g.taken++
	return true, g.taken < g.places
}

func (g *memGate) Places() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.places
}

// watch is an Options.Gate that returns g.
func (g *memGate) watch(wake func()) Gate {
	g.wake = wake
	return g
}

// leave gives a place back in the name of a handler that is about to return.
func (g *memGate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken--
}

// set changes the number of places.
func (g *memGate) set(n int) {
	g.mu.Lock()
	more := n > g.places
	g.places = n
	g.mu.Unlock()
	if more {
		g.wake()
	}
}

// held is how many leases are out.
func (q *memQueue) held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.leases)
}

// A handler that is not let in holds no lease; when places are added they are all taken, and the
// prefetch goes by them.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(2000)
		g := &memGate{places: 1}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		var stats Stats
		go func() {
			var err error
			stats, err = Run(ctx, q, Options{Concurrency: 32, Gate: g.watch},
				each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
					time.Sleep(2 * time.Second)
					g.leave()
					return ok(ctx, l, r)
				}))
			done <- err
		}()
		want := func(places, least, most int) {
			t.Helper()
			synctest.Wait()
			g.mu.Lock()
			taken := g.taken
			g.mu.Unlock()
			if held := q.held(); taken != places || held < least || held > most {
				t.Errorf("%d at work and %d leases, want %d and %d to %d", taken, held, places, least, most)
			}
		}
		want(1, 1, 1+2*2) // the first batch came as a whole
		time.Sleep(21 * time.Second)
		want(1, 1, 1+2*2)
		g.set(20)
		want(20, 20, 20+2*40)
		time.Sleep(20 * time.Second)
		want(20, 20, 20+4*40)
		g.set(2)
		time.Sleep(200 * time.Second)
		want(2, 2, 2+2*4)
		g.set(32)
		time.Sleep(3 * time.Second)
		want(32, 32, 32+2*64)
		cancel()
		if err := <-done; err != nil || stats.Lost > 0 || g.taken != 0 || stats.Done != uint64(len(q.results)) {
			t.Errorf("Run: %+v, %v, with %d places taken", stats, err, g.taken)
		}
	})
}

// Places that become free while nobody returns from Handle are told by wake, one for all of them.
func TestGateWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(64)
		g := &memGate{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		release := make(chan struct{})
		done := make(chan error)
		go func() {
			_, err := Run(ctx, q, Options{Concurrency: 8, Prefetch: 64, Gate: g.watch},
				each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
					<-release
					g.leave()
					return ok(ctx, l, r)
				}))
			done <- err
		}()
		synctest.Wait()
		if len(q.ready) > 0 || g.taken > 0 {
			t.Fatalf("%d tasks not prefetched, %d at work; want none", len(q.ready), g.taken)
		}
		g.set(5)
		synctest.Wait()
		if g.taken != 5 {
			t.Errorf("%d at work, want all 5 places taken", g.taken)
		}
		close(release)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(q.results) != 64 || g.taken > 0 {
			t.Errorf("%d results, %d places taken; want all done", len(q.results), g.taken)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
