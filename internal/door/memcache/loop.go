package memcache

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/patience"
)

// carefulFor is how many reserves have one task each after one brought a large body.
const carefulFor = 1 << 10

// noDeadline takes a deadline away.
var noDeadline time.Time

// A loop serves the connections whose clients send one short command at a time and wait for its
// answer, and those that are idle. Where each had a goroutine of its own, waking it up would cost
// more than the command. One goroutine reads what all of them have sent, takes the gets of a queue
// in one reserve and puts or acks all else in one batch, and writes the answers.
//
// Where answers wait for a sync, one loop gathers the connections that put and ack; see together.
//
// A command that may wait, is long, or comes in bursts is not for a loop: the connection goes on
// with a goroutine of its own and comes back when its client sends single commands again.
type loop struct {
	s    *Server
	poll *poll

	mu      sync.Mutex
	stopped bool
	conns   map[int32]*conn // those that the loop serves, by file descriptor; guarded by mu

	// What follows belongs to the loop's goroutine, for one turn.
	ready []int32
	gets  []want
	puts  []*conn
	acks  []*conn
	done  [2][]*conn // puts and acks that are stored and not answered yet
	tasks []glassq.Task
	ends  []glassq.Ack

	patience patience.Patience

	answered *door.Answer // of what it hands out; nil before the first
	careful  int          // reserves that are still to be of one task each, lest many large bodies come at once

	gathered atomic.Int32 // connections that are here, or come back here, for the sake of their puts and acks
}

// A want is the get of one connection.
type want struct {
	c    *conn
	line []byte // the key, which lies in the connection's buffer
	t    target
	cas  bool
}

// nextLoop is the loop of a new connection, in turn, or nil: then it is served by a goroutine
// alone. The first call starts the loops, as many as make sense. Where another machine answers there are
// none: it may be long in coming, and a loop would have others wait for it.
func (s *Server) nextLoop() *loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn++; s.turn == 1 && !s.hall.Draining() {
		stats, err := s.broker.Stats(context.Background())
		s.gathers = err == nil && stats.AnswersWait
		n := loops()
		if err != nil || stats.Cluster != nil {
			n = 0
		}
		for range n {
			p, err := newPoll()
			if err != nil {
				s.frame.Log.Warn("memcached connections are served by a goroutine each", "err", err)
				break
			}
			l := &loop{s: s, poll: p, conns: map[int32]*conn{}}
			s.loops = append(s.loops, l)
			s.hall.Go(l.run)
		}
	}
	if len(s.loops) == 0 {
		return nil
	}
	return s.loops[s.turn%len(s.loops)]
}

// stop ends the loop: its connections are served to their end by goroutines of their own.
func (l *loop) stop() { l.poll.wake() }

func (l *loop) run() {
	for {
		if len(l.gets)+l.commits() == 0 {
			var err error
			if l.ready, err = l.poll.wait(l.ready[:0]); err != nil {
				break // told to stop
			}
			l.readAll()
		}
		for l.commits() > 0 { // a sync is dear: what arrives meanwhile goes along
			if n := l.commits(); l.readMore() && l.commits() > n {
				continue
			}
			if !l.s.gathers || l.patience.Over(l.commits(), time.Now()) {
				break
			}
			l.reserveAll()
			patience.Yield()
		}
		l.turn()
	}
	l.mu.Lock()
	l.stopped = true
	left := make([]*conn, 0, len(l.conns))
	for _, c := range l.conns {
		left = append(left, c)
	}
	l.mu.Unlock()
	for _, c := range left {
		l.leave(c, nil)
	}
	l.poll.close()
}

// commits is how many commands the next commit has by now.
func (l *loop) commits() int { return len(l.puts) + len(l.acks) }

// readMore is readAll for what is ready now.
func (l *loop) readMore() bool {
	var err error
	l.ready, err = l.poll.more(l.ready[:0])
	return err == nil && l.readAll()
}

// readAll takes in what is ready and reports whether there was anything. A client that sends more,
// or goes away, before it has its answer is read in the next turn.
func (l *loop) readAll() (any bool) {
	for _, fd := range l.ready {
		l.mu.Lock()
		c := l.conns[fd]
		l.mu.Unlock()
		if c != nil && !c.pending {
			any = true
			l.read(c)
		}
	}
	return any
}

