package memcache

import (
	"bytes"
	"io"

	"github.com/glassq/glassq"
)

// namesMany tells whether a line is one that may be long, for it names many queues.
func namesMany(line []byte) bool {
	verb, _, _ := bytes.Cut(line[:min(len(line), 5)], []byte{' '})
	switch string(verb) {
	case "get", "gets", "gat", "gats":
		return true
	}
	return false
}

// readLong reads the rest of a long line, which has no room in the connection's buffers, and does
// the command. Long lines of all connections share the room of s.lines, and none waits for a task
// in it.
func (c *conn) readLong() error {
	c.release()
	line, done, err := c.s.lines.Receive(c.ctx, &lineSender{sender: sender{c}}, nil, -1, maxKeys+2)
	c.takeBuffers()
	switch {
	case err != nil && glassq.CodeOf(err) == glassq.CodeTooLarge:
		c.cmd.quiet = false
		return c.cut(errLong.Error())
	case err != nil:
		return c.lateBody(err)
	}
	defer done()
	line, ended := bytes.CutSuffix(line, []byte{'\n'})
	if !ended {
		return io.EOF
	}
	switch err := c.useLine(line); err {
	case nil:
	case errLong:
		return c.cut(err.Error())
	default:
		return err
	}
	c.used(0)
	if err := c.do(nil); err != nil {
		return err
	}
	c.cmd = command{}
	return c.flush()
}

// A lineSender is a connection up to the end of a line: then it says io.EOF.
type lineSender struct {
	sender
	over bool
}

func (s *lineSender) Read(b []byte) (int, error) {
	if s.over {
		return 0, io.EOF
	}
	if s.r == s.w {
		s.shrink()
		n, err := s.nc.Read(s.in)
		s.n.read += uint64(n)
		if s.w = n; n == 0 {
			return 0, err
		}
	}
	n := copy(b, s.in[s.r:s.w])
	if end := bytes.IndexByte(b[:n], '\n'); end >= 0 {
		n, s.over = end+1, true
	}
	if s.r += n; s.r == s.w {
		s.shrink()
	}
	return n, nil
}
