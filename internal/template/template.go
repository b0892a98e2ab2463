// Package template makes the bodies of a range of positions: a template is literals with numbers
// between them.
//
// As text, {0} is the number of a position and {0:06} the same with at least six digits, zeros in
// front; {=0} is {0}. All other braces stand for themselves, as in JSON. In a record of a log a
// template has a form of its own, which spec/range.md describes and which does not change with the
// text. The package knows texts and numbers; it does not know tasks.
package template

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// version is the first byte of a template in a record.
const version = 1

// MaxDigits is how many digits {0:…} may ask for: those of the largest number.
const MaxDigits = 20

// A Template is literals and numbers in turn, a literal at both ends. Its zero value is the empty
// text.
type Template struct {
	parts []part
	last  []byte // the literal behind the last number
}

type part struct {
	lit    []byte // before the number
	digits int    // at least
}

// Parse reads a template from its text, which is not copied. Every text is a template.
func Parse(text []byte) (t Template) {
	from := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '{' {
			continue
		}
		end := bytes.IndexByte(text[i:min(len(text), i+longestValue)], '}')
		if end < 0 {
			continue
		}
		if digits, ok := ParseValue(string(text[i+1 : i+end])); ok {
			t.parts = append(t.parts, part{text[from:i], digits})
			i += end
			from = i + 1
		}
	}
	t.last = text[from:]
	return t
}

// longestValue is how many bytes the text of a number has at most.
const longestValue = len("{=0:020}")

// ParseValue reads what stands between the braces of a number, and tells how many digits that has
// at least.
func ParseValue(s string) (digits int, ok bool) {
	if len(s) > 0 && s[0] == '=' {
		s = s[1:]
	}
	if s == "0" {
		return 0, true
	}
	if len(s) < 4 || s[:3] != "0:0" {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:], 10, 8)
	if n == 1 {
		return 0, true // as every number has
	}
	return int(n), err == nil && n >= 2 && n <= MaxDigits
}

// AppendValue appends the text of a number with so many digits at least, as Parse reads it.
func AppendValue(dst []byte, digits int) []byte {
	if digits <= 1 {
		return append(dst, "{0}"...)
	}
	return fmt.Appendf(dst, "{0:0%d}", digits)
}

// AppendNumber appends n with so many digits at least.
func AppendNumber(dst []byte, n uint64, digits int) []byte {
	if digits > 1 {
		for k := digitsOf(n); k < digits; k++ {
			dst = append(dst, '0')
		}
	}
	return strconv.AppendUint(dst, n, 10)
}

func digitsOf(n uint64) int {
	digits := 1
	for ; n >= 10; n /= 10 {
		digits++
	}
	return digits
}

// Numbers is how many numbers there are in t.
func (t *Template) Numbers() int { return len(t.parts) }

// Append appends the text that t makes with a number.
func (t *Template) Append(dst []byte, number uint64) []byte {
	for _, p := range t.parts {
		dst = AppendNumber(append(dst, p.lit...), number, p.digits)
	}
	return append(dst, t.last...)
}

// Size is how many bytes Append appends. No smaller number makes more.
func (t *Template) Size(number uint64) int {
	n, digits := len(t.last), digitsOf(number)
	for _, p := range t.parts {
		n += len(p.lit) + max(p.digits, digits)
	}
	return n
}

// AppendText appends t as Parse reads it.
func (t *Template) AppendText(dst []byte) []byte {
	for _, p := range t.parts {
		dst = AppendValue(append(dst, p.lit...), p.digits)
	}
	return append(dst, t.last...)
}

// AppendRecord appends t as it stands in a record, with what is added to a position to make its
// number.
func (t *Template) AppendRecord(dst []byte, add uint64) []byte {
	dst = binary.AppendUvarint(append(dst, version), add)
	dst = binary.AppendUvarint(dst, uint64(len(t.parts)))
	for _, p := range t.parts {
		dst = binary.AppendUvarint(dst, uint64(len(p.lit)))
		dst = append(append(dst, p.lit...), byte(p.digits))
	}
	return append(dst, t.last...)
}

// A reader takes a record apart, part by part.
type reader struct {
	b     []byte // what is left
	add   uint64
	parts uint64 // that are still to come
}

func read(rec []byte) (r reader, ok bool) {
	if len(rec) == 0 || rec[0] != version {
		return r, false
	}
	r.b = rec[1:]
	if r.add, ok = r.uvarint(); ok {
		r.parts, ok = r.uvarint()
	}
	return r, ok
}

func (r *reader) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		return 0, false
	}
	r.b = r.b[n:]
	return v, true
}

func (r *reader) next() (p part, ok bool) {
	n, ok := r.uvarint()
	if !ok || n >= uint64(len(r.b)) || r.b[n] > MaxDigits {
		return p, false
	}
	p = part{r.b[:n], int(r.b[n])}
	r.b = r.b[n+1:]
	r.parts--
	return p, true
}

// Read reads what AppendRecord wrote; t aliases rec. ok is false for anything else, or for a
// template of a version that this program does not know.
func Read(rec []byte) (t Template, add uint64, ok bool) {
	r, ok := read(rec)
	for ok && r.parts > 0 {
		var p part
		if p, ok = r.next(); ok {
			t.parts = append(t.parts, p)
		}
	}
	t.last = r.b
	return t, r.add, ok
}

// AppendBody appends the body of a position, from a record. It allocates nothing but what dst
// needs.
func AppendBody(dst, rec []byte, position uint32) (_ []byte, ok bool) {
	r, ok := read(rec)
	for ok && r.parts > 0 {
		var p part
		if p, ok = r.next(); ok {
			dst = AppendNumber(append(dst, p.lit...), r.add+uint64(position), p.digits)
		}
	}
	return append(dst, r.b...), ok
}
