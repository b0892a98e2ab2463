package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

// TestStoresOfReleases opens a copy of the store of each release, and one that is written now: all
// that was in it is there, and is handed out.
func TestStoresOfReleases(t *testing.T) {
	stores, err := filepath.Glob(filepath.Join("testdata", "*"))
	if err != nil || len(stores) == 0 {
		t.Fatalf("no stores in testdata (%v)", err)
	}
	for _, store := range stores {
		t.Run(filepath.Base(store), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.CopyFS(dir, os.DirFS(store)); err != nil {
				t.Fatal(err)
			}
			check(t, dir)
		})
	}
	t.Run("now", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		if err := write(dir); err != nil {
			t.Fatal(err)
		}
		check(t, dir)
	})
}

func check(t *testing.T, dir string) {
	ctx := t.Context()
	for _, life := range []string{"first start", "second start"} {
		e, err := disk.Open(dir, disk.Options{})
		if err != nil {
			t.Fatalf("%s: %v", life, err)
		}
		infos, err := e.Queues(ctx, queue)
		if err != nil {
			t.Fatal(err)
		}
		q := infos[0]
		if q.Ready != tasks-acked-failed-dead || q.Delayed != delayed || q.Dead != dead || q.Leased != 0 {
			t.Errorf("%s: %d ready, %d delayed, %d dead, %d leased", life, q.Ready, q.Delayed, q.Dead, q.Leased)
		}
		s := q.Settings
		if s.MaxBytes != settings.MaxBytes || s.Attempts != settings.Attempts || s.MaxTasks != settings.MaxTasks {
			t.Errorf("%s: settings %+v", life, s)
		}
		r, err := e.Run(ctx, run)
		if err != nil {
			t.Fatal(err)
		}
		want := glassq.Books{Put: tasks, OK: acked, Failed: failed, Dead: glassq.DeadCounts{Nacked: dead}}
		if r.Books != want || r.Source != "list:1" || r.Results != "answers" || r.Waiting != acked+failed {
			t.Errorf("%s: run %+v", life, r)
		}
		page, _, err := e.Peek(ctx, queue, glassq.Dead, 0, 100)
		if err != nil || len(page) != dead || page[0].Reason != "no such person" {
			t.Errorf("%s: dead tasks %+v, %v", life, page, err)
		}
		checkFlow(t, e)
		if life == "second start" {
			leases, err := e.Reserve(ctx, glassq.Reserve{Queue: queue, Max: tasks})
			if err != nil || len(leases) != tasks-acked-failed-dead {
				t.Errorf("%d leases, %v", len(leases), err)
			}
			for i := range leases {
				l := &leases[i]
				n := acked + failed + dead + i
				if string(l.Body) != body(n) || l.Position != uint32(n) || l.Type != glassq.TypeText || l.Attempt != 1 ||
					len(l.Headers) != 1 {
					t.Errorf("lease %d: %+v", i, l)
				}
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkFlow(t *testing.T, e *disk.Engine) {
	t.Helper()
	ctx := t.Context()
	keys, err := e.Keys(ctx, keyed, "", 10)
	if err != nil || len(keys) != 2 || keys[0].Key != "b" || keys[0].Concurrency != 2 || keys[1].Key != "vip1" ||
		keys[1].Concurrency != 5 {
		t.Errorf("keys %+v, %v", keys, err)
	}
	if infos, err := e.Queues(ctx, keyed); err != nil || infos[0].Settings.Halt != halt {
		t.Errorf("settings %+v, %v", infos, err)
	}
	page, _, err := e.Peek(ctx, keyed, glassq.Delayed, 0, 10)
	if err != nil || len(page) != 1 || page[0].Progress == nil || page[0].Progress.Done != said.Done ||
		page[0].Progress.Note != said.Note || page[0].Progress.Size != len(said.Checkpoint) || page[0].Attempt != 1 {
		t.Errorf("the task of which something was said: %+v, %v", page, err)
	}
	r, err := e.Run(ctx, next)
	if err != nil || r.After != run || !r.Held || r.OnEnd != follows.OnEnd || r.Books.Put != position.Range.Count {
		t.Errorf("run %+v, %v", r, err)
	}
	page, _, err = e.Peek(ctx, next, glassq.Delayed, 0, 1)
	if err != nil || len(page) != 1 || string(page[0].Body) != "to person 0000" {
		t.Errorf("a position of a range: %+v, %v", page, err)
	}
	all, err := e.Schedules(ctx)
	if err != nil || len(all) != 1 || all[0].Name != clock || all[0].Cron != ofYear.Cron || all[0].Zone != ofYear.Zone ||
		all[0].Task != ofYear.Task || !all[0].Paused {
		t.Errorf("schedules %+v, %v", all, err)
	}
}
