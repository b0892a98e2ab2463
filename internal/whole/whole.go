// Package whole writes files that others see as a whole, also after a power cut.
package whole

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Write replaces the file at path. Until it is whole it has a name of its own in the folder parts, of
// the same file system. As root it keeps the owner of what was there, except in a folder where everyone
// may write. Where it fails what was there stays.
func Write(path, parts string, text []byte, mode fs.FileMode) error {
	return WriteLike(path, path, parts, text, mode)
}

// WriteLike is Write of a file that gets the owner of another one, like, if that is there.
func WriteLike(like, path, parts string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(parts, "."+filepath.Base(path)+".*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil && mode != 0o600 {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = keepOwner(f, like)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name()) // the first error counts
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder durable. On Windows the file system journals them.
func SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