// read takes in what a client has sent: a command for this turn, or something that is not for a
// loop.
func (l *loop) read(c *conn) {
	c.r, c.w, c.nRead = 0, 0, 0
	if err := c.raw.Read(c.readRaw); err != nil || c.nRead <= 0 {
		l.leave(c, nil) // to its end
		return
	}
	c.w = c.nRead
	c.n.read += uint64(c.nRead)
	c.sent = c.sent[:0]
	c.takeBuffers()
	w := want{c: c}
	switch c.single(&w) {
	case singleGet:
		c.pending = true
		l.gets = append(l.gets, w)
		return
	case singlePut:
		if done, err := c.step(); done && err == nil {
			switch {
			case len(c.desk.puts) > 0:
				c.pending = true
				l.puts = append(l.puts, c)
			case len(c.desk.endings) > 0:
				c.pending = true
				l.acks = append(l.acks, c)
			default: // refused
				l.answer(c)
			}
			return
		}
	}
	l.leave(c, nil)
}

// A kind is what a loop thinks of what a client has sent.
type kind int

const (
	singleNone kind = iota // not for a loop
	singleGet              // get or gets of one key, which is not bound to its connection
	singlePut              // a put or an ack
)

// single parses the input and tells whether it is one whole command that a loop can do. A get is
// described in w. The command stays in the input.
func (c *conn) single(w *want) kind {
	if whole, err := c.parseLine(); !whole || err != nil || c.cmd.fault != "" {
		return singleNone
	}
	in, cmd := c.in[:c.w], &c.cmd
	switch cmd.verb {
	case verbSet, verbAdd, verbCas:
		if c.head+cmd.size+2 != len(in) || cmd.size > c.bodyLimit(cmd) || bytes.Contains(cmd.key, wordBatch) ||
			bytes.Contains(cmd.key, wordNack) ||
			in[len(in)-2] != '\r' || in[len(in)-1] != '\n' {
			return singleNone
		}
		return singlePut
	case verbDelete:
		if c.head == len(in) && bytes.IndexByte(cmd.key, '/') >= 0 {
			return singlePut
		}
	case verbGet, verbGets:
		w.cas = cmd.verb == verbGets
		var rest []byte
		if w.line, rest = token(cmd.rest); c.head != len(in) || len(w.line) == 0 || len(rest) > 0 || len(c.open) > 0 {
			return singleNone
		}
		may := optWait
		if w.cas {
			may |= optOpen | optLength
		}
		if c.parse(w.line, may, &w.t) == "" && w.t.conflict() == "" && c.who.May(w.t.verb(), c.queue) == nil {
			return singleGet
		}
	}
	return singleNone
}

var wordBatch, wordNack = []byte("/batch"), []byte("/nack")

// turn does what the clients have asked for. Tasks are handed out first: that waits for no sync.
func (l *loop) turn() {
	l.reserveAll()
	n, began := l.commits(), time.Now()
	if len(l.puts) > 0 && len(l.acks) > 0 {
		var both sync.WaitGroup
		both.Go(func() { l.ack(l.acks) })
		l.put(l.puts)
		both.Wait()
	} else if len(l.puts) > 0 {
		l.put(l.puts)
	} else if len(l.acks) > 0 {
		l.ack(l.acks)
	}
	l.puts, l.acks, l.done = l.done[0], l.done[1], [2][]*conn{l.puts, l.acks}
	if n > 0 && l.s.gathers {
		took := time.Since(began)
		l.readMore() // before those that are answered send more
		l.patience.Done(n, l.commits(), took)
	}
	for i, list := range l.done {
		for _, c := range list {
			if l.answer(c) {
				l.together(c)
			}
		}
		clear(list)
		l.done[i] = list[:0]
	}
}

// reserveAll does the gets.
func (l *loop) reserveAll() {
	for len(l.gets) > 0 {
		l.reserve()
	}
}

