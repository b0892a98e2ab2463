// Package waltest has a file system in memory that loses what was not synced.
//
// A FS counts the calls that change something, can be stopped after any of them, can
// fail a chosen write or sync, and turns into what a disk may hold after a power cut.
// It knows nothing about the log.
package waltest

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"

	"github.com/glassq/glassq/internal/wal"
)

const sector = 512 // bytes that a crash keeps or loses together

var (
	// ErrCrashed is returned by every call after the crash.
	ErrCrashed = errors.New("waltest: crashed")
	// ErrInjected is what FailWrite and FailSync make a call return.
	ErrInjected = errors.New("waltest: injected fault")
)

// A FS is a wal.FS that remembers what is durable. Safe for concurrent use.
type FS struct {
	mu      sync.Mutex
	live    map[string]*inode
	durable map[string]*inode // names as of the newest SyncDir
	names   []nameOp          // since then
	crashed bool
	locked  bool
	calls   int
	stopAt  int    // crash after this many calls; 0 never
	write   string // the next write to a file of this name fails; "" none
	sync    string // likewise its next sync
	onCall  func(n int)
	told    int // calls that onCall has heard of
}

// An inode is a file's content, apart from its name.
type inode struct {
	live    []byte
	durable []byte
	pending []change // since the newest Sync
	shared  bool     // an Image has durable, so it is not to be changed in place
}

// A change is a write, or a truncation when data is nil.
type change struct {
	off  int64
	data []byte
}

// A nameOp sets and deletes names in one step.
type nameOp struct {
	set, del string
	node     *inode
}

func (op nameOp) apply(names map[string]*inode) {
	if op.del != "" {
		delete(names, op.del)
	}
	if op.set != "" {
		names[op.set] = op.node
	}
}

// NewFS returns an empty file system.
func NewFS() *FS {
	return &FS{live: map[string]*inode{}, durable: map[string]*inode{}}
}

// CrashAfter stops the file system after n more changing calls: that call still
// takes effect, all later ones of any kind return ErrCrashed.
func (m *FS) CrashAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopAt = m.calls + n
	m.crashed = n == 0
}

// Calls is the number of changing calls so far.
func (m *FS) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// FailWrite makes the next write to a file that was opened or created as name return ErrInjected
// after half of its bytes. The log works on other files in the background, so the nth call of all
// is nobody's.
func (m *FS) FailWrite(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.write = name
}

// FailSync makes the next sync of such a file return ErrInjected. Bytes that it should have made
// durable never will be, though it can be read.
func (m *FS) FailSync(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sync = name
}

// Crash stops the file system and returns what a disk may hold after a power cut: all
// that was synced, and of the rest a subset that seed picks, sector by sector and name
// by name.
func (m *FS) Crash(seed uint64) *FS {
	rnd := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	share := []float64{0.1, 0.5, 0.9}[rnd.IntN(3)]
	return m.crash(func() bool { return rnd.Float64() < share })
}

// CrashAll stops the file system and returns only what was synced.
func (m *FS) CrashAll() *FS { return m.crash(func() bool { return false }) }

// Kill stops the file system and returns it with all that was written: the process
// died, the machine did not. Bytes that were not synced stay so.
func (m *FS) Kill() *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	copies := map[*inode]*inode{}
	dup := func(n *inode) *inode {
		if copies[n] == nil {
			copies[n] = &inode{
				live: append([]byte(nil), n.live...), durable: append([]byte(nil), n.durable...),
				pending: append([]change(nil), n.pending...),
			}
		}
		return copies[n]
	}
	out := NewFS()
	for name, n := range m.live {
		out.live[name] = dup(n)
	}
	for name, n := range m.durable {
		out.durable[name] = dup(n)
	}
	for _, op := range m.names {
		if op.node != nil {
			op.node = dup(op.node)
		}
		out.names = append(out.names, op)
	}
	return out
}

func (m *FS) crash(keep func() bool) *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	names := map[string]*inode{}
	for name, n := range m.durable {
		names[name] = n
	}
	for _, op := range m.names {
		if keep() {
			op.apply(names)
		}
	}
	out := NewFS()
	for name, n := range names {
		data := append([]byte(nil), n.durable...)
		for _, c := range n.pending {
			data = c.survive(data, keep)
		}
		c := &inode{live: data, durable: append([]byte(nil), data...)}
		out.live[name], out.durable[name] = c, c
	}
	return out
}

// survive applies the sectors of c that a crash keeps.
func (c change) survive(data []byte, keep func() bool) []byte {
	if c.data == nil {
		if keep() {
			return resize(data, c.off)
		}
		return data
	}
	for off, b := c.off, c.data; len(b) > 0; {
		n := min(int64(len(b)), sector-off%sector)
		if keep() {
			data = put(data, off, b[:n])
		}
		off, b = off+n, b[n:]
	}
	return data
}

