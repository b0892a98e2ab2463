package glassq

import (
	"strconv"
	"unicode/utf8"
)

// AppendAck appends an ack as one line of JSON: token, result, put (an array of put envelopes with
// their queues). A JSON result is printed as it is; a text one as a string beside its type; any
// other as b64 beside its type. A result's Queue is the member queue. Outcome is not printed: the
// broker at the other end decides it.
func AppendAck(dst []byte, a *Ack) []byte {
	dst = appendString(append(dst, '{'), "token", a.Token.String())
	if a.Result != nil {
		dst = appendResult(dst, a.Result)
	}
	if len(a.Put) > 0 {
		dst = append(appendKey(dst, "put"), '[')
		for i := range a.Put {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendTask(dst, &a.Put[i])
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendResult(dst []byte, t *Task) []byte {
	if t.Queue != "" {
		dst = appendString(dst, "queue", t.Queue)
	}
	dst = appendHeaders(dst, t.Headers)
	kind := byte(0)
	if t.Type == "" || isJSON(t.Type) {
		kind = jsonKind(t.Body)
	}
	switch {
	case kind == 'n': // a bare null would mean no result
	case t.Type == TypeJSON && kind != 0, t.Type == "" && (kind == '{' || kind == '['):
		return appendLine(appendKey(dst, "result"), t.Body)
	case kind == '"' && t.Type != "":
		dst = appendString(dst, "type", t.Type)
		return appendJSONString(appendKey(dst, "result"), t.Body)
	case kind != 0 && t.Type != "":
		dst = appendString(dst, "type", t.Type)
		return appendLine(appendKey(dst, "result"), t.Body)
	case (t.Type == "" || isText(t.Type)) && utf8.Valid(t.Body):
		typ := t.Type
		if typ == "" {
			typ = TypeText
		}
		dst = appendString(dst, "type", typ)
		return appendJSONString(appendKey(dst, "result"), t.Body)
	}
	if t.Type != "" && t.Type != TypeOctets {
		dst = appendString(dst, "type", t.Type)
	}
	return appendB64(dst, t.Body)
}

// ParseAck reads an ack. A result is any JSON value, kept byte for byte with type JSON; null is no
// result. With a type, a result that is a string is the text itself. b64 is a result of any bytes.
// Unknown members are refused. Result.Body may alias line. The error is like ParseTask's.
func ParseAck(line []byte, a *Ack) error {
	*a = Ack{}
	s := newScan(line)
	var r Task
	var raw []byte // the result as it was written
	rawAt, b64 := 0, false
	s.record("an ack", "token, result, type, b64, queue, headers, put", func(key []byte) bool {
		switch string(key) {
		case "token":
			a.Token = s.token()
		case "result":
			rawAt = s.i
			raw = s.value()
		case "type":
			r.Type = keepType("", s.text("type"))
		case "b64":
			r.Body, b64 = s.base64("b64"), true
		case "queue":
			r.Queue = string(s.text("queue"))
		case "headers":
			r.Headers = s.headers()
		case "put":
			s.followUps(a)
		default:
			return false
		}
		return true
	})
	s.needToken(a.Token)
	switch {
	case s.err != nil:
		return s.err
	case b64 && raw != nil:
		s.fail(rawAt, "an ack has either result or b64, not both")
	case b64:
		if r.Type == "" {
			r.Type = TypeOctets
		}
		a.Result = &r
	case raw != nil:
		if r.Body = raw; raw[0] == '"' && r.Type != "" {
			in := jsonScan{b: line, i: rawAt}
			r.Body = in.text("result")
			s.err = in.err
		}
		if r.Type == "" {
			r.Type = TypeJSON
		}
		a.Result = &r
	}
	return s.result()
}

func (s *jsonScan) followUps(a *Ack) {
	if !s.open('[', "put") {
		return
	}
	for first := true; s.element(&first); {
		if len(a.Put) == MaxBatch {
			s.fail(s.i, "an ack puts at most %d tasks", MaxBatch)
			return
		}
		a.Put = append(a.Put, Task{})
		s.task(&a.Put[len(a.Put)-1], nil)
	}
}

// record takes an object whose members are all known to set, each at most once. A null member is an
// absent one.
func (s *jsonScan) record(what, words string, set func(key []byte) bool) {
	if !s.open('{', what) {
		return
	}
	var seen [8][]byte
	n := 0
	for first := true; ; {
		key, ok := s.member(&first)
		if !ok {
			break
		}
		at := s.i
		for _, k := range seen[:n] {
			if string(k) == string(key) {
				s.fail(at, "member %q comes twice", key)
				return
			}
		}
		if n < len(seen) {
			seen[n] = key
			n++
		}
		if s.null() {
			continue
		}
		if !set(key) {
			s.fail(at, "%s has no member %.40q, only %s", what, key, words)
		}
	}
	s.end()
}

func (s *jsonScan) needToken(t Token) {
	if s.err == nil && t.Number == 0 {
		s.fail(0, "a token is needed, as it came with the lease")
	}
}

// AppendNack appends a nack as one line of JSON. A negative Delay, the engine's backoff, is left out.
func AppendNack(dst []byte, n *Nack) []byte {
	dst = appendString(append(dst, '{'), "token", n.Token.String())
	if n.Delay >= 0 {
		dst = appendSeconds(appendKey(dst, "delay"), n.Delay)
	}
	if n.Reason != "" {
		dst = appendString(dst, "reason", n.Reason)
	}
	if n.Dead {
		dst = append(appendKey(dst, "dead"), "true"...)
	}
	if n.Undone {
		dst = append(appendKey(dst, "undone"), "true"...)
	}
	return append(dst, '}')
}

// ParseNack reads a nack. Without a delay, Delay is -1: the engine's backoff.
func ParseNack(line []byte, n *Nack) error {
	*n = Nack{Delay: -1}
	s := newScan(line)
	s.record("a nack", "token, delay, reason, dead, undone", func(key []byte) bool {
		switch string(key) {
		case "token":
			n.Token = s.token()
		case "delay":
			n.Delay = s.duration("delay")
		case "reason":
			n.Reason = string(s.text("reason"))
		case "dead":
			n.Dead = s.boolean("dead")
		case "undone":
			n.Undone = s.boolean("undone")
		default:
			return false
		}
		return true
	})
	s.needToken(n.Token)
	return s.result()
}

// AppendExtend appends an extend as one line of JSON; a Lease of 0 is left out.
func AppendExtend(dst []byte, e *Extend) []byte {
	dst = appendString(append(dst, '{'), "token", e.Token.String())
	if e.Lease != 0 {
		dst = appendSeconds(appendKey(dst, "lease"), e.Lease)
	}
	return append(dst, '}')
}

// ParseExtend reads an extend. Without a lease, Lease is 0: the length it was granted with.
func ParseExtend(line []byte, e *Extend) error {
	*e = Extend{}
	s := newScan(line)
	s.record("an extend", "token, lease", func(key []byte) bool {
		switch string(key) {
		case "token":
			e.Token = s.token()
		case "lease":
			e.Lease = s.duration("lease")
		default:
			return false
		}
		return true
	})
	s.needToken(e.Token)
	return s.result()
}

// AppendReceipt appends the answer to one put task as one line of JSON: its id, and duplicate when
// it is one. id is the task's own, or "" for the one the engine assigned.
func AppendReceipt(dst []byte, id string, r Receipt) []byte {
	if id == "" {
		dst = append(dst, `{"id":"~`...)
		dst = append(strconv.AppendUint(dst, r.Number, 10), '"')
	} else {
		dst = appendString(append(dst, '{'), "id", id)
	}
	if r.Duplicate {
		dst = append(dst, `,"duplicate":true`...)
	}
	return append(dst, '}')
}

// ParseReceipt reads what AppendReceipt prints. Number is known of assigned ids only.
func ParseReceipt(line []byte) (id string, r Receipt, err error) {
	s := newScan(line)
	s.record("a receipt", "id, duplicate", func(key []byte) bool {
		switch string(key) {
		case "id":
			id = string(s.text("id"))
		case "duplicate":
			r.Duplicate = s.boolean("duplicate")
		default:
			return false
		}
		return true
	})
	if len(id) > 1 && id[0] == '~' {
		if n, err := strconv.ParseUint(id[1:], 10, 64); err == nil && AssignedID(n) == id {
			r.Number = n
		}
	}
	return id, r, s.result()
}
