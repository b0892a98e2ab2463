package disk

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/wal"
	"github.com/glassq/glassq/internal/wal/waltest"
)

// TestLongLivedTask: a task that nobody takes does not keep the segments alive through which others
// passed, and reads as it was after all its moves and a restart.
func TestLongLivedTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, ctx := wal.MemFS(), t.Context()
		e := open(t, "", Options{FS: fs, SegmentSize: 64 << 10})
		for i := range 3000 {
			tasks := []glassq.Task{{Queue: "q", Body: make([]byte, 1<<10)}}
			if i%500 == 0 {
				tasks = append(tasks, glassq.Task{Queue: "kept", ID: fmt.Sprint("long", i), Body: fmt.Append(nil, "stays ", i)})
			}
			if _, err := e.Put(ctx, tasks); err != nil {
				t.Fatal(err)
			}
			if got, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Take: true}); err != nil || len(got) != 1 {
				t.Fatalf("reserve = %d leases, %v", len(got), err)
			}
			if i%50 == 0 {
				time.Sleep(time.Second) // of the bubble: the keeper gets its turn
			}
		}
		time.Sleep(time.Minute)
		if s, err := e.Stats(ctx); err != nil || s.Disk.Segments > 12 {
			t.Errorf("3 MB went through and 6 tasks stay: %d segments of 64 KiB, %v", s.Disk.Segments, err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = open(t, "", Options{FS: fs, SegmentSize: 64 << 10})
		defer e.Close()
		got, err := e.Reserve(ctx, glassq.Reserve{Queue: "kept", Max: 10})
		if err != nil || len(got) != 6 {
			t.Fatalf("%d of 6 tasks are there, %v", len(got), err)
		}
		for i, l := range got {
			if l.ID != fmt.Sprint("long", i*500) || string(l.Body) != fmt.Sprint("stays ", i*500) || l.Attempt != 1 ||
				l.Age < time.Minute {
				t.Errorf("task %d = %s %q, attempt %d, age %v", i, l.ID, l.Body, l.Attempt, l.Age)
			}
		}
	})
}

// TestFallsBackAfterRemoval: when the newest checkpoint does not read, the one before it and the
// log after that are enough, however many segments went meanwhile. A store that is closed writes a
// checkpoint, so the older of the two is then recent: only a killed one needs what the newer
// checkpoint could do without.
func TestFallsBackAfterRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, ctx := waltest.NewFS(), t.Context()
		opt := Options{FS: fs, SegmentSize: 16 << 10}
		e := open(t, "", opt)
		for i := range 600 {
			tasks := []glassq.Task{{Queue: "q", Body: make([]byte, 512)}}
			if i%10 == 0 {
				tasks = append(tasks, glassq.Task{Queue: "kept", Body: fmt.Append(nil, "stays ", i)})
			}
			if _, err := e.Put(ctx, tasks); err != nil {
				t.Fatal(err)
			}
			if got, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1, Take: true}); err != nil || len(got) != 1 {
				t.Fatalf("reserve = %d leases, %v", len(got), err)
			}
			if i%20 == 0 {
				time.Sleep(time.Second) // of the bubble: the keeper gets its turn
			}
			if i%60 != 59 {
				continue
			}
			if i%180 == 179 {
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				after := fs.Image().Kill()
				fs.CrashAfter(0)
				e.Close()
				fs, opt.FS = after, after
			}
			names, err := fs.List()
			if err != nil {
				t.Fatal(err)
			}
			newest := ""
			for _, n := range names {
				if strings.HasPrefix(n, "checkpoint-") && !strings.HasSuffix(n, ".tmp") && n > newest {
					newest = n
				}
			}
			flip(t, fs, newest)
			e = open(t, "", opt)
		}
		defer e.Close()
		got, err := e.Reserve(ctx, glassq.Reserve{Queue: "kept", Max: 100})
		if err != nil || len(got) != 60 {
			t.Fatalf("%d of 60 tasks are there, %v", len(got), err)
		}
		for i, l := range got {
			if string(l.Body) != fmt.Sprint("stays ", i*10) {
				t.Errorf("task %d = %q", i, l.Body)
			}
		}
		if left, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 10}); err != nil || len(left) > 0 {
			t.Errorf("%d tasks that were taken came back, %v", len(left), err)
		}
	})
}

// flip damages the byte in the middle of a file.
func flip(t *testing.T, fs wal.FS, name string) {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, size/2); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b, size/2); err != nil {
		t.Fatal(err)
	}
}

// TestNackedForEver: a task that is handed out and given back again and again does not grow the log
// without end.
func TestNackedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := open(t, "", Options{FS: wal.MemFS(), SegmentSize: 16 << 10})
		defer e.Close()
		if _, err := e.Put(ctx, []glassq.Task{{Queue: "q", Body: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		for i := range 10_000 {
			got, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1})
			if err != nil || len(got) != 1 {
				t.Fatalf("reserve %d = %d leases, %v", i, len(got), err)
			}
			if _, err := e.Extend(ctx, []glassq.Extend{{Token: got[0].Token(), Lease: time.Hour}}); err != nil {
				t.Fatal(err)
			}
			if errs, err := e.Nack(ctx, []glassq.Nack{{Token: got[0].Token(), Undone: true}}); err != nil || errs[0] != nil {
				t.Fatal(errs, err)
			}
			if i%20 == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Minute)
		if s, err := e.Stats(ctx); err != nil || s.Disk.Segments > 12 || s.Bytes < 10*16<<10 {
			t.Errorf("%d bytes of hand-outs left %d segments of 16 KiB, %v", s.Bytes, s.Disk.Segments, err)
		}
	})
}

// TestLongIDsRest: a log in which nothing but small tasks with long ids lives is not moved again and again:
// what their ids take lives too.
func TestLongIDsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		opt := Options{FS: wal.MemFS(), SegmentSize: 64 << 10}
		e := open(t, "", opt)
		for i := range 200 {
			tasks := make([]glassq.Task, 20)
			for k := range tasks {
				tasks[k] = glassq.Task{Queue: "q", ID: fmt.Sprintf("%0100d", 20*i+k), Body: []byte("x")}
			}
			if _, err := e.Put(ctx, tasks); err != nil {
				t.Fatal(err)
			}
		}
		for _, when := range []string{"at first", "after a start"} { // when a checkpoint says nothing of ids
			time.Sleep(time.Minute)
			before, err := e.Stats(ctx)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			after, err := e.Stats(ctx)
			if grown := after.Bytes - before.Bytes; err != nil || grown > 64<<10 {
				t.Errorf("%s a log of %d bytes that nobody uses has grown by %d in ten seconds, %v", when, before.Disk.Bytes, grown, err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = open(t, "", opt)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
