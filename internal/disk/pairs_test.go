package disk

import (
	"sync"
	"testing"

	"github.com/glassq/glassq"
)

// TestPutBesideTake: a body that is taken while its frame is written is nobody's race.
func TestPutBesideTake(t *testing.T) {
	e := open(t, t.TempDir(), Options{Sync: SyncNever})
	defer e.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				if _, err := e.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("x")}}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 2000 {
				if _, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Take: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
