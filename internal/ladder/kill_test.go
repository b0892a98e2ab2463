package ladder

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/history"
)

var kills = flag.Int("kills", 10, "times that TestKill kills the server")

// TestKill kills a real server again and again while 8 writers and 9 workers are at it, drains it
// now and then, and judges what they saw.
func TestKill(t *testing.T) {
	start := time.Now()
	s := newServer(t, build(t), t.TempDir())
	rng := rand.New(rand.NewPCG(*seed, 4))
	t.Logf("-seed %d", *seed)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	x := newSiege(t, s.addr)
	var total sums
	kills := budget(*kills)
	for done := 0; done < kills && !t.Failed(); {
		stop := x.crowd(rng.Uint64(), 8, 9, 2000)
		for range min(50, kills-done) {
			// Mostly short lives: 50 ms to 2 s, half a second on average.
			u := rng.Float64()
			time.Sleep(50*time.Millisecond + time.Duration(u*u*u*float64(1950*time.Millisecond)))
			at := x.now()
			s.kill()
			x.note(history.Op{Kind: history.Crash, Start: at, End: x.now()})
			if err := s.start(); err != nil {
				stop()
				t.Fatalf("after kill %d: %v", done, err)
			}
			done++
		}
		stop()
		if err := x.drain(); err != nil {
			t.Error(err)
		}
		r := x.judge()
		total.add(r)
		if r.Faults() > 0 {
			t.Errorf("after %d kills: %v", done, r)
		}
	}
	stdout("rung=kill kills=%d %v seed=%d seconds=%.0f failed=%v", kills, &total, *seed, time.Since(start).Seconds(),
		t.Failed())
}
