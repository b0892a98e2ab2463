package glassq

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendTask appends the put envelope of t, one line of JSON without a line break.
//
// The body is printed as a string when its Type is text and it is UTF-8, as the JSON value it is
// when its Type is JSON, and as base64 (member b64) otherwise. A Type of "" is what nobody has
// said: a body that begins with { or [ and is JSON is printed as JSON, other UTF-8 as a string, the
// rest as base64. The member type is printed only where the form of the body does not imply it.
// Line breaks between the tokens of a JSON body are left out. Members of Extra that are words of the
// envelope are left out, and an Extra that is not a JSON object is left out as a whole.
func AppendTask(dst []byte, t *Task) []byte {
	dst = append(dst, '{')
	if t.Queue != "" {
		dst = appendString(dst, "queue", t.Queue)
	}
	if t.ID != "" && !t.Dense {
		dst = appendString(dst, "id", t.ID)
	}
	dst = appendRun(dst, t)
	if t.Delay != 0 {
		dst = appendSeconds(appendKey(dst, "delay"), t.Delay)
	}
	if t.TTL != 0 {
		dst = appendSeconds(appendKey(dst, "ttl"), t.TTL)
	}
	if t.Lease != 0 {
		dst = appendSeconds(appendKey(dst, "lease"), t.Lease)
	}
	dst = appendRest(dst, t)
	return append(dst, '}')
}

// appendKey appends a comma unless it is the object's first member, and the key.
func appendKey(dst []byte, key string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, key...)
	return append(dst, '"', ':')
}

func appendString(dst []byte, key, value string) []byte {
	return appendJSONString(appendKey(dst, key), value)
}

func appendRun(dst []byte, t *Task) []byte {
	if t.Run != "" {
		dst = appendString(dst, "run", t.Run)
	}
	if t.Dense {
		dst = strconv.AppendUint(appendKey(dst, "n"), uint64(t.N), 10)
	}
	return dst
}

// appendRest appends the members that puts and leases print alike, the body last.
func appendRest(dst []byte, t *Task) []byte {
	if t.Priority != 0 && t.Priority != PriorityDefault {
		dst = strconv.AppendInt(appendKey(dst, "priority"), int64(t.Priority.Level()), 10)
	}
	if t.Attempts != 0 {
		dst = strconv.AppendInt(appendKey(dst, "attempts"), int64(t.Attempts), 10)
	}
	if t.Result != "" {
		dst = appendString(dst, "result", t.Result)
	}
	if t.Key != "" {
		dst = appendString(dst, "key", t.Key)
	}
	if t.Flags != 0 {
		dst = strconv.AppendUint(appendKey(dst, "flags"), uint64(t.Flags), 10)
	}
	dst = appendHeaders(dst, t.Headers)
	if len(t.Extra) > 0 {
		dst = appendExtra(dst, t.Extra)
	}
	return appendBody(dst, t)
}

func appendHeaders(dst []byte, headers map[string]string) []byte {
	if len(headers) == 0 {
		return dst
	}
	dst = append(appendKey(dst, "headers"), '{')
	for _, k := range slices.Sorted(maps.Keys(headers)) {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, k), ':')
		dst = appendJSONString(dst, headers[k])
	}
	return append(dst, '}')
}

func appendExtra(dst, extra []byte) []byte {
	s := newScan(extra)
	if s.open('{', "extra") {
		at := len(dst)
		for first := true; ; {
			key, ok := s.member(&first)
			if !ok {
				break
			}
			raw := s.rawKey
			value := s.value()
			if s.err != nil || envelopeWord(key) != 0 {
				continue
			}
			if dst[len(dst)-1] != '{' {
				dst = append(dst, ',')
			}
			dst = append(append(dst, raw...), ':')
			dst = appendLine(dst, value)
		}
		if s.end(); s.err != nil {
			dst = dst[:at]
		}
	}
	return dst
}

// A form is how a body is printed.
type form uint8

const (
	formB64 form = iota
	formText
	formJSON
)

func isText(typ string) bool { return strings.HasPrefix(typ, "text/") }

func isJSON(typ string) bool {
	typ, _, _ = strings.Cut(typ, ";")
	return typ == TypeJSON || strings.HasSuffix(typ, "+json")
}

