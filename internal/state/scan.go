package state

import "github.com/glassq/glassq"

// Puts calls fn for every task put in the records of payload, without a state to apply them
// to. The body of a task aliases payload. Its error is of the first record that does not
// decode; what came before was passed on.
func Puts(payload []byte, fn func(glassq.Task)) error {
	for len(payload) > 0 {
		if op(payload[0]) == opPut {
			p, err := decodePut(payload)
			if err != nil {
				return err
			}
			t, err := DecodePut(payload)
			if err != nil {
				return err
			}
			fn(t)
			payload = payload[p.size:]
			continue
		}
		r := reader{b: payload[1:]}
		switch op(payload[0]) {
		case opTime, opTake, opNumbers, opClock:
			r.uvarint()
		case opLease:
			r.uvarint()
			r.uvarint()
			r.uvarint()
		case opAck:
			r.uvarint()
			r.byte()
		case opNack:
			r.uvarint()
			r.byte()
			r.uvarint()
			r.str()
		case opExtend:
			r.uvarint()
			r.uvarint()
		case opQueue, opRun:
			r.str()
			r.str()
		case opPurge:
			r.str()
			r.byte()
		case opRedrive:
			r.str()
			r.uvarint()
		case opDrop, opCancel:
			r.str()
		case opGiveUp:
			r.str()
			r.str()
			r.uvarint()
			r.uvarint()
		default:
			return recordErr("unknown record")
		}
		if r.bad {
			return recordErr("record")
		}
		payload = r.b
	}
	return nil
}

// ApplyAll applies the records of a frame, one behind the other. off is where the record began that it
// refused.
func (s *State) ApplyAll(records []byte, frame uint64) (off int, err error) {
	for off < len(records) {
		n, err := s.Apply(records[off:], frame, uint32(off))
		if err != nil {
			return off, err
		}
		off += n
	}
	return off, nil
}
