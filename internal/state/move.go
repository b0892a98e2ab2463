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
	return e.size() + int64(len(s.class[e.class].enc)) + recordWeight
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
	e, r, size, err := s.moving(b)
	if err != nil {
		return 0, err
	}
	if r != nil {
		w := s.rangeWeight(r)
		s.hooks.Live(frame, w, int64(size))
		s.hooks.Dropped(r.frame, w)
		r.frame, r.offset = frame, offset
		return size, nil
	}
	w := s.weight(e)
	s.hooks.Live(frame, w, int64(size))
	s.hooks.Dropped(e.frame(), w)
	e.setPlace(frame, offset)
	return size, nil
}

// moving returns the task or the range whose body the move record at the start of b holds, and how
// long that is. A range is named by its first number.
func (s *State) moving(b []byte) (e *entry, r *taskRange, size int, err error) {
	n, d, size, err := decodeMove(b)
	if err != nil {
		return nil, nil, 0, err
	}
	had, class := int64(0), uint32(0)
	if r = s.rangeOf(n); d.count > 0 && r != nil {
		had, class = r.size, r.class
	} else if e = s.tasks.get(n); d.count == 0 && e != nil && e.frame() != 0 {
		r, had, class = nil, e.size(), e.class
	} else {
		return nil, nil, 0, recordErr(fmt.Sprintf("move of task %d, which is gone", n))
	}
	enc := s.class[class].enc // without the key in a snapshot of a program that kept none in it
	if had != int64(min(len(d.rest), maxSize)) || enc != string(s.encOf(&d)) && enc != string(d.class) {
		return nil, nil, 0, recordErr(fmt.Sprintf("move of task %d, which is another", n))
	}
	return e, r, size, nil
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
	_, _, _, err := s.moving(rec)
	return err
}

// HasBody tells whether there is a task, or a range, whose body a move may hold under that number.
func (s *State) HasBody(n uint64) bool {
	e := s.tasks.get(n)
	return s.rangeOf(n) != nil || e != nil && e.frame() != 0
}

// Bodies is how many bodies there are: one for each task, and one for each range.
func (s *State) Bodies() int64 {
	n := s.tasks.live + int64(len(s.ranges))
	for _, r := range s.ranges {
		n -= r.held
	}
	return n
}

// sameBody is a key that is equal for a put, made at the ms put, and for a move of it.
func sameBody(rec []byte, put int64) (key [16]byte) {
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

// A Lying is where the body of a task lies, or its checkpoint, or the body of a range.
type Lying struct {
	Task   uint64 // of a range its first
	Frame  uint64
	Offset uint32
}

// Bodies calls fn with where the bodies of all living tasks and ranges lie, and right behind that of a
// task its checkpoint, in the order of their numbers, some at a time. An error of fn ends it.
func (im *Image) Bodies(fn func([]Lying) error) error {
	var own [chunkLen]entry
	some := make([]Lying, 0, chunkLen)
	ranges := im.ranges
	upTo := func(n uint64) {
		for len(ranges) > 0 && ranges[0].first <= n {
			some = append(some, Lying{ranges[0].first, ranges[0].frame, ranges[0].offset})
			ranges = ranges[1:]
		}
	}
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
				n := c.ci*chunkLen + uint64(k)
				upTo(n)
				if e.frame() != 0 {
					some = append(some, Lying{n, e.frame(), e.offset()})
				}
				if m := c.marks[uint16(k)]; m != nil && m.size > 0 {
					some = append(some, Lying{n, m.frame, m.offset})
				}
			}
		}
		if err := fn(some); err != nil {
			return err
		}
	}
	some = some[:0]
	upTo(maxTask)
	return fn(some)
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
	if cursor == 0 {
		for _, r := range s.ranges {
			if r.frame >= first && r.frame < end {
				dst = append(dst, Lying{r.first, r.frame, r.offset})
			}
		}
	}
	looked, work := 0, 0
	for ci, c := t.from(cursor / chunkLen); c != nil; ci, c = t.from(ci + 1) {
		if work >= scanned || looked == passed {
			return dst, ci * chunkLen, false
		}
		looked++
		if c.live == 0 || c.all == nil && c.marks == nil && (c.last < first || c.first >= end) {
			continue
		}
		work++
		all := t.entries(c)
		for i := range all {
			e := &all[i]
			if e.state() == glassq.Gone {
				continue
			}
			if f := e.frame(); f != 0 && f >= first && f < end {
				dst = append(dst, Lying{ci*chunkLen + uint64(i), f, e.offset()})
			}
			if m := c.marks[uint16(i)]; m != nil && m.size > 0 && m.frame >= first && m.frame < end {
				dst = append(dst, Lying{ci*chunkLen + uint64(i), m.frame, m.offset})
			}
		}
	}
	return dst, 0, true
}
