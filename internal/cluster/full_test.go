package cluster_test

import (
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
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