// bodyForm decides the form of a body and which type the form implies.
func bodyForm(t *Task) (form, string) {
	if t.Type == "" {
		if len(t.Body) > 0 && (t.Body[0] == '{' || t.Body[0] == '[') && jsonKind(t.Body) != 0 {
			return formJSON, ""
		}
		if utf8.Valid(t.Body) {
			return formText, ""
		}
		return formB64, ""
	}
	if isText(t.Type) && utf8.Valid(t.Body) {
		return formText, TypeText
	}
	if isJSON(t.Type) {
		switch jsonKind(t.Body) {
		case 0:
		case '"': // as a value it would be read as text
			return formText, TypeText
		default:
			return formJSON, TypeJSON
		}
	}
	return formB64, TypeOctets
}

func appendBody(dst []byte, t *Task) []byte {
	f, implied := bodyForm(t)
	if t.Type != implied {
		dst = appendString(dst, "type", t.Type)
	}
	switch f {
	case formText:
		return appendJSONString(appendKey(dst, "body"), t.Body)
	case formJSON:
		return appendLine(appendKey(dst, "body"), t.Body)
	}
	return appendB64(dst, t.Body)
}

func appendB64(dst, body []byte) []byte {
	dst = append(appendKey(dst, "b64"), '"')
	dst = base64.StdEncoding.AppendEncode(dst, body)
	return append(dst, '"')
}

// Bits of the words of the envelope, to refuse a member that comes twice.
const (
	wordBody = 1 << iota
	wordB64
	wordQueue
	wordID
	wordN
	wordRun
	wordType
	wordPriority
	wordDelay
	wordTTL
	wordAttempts
	wordLease
	wordResult
	wordHeaders
	wordKey
	wordFlags
	wordToken // this and the following are words of a lease
	wordAttempt
	wordAge
	wordLate
	wordOf

	leaseWords = wordToken | wordAttempt | wordAge | wordLate | wordOf
)

// envelopeWord returns the bit of a member that has a meaning here, 0 for an unknown one.
func envelopeWord(key []byte) uint32 {
	switch string(key) {
	case "body":
		return wordBody
	case "b64":
		return wordB64
	case "queue":
		return wordQueue
	case "id":
		return wordID
	case "n":
		return wordN
	case "run":
		return wordRun
	case "type":
		return wordType
	case "priority":
		return wordPriority
	case "delay":
		return wordDelay
	case "ttl":
		return wordTTL
	case "attempts":
		return wordAttempts
	case "lease":
		return wordLease
	case "result":
		return wordResult
	case "headers":
		return wordHeaders
	case "key":
		return wordKey
	case "flags":
		return wordFlags
	case "token":
		return wordToken
	case "attempt":
		return wordAttempt
	case "age":
		return wordAge
	case "late":
		return wordLate
	case "of":
		return wordOf
	}
	return 0
}

// ParseTask reads what AppendTask prints and what people write: a JSON object with body (a string
// or any JSON value) or b64, and optional members. A null member is an absent one, except body.
// Unknown members are kept in Extra; words that only a lease has, and members that come twice, are
// refused. Run and n together make the task Dense; an id beside them must be their id.
//
// t is overwritten, but a string that is the same as before is kept and not allocated anew: who
// parses many may pass a copy of the task before. Body and Extra may alias line, with no spare
// capacity. Bounds of values are the Broker's business. The error has code bad_request and names
// the byte offset in line.
func ParseTask(line []byte, t *Task) error {
	s := newScan(line)
	s.task(t, nil)
	s.end()
	return s.result()
}

// task takes one envelope; l is not nil when it is a lease's, and receives what only leases have.
func (s *jsonScan) task(t *Task, l *Lease) {
	old := *t
	*t = Task{}
	s.next()
	at := s.i
	if !s.open('{', "a task") {
		return
	}
	var seen uint32
	var id, extra []byte
	for first := true; ; {
		key, ok := s.member(&first)
		if !ok {
			break
		}
		word := envelopeWord(key)
		if word == 0 {
			extra = appendMember(extra, s.rawKey, s.value())
			continue
		}
		if seen&word != 0 {
			s.fail(s.i, "member %q comes twice", key)
			return
		}
		if l == nil && word&leaseWords != 0 {
			s.fail(s.i, "member %q belongs to leases, not to a put", key)
			return
		}
		if word != wordBody && s.null() {
			continue
		}
		seen |= word
		if word == wordID {
			id = s.text("id")
			continue
		}
		s.taskMember(word, t, &old, l)
	}
	if s.err != nil {
		return
	}
	if len(extra) > 0 {
		t.Extra = append(extra, '}')
	}
	switch seen & (wordBody | wordB64) {
	case 0:
		s.fail(at, "a task needs a member body or b64; JSON data goes in as {\"body\": …}")
		return
	case wordBody | wordB64:
		s.fail(at, "a task has either body or b64, not both")
		return
	}
	if seen&wordN != 0 {
		if t.Run == "" {
			s.fail(at, "n needs a run")
			return
		}
		t.Dense = true
		if id == nil || string(id) == DenseID(t.Run, t.N) {
			return
		}
		s.fail(at, "with run %q and n %d the id is %q, not %q", t.Run, t.N, DenseID(t.Run, t.N), id)
		return
	}
	t.ID = keep(old.ID, id)
}

