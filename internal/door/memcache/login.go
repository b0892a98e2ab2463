package memcache

import (
	"bytes"
	"fmt"
	"io"

	"github.com/glassq/glassq/internal/door"
)

// maxLogin is the largest body of a login, in bytes.
const maxLogin = 4096

// login takes set <any> <flags> <exptime> <n> with the body "user key" or "user:key"; any user will
// do. Everything else is refused, and what is not a command at all ends the connection.
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
	if err := c.s.hall.Turn(c.let); err != nil {
		return err
	}
	who, err := c.s.frame.Access.WithKey(loginKey(body))
	if err != nil {
		c.client().Login(c.ctx, c.who, err)
		c.s.hall.Wrong(c.let, fmt.Errorf("memcached: %w", err))
		return c.cut(unauthenticated) // one guess per connection
	}
	c.letIn(who)
	c.answer(cmd.quiet, stored)
	return nil
}

// loginKey is the key in the body of a login: behind the first space or, where there is none, the
// first colon.
func loginKey(body []byte) []byte {
	_, key, ok := bytes.Cut(body, []byte{' '})
	if !ok {
		_, key, _ = bytes.Cut(bytes.TrimRight(body, "\r\n"), []byte{':'})
	}
	return bytes.TrimSpace(key)
}

// letIn notes who the client is. Its waits end when its token does.
func (c *conn) letIn(who door.Who) {
	c.who, c.locked, c.first = who, false, true
	c.ctx, c.over = who.Within(c.ctx)
	c.s.hall.Recognize(c.let, who)
	c.client().Login(c.ctx, who, nil)
}
