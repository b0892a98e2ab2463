// Package jsonline reads and writes the JSON of every door: one cursor that knows where an error
// lies, one writer of strings, and one answer to the question what form a body has.
//
// The grammar is that of encoding/json/jsontext. The package adds what the doors have in common:
// values are cut out as they were written, and errors have code bad_request and name the byte. It
// does not know envelopes or result records.
package jsonline

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/glassq/glassq"
)

// Names may come twice, and a string may have half a surrogate pair, or bytes that are not UTF-8:
// what is only passed on stays as it was written. The callers that mind look for themselves.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// A Cursor goes through one JSON text from its beginning to its end and builds nothing. The text
// was checked as a whole before, so that the cursor need only find where values end. Its error is
// sticky: after the first one all methods return zero values and all loops end. It is for one
// goroutine.
//
// Results of the methods alias the text wherever nothing had to be unescaped, with no spare
// capacity.
type Cursor struct {
	line  []byte
	plain bool // nothing in line is escaped
	i     int  // where it stands
	err   *glassq.Error

	// From and To are where the last key or value lies, quotes included.
	From, To int
}

// Read checks that line is one JSON value, and begins at its start.
func Read(line []byte) Cursor {
	c := Cursor{line: line, plain: bytes.IndexByte(line, '\\') < 0}
	if !isPlain(line) && !jsontext.Value(line).IsValid(lenient) {
		c.findFault()
	}
	return c
}

// ReadText is Read, but line must be UTF-8.
func ReadText(line []byte) Cursor {
	if !utf8.Valid(line) {
		at := 0
		for r, n := utf8.DecodeRune(line); r != utf8.RuneError || n != 1; r, n = utf8.DecodeRune(line[at:]) {
			at += n
		}
		var c Cursor
		c.Fail(at, "not UTF-8; send bytes as b64")
		return c
	}
	return Read(line)
}

// Fail makes an error about the byte at, unless there is one already.
func (c *Cursor) Fail(at int, format string, args ...any) {
	if c.err == nil {
		c.err = glassq.Errorf(glassq.CodeBadRequest, format, args...)
		c.err.Message += ", at byte " + strconv.Itoa(at)
	}
}

// Err is the first error, with code bad_request, or nil.
func (c *Cursor) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// findFault notes what is wrong with the text, and where.
func (c *Cursor) findFault() {
	d := jsontext.NewDecoder(bytes.NewBuffer(c.line), lenient)
	_, err := d.ReadValue()
	e, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case err == nil:
		rest := bytes.TrimLeft(c.line[d.InputOffset():], " \t\r\n")
		c.Fail(len(c.line)-len(rest), "something follows the end")
	case !ok || errors.Is(err, io.ErrUnexpectedEOF): // or there is nothing
		c.Fail(len(c.line), "the JSON ends too early")
	default:
		c.Fail(int(e.ByteOffset), "not JSON: %s", strings.TrimPrefix(e.Err.Error(), "jsontext: "))
	}
}

// next is the first byte after space and the commas and colons between values.
func (c *Cursor) next() byte {
	i := c.i
	for between[c.line[i]] {
		i++
	}
	c.i = i
	return c.line[i]
}

// At reports whether the next value begins with b: one of { [ and ".
func (c *Cursor) At(b byte) bool { return c.err == nil && c.next() == b }

// Open takes the beginning of an object or array, { or [. More goes through what is in it.
func (c *Cursor) Open(b byte, what string) {
	if c.err != nil {
		return
	}
	if c.next() != b {
		c.Fail(c.i, "%s must begin with %c", what, b)
		return
	}
	c.i++
	c.From, c.To = c.i-1, c.i
}

// More reports whether another member or element follows, and takes the end of the object or array
// if not.
func (c *Cursor) More() bool {
	if c.err != nil {
		return false
	}
	if b := c.next(); b != '}' && b != ']' {
		return true
	}
	c.i++
	c.From, c.To = c.i-1, c.i
	return false
}

// Key takes the name of a member and returns what it says; halves of surrogate pairs are U+FFFD.
// Text refuses them.
func (c *Cursor) Key() []byte {
	v := c.Value()
	if c.plain && v != nil {
		return v[1 : len(v)-1 : len(v)-1]
	}
	return Plain(v)
}

// Value takes any value and returns it as it was written. The methods below say what the last one
// means.
func (c *Cursor) Value() []byte {
	if c.err != nil {
		return nil
	}
	c.next()
	c.From = c.i
	switch c.line[c.i] {
	case '"':
		c.i = afterString(c.line, c.i)
	case '{', '[':
		c.i = afterGroup(c.line, c.i)
	default:
		i := c.i
		for i < len(c.line) && !ends[c.line[i]] {
			i++
		}
		c.i = i
	}
	c.To = c.i
	return c.line[c.From:c.To:c.To]
}

// between are the bytes between values, ends those that end a number or a word.
var (
	between = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, ',': true, ':': true}
	ends    = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, ',': true, ']': true, '}': true}
)

// afterString is the index after the string that begins at b[i].
func afterString(b []byte, i int) int {
	i++
	for near := min(i+16, len(b)); i < near; i++ { // most end soon
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	for {
		i += bytes.IndexByte(b[i:], '"')
		escapes := 0
		for b[i-1-escapes] == '\\' {
			escapes++
		}
		if i++; escapes%2 == 0 {
			return i
		}
	}
}

// afterGroup is the index after the object or array that begins at b[i].
func afterGroup(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i = afterString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if i++; depth == 0 {
			return i
		}
	}
}

func (c *Cursor) last() []byte {
	if c.err != nil {
		return nil
	}
	return c.line[c.From:c.To:c.To]
}

// Null reports whether the last value is null.
func (c *Cursor) Null() bool { return c.err == nil && c.line[c.From] == 'n' }

// Text is what the last value says, a string.
func (c *Cursor) Text(what string) []byte {
	v := c.last()
	switch {
	case v == nil:
		return nil
	case v[0] != '"':
		c.Fail(c.From, "%s must be a string", what)
		return nil
	case c.plain || bytes.IndexByte(v, '\\') < 0:
		return v[1 : len(v)-1 : len(v)-1]
	}
	out, err := jsontext.AppendUnquote(make([]byte, 0, len(v)), v)
	if err != nil {
		c.Fail(c.From, "half a surrogate pair is not text; send bytes as b64")
		return nil
	}
	return out
}

// Base64 is what the last value says, a string of standard base64 with padding.
func (c *Cursor) Base64(what string) []byte {
	text := c.Text(what)
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(out, text)
	if err != nil {
		c.Fail(c.From, "%s is not standard base64 with padding", what)
		return nil
	}
	return out[:n:n]
}

// Integer is the last value, a whole number from 0 to limit.
func (c *Cursor) Integer(what string, limit uint64) uint64 {
	n, err := strconv.ParseUint(string(c.last()), 10, 64)
	if err != nil || n > limit {
		c.Fail(c.From, "%s must be a whole number from 0 to %d", what, limit)
		return 0
	}
	return n
}

// Duration is the last value, a string like "250ms" or a number of seconds. It is never negative.
func (c *Cursor) Duration(what string) time.Duration {
	d, ok := Duration(c.last())
	if !ok {
		c.Fail(c.From, "%s must be a duration like \"250ms\" or a number of seconds, not negative", what)
	}
	return d
}
