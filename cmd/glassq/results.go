package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/glassq/glassq/internal/output"
	"github.com/glassq/glassq/internal/wal"
)

// A resultFile is a file of results that may go on where an earlier output ended. No other output
// has it at the same time.
type resultFile struct {
	f    *os.File
	is   os.FileInfo  // which file it was when it was opened; nil for a pipe or a device
	seen *output.Seen // what it has already; nil when it cannot be read again
	size atomic.Int64 // bytes of it that earlier outputs and this one have written
}

// openResults opens or creates the file at path and reads which results it has. A line that a crash
// tore is cut off.
func openResults(path string, opt output.LoadOptions) (*resultFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, usagef("open the results: %w", err)
	}
	r := &resultFile{f: f}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return r, nil // nothing to go on from
	}
	r.is = info
	if err := claim(f); err != nil {
		f.Close()
		return nil, usagef("%w", err)
	}
	if info.Size() == 0 {
		// It may be new, and what is acked rests on its name. Some file systems cannot do more for that.
		_ = wal.DirFS(filepath.Dir(path)).SyncDir()
	}
	if info.Size() == 0 && (opt.Format == output.Text || opt.Format == output.Custom) {
		return r, nil
	}
	opt.Again = func() io.Reader { return io.NewSectionReader(f, 0, math.MaxInt64) }
	var size int64
	r.seen, size, err = output.LoadSeen(f, opt)
	if err != nil {
		f.Close()
		return nil, usagef("%s cannot be continued: %w; name another --out", path, err)
	}
	r.size.Store(size)
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, fmt.Errorf("cut off the torn end of the results: %w", err)
	}
	if _, err := f.Seek(size, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("go to the end of the results: %w", err)
	}
	return r, nil
}

// fileFormat is the format of a file of results by its name.
func fileFormat(path string) output.Format {
	if strings.HasSuffix(path, ".csv") {
		return output.CSV
	}
	return output.NDJSON
}

// syncer makes what was written to f durable; nil where there is nothing to do.
func syncer(f *os.File) func() error {
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return f.Sync
}

// Write appends b, unless the file is not as it was left: there would be a hole, or b would stand in
// what somebody else wrote.
func (r *resultFile) Write(b []byte) (int, error) {
	if r.is != nil {
		info, err := r.f.Stat()
		if err == nil && info.Size() != r.size.Load() {
			err = errChanged
		}
		if err != nil {
			return 0, err
		}
	}
	n, err := r.f.Write(b)
	r.size.Add(int64(n))
	return n, err
}

// syncer is that of the file, which must be there still: what is acked rests on its name.
func (r *resultFile) syncer() func() error {
	if r.is == nil {
		return nil
	}
	return func() error { return cmp.Or(r.f.Sync(), r.there()) }
}

// there refuses a file that is not there under its name any more, or lacks what was written to it.
func (r *resultFile) there() error {
	if r.is == nil {
		return nil
	}
	written := r.size.Load() // before Stat: it may grow meanwhile
	named, err := os.Stat(r.f.Name())
	switch {
	case err != nil || !os.SameFile(r.is, named):
		return errGone
	case named.Size() < written:
		return errChanged
	}
	return nil
}

var (
	// errGone is that of results whose file has been removed, or replaced, while it was written.
	errGone = errors.New("the file has been removed, moved or replaced, with what was written into it")
	// errChanged is that of results whose file has been cut, or written to by somebody else.
	errChanged = errors.New("the file has been cut, or somebody else has written into it")
)
