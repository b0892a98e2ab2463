package cluster_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// TestUnheard: what becomes of a lease whose answer is lost between the owner and the gateway of its worker.
// Where the worker surely does not have it, it goes back at once and the attempt does not count. Where it
// may have it, the lease runs out: anything else could be two live leases.
func TestUnheard(t *testing.T) {
	const (
		hop   = 10 * time.Millisecond
		lease = time.Minute
	)
	reserve := func(ctx context.Context, s *system, at int, take bool) ([]glassq.Lease, error) {
		return s.gateways[at].Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Wait: time.Hour, Lease: lease, Take: take})
	}
	// A setting has a worker that waits for a task at a gateway: put puts one at the owner, leave ends the call of
	// the worker, and got has how many leases it was told.
	type setting struct {
		*system
		put, leave func()
		got        chan int
	}
	die := func(s setting) {
		s.members[1].Kill()
		s.gateways[1].Abort()
	}
	for _, tt := range []struct {
		name    string
		size    int // of the body
		at      int // gateway of the worker
		take    bool
		lose    func(s setting) // the answer; another owner may take over in it
		attempt int
		runsOut bool
	}{
		{"the gateway died while the reserve waited", 1, 1, false, func(s setting) {
			die(s)
			s.put()
		}, 1, false},
		{"the gateway died while the answer was on its way", 1, 1, false, func(s setting) {
			s.put()
			time.Sleep(hop / 2)
			die(s)
		}, 1, false},
		{"the gateway died while a part of the answer was on its way", 200 << 10, 1, false, func(s setting) {
			s.put()
			time.Sleep(2*hop + hop/2) // the first of four pieces is there
			die(s)
		}, 1, false},
		{"the gateway had it, and died before it said so", 1, 1, false, func(s setting) {
			s.put()
			if n := <-s.got; n != 1 {
				panic("the worker has no lease")
			}
			die(s)
		}, 2, true},
		{"the worker went away while the reserve waited", 1, 1, false, func(s setting) {
			s.leave()
			time.Sleep(time.Second)
			s.put()
		}, 1, false},
		{"the worker went away while the answer was on its way", 1, 1, false, func(s setting) {
			s.put()
			time.Sleep(hop / 2)
			s.leave()
		}, 1, false},
		{"the worker went away and the gateway was cut off", 1, 1, false, func(s setting) {
			s.members[1].Cut(false, true, false)
			s.leave()
			s.put()
			time.Sleep(5 * time.Second) // it has given up on the answer, and its owner has not
			s.members[1].Cut(false, false, false)
		}, 1, false},
		{"another owner took over before the answer was known to be lost", 1, 1, false, func(s setting) {
			s.members[1].Cut(false, true, false)
			s.leave()
			s.put()
			time.Sleep(4 * time.Second)
			s.gateways[2].Steal()
			time.Sleep(time.Second)
			s.members[1].Cut(false, false, false)
		}, 1, false},
		{"a hand-out that is acked as taken, at the next owner", 1, 0, true, func(s setting) {
			s.gateways[2].Steal()
			time.Sleep(time.Second)
			s.put()
			time.Sleep(hop / 2)
			s.leave()
		}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSystem(t, clustertest.Options{Hop: hop}, 3, 0)
				defer s.Close(t)
				time.Sleep(time.Second)
				body := bytes.Repeat([]byte("x"), tt.size)
				began := time.Now()
				put := func() {
					began = time.Now()
					owner := s.gateways[slices.IndexFunc(s.gateways, (*cluster.Store).Owns)]
					if _, err := owner.Put(t.Context(), []glassq.Task{{Queue: "q", ID: "a", Body: body}}); err != nil {
						t.Error(err)
					}
				}
				ctx, leave := context.WithCancel(context.Background())
				defer leave()
				got := make(chan int, 1)
				go func() {
					ls, _ := reserve(ctx, s, tt.at, tt.take)
					got <- len(ls)
				}()
				time.Sleep(time.Second)
				tt.lose(setting{s, put, leave, got})
				ls, err := reserve(t.Context(), s, 2, false)
				if err != nil || len(ls) != 1 || ls[0].Attempt != tt.attempt {
					t.Fatalf("the next reserve = %+v, %v; want attempt %d", ls, err, tt.attempt)
				}
				if out := time.Since(began) >= lease; out != tt.runsOut {
					t.Errorf("the task was handed out again after %v of a lease of %v", time.Since(began), lease)
				}
				if errs, err := s.gateways[2].Ack(t.Context(), []glassq.Ack{{Token: ls[0].Token()}}); err != nil || errs[0] != nil {
					t.Errorf("its ack = %v, %v", errs, err)
				}
			})
		})
	}
}
