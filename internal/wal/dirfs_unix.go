//go:build unix

package wal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func lockFile(f *os.File, _ uint32) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return ErrLocked
	}
	return err
}

// holdDir locks the directory itself, where its file system can do that.
func holdDir(path string) (*os.File, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := lockFile(d, 0); err != nil {
		d.Close()
		if err != ErrLocked {
			err = nil // a network file system, perhaps: the file in it is locked
		}
		return nil, err
	}
	return d, nil
}

// isNoSpace tells whether err says that the disk, or the user's share of it, is full.
func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// Space implements Spacer: what a process without special rights may still take.
func (d dirFS) Space() (free, total int64, err error) {
	st, err := d.statfs()
	block := int64(st.Bsize)
	return int64(st.Bavail) * block, int64(st.Blocks) * block, err
}

// Inodes implements Inoder.
func (d dirFS) Inodes() (free, total int64, err error) {
	st, err := d.statfs()
	return int64(st.Ffree), int64(st.Files), err
}

func (d dirFS) statfs() (st unix.Statfs_t, err error) {
	for err = unix.Statfs(d.path, &st); err == unix.EINTR; err = unix.Statfs(d.path, &st) {
	}
	if err != nil {
		err = &os.PathError{Op: "statfs", Path: d.path, Err: err}
	}
	return st, err
}