func put(data []byte, off int64, b []byte) []byte {
	if end := off + int64(len(b)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[off:], b)
	return data
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// change counts a call that changes something. The caller holds mu.
func (m *FS) change() error {
	if m.crashed {
		return ErrCrashed
	}
	m.calls++
	if m.calls == m.stopAt {
		m.crashed = true
	}
	return nil
}

// tell lets OnCall's function hear of a changing call. mu is not held.
func (m *FS) tell() {
	m.mu.Lock()
	fn, n := m.onCall, m.calls
	heard := fn == nil || m.told == n
	m.told = n
	m.mu.Unlock()
	if !heard {
		fn(n)
	}
}

// fails tells whether a call of f is the one in next, whose turn is over then. The caller holds mu.
func (f *file) fails(next *string) bool {
	if *next != f.name {
		return false
	}
	*next = ""
	return true
}

// Open implements wal.FS.
func (m *FS) Open(name string) (wal.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return nil, ErrCrashed
	}
	n := m.live[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{m: m, n: n, name: name}, nil
}

// Create implements wal.FS.
func (m *FS) Create(name string) (wal.File, error) {
	defer m.tell()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return nil, err
	}
	n := &inode{}
	m.op(nameOp{set: name, node: n})
	return &file{m: m, n: n, name: name}, nil
}

// Rename implements wal.FS.
func (m *FS) Rename(oldName, newName string) error {
	defer m.tell()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return err
	}
	n := m.live[oldName]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: oldName, Err: fs.ErrNotExist}
	}
	m.op(nameOp{set: newName, del: oldName, node: n})
	return nil
}

// Remove implements wal.FS.
func (m *FS) Remove(name string) error {
	defer m.tell()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return err
	}
	if m.live[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	m.op(nameOp{del: name})
	return nil
}

func (m *FS) op(op nameOp) {
	op.apply(m.live)
	m.names = append(m.names, op)
}

// List implements wal.FS.
func (m *FS) List() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return nil, ErrCrashed
	}
	var names []string
	for name := range m.live {
		names = append(names, name)
	}
	return names, nil
}

// SyncDir implements wal.FS.
func (m *FS) SyncDir() error {
	defer m.tell()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return err
	}
	for _, op := range m.names {
		op.apply(m.durable)
	}
	m.names = nil
	return nil
}

// Lock implements wal.FS.
func (m *FS) Lock(string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return nil, ErrCrashed
	}
	if m.locked {
		return nil, wal.ErrLocked
	}
	m.locked = true
	return unlock{m}, nil
}

type unlock struct{ m *FS }

func (u unlock) Close() error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	u.m.locked = false
	return nil
}

type file struct {
	m      *FS
	n      *inode
	name   string // as it was opened
	closed bool   // m.mu
}

func (f *file) usable() error {
	if f.closed {
		return fs.ErrClosed
	}
	if f.m.crashed {
		return ErrCrashed
	}
	return nil
}

func (f *file) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(); err != nil {
		return 0, err
	}
	n := 0
	if off < int64(len(f.n.live)) {
		n = copy(b, f.n.live[off:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	defer f.m.tell()
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(); err != nil {
		return 0, err
	}
	if err := f.m.change(); err != nil {
		return 0, err
	}
	var err error
	if f.fails(&f.m.write) {
		b, err = b[:len(b)/2], ErrInjected
	}
	f.n.live = put(f.n.live, off, b)
	f.n.pending = append(f.n.pending, change{off: off, data: append([]byte{}, b...)})
	return len(b), err
}

func (f *file) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.live)), f.usable()
}

func (f *file) Truncate(size int64) error {
	defer f.m.tell()
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	if err := f.m.change(); err != nil {
		return err
	}
	f.n.live = resize(f.n.live, size)
	f.n.pending = append(f.n.pending, change{off: size})
	return nil
}

// Allocate lengthens the file, so that tests see preallocated tails.
func (f *file) Allocate(off, n int64) error {
	size, err := f.Size()
	if err != nil || off+n <= size {
		return err
	}
	return f.Truncate(off + n)
}

func (f *file) Zero(off, n int64) error {
	_, err := f.WriteAt(make([]byte, n), off)
	return err
}

func (f *file) Sync() error {
	defer f.m.tell()
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	if err := f.m.change(); err != nil {
		return err
	}
	if f.fails(&f.m.sync) {
		f.n.pending = nil
		return ErrInjected
	}
	if f.n.shared {
		f.n.durable, f.n.shared = append([]byte(nil), f.n.durable...), false
	}
	always := func() bool { return true }
	for _, c := range f.n.pending {
		f.n.durable = c.survive(f.n.durable, always)
	}
	f.n.pending = nil
	return nil
}
