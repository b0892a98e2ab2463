package glassq

import (
	"encoding/binary"
	"math/bits"
)

// How results are read: in one pass that checks the grammar and cuts out members, builds nothing and
// allocates nothing. Every result passes here at least three times (worker, broker, output).

// maxResultDepth is how deep values may be nested; deeper ones count as no JSON. It is as in encoding/json.
const maxResultDepth = 10_000

// A walker goes through the members of one JSON object and checks them on its way. After next the value
// of the member must be taken, by skip or by a walker of its own from enter, before the next call.
type walker struct {
	b          []byte
	i          int // where it stands; -1 after what is no JSON
	depth      int // of the object
	begun      bool
	from, stop int // of the member's name, between its quotes
}

// key is the name of the member, raw, between its quotes.
func (w *walker) key() []byte { return w.b[w.from:w.stop] }

// walk begins at the object at b[i]; what is no object there has no members.
func walk(b []byte, i, depth int) walker {
	if i >= len(b) || b[i] != '{' || depth > maxResultDepth {
		return walker{b: b, i: -1}
	}
	return walker{b: b, i: i + 1, depth: depth}
}

// next goes to the value of the next member. It returns false at the end of the object, which it takes,
// and where there is no JSON.
func (w *walker) next() bool {
	b, i := w.b, w.i
	if i < 0 {
		return false
	}
	w.i = -1
	if i = skipSpace(b, i); i >= len(b) {
		return false
	}
	switch c := b[i]; {
	case c == '}':
		w.i = i + 1
		return false
	case !w.begun:
		w.begun = true
	case c != ',':
		return false
	default:
		if i = skipSpace(b, i+1); i >= len(b) {
			return false
		}
	}
	if b[i] != '"' {
		return false
	}
	end := skipString(b, i)
	if end < 0 {
		return false
	}
	w.from, w.stop = i+1, end-1
	if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
		return false
	}
	w.i = skipSpace(b, i+1)
	return true
}

// skip takes the value and returns it raw; nil if it is none.
func (w *walker) skip() []byte {
	from := w.i
	if w.i = skipValue(w.b, from, w.depth); w.i < 0 {
		return nil
	}
	return w.b[from:w.i]
}

// at reports whether the value begins with c.
func (w *walker) at(c byte) bool { return w.i < len(w.b) && w.b[w.i] == c }

// enter begins a walk through the value, an object; leave goes on after it, when its next was false.
func (w *walker) enter() walker       { return walk(w.b, w.i, w.depth+1) }
func (w *walker) leave(inner *walker) { w.i = inner.i }

// whole reports, when next was false, whether the object was valid and nothing follows it.
func (w *walker) whole() bool { return w.i >= 0 && skipSpace(w.b, w.i) == len(w.b) }

// eachMember calls f with every member of obj, a valid JSON object: the raw key between its quotes
// and the raw value.
func eachMember(obj []byte, f func(key, value []byte)) {
	for w := walk(obj, 0, 1); w.next(); {
		f(w.key(), w.skip())
	}
}

// keyIs reports whether the raw key, valid as a JSON string, says want, a word of plain letters.
func keyIs(key []byte, want string) bool {
	return string(key) == want || len(key) > len(want) && escapedIs(key, want)
}

// escapedIs is keyIs for a key that is written with escapes.
func escapedIs(key []byte, want string) bool {
	if len(key) < 6 || len(key) > 6*len(want) {
		return false
	}
	w := 0
	for i := 0; i < len(key); w++ {
		if w == len(want) {
			return false
		}
		c := rune(key[i])
		if c != '\\' {
			i++
		} else {
			if key[i+1] != 'u' {
				return false // the short escapes stand for no letter
			}
			c = 0
			for _, h := range key[i+2 : i+6] {
				c = c<<4 | rune(unhex(h))
			}
			i += 6
		}
		if c != rune(want[w]) {
			return false
		}
	}
	return w == len(want)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// skipValue returns the index after the JSON value that begins at b[i], or -1 if there is none.
func skipValue(b []byte, i, depth int) int {
	if i < 0 || i >= len(b) {
		return -1
	}
	switch c := b[i]; c {
	case '"':
		return skipString(b, i)
	case 't':
		return skipWord(b, i, "true")
	case 'f':
		return skipWord(b, i, "false")
	case 'n':
		return skipWord(b, i, "null")
	case '{', '[':
		return skipGroup(b, i, depth+1)
	default:
		return skipNumber(b, i)
	}
}

func skipGroup(b []byte, i, depth int) int {
	if depth > maxResultDepth {
		return -1
	}
	object := b[i] == '{'
	end := b[i] + 2 // } follows { and ] follows [ by two
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == end {
		return i + 1
	}
	for {
		if object {
			if i >= len(b) || b[i] != '"' {
				return -1
			}
			if i = skipString(b, i); i < 0 {
				return -1
			}
			i = skipSpace(b, i)
			if i >= len(b) || b[i] != ':' {
				return -1
			}
			i = skipSpace(b, i+1)
		}
		if i = skipValue(b, i, depth); i < 0 {
			return -1
		}
		i = skipSpace(b, i)
		switch {
		case i >= len(b):
			return -1
		case b[i] == end:
			return i + 1
		case b[i] != ',':
			return -1
		}
		i = skipSpace(b, i+1)
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

func skipWord(b []byte, i int, word string) int {
	if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
		return i + len(word)
	}
	return -1
}

func skipString(b []byte, i int) int {
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
			return -1
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < 0x20:
			return -1
		case c == '\\':
			n := escapeLen(b[i:])
			if n == 0 {
				return -1
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
	return ((q-ones)&^q | (e-ones)&^e | (x-ones*0x20)&^x) & highs
}

func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = skipDigits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = skipDigits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = skipDigits(b, i)
	}
	return i
}

func skipDigits(b []byte, i int) int {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

// compactValue appends the JSON value that begins at b[i] to dst without spaces between its parts,
// and returns the index after it, or -1 if there is none.
func compactValue(dst, b []byte, i, depth int) ([]byte, int) {
	end := skipValue(b, i, depth)
	if end < 0 {
		return dst, -1
	}
	for i < end {
		switch b[i] {
		case ' ', '\n', '\r', '\t':
			i++
		case '"':
			j := skipString(b, i)
			dst = append(dst, b[i:j]...)
			i = j
		default:
			dst = append(dst, b[i])
			i++
		}
	}
	return dst, end
}
