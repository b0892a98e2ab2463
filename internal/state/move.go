package state

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/glassq/glassq"
)

// A move record says that the body of a task lies here from now on: the task's number, the ms when
// it was put, and its put record as it was. Nothing else of the task changes, so a log can be freed
// of what is done without anyone noticing. Like a put it can be read without any other record.

// recordWeight is about what a put record has beside its class and what the index counts as its
// size.
const recordWeight = 16

// weight is about how many bytes of the log a task keeps from being freed.
func (s *State) weight(e *entry) int64 {
	return e.size() + int64(len(s.class[e.class].key)) + recordWeight
}

// AppendMove appends the move of task n, which was put at the time put in ms, with its record: the
// put or the move that is to be replaced. Where rec holds a checkpoint of the task it is the move of
// that. ok is false when rec is neither.
func AppendMove(dst []byte, n uint64, put int64, rec []byte) (out []byte, ok bool) {
	if IsCheckpoint(rec) {
		return appendMoved(dst, n, rec)
	}
	p, at, err := unwrap(rec)
	if err != nil {
		return dst, false
	}
	if at != 0 {
		put = at
	}
	d, err := decodePut(p)
	if err != nil {
		return dst, false
	}
	dst = binary.AppendUvarint(append(dst, byte(opMove)), n)
	dst = binary.AppendUvarint(dst, uint64(put))
	return append(dst, p[:d.size]...), true
}

// MoveOf returns the task of the move record at the start of rec, and how long that is.
func MoveOf(rec []byte) (n uint64, size int, err error) {
	if IsCheckpoint(rec) {
		d, err := decodeProgress(rec)
		if err == nil && d.kind != progressMoved {
			err = recordErr("move")
		}
		return d.number, d.size, err
	}
	n, _, size, err = decodeMove(rec)
	return n, size, err
}

// decodeMove takes apart the move record at the start of rec.
func decodeMove(rec []byte) (n uint64, p put, size int, err error) {
	if len(rec) == 0 || op(rec[0]) != opMove {
		return 0, p, 0, recordErr("move")
	}
	b, _, err := unwrap(rec)
	if err != nil {
		return 0, p, 0, err
	}
	p, err = decodePut(b)
	n, _ = binary.Uvarint(rec[1:])
	return n, p, len(rec) - len(b) + p.size, err
}

// unwrap returns the put record that rec is or holds, and when it was put if rec says so.
func unwrap(rec []byte) (p []byte, put int64, err error) {
	if len(rec) == 0 || op(rec[0]) != opMove {
		return rec, 0, nil
	}
	r := reader{b: rec[1:]}
	r.uvarint()
	put = int64(r.uvarint())
	if r.bad || put <= 0 {
		return nil, 0, recordErr("move")
	}
	return r.b, put, nil
}

func (s *State) applyMove(b []byte, frame uint64, offset uint32) (int, error) {
	e, size, err := s.moving(b)
	if err != nil {
		return 0, err
	}
	w := s.weight(e)
	s.hooks.Live(frame, w)
	s.hooks.Dropped(e.frame(), w)
	e.setPlace(frame, offset)
	return size, nil
}

// moving returns the task whose body the move record at the start of b holds, and how long that is.
func (s *State) moving(b []byte) (e *entry, size int, err error) {
	n, d, size, err := decodeMove(b)
	if err != nil {
		return nil, 0, err
	}
	if e = s.tasks.get(n); e == nil {
		return nil, 0, recordErr(fmt.Sprintf("move of task %d, which is gone", n))
	}
	if e.size() != int64(min(len(d.rest), maxSize)) || s.class[e.class].key != string(d.class) {
		return nil, 0, recordErr(fmt.Sprintf("move of task %d, which is another", n))
	}
	return e, size, nil
}

// CheckMove tells whether the move record at the start of rec can be applied: whether its task is
// there, and is the same.
func (s *State) CheckMove(rec []byte) error {
	s.tasks.trim()
	if IsCheckpoint(rec) {
		d, err := decodeProgress(rec)
		if err == nil {
			_, err = s.movingCheckpoint(&d)
		}
		return err
	}
	_, _, err := s.moving(rec)
	return err
}

// SameBody is a key that is equal for a put, made at the ms put, and for a move of it.
func SameBody(rec []byte, put int64) (key [16]byte) {
	p, at, err := unwrap(rec)
	if err != nil {
		return key
	}
	if at != 0 {
		put = at
	}
	if d, err := decodePut(p); err == nil {
		p = p[:d.size]
	}
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(put)))
	h.Write(p)
	return [16]byte(h.Sum(nil))
}

// A Lying is where the body of a task lies, or its checkpoint.
type Lying struct {
	Task   uint64
	Frame  uint64
	Offset uint32
}

// Bodies calls fn with where the bodies of all living tasks lie, and right behind each the
// checkpoint of its task, in the order of their numbers, some at a time. An error of fn ends it.
func (im *Image) Bodies(fn func([]Lying) error) error {
	var own [chunkLen]entry
	some := make([]Lying, 0, chunkLen)
	for i := range im.chunks {
		c := &im.chunks[i]
		all := c.all
		if all == nil {
			own = [chunkLen]entry{}
			unpack(c.packed, &own)
			all = &own
		}
		some = some[:0]
		for k := range all {
			if e := &all[k]; e.state() != glassq.Gone {
				some = append(some, Lying{c.ci*chunkLen + uint64(k), e.frame(), e.offset()})
				if m := c.marks[uint16(k)]; m != nil && m.size > 0 {
					some = append(some, Lying{c.ci*chunkLen + uint64(k), m.frame, m.offset})
				}
			}
		}
		if err := fn(some); err != nil {
			return err
		}
	}
	return nil
}

const (
	scanned = 16   // how many chunks Survivors unpacks at most in one call
	passed  = 4096 // how many it looks at
)

// Survivors appends tasks whose bodies, or checkpoints, lie in frames from first up to but not including end, in
// order of number from the cursor on, and returns where to go on; done when nothing is left. One
// call does a small piece of work, so that its caller can let others in between.
func (s *State) Survivors(dst []Lying, first, end, cursor uint64) (found []Lying, next uint64, done bool) {
	t := &s.tasks
	ci := max(cursor/chunkLen, t.base)
	for work, stop := 0, ci+passed; ci < t.end(); ci++ {
		if work >= scanned || ci == stop {
			return dst, ci * chunkLen, false
		}
		c := t.chunk(ci)
		if c == nil || c.live == 0 || c.all == nil && c.marks == nil && (c.last < first || c.first >= end) {
			continue
		}
		work++
		all := t.entries(c)
		for i := range all {
			e := &all[i]
			if e.state() == glassq.Gone {
				continue
			}
			if f := e.frame(); f >= first && f < end {
				dst = append(dst, Lying{ci*chunkLen + uint64(i), f, e.offset()})
			}
			if m := c.marks[uint16(i)]; m != nil && m.size > 0 && m.frame >= first && m.frame < end {
				dst = append(dst, Lying{ci*chunkLen + uint64(i), m.frame, m.offset})
			}
		}
	}
	return dst, ci * chunkLen, true
}
