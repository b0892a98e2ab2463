package ladder

import (
	"testing"

	"github.com/glassq/glassq/internal/history"
)

// TestUnheard: what was answered before the power went stands, and a loss of it is a fault; what
// was answered while it went was heard by nobody.
func TestUnheard(t *testing.T) {
	put := func(task string, end int64) history.Op {
		return history.Op{Kind: history.Put, Task: task, Start: end - 1, End: end}
	}
	s := &siege{t: t, ops: []history.Op{
		put("before", 10), put("while", 12), put("acked", 9),
		{Kind: history.Lease, Task: "before", Number: 1, Start: 11, End: 13, Until: 1000},
		{Kind: history.Lease, Task: "acked", Number: 2, Start: 10, End: 12, Until: 1000},
		{Kind: history.Ack, Task: "acked", Number: 2, Start: 12, End: 14}, // it may have been done
		{Kind: history.Ack, Task: "acked", Number: 2, Start: 12, End: 14, Gives: []string{"one", "two"}},
		{Kind: history.Lease, Task: "one", Number: 4, Start: 12, End: 13, Until: 1000}, // not heard of, and acked
		{Kind: history.Ack, Task: "one", Number: 4, Start: 13, End: 14},
		{Kind: history.Lease, Task: "two", Number: 5, Start: 14, End: 14, Until: 1000},
		{Kind: history.Ack, Task: "two", Number: 5, Start: 14, End: 14},
		// Acked, a gift of it handed out and acked, nobody heard, and all of it lost: then it comes
		// again.
		put("again", 9),
		{Kind: history.Lease, Task: "again", Number: 6, Start: 9, End: 10, Until: 1000},
		{Kind: history.Ack, Task: "again", Number: 6, Start: 10, End: 12, Gives: []string{"gone"}},
		{Kind: history.Lease, Task: "gone", Number: 7, Start: 12, End: 13, Until: 1000},
		{Kind: history.Ack, Task: "gone", Number: 7, Start: 13, End: 14},
		put("never", 12), // neither it nor its ack may have been
		{Kind: history.Lease, Task: "never", Number: 3, Start: 12, End: 13, Until: 1000},
		{Kind: history.Ack, Task: "never", Number: 3, Start: 13, End: 14, Gives: []string{"gift"}},
		{Kind: history.Crash, Start: 11, End: 20},
	}}
	s.unheard(11)
	// After the restart.
	s.note(history.Op{Kind: history.Lease, Task: "again", Number: 8, Start: 30, End: 31, Until: 1000},
		history.Op{Kind: history.Ack, Task: "again", Number: 8, Start: 32, End: 33})
	if r := history.Check(s.ops, history.Options{Drained: true}); len(r.Lost) != 1 || r.Lost[0] != "before" ||
		r.Faults() != 1 {
		t.Errorf("%v; want one fault, the loss of the put that was answered before", r)
	}
	if s.ops[1].Outcome != history.Unknown || s.ops[3].Kind != history.Blind || s.ops[0].Outcome != history.OK {
		t.Errorf("operations became %+v", s.ops)
	}
}
