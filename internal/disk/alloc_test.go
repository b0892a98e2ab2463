package disk

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/glassq/glassq"
)

// underRace: the race detector allocates for itself, and empties pools at random.
var underRace bool

// mallocs tells how many objects do allocates, on all goroutines. No collection runs meanwhile,
// because what a collection takes out of pools is allocated again at a moment that nobody chose.
func mallocs(do func()) float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

// TestPutAllocations: a batch costs two allocations at most, of which one is its receipts, whether
// it shares its frame with others or has one of its own. What the log and the index need as they
// grow is in it, on average over many batches.
func TestPutAllocations(t *testing.T) {
	if underRace {
		t.Skip("left out: the race detector allocates for itself")
	}
	for _, tt := range []struct {
		name            string
		callers, rounds int
		dense           bool
	}{
		{"8 callers", 8, 300, false},
		{"1 caller", 1, 600, false},
		{"8 callers, positions of a run", 8, 300, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := open(t, t.TempDir(), Options{})
			defer e.Close()
			const batch = 256
			tasks := make([][]glassq.Task, tt.callers)
			put := func(c, round int) {
				for i := range tasks[c] {
					tasks[c][i].Position = uint32((round*tt.callers+c)*batch + i)
				}
				if _, err := e.Put(t.Context(), tasks[c]); err != nil {
					t.Error(err)
				}
			}
			for c := range tasks {
				tasks[c] = make([]glassq.Task, batch)
				for i := range tasks[c] {
					tasks[c][i] = glassq.Task{Queue: "q", Run: "r", Dense: tt.dense, Body: make([]byte, 32)}
				}
			}
			var round int
			rounds := func(n int) {
				var wg sync.WaitGroup
				for c := range tasks {
					wg.Go(func() {
						for i := range n {
							put(c, round+i)
						}
					})
				}
				wg.Wait()
				round += n
			}
			rounds(tt.rounds / 10) // fills what is used again
			got := mallocs(func() { rounds(tt.rounds) }) / float64(tt.rounds*tt.callers)
			t.Logf("%.2f allocations a batch", got)
			if got > 2 {
				t.Errorf("a batch of %d costs %.2f allocations, want 2 at most", batch, got)
			}
		})
	}
}

// TestCacheOfSmallFrames: frames of one small task each take no more memory than the cache may
// have.
func TestCacheOfSmallFrames(t *testing.T) {
	const frames, most = 20_000, 1 << 20
	e := open(t, t.TempDir(), Options{Sync: SyncNever, CacheBytes: most})
	defer e.Close()
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	for range frames {
		if _, err := e.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("a body")}}); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(held()) - int64(before); grown > 4*most {
		t.Errorf("%d frames of one task each hold %d KiB with a cache of %d KiB", frames, grown>>10, most>>10)
	}
}
