package state

import (
	"fmt"
	"testing"

	"github.com/glassq/glassq"
)

// TestKeyHaltsAreBounded: beyond so many keys those go that came first, and of those that are halted
// too; what is in the way of nobody stays.
func TestKeyHaltsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name           string
		rule           string
		counts, halted int
	}{
		{"that count", "failed>0% of 2", haltKeys, 0},
		{"that are halted", "failed>0% of 1", 0, haltKeys},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newKeysBench(t, glassq.Settings{Halt: tt.rule, HaltPer: glassq.HaltPerKey})
			for i := range haltKeys + 3 {
				b.put(fmt.Sprint("k", i), 0)
				number, _ := b.lease()
				b.apply(AppendAck(nil, number, glassq.Failed, false))
			}
			h := b.s.Queue("q").halting.keys
			if len(h.by) != haltKeys || h.counts.Len() != tt.counts || h.halted.Len() != tt.halted {
				t.Errorf("%d keys, %d count, %d halted; want %d, %d, %d", len(h.by), h.counts.Len(), h.halted.Len(), haltKeys, tt.counts, tt.halted)
			}
			if h.by["k2"] != nil || h.by["k3"] == nil {
				t.Errorf("k2 is kept: %v, k3: %v; want the first three to be gone", h.by["k2"] != nil, h.by["k3"] != nil)
			}
			b.put("k2", 0)
			b.put("k3", 0)
			want := map[string]string{"failed>0% of 2": "k2 k3", "failed>0% of 1": "k2"}[tt.rule]
			if got := b.leases(9); got != want {
				t.Errorf("hand-outs %q, want %q", got, want)
			}
		})
	}
}
