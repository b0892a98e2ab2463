package live_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/live"
)

// TestEventsAfterJumps: a reader misses nothing, and is told nothing twice, when the clock jumps
// between two seconds.
func TestEventsAfterJumps(t *testing.T) {
	for _, tt := range []struct {
		name  string
		jumps []time.Duration // of the wall clock before each second
	}{
		{"no jump", []time.Duration{0, 0, 0}},
		{"ahead by a day", []time.Duration{0, 24 * time.Hour, 0}},
		{"back by a day", []time.Duration{0, -24 * time.Hour, 0}},
		{"back to 1970", []time.Duration{0, -40 * 365 * 24 * time.Hour, 0}},
		{"to and fro", []time.Duration{time.Hour, -2 * time.Hour, 90 * time.Minute, -time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := live.New(live.Options{})
				e, err := disk.Open("mem:", disk.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				s := l.Over(e)
				after, now := l.LastEvent(), time.Now()
				for i, jump := range tt.jumps {
					now = now.Add(time.Second + jump).Round(0) // no monotonic reading: what a tick keeps is wall time
					put(t, s, "q", 1)
					l.Tick(t.Context(), now)
					list, lost, err := l.Events(t.Context(), after, 10)
					if err != nil || lost || len(list) != 1 || list[0].ID <= after || !list[0].Time.Equal(now) ||
						len(list[0].Queues) != 1 || list[0].Queues[0].Ready != int64(i+1) {
						t.Fatalf("events of second %d after %d = %+v, lost %v, %v", i, after, list, lost, err)
					}
					after = list[0].ID
				}
			})
		})
	}
}

// TestEventsOfAnotherClock: a reader that comes back after a start at which the clock was behind has
// an id that is not given yet. It is told, and hears everything since.
func TestEventsOfAnotherClock(t *testing.T) {
	var last uint64
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		l, _ := watched(t, live.Options{})
		l.Heard(by("eve"), &audit.Entry{Action: "redrive", Queue: "before"})
		last = l.LastEvent()
	})
	synctest.Test(t, func(t *testing.T) { // an hour earlier
		l, _ := watched(t, live.Options{})
		for _, queue := range []string{"a", "b"} {
			l.Heard(by("eve"), &audit.Entry{Action: "redrive", Queue: queue})
		}
		list, lost, err := l.Events(t.Context(), last, 10)
		if err != nil || !lost || len(list) != 2 || list[0].Queue != "a" || list[1].ID != l.LastEvent() {
			t.Fatalf("Events after %d = %+v, lost %v, %v; want a and b, and some lost", last, list, lost, err)
		}
	})
}

// TestRunsForgotten: a run that was silent for more than ten minutes is not known any more.
func TestRunsForgotten(t *testing.T) {
	for _, tt := range []struct {
		name   string
		silent time.Duration
		want   int
	}{
		{"nine minutes", 9 * time.Minute, 1},
		{"eleven minutes", 11 * time.Minute, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, s := watched(t, live.Options{})
				if _, err := s.SetRun(by("ann"), "run", glassq.RunChange{Sealed: true}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.silent)
				synctest.Wait()
				if got := l.KnownRuns(); got != tt.want {
					t.Errorf("%d runs are known, want %d", got, tt.want)
				}
			})
		})
	}
}