// reserve does those of the gets that want the same as the first one, and takes them off the list.
func (l *loop) reserve() {
	first := l.gets[0]
	queue, open := first.c.queue, first.t.has&optOpen
	same, rest := make([]want, 0, len(l.gets)), l.gets[:0]
	for _, w := range l.gets {
		if (l.careful == 0 || len(same) == 0) && w.c.queue == queue && w.t.has&optOpen == open &&
			w.t.length == first.t.length {
			same = append(same, w)
		} else {
			rest = append(rest, w)
		}
	}
	l.careful = max(l.careful-1, 0)
	clear(l.gets[len(rest):])
	l.gets = rest
	leases, err := l.s.broker.Reserve(l.roomy(first.c.durable), glassq.Reserve{
		Queue: queue, Max: len(same), Take: open == 0, Lease: first.t.length})
	defer l.answered.Done()
	for i, w := range same {
		if i > 0 && i == len(leases) { // the others may have had no room in this answer
			l.gets = append(l.gets, same[i:]...)
			return
		}
		c := w.c
		if err == errNoRoom || err == nil && i >= len(leases) && w.t.wait > 0 {
			l.leave(c, c.getLater(w.line, w.t, w.cas))
			continue
		}
		c.used(c.w)
		c.n.gets++
		switch {
		case err != nil:
			c.say(failure(err, notFound))
		case i < len(leases):
			c.n.hits++
			if open != 0 {
				c.unsent = append(c.unsent, leases[i].Token())
			}
			if len(leases[i].Body) > inlineTo {
				l.careful = carefulFor
				lease := leases[i]
				if len(leases) > 1 { // the others' bodies are not to wait for this client
					lease.Body = bytes.Clone(lease.Body)
				}
				room := l.answered.Split(int64(len(lease.Body)), c.nc.RemoteAddr(), c.let.Cut)
				l.leave(c, c.sendLater(w.line, &lease, w.cas, open == 0, room))
				continue
			}
			c.value(w.line, &leases[i], w.cas) // small
			c.say(endOf)
		default:
			c.say(endOf)
		}
		if l.answer(c) {
			l.apart(c)
		}
	}
}

// put stores what the connections want to put in one batch. One that is refused is halved, until
// each connection has its own answer.
func (l *loop) put(conns []*conn) {
	if len(conns) == 1 {
		conns[0].settlePending()
		return
	}
	l.tasks = l.tasks[:0]
	for _, c := range conns {
		l.tasks = append(l.tasks, c.desk.tasks...)
	}
	receipts, err := l.s.broker.Put(conns[0].durable, l.tasks)
	clear(l.tasks)
	if err != nil && refused(err) {
		l.put(conns[:len(conns)/2])
		l.put(conns[len(conns)/2:])
		return
	}
	for _, c := range conns {
		n := len(c.desk.tasks)
		if err != nil {
			c.failPuts(c.desk.puts, err)
		} else {
			c.answerPuts(c.desk.puts, receipts[:n])
			receipts = receipts[n:]
		}
		c.desk.clear()
	}
}

// ack ends the leases that the connections want to end.
func (l *loop) ack(conns []*conn) {
	l.ends = l.ends[:0]
	for _, c := range conns {
		l.ends = append(l.ends, c.desk.acks...)
	}
	errs, err := l.s.broker.Ack(conns[0].durable, l.ends)
	clear(l.ends)
	for _, c := range conns {
		n := len(c.desk.acks)
		if err == nil {
			c.answerAcks(errs[:n], nil)
			errs = errs[n:]
		} else {
			c.answerAcks(nil, err)
		}
		c.desk.clear()
	}
}

// answer sends a connection's answers; one that cannot take them at once waits on its own. It
// reports whether the connection is still the loop's.
func (l *loop) answer(c *conn) bool {
	c.pending = false
	if len(c.desk.out) > 0 {
		c.nWritten = 0
		c.raw.Write(c.writeRaw)
		if c.nWritten < len(c.desk.out) {
			n := max(c.nWritten, 0)
			c.n.written += uint64(n)
			c.desk.out = c.desk.out[:copy(c.desk.out, c.desk.out[n:])]
			l.leave(c, nil)
			return false
		}
		c.n.written += uint64(c.nWritten)
		c.desk.out = c.desk.out[:0]
		c.wroteAll()
	}
	c.release()
	return true
}
