package output

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"

	"github.com/glassq/glassq"
)

// A span is a stretch of a body.
type span struct{ start, end int }

func (s span) isObject(b []byte) bool { return s.end > s.start && b[s.start] == '{' }

// An object is what one pass over a worker's JSON object finds. Where a name comes twice, the last
// one counts, as for most readers.
type object struct {
	members int
	clean   bool // no member is id or run, and o is there once
	o, oKey span // value and name of member o; zero when absent
	outer
	i, b64  span // values of the members that say what the task was
	id, run span // values, for lines of a file
	raw     bool // there is a member raw: a line of what was no object
}

// An outer is what is found in member o.
type outer struct {
	oMembers   int           // members of o
	hasAttempt bool          // o has a
	msg, w     span          // values
	out        glassq.Result // what it says; OK when there is no object o
}

// maxDepth is how deep values may be nested; deeper ones count as no JSON. encoding/json has the
// same bound.
const maxDepth = 10000

// scan checks that b is one JSON object, from its first byte to its last, and finds its parts.
func (obj *object) scan(b []byte) bool {
	*obj = object{clean: true}
	obj.out.OK = true
	m := walk(b, 0, 1)
	for m.next() {
		obj.members++
		key, ks, from := m.name(), m.key, m.i
		if len(key) == 1 && key[0] == 'o' {
			obj.takeOut(&m, ks)
			continue
		}
		m.skip()
		v := span{from, m.i}
		if bytes.IndexByte(key, '\\') >= 0 {
			key = []byte(unquoteKey(key))
		}
		switch string(key) {
		case "i":
			obj.i = v
		case "b64":
			obj.b64 = v
		case "raw":
			obj.raw = true
		case "id":
			if obj.id.end == 0 { // of two members with one name, ours came first
				obj.id = v
			}
			obj.clean = false
		case "run":
			if obj.run.end == 0 {
				obj.run = v
			}
			obj.clean = false
		case "o": // written with an escape
			if m.ok {
				m.i = from
				obj.takeOut(&m, ks)
			}
		}
	}
	if !m.ok || m.i != len(b) {
		return false
	}
	if !obj.o.isObject(b) {
		obj.clean = false
	}
	return true
}

// takeOut takes the value of a member o.
func (obj *object) takeOut(m *members, key span) {
	if obj.o.end != 0 {
		obj.clean = false
	}
	obj.outer = outer{out: glassq.Result{OK: true}}
	from := m.i
	if from >= len(m.b) || m.b[from] != '{' {
		m.skip()
		obj.o, obj.oKey = span{from, m.i}, key
		return
	}
	in := walk(m.b, from, m.depth+1)
	for in.next() {
		obj.oMembers++
		name, v := in.name(), span{start: in.i}
		if !in.skip() {
			break
		}
		v.end = in.i
		if len(name) == 1 && name[0] == 'a' {
			obj.hasAttempt = true
		}
		switch string(name) {
		case "msg":
			obj.msg = v
		case "w":
			obj.w = v
		default:
			obj.out.Set(name, m.b[v.start:v.end])
		}
	}
	m.i, m.ok = in.i, in.ok
	obj.o, obj.oKey = span{from, in.i}, key
}

// members goes through the members of an object and checks them. After next the value must be taken, by
// skip or by members of its own, before the next call.
type members struct {
	b     []byte
	i     int // where it stands, of no meaning when not ok
	depth int // of the object
	ok    bool
	begun bool
	key   span // with its quotes
}

// walk begins at the object at b[i].
func walk(b []byte, i, depth int) members {
	m := members{b: b, i: i + 1, depth: depth}
	m.ok = i < len(b) && b[i] == '{' && depth <= maxDepth
	return m
}

// name is what is between the quotes of the key.
func (m *members) name() []byte { return m.b[m.key.start+1 : m.key.end-1] }

