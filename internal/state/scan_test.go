package state

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// TestPutsPassesOver: a scan finds the bodies behind a record of every kind, as a salvage needs it,
// and knows as many kinds as a replay does.
func TestPutsPassesOver(t *testing.T) {
	put := AppendPut(nil, &glassq.Task{Queue: "q", Body: []byte("body")})
	move, ok := AppendMove(nil, 7, 1000, put)
	if !ok {
		t.Fatal("no move of a put")
	}
	tests := []struct {
		name string
		rec  []byte
	}{
		{"time", AppendTime(nil, 300)},
		{"put", put},
		{"lease", AppendLease(nil, 300, 7, 10_000)},
		{"ack", AppendAck(nil, 300, glassq.OK, true)},
		{"nack", AppendNack(nil, 300, &glassq.Nack{Reason: "because"}, 1000)},
		{"nack, dead", AppendNack(nil, 300, &glassq.Nack{Dead: true}, 0)},
		{"extend", AppendExtend(nil, 300, 10_000)},
		{"take", AppendTake(nil, 300)},
		{"numbers", AppendNumbers(nil, 1<<40)},
		{"queue", AppendQueue(nil, "q", glassq.Settings{Rate: 2})},
		{"purge", AppendPurge(nil, "q", glassq.Ready, glassq.Dead)},
		{"redrive", AppendRedrive(nil, "q", 300)},
		{"drop", AppendDrop(nil, "q")},
		{"run", AppendRun(nil, "r", glassq.RunChange{Source: "numbers 0..9"})},
		{"cancel", AppendCancel(nil, "r")},
		{"move", move},
		{"give-up", AppendGiveUp(nil, "q", "r", GivenUp{Count: 300, next: 1e9})},
		{"give-up of no run", AppendGiveUp(nil, "q", "", GivenUp{Count: 1, next: 0.5})},
		{"clock", AppendClock(nil, time.Hour.Milliseconds())},
		{"gap", AppendGap(nil, 300)},
		{"clock, set back", AppendClock(nil, -time.Hour.Milliseconds())},
	}
	var known [256]bool
	for _, tt := range tests {
		known[tt.rec[0]] = true
		t.Run(tt.name, func(t *testing.T) {
			var bodies [][]byte
			err := Puts(append(bytes.Clone(tt.rec), put...), func(_ uint64, rec []byte) error {
				bodies = append(bodies, rec)
				return nil
			})
			if err != nil || len(bodies) == 0 || !bytes.Equal(bodies[len(bodies)-1], put) {
				t.Errorf("found %q, %v; want the put behind it at the end", bodies, err)
			}
			if err := Puts(tt.rec[:len(tt.rec)-1], func(uint64, []byte) error { return nil }); err == nil {
				t.Error("a record that is cut short is passed over")
			}
		})
	}
	for o, known := range known {
		_, err := New(Hooks{}).Apply([]byte{byte(o)}, 1, 0)
		if replays := err == nil || !strings.Contains(err.Error(), "unknown record"); replays != known {
			t.Errorf("record %d: a replay knows it: %t, this table: %t", o, replays, known)
		}
	}
}
