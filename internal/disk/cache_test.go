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

// TestCache: what came last is kept, up to the bound; a payload larger than the bound is kept alone.
func TestCache(t *testing.T) {
	e := open(t, "mem:", Options{})
	defer e.Close()
	const most = 64 << 10
	c := newCache(most, e.log)
	kept := func(frame uint64) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, ok := c.at[frame]
		return ok
	}
	for i := range uint64(5000) {
		c.add(payload{frame: i + 1, time: int64(i), bytes: fmt.Append(nil, "payload ", i)})
	}
	if kept(1) || !kept(5000) || c.size > most || len(c.at)*frameCost > most {
		t.Errorf("of 5000 small frames %d are kept in %d bytes of %d; the first %v, the last %v", len(c.at), c.size, most, kept(1), kept(5000))
	}
	for i := range uint64(5000) {
		if !kept(i + 1) {
			continue
		}
		if p, err := c.frame(i + 1); err != nil || string(p.bytes) != fmt.Sprint("payload ", i) || p.time != int64(i) {
			t.Fatalf("frame %d = %q, %d, %v", i+1, p.bytes, p.time, err)
		}
	}
	c.add(payload{frame: 9000, bytes: make([]byte, 10*most)})
	if !kept(9000) || len(c.at) != 1 {
		t.Errorf("beside a frame of ten times the bound %d others are kept", len(c.at)-1)
	}
	c.add(payload{frame: 9001, bytes: []byte("small again")})
	if kept(9000) || !kept(9001) {
		t.Errorf("after it a small one: the large one is kept %v, the small one %v", kept(9000), kept(9001))
	}
}
