package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/glassq/glassq/internal/output"
)

// TestResultsGone: results are acked when they are in a file that is there under its name, and not
// when somebody has removed, moved or replaced it.
func TestResultsGone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file that is open cannot be removed there")
	}
	for _, tt := range []struct {
		name string
		do   func(path string) error
		want error
	}{
		{"nothing", func(string) error { return nil }, nil},
		{"written by another, too", func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }, nil},
		{"removed", os.Remove, errGone},
		{"its folder removed", func(path string) error { return os.RemoveAll(filepath.Dir(path)) }, errGone},
		{"moved", func(path string) error { return os.Rename(path, path+".1") }, errGone},
		{"replaced", func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o600))
		}, errGone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "d", "r.ndjson")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			r, err := openResults(path, output.LoadOptions{Run: "r", Format: output.NDJSON})
			if err != nil {
				t.Fatal(err)
			}
			defer r.f.Close()
			if err := tt.do(path); err != nil {
				t.Fatal(err)
			}
			if err := r.syncer()(); !errors.Is(err, tt.want) {
				t.Errorf("sync = %v, want %v", err, tt.want)
			}
		})
	}
}
