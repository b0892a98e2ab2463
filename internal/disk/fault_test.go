package disk_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal/waltest"
)

func putOne(t *testing.T, e *disk.Engine, body string) error {
	t.Helper()
	_, err := e.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte(body)}})
	return err
}

// TestFailedLog: whichever call of the disk fails, everyone who waits hears storage_failed and that
// the outcome is unknown, nothing is acked or handed out any more, no sync is tried again, and the
// next start has all that was answered OK.
func TestFailedLog(t *testing.T) {
	for _, tt := range []struct {
		op  string
		err error
	}{{"sync", syscall.EIO}, {"write", syscall.EIO}, {"write", syscall.ENOSPC}, {"sync", syscall.ENOSPC}} {
		t.Run(tt.op+" "+tt.err.Error(), func(t *testing.T) {
			var broken atomic.Bool
			var after atomic.Int64
			under := waltest.NewFS()
			fsys := waltest.Faulty(under, func(c waltest.Call) error {
				if broken.Load() && c.Op == tt.op && strings.HasPrefix(c.Name, "segment-") {
					after.Add(1)
					return tt.err
				}
				return nil
			})
			e, err := disk.Open("", disk.Options{FS: fsys, SegmentSize: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range []string{"one", "two"} {
				if err := putOne(t, e, body); err != nil {
					t.Fatal(err)
				}
			}
			held, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
			if err != nil || len(held) != 1 {
				t.Fatalf("reserve = %v, %v", held, err)
			}
			parked := make(chan error, 1)
			go func() {
				_, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "other", Max: 1, Wait: time.Hour})
				parked <- err
			}()
			broken.Store(true)
			err = putOne(t, e, "three")
			if glassq.CodeOf(err) != glassq.CodeStorage || !strings.Contains(err.Error(), "outcome is unknown") ||
				!errors.Is(err, tt.err) {
				t.Errorf("put on a broken disk = %v", err)
			}
			<-e.Failed()
			if err := <-parked; glassq.CodeOf(err) != glassq.CodeStorage {
				t.Errorf("a reserve that waited = %v, want storage_failed", err)
			}
			if _, err := e.Ack(t.Context(), []glassq.Ack{{Token: held[0].Token()}}); glassq.CodeOf(err) != glassq.CodeStorage {
				t.Errorf("ack afterwards = %v, want storage_failed", err)
			}
			if got, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1}); len(got) > 0 ||
				glassq.CodeOf(err) != glassq.CodeStorage {
				t.Errorf("reserve afterwards = %v, %v, want storage_failed", got, err)
			}
			if err := e.Close(); glassq.CodeOf(err) != glassq.CodeStorage {
				t.Errorf("close = %v, want storage_failed", err)
			}
			if n := after.Load(); n != 1 {
				t.Errorf("the broken file was asked %d times to %s, want once", n, tt.op)
			}
			e, err = disk.Open("", disk.Options{FS: under.Kill(), SegmentSize: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			infos, err := e.Queues(t.Context(), "q")
			if err != nil || infos[0].Ready+infos[0].Leased < 2 {
				t.Errorf("after the start: %+v, %v; want both tasks that were answered", infos, err)
			}
		})
	}
}

// TestBackgroundFault: a failure that nobody waits for, here of the seal after a roll, ends the
// engine too.
func TestBackgroundFault(t *testing.T) {
	const sealAt = 2048
	fsys := waltest.Faulty(waltest.NewFS(), func(c waltest.Call) error {
		if c.Op == "write" && c.Off == sealAt {
			return syscall.EIO
		}
		return nil
	})
	e, err := disk.Open("", disk.Options{FS: fsys, SegmentSize: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // past the first segment's end
		if putOne(t, e, strings.Repeat("x", 1000)) != nil {
			break
		}
	}
	<-e.Failed()
	e.Close()
}

// TestDiskFull: below the watermark puts are refused and all else goes on, down to the last byte of
// the disk; what is drained makes room, and puts are taken again without a restart.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 32 << 20
		d := waltest.Small(waltest.NewFS(), total)
		e, err := disk.Open("", disk.Options{FS: d, SegmentSize: 1 << 20, MinFree: disk.Watermark{Bytes: 8 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		body := strings.Repeat("b", 16000)
		put := 0
		for err = error(nil); err == nil; put++ {
			if err = putOne(t, e, body); put%20 == 0 {
				time.Sleep(time.Second) // a look at the disk
			}
		}
		put--
		if glassq.CodeOf(err) != glassq.CodeStorageFull || put < 500 {
			t.Fatalf("put %d = %v, want storage_full", put, err)
		}
		free, _, _ := d.Space()
		if free > 8<<20 || free < 5<<20 {
			t.Errorf("puts were refused with %d bytes free, want a little below the watermark", free)
		}
		if s, err := e.Stats(t.Context()); err != nil || s.Storage != glassq.StorageLow {
			t.Errorf("stats = %+v, %v; want storage low", s, err)
		}
		d.Others(free) // and now the disk is really full
		time.Sleep(2 * time.Second)
		done := 0
		for {
			got, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 10})
			if err != nil {
				t.Fatalf("reserve after %d acks: %v", done, err)
			}
			if len(got) == 0 {
				break
			}
			acks := make([]glassq.Ack, len(got))
			for i := range got {
				acks[i].Token = got[i].Token()
				acks[i].Result = &glassq.Task{Queue: "results", Body: []byte(`{"o":{"ok":1}}`)}
			}
			errs, err := e.Ack(t.Context(), acks)
			if err := errors.Join(append(errs, err)...); err != nil {
				t.Fatalf("ack with results after %d: %v", done, err)
			}
			done += len(got)
			time.Sleep(200 * time.Millisecond)
		}
		if done != put {
			t.Errorf("%d tasks drained of %d", done, put)
		}
		d.Others(0)
		for i := 0; ; i++ {
			time.Sleep(time.Second)
			if err = putOne(t, e, body); err == nil {
				break
			}
			if i == 60 {
				s, _ := e.Stats(t.Context())
				t.Fatalf("put a minute after the drain = %v; %+v", err, s)
			}
		}
		select {
		case <-e.Failed():
			t.Error("the engine failed")
		default:
		}
	})
}

func TestWatermark(t *testing.T) {
	for total, want := range map[int64]int64{64 << 20: 16 << 20, 8 << 30: 1 << 30, 100 << 30: 5 << 30} {
		if got := (disk.Watermark{}).Of(total); got != want {
			t.Errorf("default watermark of %d = %d, want %d", total, got, want)
		}
	}
}
