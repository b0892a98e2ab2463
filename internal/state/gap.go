package state

import "encoding/binary"

// AppendGap appends that ms passed in which nobody could reach the log. Time goes on by that, and
// so do the deadlines of the live leases, whose workers could not have acked; delays, ttls and
// windows do not wait.
func AppendGap(dst []byte, ms int64) []byte {
	return binary.AppendUvarint(append(dst, byte(opGap)), uint64(ms))
}

func (s *State) applyGap(r *reader) {
	ms := int64(r.small())
	if r.bad {
		return
	}
	s.leaseTimers = timers{}
	var moved []uint64
	s.leases.each(func(number uint64, _ lease) { moved = append(moved, number) })
	for _, number := range moved {
		l, _ := s.leases.get(number)
		l.deadline += ms
		s.leases.set(number, l)
		s.leaseTimers.push(l.deadline, number)
	}
	s.Advance(s.now + ms)
}

// Deadline is when a lease ends, in ms; ok is false when it is not live.
func (s *State) Deadline(number uint64) (at int64, ok bool) {
	l, ok := s.leases.get(number)
	return l.deadline, ok
}

// AfterRestart is called once when the log was replayed: numbers that were reserved may have been
// handed out and forgotten by a power cut, so none of them is used again.
func (s *State) AfterRestart() { s.next = max(s.next, s.limit) }
