// Package jsonwalk goes through JSON in one pass that checks the grammar and cuts out members, builds nothing and
// allocates nothing. Every result passes here at least three times: in the worker, the broker and the output.
//
// Bytes that are no valid UTF-8 are taken in strings, as encoding/json takes them. Nothing here keeps the
// bytes, and everything is safe for concurrent use but a Walker.
package jsonwalk

import (
	"encoding/binary"
	"math/bits"
)

// MaxDepth is how deep values may be nested; deeper ones count as no JSON. It is as in encoding/json.
const MaxDepth = 10_000

// A Walker goes through the members of one JSON object and checks them on its way. After Next the value
// of the member must be taken, by Skip or by a Walker of its own from Enter, before the next call.
type Walker struct {
	b          []byte
	i          int // where it stands; -1 after what is no JSON
	depth      int // of the object
	begun      bool
	from, stop int // of the member's name, between its quotes
}

// Key is the name of the member, raw, between its quotes.
func (w *Walker) Key() []byte { return w.b[w.from:w.stop] }

// Name is where the name lies, without its quotes.
func (w *Walker) Name() (from, to int) { return w.from, w.stop }

// Pos is where the walker stands: at a value after Next was true, behind the object after it was false, and -1
// after what is no JSON.
func (w *Walker) Pos() int { return w.i }

// Walk begins at the object at b[i]; what is no object there has no members.
func Walk(b []byte, i, depth int) Walker {
	if i >= len(b) || b[i] != '{' || depth > MaxDepth {
		return Walker{b: b, i: -1}
	}
	return Walker{b: b, i: i + 1, depth: depth}
}

// Next goes to the value of the next member. It returns false at the end of the object, which it takes,
// and where there is no JSON.
func (w *Walker) Next() bool {
	b, i := w.b, w.i
	if i < 0 {
		return false
	}
	w.i = -1
	if i = Space(b, i); i >= len(b) {
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
		if i = Space(b, i+1); i >= len(b) {
			return false
		}
	}
	if b[i] != '"' {
		return false
	}
	end := String(b, i)
	if end < 0 {
		return false
	}
	w.from, w.stop = i+1, end-1
	if i = Space(b, end); i >= len(b) || b[i] != ':' {
		return false
	}
	w.i = Space(b, i+1)
	return true
}

// Skip takes the value and returns it raw; nil if it is none.
func (w *Walker) Skip() []byte {
	from := w.i
	if w.i = Value(w.b, from, w.depth); w.i < 0 {
		return nil
	}
	return w.b[from:w.i]
}

// At reports whether the value begins with c.
func (w *Walker) At(c byte) bool { return w.i < len(w.b) && w.b[w.i] == c }

// Enter begins a walk through the value, an object; Leave goes on after it, when its Next was false.
func (w *Walker) Enter() Walker       { return Walk(w.b, w.i, w.depth+1) }
func (w *Walker) Leave(inner *Walker) { w.i = inner.i }

// Whole reports, when Next was false, whether the object was valid and nothing follows it.
func (w *Walker) Whole() bool { return w.i >= 0 && Space(w.b, w.i) == len(w.b) }

// Value returns the index after the JSON value that begins at b[i], or -1 if there is none.
func Value(b []byte, i, depth int) int {
	if i < 0 || i >= len(b) {
		return -1
	}
	switch c := b[i]; c {
	case '"':
		return String(b, i)
	case 't':
		return word(b, i, "true")
	case 'f':
		return word(b, i, "false")
	case 'n':
		return word(b, i, "null")
	case '{', '[':
		return group(b, i, depth+1)
	default:
		return number(b, i)
	}
}

func group(b []byte, i, depth int) int {
	if depth > MaxDepth {
		return -1
	}
	object := b[i] == '{'
	end := b[i] + 2 // } follows { and ] follows [ by two
	i = Space(b, i+1)
	if i < len(b) && b[i] == end {
		return i + 1
	}
	for {
		if object {
			if i >= len(b) || b[i] != '"' {
				return -1
			}
			if i = String(b, i); i < 0 {
				return -1
			}
			i = Space(b, i)
			if i >= len(b) || b[i] != ':' {
				return -1
			}
			i = Space(b, i+1)
		}
		if i = Value(b, i, depth); i < 0 {
			return -1
		}
		i = Space(b, i)
		switch {
		case i >= len(b):
			return -1
		case b[i] == end:
			return i + 1
		case b[i] != ',':
			return -1
		}
		i = Space(b, i+1)
	}
}

func Space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

func word(b []byte, i int, w string) int {
	if len(b)-i >= len(w) && string(b[i:i+len(w)]) == w {
		return i + len(w)
	}
	return -1
}

func String(b []byte, i int) int {
	for i++; ; {
		if i+8 <= len(b) { // eight bytes at a time while none is special
			x := Specials(binary.LittleEndian.Uint64(b[i:]))
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
			n := EscapeLen(b[i:])
			if n == 0 {
				return -1
			}
			i += n
		default: // one of the last seven bytes
			i++
		}
	}
}

// Specials has the highest bit of the lowest byte of x set that is a quote, a backslash or a control
// character; higher bits say nothing. It is 0 when there is none.
func Specials(x uint64) uint64 {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	q, e := x^(ones*'"'), x^(ones*'\\')
	return ((q-ones)&^q | (e-ones)&^e | (x-ones*0x20)&^x) & highs
}

func number(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = digits(b, i)
	}
	return i
}

func digits(b []byte, i int) int {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

// EscapeLen is the length of the escape that b, which begins with a backslash, begins with; 0 for none.
func EscapeLen(b []byte) int {
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
		for _, c := range b[2:6] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}
