package output

import (
	"bytes"
	"encoding/json"
)

// A span is a stretch of a body.
type span struct{ start, end int }

func (s span) isObject(b []byte) bool { return s.end > s.start && b[s.start] == '{' }

// An object is what one pass over a worker's JSON object finds. Where a name comes twice, the last
// one counts, as for most readers.
type object struct {
	members    int
	clean      bool // no member is id or run, and o is there once
	o, oKey    span // value and name of member o; zero when absent
	oMembers   int  // members of o
	hasAttempt bool // o has a

	i, b64  span // values of the members that say what the task was
	msg, w  span // values of these members of o
	id, run span // values, for lines of a file
	raw     bool // there is a member raw: a line of what was no object
}

// maxDepth is how deep values may be nested; deeper ones count as no JSON. encoding/json has the
// same bound.
const maxDepth = 10000

// scanObject checks that b is one JSON object, from its first byte to its last, and finds its parts.
func scanObject(b []byte) (obj object, ok bool) {
	obj.clean = true
	end, ok := scanMembers(b, 0, 1, func(key []byte, ks, v span) {
		obj.members++
		if len(key) > 3 && bytes.IndexByte(key, '\\') < 0 {
			return
		}
		switch unquoteKey(key) {
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
		case "o":
			if obj.o.end != 0 {
				obj.clean = false
			}
			obj.o, obj.oKey = v, ks
		}
	})
	if !ok || end != len(b) {
		return object{}, false
	}
	if !obj.o.isObject(b) {
		obj.clean = false
		return obj, true
	}
	scanMembers(b, obj.o.start, 2, func(key []byte, _, v span) {
		obj.oMembers++
		switch string(key) {
		case "a":
			obj.hasAttempt = true
		case "msg":
			obj.msg = v
		case "w":
			obj.w = v
		}
	})
	return obj, true
}

// eachMember calls f for the members of b, which scanObject has accepted.
func eachMember(b []byte, f func(key []byte, ks, v span)) { scanMembers(b, 0, 1, f) }

// scanMembers reads the object at b[i] and returns where it ends. key is between its quotes, ks with
// them.
func scanMembers(b []byte, i, depth int, f func(key []byte, ks, v span)) (int, bool) {
	if i >= len(b) || b[i] != '{' || depth > maxDepth {
		return i, false
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, true
	}
	for {
		ks := i
		ke, ok := skipString(b, ks)
		if !ok {
			return ke, false
		}
		i = skipSpace(b, ke)
		if i >= len(b) || b[i] != ':' {
			return i, false
		}
		vs := skipSpace(b, i+1)
		ve, ok := skipValue(b, vs, depth)
		if !ok {
			return ve, false
		}
		if f != nil {
			f(b[ks+1:ke-1], span{ks, ke}, span{vs, ve})
		}
		i = skipSpace(b, ve)
		switch {
		case i < len(b) && b[i] == '}':
			return i + 1, true
		case i < len(b) && b[i] == ',':
			i = skipSpace(b, i+1)
		default:
			return i, false
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
		return scanMembers(b, i, depth+1, nil)
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
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, true
		case c < ' ':
			return i, false
		case c == '\\':
			i++
			if i >= len(b) {
				return i, false
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if len(b)-i < 5 {
					return i, false
				}
				for _, h := range b[i+1 : i+5] {
					if !('0' <= h && h <= '9' || 'a' <= h && h <= 'f' || 'A' <= h && h <= 'F') {
						return i, false
					}
				}
				i += 4
			default:
				return i, false
			}
		}
	}
	return i, false
}

func skipNumber(b []byte, i int) (int, bool) {
	if i < len(b) && b[i] == '-' {
		i++
	}
	digits := func() bool {
		start := i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return i, false
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return i, false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return i, false
		}
	}
	return i, true
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
