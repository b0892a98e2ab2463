package state

import (
	"fmt"
	"slices"

	"github.com/glassq/glassq"
)

// Records are encoded records, one behind the other, that wait to be applied. The zero value has
// none.
type Records struct {
	buf  []byte
	ends []int
}

// Reset forgets all records, and returns how many bytes of memory are kept for the next ones.
func (r *Records) Reset() (kept int) {
	r.buf, r.ends = r.buf[:0], r.ends[:0]
	return cap(r.buf)
}

// Put adds the record of a put.
func (r *Records) Put(t *glassq.Task) {
	r.buf = AppendPut(r.buf, t)
	r.ends = append(r.ends, len(r.buf))
}

// PutAll adds the records of puts. It makes room for them at once: a new buffer would come to its
// size by many small steps.
func (r *Records) PutAll(tasks []glassq.Task) {
	size := 0
	for i := range tasks {
		size += len(tasks[i].Body) + len(tasks[i].Extra) + 64
	}
	r.buf, r.ends = slices.Grow(r.buf, size), slices.Grow(r.ends, len(tasks))
	for i := range tasks {
		r.Put(&tasks[i])
	}
}

// Size is how many bytes all records have.
func (r *Records) Size() int { return len(r.buf) }

// At is record i.
func (r *Records) At(i int) []byte { return r.buf[r.start(i):r.ends[i]] }

// Bytes is how many bytes the records from i up to k have, k left out.
func (r *Records) Bytes(i, k int) int { return r.start(k) - r.start(i) }

func (r *Records) start(i int) int {
	if i == 0 {
		return 0
	}
	return r.ends[i-1]
}

// A Mover makes the records that move bodies to another place in the log.
type Mover struct {
	Records

	// Read reads a frame, verified. The records may lie in again, which is nil or those of before.
	Read func(frame uint64, again []byte) (time int64, records []byte, err error)

	frame   uint64 // the one read last
	time    int64
	records []byte
}

// Load makes the records of the first of some, until they have most bytes, and returns of how many
// it did.
func (m *Mover) Load(some []Lying, most int) (n int, err error) {
	m.Reset()
	for _, x := range some {
		if m.frame != x.Frame {
			m.frame = 0
			at, records, err := m.Read(x.Frame, m.records)
			if err != nil {
				return 0, err
			}
			m.frame, m.time, m.records = x.Frame, at, records
		}
		ok := uint64(x.Offset) < uint64(len(m.records))
		if ok {
			m.buf, ok = AppendMove(m.buf, x.Task, m.time, m.records[x.Offset:])
		}
		if !ok {
			return 0, fmt.Errorf("frame %d, record at %d: %w", x.Frame, x.Offset, ErrRecord)
		}
		m.ends = append(m.ends, len(m.buf))
		if n++; len(m.buf) >= most {
			break
		}
	}
	return n, nil
}
