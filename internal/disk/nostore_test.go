package disk_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

// TestNoStore: what works on a stopped store refuses a folder that is none, and leaves nothing in it.
func TestNoStore(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	for name, do := range map[string]func() error{
		"repair":  func() error { _, err := disk.Repair(dir, false); return err },
		"salvage": func() error { _, err := disk.Repair(dir, true); return err },
		"copy":    func() error { _, err := disk.Copy(dir, to); return err },
		"archive": func() error { return disk.Archive(t.Context(), dir, &strings.Builder{}) },
	} {
		if err := do(); glassq.CodeOf(err) != glassq.CodeBadRequest || !strings.Contains(err.Error(), "holds no store") {
			t.Errorf("%s = %v; want bad_request, and that it holds no store", name, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("%s leaves %v, %v", name, left, err)
		}
	}
}
