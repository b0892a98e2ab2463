package web

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{free: 10}
		if err := r.take(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string, 3)
		go func() {
			if r.take(ctx, 5) != nil {
				got <- "large cancelled"
			}
		}()
		synctest.Wait()
		go func() {
			if r.take(t.Context(), 2) == nil { // would fit, but it is not its turn
				got <- "small"
			}
		}()
		synctest.Wait()
		if len(got) != 0 {
			t.Fatalf("%s was served out of turn", <-got)
		}
		cancel()
		synctest.Wait()
		if a, b := <-got, <-got; a == b {
			t.Errorf("got %q and %q", a, b)
		}
		r.give(8)
		r.give(2)
		if r.free != 10 || len(r.waiters) != 0 {
			t.Errorf("free = %d with %d waiters; want 10, 0", r.free, len(r.waiters))
		}
	})
}
