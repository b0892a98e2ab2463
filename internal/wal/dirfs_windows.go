package wal

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// lockFile locks the byte at high << 32 of f. Others cannot read what is locked.
func lockFile(f *os.File, high uint32) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{OffsetHigh: high})
	if err == windows.ERROR_LOCK_VIOLATION {
		return ErrLocked
	}
	return err
}

// holdDir does nothing: a file that is open cannot be removed.
func holdDir(string) (*os.File, error) { return nil, nil }

// isNoSpace tells whether err says that the disk is full.
func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, syscall.ENOSPC)
}

// Space implements Spacer.
func (d dirFS) Space() (free, total int64, err error) {
	path, err := windows.UTF16PtrFromString(d.path)
	if err != nil {
		return 0, 0, err
	}
	var avail, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(path, &avail, &all, &unused); err != nil {
		return 0, 0, &os.PathError{Op: "free space", Path: d.path, Err: err}
	}
	return int64(avail), int64(all), nil
}
