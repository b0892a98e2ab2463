package live

import (
	"slices"
	"testing"
	"time"
)

// TestClockJumps: a ring goes on after the clock jumped, and shows no step that is ahead of it.
func TestClockJumps(t *testing.T) {
	const t0 = 1_790_000_000
	for _, tt := range []struct {
		name  string
		ticks []int64 // seconds from t0, at each of which one task is put, and one is ready
		want  []uint32
		start int64 // of the first of want
	}{
		{"no jump", []int64{0, 1, 2, 3, 4}, []uint32{1, 1, 1, 1}, 0},
		{"two in one second", []int64{0, 1, 1, 2, 3}, []uint32{1, 2, 1}, 0},
		{"a gap", []int64{0, 1, 4, 5}, []uint32{1, 1, 0, 0, 1}, 0},
		{"back by three", []int64{0, 1, 2, 3, 4, 1, 2, 3}, []uint32{1, 2, 1}, 0},
		{"ahead and back", []int64{0, 1, 6, 2, 3, 4}, []uint32{1, 1, 1, 1}, 0},
		{"ahead by a day and back", []int64{0, 1, 86400, 2, 3, 4}, []uint32{1, 1}, 2},
		{"back by a day", []int64{0, 1, -86400, -86399, -86398}, []uint32{1, 1}, -86400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRing(Resolution{time.Second, 8}, true)
			for _, at := range tt.ticks {
				r.add(t0+at, &Sample{Put: 1, Ready: 1}, &Latencies{PutP99: 1})
			}
			now := t0 + tt.ticks[len(tt.ticks)-1]
			s := r.series(now, t0+tt.start)
			var put []uint32
			for i := range s.Samples {
				put = append(put, s.Samples[i].Put)
				if s.Samples[i].Ready != 1 {
					t.Errorf("second %d has %d ready, want 1", i, s.Samples[i].Ready)
				}
			}
			if !slices.Equal(put, tt.want) || s.Start.Unix() != t0+tt.start || len(s.Latencies) != len(put) {
				t.Errorf("from %d on %v, want %v from %d on", s.Start.Unix()-t0, put, tt.want, tt.start)
			}
		})
	}
}

// TestClockNotSet: a machine without a clock of its own begins in 1970, or before it.
func TestClockNotSet(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ticks []int64 // seconds since 1970
		want  int     // samples of the last minute
	}{
		{"in 1970", []int64{1, 2, 3, 4}, 4},
		{"before 1970", []int64{-5, -4, -3}, 0},
		{"into 1970", []int64{-1, 0, 1, 2, 3}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRing(Resolution{time.Second, 8}, true)
			for _, at := range tt.ticks {
				r.add(at, &Sample{Put: 1}, &Latencies{})
			}
			now := tt.ticks[len(tt.ticks)-1]
			if got := len(r.series(now, now-60).Samples); got != tt.want {
				t.Errorf("%d samples, want %d", got, tt.want)
			}
		})
	}
}
