package enginelog_test

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
	"github.com/glassq/glassq/internal/engine/enginelog"
)

// TestArchiveEndsRun: a run whose last task expires while its archive lies somewhere ends when that is
// restored, and its hook is put.
func TestArchiveEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := enginelog.Open(enginelog.NewStore(), enginelog.Options{}, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if _, err := a.Engine.SetRun(ctx, "r", glassq.RunChange{OnEnd: `{"queue":"hooks"}`}); err != nil {
			t.Fatal(err)
		}
		tasks := []glassq.Task{{Queue: "q", Run: "r", TTL: time.Second}, {Queue: "q", Body: []byte("stays")}}
		if _, err := a.Engine.Put(ctx, tasks); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Engine.SetRun(ctx, "r", glassq.RunChange{Sealed: true}); err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		if err := a.Engine.Archive(ctx, &buf); err != nil {
			t.Fatal(err)
		}
		a.Close()
		time.Sleep(time.Minute)
		b, err := enginelog.Open(enginelog.NewStore(), enginelog.Options{From: &buf}, engine.Options{})
		if err != nil {
			t.Fatalf("restore a minute later: %v", err)
		}
		defer b.Close()
		r, err := b.Engine.AwaitRun(ctx, "r", glassq.PhaseComplete, time.Second)
		if err != nil || !r.Complete || r.Ends != 1 || r.Books.Dead.Expired != 1 {
			t.Errorf("the run = %+v, %v; want it ended once", r, err)
		}
		for _, q := range []string{"hooks", "q"} {
			if l, err := b.Engine.Reserve(ctx, glassq.Reserve{Queue: q, Max: 10}); err != nil || len(l) != 1 {
				t.Errorf("queue %s = %d tasks, %v; want one", q, len(l), err)
			}
		}
	})
}

// TestDropWhileFramesAreFull: puts that wait for room in a queue are looked at in its successor, also
// where the open frame has no room for them when it is dropped, and the successor is full in turn.
func TestDropWhileFramesAreFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gate atomic.Pointer[chan struct{}] // of the background loop, which would be first
		open, shut := make(chan struct{}), make(chan struct{})
		close(open)
		gate.Store(&open)
		opt := enginelog.Options{Policy: engine.Policy{FrameBytes: 5}} // full with the first record
		wall := func() time.Time { <-*gate.Load(); return time.Now() }
		l, err := enginelog.Open(enginelog.NewStore(), opt, engine.Options{Wall: wall})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		e, ctx, one := l.Engine, t.Context(), int64(1)
		limit := func() {
			if _, err := e.Configure(ctx, "q", glassq.SettingsChange{MaxTasks: &one}); err != nil {
				t.Fatal(err)
			}
		}
		limit()
		const waiting = 3
		done := make(chan error, waiting+1)
		for range waiting + 1 {
			go func() {
				_, err := e.PutWait(ctx, []glassq.Task{{Queue: "q"}}, -1)
				done <- err
			}()
			synctest.Wait()
		}
		gate.Store(&shut)
		if err := e.Drop(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		limit()
		reserve := func(queue string) {
			if _, err := e.Reserve(ctx, glassq.Reserve{Queue: queue, Max: 1, Take: true}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for range 3 {
			reserve("another") // whatever call has those looked at who wait
		}
		for len(done) <= waiting {
			reserve("q")
		}
		close(shut)
		for range waiting + 1 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestRoomAgain: a reserve that waits while the log has no room for a hand-out gets its task when it
// has some again.
func TestRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		opt := enginelog.Options{Room: func() error {
			if full.Load() {
				return glassq.Errorf(glassq.CodeStorageFull, "the disk is full")
			}
			return nil
		}}
		l, err := enginelog.Open(enginelog.NewStore(), opt, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := l.Engine.Put(t.Context(), []glassq.Task{{Queue: "q"}}); err != nil {
			t.Fatal(err)
		}
		full.Store(true)
		l.Engine.SetTight(true)
		type answer struct {
			leases []glassq.Lease
			err    error
		}
		got := make(chan answer, 1)
		go func() {
			leases, err := l.Engine.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Wait: time.Hour})
			got <- answer{leases, err}
		}()
		time.Sleep(time.Minute)
		full.Store(false)
		l.Engine.SetTight(false)
		began := time.Now()
		if a := <-got; a.err != nil || len(a.leases) != 1 || time.Since(began) > time.Minute {
			t.Errorf("the reserve = %d leases, %v, after %v; want the task when there is room", len(a.leases), a.err,
				time.Since(began))
		}
	})
}

// TestRunsMakeRoom: where there are as many runs as may be, those whose time is over make room for new
// ones.
func TestRunsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := enginelog.Open(enginelog.NewStore(), enginelog.Options{}, engine.Options{MaxRuns: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		e, ctx := l.Engine, t.Context()
		run := func(name string, want glassq.Code) {
			t.Helper()
			_, err := e.SetRun(ctx, name, glassq.RunChange{Sealed: true})
			if err == nil && want != "" || err != nil && glassq.CodeOf(err) != want {
				t.Errorf("run %s: %v; want code %q", name, err, want)
			}
		}
		run("a", "")
		run("b", "")
		run("c", glassq.CodeQuota)
		time.Sleep(glassq.RunKeptFor - time.Minute)
		run("c", glassq.CodeQuota)
		time.Sleep(2 * time.Minute)
		tasks := []glassq.Task{{Queue: "q", Run: "c"}, {Queue: "q", Run: "d"}, {Queue: "q", Run: "e"}}
		if _, err := e.Put(ctx, tasks); glassq.CodeOf(err) != glassq.CodeQuota {
			t.Errorf("three runs at once: %v; want quota", err)
		}
		if _, err := e.Put(ctx, tasks[:2]); err != nil {
			t.Errorf("two new runs: %v", err)
		}
		if runs, err := e.Runs(ctx); err != nil || len(runs) != 2 {
			t.Errorf("%d runs, %v; want the two new ones", len(runs), err)
		}
	})
}

// TestReadsAgain: a body that could not be read for a while, as for want of open files, does not keep
// its extent from being emptied later.
func TestReadsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		opt := enginelog.Options{Read: func() error {
			if fails.Load() {
				return errors.New("too many open files")
			}
			return nil
		}}
		l, err := enginelog.Open(enginelog.NewStore(), opt, engine.Options{CheckpointEvery: 4 << 10})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		e, ctx := l.Engine, t.Context()
		put := func(queue string) {
			if _, err := e.Put(ctx, []glassq.Task{{Queue: queue, Body: make([]byte, 1<<10)}}); err != nil {
				t.Fatal(err)
			}
		}
		put("keep") // one body stays in the first extent
		fails.Store(true)
		pass := func() {
			for range 50 {
				put("q")
				if _, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Take: true}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		pass()
		if first := l.Extents()[0].No; first != 0 {
			t.Fatalf("the log begins with extent %d, though a body in the first one does not read", first)
		}
		fails.Store(false)
		pass()
		if first := l.Extents()[0].No; first == 0 {
			t.Error("the first extent stays, though its body reads again")
		}
	})
}
