package disk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/wal"
)

// drain takes all bodies of queue q.
func drain(t *testing.T, dir string) (got []string) {
	t.Helper()
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	defer e.Close()
	for {
		leases, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 100, Take: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(leases) == 0 {
			slices.Sort(got)
			return got
		}
		for _, l := range leases {
			got = append(got, string(l.Body))
		}
	}
}

// TestRepair: a damaged log is refused with a sentence, repair shows the loss and changes nothing,
// and
// --salvage keeps all but what lay in the damaged frame.
func TestRepair(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("body-%d", i))
		if err := putOne(t, e, want[i]); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := disk.Repair(dir, false); glassq.CodeOf(err) != glassq.CodeUnavailable {
		t.Errorf("repair of a store in use = %+v, %v; want unavailable", s, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := disk.Repair(dir, true); err != nil || !s.Whole() || s.Kept != "" {
		t.Errorf("repair of a whole store = %+v, %v", s, err)
	}
	rot(t, wal.DirFS(dir), "body-4")
	checkpoints, _ := filepath.Glob(filepath.Join(dir, "checkpoint-*"))
	for _, c := range checkpoints { // so that the start has to read the log
		if err := os.Remove(c); err != nil {
			t.Fatal(err)
		}
	}
	_, err = disk.Open(dir, disk.Options{})
	if glassq.CodeOf(err) != glassq.CodeDamaged {
		t.Fatalf("start on a damaged log = %v", err)
	}
	for _, part := range []string{"segment-", "byte ", "positions ", "queues that may be affected: q", "glassq repair"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("start on a damaged log = %v; lacks %q", err, part)
		}
	}
	s, err := disk.Repair(dir, false)
	if err != nil || len(s.Losses) != 1 || s.Again["q"] != 5 || len(s.Queues) != 1 || s.Queues[0].Ready != 4 ||
		s.Kept != "" {
		t.Fatalf("repair = %+v, %v; want 4 kept and 5 again", s, err)
	}
	if _, err := disk.Open(dir, disk.Options{}); glassq.CodeOf(err) != glassq.CodeDamaged {
		t.Fatalf("repair without salvage changed something: start = %v", err)
	}
	s, err = disk.Repair(dir, true)
	if err != nil || s.Kept == "" {
		t.Fatalf("salvage = %+v, %v", s, err)
	}
	if got := drain(t, dir); !slices.Equal(got, slices.Delete(slices.Clone(want), 4, 5)) {
		t.Errorf("after the salvage: %q", got)
	}
	if _, err := disk.Open(s.Kept, disk.Options{}); glassq.CodeOf(err) != glassq.CodeDamaged {
		t.Errorf("start on the original that was kept = %v, want damaged as before", err)
	}
}

