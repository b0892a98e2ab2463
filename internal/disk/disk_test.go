package disk_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/enginetest"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal"
	"github.com/glassq/glassq/internal/wal/waltest"
)

// system runs the engine over a file system in memory that can lose what was not synced.
type system struct {
	fs  *waltest.FS
	opt disk.Options
	e   *disk.Engine
}

func (s *system) open(t testing.TB) {
	t.Helper()
	s.opt.FS = s.fs
	e, err := disk.Open("", s.opt)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	s.e = e
}

func (s *system) Store() glassq.Store { return s.e }

func (s *system) Kill(t testing.TB) {
	t.Helper()
	old := s.e
	s.fs = s.fs.Kill()
	old.Close()
	s.open(t)
}

func (s *system) PowerCut(t testing.TB) {
	t.Helper()
	old := s.e
	s.fs = s.fs.CrashAll()
	old.Close()
	s.open(t)
}

func (s *system) Restart(t testing.TB) {
	t.Helper()
	if err := s.e.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	s.open(t)
}

func (s *system) Close(t testing.TB) {
	t.Helper()
	if err := s.e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func harness(opt disk.Options) enginetest.Harness {
	return enginetest.Harness{Open: func(t testing.TB) enginetest.System {
		s := &system{fs: waltest.NewFS(), opt: opt}
		s.open(t)
		return s
	}}
}

// TestLaws runs every law of an engine, and again with segments so small that checkpoints, rolls
// and removals happen all the time.
func TestLaws(t *testing.T) {
	var opt disk.Options
	if testing.Short() {
		opt.SegmentSize = 1 << 20 // the race detector takes minutes to clear and copy those of 64 MiB
	}
	t.Run("default", func(t *testing.T) { enginetest.Run(t, harness(opt)) })
	t.Run("small segments", func(t *testing.T) {
		enginetest.Run(t,
			harness(disk.Options{SegmentSize: 8 << 10, CacheBytes: 1}))
	})
}

// TestInterval: with puts alone, which wake nobody else, what was put is durable after the
// interval.
func TestInterval(t *testing.T) {
	for _, interval := range []time.Duration{0, 20 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &system{fs: waltest.NewFS(), opt: disk.Options{Sync: disk.SyncInterval, Interval: interval}}
			s.open(t)
			defer s.Close(t)
			if interval == 0 {
				interval = 100 * time.Millisecond
			}
			for i := range 5 {
				if _, err := s.e.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("a")}}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(i) * 7 * interval / 10)
			}
			if _, err := s.e.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("a")}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(interval)
			synctest.Wait()
			s.PowerCut(t)
			q, err := s.e.Queues(t.Context(), "q")
			if err != nil || q[0].Ready != 6 {
				t.Errorf("interval %v: a power cut left %+v, %v; want 6 ready", interval, q, err)
			}
		})
	}
}

// TestDelayAlone: a delayed put alone wakes who waits for it in time.
func TestDelayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &system{fs: waltest.NewFS()}
		s.open(t)
		defer s.Close(t)
		time.Sleep(time.Hour) // everybody sleeps
		start := time.Now()
		if _, err := s.e.Put(t.Context(), []glassq.Task{{Queue: "q", Delay: 10 * time.Millisecond}}); err != nil {
			t.Fatal(err)
		}
		l, err := s.e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Wait: time.Minute})
		if d := time.Since(start); err != nil || len(l) != 1 || d > 12*time.Millisecond {
			t.Errorf("reserve = %d leases, %v, after %v; want one after 10ms", len(l), err, d)
		}
	})
}

// TestSegmentsGo: segments whose tasks are all gone are deleted. The keeper works beside the
// callers, so it may be behind at any moment, but not for ever.
func TestSegmentsGo(t *testing.T) {
	e, err := disk.Open(t.TempDir(), disk.Options{Sync: disk.SyncNever, SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx := context.Background()
	body := make([]byte, 1<<10)
	for i := range 20_000 {
		if _, err := e.Put(ctx, []glassq.Task{{Queue: "q", Body: body}}); err != nil {
			t.Fatal(err)
		}
		if got, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Take: true}); err != nil || len(got) != 1 {
			t.Fatalf("reserve = %d leases, %v", len(got), err)
		}
		s, err := e.Stats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if i > 2000 && s.Disk.Segments <= 12 {
			return
		}
	}
	t.Error("20 MB went through an empty queue, and there were never 12 or fewer segments of 64 KiB again")
}

// TestDamage: the engine refuses to start on a log that lost bytes in its middle, and says where.
func TestDamage(t *testing.T) {
	fs := wal.MemFS()
	e, err := disk.Open("", disk.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := e.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("a body to be damaged")}}); err != nil {
			t.Fatal(err)
		}
	}
	names, err := fs.List()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := fs.Open(name)
		if err != nil || len(name) < 8 || name[:8] != "segment-" {
			continue
		}
		if _, err := f.WriteAt([]byte("XXXX"), 4096+200); err != nil {
			t.Fatal(err)
		}
	}
	left, _ := fs.List()
	for _, name := range left {
		if len(name) > 11 && name[:11] == "checkpoint-" {
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err = disk.Open("", disk.Options{FS: fs})
	if glassq.CodeOf(err) != glassq.CodeDamaged {
		t.Fatalf("open of a damaged log = %v; want code damaged", err)
	}
	t.Log(err)
}

func BenchmarkEngine(b *testing.B) {
	enginetest.Bench(b, func(b *testing.B) glassq.Store {
		e, err := disk.Open(b.TempDir(), disk.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { e.Close() })
		return e
	})
}
