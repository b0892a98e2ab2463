package disk

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/glassq/glassq"
)

func open(tb testing.TB, dir string, opt Options) *Engine {
	tb.Helper()
	e, err := Open(dir, opt)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// TestLife: a task is put, leased, acked with a result, and the result is taken; everything is
// there after each of several restarts.
func TestLife(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	e := open(t, dir, Options{})
	again := func() {
		t.Helper()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = open(t, dir, Options{})
	}
	if _, err := e.Put(ctx, []glassq.Task{{Queue: "tasks", Run: "r", Position: 3, Dense: true, Type: glassq.TypeText,
		Body: []byte("hello")}}); err != nil {
		t.Fatal(err)
	}
	again()
	leases, err := e.Reserve(ctx, glassq.Reserve{Queue: "tasks", Max: 10})
	if err != nil || len(leases) != 1 || string(leases[0].Body) != "hello" || leases[0].Attempt != 1 ||
		leases[0].TaskID() != "r/3" {
		t.Fatalf("reserve = %+v, %v", leases, err)
	}
	again()
	errs, err := e.Ack(ctx, []glassq.Ack{{Token: leases[0].Token(), Result: &glassq.Task{Body: []byte(`{"o":{"ok":1}}`)}}})
	if err != nil || errs[0] != nil {
		t.Fatalf("ack = %v, %v", errs, err)
	}
	again()
	results, err := e.Reserve(ctx, glassq.Reserve{Queue: "results", Max: 10})
	if err != nil || len(results) != 1 || results[0].TaskID() != "r/3" || results[0].OfAttempt != 1 {
		t.Fatalf("reserve results = %+v, %v", results, err)
	}
	if errs, err := e.Ack(ctx, []glassq.Ack{{Token: leases[0].Token()}, {Token: results[0].Token()}}); err != nil ||
		errs[0] != nil || errs[1] != nil {
		t.Fatalf("repeated ack, ack of the result = %v, %v", errs, err)
	}
	if r, err := e.Run(ctx, "r"); err != nil || r.Books.OK != 1 || r.Pending != 0 || r.Waiting != 0 {
		t.Errorf("run = %+v, %v", r, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestManyAtOnce: putters, workers and waiters at the same time; every task is acked once.
func TestManyAtOnce(t *testing.T) {
	e := open(t, t.TempDir(), Options{SegmentSize: 256 << 10})
	defer e.Close()
	const putters, each, batch = 4, 50, 20
	ctx, all := context.WithCancel(t.Context())
	defer all()
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for p := range putters {
		wg.Go(func() {
			for i := range each {
				tasks := make([]glassq.Task, batch)
				for k := range tasks {
					tasks[k] = glassq.Task{Queue: "q", Body: fmt.Append(nil, p, i, k)}
				}
				if _, err := e.Put(t.Context(), tasks); err != nil {
					t.Error(err)
					all()
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			defer all()
			for {
				leases, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 7, Wait: -1})
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				acks := make([]glassq.Ack, len(leases))
				for i := range leases {
					acks[i].Token = leases[i].Token()
					mu.Lock()
					seen[string(leases[i].Body)]++
					mu.Unlock()
				}
				if errs, err := e.Ack(t.Context(), acks); err != nil || errs[0] != nil {
					t.Error(errs, err)
				}
				mu.Lock()
				if len(seen) == putters*each*batch {
					all()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != putters*each*batch {
		t.Errorf("%d tasks delivered, want %d", len(seen), putters*each*batch)
	}
	for k, n := range seen {
		if n != 1 {
			t.Errorf("task %s delivered %d times", k, n)
		}
	}
}
