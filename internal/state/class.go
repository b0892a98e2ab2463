package state

import (
	"encoding/binary"
	"math"
)

// A class is what tasks of one dispatch share. It is one line of the processor's cache: with many keys
// each task is of another class than the one before it.
type class struct {
	queue    *Queue
	run      *Run // nil for none
	key      *key // while its queue looks at keys
	refs     int64
	enc      string // how it is encoded: as in a record, and the key of its tasks behind it if they have one
	lease    uint32 // ms, 0 for none
	attempts uint16
	priority int8
	result   struct{ at, end uint16 } // of enc
	named    uint16                   // bytes of the key at the end of enc
}

// resultQueue is the queue for the results of its tasks; "" where they name none.
func (c *class) resultQueue() string { return c.enc[c.result.at:c.result.end] }

// name is the key of its tasks; "" for none.
func (c *class) name() string { return c.enc[len(c.enc)-int(c.named):] }

const noClass = ^uint32(0)

// classOf returns the number of the class of a put, made by its first use.
func (s *State) classOf(p *put) (uint32, error) {
	enc := s.encOf(p)
	if enc == nil {
		return 0, recordErr("key of a put")
	}
	return s.intern(enc)
}

// encOf is how the class of a put is encoded: as in its record, and the key behind it if it has one.
// It is good until the next call; nil for a key that does not decode.
func (s *State) encOf(p *put) []byte {
	if p.bits&putKey == 0 {
		return p.class
	}
	key, ok := p.key()
	if !ok {
		return nil
	}
	s.scratch = append(s.scratch[:0], p.class...)
	if len(key) > 0 {
		s.scratch = append(binary.AppendUvarint(s.scratch, uint64(len(key))), key...)
	}
	return s.scratch
}

// intern returns the number of the class with this encoding, made by its first use.
func (s *State) intern(enc []byte) (uint32, error) {
	if s.lastNum != noClass && string(s.lastEnc) == string(enc) {
		return s.lastNum, nil
	}
	ci, ok := s.classes[string(enc)]
	if !ok {
		r := reader{b: enc}
		c := class{enc: string(enc)}
		queue, run, result := r.str(), r.str(), r.bytes(r.uvarint())
		at := len(enc) - len(r.b)
		c.result.at, c.result.end = uint16(at-len(result)), uint16(at)
		c.priority, c.attempts = int8(r.byte()), uint16(min(r.small(), math.MaxUint16))
		c.lease = uint32(min(r.small(), math.MaxUint32))
		if len(r.b) > 0 {
			c.named = uint16(len(r.bytes(r.uvarint()))) // it is the last
		}
		if r.bad || len(r.b) > 0 || queue == "" || c.priority < 0 || c.priority > 9 || len(enc) > math.MaxUint16 {
			return 0, recordErr("class of a put")
		}
		if c.queue = s.queue(queue); c.queue.ring != nil {
			c.key = s.keyOf(c.queue, c.name())
		}
		if run != "" {
			c.run = s.run(run)
		}
		if k := len(s.free); k > 0 {
			ci, s.free = s.free[k-1], s.free[:k-1]
			s.class[ci] = c
		} else {
			ci = uint32(len(s.class))
			s.class = append(s.class, c)
		}
		s.classes[c.enc] = ci
	}
	s.forgetLast(ci)
	s.lastEnc, s.lastNum = append(s.lastEnc[:0], enc...), ci
	return ci, nil
}

// forgetLast lets the class of the last put go when nothing but that kept it.
func (s *State) forgetLast(next uint32) {
	last := s.lastNum
	if s.lastNum = noClass; last == noClass || last == next || s.class[last].refs > 0 {
		return
	}
	s.freeClass(last)
}

func (s *State) freeClass(ci uint32) {
	delete(s.classes, s.class[ci].enc)
	if k := s.class[ci].key; k != nil {
		s.unrefKey(k)
	}
	s.class[ci] = class{}
	s.free = append(s.free, ci)
}

// unref forgets a class with its last task.
func (s *State) unref(ci uint32) {
	c := &s.class[ci]
	if c.refs--; c.refs > 0 || s.lastNum == ci {
		return // the class of the last put stays at hand
	}
	s.freeClass(ci)
}
