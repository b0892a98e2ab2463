package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/glassq/glassq/internal/wal"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// writesFile are the flags of all commands that name a file which the command writes. Others that name a
// file are of one that it reads.
var writesFile = []string{"out", "report", "summary-out", "hgrm", "junit", "missing-out", "failed-out", "duplicate-out", "joblog",
	"log", "cpuprofile"}

// oneFileEach refuses a file that a command would write twice, or read and write, whatever names it has:
// what one flag is for would be gone by what the other is for.
func (a *app) oneFileEach(cmd *cobra.Command) error {
	var written []*pflag.Flag
	check := func(f *pflag.Flag, does string) error {
		for _, w := range written {
			if samePlace(w.Value.String(), f.Value.String()) {
				return usagef("--%s writes %s, and --%s would %s the same file; name another", w.Name, w.Value, f.Name, does)
			}
		}
		return nil
	}
	names := func(f *pflag.Flag) bool { // a file
		placeholder, _ := pflag.UnquoteUsage(f)
		return placeholder == "file" && f.Value.String() != "" && f.Value.String() != "-"
	}
	for _, flag := range writesFile {
		f := cmd.Flags().Lookup(flag)
		if f == nil || !names(f) {
			continue
		}
		if err := check(f, "write"); err != nil {
			return err
		}
		written = append(written, f)
	}
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if err == nil && names(f) && !slices.Contains(writesFile, f.Name) {
			err = check(f, "read")
		}
	})
	return err
}

// samePlace tells whether two names are, or would be, of one file. A device may be written twice.
func samePlace(a, b string) bool {
	is, err := os.Stat(a)
	if err != nil {
		return leadsTo(a) == leadsTo(b)
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(is, other) && is.Mode()&os.ModeDevice == 0
}

// leadsTo is the file that a name leads to, which need not be there.
func leadsTo(path string) string {
	for range 40 { // as many links as a kernel follows
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, filepath.Base(path))
}

// isStdout tells whether a name, such as /dev/stdout, is of this program's standard output.
func (a *app) isStdout(path string) bool {
	is, err := os.Stat(path)
	if err != nil || is.Mode()&os.ModeDevice != 0 {
		return false
	}
	out, err := a.out.Stat()
	return err == nil && os.SameFile(is, out)
}

// rewrite opens or creates the file at path, empty and for this program alone until it is closed.
func rewrite(path string, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	if err := claim(f); err != nil {
		f.Close()
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if err := f.Truncate(0); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// claim makes a regular file that of this program alone until it is closed. Some file systems know no
// locks.
func claim(f *os.File) error {
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && errors.Is(wal.LockFile(f), wal.ErrLocked) {
		return fmt.Errorf("another program writes to %s; let it end, or name another file", f.Name())
	}
	return nil
}

func isRegular(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular()
}

// writeFile writes a file as a whole: what stood there stays until the new one is there. A link stays
// one, and standard output goes on where it is.
func (a *app) writeFile(path string, write func(io.Writer) error) error {
	if a.isStdout(path) {
		return write(a.out)
	}
	if !isRegular(path) { // a device or a pipe
		return writeTo(path, os.O_WRONLY, write)
	}
	path = leadsTo(path)
	tmp := fmt.Sprintf("%s.%08x.tmp", path, rand.Uint32()) // others may write there too
	if err := writeTo(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, write); err != nil {
		os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, path)
}

func writeTo(path string, flag int, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, flag, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close()) // both name the file
}
