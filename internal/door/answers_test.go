package door

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnswers: an answer that waits has the slowest reader cut after a second, and no other.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := NewAnswers(8<<20, slog.New(slog.NewTextHandler(&log, nil))) // 7 MiB for large ones
		begin := func(name string) (*Answer, *net.Conn) {
			here, there := net.Pipe()
			a := s.Begin(name, 1, func() { here.Close() })
			if !a.Try(3 << 20) {
				t.Fatalf("%s has no room", name)
			}
			go func() {
				a.Send(here, make([]byte, 3<<20))
				a.Done()
				here.Close()
			}()
			return a, &there
		}
		slow, _ := begin("slow")
		brisk, there := begin("brisk")
		read := make(chan struct{})
		go func() {
			defer close(read)
			buf := make([]byte, 100<<10)
			for range 20 {
				if _, err := io.ReadFull(*there, buf); err != nil {
					return
				}
				time.Sleep(moment / 2) // not a moment: a tick at the same time might come first
			}
		}()
		synctest.Wait()

		waits := s.Begin("waits", 1, nil)
		if waits.Try(2 << 20) {
			t.Fatal("there is room for three")
		}
		began := time.Now()
		if err := waits.Take(t.Context(), 2<<20); err != nil || !waits.Try(2<<20) {
			t.Fatalf("the one that waits: %v", err)
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("it waited for %v", d)
		}
		if !slow.Cut() || brisk.Cut() {
			t.Errorf("cut: the slow one %v, the brisk one %v", slow.Cut(), brisk.Cut())
		}
		if !strings.Contains(log.String(), "client=slow") {
			t.Errorf("logged: %q", log.String())
		}
		small := s.Begin("small", 1, nil)
		if !small.Try(4<<10) || s.Taken() != 5<<20 || !small.Try(20<<10) || s.small.Free() == s.small.size {
			t.Errorf("a small one takes %d of %d", s.Taken()-5<<20, s.small.size)
		}
		for _, a := range []*Answer{small, waits} {
			a.Done()
			a.Done()
		}
		synctest.Wait()
		(*there).Close()
		<-read
		synctest.Wait()
		if s.Taken() != 0 || len(s.all) != 0 {
			t.Errorf("%d bytes of %d answers are taken in the end", s.Taken(), len(s.all))
		}
	})
}

// TestAnswerAgain: an answer that begins anew is not slow by what was sent before.
func TestAnswerAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewAnswers(8<<20, slog.New(slog.DiscardHandler))
		a := s.Begin("again", 1, func() {})
		a.Try(1 << 10) // part of its connection
		a.Sends()
		a.Done()
		time.Sleep(time.Minute)
		if !a.Try(6 << 20) {
			t.Fatal("no room")
		}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		if err := s.Begin("waits", 1, nil).Take(ctx, 2<<20); err == nil || a.Cut() {
			t.Errorf("the one that waits: %v; cut before anything was sent: %v", err, a.Cut())
		}
	})
}

// TestAnswerBeyondAll: a body that was stored under a higher limit has all there is, and nothing
// beside it.
func TestAnswerBeyondAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewAnswers(8<<20, nil)
		a := s.Begin("a", 1, nil)
		if err := a.Take(t.Context(), 9<<20); err != nil || !a.Try(9<<20) || a.Try(1) {
			t.Fatalf("it waits: %v", err)
		}
		b := s.Begin("b", 1, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Take(ctx, 1<<20) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err == nil || s.large.Wanted() != 0 {
			t.Errorf("the other one has room: %v", err)
		}
		a.Done()
		if s.Taken() != 0 {
			t.Errorf("%d bytes are taken in the end", s.Taken())
		}
	})
}

func TestShare(t *testing.T) {
	for _, tt := range []struct {
		name    string
		limit   int64
		maxBody int
		most    int64 // MiB of all
	}{
		{"no limit", 0, 0, 256 + 128 + 256 + 64},
		{"least", LeastMemory, 0, 140},
		{"300 MiB", 300 << 20, 0, 150},
		{"1 GiB", 1 << 30, 0, 512},
		{"small bodies", LeastMemory, 1 << 20, 140},
		{"large bodies", LeastMemory, 32 << 20, 190},
	} {
		m := Share(tt.limit, tt.maxBody)
		if all := (m.Bodies + m.Parked + m.Answers + m.Cache) >> 20; all > tt.most {
			t.Errorf("%s: %d MiB are shared out: %+v; want at most %d", tt.name, all, m, tt.most)
		}
		a := NewAnswers(m.Answers, nil).Begin("", 2, nil)
		if !a.Try(int64(max(tt.maxBody, 16<<20))) {
			t.Errorf("%s: no room for one body", tt.name)
		}
		if in := NewIntake(m.Bodies); in.large.common <= 0 {
			t.Errorf("%s: no room for one request", tt.name)
		}
	}
}
