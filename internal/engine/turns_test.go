package engine

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurns: many wait for frames, some for them to be written, for room, or for the right to
// commit. All of them go on, nobody before its frame is as far, no two commit at once, and no more
// frames than the window are with the log. With a window of one the log answers within the commit,
// with a larger one later.
func TestTurns(t *testing.T) {
	for _, window := range []int{1, 2, 4} {
		t.Run(fmt.Sprint("window ", window), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testTurns(t, window) })
		})
	}
}

func testTurns(t *testing.T, window int) {
	var u turns
	u.init(window)
	var mu sync.Mutex // guards open and so on, as Engine.mu does
	open, committed, leaders, flying := uint64(1), uint64(0), 0, 0
	given := make(chan uint64, window)
	land := func(n uint64) {
		u.wrote(n)
		mu.Lock()
		committed = n
		flying--
		mu.Unlock()
		u.did(n)
	}
	var log sync.WaitGroup
	if window > 1 {
		log.Go(func() {
			for n := range given {
				land(n)
			}
		})
	}
	commit := func() {
		mu.Lock()
		if leaders++; leaders != 1 {
			t.Error("two commit at once")
		}
		if flying++; flying > window {
			t.Errorf("%d frames are with the log", flying)
		}
		n := open
		open++
		u.taken(n)
		leaders--
		mu.Unlock()
		if window > 1 {
			given <- n
		} else {
			land(n)
		}
	}
	var wg sync.WaitGroup
	for c := range 32 {
		wg.Go(func() {
			for range 200 {
				mu.Lock()
				n := open
				mu.Unlock()
				switch c % 8 {
				case 0:
					u.room(n, commit)
					continue
				case 1:
					u.lead()
					u.pass()
					continue
				case 2:
					if err := u.waitWritten(n, commit); err != nil {
						t.Error(err)
					}
					continue
				case 3:
					u.leadAlone()
					mu.Lock()
					if flying != 0 {
						t.Errorf("%d frames are with the log, and somebody is alone", flying)
					}
					mu.Unlock()
					u.pass()
					continue
				}
				if err := u.wait(n, commit); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if committed < n {
					t.Errorf("the wait for frame %d ended when %d were committed", n, committed)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait() // the bubble ends with a panic if somebody waits for ever
	close(given)
	log.Wait()

	// One frame is with the log and fails; the one after it is being filled.
	lost, bad := errors.New("lost"), errors.New("bad log")
	u.leadAlone() // so that nobody who waits now commits
	n := open
	u.taken(n)
	for range 4 {
		wg.Go(func() {
			if err := u.wait(n, commit); err != lost {
				t.Errorf("wait for a lost frame = %v", err)
			}
		})
		wg.Go(func() {
			if err := u.wait(n+1, commit); err != bad {
				t.Errorf("wait for a frame on a failed log = %v", err)
			}
			u.room(n+1, commit)
		})
	}
	synctest.Wait()
	u.fail(bad)
	synctest.Wait()
	u.lost(n, lost)
	wg.Wait()
}

// TestTurnsTogether: callers that come back as soon as they are answered share their commits, and do
// not fall into two halves that take turns. Without anybody to wait for, a caller commits at once.
func TestTurnsTogether(t *testing.T) {
	const callers, times = 6, 50
	synctest.Test(t, func(t *testing.T) {
		var u turns
		u.init(1)
		var mu sync.Mutex
		open := uint64(1)
		commit := func() {
			mu.Lock()
			n := open
			open++
			u.taken(n)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			u.did(n)
		}
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				time.Sleep(time.Duration(c) * 300 * time.Microsecond) // the first commits have some of them each
				for range times {
					mu.Lock()
					n := open
					mu.Unlock()
					if err := u.wait(n, commit); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if most := uint64(times + 10); open > most {
			t.Errorf("%d commits for %d calls of %d callers, want at most %d", open-1, callers*times, callers, most)
		}
	})
}
