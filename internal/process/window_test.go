package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq/worker"
)

// A window follows the mean of the latest answers, and the bytes of the lines.
func TestShare(t *testing.T) {
	const fast = 20 * time.Microsecond
	for _, tt := range []struct {
		name        string
		took        func(i int) time.Duration // of answer i
		size, n     int
		least, most int // of the window after the last of n
	}{
		{"nothing yet", nil, 100, 0, 1, 1},
		{"a few fast answers", func(int) time.Duration { return fast }, 100, 10, 1, 2},
		{"fast answers", func(int) time.Duration { return fast }, 100, 60, mostAhead, mostAhead},
		{"answers without time", func(int) time.Duration { return 0 }, 100, 500, mostAhead, mostAhead},
		{"the first slow, as of a program that starts", func(i int) time.Duration {
			return []time.Duration{time.Second,
				fast}[min(i, 1)]
		}, 100, 120, mostAhead, mostAhead},
		{"the first slow, soon after", func(i int) time.Duration { return []time.Duration{time.Second, fast}[min(i, 1)] },
			100, 30, 1, 1},
		{"a millisecond each", func(int) time.Duration { return time.Millisecond }, 100, 100, 4, 5},
		{"3 ms each", func(int) time.Duration { return 3 * time.Millisecond }, 100, 100, 1, 1},
		{"minutes each", func(int) time.Duration { return 10 * time.Minute }, 100, 100, 1, 1},
		{"fast, then one slow", func(i int) time.Duration { return []time.Duration{fast, time.Second}[i/99] }, 100, 100, 1,
			1},
		{"every twentieth slow", func(i int) time.Duration {
			if i%20 == 0 {
				return 200 * time.Millisecond
			}
			return fast
		}, 100, 200, 1, 1},
		{"fast, and a turn of the processor lost", func(i int) time.Duration {
			return []time.Duration{fast,
				4 * time.Millisecond}[i/99]
		}, 100, 100, 8, mostAhead},
		{"large lines", func(int) time.Duration { return fast }, 1 << 20, 100, 1, 1},
		{"lines of 5 KiB", func(int) time.Duration { return fast }, 5 << 10, 100, 6, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s share
			s.begin()
			for i := range tt.n {
				s.answered(tt.took(i), tt.size)
			}
			if s.window < tt.least || s.window > tt.most {
				t.Errorf("the window is %d lines, mean %v and %d bytes; want %d to %d", s.window, s.mean, s.size, tt.least, tt.most)
			}
		})
	}
}

// enters checks whom windows give the next lines to, and whether there may be more room after the
// last.
func enters(t *testing.T, w *windows, more bool, want ...int) {
	t.Helper()
	var got int
	var room bool
	for i, c := range want {
		if got, room = w.enter(); got != c {
			t.Fatalf("line %d goes to child %d, want %d", i, got, c)
		}
	}
	if room != more {
		t.Errorf("room for another: %v, want %v", room, more)
	}
}

// widen sets a child's window.
func (w *windows) widen(c, lines int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.change(c, func(s *share) { s.window, s.mean = lines, aheadFor/time.Duration(lines) })
}

func (w *windows) check(t *testing.T) {
	t.Helper()
	room, total := 0, 0
	for i := range w.of {
		room += w.of[i].free()
		total += w.of[i].window
	}
	if room != w.room || total != w.total || w.places() != total {
		t.Errorf("room for %d lines of %d, counted as %d of %d", room, total, w.room, w.total)
	}
}

func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindows(3)
		woken := 0
		w.wake = func() { woken++ }
		enters(t, w, false, 0, 1, 2, -1)
		w.widen(0, 4)
		w.widen(1, 2)
		enters(t, w, true, 0, 1, 0)
		time.Sleep(aheadFor)
		enters(t, w, true, -1) // nobody is put behind a slow task
		line := func(took time.Duration) *asked { return &asked{took: took, size: 100} }
		if !w.answered(0, line(aheadFor/4), time.Now()) {
			t.Error("a child that has room again for more than the line it answered wakes nobody")
		}
		enters(t, w, false, 0, 0)
		w.check(t)

		// It answers in time, the others do not.
		for range 4 {
			w.answered(0, line(0), time.Now())
		}
		enters(t, w, true, 0)
		w.answered(1, line(time.Second), time.Now())
		if got := w.of[1].window; got != 1 {
			t.Errorf("after a slow task the window is %d, want 1", got)
		}
		w.answered(1, line(0), time.Now())
		enters(t, w, true, 1, 0) // the idle one first
		w.check(t)

		// An idle child that has died is asked last.
		w.answered(0, line(0), time.Now())
		w.answered(0, line(0), time.Now())
		w.answered(1, line(0), time.Now())
		w.answered(2, line(0), time.Now())
		before := woken
		w.ended(2, nil)
		if woken != before+1 {
			t.Error("the end of a child wakes nobody")
		}
		enters(t, w, true, 1, 0, 2)
		w.check(t)

		// A line that nobody waits for keeps its place until it is answered.
		a := line(0)
		w.abandon(a)
		if !w.answered(2, a, time.Now()) {
			t.Error("the answer to a line that nobody waits for wakes nobody")
		}
		w.back(1)
		if got := fmt.Sprint(w.over(false), w.over(false), w.over(true), w.over(true)); got != "[1 2] [] [0] []" {
			t.Errorf("children that get no more lines: %s; want those that have none, then all, each once", got)
		}
		w.check(t)
	})
}

