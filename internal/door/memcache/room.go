package memcache

import (
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
)

// answerRoom is how many bytes of large bodies all clients together may leave unread. A client that reads
// slowly holds its body in memory until the last of it is on its way.
const answerRoom = door.BodiesInFlight

// claim waits for room for the task that r would get, if much of the room is taken and the task is large. Small
// bodies never wait, so that those who read slowly hold up only each other. It returns what was taken.
func (c *conn) claim(r glassq.Reserve) (room int64) {
	if c.s.answers.Free() >= c.s.roomy {
		return 0
	}
	r.Wait, r.Take, r.Look = 0, false, true
	leases, err := c.s.broker.Reserve(c.durably(), r)
	if err != nil || len(leases) == 0 {
		return 0 // said by the reserve that follows
	}
	room = sizeOf(leases)
	leases = nil // not to be held while it waits
	return c.takeRoom(room)
}

// hold takes room for what was reserved, beyond the room that was claimed for it, and gives back what is
// left over. Only what another client took meanwhile, or what came after a wait, does wait here.
func (c *conn) hold(room int64, leases []glassq.Lease) int64 {
	n := sizeOf(leases)
	switch {
	case n > room:
		c.s.answers.Give(room)
		return c.takeRoom(n)
	case n < room:
		c.s.answers.Give(room - n)
	}
	return n
}

// takeRoom returns n, or 0 when the server stops: its last answers are bounded by their time.
func (c *conn) takeRoom(n int64) int64 {
	if n == 0 || c.s.answers.Take(c.ctx, n) != nil {
		return 0
	}
	return n
}

// sizeOf is the size of a body that counts.
func sizeOf(leases []glassq.Lease) int64 {
	if len(leases) == 0 || len(leases[0].Body) <= inlineTo {
		return 0
	}
	return int64(len(leases[0].Body))
}
