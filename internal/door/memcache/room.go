package memcache

import (
	"context"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/room"
)

// An atOnce is an answer of a loop, which never waits for room.
type atOnce struct{ *door.Answer }

// errNoRoom is why a loop hands out nothing.
var errNoRoom = glassq.Errorf(glassq.CodeUnavailable, "too many answers are being read")

func (atOnce) Take(context.Context, int64) error { return errNoRoom }

// roomy is ctx with room for what the loop hands out.
func (l *loop) roomy(ctx context.Context) context.Context {
	if l.answered == nil {
		l.answered = l.s.frame.Answers.Begin(nil, 1, nil)
	}
	return room.With(ctx, atOnce{l.answered})
}

// answering begins an answer with bodies: until it is done, they have room under the context that it returns.
func (c *conn) answering(ctx context.Context) context.Context {
	c.answered = c.s.frame.Answers.Begin(c.nc.RemoteAddr(), 1, c.let.Cut)
	return room.With(ctx, c.answered)
}

func (c *conn) doneAnswering() {
	c.answered.Done()
	c.answered = nil
}
