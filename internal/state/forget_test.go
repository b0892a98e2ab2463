package state

import (
	"bytes"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

func must(t *testing.T, s *State, recs ...[]byte) {
	t.Helper()
	for _, rec := range recs {
		if _, err := s.Apply(rec, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// endedRun makes a run of one task that is acked.
func endedRun(t *testing.T, s *State, name string, c glassq.RunChange) {
	t.Helper()
	c.Sealed, c.Total = true, 1
	n := s.NextTask()
	must(t, s, AppendPut(nil, &glassq.Task{Queue: "q", Run: name, Dense: true, Body: []byte("x")}),
		AppendTake(nil, n), AppendRun(nil, name, c))
}

// TestRunDropSays: a refusal names what is there, with the right number, and the command that ends
// it.
func TestRunDropSays(t *testing.T) {
	task := func(n uint32) []byte {
		return AppendPut(nil, &glassq.Task{Queue: "q", Run: "r", Dense: true, Position: n, Body: []byte("x")})
	}
	seal := AppendRun(nil, "r", glassq.RunChange{Sealed: true, Total: 2})
	result := AppendPut(nil, &glassq.Task{Queue: "results", Run: "r", OfAttempt: 1, Body: []byte("x")})
	die := func(number uint64) []byte { return AppendNack(nil, number, &glassq.Nack{Dead: true}, 0) }
	tests := []struct {
		name string
		recs [][]byte
		want []string // of the refusal; none: it goes
	}{
		{"one pending", [][]byte{seal, task(0)}, []string{"1 pending task;", "glassq runs wait r", "glassq runs cancel r"}},
		{"two pending", [][]byte{seal, task(0), task(1)}, []string{"2 pending tasks;"}},
		{"not sealed", [][]byte{task(0), AppendTake(nil, 1)}, []string{"not sealed", "glassq runs seal r"}},
		{"a result", [][]byte{seal, result}, []string{"1 result of it in queue results;", "glassq output --run r"}},
		{"a dead task", [][]byte{seal, task(0), AppendLease(nil, 1, 1, 1000), die(1)},
			[]string{"1 dead task of it in queue q;", "glassq queue redrive q", "glassq queue purge q --state dead"}},
		{"a dead result", [][]byte{seal, result, AppendLease(nil, 1, 1, 1000), die(1)},
			[]string{"1 dead task of it in queue results;"}},
		{"retries", [][]byte{seal, AppendRun(nil, "r.2", glassq.RunChange{RetryOf: "r"}),
			AppendRun(nil, "r.3", glassq.RunChange{RetryOf: "r"})}, []string{"retried as r.2 r.3;", "glassq runs rm r r.2 r.3"}},
		{"a retry", [][]byte{AppendRun(nil, "o", glassq.RunChange{Source: "s"}),
			AppendRun(nil, "r", glassq.RunChange{RetryOf: "o", Sealed: true})}, nil},
		{"over", [][]byte{seal, task(0), task(1), AppendTake(nil, 1), AppendTake(nil, 2)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Hooks{})
			s.Advance(1000)
			must(t, s, tt.recs...)
			rec, err := s.DecideRunDrop("r")
			if (err == nil) != (tt.want == nil) || err != nil && glassq.CodeOf(err) != glassq.CodeRunConflict {
				t.Fatalf("DecideRunDrop = %v; want %q", err, tt.want)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("DecideRunDrop = %q; want %q in it", err, part)
				}
			}
			if err == nil {
				must(t, s, rec)
				if s.Run("r") != nil || s.RunCount() != strings.Count(tt.name, "retry") {
					t.Error("the run is still there")
				}
			}
		})
	}
}

// TestForgottenRunLeavesNothing: the state after it is that of a start from its snapshot, whatever
// was put last; a new run of the name has nothing to do with the old one.
func TestForgottenRunLeavesNothing(t *testing.T) {
	s := New(Hooks{})
	s.Advance(1000)
	endedRun(t, s, "r", glassq.RunChange{Results: "elsewhere"}) // its class is the one put last
	must(t, s, AppendRunDrop(nil, "r"), AppendPut(nil, &glassq.Task{Queue: "q", Run: "r", Dense: true, Body: []byte("y")}))
	if b := s.Run("r").books; b != (glassq.Books{Put: 1}) {
		t.Errorf("books of the new run = %+v; want one put", b)
	}
	var snap bytes.Buffer
	if err := s.Snapshot(&snap); err != nil {
		t.Fatal(err)
	}
	again := New(Hooks{})
	if err := again.Restore(&snap); err != nil {
		t.Fatal(err)
	}
	if got, want := tell(again), tell(s); got != want {
		t.Errorf("after a start:\n%s\nbefore:\n%s", got, want)
	}
}

// TestOldRunsGo: what is forgotten for its age is the same in every replay, and no run goes before
// its retries.
func TestOldRunsGo(t *testing.T) {
	for range 20 { // the order of a map differs
		s := New(Hooks{})
		s.Advance(1000)
		endedRun(t, s, "a", glassq.RunChange{})
		endedRun(t, s, "a.2", glassq.RunChange{RetryOf: "a"})
		endedRun(t, s, "b", glassq.RunChange{}) // the class put last
		s.Advance(1000 + glassq.RunKeptFor.Milliseconds())
		endedRun(t, s, "new", glassq.RunChange{})
		if s.Run("a") == nil || s.Run("a.2") != nil || s.Run("b") != nil {
			t.Fatalf("kept %q; want new and a", names(s.Runs()))
		}
		endedRun(t, s, "newer", glassq.RunChange{})
		if s.Run("a") != nil {
			t.Fatalf("kept %q; want newer and new", names(s.Runs()))
		}
	}
}
