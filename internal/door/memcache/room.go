package memcache

import (
	"context"
	"slices"

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

// answering begins an answer with bodies.
func (c *conn) answering() {
	if c.bodies == nil {
		c.bodies = c.s.frame.Answers.Begin(c.nc.RemoteAddr(), 1, c.let.Cut)
		c.roomy = room.With(c.durable, c.bodies)
	}
	c.answered = c.bodies
}

// hand answers one task. One that was too large to be taken as it was handed out is acked when it
// has left.
func (c *conn) hand(key []byte, l *glassq.Lease, cas, take bool) error {
	if !take || l.Number == 0 {
		return c.value(key, l, cas)
	}
	t := l.Token()
	c.s.hall.Kept.Keep(t)
	defer c.s.hall.Kept.Drop(t)
	c.unsent = append(c.unsent, t)
	if err := c.value(key, l, cas); err != nil {
		return err
	}
	same := func(x glassq.Token) bool { return x == t }
	c.unsent, c.sent = slices.DeleteFunc(c.unsent, same), slices.DeleteFunc(c.sent, same)
	if err := first(c.s.broker.Ack(c.durable, []glassq.Ack{{Token: t}})); err != nil {
		c.s.frame.Log.Warn("a large task was sent and may be handed out again", "queue", t.Queue, "err", err)
	}
	return nil
}

func (c *conn) doneAnswering() {
	c.answered.Done()
	c.answered = nil
}
