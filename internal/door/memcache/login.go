package memcache

import (
	"bytes"
	"errors"
	"io"
)

// maxLogin is the largest body of a login, in bytes.
const maxLogin = 4096

var errKey = errors.New("memcached: wrong key")

// login takes set <any> <flags> <exptime> <n> with the body "user key"; any user will do. Everything else
// is refused, and what is not a command at all ends the connection.
func (c *conn) login(body []byte) error {
	cmd := &c.cmd
	switch {
	case cmd.verb == verbQuit:
		return io.EOF
	case cmd.fault != "" || cmd.verb == verbNone:
		return c.cut(unauthenticated)
	case cmd.verb != verbSet:
		c.clientError(unauthenticated)
		return nil
	}
	_, key, ok := bytes.Cut(body, []byte{' '})
	if err := c.s.hall.Turn(c.let); err != nil {
		return err
	}
	who, err := c.s.frame.Access.WithKey(bytes.TrimSpace(key))
	if !ok || err != nil {
		c.s.hall.Wrong(c.let, errKey)
		return c.cut(unauthenticated) // one guess per connection
	}
	c.s.hall.Recognize(c.let)
	c.who, c.locked = who, false
	c.answer(cmd.quiet, stored)
	return nil
}
