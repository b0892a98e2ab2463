package wal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dataSync leaves out what os.File.Sync writes beyond the data and the size.
func dataSync(f *os.File) error {
	return control(f, func(fd int) error { return unix.Fdatasync(fd) })
}

// allocate changes the size: a later sync then has no size to write.
func allocate(f *os.File, off, n int64) error {
	err := control(f, func(fd int) error { return unix.Fallocate(fd, 0, off, n) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// control calls fn with the descriptor, again when a signal interrupts it.
func control(f *os.File, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	err = c.Control(func(fd uintptr) {
		for ferr = fn(int(fd)); ferr == unix.EINTR; ferr = fn(int(fd)) {
		}
	})
	if err != nil {
		return err
	}
	return ferr
}
