package cluster_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// TestFull: however fast puts come, they are refused before the log is full, and what is there can be
// done. Nobody looks at the log meanwhile.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := clustertest.New(clustertest.Options{Bytes: 1 << 20})
		member, s := join(t, world, often(t))
		fill := func() (puts int, err error) {
			for ; err == nil; puts++ {
				_, err = s.Put(t.Context(), []glassq.Task{{Queue: "q", Body: make([]byte, 8<<10)}})
			}
			return puts, err
		}
		puts, err := fill()
		if glassq.CodeOf(err) != glassq.CodeStorageFull || puts < 90 {
			t.Fatalf("put %d = %v, want storage_full after 90 at least", puts, err)
		}
		member.Kill()
		s.Abort()
		world.Forget("shard.0")
		_, s = join(t, world, often(t))
		if puts, err := fill(); glassq.CodeOf(err) != glassq.CodeStorageFull {
			t.Fatalf("put %d at the next owner = %v, want storage_full", puts, err)
		}
		ls, err := s.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 10})
		if err != nil || len(ls) != 10 {
			t.Fatalf("reserve = %d leases, %v; want 10", len(ls), err)
		}
		for _, l := range ls {
			if errs, err := s.Ack(t.Context(), []glassq.Ack{{Token: l.Token()}}); err != nil || errs[0] != nil {
				t.Errorf("ack = %v, %v", errs, err)
			}
		}
	})
}

// TestFullUnseen: machines that take nothing any more, and did not say that they are nearly full, are asked now
// and then only. Calls are told why there is no owner, and all goes on when there is room.
func TestFullUnseen(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hints bool // have no room either
	}{
		{"the machines", true},
		{"the log", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := clustertest.New(clustertest.Options{})
				opt := often(t)
				opt.Beat = time.Second
				_, owner := join(t, world, opt)
				putTo(t, owner, "first")
				_, other := join(t, world, opt)
				world.Fill(true, tt.hints)
				began := time.Now()
				if _, err := owner.Put(t.Context(), []glassq.Task{{Queue: "q"}}); glassq.CodeOf(err) != glassq.CodeUnknown {
					t.Errorf("put = %v, want outcome_unknown", err)
				}
				time.Sleep(time.Minute)
				for _, s := range []*cluster.Store{owner, other} {
					_, err := s.Queues(t.Context(), "q")
					if glassq.CodeOf(err) != glassq.CodeUnavailable || !strings.Contains(err.Error(), cluster.ErrFull.Error()) {
						t.Errorf("queues = %v, want unavailable because the log is full", err)
					}
				}
				// A second: four that the owner has on their way, and a claim.
				n, most := world.Fill(false, false), 5*int(time.Since(began)/time.Second)
				if n == 0 || n > most {
					t.Errorf("%d messages were sent in vain, want %d at most", n, most)
				}
				time.Sleep(10 * opt.Beat)
				putTo(t, other, "second")
			})
		})
	}
}
