package history

import (
	"fmt"
	"testing"
	"time"
)

const second = int64(time.Second)

func put(task string, number uint64, at int64) Op {
	return Op{Kind: Put, Task: task, Lane: "q", Number: number, Start: at, End: at + 1, Sum: 7}
}

func lease(task string, number uint64, attempt int, at int64) Op {
	return Op{Kind: Lease, Task: task, Number: number, Attempt: attempt, Start: at, End: at + 1, Until: at + 10*second,
		Sum: 7}
}

func ack(task string, number uint64, at int64, gives ...string) Op {
	return Op{Kind: Ack, Task: task, Number: number, Start: at, End: at + 1, Gives: gives}
}

func with(op Op, change func(*Op)) Op {
	change(&op)
	return op
}

func unknown(op *Op) { op.Outcome = Unknown }
func refused(op *Op) { op.Outcome = Refused }

func TestCheck(t *testing.T) {
	crash := func(at int64) Op { return Op{Kind: Crash, Start: at, End: at + 1} }
	for _, tt := range []struct {
		name string
		ops  []Op
		want string // the list that is to have one entry; "" for nothing wrong
	}{
		{"nothing", nil, ""},
		{"a life", []Op{put("a", 1, 0), lease("a", 1, 1, 10), ack("a", 1, 20)}, ""},
		{"a put without an answer that did not happen", []Op{with(put("a", 1, 0), unknown)}, ""},
		{"a put without an answer that did", []Op{with(put("a", 1, 0), unknown), lease("a", 1, 1, 10), ack("a", 1, 20)}, ""},
		{"never handed out", []Op{put("a", 1, 0)}, "lost"},
		{"handed out and never acked", []Op{put("a", 1, 0), lease("a", 1, 1, 10)}, "lost"},
		{"its ack was refused", []Op{put("a", 1, 0), lease("a", 1, 1, 10), with(ack("a", 1, 20), refused)}, "lost"},
		{"its ack has no answer", []Op{put("a", 1, 0), lease("a", 1, 1, 10), with(ack("a", 1, 20), unknown)}, ""},
		{"after its ack", []Op{put("a", 1, 0), lease("a", 1, 1, 10), ack("a", 1, 20), crash(30), lease("a", 5, 1, 40),
			ack("a", 5, 50)}, "resurrected"},
		{"after an ack without an answer", []Op{put("a", 1, 0), lease("a", 1, 1, 10), with(ack("a", 1, 20), unknown),
			crash(25), lease("a", 5, 2, 40), ack("a", 5, 50)}, ""},
		{"two at once", []Op{put("a", 1, 0), lease("a", 1, 1, 10), lease("a", 2, 2, 20), ack("a", 2, 30)}, "two live leases"},
		{"run out", []Op{put("a", 1, 0), lease("a", 1, 1, 10), lease("a", 2, 2, 11*second), ack("a", 2, 12*second)}, ""},
		{"just not run out", []Op{put("a", 1, 0), lease("a", 1, 1, 10), lease("a", 2, 2, 9*second), ack("a", 2, 12*second)},
			"two live leases"},
		{"within the slack", []Op{put("a", 1, 0), lease("a", 1, 1, 10), lease("a", 2, 2, 10*second-1000),
			ack("a", 2, 12*second)}, ""},
		{"extended", []Op{put("a", 1, 0), with(lease("a", 1, 1, 10), func(op *Op) { op.Until = 30 * second }),
			lease("a", 2, 2, 11*second), ack("a", 2, 12*second)}, "two live leases"},
		{"nacked", []Op{put("a", 1, 0), lease("a", 1, 1, 10), {Kind: Nack, Task: "a", Number: 1, Start: 15, End: 16},
			lease("a", 2, 2, 20), ack("a", 2, 30)}, ""},
		{"its nack was refused", []Op{put("a", 1, 0), lease("a", 1, 1, 10),
			{Kind: Nack, Task: "a", Number: 1, Start: 15, End: 16, Outcome: Refused}, lease("a", 2, 2, 20), ack("a", 2, 30)},
			"two live leases"},
		{"a nack of another lease", []Op{put("a", 1, 0), lease("a", 1, 1, 10),
			{Kind: Nack, Task: "a", Number: 9, Start: 15, End: 16}, lease("a", 2, 2, 20), ack("a", 2, 30)}, "two live leases"},
		{"a crash between", []Op{put("a", 1, 0), lease("a", 1, 1, 10), crash(15), lease("a", 2, 1, 20), ack("a", 2, 30)}, ""},
		{"a crash before both", []Op{put("a", 1, 0), crash(5), lease("a", 1, 1, 10), lease("a", 2, 1, 20), ack("a", 2, 30)},
			"two live leases"},
		{"never put", []Op{lease("a", 1, 1, 10), ack("a", 1, 20)}, "unexpected"},
		{"its put was refused", []Op{with(put("a", 1, 0), refused), lease("a", 1, 1, 10), ack("a", 1, 20)}, "unexpected"},
		{"another body", []Op{put("a", 1, 0), with(lease("a", 1, 1, 10), func(op *Op) { op.Sum = 8 }), ack("a", 1, 20)},
			"changed"},
		{"one number twice", []Op{put("a", 1, 0), put("b", 2, 2), lease("a", 1, 1, 10), ack("a", 1, 20),
			lease("b", 1, 1, 30), ack("b", 1, 40)}, "number used twice"},
		{"in order", []Op{put("a", 1, 0), put("b", 2, 2), lease("a", 1, 1, 10), lease("b", 2, 1, 10), ack("a", 1, 20),
			ack("b", 2, 20)}, ""},
		{"out of order", []Op{put("a", 1, 0), put("b", 2, 2), lease("b", 1, 1, 10), lease("a", 2, 1, 20), ack("a", 2, 30),
			ack("b", 1, 30)}, "out of order"},
		{"another lane first", []Op{put("a", 1, 0), with(put("b", 2, 2), func(op *Op) { op.Lane = "p" }),
			lease("b", 1, 1, 10), lease("a", 2, 1, 20), ack("a", 2, 30), ack("b", 1, 30)}, ""},
		{"a blind reserve took it first", []Op{put("a", 1, 0), put("b", 2, 2),
			{Kind: Blind, Start: 5, End: 6, Outcome: Unknown}, lease("b", 1, 1, 10), lease("a", 2, 1, 20), ack("a", 2, 30),
			ack("b", 1, 30)}, ""},
		{"an ack with a result", []Op{put("a", 1, 0), lease("a", 1, 1, 10), ack("a", 1, 20, "r"), lease("r", 2, 1, 30),
			ack("r", 2, 40)}, ""},
		{"a result is missing", []Op{put("a", 1, 0), lease("a", 1, 1, 10), ack("a", 1, 20, "r")}, "lost"},
		{"the result of a refused ack", []Op{put("a", 1, 0), lease("a", 1, 1, 10), with(ack("a", 1, 20, "r"), refused),
			lease("a", 3, 2, 11*second), ack("a", 3, 12*second), lease("r", 2, 1, 30), ack("r", 2, 40)}, "unexpected"},
		{"half of what an unanswered ack gave", []Op{put("a", 1, 0), lease("a", 1, 1, 10),
			with(ack("a", 1, 20, "r", "s"), unknown), lease("r", 2, 1, 30), ack("r", 2, 40)}, "torn"},
		{"a result, and the task again", []Op{put("a", 1, 0), lease("a", 1, 1, 10), with(ack("a", 1, 20, "r"), unknown),
			crash(25), lease("r", 2, 1, 30), ack("r", 2, 40), lease("a", 3, 2, 50), ack("a", 3, 60)}, "torn"},
		{"no result, and the task gone", []Op{put("a", 1, 0), lease("a", 1, 1, 10), with(ack("a", 1, 20, "r"), unknown),
			crash(25)}, "torn"},
		{"all of an unanswered ack", []Op{put("a", 1, 0), lease("a", 1, 1, 10), with(ack("a", 1, 20, "r"), unknown),
			crash(25), lease("r", 2, 1, 30), ack("r", 2, 40)}, ""},
		{"nothing of an unanswered ack", []Op{put("a", 1, 0), lease("a", 1, 1, 10), with(ack("a", 1, 20, "r"), unknown),
			crash(25), lease("a", 3, 2, 50), ack("a", 3, 60)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Check(tt.ops, Options{Slack: 1_000_000, Drained: true})
			for _, l := range r.lists() {
				want := 0
				if l.name == tt.want {
					want = 1
				}
				if len(l.tasks) != want {
					t.Errorf("%s = %q; want %d of them\n%v", l.name, l.tasks, want, r)
				}
			}
		})
	}
}

// TestUndrained: without a drain nothing is lost yet.
func TestUndrained(t *testing.T) {
	if r := Check([]Op{put("a", 1, 0), put("b", 2, 2), lease("b", 1, 1, 10)}, Options{}); len(r.Lost) > 0 {
		t.Errorf("lost = %q; want nothing", r.Lost)
	}
}

// TestLinear: a long history is judged in about the time that its length asks for.
func TestLinear(t *testing.T) {
	const n = 50_000
	var ops []Op
	for i := range n {
		at, name := int64(i)*100, fmt.Sprint(i)
		ops = append(ops, put(name, uint64(i+1), at), lease(name, uint64(i+1), 1, at+10), ack(name, uint64(i+1), at+20))
		if i%100 == 0 {
			ops = append(ops, Op{Kind: Crash, Start: at + 50, End: at + 60})
		}
	}
	if r := Check(ops, Options{Drained: true}); r.Faults() > 0 || r.Puts != n || r.Crashes != n/100 {
		t.Errorf("Check = %v", r)
	}
}
