package disk

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/wal"
	"github.com/glassq/glassq/internal/wal/waltest"
)

// TestOneRead: many who want tasks of one frame at the same time cost one read of the disk.
func TestOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 8
		under := wal.MemFS()
		e := open(t, "", Options{FS: under})
		tasks := make([]glassq.Task, callers)
		for i := range tasks {
			tasks[i] = glassq.Task{Queue: "q", Body: fmt.Append(nil, "body ", i)}
		}
		if _, err := e.Put(t.Context(), tasks); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}

		var slow atomic.Bool
		var reads atomic.Int64
		answer := make(chan struct{})
		e = open(t, "", Options{FS: waltest.Faulty(under, func(c waltest.Call) error {
			if slow.Load() && c.Op == "read" && strings.HasPrefix(c.Name, "segment-") {
				reads.Add(1)
				<-answer
			}
			return nil
		})})
		defer e.Close()
		slow.Store(true)
		var mu sync.Mutex
		seen := map[string]bool{}
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				got, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
				if err != nil || len(got) != 1 {
					t.Errorf("reserve = %d leases, %v", len(got), err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				seen[string(got[0].Body)] = true
			})
		}
		synctest.Wait()
		slow.Store(false)
		close(answer)
		wg.Wait()
		if len(seen) != callers || reads.Load() != 1 {
			t.Errorf("%d callers got %d bodies with %d reads, want one read", callers, len(seen), reads.Load())
		}
	})
}