// fill gives the one child of p lines that it does not answer, until it has n of them, and returns
// where their ends come.
func fill(ctx context.Context, t *testing.T, wg *sync.WaitGroup, p *Pipe, n int) chan error {
	t.Helper()
	results := make(chan error, n)
	for i := range n {
		if i > 0 {
			p.windows.mu.Lock()
			p.windows.of[0].since = time.Now().Add(time.Hour) // it is not slow, whatever the time is
			p.windows.mu.Unlock()
		}
		wg.Go(func() {
			_, err := give(ctx, p.handlers[i], "hang", 1)
			results <- err
		})
		for p.children[0].busy() < i+1 { // they are out in this order
		}
	}
	return results
}

// A child whose window has grown dies: one attempt counts, and the next process begins with one
// line.
func TestPipeAdaptiveDeath(t *testing.T) {
	p, _ := newPipe(t, PipeOptions{}, "normal")
	if p.Concurrency() != mostAhead || (gate{p}).Places() != 1 {
		t.Fatalf("%d handlers and %d places for a child, want %d and 1", p.Concurrency(), gate{p}.Places(), mostAhead)
	}
	p.windows.widen(0, mostAhead)
	var wg sync.WaitGroup
	results := fill(t.Context(), t, &wg, p, mostAhead)
	if ok, _ := (gate{p}).Enter(0); ok {
		t.Error("a child gets more lines than its window has")
	}
	p.children[0].proc.cmd.Process.Kill()
	wg.Wait()
	counted := 0
	for range mostAhead {
		nack, ok := errors.AsType[*worker.NackError](<-results)
		if !ok {
			t.Fatal("a task of a killed child is not given back")
		}
		if !nack.Undone {
			counted++
		}
	}
	if counted != 1 || (gate{p}).Places() != 1 {
		t.Errorf("%d attempts counted and %d places for its successor, want 1 of each", counted, gate{p}.Places())
	}
	if got, err := give(t.Context(), p.handlers[3], "ok", 1); err != nil {
		t.Errorf("another took its place and said %s, %v", got, err)
	}
	p.windows.check(t)
	for _, h := range p.handlers {
		closeHandler(t, h)
	}
}

// Lines that nobody waits for any more keep their places; the end of the worker ends the child all
// the same.
func TestPipeAdaptiveAbandon(t *testing.T) {
	log := &safe{}
	p, _ := newPipe(t, PipeOptions{Children: 2, Stderr: log}, "normal")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	results := fill(ctx, t, &wg, p, 1)
	cancel()
	wg.Wait()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("Handle with its context ended = %v", err)
	}
	if got, err := give(t.Context(), p.handlers[0], "ok there", 1); err != nil || !strings.Contains(got, "there") {
		t.Errorf("the other child said %s, %v", got, err)
	}
	p.Kill() // the first hangs
	for _, h := range p.handlers {
		closeHandler(t, h)
	}
	if p.children[0].proc != nil || p.children[1].proc != nil {
		t.Error("a child has outlived all handlers")
	}
}

// With a handler that has no task left, the children that have none end; those at work are left
// alone.
func TestPipeAdaptiveClose(t *testing.T) {
	p, _ := newPipe(t, PipeOptions{Children: 2, Stderr: io.Discard}, "normal")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	fill(ctx, t, &wg, p, 1)
	if _, err := give(t.Context(), p.handlers[5], "ok", 1); err != nil {
		t.Fatal(err)
	}
	closeHandler(t, p.handlers[5])
	if p.children[1].proc != nil || p.children[0].busy() != 1 {
		t.Error("want the idle child ended, and the other at its task")
	}
	cancel()
	wg.Wait()
	p.Kill()
	for i, h := range p.handlers {
		if i != 5 {
			closeHandler(t, h)
		}
	}
}
