package memcache

const (
	firstEnough  = 4       // single commands after which a connection goes back to its loop
	mostEnough   = 1 << 12 // and after which it does at the latest
	mostTogether = 128     // connections whose puts and acks one loop gathers
	homeAfter    = 64      // gets in a row after which one of them goes back to where it came from
)

// An owner says to whom a connection belongs. That is one goroutine at a time, which alone touches
// the connection: its own, in run and work, or that of a loop, which is its home or gathers it. It
// changes hands by the methods of this file alone; whoever calls one of them that says so has the
// connection no more.
//
//	own goroutine --- rejoin ---> loop --- leave ---> own goroutine
//	home --- together ---> loop that gathers --- apart ---> home
type owner struct {
	home    *loop // the loop of its turn; nil where there is none: then it always has its own goroutine
	gathers *loop // the loop that gathers its puts and acks; nil for none
	fd      int32 // once it was in a loop

	// Of a loop:
	pending bool // its command is for the next turn
	gets    int  // since its last put or ack

	// Of its own goroutine:
	singles int // reads in a row that brought one short command
	enough  int // of them, to go back to the loop
}

// place is the loop that has the connection while its own goroutine has not; nil for none.
func (o *owner) place() *loop {
	if o.gathers != nil {
		return o.gathers
	}
	return o.home
}

// toLoop hands an idle connection to its loop. When it is false the caller still has it: there is
// no loop, or it has stopped.
func (c *conn) toLoop() bool {
	l := c.place()
	if l == nil || c.fd == 0 && c.raw.Control(func(fd uintptr) { c.fd = int32(fd) }) != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.poll.add(c.fd) != nil {
		return false
	}
	l.conns[c.fd] = c
	return true
}

// rejoin is asked by its own goroutine when everything has been answered: it hands the connection
// to its loop if that suits. When it is false the caller still has it.
func (c *conn) rejoin() bool {
	if c.singles < c.enough || c.r != c.w || c.eof != nil || c.locked || c.place() == nil {
		return false
	}
	c.release()
	c.shrink()
	if c.stalling {
		c.within(0)
	}
	return c.toLoop()
}

// together hands a connection that has put or acked, and waits for its client, to where the others
// that do so are. Commits of one loop share a sync; two loops that wait for a sync each have
// twice as many of them, and a client waits for its own and for the one before. Where no answer
// waits for a sync, all loops commit for themselves.
func (l *loop) together(c *conn) {
	c.gets = 0
	if c.gathers != nil || !l.s.gathers {
		return
	}
	for _, to := range l.s.loops { // nothing is added to them once there are any
		if to.gathered.Load() < mostTogether {
			to.gathered.Add(1)
			c.gathers = to
			l.moveOn(c)
			return
		}
	}
}

// apart hands a connection that only gets, and waits for its client, back to where it was before it
// put or acked. Gets wait for no sync, and have all loops.
func (l *loop) apart(c *conn) {
	if c.gets++; c.gets >= homeAfter && c.ungather() {
		l.moveOn(c)
	}
}

// ungather ends that a loop gathers a connection's puts and acks, and reports whether one did.
func (c *conn) ungather() bool {
	if c.gathers == nil {
		return false
	}
	c.gathers.gathered.Add(-1)
	c.gathers = nil
	return true
}

// moveOn hands a connection from l to the loop that it has now.
func (l *loop) moveOn(c *conn) {
	if c.place() == l {
		return
	}
	l.drop(c)
	if !c.toLoop() {
		c.alone(nil) // it has stopped
	}
}

// leave hands a connection of l to a goroutine of its own; first, if not nil, is what that begins
// with.
func (l *loop) leave(c *conn, first func() error) {
	l.drop(c)
	c.alone(first)
}

// drop ends that l looks at a connection.
func (l *loop) drop(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c.fd)
	l.poll.remove(c.fd)
}

// alone hands a connection that no loop looks at to a goroutine of its own.
func (c *conn) alone(first func() error) {
	c.singles, c.pending = 0, false
	c.enough = min(max(2*c.enough, firstEnough), mostEnough)
	c.takeBuffers()
	c.s.hall.Go(func() {
		if first != nil && first() != nil || !c.work() {
			c.end()
		}
	})
}
