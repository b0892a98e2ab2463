//go:build unix

package whole

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// keepOwner gives f the owner of the file at like, if there is one: what root changes for a service
// the service can read still. In a folder where everyone may write, anyone may have put that file there
// to be given what root writes: it gets nothing.
func keepOwner(f *os.File, like string) error {
	if os.Geteuid() != 0 {
		return nil // only root may give a file away
	}
	old, err := os.Stat(like)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	folder, ferr := os.Stat(filepath.Dir(like))
	own, oerr := f.Stat()
	if err = errors.Join(err, ferr, oerr); err != nil {
		return err
	}
	was, is := old.Sys().(*syscall.Stat_t), own.Sys().(*syscall.Stat_t)
	if was.Uid == is.Uid || folder.Mode()&0o002 != 0 {
		return nil
	}
	if f.Chown(int(was.Uid), int(was.Gid)) == nil {
		return nil
	}
	return f.Chown(int(was.Uid), -1) // a group that cannot be given is no reason to change nothing
}
