package disk_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

// store makes a store with a few tasks, and stops it cleanly.
func store(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "d")
	e, err := disk.Open(dir, disk.Options{SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := putOne(t, e, "body"); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestOneJudge: what a start refuses, repair names, and what it then salvages starts.
func TestOneJudge(t *testing.T) {
	segment := func(dir string) string {
		list, _ := filepath.Glob(filepath.Join(dir, "segment-*"))
		return list[len(list)-1]
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string) error
	}{
		{"last segment cut to 4,200 bytes", func(_ *testing.T, dir string) error { return os.Truncate(segment(dir), 4200) }},
		{"last segment cut in its zeros", func(_ *testing.T, dir string) error { return os.Truncate(segment(dir), 1<<20-1) }},
		{"a digit of the log's name", func(t *testing.T, dir string) error {
			name := filepath.Join(dir, "format")
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			digit := &text[len(text)-2]
			*digit = map[bool]byte{true: '1', false: '0'}[*digit == '0']
			return os.WriteFile(name, text, 0o600)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := store(t)
			if err := tt.spoil(t, dir); err != nil {
				t.Fatal(err)
			}
			if _, err := disk.Open(dir, disk.Options{}); glassq.CodeOf(err) != glassq.CodeDamaged {
				t.Fatalf("start = %v, want damaged", err)
			}
			if s, err := disk.Repair(dir, false); err != nil || s.Whole() {
				t.Fatalf("repair = %+v, %v, want a loss", s, err)
			}
			if s, err := disk.Repair(dir, true); err != nil || s.Kept == "" {
				t.Fatalf("salvage = %+v, %v", s, err)
			}
			e, err := disk.Open(dir, disk.Options{})
			if err != nil {
				t.Fatalf("start on what was salvaged = %v", err)
			}
			defer e.Close()
			if q, err := e.Queues(t.Context(), "q"); err != nil || q[0].Ready != 5 {
				t.Errorf("queue = %+v, %v, want 5 ready", q, err)
			}
		})
	}
}

// TestFolderRemoved: a store whose folder is removed fails, and lets nobody else in while only LOCK
// is gone.
func TestFolderRemoved(t *testing.T) {
	dir := store(t)
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil {
		t.Skip("an open file cannot be removed here")
	}
	if _, err := disk.Open(dir, disk.Options{}); glassq.CodeOf(err) != glassq.CodeUnavailable {
		t.Errorf("a second start without LOCK = %v, want unavailable", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	select {
	case <-e.Failed():
	case <-time.After(time.Minute):
		t.Fatal("the store goes on without its folder")
	}
	if err := putOne(t, e, "into nothing"); err == nil {
		t.Error("a put after that was answered OK")
	}
}
