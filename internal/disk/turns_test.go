package disk

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// TestTurns: many wait for frames, some for them to be written, for room, or for the right to commit. All of
// them go on, nobody before its frame is as far, and no two commit at once.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u turns
		u.init()
		var mu sync.Mutex // guards open, as Engine.mu does
		open, committed, leaders := uint64(1), uint64(0), 0
		commit := func() {
			mu.Lock()
			if leaders++; leaders != 1 {
				t.Error("two commit at once")
			}
			n := open
			open++
			u.taken(n)
			mu.Unlock()
			u.wrote(n)
			mu.Lock()
			committed = n
			leaders--
			mu.Unlock()
			u.did(n)
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

		bad := errors.New("bad disk")
		u.lead() // so that whoever waits now does not commit
		for range 4 {
			wg.Go(func() {
				if err := u.wait(open, commit); err != bad {
					t.Errorf("wait on a failed log = %v", err)
				}
				u.room(open, commit)
			})
		}
		synctest.Wait()
		u.fail(bad)
		wg.Wait()
	})
}
