package door

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
)

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(10)
		if err := b.Take(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string, 3)
		go func() {
			if b.Take(ctx, 5) != nil {
				got <- "large cancelled"
			}
		}()
		synctest.Wait()
		go func() {
			if b.Take(t.Context(), 2) == nil { // would fit, but it is not its turn
				got <- "small"
			}
		}()
		synctest.Wait()
		if len(got) != 0 {
			t.Fatalf("%s was served out of turn", <-got)
		}
		cancel()
		synctest.Wait()
		if one, two := <-got, <-got; one == two {
			t.Errorf("got %q and %q", one, two)
		}
		if err := b.Take(t.Context(), 11); glassq.CodeOf(err) != glassq.CodeTooLarge {
			t.Errorf("more than there is: %v; want too_large", err)
		}
		b.Give(8)
		b.Give(2)
		if b.Free() != 10 || len(b.waiters) != 0 {
			t.Errorf("free = %d with %d waiters; want 10, 0", b.Free(), len(b.waiters))
		}
	})
}
