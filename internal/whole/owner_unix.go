//go:build unix

package whole

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f the owner of the file at like, if there is one: what root changes for a service
// the service can read still.
func keepOwner(f *os.File, like string) error {
	if os.Geteuid() != 0 {
		return nil // only root may give a file away
	}
	old, err := os.Stat(like)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	owner := old.Sys().(*syscall.Stat_t)
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
