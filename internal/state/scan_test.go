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
	say := &glassq.Extend{Token: glassq.Token{Number: 300}, Seq: 2}
	nothing := AppendProgress(nil, say, 10_000)
	say.Progress = &glassq.Progress{Done: 0.4, Note: "page 40", Checkpoint: []byte("at 40")}
	said := AppendProgress(nil, say, 10_000)
	moved, ok := AppendMove(nil, 7, 1000, said)
	if !ok {
		t.Fatal("no move of a checkpoint")
	}
	tests := []struct {
		name string
		rec  []byte
	}{
		{"progress", said},
		{"progress of nothing", nothing},
		{"a checkpoint moved", moved},
		{"the end of a halt", AppendResume(nil, "q")},
		{"a checkpoint forgotten", AppendForget(nil, 7)},
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
		{"redrive", appendRedrive(nil, "q", 300)},
		{"drop", AppendDrop(nil, "q")},
		{"run", AppendRun(nil, "r", glassq.RunChange{Source: "numbers 0..9"})},
		{"cancel", AppendCancel(nil, "r")},
		{"run drop", AppendRunDrop(nil, "r")},
		{"some redriven", appendSome(nil, false, "q", []uint64{1, 2, 7, 300, 301, 302})},
		{"some purged", appendSome(nil, true, "q", []uint64{300})},
		{"move", move},
		{"give-up", AppendGiveUp(nil, "q", "r", GivenUp{Count: 300, next: 1e9})},
		{"give-up of no run", AppendGiveUp(nil, "q", "", GivenUp{Count: 1, next: 0.5})},
		{"hook", appendHook(nil, "r", hookEnd, &Hooked{Text: "{}", Task: glassq.Task{Queue: "q"}})},
		{"schedule", appendSchedule(nil, "s", &ScheduleSet{Cron: "* * * * *"}, put, 300)},
		{"schedule, forgotten", AppendDropSchedule(nil, "s")},
		{"due", AppendDue(nil, "s", 300, 1, 300)},
		{"end of a run", appendRunEnd(nil, "r", 300)},
		{"clock", AppendClock(nil, time.Hour.Milliseconds())},
		{"gap", AppendGap(nil, 300)},
		{"hold", AppendHold(nil, "q", "host", time.Hour.Milliseconds(), "status 429")},
		{"cost of a key", AppendKeyCost(nil, 300, glassq.MaxCost)},
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
