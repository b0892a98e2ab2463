package disk_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/state"
	"github.com/glassq/glassq/internal/wal"
)

// A scribe writes a log frame by frame, and keeps the state that it makes.
type scribe struct {
	t   *testing.T
	l   *wal.Log
	st  *state.State
	now int64
}

func scribble(t *testing.T, dir string) *scribe {
	t.Helper()
	if err := wal.MakeDir(dir); err != nil {
		t.Fatal(err)
	}
	l, err := wal.Open(wal.DirFS(dir), wal.Options{SegmentSize: 8 << 10})
	if err == nil {
		err = l.Replay(0, func(wal.Frame) error { return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	return &scribe{t, l, state.New(state.Hooks{}), 1_790_000_000_000}
}

// frame appends records as one frame, durably. those that do not apply are written all the same.
func (s *scribe) frame(recs ...[]byte) {
	s.t.Helper()
	s.now++
	buf := make([]byte, wal.HeaderSize, 64<<10)
	buf = append(buf, slices.Concat(recs...)...)
	id := uint64(s.l.Next()) / 8
	if err := s.l.Append(buf, s.now, len(recs)); err != nil {
		s.t.Fatal(err)
	}
	if err := s.l.Sync(); err != nil {
		s.t.Fatal(err)
	}
	s.st.Advance(s.now)
	s.st.ApplyAll(slices.Concat(recs...), id)
}

func (s *scribe) checkpoint() {
	s.t.Helper()
	if err := s.l.WriteCheckpoint(s.l.Next(), func(w io.Writer) error { return s.st.Snapshot(w) }); err != nil {
		s.t.Fatal(err)
	}
}

func putRecord(body string) []byte {
	return state.AppendPut(nil, &glassq.Task{Queue: "q", Body: []byte(body)})
}

func moveRecord(t *testing.T, n uint64, put int64, body string) []byte {
	t.Helper()
	rec, ok := state.AppendMove(nil, n, put, putRecord(body))
	if !ok {
		t.Fatal("no move")
	}
	return rec
}

// TestMovedBehindGap: of bodies that were moved behind a gap, those of tasks that are known come
// back to them, those of others are put again, once; a frame that does not apply is a gap like one
// that does not read.
func TestMovedBehindGap(t *testing.T) {
	for _, gap := range []string{"rot", "a frame that does not apply"} {
		t.Run(gap, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			s := scribble(t, dir)
			s.frame(putRecord("A, moved"), putRecord("B, lost"))
			put := s.now
			s.frame(putRecord(strings.Repeat("long", 4<<10))) // and the next frame begins a segment
			s.frame(putRecord("X"))
			s.checkpoint()
			if gap == "rot" {
				s.frame(putRecord("C in the GAP"))
			} else {
				s.frame(state.AppendLease(nil, 1, 99, 1000))
			}
			inGap := s.now
			s.frame(moveRecord(t, 1, put, "A, moved"), moveRecord(t, 5, inGap, "C in the GAP"), putRecord("D"))
			d := s.now
			s.frame(moveRecord(t, 6, d, "D"), moveRecord(t, 5, inGap, "C in the GAP"), putRecord("D"))
			if err := s.l.Close(); err != nil {
				t.Fatal(err)
			}
			if gap == "rot" {
				rot(t, wal.DirFS(dir), "C in the GAP")
			}
			segments, _ := filepath.Glob(filepath.Join(dir, "segment-*"))
			if err := os.Remove(segments[0]); err != nil {
				t.Fatal(err)
			}
			if _, err := disk.Open(dir, smallSegments); glassq.CodeOf(err) != glassq.CodeDamaged {
				t.Fatalf("start = %v; want damaged", err)
			}
			got, err := disk.Repair(dir, false)
			if err != nil || got.Refusal == nil || got.Cannot != nil || got.Lost != 1 || got.Again["q"] != 3 {
				t.Fatalf("repair = %+v, %v; want 1 lost and 3 again", got, err)
			}
			if got, err = disk.Repair(dir, true); err != nil || got.Refused != 0 {
				t.Fatalf("salvage = %+v, %v", got, err)
			}
			e, err := disk.Open(dir, smallSegments)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			var bodies []string
			for range 20 {
				leases, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
				if err != nil && glassq.CodeOf(err) != glassq.CodeDamaged {
					t.Fatal(err)
				}
				for _, l := range leases {
					bodies = append(bodies, fmt.Sprintf("%s %.20s", l.TaskID(), l.Body))
				}
			}
			want := []string{"1 A, moved", "3 " + strings.Repeat("long", 5), "4 X", "5 C in the GAP", "6 D", "7 D"}
			for i := range want { // ids that the server gives end in the number
				if i >= len(bodies) || !strings.HasSuffix(bodies[i], want[i]) {
					t.Fatalf("handed out %q; want %q", bodies, want)
				}
			}
			q, err := e.Queues(t.Context(), "q")
			if err != nil || len(bodies) != len(want) || q[0].Dead != 1 {
				t.Errorf("handed out %q, queue %+v, %v; want 1 dead", bodies, q, err)
			}
		})
	}
}

// tasksOf is how many tasks queue q has, ready or dead.
func tasksOf(t *testing.T, dir string) int64 {
	t.Helper()
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	q, err := e.Queues(t.Context(), "q")
	if err != nil {
		t.Fatal(err)
	}
	return q[0].Ready + q[0].Dead
}

// TestSalvageAgain: what a salvage leaves that was killed is in nobody's way: not what it had made
// by half, and not a whole outcome that had still to get its name. A folder of somebody else's is.
func TestSalvageAgain(t *testing.T) {
	damaged := func(t *testing.T) string {
		dir := store(t)
		segments, _ := filepath.Glob(filepath.Join(dir, "segment-*"))
		if err := os.Truncate(segments[0], 4200); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Run("half made", func(t *testing.T) {
		dir := damaged(t)
		if err := os.Mkdir(dir+".salvaged", 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"unfinished", "segment-0000000000000001.log"} {
			if err := os.WriteFile(filepath.Join(dir+".salvaged", name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := disk.Open(dir+".salvaged", disk.Options{}); glassq.CodeOf(err) != glassq.CodeStorage ||
			!strings.Contains(err.Error(), "cut off") {
			t.Errorf("start on it = %v; want it refused", err)
		}
		if s, err := disk.Repair(dir, false); err != nil || s.Cannot != nil {
			t.Errorf("repair = %+v, %v", s, err)
		}
		if s, err := disk.Repair(dir, true); err != nil || s.Kept == "" {
			t.Fatalf("salvage = %+v, %v", s, err)
		}
		if n := tasksOf(t, dir); n != 5 {
			t.Errorf("%d tasks after the salvage; want 5", n)
		}
	})
	t.Run("not renamed", func(t *testing.T) {
		dir := damaged(t)
		if s, err := disk.Repair(dir, true); err != nil || s.Kept == "" {
			t.Fatalf("salvage = %+v, %v", s, err)
		}
		if err := os.Rename(dir, dir+".salvaged"); err != nil {
			t.Fatal(err)
		}
		if _, err := disk.Repair(dir, false); err == nil || !strings.Contains(err.Error(), "--salvage") {
			t.Errorf("repair = %v; want what to do", err)
		}
		if s, err := disk.Repair(dir, true); err != nil || !s.Whole() {
			t.Fatalf("salvage = %+v, %v", s, err)
		}
		if n := tasksOf(t, dir); n != 5 {
			t.Errorf("%d tasks after the salvage; want 5", n)
		}
	})
	t.Run("in the way", func(t *testing.T) {
		dir := damaged(t)
		if err := os.CopyFS(dir+".salvaged", os.DirFS(store(t))); err != nil {
			t.Fatal(err)
		}
		before := contents(t, dir+".salvaged")
		if s, err := disk.Repair(dir, false); err != nil || s.Cannot == nil || !strings.Contains(s.Cannot.Error(), "in the way") {
			t.Errorf("repair = %+v, %v; want that something is in the way", s, err)
		}
		if s, err := disk.Repair(dir, true); err == nil || s.Kept != "" {
			t.Errorf("salvage = %+v, %v; want it refused", s, err)
		}
		if after := contents(t, dir+".salvaged"); after != before {
			t.Errorf("what was in the way has changed:\n%s", after)
		}
	})
}
