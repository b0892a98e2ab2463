package main

import (
	"os"
	"testing"
	"testing/synctest"
)

// TestTuneStops: nothing goes on after stop, and nothing is begun where the environment says how
// often the collector runs, which may be never. Otherwise the bubble would not end.
func TestTuneStops(t *testing.T) {
	t.Setenv("GOGC", "")
	synctest.Test(t, func(*testing.T) { tune(mostGarbage)() })
	os.Setenv("GOGC", "100")
	synctest.Test(t, func(*testing.T) { tune(mostGarbage) })
}

func TestWorthGivingBack(t *testing.T) {
	const mb = 1 << 20
	for _, tt := range []struct {
		name           string
		resident, kept uint64
		want           bool
	}{
		{"nothing more", 30 * mb, 30 * mb, false},
		{"a little more", 70 * mb, 30 * mb, false},
		{"after a burst", 300 * mb, 30 * mb, true},
		{"a large heap and a little more", 5060 * mb, 5000 * mb, false},
		{"a large heap and much more", 6500 * mb, 5000 * mb, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := isMuch(tt.resident, tt.kept); got != tt.want {
				t.Errorf("isMuch(%d, %d) = %v", tt.resident, tt.kept, got)
			}
		})
	}
}
