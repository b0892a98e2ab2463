package state

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/glassq/glassq"
)

// appendRedrive appends that up to max dead tasks of queue are ready again: a record of logs of
// before, which name no tasks.
func appendRedrive(dst []byte, queue string, max int) []byte {
	return binary.AppendUvarint(appendString(append(dst, byte(opRedrive)), queue), uint64(max))
}

// allDead is a state with so many dead tasks of a run in queue q, for a reason that each nth has.
func allDead(tb testing.TB, count int, reason func(i int) string) *State {
	s := New(Hooks{})
	apply := func(rec []byte) {
		tb.Helper()
		if _, err := s.Apply(rec, 1, 0); err != nil {
			tb.Fatal(err)
		}
	}
	apply(AppendNumbers(nil, uint64(count)+1))
	for i := range count {
		n := s.NextTask()
		task := glassq.Task{Queue: "q", Run: "r", Dense: true, Position: uint32(i), Body: []byte("x")}
		apply(AppendPut(nil, &task))
		apply(AppendLease(nil, uint64(i)+1, n, 60_000))
		apply(AppendNack(nil, uint64(i)+1, &glassq.Nack{Dead: true, Reason: reason(i)}, 0))
		s.tasks.trim()
	}
	return s
}

// TestRedriveGoesOn: what was redriven costs the calls that come after it nothing: each finds its
// tasks in the first piece, however many were dead before them.
func TestRedriveGoesOn(t *testing.T) {
	const count, each = 30_000, 500
	s := allDead(t, count, func(int) string { return "refused" })
	for done := 0; done < count; done += each {
		p, err := s.PickDead("q", glassq.DeadFilter{Max: each}, done%1000 != 0)
		if err != nil {
			t.Fatal(err)
		}
		rec, n, last, err := p.Next(s)
		if err != nil || n != each || !last {
			t.Fatalf("first piece after %d = %d tasks, last %v, %v; want %d, true", done, n, last, err, each)
		}
		if _, err := s.Apply(rec, 2, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Peek(s.Queue("q"), glassq.Dead, 0, 1); len(got) > 0 {
		t.Errorf("dead at the end: %v", got)
	}
}

// BenchmarkRedrive is what redriving a dead task takes the owner of the state, where most are dead.
func BenchmarkRedrive(b *testing.B) {
	for _, each := range []int{100, 1000} {
		b.Run(fmt.Sprint("each=", each), func(b *testing.B) {
			s := allDead(b, max(200_000, 2*b.N), func(int) string { return "connection refused" })
			b.ResetTimer()
			for done := 0; done < b.N; {
				p, err := s.PickDead("q", glassq.DeadFilter{Max: each}, false)
				if err != nil {
					b.Fatal(err)
				}
				rec, n, _, err := p.Next(s)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Apply(rec, 2, 0); err != nil {
					b.Fatal(err)
				}
				s.tasks.trim()
				done += n
			}
		})
	}
}
