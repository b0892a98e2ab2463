package state

import (
	"encoding/binary"

	"github.com/glassq/glassq"
)

// applyHold holds a key for length ms from now, unless it is held for longer; 0 ends a hold, and a halt.
func (s *State) applyHold(queue, name string, length int64, why string) {
	q := s.queues[queue]
	if q == nil || q.ring == nil && length == 0 {
		return
	}
	if q.ring == nil {
		s.atOnce(q, func() { s.keysOn(q, newKeyRules(&q.settings)) })
	}
	r := q.ring
	k := r.keys[name]
	var m keyMark
	if k != nil {
		m = k.mark()
	} else {
		m = r.marks.take(name)
	}
	switch until := s.now + length; {
	case length == 0:
		m.held, m.why = 0, nil
		if q.keyHalted(name).Now() {
			s.forgetHalt(q, q.halting.keys.by[name])
		}
	case until > m.held:
		m.held, m.why = until, nil
		if why != "" {
			m.why = &why
		}
	}
	m.name = name
	switch {
	case k != nil:
		k.setMark(m)
		s.placeKey(k)
	case m.stands(s.now):
		r.marks.put(m)
		s.sweepLater(q)
	}
}

// DecideHold appends the record by which a nack holds the key of its task; nil for none.
func (s *State) DecideHold(dst []byte, n *glassq.Nack) ([]byte, error) {
	if n.Hold <= 0 {
		return nil, nil
	}
	if s.Lease(n.Token) != Live {
		return nil, glassq.ErrLeaseLost
	}
	l, _ := s.leases.get(n.Token.Number)
	c := &s.class[s.tasks.get(l.task).class]
	if c.named == 0 {
		return nil, glassq.Errorf(glassq.CodeBadRequest,
			"the task has no key that could be held; nack it with a delay instead, or put it with a key")
	}
	return AppendHold(dst, c.queue.Name, c.name(), int64(ceilMS(n.Hold)), n.Reason), nil
}

// DecideRelease appends the record that ends the hold of a key, and its halt.
func (s *State) DecideRelease(dst []byte, queue, name string) ([]byte, error) {
	q := s.Queue(queue)
	if q == nil {
		return nil, NoQueue(queue)
	}
	if q.ring != nil {
		if q.keyHalted(name).Now() {
			return AppendHold(dst, queue, name, 0, ""), nil
		}
		if k := q.ring.keys[name]; k != nil && k.held > s.now {
			return AppendHold(dst, queue, name, 0, ""), nil
		}
		if m := q.ring.marks.get(name); m != nil && m.held > s.now {
			return AppendHold(dst, queue, name, 0, ""), nil
		}
	}
	return nil, glassq.Errorf(glassq.CodeNotFound, "queue %s neither holds nor halts a key %q", queue, name)
}

// AppendHold appends that a key is held for length ms; 0 ends a hold and a halt.
func AppendHold(dst []byte, queue, key string, length int64, why string) []byte {
	dst = appendString(appendString(append(dst, byte(opHold)), queue), key)
	return appendString(binary.AppendUvarint(dst, uint64(length)), why)
}
