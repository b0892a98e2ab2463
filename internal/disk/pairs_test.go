package disk

import (
	"flag"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/enginetest"
)

var pairsFor = flag.Duration("pairs", 5*time.Second,
	"how long TestPairs runs verbs side by side; a tenth without the race detector")

// TestPairs runs every verb beside every other on a folder, with segments so small that
// checkpoints, rolls and removals happen all the time. It is made for the race detector.
func TestPairs(t *testing.T) {
	took := *pairsFor
	if !underRace {
		took /= 10
	}
	enginetest.Pairs(t, 4, took, func(t testing.TB) glassq.Store {
		return open(t, t.TempDir(), Options{Sync: SyncNever, SegmentSize: 64 << 10, CacheBytes: 1,
			MinFree: Watermark{Bytes: -1}})
	})
}
