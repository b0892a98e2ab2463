package waltest

import (
	"errors"
	"sync"
	"syscall"

	"github.com/glassq/glassq/internal/wal"
)

// ErrLie is what a hook of Faulty returns to make a call do nothing and say that it did.
var ErrLie = errors.New("waltest: done nothing, said so")

// A Call is one call of a file system: create, open, rename, remove, list, syncdir, or of
// a file: read, write, truncate, allocate, zero, sync.
type Call struct {
	Op     string
	Name   string // of the file as it was opened; of a rename, the old one
	To     string // of a rename
	Off, N int64
}

// Faulty asks hook before every call of fs; an error that is not ErrLie is the call's answer.
// It passes Space on.
func Faulty(fs wal.FS, hook func(Call) error) wal.FS { return faulty{fs, hook} }

type faulty struct {
	wal.FS
	hook func(Call) error
}

// do asks the hook, then calls fn.
func (m faulty) do(c Call, fn func() error) error {
	switch err := m.hook(c); err {
	case nil:
		return fn()
	case ErrLie:
		return nil
	default:
		return err
	}
}

func (m faulty) open(op, name string, fn func(string) (wal.File, error)) (wal.File, error) {
	if err := m.hook(Call{Op: op, Name: name}); err != nil {
		return nil, err
	}
	f, err := fn(name)
	if err != nil {
		return nil, err
	}
	return faultyFile{f, m, name}, nil
}

func (m faulty) Open(name string) (wal.File, error)   { return m.open("open", name, m.FS.Open) }
func (m faulty) Create(name string) (wal.File, error) { return m.open("create", name, m.FS.Create) }
func (m faulty) SyncDir() error                       { return m.do(Call{Op: "syncdir"}, m.FS.SyncDir) }

func (m faulty) Rename(oldName, newName string) error {
	return m.do(Call{Op: "rename", Name: oldName, To: newName}, func() error { return m.FS.Rename(oldName, newName) })
}

func (m faulty) Remove(name string) error {
	return m.do(Call{Op: "remove", Name: name}, func() error { return m.FS.Remove(name) })
}

func (m faulty) List() (names []string, err error) {
	err = m.do(Call{Op: "list"}, func() error { names, err = m.FS.List(); return err })
	return names, err
}

// Space implements wal.Spacer where the file system below does; else there is no end of it.
func (m faulty) Space() (free, total int64, err error) {
	if s, ok := m.FS.(wal.Spacer); ok {
		return s.Space()
	}
	return 1 << 50, 1 << 50, nil
}

type faultyFile struct {
	wal.File
	m    faulty
	name string
}

func (f faultyFile) ReadAt(b []byte, off int64) (n int, err error) {
	if err := f.m.hook(Call{Op: "read", Name: f.name, Off: off, N: int64(len(b))}); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, off)
}

func (f faultyFile) WriteAt(b []byte, off int64) (n int, err error) {
	n = len(b)
	err = f.m.do(Call{Op: "write", Name: f.name, Off: off, N: int64(len(b))}, func() error {
		n, err = f.File.WriteAt(b, off)
		return err
	})
	if err != nil && n == len(b) {
		n = 0
	}
	return n, err
}

func (f faultyFile) Truncate(size int64) error {
	return f.m.do(Call{Op: "truncate", Name: f.name, Off: size}, func() error { return f.File.Truncate(size) })
}

func (f faultyFile) Allocate(off, n int64) error {
	return f.m.do(Call{Op: "allocate", Name: f.name, Off: off, N: n}, func() error { return f.File.Allocate(off, n) })
}

func (f faultyFile) Zero(off, n int64) error {
	return f.m.do(Call{Op: "zero", Name: f.name, Off: off, N: n}, func() error { return f.File.Zero(off, n) })
}

func (f faultyFile) Sync() error {
	return f.m.do(Call{Op: "sync", Name: f.name}, f.File.Sync)
}

// A Disk is a file system with an end: what lengthens a file beyond it is refused with
// ENOSPC. It implements wal.Spacer. Files that were removed or replaced take no room.
type Disk struct {
	wal.FS
	mu    sync.Mutex // one change of sizes at a time
	total int64
	other int64 // bytes that others take
}

// Small makes a disk of total bytes of fs, which nobody else uses.
func Small(fs wal.FS, total int64) *Disk { return &Disk{FS: fs, total: total} }

// Others makes somebody else take n bytes of the disk, instead of what they took before.
func (d *Disk) Others(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.other = n
}

// Space implements wal.Spacer.
func (d *Disk) Space() (free, total int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free, err = d.free()
	return max(free, 0), d.total, err
}

func (d *Disk) free() (int64, error) {
	names, err := d.FS.List()
	if err != nil {
		return 0, err
	}
	free := d.total - d.other
	for _, name := range names {
		f, err := d.FS.Open(name)
		if err != nil {
			continue // removed meanwhile
		}
		size, err := f.Size()
		f.Close()
		if err != nil {
			return 0, err
		}
		free -= size
	}
	return free, nil
}

// Open implements wal.FS.
func (d *Disk) Open(name string) (wal.File, error) { return d.file(d.FS.Open(name)) }

// Create implements wal.FS.
func (d *Disk) Create(name string) (wal.File, error) { return d.file(d.FS.Create(name)) }

func (d *Disk) file(f wal.File, err error) (wal.File, error) {
	if err != nil {
		return nil, err
	}
	return diskFile{f, d}, nil
}

type diskFile struct {
	wal.File
	d *Disk
}

// grow calls fn if the file may end at end; short tells how many bytes are too many.
func (f diskFile) grow(end int64, fn func(short int64) error) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	size, err := f.File.Size()
	if err != nil {
		return err
	}
	if end <= size {
		return fn(0)
	}
	free, err := f.d.free()
	if err != nil {
		return err
	}
	return fn(max(end-size-max(free, 0), 0))
}

func (f diskFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.grow(off+int64(len(b)), func(short int64) (err error) {
		if n, err = f.File.WriteAt(b[:max(int64(len(b))-short, 0)], off); err == nil && short > 0 {
			err = syscall.ENOSPC
		}
		return err
	})
	return n, err
}

func (f diskFile) Allocate(off, n int64) error {
	return f.grow(off+n, func(short int64) error {
		if short > 0 {
			return syscall.ENOSPC
		}
		size, err := f.File.Size()
		if err != nil || size >= off+n {
			return err
		}
		return f.File.Truncate(off + n)
	})
}

func (f diskFile) Zero(off, n int64) error {
	return f.grow(off+n, func(short int64) error {
		if short > 0 {
			return syscall.ENOSPC
		}
		return f.File.Zero(off, n)
	})
}
