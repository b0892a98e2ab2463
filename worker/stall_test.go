package worker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// Tasks of an hour are not kept by a worker that is busy: another one does them.
func TestSlowTasksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(8)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var stats [2]Stats
		for i := range stats {
			wg.Go(func() {
				var err error
				stats[i], err = Run(ctx, q, Options{Concurrency: 2},
					each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
						time.Sleep(time.Hour)
						return ok(ctx, l, r)
					}))
				if err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Minute) // the first takes what it wants
		}
		time.Sleep(2 * time.Hour)
		cancel()
		wg.Wait()
		if len(q.results) != 8 || stats[0].Done != 4 || stats[1].Done != 4 {
			t.Errorf("%d of 8 tasks done in the time of two, %d and %d; want half by each", len(q.results), stats[0].Done,
				stats[1].Done)
		}
		if len(q.nacks) > 20 {
			t.Errorf("%d times a task was given back: want no more than were prefetched at each end of a task", len(q.nacks))
		}
		if q.held() != 0 || stats[0].Lost+stats[1].Lost > 0 {
			t.Errorf("%d leases left, %+v", q.held(), stats)
		}
	})
}

// A number of leases that somebody fixed is kept.
func TestFixedPrefetchIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(8)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := Run(ctx, q, Options{Concurrency: 1, Prefetch: 5},
				each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
					time.Sleep(time.Hour)
					return ok(ctx, l, r)
				}))
			done <- err
		}()
		time.Sleep(30 * time.Minute)
		if len(q.nacks) != 0 || q.held() != 5 {
			t.Errorf("%d leases held and %d given back, want 5 and none", q.held(), len(q.nacks))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
