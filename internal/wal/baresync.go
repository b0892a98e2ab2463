package wal

import (
	"fmt"
	"os"
	"slices"
	"time"
)

// BareSync measures the disk under dir: the median time of writing 4 KiB into a preallocated file
// and syncing it, over some hundred times. A commit of the log cannot be faster. It
// takes about as many syncs as it says, and leaves nothing behind.
func BareSync(dir string) (time.Duration, error) {
	p50, _, err := SyncTimes(dir)
	return p50, err
}

// SyncTimes is BareSync with the time that 99 of 100 stay below.
func SyncTimes(dir string) (p50, p99 time.Duration, err error) {
	const times, block = 200, 4096
	tmp, err := os.MkdirTemp(dir, "sync-speed-")
	if err != nil {
		return 0, 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer os.RemoveAll(tmp)
	f, err := DirFS(tmp).Create("probe")
	if err != nil {
		return 0, 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer f.Close()
	if err := f.Allocate(0, times*block); err != nil {
		return 0, 0, fmt.Errorf("measure the disk: %w", err)
	}
	if err := f.Sync(); err != nil {
		return 0, 0, fmt.Errorf("measure the disk: %w", err)
	}
	took := make([]time.Duration, times)
	data := make([]byte, block)
	for i := range took {
		began := time.Now()
		if _, err := f.WriteAt(data, int64(i)*block); err != nil {
			return 0, 0, fmt.Errorf("measure the disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, 0, fmt.Errorf("measure the disk: %w", err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[times/2], took[times*99/100], nil
}
