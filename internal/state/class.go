package state

import "encoding/binary"

// A class is what tasks of one dispatch share.
type class struct {
	queue    *Queue
	run      *Run // nil for none
	result   string
	attempts int
	lease    int64 // ms, 0 for none
	priority int8
	refs     int64
	enc      string // how it is encoded: as in a record, and the key of its tasks behind it if they have one
	name     string // the key of its tasks; "" for none
	key      *key   // while its queue looks at keys
}

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
		queue, run, result := r.str(), r.str(), r.str()
		c := class{result: result, priority: int8(r.byte()), attempts: int(r.small()), lease: int64(r.small()),
			enc: string(enc)}
		if len(r.b) > 0 {
			c.name = c.enc[len(c.enc)-len(r.bytes(r.uvarint())):] // it is the last
		}
		if r.bad || len(r.b) > 0 || queue == "" || c.priority < 0 || c.priority > 9 {
			return 0, recordErr("class of a put")
		}
		if c.queue = s.queue(queue); c.queue.ring != nil {
			c.key = s.keyOf(c.queue, c.name)
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
