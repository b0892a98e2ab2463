// Package jsonline reads and writes the JSON of every door: one cursor that knows where an error lies, one
// writer of strings, and one answer to the question what form a body has.
//
// The grammar is that of encoding/json/jsontext. The package adds what the doors have in common: values are
// cut out as they were written, and errors have code bad_request and name the byte. It does not know
// envelopes or result records.
package jsonline

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/glassq/glassq"
)

// Names may come twice, and a string may have half a surrogate pair, or bytes that are not UTF-8: what is
// only passed on stays as it was written. The callers that mind look for themselves.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// A Cursor goes through one JSON text from its beginning to its end and builds nothing. Its error is sticky:
// after the first one all methods return zero values and all loops end. It is for one goroutine.
type Cursor struct {
	line  []byte
	plain bool // nothing in line is escaped
	src   bytes.Buffer
	dec   *jsontext.Decoder
	err   *glassq.Error

	// From and To are where the last key or value lies, quotes included.
	From, To int
}

var cursors = sync.Pool{New: func() any { return &Cursor{dec: new(jsontext.Decoder)} }}

// Read begins at the start of line. The caller must call Close and not use the cursor after it. What the
// methods return aliases line wherever nothing had to be unescaped, with no spare capacity.
func Read(line []byte) *Cursor {
	c := cursors.Get().(*Cursor)
	c.line, c.src = line, *bytes.NewBuffer(line)
	c.plain = bytes.IndexByte(line, '\\') < 0
	c.dec.Reset(&c.src, lenient)
	return c
}

// ReadText is Read, but line must be UTF-8.
func ReadText(line []byte) *Cursor {
	c := Read(line)
	if !utf8.Valid(line) {
		at := 0
		for r, n := utf8.DecodeRune(line); r != utf8.RuneError || n != 1; r, n = utf8.DecodeRune(line[at:]) {
			at += n
		}
		c.Fail(at, "not UTF-8; send bytes as b64")
	}
	return c
}

// Close ends the use of the cursor.
func (c *Cursor) Close() {
	c.line, c.src, c.err = nil, bytes.Buffer{}, nil
	c.From, c.To = 0, 0
	cursors.Put(c)
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

// broken notes an error of the decoder.
func (c *Cursor) broken(err error) {
	at := int(c.dec.InputOffset())
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at, err = int(e.ByteOffset), e.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		c.Fail(len(c.line), "the JSON ends too early")
		return
	}
	c.Fail(at, "not JSON: %s", strings.TrimPrefix(err.Error(), "jsontext: "))
}

// At reports whether the next value begins with kind: one of { [ " 0 t f n.
func (c *Cursor) At(kind jsontext.Kind) bool { return c.err == nil && c.dec.PeekKind() == kind }

// Open takes the beginning of an object or array, { or [. More goes through what is in it.
func (c *Cursor) Open(kind jsontext.Kind, what string) {
	if c.err != nil {
		return
	}
	if c.dec.PeekKind() != kind {
		rest := c.line[c.dec.InputOffset():]
		c.Fail(len(c.line)-len(bytes.TrimLeft(rest, " \t\r\n,:")), "%s must begin with %c", what, kind)
		return
	}
	c.take()
}

// More reports whether another member or element follows, and takes the end of the object or array if not.
func (c *Cursor) More() bool {
	if c.err != nil {
		return false
	}
	switch c.dec.PeekKind() {
	case '}', ']', 0: // 0 is an error
		c.take()
		return false
	}
	return true
}

// take takes the beginning or end of an object or array.
func (c *Cursor) take() {
	if _, err := c.dec.ReadToken(); err != nil {
		c.broken(err)
		return
	}
	c.To = int(c.dec.InputOffset())
	c.From = c.To - 1
}

// Key takes the name of a member and returns what it says; halves of surrogate pairs are U+FFFD. Text refuses them.
func (c *Cursor) Key() []byte {
	v := c.Value()
	if c.plain && v != nil {
		return v[1 : len(v)-1 : len(v)-1]
	}
	return Plain(v)
}

// Value takes any value and returns it as it was written. The methods below say what the last one means.
func (c *Cursor) Value() []byte {
	if c.err != nil {
		return nil
	}
	v, err := c.dec.ReadValue()
	if err != nil {
		c.broken(err)
		return nil
	}
	c.To = int(c.dec.InputOffset())
	c.From = c.To - len(v)
	return c.last()
}

func (c *Cursor) last() []byte {
	if c.err != nil {
		return nil
	}
	return c.line[c.From:c.To:c.To]
}

// End takes the end of the text: nothing may follow but space.
func (c *Cursor) End() {
	if c.err != nil {
		return
	}
	if rest := bytes.TrimLeft(c.line[c.To:], " \t\r\n"); len(rest) > 0 {
		c.Fail(len(c.line)-len(rest), "something follows the end")
	}
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
