package fetch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A worker that was killed leaves files that are not whole. The next one on that folder removes
// them, but not those that another worker may be writing.
func TestHalfSavedBodies(t *testing.T) {
	dir := t.TempDir()
	first, err := newCapture(&Options{Capture: CaptureFile, CaptureDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	line, err := first.append(nil, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	left := func() []string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, partDir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if names := left(); len(names) != 0 {
		t.Errorf("after %s there are %v, want none", line, names)
	}
	dead, live := filepath.Join(dir, partDir, "dead"), filepath.Join(dir, partDir, "live")
	for path, age := range map[string]time.Duration{dead: 2 * staleAge, live: 0} {
		if err := os.WriteFile(path, []byte("hel"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := newCapture(&Options{Capture: CaptureFile, CaptureDir: dir}); err != nil {
		t.Fatal(err)
	}
	if names := left(); len(names) != 1 || names[0] != live {
		t.Errorf("the next start leaves %v, want %s", names, live)
	}
}
