package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

// TestCopyUnderLoad copies a store again and again while tasks are put and acked, segments roll,
// bodies move and segments go. Every copy starts, its books balance, and it is the store at one
// moment: with all that was answered before, and with nothing of what was over by then.
func TestCopyUnderLoad(t *testing.T) {
	opt := disk.Options{SegmentSize: 8 << 10, CacheBytes: 1, MinFree: disk.Watermark{Bytes: -1}, Sync: disk.SyncNever}
	e, err := disk.Open(filepath.Join(t.TempDir(), "d"), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	// Per body, guarded by mu: what the workers have been told.
	var mu sync.Mutex
	put, done := map[string]bool{}, map[string]bool{}
	begun := map[string]bool{}     // an ack of it was sent
	working := make(chan struct{}) // closed when the first was done

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for w := range 3 {
		wg.Go(func() {
			defer stop()
			for i := 0; ctx.Err() == nil; i++ {
				body := fmt.Sprintf("body-%d-%d %s", w, i, strings.Repeat("x", i*37%900))
				task := glassq.Task{Queue: "q", Body: []byte(body), Run: "r", Dense: true, Position: uint32(i*3 + w)}
				if _, err := e.Put(ctx, []glassq.Task{task}); err != nil {
					t.Errorf("Put: %v", err)
					return
				}
				mu.Lock()
				put[body] = true
				mu.Unlock()
				leases, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1 + i%2})
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("Reserve: %v", err)
					}
					return
				}
				for _, l := range leases {
					if i%5 == 0 {
						continue // stays leased
					}
					mu.Lock()
					begun[string(l.Body)] = true
					mu.Unlock()
					a := glassq.Ack{Token: l.Token(), Result: &glassq.Task{Body: append([]byte("of "), l.Body...)}}
					if errs, err := e.Ack(ctx, []glassq.Ack{a}); err != nil || errs[0] != nil {
						t.Errorf("Ack: %v, %v", errs, err)
						return
					}
					mu.Lock()
					if len(done) == 0 {
						close(working)
					}
					done[string(l.Body)] = true
					mu.Unlock()
				}
			}
		})
	}
	select {
	case <-working: // else the first copy may have no run yet
	case <-ctx.Done():
		t.Fatal("no task was done")
	}
	for round := range 4 {
		if round > 0 { // so that much has happened since the last one
			churn(t, e)
		}
		mu.Lock()
		var putBefore, doneBefore []string
		for b := range put {
			putBefore = append(putBefore, b)
		}
		for b := range done {
			doneBefore = append(doneBefore, b)
		}
		mu.Unlock()
		dir := filepath.Join(t.TempDir(), "copy")
		first := true
		c, err := disk.Receive(dir, func(file func(string, int64, io.Reader) error) error {
			return e.Copy(t.Context(), func(name string, n int64, r io.Reader) error {
				if first { // much happens between two files, and segments become free
					first = false
					churn(t, e)
				}
				return file(name, n, r)
			})
		})
		if err != nil {
			t.Fatalf("copy %d: %+v, %v", round, c, err)
		}
		mu.Lock()
		acked := map[string]bool{}
		for b := range begun {
			acked[b] = true
		}
		mu.Unlock()
		checkCopy(t, dir, opt, putBefore, doneBefore, acked)
		if t.Failed() {
			t.Fatalf("copy %d is not the store at a moment", round)
		}
	}
}

// churn puts tasks and takes them until the log has grown by several segments and checkpoints.
func churn(t *testing.T, e *disk.Engine) {
	before, err := e.Stats(t.Context())
	for st := before; st.Bytes < before.Bytes+60_000 && err == nil; st, err = e.Stats(t.Context()) {
		if _, err := e.Put(t.Context(), []glassq.Task{{Queue: "other", Body: make([]byte, 500)}}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "other", Max: 10, Take: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checkCopy holds a copy to what was known before it began, and to the acks that may be in it.
func checkCopy(t *testing.T, dir string, opt disk.Options, put, done []string, acked map[string]bool) {
	t.Helper()
	e, err := disk.Open(dir, opt)
	if err != nil {
		t.Fatalf("start on the copy: %v", err)
	}
	defer e.Close()
	held := map[string]bool{}
	results := map[string]bool{}
	for _, queue := range []string{"q", glassq.DefaultResults} {
		for _, st := range []glassq.State{glassq.Ready, glassq.Leased} {
			for cursor := uint64(0); ; {
				ps, next, err := e.Peek(t.Context(), queue, st, cursor, 1000)
				if err != nil {
					if glassq.CodeOf(err) == glassq.CodeNotFound {
						break
					}
					t.Fatalf("Peek(%s, %v): %v", queue, st, err)
				}
				for _, p := range ps {
					if queue == "q" {
						held[string(p.Body)] = true
					} else {
						results[strings.TrimPrefix(string(p.Body), "of ")] = true
					}
				}
				if cursor = next; next == 0 {
					break
				}
			}
		}
	}
	for _, b := range put {
		if !held[b] && !acked[b] {
			t.Errorf("%.20q was put before the copy began, and is not in it", b)
		}
	}
	for _, b := range done {
		if held[b] || !results[b] {
			t.Errorf("%.20q was acked before the copy began; there it is held %v, its result %v", b, held[b], results[b])
		}
	}
	for b := range results {
		if held[b] {
			t.Errorf("%.20q is there with its result: half an ack", b)
		}
	}
	r, err := e.Run(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	if b := r.Books; b.Pending() != uint64(len(held)) || b.OK != uint64(len(results)) {
		t.Errorf("books %+v; %d tasks are held and %d results", b, len(held), len(results))
	}
}

// TestCopyEnds: a copy ends with its context and with the store, and a failed store has none.
func TestCopyEnds(t *testing.T) {
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := putOne(t, e, "x"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	read := func(_ string, _ int64, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	err = e.Copy(ctx, func(name string, n int64, r io.Reader) error {
		cancel()
		return read(name, n, r)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a copy whose context ended = %v", err)
	}
	err = e.Copy(t.Context(), func(name string, n int64, r io.Reader) error {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		return read(name, n, r)
	})
	if glassq.CodeOf(err) != glassq.CodeClosed {
		t.Errorf("a copy whose store was closed = %v; want code closed", err)
	}
	if err := e.Copy(t.Context(), read); glassq.CodeOf(err) != glassq.CodeClosed {
		t.Errorf("a copy of a closed store = %v; want code closed", err)
	}
}

// TestRestoreNumbers: a store that was restored hands out no lease number that the original may
// have handed out after its copy.
func TestRestoreNumbers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	e, err := disk.Open(dir, disk.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := putOne(t, e, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Receive(dir+".copy", func(file func(string, int64,
		io.Reader) error) error {
		return e.Copy(t.Context(), file)
	}); err != nil {
		t.Fatal(err)
	}
	first, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
	if err != nil || len(first) != 1 {
		t.Fatalf("Reserve = %v, %v", first, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Restore(dir+".copy", dir+".new"); err != nil {
		t.Fatal(err)
	}
	if e, err = disk.Open(dir+".new", disk.Options{SegmentSize: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	second, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
	if err != nil || len(second) != 1 || second[0].Number <= first[0].Number+1<<30 {
		t.Fatalf("Reserve from the restored store = %+v, %v; want a number far above %d", second, err, first[0].Number)
	}
	if errs, err := e.Ack(t.Context(), []glassq.Ack{{Token: first[0].Token()}}); err != nil ||
		glassq.CodeOf(errs[0]) != glassq.CodeLeaseLost {
		t.Errorf("an ack of the original's lease = %v, %v; want lease_lost", errs, err)
	}
}
