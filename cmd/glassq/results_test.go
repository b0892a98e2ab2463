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
// when somebody has removed, moved, replaced or cut it.
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
		{"cut", func(path string) error { return os.Truncate(path, 1) }, errChanged},
		{"emptied and written by another", func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }, errChanged},
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
			if _, err := r.Write([]byte("{}\n")); err != nil {
				t.Fatal(err)
			}
			if err := tt.do(path); err != nil {
				t.Fatal(err)
			}
			if err := r.syncer()(); !errors.Is(err, tt.want) {
				t.Errorf("sync = %v, want %v", err, tt.want)
			}
		})
	}
}

// TestResultsChanged: nothing is written over what somebody else wrote into the file, nor behind a
// hole that somebody else made; what was written before it was cut is not acked with what comes.
func TestResultsChanged(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(f *os.File) error
		want error
	}{
		{"nothing", func(*os.File) error { return nil }, nil},
		{"emptied", func(f *os.File) error { return f.Truncate(0) }, errChanged},
		{"cut", func(f *os.File) error { return f.Truncate(1) }, errChanged},
		{"appended to", func(f *os.File) error { _, err := f.WriteAt([]byte("x"), 3); return err }, errChanged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r.ndjson")
			r, err := openResults(path, output.LoadOptions{Run: "r", Format: output.NDJSON})
			if err != nil {
				t.Fatal(err)
			}
			defer r.f.Close()
			other, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if _, err = r.Write([]byte("{}\n")); err == nil {
				err = tt.do(other)
			}
			if err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Write([]byte("[]\n"))
			if !errors.Is(err, tt.want) {
				t.Errorf("write = %v, want %v", err, tt.want)
			}
			if after, _ := os.ReadFile(path); err != nil && string(after) != string(before) {
				t.Errorf("wrote %q over %q", after, before)
			}
		})
	}
}

// TestResultsHeld: two outputs do not write into one file, in whatever format; the next one may when
// the first has ended.
func TestResultsHeld(t *testing.T) {
	for _, format := range []output.Format{output.NDJSON, output.CSV, output.Text, output.Custom} {
		t.Run(string(format), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r")
			opt := output.LoadOptions{Run: "r", Format: format}
			first, err := openResults(path, opt)
			if err != nil {
				t.Fatal(err)
			}
			if second, err := openResults(path, opt); exitCode(err) != exitUsage {
				if err == nil {
					second.f.Close()
				}
				t.Errorf("the second open = %v, want exit code %d", err, exitUsage)
			}
			if _, err := os.ReadFile(path); err != nil {
				t.Errorf("read beside it: %v", err)
			}
			if err := first.f.Close(); err != nil {
				t.Fatal(err)
			}
			next, err := openResults(path, opt)
			if err != nil {
				t.Fatal(err)
			}
			next.f.Close()
		})
	}
}
