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
	for _, tt := range []struct {
		name string
		size int // of the body
		take bool
		// lose has a reserve wait at gateway 1, and its answer lost once put is called; another owner may
		// take over in it.
		lose    func(s *system, put func())
		attempt int
		runsOut bool
	}{
		{"the gateway died while the reserve waited", 1, false, func(s *system, put func()) {
			go reserve(context.Background(), s, 1, false)
			time.Sleep(time.Second)
			s.members[1].Kill()
			s.gateways[1].Abort()
			put()
		}, 1, false},
		{"the gateway died while the answer was on its way", 1, false, func(s *system, put func()) {
			go reserve(context.Background(), s, 1, false)
			time.Sleep(time.Second)
			put()
			time.Sleep(hop / 2)
			s.members[1].Kill()
			s.gateways[1].Abort()
		}, 1, false},
		{"the gateway died while a part of the answer was on its way", 200 << 10, false, func(s *system, put func()) {
			go reserve(context.Background(), s, 1, false)
			time.Sleep(time.Second)
			put()
			time.Sleep(2*hop + hop/2) // the first of four pieces is there
			s.members[1].Kill()
			s.gateways[1].Abort()
		}, 1, false},
		{"the gateway had it, and died before it said so", 1, false, func(s *system, put func()) {
			told := make(chan int)
			go func() {
				ls, _ := reserve(context.Background(), s, 1, false)
				told <- len(ls)
			}()
			time.Sleep(time.Second)
			put()
			if n := <-told; n != 1 {
				panic("the worker has no lease")
			}
			s.members[1].Kill()
			s.gateways[1].Abort()
		}, 2, true},
		{"the worker went away while the reserve waited", 1, false, func(s *system, put func()) {
			ctx, cancel := context.WithCancel(context.Background())
			go reserve(ctx, s, 1, false)
			time.Sleep(time.Second)
			cancel()
			time.Sleep(time.Second)
			put()
		}, 1, false},
		{"the worker went away while the answer was on its way", 1, false, func(s *system, put func()) {
			ctx, cancel := context.WithCancel(context.Background())
			go reserve(ctx, s, 1, false)
			time.Sleep(time.Second)
			put()
			time.Sleep(hop / 2)
			cancel()
		}, 1, false},
		{"the worker went away and the gateway was cut off", 1, false, func(s *system, put func()) {
			ctx, cancel := context.WithCancel(context.Background())
			go reserve(ctx, s, 1, false)
			time.Sleep(time.Second)
			s.members[1].Cut(false, true, false)
			cancel()
			put()
			time.Sleep(5 * time.Second) // it has given up on the answer, and its owner has not
			s.members[1].Cut(false, false, false)
		}, 1, false},
		{"another owner took over before the answer was known to be lost", 1, false, func(s *system, put func()) {
			ctx, cancel := context.WithCancel(context.Background())
			go reserve(ctx, s, 1, false)
			time.Sleep(time.Second)
			s.members[1].Cut(false, true, false)
			cancel()
			put()
			time.Sleep(4 * time.Second)
			s.gateways[2].Steal()
			time.Sleep(time.Second)
			s.members[1].Cut(false, false, false)
		}, 1, false},
		{"a hand-out that is acked as taken, at the next owner", 1, true, func(s *system, put func()) {
			ctx, cancel := context.WithCancel(context.Background())
			go reserve(ctx, s, 0, true)
			time.Sleep(time.Second)
			s.gateways[2].Steal()
			time.Sleep(time.Second)
			put()
			time.Sleep(hop / 2)
			cancel()
		}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSystem(t, clustertest.Options{Hop: hop}, 3, 0)
				defer s.Close(t)
				time.Sleep(time.Second)
				body := bytes.Repeat([]byte("x"), tt.size)
				began := time.Now()
				tt.lose(s, func() {
					began = time.Now()
					owner := s.gateways[slices.IndexFunc(s.gateways, (*cluster.Store).Owns)]
					if _, err := owner.Put(t.Context(), []glassq.Task{{Queue: "q", ID: "a", Body: body}}); err != nil {
						t.Error(err)
					}
				})
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
