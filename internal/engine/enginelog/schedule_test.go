package enginelog_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/engine/enginelog"
)

// TestScheduleClocks: the wall clock decides what is due, wherever it jumps, and nothing is put twice.
func TestScheduleClocks(t *testing.T) {
	type step struct {
		jump, pass time.Duration // of the wall clock alone, then of all clocks
		down       bool          // while that passes no server runs
		puts, lost uint64        // so far
	}
	const day = 24 * time.Hour
	tests := []struct {
		name, cron, missed string
		steps              []step
	}{
		{"back by two hours", "0 * * * *", "", []step{{pass: 3 * time.Hour, puts: 3}, {jump: -2 * time.Hour, pass: 2*time.Hour - time.Minute, puts: 3},
			{pass: 2 * time.Minute, puts: 3}, {pass: time.Hour, puts: 4}}},
		{"ahead by a day", "0 * * * *", "", []step{{jump: day, pass: time.Minute, puts: 1, lost: 23}, {pass: time.Hour, puts: 2, lost: 23}}},
		{"ahead by a day, all", "0 * * * *", "all", []step{{jump: day, pass: time.Minute, puts: 24}}},
		{"ahead by a day, none", "0 * * * *", "none", []step{{jump: day + 30*time.Minute, pass: time.Minute, lost: 24},
			{pass: time.Hour, puts: 1, lost: 24}}},
		{"no server for two days", "0 * * * *", "", []step{{pass: time.Hour, puts: 1}, {pass: 2 * day, down: true, puts: 2, lost: 47}}},
		{"no server for two days, all", "0 * * * *", "all", []step{{pass: 2 * day, down: true, puts: 48}}},
		{"no server for two days, none", "0 * * * *", "none", []step{{pass: 2*day + 30*time.Minute, down: true, lost: 48}}},
		{"no server for a year, each minute, all", "* * * * *", "all", []step{{pass: 365 * day, down: true, puts: glassq.MaxMissed,
			lost: 525_600 - glassq.MaxMissed}}},
		{"back and no server", "0 * * * *", "all", []step{{pass: 3 * time.Hour, puts: 3}, {jump: -2 * time.Hour, down: true, puts: 3},
			{pass: 3 * time.Hour, puts: 4}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var jumped atomic.Int64 // ns
				opt := engine.Options{Wall: func() time.Time { return time.Now().Add(time.Duration(jumped.Load())) }}
				store := enginelog.NewStore()
				open := func() *enginelog.Log {
					log, err := enginelog.Open(store, enginelog.Options{}, opt)
					if err != nil {
						t.Fatal(err)
					}
					return log
				}
				log := open()
				defer func() { log.Close() }()
				_, err := log.Engine.SetSchedule(t.Context(), "s", glassq.ScheduleChange{Cron: tt.cron, Missed: tt.missed,
					Task: `{"queue":"q","body":1}`})
				if err != nil {
					t.Fatal(err)
				}
				for i, s := range tt.steps {
					if s.down {
						log.Kill(true)
						log.Close()
					}
					jumped.Add(int64(s.jump))
					time.Sleep(s.pass)
					if s.down {
						log = open()
					}
					time.Sleep(30 * time.Second)
					synctest.Wait()
					list, err := log.Engine.Schedules(t.Context())
					if err != nil || len(list) != 1 || list[0].Puts != s.puts || list[0].Lost != s.lost {
						t.Fatalf("step %d: Schedules = %+v, %v; want %d put, %d missed", i, list, err, s.puts, s.lost)
					}
				}
				var ids []string
				for {
					got, err := log.Engine.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1000, Lease: time.Hour})
					if err != nil {
						t.Fatal(err)
					}
					if len(got) == 0 {
						break
					}
					for _, l := range got {
						ids = append(ids, l.ID)
					}
				}
				want := tt.steps[len(tt.steps)-1].puts
				slices.Sort(ids)
				if each := slices.Compact(slices.Clone(ids)); uint64(len(ids)) != want || len(each) != len(ids) {
					t.Errorf("%d tasks, %d of them different; want %d", len(ids), len(each), want)
				}
			})
		})
	}
}
