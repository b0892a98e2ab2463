package wal

import (
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// An Overlay is a directory that looks like another one, and keeps in memory what is changed in it.
// So a log can be opened, and cut, without a change of what lies below. Nobody may change that
// meanwhile. Its memory is bounded by what is written, in pages.
type Overlay struct {
	base FS

	mu     sync.Mutex
	files  map[string]*overData // mu; opened, changed or made here
	gone   map[string]bool      // mu; names of the base that are not here any more
	forget bool                 // mu
}

// NewOverlay begins with what is in base.
func NewOverlay(base FS) *Overlay {
	return &Overlay{base: base, files: map[string]*overData{}, gone: map[string]bool{}}
}

// Forget has the overlay drop what is written from now on: nobody will read it.
func (o *Overlay) Forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget = true
}

func (o *Overlay) forgets() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.forget
}

type overData struct {
	name string // in the base; "" for a file that is not from there

	mu    sync.RWMutex
	limit int64            // mu; bytes of the base that show where no page is
	size  int64            // mu
	pages map[int64][]byte // mu
}

type overFile struct {
	o    *Overlay
	d    *overData
	base File // nil for a file that is not from there

	mu     sync.RWMutex
	closed bool // mu
}

func (o *Overlay) Open(name string) (File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.files[name]
	if d == nil && o.gone[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f := &overFile{o: o, d: d}
	if d == nil {
		f.d = &overData{name: name, pages: map[int64][]byte{}}
	}
	if f.d.name != "" {
		var err error
		if f.base, err = o.base.Open(f.d.name); err != nil {
			return nil, err
		}
		if d == nil {
			if f.d.size, err = f.base.Size(); err != nil {
				f.base.Close()
				return nil, err
			}
			f.d.limit = f.d.size
		}
	}
	o.files[name] = f.d
	return f, nil
}

func (o *Overlay) Create(name string) (File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := &overData{pages: map[int64][]byte{}}
	o.files[name], o.gone[name] = d, true
	return &overFile{o: o, d: d}, nil
}

func (o *Overlay) Rename(oldName, newName string) error {
	f, err := o.Open(oldName)
	if err != nil {
		return err
	}
	defer f.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.files[newName] = o.files[oldName]
	delete(o.files, oldName)
	o.gone[oldName], o.gone[newName] = true, true
	return nil
}

func (o *Overlay) Remove(name string) error {
	f, err := o.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.files, name)
	o.gone[name] = true
	return nil
}

func (o *Overlay) List() ([]string, error) {
	below, err := o.base.List()
	o.mu.Lock()
	defer o.mu.Unlock()
	names := slices.DeleteFunc(below, func(name string) bool { return o.gone[name] || o.files[name] != nil })
	return slices.AppendSeq(names, maps.Keys(o.files)), err
}

func (o *Overlay) SyncDir() error { return nil }

// Lock does nothing: who makes an overlay has it alone.
func (o *Overlay) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (f *overFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	if f.base != nil {
		return f.base.Close()
	}
	return nil
}

// open takes the read lock of an open file.
func (f *overFile) open() error {
	f.mu.RLock()
	if f.closed {
		f.mu.RUnlock()
		return fs.ErrClosed
	}
	return nil
}

// below reads what shows of the base; the rest is zeros. d.mu is held.
func (f *overFile) below(b []byte, off int64) error {
	n := min(int64(len(b)), max(f.d.limit-off, 0))
	clear(b[n:])
	if n == 0 {
		return nil
	}
	if m, err := f.base.ReadAt(b[:n], off); int64(m) < n {
		return err
	}
	return nil
}

func (f *overFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	defer f.mu.RUnlock()
	d := f.d
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := int(min(int64(len(b)), max(d.size-off, 0)))
	if err := f.below(b[:n], off); err != nil {
		return 0, err
	}
	for done := 0; done < n && len(d.pages) > 0; {
		page, at := (off+int64(done))/memPage, (off+int64(done))%memPage
		part := b[done:min(n, done+int(memPage-at))]
		if p := d.pages[page]; p != nil {
			copy(part, p[at:])
		}
		done += len(part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *overFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	defer f.mu.RUnlock()
	forget := f.o.forgets()
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	for done := 0; done < len(b) && !forget; {
		page, at := (off+int64(done))/memPage, (off+int64(done))%memPage
		if d.pages[page] == nil {
			p := make([]byte, memPage)
			if err := f.below(p, page*memPage); err != nil {
				return done, err
			}
			d.pages[page] = p
		}
		done += copy(d.pages[page][at:], b[done:])
	}
	d.size = max(d.size, off+int64(len(b)))
	return len(b), nil
}

func (f *overFile) Size() (int64, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	defer f.mu.RUnlock()
	f.d.mu.RLock()
	defer f.d.mu.RUnlock()
	return f.d.size, nil
}

func (f *overFile) Truncate(size int64) error {
	if err := f.open(); err != nil {
		return err
	}
	defer f.mu.RUnlock()
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit, d.size = min(d.limit, size), size
	for page, p := range d.pages {
		if at := page * memPage; at >= size {
			delete(d.pages, page)
		} else if at+memPage > size {
			clear(p[size-at:])
		}
	}
	return nil
}

// Allocate lengthens the file, which costs no memory.
func (f *overFile) Allocate(off, n int64) error {
	if err := f.open(); err != nil {
		return err
	}
	defer f.mu.RUnlock()
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.size = max(f.d.size, off+n)
	return nil
}

// Zero takes memory only where something shows that is not zero.
func (f *overFile) Zero(off, n int64) error {
	for end := off + n; off < end; {
		part := min(memPage-off%memPage, end-off)
		f.d.mu.RLock()
		shows := f.d.pages[off/memPage] != nil || off < f.d.limit
		f.d.mu.RUnlock()
		if shows {
			if _, err := f.WriteAt(zeros[:part], off); err != nil {
				return err
			}
		} else if err := f.Allocate(off, part); err != nil {
			return err
		}
		off += part
	}
	return nil
}

func (f *overFile) Sync() error { return nil }
