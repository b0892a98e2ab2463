package enginelog_test

import (
	"bytes"
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

// TestRoomAgain: a reserve that waits while the log has no room for a hand-out gets its task when it
// has some again.
func TestRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := false
		opt := enginelog.Options{Room: func() error {
			if full {
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
		full = true
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
		full = false
		l.Engine.SetTight(false)
		began := time.Now()
		if a := <-got; a.err != nil || len(a.leases) != 1 || time.Since(began) > time.Minute {
			t.Errorf("the reserve = %d leases, %v, after %v; want the task when there is room", len(a.leases), a.err,
				time.Since(began))
		}
	})
}
