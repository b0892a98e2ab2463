package audit

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// kept notes entries in a folder, with a log that ends then, and returns what was logged.
func kept(t *testing.T, folder string, entries ...Entry) string {
	t.Helper()
	var said bytes.Buffer
	l := New(Options{Folder: folder, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	for _, e := range entries {
		l.Note(t.Context(), e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.Run(ctx)
	return said.String()
}

// actions are those that Read finds.
func actions(t *testing.T, folder string) (list []string, bad int) {
	t.Helper()
	bad, err := Read(folder, func(e *Entry) error {
		list = append(list, e.Action)
		return nil
	})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return list, bad
}

func TestTornLine(t *testing.T) {
	for _, tt := range []struct{ name, before, want string }{
		{"none", "", "purge"},
		{"a whole line", `{"action":"drop"}` + "\n", "drop purge"},
		{"a torn line", `{"action":"drop"}` + "\n" + `{"acti`, "drop purge"},
		{"nothing but a torn line", `{"acti`, "purge"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte(tt.before), 0o600); err != nil {
			t.Fatal(err)
		}
		kept(t, dir, Entry{Action: "purge", Who: "key"})
		list, bad := actions(t, dir)
		if got := strings.Join(list, " "); got != tt.want || bad != 0 {
			t.Errorf("%s: Read = %s, %d bad; want %s", tt.name, got, bad, tt.want)
		}
	}
}

// TestForeignLines: what is none of our lines is counted and left out, however long it is.
func TestForeignLines(t *testing.T) {
	dir := t.TempDir()
	text := "x\n" + strings.Repeat("y", 3*maxLine) + "\n{}\n" + `{"action":"drop"}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, bad := actions(t, dir); len(list) != 1 || bad != 3 {
		t.Errorf("Read = %v, %d bad; want one entry and 3 bad", list, bad)
	}
}

// TestSize: two files are kept, each of at most fileSize, and the newest lines are among them.
func TestSize(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int64) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("\n"), size-1); err != nil {
			t.Fatal(err)
		}
	}
	write(FileName, fileSize-10)
	write(OldName, 10)
	kept(t, dir, Entry{Action: "purge"}, Entry{Action: "drop"})
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("files = %v, %v; want two", files, err)
	}
	if info, err := os.Stat(filepath.Join(dir, OldName)); err != nil || info.Size() != fileSize-10 {
		t.Errorf("%s = %v, %v; want what was the newest", OldName, info, err)
	}
	if list, _ := actions(t, dir); strings.Join(list, " ") != "purge drop" {
		t.Errorf("Read = %v; want purge drop", list)
	}
}

// TestDiskThatTakesNothing: it is said once, and when the disk takes lines again the audit has how
// many are lost.
func TestDiskThatTakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	var said bytes.Buffer
	l := New(Options{Folder: dir, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	for range 3 {
		l.writeLine(lineOf(&Entry{Action: "purge"}))
	}
	if n := strings.Count(said.String(), "level=ERROR"); n != 1 {
		t.Errorf("said %d times, want once: %s", n, said.String())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.writeLine(lineOf(&Entry{Action: "drop"}))
	var lost int64
	if _, err := Read(dir, func(e *Entry) error { lost += e.Count; return nil }); err != nil || lost != 3 {
		t.Errorf("lost = %d, %v; want 3", lost, err)
	}
	if list, _ := actions(t, dir); strings.Join(list, " ") != ActionLost+" drop" {
		t.Errorf("Read = %v", list)
	}
	l.file.Close()
}

// TestFileIsTaken: what others do to the file, by hand or with a program that rotates, loses no line that comes after.
func TestFileIsTaken(t *testing.T) {
	for _, tt := range []struct {
		name string
		take func(path string) error
		want string
	}{
		{"removed", os.Remove, "drop pause"},
		{"moved", func(path string) error { return os.Rename(path, path+".1") }, "drop pause"},
		{"moved, and an empty one made", func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o600))
		}, "drop pause"},
		{"copied and cut", func(path string) error { return os.Truncate(path, 0) }, "drop pause"},
		{"written to by another", func(path string) error {
			text, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, append(text, text...), 0o600))
		}, "purge purge drop pause"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var said bytes.Buffer
			l := New(Options{Folder: dir, Logger: slog.New(slog.NewTextHandler(&said, nil))})
			l.writeLine(lineOf(&Entry{Action: "purge"}))
			if err := tt.take(filepath.Join(dir, FileName)); err != nil {
				if runtime.GOOS == "windows" {
					t.Skip(err) // a file that is open stays where it is
				}
				t.Fatal(err)
			}
			l.writeLine(lineOf(&Entry{Action: "drop"}))
			l.writeLine(lineOf(&Entry{Action: "pause"}))
			l.file.Close()
			if list, bad := actions(t, dir); strings.Join(list, " ") != tt.want || bad != 0 || said.Len() != 0 {
				t.Errorf("Read = %v, %d bad, log %q; want %s", list, bad, said.String(), tt.want)
			}
		})
	}
}

// TestNobodyWaits: with nobody who writes, as while a disk hangs, entries are taken, told, and
// counted as lost.
func TestNobodyWaits(t *testing.T) {
	heard := 0
	l := New(Options{Folder: t.TempDir(), Heard: func(context.Context, *Entry) { heard++ }})
	for range waiting + 5 {
		l.Note(t.Context(), Entry{Action: "purge"})
	}
	if lost := l.lost.Load(); lost != 5 || heard != waiting+5 {
		t.Errorf("lost %d, heard %d; want 5 and %d", lost, heard, waiting+5)
	}
	(*Log)(nil).Note(t.Context(), Entry{})
}

func TestLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := 0
		n := Logins{Log: New(Options{Heard: func(_ context.Context, e *Entry) {
			if e.Action != ActionLogin || e.Outcome == "" || e.Time.IsZero() {
				t.Errorf("entry = %+v", e)
			}
			heard++
		}})}
		times := func(want int, e Entry) {
			t.Helper()
			heard = 0
			for range 3 {
				n.Note(t.Context(), e)
			}
			if heard != want {
				t.Errorf("%+v: %d lines, want %d", e, heard, want)
			}
		}
		ci := Entry{Who: "ci", Door: "http", From: "10.0.0.1"}
		times(1, ci)
		times(0, ci)
		times(1, Entry{Who: "ci", Door: "http", From: "10.0.0.2"})
		time.Sleep(loginEvery)
		times(1, ci)
		heard = 0
		for i := range 2 * maxLogins {
			n.Note(t.Context(), Entry{Who: "unknown", From: strings.Repeat("x", i)})
		}
		if heard != maxLogins-1 {
			t.Errorf("a flood made %d lines, want %d", heard, maxLogins-1)
		}
	})
}
