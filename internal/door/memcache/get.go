package memcache

import (
	"context"
	"io"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
)

// get is get and gets: one task, or none, for each key. Keys are checked before anything is taken.
func (c *conn) get(keys []byte, cas bool) error {
	may := optsGet
	if cas {
		may = optsGets
	}
	d := c.desk
	d.targets = d.targets[:0]
	for rest := keys; ; {
		var key []byte
		if key, rest = token(rest); len(key) == 0 {
			break
		}
		d.targets = append(d.targets, target{})
		t := &d.targets[len(d.targets)-1]
		fault := c.parse(key, may, t)
		if fault == "" {
			fault = t.conflict()
		}
		if fault != "" {
			c.clientError(fault)
			return nil
		}
	}
	if len(d.targets) == 0 {
		c.say(badVerb)
		return nil
	}
	for i, rest := 0, keys; i < len(d.targets); i++ {
		var key []byte
		key, rest = token(rest)
		done, err := c.getOne(key, &d.targets[i], cas)
		if !done || err != nil {
			return err // an error was answered instead of the end, or the client has gone
		}
	}
	c.say(endOf)
	return c.flushSome()
}

// getLater is the get of one key for which nothing was there: it asks again, and waits.
func (c *conn) getLater(key []byte, t target, cas bool) func() error {
	return func() error {
		c.used(c.w)
		done, err := c.getOne(key, &t, cas)
		if done {
			c.say(endOf)
		}
		return err
	}
}

// sendLater is the answer to a get with a large body, whose room is answered.
func (c *conn) sendLater(key []byte, lease *glassq.Lease, cas, take bool, answered *door.Answer) func() error {
	c.answered = answered
	return func() error {
		defer c.doneAnswering()
		err := c.hand(key, lease, cas, take)
		c.say(endOf)
		return err
	}
}

// conflict tells which options exclude each other, as in Kestrel.
func (t *target) conflict() string {
	switch {
	case t.has&optPeek != 0 && t.has&(optOpen|optClose|optAbort) != 0,
		t.has&optAbort != 0 && t.has&(optOpen|optClose) != 0:
		return "peek and abort go with no other of open, close, abort, peek"
	case t.has&optLength != 0 && t.has&optOpen == 0:
		return "lease goes with open"
	}
	return ""
}

// getOne does one key. It reports whether the command may go on; if not, it has answered why.
func (c *conn) getOne(key []byte, t *target, cas bool) (bool, error) {
	queue := c.name(t.queue)
	c.n.gets++
	held, holds := c.open[queue]
	plain := t.has&(optOpen|optClose|optAbort|optPeek) == 0
	bound := t.has&optOpen != 0 && !cas // the lease belongs to this connection
	if holds && (plain || bound && t.has&optClose == 0) {
		c.say(badVerb) // one open read per queue and connection
		return false, nil
	}
	if t.has&(optClose|optAbort) != 0 {
		if holds {
			if err := c.close(held, t.has&optAbort != 0); err != nil {
				c.say(failure(err, "SERVER_ERROR lease lost\r\n"))
				return false, nil
			}
		}
		if t.has&optOpen == 0 {
			return true, nil
		}
	}
	r := glassq.Reserve{Queue: queue, Max: 1, Wait: t.wait, Take: plain, Look: t.has&optPeek != 0}
	switch {
	case bound:
		r.Lease = openLease
	case t.has&optOpen != 0:
		r.Lease = t.length
	}
	ctx := c.answering(c.ctx)
	defer c.doneAnswering()
	leases, err := c.reserve(ctx, r)
	if err != nil {
		c.say(failure(err, notFound))
		return false, nil
	}
	if len(leases) == 0 {
		return true, nil
	}
	c.n.hits++
	l := &leases[0]
	switch {
	case bound:
		if c.open == nil {
			c.open = map[string]glassq.Token{}
		}
		c.open[queue] = l.Token()
		c.s.hall.Kept.Keep(l.Token())
	case t.has&optOpen != 0:
		c.unsent = append(c.unsent, l.Token())
	}
	if c.hand(key, l, cas, plain) != nil {
		return false, io.EOF
	}
	return true, nil
}

// close ends this connection's open read of a queue: as done, or given back.
func (c *conn) close(held glassq.Token, abort bool) error {
	delete(c.open, held.Queue)
	c.s.hall.Kept.Drop(held)
	if abort {
		errs, err := c.s.broker.Nack(c.durably(), []glassq.Nack{{Token: held, Undone: true}})
		return first(errs, err)
	}
	errs, err := c.s.broker.Ack(c.durably(), []glassq.Ack{{Token: held}})
	return first(errs, err)
}

// reserve asks at once, and then, if the client wants that, waits. While it waits it watches the client:
// one that goes away takes nothing, and one that has closed its side for sending gets what there is.
func (c *conn) reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	wait := r.Wait
	r.Wait = 0
	leases, err := c.s.broker.Reserve(context.WithoutCancel(ctx), r)
	if err != nil || len(leases) > 0 || wait == 0 || c.eof != nil {
		return leases, err
	}
	if c.flush() != nil {
		return nil, nil // noticed again when the end is written
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	c.within(0)
	go func() { // waited for below
		defer close(watched)
		if c.watch() {
			cancel()
		}
	}()
	r.Wait = wait
	leases, err = c.s.broker.Reserve(ctx, r)
	c.nc.SetReadDeadline(door.LongAgo)
	<-watched
	c.within(0)
	if ctx.Err() != nil && len(leases) == 0 {
		return nil, nil // the client has gone, or the server stops
	}
	return leases, err
}
