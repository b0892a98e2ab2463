package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/glassq/glassq/internal/wal"
	"github.com/spf13/cobra"
)

// Flags that name files, of all commands: those that the command writes, and those that it reads. No
// two flags write the same file, and none a file that is read.
var (
	writesFile = []string{"out", "report", "summary-out", "hgrm", "junit", "missing-out", "failed-out", "duplicate-out", "joblog", "log"}
	readsFile  = []string{"file", "ids", "config", "key-file", "token-file", "ca", "client-cert", "client-key", "target-ca",
		"target-cert", "target-key"}
)

// oneFileEach refuses a file that a command would write twice, or read and write, whatever names it has:
// what one flag is for would be gone by what the other is for.
func (a *app) oneFileEach(cmd *cobra.Command) error {
	type named struct{ flag, path string }
	var written []named
	for i, flag := range append(writesFile[:len(writesFile):len(writesFile)], readsFile...) {
		f := cmd.Flags().Lookup(flag)
		if f == nil || f.Value.Type() != "string" || f.Value.String() == "" || f.Value.String() == "-" {
			continue
		}
		now := named{flag, f.Value.String()}
		for _, w := range written {
			if !samePlace(w.path, now.path) {
				continue
			}
			does := "write"
			if i >= len(writesFile) {
				does = "read"
			}
			return usagef("--%s writes %s, and --%s would %s the same file; name another", w.flag, w.path, now.flag, does)
		}
		if i < len(writesFile) {
			written = append(written, now)
		}
	}
	return nil
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
