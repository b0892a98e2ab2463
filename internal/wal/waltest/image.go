package waltest

import (
	"hash/maphash"
	"maps"
	"slices"
)

// A Fate is what a crash does to one sector of a write that was not synced, or to one change of a
// name or a size, of which there are only Lost and Kept.
type Fate uint8

const (
	Lost    Fate = iota
	Kept         // it reached the disk
	Torn         // the first half of its bytes did
	Garbage      // its bytes are neither the old nor the new ones
)

// OnCall has fn called after every changing call, by the goroutine that made the call and before
// the call returns. fn may take an Image.
func (m *FS) OnCall(fn func(n int)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onCall, m.told = fn, m.calls
}

// An Image is a file system as it was at one moment, what is durable and what is not yet. Any
// number of disks can be made of it, at once.
type Image struct {
	files map[string]*inode // durable names
	names []nameOp          // not durable yet
}

// Image returns the file system as it is now. It copies no contents.
func (m *FS) Image() *Image {
	m.mu.Lock()
	defer m.mu.Unlock()
	im := &Image{files: make(map[string]*inode, len(m.durable))}
	copies := map[*inode]*inode{}
	freeze := func(n *inode) *inode {
		if n == nil {
			return nil
		}
		if copies[n] == nil {
			n.shared = true
			copies[n] = &inode{durable: n.durable, pending: n.pending[:len(n.pending):len(n.pending)]}
		}
		return copies[n]
	}
	for name, n := range m.durable {
		im.files[name] = freeze(n)
	}
	for _, op := range m.names {
		op.node = freeze(op.node)
		im.names = append(im.names, op)
	}
	return im
}

// Pending is how many decisions a Crash of the image makes.
func (im *Image) Pending() int {
	n := len(im.names)
	seen := map[*inode]bool{}
	count := func(node *inode) {
		if node == nil || seen[node] {
			return
		}
		seen[node] = true
		for _, c := range node.pending {
			n++
			if c.data != nil {
				n += int((c.off+int64(len(c.data))-1)/sector - c.off/sector)
			}
		}
	}
	for _, node := range im.files {
		count(node)
	}
	for _, op := range im.names {
		count(op.node)
	}
	return n
}

// Crash returns what a disk may hold after a power cut at the image's moment. fate is asked for
// every change that was not durable, in an order that depends on nothing but the image.
func (im *Image) Crash(fate func() Fate) *FS {
	names := maps.Clone(im.files)
	for _, op := range im.names {
		if fate() != Lost {
			op.apply(names)
		}
	}
	out := NewFS()
	done := map[*inode]*inode{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		c := done[n]
		if c == nil {
			data := append([]byte(nil), n.durable...)
			for _, ch := range n.pending {
				data = ch.meet(data, fate)
			}
			c = &inode{live: data, durable: append([]byte(nil), data...)}
			done[n] = c
		}
		out.live[name], out.durable[name] = c, c
	}
	return out
}

// Kill returns the file system with all that was written; what was not synced stays so.
func (im *Image) Kill() *FS {
	out := NewFS()
	done := map[*inode]*inode{}
	dup := func(n *inode) *inode {
		if n == nil {
			return nil
		}
		c := done[n]
		if c == nil {
			c = &inode{durable: append([]byte(nil), n.durable...), pending: slices.Clone(n.pending)}
			c.live = append([]byte(nil), n.durable...)
			for _, ch := range n.pending {
				c.live = ch.meet(c.live, func() Fate { return Kept })
			}
			done[n] = c
		}
		return c
	}
	for name, n := range im.files {
		c := dup(n)
		out.live[name], out.durable[name] = c, c
	}
	for _, op := range im.names {
		op.node = dup(op.node)
		out.names = append(out.names, op)
		op.apply(out.live)
	}
	return out
}

// meet applies c sector by sector, each as its fate has it. A sector's bytes before and behind the
// write are never harmed: the log assumes as much.
func (c change) meet(data []byte, fate func() Fate) []byte {
	if c.data == nil {
		if fate() != Lost {
			return resize(data, c.off)
		}
		return data
	}
	for off, b := c.off, c.data; len(b) > 0; {
		n := min(int64(len(b)), sector-off%sector)
		switch fate() {
		case Kept:
			data = put(data, off, b[:n])
		case Torn:
			data = put(data, off, b[:(n+1)/2])
		case Garbage:
			junk := make([]byte, n)
			for i := range junk {
				junk[i] = b[i]*167 + byte(i) + 89
			}
			data = put(data, off, junk)
		}
		off, b = off+n, b[n:]
	}
	return data
}

// Hash adds the names and contents of all files as they are now, and what of them is durable.
func (m *FS) Hash(h *maphash.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.live)) {
		h.WriteString(name)
		n := m.live[name]
		maphash.WriteComparable(h, len(n.live))
		h.Write(n.live)
		maphash.WriteComparable(h, len(n.pending))
	}
	maphash.WriteComparable(h, len(m.names))
}

// Flip changes bits of one byte of a file for good, as a failing disk does. It reports false past
// the end of the file.
func (m *FS) Flip(name string, off int64, bits byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.live[name]
	if n == nil || off >= int64(len(n.live)) {
		return false
	}
	n.live[off] ^= bits
	if off < int64(len(n.durable)) {
		if n.shared {
			n.durable, n.shared = append([]byte(nil), n.durable...), false
		}
		n.durable[off] ^= bits
	}
	return true
}
