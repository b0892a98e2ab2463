package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/glassq/glassq/internal/whole"
)

// unfinishedName is a file in a directory that is still being filled with a copy: no start takes
// what is there.
const unfinishedName = "unfinished"

var (
	// ErrUnfinished: the directory holds a copy that was cut off.
	ErrUnfinished = errors.New("the folder holds a copy that was cut off before it was whole; do the copy again, or remove the folder")
	// ErrNotEmpty: the directory holds something.
	ErrNotEmpty = errors.New("is not empty")
)

// A Filling is a directory that is filled with a copy of a log. Its content until Done is taken
// by no start, and removed by the next Fill.
type Filling struct {
	path string
	made bool // by Fill
	mark *os.File
}

// Fill begins to fill the directory at path, which is absent, empty, or holds what a Fill left that
// was killed: that is removed. The caller ends it with Done or Abort. Errors: ErrNotEmpty,
// ErrLocked when somebody fills it now.
func Fill(path string) (*Filling, error) {
	_, err := os.Stat(path)
	f := &Filling{path: path, made: errors.Is(err, os.ErrNotExist)}
	if err := MakeDir(path); err != nil {
		return nil, err
	}
	left, err := Vacant(path)
	if err != nil {
		return nil, err
	}
	f.mark, err = os.OpenFile(filepath.Join(path, unfinishedName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err = lockFile(f.mark, 0); err == nil {
		for _, name := range left {
			err = errors.Join(err, os.RemoveAll(filepath.Join(path, name)))
		}
	}
	if err == nil {
		err = whole.SyncDir(path) // the mark comes before everything else
	}
	if err != nil {
		f.mark.Close()
		return nil, fmt.Errorf("begin to fill %s: %w", path, err)
	}
	return f, nil
}

// Vacant tells whether Fill would take the directory at path. left are the names that it would
// remove.
func Vacant(path string) (left []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if len(left) > 0 && !slices.Contains(left, unfinishedName) {
		return nil, fmt.Errorf("%s %w", path, ErrNotEmpty)
	}
	return slices.DeleteFunc(left, func(name string) bool { return name == unfinishedName }), nil
}

// Done makes the directory one that a start takes. Everything in it is durable before.
func (f *Filling) Done() error {
	f.mark.Close() // not every system removes an open file
	err := os.Remove(filepath.Join(f.path, unfinishedName))
	if err == nil {
		err = whole.SyncDir(f.path)
	}
	if err != nil {
		return fmt.Errorf("finish %s: %w", f.path, err)
	}
	return nil
}

// Abort removes what was made.
func (f *Filling) Abort() error {
	f.mark.Close()
	if f.made {
		return os.RemoveAll(f.path)
	}
	entries, err := os.ReadDir(f.path)
	for _, e := range entries { // the mark last
		if e.Name() != unfinishedName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(f.path, e.Name())))
		}
	}
	if err == nil {
		err = os.Remove(filepath.Join(f.path, unfinishedName))
	}
	return err
}

// Finished tells by ErrUnfinished that fsys holds a copy that was cut off.
func Finished(fsys FS) error {
	names, err := fsys.List()
	if err == nil && slices.Contains(names, unfinishedName) {
		err = ErrUnfinished
	}
	return err
}
