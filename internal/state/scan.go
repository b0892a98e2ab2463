package state

// Puts calls fn for every body in the records of payload, without a state to apply them to: with
// the record of a put and task 0, or with a move and the task whose body or checkpoint it holds. rec aliases
// payload. The error is of the first record that does not decode; what came before was passed on.
// An error of fn ends it.
func Puts(payload []byte, fn func(task uint64, rec []byte) error) error {
	for len(payload) > 0 {
		if o := op(payload[0]); o == opPut || o == opMove {
			var n uint64
			var size int
			p, err := decodePut(payload)
			if size = p.size; o == opMove {
				n, size, err = MoveOf(payload)
			}
			if err != nil {
				return err
			}
			if err := fn(n, payload[:size]); err != nil {
				return err
			}
			payload = payload[size:]
			continue
		}
		if op(payload[0]) == opProgress {
			d, err := decodeProgress(payload)
			if err == nil && d.kind == progressMoved {
				err = fn(d.number, payload[:d.size])
			}
			if err != nil {
				return err
			}
			payload = payload[d.size:]
			continue
		}
		r := reader{b: payload[1:]}
		switch op(payload[0]) {
		case opTime, opTake, opNumbers, opClock, opGap:
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
		case opDrop, opCancel, opRunDrop, opHalt:
			r.str()
		case opHold:
			r.str()
			r.str()
			r.uvarint()
			r.str()
		case opKeyCost:
			r.uvarint()
			r.uvarint()
		case opRedriveSome:
			someOf(&r, nil)
		case opHook:
			r.str()
			r.byte()
			r.str()
			r.str()
		case opSchedule:
			r.str()
			r.str()
			r.str()
			r.uvarint()
		case opDue:
			r.str()
			r.uvarint()
			r.uvarint()
			r.uvarint()
		case opRunEnd:
			r.str()
			r.uvarint()
		case opGiveUp:
			r.str()
			r.str()
			r.uvarint()
			r.uvarint()
		default:
			return newerErr("unknown record")
		}
		if err := r.err("record"); err != nil {
			return err
		}
		payload = r.b
	}
	return nil
}

// ApplyAll applies the records of a frame, one behind the other. off is where the record began that
// it refused.
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

// PutSize is how many bytes the record of a put at the start of b takes.
func PutSize(b []byte) (int, error) {
	p, err := decodePut(b)
	return p.size, err
}
