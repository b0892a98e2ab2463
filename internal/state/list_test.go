package state

import (
	"fmt"
	"testing"

	"github.com/glassq/glassq"
)

// TestListAllocates: looking through very many queues makes nothing, whatever is asked for.
func TestListAllocates(t *testing.T) {
	s := New(Hooks{})
	for i := range 5000 {
		task := glassq.Task{Queue: fmt.Sprint("q", i*7919%5000), Body: []byte("x")}
		if _, err := s.Apply(AppendPut(nil, &task), 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, by := range []string{glassq.SortName, glassq.SortReady, glassq.SortOldest, glassq.SortUrgent} {
		seen, last := 0, ""
		look := func() {
			var totals glassq.QueueTotals
			seen, last = 0, ""
			for more := true; more; {
				some := s.QueuesBehind(last, 500)
				for _, q := range some {
					q.AddTo(&totals)
					s.Rank(q, by)
					if q.Name <= last {
						t.Fatalf("%s comes after %s", q.Name, last)
					}
					seen, last = seen+1, q.Name
				}
				more = len(some) == 500
			}
		}
		if n := testing.AllocsPerRun(2, look); n > 2 || seen != 5000 {
			t.Errorf("by %q: %v allocations for %d queues; want none, 5000", by, n, seen)
		}
	}
}