func (s *jsonScan) taskMember(word uint32, t, old *Task, l *Lease) {
	switch word {
	case wordBody:
		s.body(t)
	case wordB64:
		t.Body = s.base64("b64")
		if t.Type == "" {
			t.Type = TypeOctets
		}
	case wordQueue:
		t.Queue = keep(old.Queue, s.text("queue"))
	case wordN:
		t.N = uint32(s.integer("n", 1<<32-1))
	case wordRun:
		t.Run = keep(old.Run, s.text("run"))
	case wordType:
		if typ := s.text("type"); len(typ) > 0 {
			t.Type = keepType(old.Type, typ)
		}
	case wordPriority:
		t.Priority = Level(int(s.integer("priority", 9)))
	case wordDelay:
		t.Delay = s.duration("delay")
	case wordTTL:
		t.TTL = s.duration("ttl")
	case wordAttempts:
		t.Attempts = int(s.integer("attempts", MaxAttempts))
	case wordLease:
		if d := s.duration("lease"); l != nil {
			l.Length = d
		} else {
			t.Lease = d
		}
	case wordResult:
		t.Result = keep(old.Result, s.text("result"))
	case wordHeaders:
		t.Headers = s.headers()
	case wordKey:
		t.Key = keep(old.Key, s.text("key"))
	case wordFlags:
		t.Flags = uint32(s.integer("flags", 1<<32-1))
	case wordToken:
		s.leaseToken(l)
	case wordAttempt:
		l.Attempt = int(s.integer("attempt", 1<<31-1))
	case wordAge:
		l.Age = s.duration("age")
	case wordLate:
		l.Late = s.duration("late")
	case wordOf:
		t.Of = int(s.integer("of", 1<<31-1))
	}
}

// body takes the member body; a type said before it stays.
func (s *jsonScan) body(t *Task) {
	implied := TypeJSON
	if s.next() == '"' {
		implied = TypeText
		t.Body = s.text("body")
	} else {
		t.Body = s.value()
	}
	if t.Type == "" {
		t.Type = implied
	}
}

func (s *jsonScan) base64(what string) []byte {
	s.next()
	at := s.i
	text := s.text(what)
	if s.err != nil {
		return nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(out, text)
	if err != nil {
		s.fail(at, "%s is not standard base64 with padding", what)
		return nil
	}
	return out[:n:n]
}

func (s *jsonScan) headers() map[string]string {
	if !s.open('{', "headers") {
		return nil
	}
	var headers map[string]string
	size := 0
	for first := true; ; {
		at := s.i
		key, ok := s.member(&first)
		if !ok {
			return headers
		}
		value := s.text("a header")
		if size += len(key) + len(value); size > MaxMeta { // refused sooner or later: a map of them all is much longer
			s.fail(at, "more than %d bytes of headers", MaxMeta)
			return nil
		}
		if headers == nil {
			headers = make(map[string]string)
		}
		headers[string(key)] = string(value)
	}
}

// appendMember adds a raw member to an object that is not closed yet.
func appendMember(object, key, value []byte) []byte {
	if object == nil {
		object = append(object, '{')
	} else {
		object = append(object, ',')
	}
	object = append(append(object, key...), ':')
	return append(object, value...)
}

// keep returns old if b says the same, to spare an allocation.
func keep(old string, b []byte) string {
	if old == string(b) {
		return old
	}
	return string(b)
}

// keepType is keep that knows the usual types.
func keepType(old string, b []byte) string {
	switch string(b) {
	case TypeText:
		return TypeText
	case TypeJSON:
		return TypeJSON
	case TypeOctets:
		return TypeOctets
	}
	return keep(old, b)
}
