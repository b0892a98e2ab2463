package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/glassq/glassq/internal/whole"
)

// DirFS is a directory of the operating system. Lock makes it, readable by its owner
// only, if it does not exist.
func DirFS(path string) FS { return dirFS{path} }

type dirFS struct{ path string }

func (d dirFS) Open(name string) (File, error) { return d.openFile(name, os.O_RDWR) }

func (d dirFS) Create(name string) (File, error) {
	return d.openFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (d dirFS) openFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), flag, 0o600)
	if err != nil {
		return nil, lacksInodes(d, err)
	}
	return osFile{f}, nil
}

// lacksInodes says so when that is why err, of making a file, says that there is no room.
func lacksInodes(in FS, err error) error {
	i, ok := in.(Inoder)
	if !ok || !isNoSpace(err) {
		return err
	}
	if free, total, ierr := i.Inodes(); ierr == nil && total > 0 && free == 0 {
		return fmt.Errorf("%w: %w", err, ErrNoInodes)
	}
	return err
}

func (d dirFS) Rename(oldName, newName string) error {
	return os.Rename(filepath.Join(d.path, oldName), filepath.Join(d.path, newName))
}

func (d dirFS) Remove(name string) error {
	path := filepath.Join(d.path, name)
	if st, err := os.Stat(path); err != nil || st.Size() <= 2*removeStep {
		return os.Remove(path)
	}
	// A large file goes bit by bit: while a file system frees 64 MiB at once, syncs of other files
	// wait for it, 20 ms on ext4. First it gets a name that no start takes for a part of the log,
	// durably.
	dying := path + tmpSuffix
	if err := os.Rename(path, dying); err != nil {
		return err
	}
	if err := d.SyncDir(); err != nil {
		return err
	}
	shrink(dying)
	return os.Remove(dying)
}

const removeStep = 1 << 20 // bytes of a file that are freed at a time

// shrink frees what a file has in steps, each followed by a pause of twice its time. A file that
// fails is left to who removes the file.
func shrink(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return
	}
	for size := st.Size() - removeStep; size > 0; size -= removeStep {
		began := time.Now()
		if f.Truncate(size) != nil {
			return
		}
		time.Sleep(2 * time.Since(began))
	}
}

func (d dirFS) List() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (d dirFS) SyncDir() error { return whole.SyncDir(d.path) }

func (d dirFS) Lock(name string) (io.Closer, error) {
	if err := MakeDir(d.path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, lacksInodes(d, err)
	}
	if err := lockFile(f, 0); err != nil {
		f.Close()
		return nil, err
	}
	held, err := holdDir(d.path)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &dirLock{f, held}, nil
}

// LockFile makes f, a regular file, that of its caller alone until it is closed; others may read it.
// Errors: ErrLocked when somebody has it now, or that of a file system which knows no locks.
func LockFile(f *os.File) error { return lockFile(f, 1<<30) }

// A dirLock holds a directory, also when somebody removes the file in it.
type dirLock struct {
	file *os.File
	dir  *os.File // nil where a directory cannot be held
}

// Close releases the directory.
func (l *dirLock) Close() error {
	err := l.file.Close() // closing it unlocks it
	if l.dir != nil {
		err = errors.Join(err, l.dir.Close())
	}
	return err
}

// MakeDir is os.MkdirAll with every new name made durable, and that of path also when it is not
// new: a process that was killed may have made it.
func MakeDir(path string) error {
	parent := filepath.Dir(path)
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return whole.SyncDir(parent)
	}
	if _, err := os.Stat(parent); parent != path && err != nil {
		if err := MakeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return lacksInodes(DirFS(parent), err)
	}
	return whole.SyncDir(parent)
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) Allocate(off, n int64) error { return allocate(f.File, off, n) }

func (f osFile) Sync() error { return dataSync(f.File) }

func (f osFile) Zero(off, n int64) error {
	for n > 0 {
		b := zeros[:min(n, int64(len(zeros)))]
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
		off, n = off+int64(len(b)), n-int64(len(b))
	}
	return nil
}