// next goes to the value of the next member; it returns false at the end, and when not ok.
func (m *members) next() bool {
	if !m.ok {
		return false
	}
	b, i := m.b, skipSpace(m.b, m.i)
	m.ok = false
	if i >= len(b) {
		return false
	}
	switch c := b[i]; {
	case c == '}':
		m.i, m.ok = i+1, true
		return false
	case !m.begun:
		m.begun = true
	case c != ',':
		return false
	default:
		i = skipSpace(b, i+1)
	}
	end, ok := skipString(b, i)
	if !ok {
		return false
	}
	m.key = span{i, end}
	if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
		return false
	}
	m.i, m.ok = skipSpace(b, i+1), true
	return true
}

// skip takes the value.
func (m *members) skip() bool {
	m.i, m.ok = skipValue(m.b, m.i, m.depth)
	return m.ok
}

// eachMember calls f for the members of the object that v, a part of a body that was scanned, is. key is
// between its quotes, ks with them.
func eachMember(v []byte, f func(key []byte, ks, v span)) {
	for m := walk(v, 0, 1); m.next(); {
		from := m.i
		if m.skip() {
			f(m.name(), m.key, span{from, m.i})
		}
	}
}

// skipValue returns where the JSON value at b[i] ends, and whether it is one.
func skipValue(b []byte, i, depth int) (int, bool) {
	if i >= len(b) {
		return i, false
	}
	switch b[i] {
	case '{':
		m := walk(b, i, depth+1)
		for m.next() {
			m.skip()
		}
		return m.i, m.ok
	case '[':
		if depth+1 > maxDepth {
			return i, false
		}
		i = skipSpace(b, i+1)
		if i < len(b) && b[i] == ']' {
			return i + 1, true
		}
		for {
			end, ok := skipValue(b, i, depth+1)
			if !ok {
				return end, false
			}
			i = skipSpace(b, end)
			switch {
			case i < len(b) && b[i] == ']':
				return i + 1, true
			case i < len(b) && b[i] == ',':
				i = skipSpace(b, i+1)
			default:
				return i, false
			}
		}
	case '"':
		return skipString(b, i)
	case 't':
		return skipWord(b, i, "true")
	case 'f':
		return skipWord(b, i, "false")
	case 'n':
		return skipWord(b, i, "null")
	}
	return skipNumber(b, i)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

func skipWord(b []byte, i int, word string) (int, bool) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, false
	}
	return i + len(word), true
}

func skipString(b []byte, i int) (int, bool) {
	if i >= len(b) || b[i] != '"' {
		return i, false
	}
	for i++; ; {
		if i+8 <= len(b) { // eight bytes at a time while none is special
			x := specials(binary.LittleEndian.Uint64(b[i:]))
			if x == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(x) / 8
		}
		if i >= len(b) {
			return i, false
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, true
		case c < ' ':
			return i, false
		case c == '\\':
			n := escapeLen(b[i:])
			if n == 0 {
				return i, false
			}
			i += n
		default: // one of the last seven bytes
			i++
		}
	}
}

// specials has the highest bit of the lowest byte of x set that is a quote, a backslash or a control
// character; higher bits say nothing. It is 0 when there is none.
func specials(x uint64) uint64 {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	q, e := x^(ones*'"'), x^(ones*'\\')
	return ((q-ones)&^q | (e-ones)&^e | (x-ones*' ')&^x) & highs
}

// escapeLen is the length of the escape that b begins with, 0 for none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, h := range b[2:6] {
			if !('0' <= h && h <= '9' || 'a' <= h && h <= 'f' || 'A' <= h && h <= 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func skipNumber(b []byte, i int) (int, bool) {
	if i < len(b) && b[i] == '-' {
		i++
	}
	from := i
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = skipDigits(b, i); i == from {
		return i, false
	}
	if i < len(b) && b[i] == '.' {
		from = i + 1
		if i = skipDigits(b, from); i == from {
			return i, false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from = i
		if i = skipDigits(b, from); i == from {
			return i, false
		}
	}
	return i, true
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

// unquoteKey returns the name that a key stands for, given what is between its quotes.
func unquoteKey(key []byte) string {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key)
	}
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, key...), '"'), &s) != nil {
		return ""
	}
	return s
}
