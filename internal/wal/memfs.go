package wal

import (
	"io"
	"io/fs"
	"sync"
)

const memPage = 32 << 10

// MemFS is an empty directory in memory. Syncs do nothing, memory is bounded by what
// was written, and a removed file is freed when its last user closes it. The content
// lives as long as the FS does, also when a log in it is closed and opened again.
func MemFS() FS { return &memFS{files: map[string]*memData{}} }

type memFS struct {
	mu     sync.Mutex
	files  map[string]*memData // mu
	locked bool                // mu
}

type memData struct {
	mu    sync.RWMutex
	pages [][]byte // mu; nil is zeros
	size  int64    // mu
}

type memFile struct {
	mu sync.RWMutex
	d  *memData // mu; nil when closed
}

func (m *memFS) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.files[name]
	if d == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{d: d}, nil
}

func (m *memFS) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := &memData{}
	m.files[name] = d
	return &memFile{d: d}, nil
}

func (m *memFS) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.files[oldName]
	if d == nil {
		return &fs.PathError{Op: "rename", Path: oldName, Err: fs.ErrNotExist}
	}
	delete(m.files, oldName)
	m.files[newName] = d
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.files, name)
	return nil
}

func (m *memFS) List() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.files {
		names = append(names, name)
	}
	return names, nil
}

func (m *memFS) SyncDir() error { return nil }

func (m *memFS) Lock(string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return nil, ErrLocked
	}
	m.locked = true
	return &memLock{m: m}, nil
}

type memLock struct {
	m    *memFS
	once sync.Once
}

func (l *memLock) Close() error {
	l.once.Do(func() {
		l.m.mu.Lock()
		l.m.locked = false
		l.m.mu.Unlock()
	})
	return nil
}

func (f *memFile) data() (*memData, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.d == nil {
		return nil, fs.ErrClosed
	}
	return f.d, nil
}

func (f *memFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.d == nil {
		return fs.ErrClosed
	}
	f.d = nil
	return nil
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	d, err := f.data()
	if err != nil {
		return 0, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := int(min(int64(len(b)), max(d.size-off, 0)))
	for done := 0; done < n; {
		page, at := (off+int64(done))/memPage, (off+int64(done))%memPage
		part := b[done:min(n, done+int(memPage-at))]
		if page < int64(len(d.pages)) && d.pages[page] != nil {
			copy(part, d.pages[page][at:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	d, err := f.data()
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for done := 0; done < len(b); {
		page, at := int((off+int64(done))/memPage), (off+int64(done))%memPage
		for len(d.pages) <= page {
			d.pages = append(d.pages, nil)
		}
		if d.pages[page] == nil {
			d.pages[page] = make([]byte, memPage)
		}
		done += copy(d.pages[page][at:], b[done:])
	}
	d.size = max(d.size, off+int64(len(b)))
	return len(b), nil
}

func (f *memFile) Size() (int64, error) {
	d, err := f.data()
	if err != nil {
		return 0, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.size, nil
}

func (f *memFile) Truncate(size int64) error {
	d, err := f.data()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if pages := (size + memPage - 1) / memPage; pages < int64(len(d.pages)) {
		clear(d.pages[pages:])
		d.pages = d.pages[:pages]
	}
	if last := size / memPage; last < int64(len(d.pages)) && d.pages[last] != nil {
		clear(d.pages[last][size%memPage:])
	}
	d.size = size
	return nil
}

// Allocate lengthens the file, which costs no memory.
func (f *memFile) Allocate(off, n int64) error {
	d, err := f.data()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size = max(d.size, off+n)
	return nil
}

// Zero takes no memory.
func (f *memFile) Zero(off, n int64) error {
	d, err := f.data()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size = max(d.size, off+n)
	for end := min(off+n, int64(len(d.pages))*memPage); off < end; {
		at := off % memPage
		part := min(memPage-at, end-off)
		if page := d.pages[off/memPage]; page != nil {
			clear(page[at : at+part])
		}
		off += part
	}
	return nil
}

func (f *memFile) Sync() error { return nil }
