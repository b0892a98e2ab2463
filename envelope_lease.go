package glassq

import (
	"strconv"
	"time"
)

// AppendLease appends a lease as one line of JSON: token, attempt, lease (the granted length in
// seconds), age, late (absent when 0), of (results only), and the task with its queue, id and body
// as in AppendTask. Age and late are printed to the microsecond. A task that was taken, not leased,
// has no number and no token.
func AppendLease(dst []byte, l *Lease) []byte {
	dst = append(dst, '{')
	if l.Number != 0 {
		dst = append(dst, `"token":"`...)
		dst = strconv.AppendUint(dst, l.Number, 10)
		dst = append(dst, '.')
		dst = append(dst, l.Queue...) // a queue name has nothing to escape
		dst = append(dst, '"', ',')
	}
	dst = append(dst, `"attempt":`...)
	dst = strconv.AppendInt(dst, int64(l.Attempt), 10)
	dst = append(dst, `,"lease":`...)
	dst = appendSeconds(dst, l.Length)
	dst = append(dst, `,"age":`...)
	dst = appendSeconds(dst, l.Age.Truncate(time.Microsecond))
	if l.Late >= time.Microsecond {
		dst = append(dst, `,"late":`...)
		dst = appendSeconds(dst, l.Late.Truncate(time.Microsecond))
	}
	dst = appendKept(dst, &l.Task)
	return append(dst, '}')
}

// appendKept appends the members of a task that an engine holds: it has a queue and an id.
func appendKept(dst []byte, t *Task) []byte {
	dst = appendString(dst, "queue", t.Queue)
	if t.Dense {
		dst = appendJSONString(appendKey(dst, "id"), t.Run)
		dst = append(dst[:len(dst)-1], '/')
		dst = append(strconv.AppendUint(dst, uint64(t.N), 10), '"')
	} else if t.ID != "" {
		dst = appendString(dst, "id", t.ID)
	}
	dst = appendRun(dst, t)
	if t.Of > 0 {
		dst = strconv.AppendInt(appendKey(dst, "of"), int64(t.Of), 10)
	}
	return appendRest(dst, t)
}

// ParseLease reads what AppendLease prints. Deadline is set to the granted length from now. What it
// says of strings, aliases and errors is what ParseTask says.
func ParseLease(line []byte, l *Lease) error {
	task := l.Task
	*l = Lease{Task: task}
	s := newScan(line)
	s.task(&l.Task, l)
	s.end()
	l.Deadline = time.Now().Add(l.Length)
	return s.result()
}

// leaseToken takes a lease's token; its queue is the task's.
func (s *jsonScan) leaseToken(l *Lease) {
	tok := s.token()
	l.Number = tok.Number
	if l.Queue == "" {
		l.Queue = tok.Queue
	}
}

// token takes a token.
func (s *jsonScan) token() Token {
	s.next()
	at := s.i
	text := string(s.text("token"))
	if s.err != nil {
		return Token{}
	}
	tok, err := ParseToken(text)
	if err != nil {
		s.fail(at, "%v", err)
	}
	return tok
}

// AppendPeeked appends a shown task as one line of JSON: number, state, attempt, age, due, reason,
// and the task in a member of its own.
func AppendPeeked(dst []byte, p *Peeked) []byte {
	dst = append(dst, `{"number":`...)
	dst = strconv.AppendUint(dst, p.Number, 10)
	dst = appendString(dst, "state", p.State.String())
	dst = strconv.AppendInt(appendKey(dst, "attempt"), int64(p.Attempt), 10)
	dst = appendSeconds(appendKey(dst, "age"), p.Age)
	if p.Due != 0 {
		dst = appendSeconds(appendKey(dst, "due"), p.Due)
	}
	if p.Reason != "" {
		dst = appendString(dst, "reason", p.Reason)
	}
	dst = append(appendKey(dst, "task"), '{')
	if p.Lease != 0 {
		dst = appendSeconds(appendKey(dst, "lease"), p.Lease)
	}
	if p.Delay != 0 {
		dst = appendSeconds(appendKey(dst, "delay"), p.Delay)
	}
	if p.TTL != 0 {
		dst = appendSeconds(appendKey(dst, "ttl"), p.TTL)
	}
	dst = appendKept(dst, &p.Task)
	return append(dst, '}', '}')
}

// ParsePeeked reads what AppendPeeked prints.
func ParsePeeked(line []byte, p *Peeked) error {
	*p = Peeked{}
	s := newScan(line)
	if s.open('{', "a shown task") {
		for first := true; ; {
			key, ok := s.member(&first)
			if !ok {
				break
			}
			s.peekedMember(key, p)
		}
	}
	s.end()
	return s.result()
}

func (s *jsonScan) peekedMember(key []byte, p *Peeked) {
	switch string(key) {
	case "number":
		p.Number = s.integer("number", 1<<63-1)
	case "state":
		at := s.i
		state, err := ParseState(string(s.text("state")))
		if err != nil {
			s.fail(at, "%v", err)
		}
		p.State = state
	case "attempt":
		p.Attempt = int(s.integer("attempt", 1<<31-1))
	case "age":
		p.Age = s.duration("age")
	case "due":
		p.Due = s.duration("due")
	case "reason":
		p.Reason = string(s.text("reason"))
	case "task":
		var l Lease // a result's "of" is a word of leases
		s.task(&p.Task, &l)
		p.Task.Lease = l.Length
	default:
		s.value()
	}
}
