package memcache

import (
	"strconv"
	"strings"

	"github.com/glassq/glassq"
)

const (
	stored    = "STORED\r\n"
	notStored = "NOT_STORED\r\n"
	notFound  = "NOT_FOUND\r\n"
	deleted   = "DELETED\r\n"
	touched   = "TOUCHED\r\n"
	okay      = "OK\r\n"
	version   = "1.6.0" // that of the memcached whose words these are: libraries read it, and some only three numbers
	endOf     = "END\r\n"
	badVerb   = "ERROR\r\n"
	tooLarge  = "SERVER_ERROR object too large for queue\r\n"

	unauthenticated = "unauthenticated"
)

func (c *conn) say(text string) { c.desk.out = append(c.desk.out, text...) }

// answer says text, unless the client wants none.
func (c *conn) answer(quiet bool, text string) {
	if !quiet {
		c.say(text)
	}
}

// answerFailure is answer for what was not done: the client that wants no answer is counted.
func (c *conn) answerFailure(quiet bool, text string) {
	if quiet {
		c.s.count.quietFailures.Add(1)
		return
	}
	c.say(text)
}

// clientError answers what is wrong with a command.
func (c *conn) clientError(fault string) {
	c.answerFailure(c.cmd.quiet, "CLIENT_ERROR "+fault+"\r\n")
}

// failure is the answer to an error of the broker. lost is what is said of a lost lease.
func failure(err error, lost string) string {
	switch glassq.CodeOf(err) {
	case glassq.CodeLeaseLost:
		return lost
	case glassq.CodeQueueFull:
		return notStored
	case glassq.CodeTooLarge:
		return tooLarge
	case glassq.CodeBadName:
		return "CLIENT_ERROR " + badName + "\r\n"
	case glassq.CodeBadRequest, glassq.CodeRunConflict, glassq.CodeForbidden, glassq.CodeUnauthorized:
		return "CLIENT_ERROR " + oneLine(err) + "\r\n"
	}
	return "SERVER_ERROR " + oneLine(err) + "\r\n"
}

// oneLine is the sentence of an error, without anything that could end the line.
func oneLine(err error) string {
	s := err.Error()
	if len(s) > 500 {
		s = s[:500]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// value answers one task. With cas there is a fourth field, its lease number.
func (c *conn) value(key []byte, l *glassq.Lease, cas bool) error {
	out := c.desk.out
	switch {
	case c.cmd.does == verbNone:
		out = append(append(out, "VALUE "...), key...)
		out = strconv.AppendUint(append(out, ' '), uint64(l.Flags), 10)
		out = strconv.AppendInt(append(out, ' '), int64(len(l.Body)), 10)
		if cas {
			out = strconv.AppendUint(append(out, ' '), l.Number, 10)
		}
	case c.cmd.has('v'):
		out = strconv.AppendInt(append(out, "VA "...), int64(len(l.Body)), 10)
		out = c.appendMeta(out, l)
	default:
		c.desk.out = append(c.appendMeta(append(out, "HD"...), l), '\r', '\n')
		return c.flushSome()
	}
	out = append(out, '\r', '\n')
	if len(l.Body) > inlineTo {
		c.desk.out = out
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.send(l.Body); err != nil {
			return err
		}
		c.say("\r\n")
		return nil
	}
	out = append(out, l.Body...)
	c.desk.out = append(out, '\r', '\n')
	return c.flushSome()
}

// flushSome sends the answers when there are many.
func (c *conn) flushSome() error {
	if len(c.desk.out) < outSoft {
		return nil
	}
	return c.flush()
}
