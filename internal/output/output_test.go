package output

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/report"
)

func TestRunFromBeforeItExistsToDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		var out bytes.Buffer
		var rep Report
		var err error
		done := make(chan struct{})
		said := make(chan string, 10)
		go func() {
			defer close(done)
			rep, err = Run(t.Context(), q, Options{Run: "r1", W: &out, Notify: func(s string) { said <- s }})
		}()
		time.Sleep(25 * time.Minute) // longer than two parked calls
		if s := <-said; s != "waiting for run r1, which does not exist yet" || len(said) != 0 {
			t.Errorf("said %q, and %d more; want that the run is waited for, once", s, len(said))
		}
		q.change(func() { q.run = &glassq.Run{Name: "r1", Results: "results.r1"} })
		for n := range uint32(10) {
			q.add(n, fmt.Sprintf(`{"i":"x","o":{"ok":%d,"rt":0.01,"err":"timeout"}}`, min(n, 1)))
		}
		q.add(3, `{"o":{"ok":1}}`) // again
		time.Sleep(time.Hour)
		q.change(func() {
			q.run.Sealed, q.run.Total = true, 10
			q.run.Books = glassq.Books{Put: 10, OK: 9, Failed: 1}
			q.done = []glassq.Interval{{First: 0, Last: 9}}
		})
		<-done
		if err != nil {
			t.Fatalf("Run = %v, want nil", err)
		}
		if rep.Written != 10 || rep.Duplicates != 1 || rep.Missing != 0 || rep.OK != 9 || rep.Failed != 1 || !rep.Balanced() {
			t.Errorf("report = %+v, want 10 written, 1 duplicate, 9 ok, 1 failed, balanced", rep)
		}
		if len(rep.Errors) != 1 || rep.Errors[0] != (report.ErrorCount{Class: "timeout", Count: 1}) {
			t.Errorf("errors = %v, want one timeout", rep.Errors)
		}
		if len(q.acked) != 11 || strings.Count(out.String(), "\n") != 10 {
			t.Errorf("acked %d, lines %d; want 11 and 10", len(q.acked), strings.Count(out.String(), "\n"))
		}
		if q.calls > 40 {
			t.Errorf("%d calls in 85 minutes: that is polling", q.calls)
		}
	})
}

func TestRunInterrupted(t *testing.T) {
	for _, run := range []string{"", "r1"} {
		t.Run("run "+run, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFake()
				q.run = &glassq.Run{Name: "r1", Results: "results.r1", Books: glassq.Books{Put: 5, OK: 2}}
				q.done = []glassq.Interval{{First: 0, Last: 2}}
				q.add(0, `{}`)
				q.add(1, `{}`)
				ctx, cancel := context.WithCancel(t.Context())
				var out bytes.Buffer
				go func() { time.Sleep(time.Second); cancel() }()
				rep, err := Run(ctx, q, Options{Run: run, Queue: "results.r1", W: &out})
				want := error(nil)
				if run != "" {
					want = context.Canceled
				}
				if !errors.Is(err, want) || rep.Written != 2 || len(q.leased) != 0 {
					t.Errorf("Run = %+v, %v, %d leased; want 2 written, %v, none leased", rep, err, len(q.leased), want)
				}
				if run != "" && (rep.Missing != 1 || rep.Balanced()) {
					t.Errorf("missing = %d, balanced %v; want 1, false", rep.Missing, rep.Balanced())
				}
			})
		})
	}
}

// A limitWriter takes so many writes and then fails.
type limitWriter struct {
	bytes.Buffer
	left int
}

var errFull = errors.New("no space left on device")

func (w *limitWriter) Write(p []byte) (int, error) {
	if w.left == 0 {
		n, _ := w.Buffer.Write(p[:len(p)/2])
		return n, errFull
	}
	w.left--
	return w.Buffer.Write(p)
}

func TestWriteErrorAcksOnlyWhatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		q.run = &glassq.Run{Name: "r1", Results: "results.r1", Books: glassq.Books{Put: 100, OK: 100}}
		q.done = []glassq.Interval{{First: 0, Last: 99}}
		for n := range uint32(100) {
			q.add(n, `{"o":{"ok":1}}`)
		}
		w := &limitWriter{left: 3}
		rep, err := Run(t.Context(), q, Options{Run: "r1", W: w, Batch: 10})
		if !errors.Is(err, errFull) || len(q.acked) != 30 || rep.Written != 30 || rep.Missing != 70 {
			t.Errorf("Run = %+v, %v, %d acked; want 30 written and acked, 70 missing, %v", rep, err, len(q.acked), errFull)
		}
		if len(q.leased) != 0 || len(q.ready) != 70 {
			t.Errorf("%d leased, %d ready; want 0 and 70: whoever comes next need not wait for leases to end", len(q.leased),
				len(q.ready))
		}
		seen, valid, err := LoadSeen(bytes.NewReader(w.Bytes()), LoadOptions{Run: "r1"})
		if err != nil || seen.Count("r1") < 30 || valid > int64(w.Len()) {
			t.Errorf("LoadSeen = %d, %d, %v; want at least the 30 that were acked", seen.Count("r1"), valid, err)
		}
	})
}

func TestSyncComesBeforeAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		q.run = &glassq.Run{Name: "r1", Results: "results.r1"}
		q.add(0, `{}`)
		errSync := errors.New("sync")
		_, err := Run(t.Context(), q, Options{Run: "r1", W: new(bytes.Buffer), Sync: func() error { return errSync }})
		if !errors.Is(err, errSync) || len(q.acked) != 0 || len(q.leased) != 0 {
			t.Errorf("Run = %v, %d acked, %d leased; want %v, 0, 0", err, len(q.acked), len(q.leased), errSync)
		}
	})
}

func TestReserveErrorEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		q.run = &glassq.Run{Name: "r1", Results: "results.r1"}
		q.fail = glassq.ErrClosed
		if _, err := Run(t.Context(), q, Options{Run: "r1"}); !errors.Is(err, glassq.ErrClosed) {
			t.Errorf("Run = %v, want ErrClosed", err)
		}
	})
}

func TestContinuedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		q.run = &glassq.Run{Name: "r1", Results: "results.r1", Sealed: true, Total: 4, Books: glassq.Books{Put: 4, OK: 4}}
		q.done = []glassq.Interval{{First: 0, Last: 3}}
		q.add(2, `{}`)
		q.add(1, `{}`)
		file := "{\"id\":\"r1/0\",\"run\":\"r1\"}\n{\"id\":\"r1/1\",\"run\":\"r1\"}\n{\"id\":\"r1/3\",\"ru"
		seen, valid, err := LoadSeen(strings.NewReader(file), LoadOptions{Run: "r1"})
		if err != nil || valid != 50 || seen.Count("r1") != 2 {
			t.Fatalf("LoadSeen = %d seen, %d, %v; want 2, 50", seen.Count("r1"), valid, err)
		}
		var last Summary
		rep, err := Run(t.Context(), q, Options{Run: "r1", W: new(bytes.Buffer), Seen: seen,
			Progress: func(s Summary) { last = s }})
		if want := "3 results  ok 3  failed 0  duplicate 1\n  of all calls together; this one added 1"; last.Line() != want {
			t.Errorf("last summary = %q, want %q", last.Line(), want)
		}
		if err != nil || rep.Before != 2 || rep.Written != 1 || rep.Duplicates != 1 || rep.Missing != 1 ||
			len(rep.MissingIDs) != 1 || rep.MissingIDs[0] != (glassq.Interval{First: 3, Last: 3}) {
			t.Errorf("Run = %+v, %v; want 2 before, 1 written, 1 duplicate, missing 3", rep, err)
		}
	})
}

// TestResultsShareSyncs: lines are written as they come; their syncs and acks are shared while many
// come.
func TestResultsShareSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		ctx, cancel := context.WithCancel(t.Context())
		var w bytes.Buffer
		syncs := 0
		end := make(chan error, 1)
		go func() {
			_, err := Run(ctx, q, Options{Queue: "results.r1", W: &w, Sync: func() error { syncs++; return nil }})
			end <- err
		}()
		for n := range uint32(20) {
			time.Sleep(time.Millisecond)
			q.add(n, `{"i":"x","o":{"ok":1}}`)
			synctest.Wait()
			if lines := bytes.Count(w.Bytes(), []byte("\n")); lines != int(n)+1 {
				t.Fatalf("%d lines are written of %d results", lines, n+1)
			}
		}
		time.Sleep(syncGap)
		synctest.Wait()
		if len(q.acked) != 20 || syncs > 20/5+2 {
			t.Errorf("%d results are acked in %d syncs; want 20 in at most %d", len(q.acked), syncs, 20/5+2)
		}
		cancel()
		if err := <-end; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}