// TestFlippedAnywhere: one flipped bit in anything that matters is refused or does no harm: no
// start is ever silently smaller.
func TestFlippedAnywhere(t *testing.T) {
	made := filepath.Join(t.TempDir(), "d")
	small := disk.Options{SegmentSize: 64 << 10} // it is copied for each flip
	e, err := disk.Open(made, small)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if err := putOne(t, e, fmt.Sprintf("body-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := wal.DirFS(made).List()
	refused, harmless := 0, 0
	for _, name := range names {
		if name == "LOCK" || name == "reserve.bin" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(made, name))
		if err != nil {
			t.Fatal(err)
		}
		step := 1
		if strings.HasPrefix(name, "segment-") {
			data, step = data[:min(len(data), 4096+1400)], 37
		}
		for off := 0; off < len(data); off += step {
			dir := filepath.Join(t.TempDir(), "x")
			if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
				t.Fatal(err)
			}
			os.Remove(filepath.Join(dir, "reserve.bin"))
			bad := slices.Clone(data)
			bad[off] ^= 1 << (off % 8)
			if err := os.WriteFile(filepath.Join(dir, name), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			e, err := disk.Open(dir, small)
			if err != nil {
				refused++
				continue
			}
			q, err := e.Queues(t.Context(), "q")
			if err != nil || q[0].Ready+q[0].Dead != 6 {
				t.Errorf("%s with byte %d flipped: started with %+v, %v; want 6 tasks or a refusal", name, off, q, err)
			}
			harmless++
			e.Close()
			os.RemoveAll(dir)
		}
	}
	t.Logf("%d flips refused, %d without harm", refused, harmless)
	if refused == 0 || harmless == 0 {
		t.Errorf("%d refused, %d harmless: the test sees nothing", refused, harmless)
	}
}

// TestCopy: a backup has everything; one of damaged data is refused.
func TestCopy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"a", "b-to-rot"} {
		if err := putOne(t, e, body); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := disk.Copy(dir, dir+"1"); glassq.CodeOf(err) != glassq.CodeUnavailable {
		t.Errorf("copy of a store in use = %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := disk.Copy(dir, dir+"2")
	if err != nil || c.Tasks != 2 || c.Queues != 1 {
		t.Fatalf("copy = %+v, %v", c, err)
	}
	if got := drain(t, dir+"2"); !slices.Equal(got, []string{"a", "b-to-rot"}) {
		t.Errorf("the copy holds %q", got)
	}
	rot(t, wal.DirFS(dir), "b-to-rot")
	if _, err := disk.Copy(dir, dir+"3"); glassq.CodeOf(err) != glassq.CodeDamaged {
		t.Errorf("copy of a damaged store = %v", err)
	}
	if _, err := os.Stat(dir + "3"); !os.IsNotExist(err) {
		t.Errorf("a copy that does not check out is left behind: %v", err)
	}
}

// TestUnread: what does not read before a checkpoint is in nobody's way when nothing there is needed:
// copies are made of it. When bodies lie there, a copy is refused, and repair names them, though a
// start takes the store.
func TestUnread(t *testing.T) {
	tests := []struct {
		name, rot string
		tasks     int64 // whose bodies are lost
		left      []string
	}{
		{"the body of a task that is over", "a-done", 0, []string{"b-waits", "c-waits"}},
		{"the body of a task that waits", "b-waits", 1, []string{"c-waits"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			e, err := disk.Open(dir, disk.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range []string{"a-done", "b-waits", "c-waits"} {
				if err := putOne(t, e, body); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Take: true}); err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			rot(t, wal.DirFS(dir), tt.rot)
			for _, salvage := range []bool{false, true} {
				s, err := disk.Repair(dir, salvage)
				if err != nil || !s.Whole() || len(s.Unread) != 1 || s.Unread.Needed() != tt.tasks || s.Kept != "" {
					t.Fatalf("repair, salvage %v = %+v, %v; want one stretch that does not read, with %d tasks", salvage, s, err, tt.tasks)
				}
			}
			c, err := disk.Copy(dir, dir+"2")
			if tt.tasks > 0 {
				if glassq.CodeOf(err) != glassq.CodeDamaged {
					t.Errorf("copy without a body = %+v, %v; want damaged", c, err)
				}
			} else if err != nil || c.Tasks != 2 {
				t.Errorf("copy = %+v, %v; want the two tasks that wait", c, err)
			} else if got := drain(t, dir+"2"); !slices.Equal(got, tt.left) {
				t.Errorf("the copy holds %q, want %q", got, tt.left)
			}
			for range tt.tasks { // a person purges what went dead
				e, err := disk.Open(dir, disk.Options{})
				if err != nil {
					t.Fatal(err)
				}
				l, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 2, Lease: time.Second})
				if err != nil || len(l) != 1 {
					t.Errorf("reserve = %v, %v; want the next task", l, err)
				}
				if n, err := e.Purge(t.Context(), "q", glassq.Dead); n != 1 || err != nil {
					t.Errorf("purge of what went dead = %d, %v", n, err)
				}
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				if c, err := disk.Copy(dir, dir+"3"); err != nil || c.Tasks != 1 {
					t.Errorf("copy after the purge = %+v, %v; want one task", c, err)
				}
			}
		})
	}
}

// TestRepairPage: the first page of a segment before the newest checkpoint is damaged. The start is
// refused, and a salvage keeps every task whose body lies elsewhere; those in the segment are dead
// and say so.
func TestRepairPage(t *testing.T) {
	for _, which := range []int{0, 1} {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprintf("segment %d, gone %v", which, gone), func(t *testing.T) { repairPage(t, which, gone) })
		}
	}
}

func repairPage(t *testing.T, which int, gone bool) {
	dir := filepath.Join(t.TempDir(), "d")
	opt := disk.Options{SegmentSize: 8 << 10, MinFree: disk.Watermark{Bytes: -1}}
	e, err := disk.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	const n = 12
	for i := range n {
		if err := putOne(t, e, fmt.Sprintf("body-%02d %s", i, strings.Repeat("x", 1500))); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil { // with a checkpoint past all of them
		t.Fatal(err)
	}
	segments, _ := filepath.Glob(filepath.Join(dir, "segment-*"))
	if len(segments) < 4 {
		t.Fatalf("%d segments; want some before the last", len(segments))
	}
	bad := segments[which]
	data, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	inIt := strings.Count(string(data), "body-")
	name := filepath.Base(bad)
	data[40] ^= 1
	if err := os.WriteFile(bad, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if gone { // a lost file cannot be named, but by its tasks
		name = "segment"
		if err := os.Remove(bad); err != nil {
			t.Fatal(err)
		}
	}
	_, err = disk.Open(dir, opt)
	if glassq.CodeOf(err) != glassq.CodeDamaged || !strings.Contains(err.Error(), name) ||
		!strings.Contains(err.Error(), "glassq repair") {
		t.Fatalf("start = %v; want damaged, the file, and what to do", err)
	}
	s, err := disk.Repair(dir, false)
	if err != nil || s.Whole() || !strings.Contains(s.Losses[0].String(), name) || s.Lost != int64(inIt) {
		t.Fatalf("repair = %+v, %v; want the loss of %s, and of %d tasks", s, err, name, inIt)
	}
	if s, err = disk.Repair(dir, true); err != nil || s.Kept == "" {
		t.Fatalf("salvage = %+v, %v", s, err)
	}
	if kept, err := os.ReadFile(filepath.Join(s.Kept, filepath.Base(bad))); !gone &&
		(err != nil || string(kept) != string(data)) {
		t.Errorf("the original is not as it was: %v", err)
	}
	e, err = disk.Open(dir, opt)
	if err != nil {
		t.Fatalf("start on what was salvaged = %v", err)
	}
	defer e.Close()
	got := map[string]bool{}
	for range 3 * n {
		leases, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1})
		if err != nil && glassq.CodeOf(err) != glassq.CodeDamaged {
			t.Fatal(err)
		}
		for _, l := range leases {
			got[string(l.Body[:7])] = true
		}
	}
	q, err := e.Queues(t.Context(), "q")
	if err != nil || len(got) != n-inIt || q[0].Dead != int64(inIt) || q[0].Books.Put != n || q[0].Ready != 0 {
		t.Errorf("handed out %d bodies, queue %+v, %v; want %d of %d, and %d dead", len(got), q, err, n-inIt, n, inIt)
	}
}

