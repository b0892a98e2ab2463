package state

// A class is what tasks of one dispatch share.
type class struct {
	queue    *Queue
	run      *Run // nil for none
	result   string
	attempts int
	lease    int64 // ms, 0 for none
	priority int8
	refs     int64
	key      string
}

const noClass = ^uint32(0)

// intern returns the number of the class with this encoding, made by its first use.
func (s *State) intern(key []byte) (uint32, error) {
	if s.lastNum != noClass && string(s.lastKey) == string(key) {
		return s.lastNum, nil
	}
	ci, ok := s.classes[string(key)]
	if !ok {
		r := reader{b: key}
		queue, run, result := r.str(), r.str(), r.str()
		c := class{result: result, priority: int8(r.byte()), attempts: int(r.small()), lease: int64(r.small()),
			key: string(key)}
		if r.bad || len(r.b) > 0 || queue == "" || c.priority < 0 || c.priority > 9 {
			return 0, recordErr("class of a put")
		}
		c.queue = s.queue(queue)
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
		s.classes[c.key] = ci
	}
	s.forgetLast(ci)
	s.lastKey, s.lastNum = append(s.lastKey[:0], key...), ci
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
	delete(s.classes, s.class[ci].key)
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
