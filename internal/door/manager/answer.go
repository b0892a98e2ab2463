package manager

import (
	"encoding/binary"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door/manager/pickle"
)

// What is not a user's value is written in protocol 2 with the names of Python 2, which every newer
// Python translates. The bytes are opcodes: 0x80 PROTO, 0x86 TUPLE2, 'c' GLOBAL, 'R' REDUCE, '.'
// STOP.
const (
	head2    = "\x80\x02U\x07#RETURN"
	head3    = "\x80\x03X\x07\x00\x00\x00#RETURN"
	headErr  = "\x80\x02U\x06#ERROR"
	headText = "\x80\x02U\x0a#TRACEBACK"
	headUns  = "\x80\x02U\x0f#UNSERIALIZABLE"
	tail     = "\x86."
)

// An exception is what Python raises: Empty, Full, ShutDown, or the name of a built-in one with a
// text.
type exception struct{ name, text string }

func (c *conn) reply(value func([]byte) []byte) error {
	c.out = append(value(append(beginFrame(c.out), head2...)), tail...)
	return c.flush()
}

func (c *conn) replyValue(t *glassq.Task) error {
	c.out = append(c.appendValue(append(beginFrame(c.out), c.head()...), t), tail...)
	return c.flush()
}

// replyItem answers (value, receipt).
func (c *conn) replyItem(l *glassq.Lease) error {
	b := c.appendValue(append(beginFrame(c.out), c.head()...), &l.Task)
	c.out = append(append(appendReceipt(b, l), 0x86), tail...)
	return c.flush()
}

// head begins a reply with a user's value.
func (c *conn) head() string {
	if c.python2 {
		return head2
	}
	return head3
}

func (c *conn) raise(e *exception) error {
	b := append(beginFrame(c.out), headErr...)
	switch e.name {
	case "Empty", "Full", "ShutDown":
		b = append(append(append(b, "cQueue\n"...), e.name...), "\n)R"...)
	default:
		b = append(append(append(b, "cexceptions\n"...), e.name...), '\n')
		b = append(pickle.AppendText(b, plain(e.text), pickle.Python2), "\x85R"...)
	}
	c.out = append(b, tail...)
	return c.flush()
}

func (c *conn) traceback(text string) error { return c.text(headText, text) }

func (c *conn) text(head, text string) error {
	b := append(beginFrame(c.out), head...)
	c.out = append(pickle.AppendText(b, plain(text)+"\n", pickle.Python2), tail...)
	return c.flush()
}

// fault answers what the store refused.
func (c *conn) fault(err error) error {
	switch glassq.CodeOf(err) {
	case glassq.CodeTooLarge, glassq.CodeSchema, glassq.CodeBadRequest, glassq.CodeBadName:
		return c.raise(&exception{"ValueError", err.Error()})
	case glassq.CodeQueueFull:
		return c.raise(&exception{"Full", ""})
	case glassq.CodeQuota:
		if glassq.RetryAfter(err) > 0 { // the rate of a token: as where there is no room, a program tries again
			return c.raise(&exception{"Full", ""})
		}
	}
	return c.raise(&exception{"RuntimeError", err.Error()})
}

// plain is s in ASCII, which is all that either Python reads in such a text, and of bounded length.
func plain(s string) string {
	b := []byte(s[:min(len(s), 2000)])
	for i, x := range b {
		if x < ' ' || x > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

func appendNone(b []byte) []byte { return append(b, 'N') }

func appendBool(v bool) func([]byte) []byte {
	return func(b []byte) []byte {
		if v {
			return append(b, 0x88)
		}
		return append(b, 0x89)
	}
}

// appendInt appends a number of 0 or more; Python's own queues count no further than 31 bits here.
func appendInt(b []byte, n int64) []byte {
	switch {
	case n <= 0xff:
		return append(b, 'K', byte(n))
	case n <= 0xffff:
		return append(b, 'M', byte(n), byte(n>>8))
	}
	return binary.LittleEndian.AppendUint32(append(b, 'J'), uint32(min(n, 1<<31-1)))
}

func appendNames(b []byte) []byte { return appendList(b, exposed) }

// appendList appends a tuple of texts.
func appendList(b []byte, names []string) []byte {
	b = append(b, '(')
	for _, name := range names {
		b = pickle.AppendText(b, name, pickle.Python2)
	}
	return append(b, 't')
}
