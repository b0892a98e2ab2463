package cluster_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/glassq/glassq/internal/cluster/clustertest"
)

// TestClocks: gateways whose clocks are a day apart take over from each other, and a gateway starts
// with such a clock where none lives. What is to come comes in its time: nothing expires early, no
// lease and no delay stands still.
func TestClocks(t *testing.T) {
	for _, tt := range []struct {
		name         string
		first, later time.Duration // how far the clocks are off, of the gateways in turn
		cold         bool          // the later one starts when the first is gone
	}{
		{"a day ahead", 0, 24 * time.Hour, false},
		{"a day behind", 0, -24 * time.Hour, false},
		{"back from a day ahead", 24 * time.Hour, 0, false},
		{"a day ahead, from cold", 0, 24 * time.Hour, true},
		{"a day behind, from cold", 0, -24 * time.Hour, true},
		{"back from a day ahead, from cold", 24 * time.Hour, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := clustertest.New(clustertest.Options{})
				join := func(off time.Duration) (*clustertest.Member, *cluster.Store) {
					opt := often(t)
					opt.Beat = 0
					opt.Wall = func() time.Time { return time.Now().Add(off) }
					m, g := join(t, world, opt)
					return m, g
				}
				m, first := join(tt.first)
				var later *cluster.Store
				if !tt.cold {
					_, later = join(tt.later)
				}
				began := time.Now()
				_, err := first.Put(t.Context(), []glassq.Task{{Queue: "soon", Delay: 40 * time.Second}, {Queue: "leased"},
					{Queue: "short", TTL: time.Hour}})
				if err != nil {
					t.Fatal(err)
				}
				ls, err := first.Reserve(t.Context(), glassq.Reserve{Queue: "leased", Max: 1, Lease: time.Minute})
				if err != nil || len(ls) != 1 {
					t.Fatalf("reserve = %v, %v", ls, err)
				}
				time.Sleep(5 * time.Second)
				m.Kill()
				first.Abort()
				if tt.cold {
					_, later = join(tt.later)
				}
				defer later.Close()
				for _, q := range []string{"short", "soon", "leased"} {
					ls, err := later.Reserve(t.Context(), glassq.Reserve{Queue: q, Max: 1, Wait: 10 * time.Minute, Lease: time.Minute})
					took := time.Since(began)
					if err != nil || len(ls) != 1 || took > 2*time.Minute {
						t.Errorf("%s: reserve after %v = %v, %v", q, took, ls, err)
					}
					if q == "leased" && took < time.Minute {
						t.Errorf("a lease of a minute ran out after %v", took)
					}
				}
			})
		})
	}
}