// TestRepairFormat: a format file that cannot be read is a loss like any other, and salvage makes
// it anew; what a newer program wrote is no damage, and neither a start nor a repair touches it.
func TestRepairFormat(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "d")
	e, err := disk.Open(whole, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := putOne(t, e, "kept"); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	newer := func(t *testing.T, dir string) { // of a segment: its version, and the checksum over it
		segments, _ := filepath.Glob(filepath.Join(dir, "segment-*"))
		data, err := os.ReadFile(segments[0])
		if err != nil {
			t.Fatal(err)
		}
		data[8]++
		binary.LittleEndian.PutUint32(data[56:], crc32.Checksum(data[:56], crc32.MakeTable(crc32.Castagnoli)))
		if err := os.WriteFile(segments[0], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	format := func(text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "format"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	// in adds to the log what add writes there.
	in := func(add func(l *wal.Log) error) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			l, err := wal.Open(wal.DirFS(dir), wal.Options{SegmentSize: 8 << 10})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Replay(0, func(wal.Frame) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(add(l), l.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	frame := func(l *wal.Log, records ...byte) error {
		return errors.Join(l.Append(append(make([]byte, wal.HeaderSize), records...), 1<<50, 1), l.Sync())
	}
	record := func(records ...byte) func(*testing.T, string) {
		return in(func(l *wal.Log) error { return frame(l, records...) })
	}
	// A checkpoint of a format to come, and a log that begins behind the first segment.
	checkpoint := in(func(l *wal.Log) error {
		for range 12 { // time goes on by 0 ms, and so on
			if err := frame(l, bytes.Repeat([]byte{1, 0}, 1<<10)...); err != nil {
				return err
			}
		}
		err := l.WriteCheckpoint(l.Durable(), func(w io.Writer) error { _, err := w.Write([]byte{99}); return err })
		for _, pos := range l.Checkpoints()[1:] {
			err = errors.Join(err, l.WriteCheckpoint(pos, func(w io.Writer) error { _, err := w.Write([]byte{99}); return err }))
		}
		return errors.Join(err, l.Remove(l.Segments()[0].No))
	})
	tests := []struct {
		name  string
		spoil func(*testing.T, string)
		code  glassq.Code
	}{
		{"newer record", record(200), glassq.CodeStorage},
		{"newer kind of progress", record(26, 9, 0), glassq.CodeStorage},
		{"newer kind of nack", record(5, 1, 9, 0, 0), glassq.CodeStorage},
		{"newer member of a put", record(2, 11, 0, 0, 0, 7, 0, 1, 'q', 0, 0, 4, 0, 0, 0x80, 0x40), glassq.CodeStorage},
		{"newer checkpoint", checkpoint, glassq.CodeStorage},
		{"garbage", format("x"), glassq.CodeDamaged},
		{"empty", format(""), glassq.CodeDamaged},
		{"newer format", format("glassq-wal 9 whatever\n"), glassq.CodeStorage},
		{"newer segment", newer, glassq.CodeStorage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, dir)
			if _, err := disk.Open(dir, disk.Options{}); glassq.CodeOf(err) != tt.code {
				t.Errorf("start = %v; want code %s", err, tt.code)
			}
			s, err := disk.Repair(dir, true)
			if tt.code != glassq.CodeDamaged {
				if glassq.CodeOf(err) != tt.code || !strings.Contains(err.Error(), "newer") || s != nil {
					t.Errorf("salvage of what a newer program wrote = %+v, %v; want it refused", s, err)
				}
				return
			}
			if err != nil || s.Whole() || s.Losses[0].File != "format" || s.Kept == "" {
				t.Fatalf("salvage = %+v, %v; want the loss of format", s, err)
			}
			if got := drain(t, dir); !slices.Equal(got, []string{"kept"}) {
				t.Errorf("after the salvage: %q", got)
			}
		})
	}
}
