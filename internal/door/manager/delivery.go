package manager

import (
	"context"
	"fmt"

	"github.com/glassq/glassq"
)

// A Delivery says when an item that a client has got is done. Under each of them a client that
// never saw the reply has got nothing: the item goes back to its place, uncounted; and a result of
// the only item that a client has ends it.
type Delivery string

const (
	// OnNextCall: with the next call on that connection. At its end, when the client let go of its
	// proxies before, as far as the wire tells that (see refs.go); else the item goes back. It is
	// what the zero value means.
	OnNextCall Delivery = "on_next_call"
	// OnRead: the same, and at the end in any case. A program that dies at work loses its item.
	OnRead Delivery = "on_read"
	// Strict: with the next call alone; at the end the item goes back in any case.
	Strict Delivery = "strict"
	// OnTaskDone: with task_done on that connection, first in, first out; at the end what is left
	// goes back.
	OnTaskDone Delivery = "on_task_done"
)

// Deliveries are all of them, the default first.
func Deliveries() []Delivery { return []Delivery{OnNextCall, OnRead, Strict, OnTaskDone} }

// ParseDelivery reads the name of a delivery. The error has code bad_request.
func ParseDelivery(s string) (Delivery, error) {
	for _, d := range Deliveries() {
		if string(d) == s {
			return d, nil
		}
	}
	return "", glassq.Errorf(glassq.CodeBadRequest, "delivery %.40q is not one of %s, %s, %s, %s", s, OnNextCall, OnRead,
		Strict, OnTaskDone)
}

// delivery is that of a queue.
func (s *Server) delivery(queue string) Delivery {
	d, ok := s.opt.Delivery[queue]
	if !ok {
		d = s.opt.Delivery[""]
	}
	if d == "" {
		return OnNextCall
	}
	return d
}

// maxUndone is how many items a connection may have that are not told done.
const maxUndone = 10_000

// takeLease notes an item that goes to the client, and with keep has its lease extended.
func (c *conn) takeLease(l *glassq.Lease, id string, keep bool) {
	if keep {
		c.s.hall.Kept.Keep(l.Token())
	}
	c.s.heldBy(c, id)
	c.fresh = true
	kept := *l
	kept.Body, kept.Extra, kept.Headers = nil, nil, nil
	if c.s.delivery(l.Queue) == OnTaskDone {
		c.undone = append(c.undone, kept)
		return
	}
	c.held = &kept
}

// untake gives back an item whose client has left the call before the reply: it has never seen the
// item.
func (c *conn) untake(l *glassq.Lease) {
	_, err := c.s.broker.Nack(context.WithoutCancel(c.ctx),
		[]glassq.Nack{{Token: l.Token(), Delay: glassq.AtOnce, Undone: true,
			Reason: "the Python client left the get that waited"}})
	c.warn(l, err)
}

func (c *conn) warn(l *glassq.Lease, err error) {
	if err != nil {
		c.s.frame.Log.Warn("an unconfirmed item was not settled; its lease runs out", "queue", l.Queue, "err", err)
	}
}

// only is the one item that the client has, nil for none or several.
func (c *conn) only() *glassq.Lease {
	switch {
	case c.held != nil && len(c.undone) == 0:
		return c.held
	case c.held == nil && len(c.undone) == 1:
		return &c.undone[0]
	}
	return nil
}

// letGo forgets an item that is settled.
func (c *conn) letGo(t glassq.Token) {
	c.s.hall.Kept.Drop(t)
	if c.held != nil && c.held.Number == t.Number {
		c.held = nil
	}
	for i := range c.undone {
		if c.undone[i].Number == t.Number {
			c.undone = append(c.undone[:i], c.undone[i+1:]...)
			return
		}
	}
}

// confirm acks the item that every next call confirms.
func (c *conn) confirm() error {
	if c.held == nil {
		return nil
	}
	return c.ack(c.held.Token())
}

// taskDone acks the item of the queue that the client has had longest, where task_done does that.
func (c *conn) taskDone(queue string) error {
	for i := range c.undone {
		if c.undone[i].Queue == queue {
			return c.ack(c.undone[i].Token())
		}
	}
	return nil
}

// ack ends an item without a result. That it was given to somebody else meanwhile is no error: what
// is done with it is for that one to say.
func (c *conn) ack(t glassq.Token) error {
	errs, err := c.store.Ack(c.ctx, []glassq.Ack{{Token: t}})
	if err == nil {
		err = errs[0]
	}
	if err != nil && glassq.CodeOf(err) != glassq.CodeLeaseLost {
		return err
	}
	c.letGo(t)
	return nil
}

// settleDelivery ends or gives back what the client has at the end of its connection. What it has
// read is counted as a try, but for the end of the server.
func (c *conn) settleDelivery() {
	letGo := c.s.ended(c)
	unread := c.reset && c.fresh
	ctx := context.WithoutCancel(c.ctx) // which may have ended with the server
	draining := c.s.hall.Draining()
	back := func(l *glassq.Lease, unread bool) {
		_, err := c.s.broker.Nack(ctx, []glassq.Nack{{Token: l.Token(), Delay: glassq.AtOnce, Undone: unread || draining,
			Reason: "the Python client ended without another call"}})
		c.warn(l, err)
	}
	for i := range c.undone {
		l := &c.undone[i]
		c.s.hall.Kept.Drop(l.Token())
		back(l, unread && c.held == nil && i == len(c.undone)-1)
	}
	c.undone = nil
	l := c.held
	if l == nil {
		return
	}
	c.held = nil
	c.s.hall.Kept.Drop(l.Token())
	done := false
	if !c.reset {
		switch c.s.delivery(l.Queue) {
		case OnNextCall:
			done = letGo
		case OnRead:
			done = !draining // then it is not the client that ended
		}
	}
	if !done {
		back(l, unread)
		return
	}
	_, err := c.s.broker.Ack(ctx, []glassq.Ack{{Token: l.Token()}})
	c.warn(l, err)
}

// tooMany says that a client gets and gets, and never says that it has done something.
func (c *conn) tooMany() *exception {
	if len(c.undone) < maxUndone {
		return nil
	}
	return &exception{"RuntimeError", fmt.Sprintf("%d items are not told done on this connection: call task_done, or have the server deliver them otherwise (serve --manager-delivery)", maxUndone)}
}
