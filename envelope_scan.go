package glassq

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/glassq/glassq/internal/jsonwalk"
)

// maxJSONDepth bounds nesting, so that a hostile line cannot exhaust the stack.
const maxJSONDepth = 500

// A jsonScan walks over one JSON text without building anything. Its error is sticky: after the
// first one every method returns zero values and all loops end.
type jsonScan struct {
	b   []byte
	i   int // next byte
	err *Error

	rawKey []byte // the last key as it was written, quotes included
}

func newScan(b []byte) jsonScan {
	s := jsonScan{b: b}
	if !utf8.Valid(b) {
		at := 0
		for at < len(b) {
			r, n := utf8.DecodeRune(b[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		s.fail(at, "not UTF-8; send bytes as b64")
	}
	return s
}

func (s *jsonScan) fail(at int, format string, args ...any) {
	if s.err == nil {
		e := Errorf(CodeBadRequest, format, args...)
		e.Message += ", at byte " + strconv.Itoa(at)
		s.err = e
	}
	s.i = len(s.b)
}

func (s *jsonScan) result() error {
	if s.err != nil {
		return s.err
	}
	return nil
}

// next skips white space and returns the byte after it without taking it; 0 at the end.
func (s *jsonScan) next() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// open takes c, the beginning of an object or array.
func (s *jsonScan) open(c byte, what string) bool {
	if s.next() != c {
		s.fail(s.i, "%s must begin with %c", what, c)
		return false
	}
	s.i++
	return true
}

// member takes one key and its colon, or the closing brace. first is true before the first call.
func (s *jsonScan) member(first *bool) (key []byte, ok bool) {
	c := s.next()
	if c == '}' {
		s.i++
		return nil, false
	}
	if !*first {
		if c != ',' {
			s.fail(s.i, "want , or } after a member")
			return nil, false
		}
		s.i++
		c = s.next()
	}
	*first = false
	if c != '"' {
		s.fail(s.i, "want a member name in quotes")
		return nil, false
	}
	at := s.i
	key = s.text("a member name")
	s.rawKey = s.b[at:s.i]
	if s.next() != ':' {
		s.fail(s.i, "want : after a member name")
		return nil, false
	}
	s.i++
	s.next()
	return key, s.err == nil
}

// element moves to the next element of an array, or takes the closing bracket.
func (s *jsonScan) element(first *bool) bool {
	c := s.next()
	if c == ']' {
		s.i++
		return false
	}
	if !*first {
		if c != ',' {
			s.fail(s.i, "want , or ] after an element")
			return false
		}
		s.i++
		s.next()
	}
	*first = false
	return s.err == nil
}

// end checks that nothing follows.
func (s *jsonScan) end() {
	if s.next(); s.i < len(s.b) {
		s.fail(s.i, "something follows the end")
	}
}

// null takes a null if there is one.
func (s *jsonScan) null() bool {
	if s.next() == 'n' {
		s.word("null")
		return true
	}
	return false
}

// text takes a string and returns what it means: an alias of the input where nothing is escaped.
func (s *jsonScan) text(what string) []byte {
	if s.next() != '"' {
		s.fail(s.i, "%s must be a string", what)
		return nil
	}
	at := s.i
	escaped := s.str()
	if s.err != nil {
		return nil
	}
	in := s.b[at+1 : s.i-1 : s.i-1]
	if !escaped {
		return in
	}
	return s.unescape(at+1, in)
}

// unescape expands a string that str has checked. A lone surrogate has no UTF-8 form and is refused.
func (s *jsonScan) unescape(at int, in []byte) []byte {
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); {
		j := bytes.IndexByte(in[i:], '\\')
		if j < 0 {
			return append(out, in[i:]...)
		}
		out = append(out, in[i:i+j]...)
		i += j + 2
		switch c := in[i-1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(in[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if i+6 <= len(in) && in[i] == '\\' && in[i+1] == 'u' {
					low = hex4(in[i+2:])
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					s.fail(at+i-6, "half a surrogate pair is not text; send bytes as b64")
					return nil
				}
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return out
}

func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c&^0x20 - 'A' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// str takes a string and checks it.
func (s *jsonScan) str() (escaped bool) {
	b, start := s.b, s.i
	i := start + 1
	for {
		for i+8 <= len(b) { // eight bytes at a time while none is special
			if x := jsonwalk.Specials(binary.LittleEndian.Uint64(b[i:])); x != 0 {
				i += bits.TrailingZeros64(x) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			s.fail(start, "a string does not end")
			return false
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return escaped
		case c == '\\':
			escaped = true
			n := jsonwalk.EscapeLen(b[i:])
			if n == 0 {
				s.fail(i, "a bad escape in a string")
				return false
			}
			i += n
		case c < 0x20:
			s.fail(i, "a bare control character in a string")
			return false
		default: // one of the last seven bytes
			i++
		}
	}
}

// value takes any value, checks it and returns it as it was written.
func (s *jsonScan) value() []byte {
	s.next()
	at := s.i
	s.skip(0)
	if s.err != nil {
		return nil
	}
	return s.b[at:s.i:s.i]
}

func (s *jsonScan) skip(depth int) {
	if depth > maxJSONDepth {
		s.fail(s.i, "nested deeper than %d", maxJSONDepth)
		return
	}
	switch c := s.next(); c {
	case '{':
		s.i++
		for first := true; s.nextKey(&first); {
			s.skip(depth + 1)
		}
	case '[':
		s.i++
		for first := true; s.element(&first); {
			s.skip(depth + 1)
		}
	case '"':
		s.str()
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
}

// nextKey is member for a value that is only checked.
func (s *jsonScan) nextKey(first *bool) bool {
	c := s.next()
	if c == '}' {
		s.i++
		return false
	}
	if !*first {
		if c != ',' {
			s.fail(s.i, "want , or } after a member")
			return false
		}
		s.i++
		c = s.next()
	}
	*first = false
	if c != '"' {
		s.fail(s.i, "want a member name in quotes")
		return false
	}
	s.str()
	if s.next() != ':' {
		s.fail(s.i, "want : after a member name")
		return false
	}
	s.i++
	return s.err == nil
}

func (s *jsonScan) word(w string) {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		s.fail(s.i, "want a JSON value")
		return
	}
	s.i += len(w)
}

// number takes a number by JSON's grammar and returns its text.
func (s *jsonScan) number() []byte {
	at := s.i
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	whole := s.digits()
	if whole == 0 {
		s.fail(at, "want a JSON value")
		return nil
	}
	if whole > 1 && s.b[s.i-whole] == '0' {
		s.fail(at, "a number must not begin with 0")
		return nil
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if s.digits() == 0 {
			s.fail(s.i, "want a digit after the point")
			return nil
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if s.digits() == 0 {
			s.fail(s.i, "want a digit in the exponent")
			return nil
		}
	}
	return s.b[at:s.i]
}

func (s *jsonScan) digits() int {
	at := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i - at
}

// integer takes a whole number from 0 to max.
func (s *jsonScan) integer(what string, max uint64) uint64 {
	s.next()
	at := s.i
	var v uint64
	text := s.number()
	ok := len(text) > 0 && len(text) < 20
	for _, c := range text {
		if c -= '0'; c > 9 {
			ok = false
			break
		}
		v = v*10 + uint64(c)
	}
	if !ok || v > max {
		s.err = nil // "want a JSON value" is less clear than this
		s.fail(at, "%s must be a whole number from 0 to %d", what, max)
		return 0
	}
	return v
}

// boolean takes true or false.
func (s *jsonScan) boolean(what string) bool {
	switch s.next() {
	case 't':
		s.word("true")
		return s.err == nil
	case 'f':
		s.word("false")
	default:
		s.fail(s.i, "%s must be true or false", what)
	}
	return false
}

// duration takes a string like "250ms" or a number of seconds. It is never negative.
func (s *jsonScan) duration(what string) time.Duration {
	c := s.next()
	at := s.i
	var d time.Duration
	ok := false
	if c == '"' {
		var err error
		d, err = time.ParseDuration(string(s.text(what)))
		ok = err == nil
	} else {
		d, ok = parseSeconds(s.number())
	}
	if !ok || d < 0 {
		s.err = nil
		s.fail(at, "%s must be a duration like \"250ms\" or a number of seconds, not negative", what)
		return 0
	}
	return d
}

// parseSeconds reads a JSON number of seconds; up to nine decimals are exact.
func parseSeconds(text []byte) (time.Duration, bool) {
	if len(text) == 0 {
		return 0, false
	}
	var nanos uint64
	decimals := -1
	for _, c := range text {
		switch {
		case c == '.':
			decimals = 0
		case c-'0' > 9 || nanos > math.MaxInt64/20 || decimals == 9:
			return roundSeconds(text)
		default:
			nanos = nanos*10 + uint64(c-'0')
			if decimals >= 0 {
				decimals++
			}
		}
	}
	for n := max(decimals, 0); n < 9; n++ {
		if nanos > math.MaxInt64/10 {
			return 0, false
		}
		nanos *= 10
	}
	return time.Duration(nanos), true
}

func roundSeconds(text []byte) (time.Duration, bool) {
	f, err := strconv.ParseFloat(string(text), 64)
	if f = math.Round(f * 1e9); err != nil || !(math.Abs(f) < math.MaxInt64) {
		return 0, false
	}
	return time.Duration(f), true
}

// appendSeconds prints d as a JSON number of seconds, exactly. A negative d prints as 0.
func appendSeconds(dst []byte, d time.Duration) []byte {
	d = max(d, 0)
	dst = strconv.AppendInt(dst, int64(d/time.Second), 10)
	frac := uint64(d % time.Second)
	if frac == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := uint64(time.Second / 10); frac > 0; unit /= 10 {
		dst = append(dst, '0'+byte(frac/unit))
		frac %= unit
	}
	return dst
}

// jsonKind checks that b is one JSON value and returns its first byte, 0 if it is not.
func jsonKind(b []byte) byte {
	s := newScan(b)
	kind := s.next()
	s.skip(0)
	s.end()
	if s.err != nil {
		return 0
	}
	return kind
}

// appendLine prints a checked JSON value on one line. A line break can only stand between tokens
// of which one is punctuation, so leaving it out changes nothing.
func appendLine(dst, value []byte) []byte {
	for len(value) > 0 {
		n := bytes.IndexByte(value, '\n')
		if r := bytes.IndexByte(value[:max(n, 0)], '\r'); r >= 0 {
			n = r
		} else if n < 0 {
			n = bytes.IndexByte(value, '\r')
		}
		if n < 0 {
			return append(dst, value...)
		}
		dst, value = append(dst, value[:n]...), value[n+1:]
	}
	return dst
}
