package memcache

import (
	"context"
	"io"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/rights"
	"github.com/glassq/glassq/internal/room"
)

// get is get, gets, gat and gats: one task, or none, for each key. Keys are checked before anything
// is taken. length is that of leases whose key names none, 0 for that of the task.
func (c *conn) get(keys []byte, cas bool, length time.Duration) error {
	var t target
	n := 0
	for rest := keys; ; n++ {
		var key []byte
		if key, rest = token(rest); len(key) == 0 {
			break
		}
		if fault := c.parseGet(key, cas, length, &t); fault != "" {
			c.clientError(fault)
			return nil
		}
		if !c.mayDo(c.who.May(t.verb(), c.queue)) {
			return nil
		}
	}
	if n == 0 {
		c.say(badVerb)
		return nil
	}
	for rest := keys; n > 0; n-- {
		var key []byte
		if key, rest = token(rest); len(rest) > 0 || len(keys) > len(key) {
			c.parseGet(key, cas, length, &t) // once more: what many keys say would be more than their line
		}
		got, err := c.getOne(key, &t, cas)
		if got == gotRefused || err != nil {
			return err // an error was answered instead of the end, or the client has gone
		}
	}
	c.say(endOf)
	return c.flushSome()
}

// parseGet reads the key of a get.
func (c *conn) parseGet(key []byte, cas bool, length time.Duration, t *target) (fault string) {
	may := optsGet
	if cas {
		may = optsGets
	}
	if fault = c.parse(key, may, t); fault == "" {
		fault = t.conflict()
	}
	if fault == "" && t.wait > 0 && len(c.cmd.line) > maxLine {
		fault = "a line over 2048 bytes waits for nothing: no t="
	}
	if length > 0 && t.has&(optOpen|optLength) == optOpen {
		t.length = length
	}
	return fault
}

// getLater is the get of one key for which nothing was there: it asks again, and waits.
func (c *conn) getLater(key []byte, t target, cas bool) func() error {
	return func() error {
		c.used(c.w)
		got, err := c.getOne(key, &t, cas)
		if got != gotRefused {
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

// verb is what a get of the target is, as far as rights go.
func (t *target) verb() rights.Verb {
	if t.has&optPeek != 0 {
		return rights.VerbPeek
	}
	return rights.VerbReserve
}

// What became of one key of a get.
type outcome uint8

const (
	gotRefused outcome = iota // why was answered, and the command is over
	gotNothing                // nothing was there, or it asked for none
	gotTask                   // it was answered
)

// getOne does one key.
func (c *conn) getOne(key []byte, t *target, cas bool) (outcome, error) {
	queue := c.name(t.queue)
	c.n.gets++
	held, holds := c.open[queue]
	plain := t.has&(optOpen|optClose|optAbort|optPeek) == 0
	bound := t.has&optOpen != 0 && !cas // the lease belongs to this connection
	if holds && (plain || bound && t.has&optClose == 0) {
		c.say(badVerb) // one open read per queue and connection
		return gotRefused, nil
	}
	if t.has&(optClose|optAbort) != 0 {
		if holds {
			if err := c.close(held, t.has&optAbort != 0); err != nil {
				c.say(failure(err, "SERVER_ERROR lease lost\r\n"))
				return gotRefused, nil
			}
		}
		if t.has&optOpen == 0 {
			return gotNothing, nil
		}
	}
	r := glassq.Reserve{Queue: queue, Max: 1, Wait: t.wait, Take: plain, Look: t.has&optPeek != 0}
	switch {
	case bound:
		r.Lease = openLease
	case t.has&optOpen != 0:
		r.Lease = t.length
	}
	c.answering()
	defer c.doneAnswering()
	leases, err := c.reserve(r)
	if err != nil {
		c.say(failure(err, notFound))
		return gotRefused, nil
	}
	if len(leases) == 0 {
		return gotNothing, nil
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
		return gotRefused, io.EOF
	}
	return gotTask, nil
}

// close ends this connection's open read of a queue: as done, or given back.
func (c *conn) close(held glassq.Token, abort bool) error {
	delete(c.open, held.Queue)
	c.s.hall.Kept.Drop(held)
	if abort {
		errs, err := c.s.broker.Nack(c.durable, []glassq.Nack{{Token: held, Undone: true}})
		return first(errs, err)
	}
	errs, err := c.s.broker.Ack(c.durable, []glassq.Ack{{Token: held}})
	return first(errs, err)
}

// reserve asks at once, and then, if the client wants that, waits. While it waits it watches the
// client: one that goes away takes nothing, and one that has closed its side for sending gets what
// there is.
func (c *conn) reserve(r glassq.Reserve) ([]glassq.Lease, error) {
	wait := r.Wait
	r.Wait = 0
	leases, err := c.s.broker.Reserve(c.roomy, r)
	if err != nil || len(leases) > 0 || wait == 0 || c.eof != nil {
		return leases, err
	}
	if c.flush() != nil {
		return nil, nil // noticed again when the end is written
	}
	r.Wait = wait
	gone, err := door.Watched(room.With(c.ctx, c.bodies), c.nc, c.watch, func(ctx context.Context) (err error) {
		leases, err = c.s.broker.Reserve(ctx, r)
		return err
	})
	c.stalling, c.until = false, time.Time{}
	if (gone != nil || c.ctx.Err() != nil) && len(leases) == 0 {
		return nil, nil // the client has gone, or the server stops
	}
	return leases, err
}
