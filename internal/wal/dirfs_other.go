//go:build !linux

package wal

import "os"

// dataSync is a full flush of the drive on macOS.
func dataSync(f *os.File) error { return f.Sync() }

func allocate(*os.File, int64, int64) error { return nil }
