// Package manager is the door for Python programs that use multiprocessing.managers.BaseManager:
// they call get_task_queue() and get_result_queue() of a manager and put and get through the
// proxies, unmodified, in any Python from 2.7 on. docs/python.md is what they see.
//
// A connection is one goroutine; a second one watches it only while a call waits. Nothing that a
// client sends is executed, see package pickle.
package manager

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/jsonline"
)

const (
	handshakeTime = 10 * time.Second // for the handshake, and again for the first request
	leaseLength   = 60 * time.Second // of an item that its getter has not confirmed, extended meanwhile
)

// Options tunes New.
type Options struct {
	door.Frame                               // with at least one key; its TLS is not for this door
	Strict     bool                          // refuse the MD5 answers of Python 3.11 and older
	Queues     map[string]string             // registered names beside get_<x>_queue: name to queue
	Delivery   map[string]Delivery           // by queue, "" for all others; nil means OnNextCall
	Keys       map[string]jsonline.KeySource // by queue: the keys of what is put there; nil means none
}

// A Server is the manager door of one broker. It is safe for concurrent use.
type Server struct {
	broker *broker.Broker
	frame  door.Frame
	opt    Options
	hall   *door.Hall // keeps the leases of unconfirmed items of live connections
	shaken door.Line  // clients that are not let in for other reasons than their key

	mu     sync.Mutex
	idents map[string]*ident // that have references; guarded by mu
	counts map[string]*count // by queue; guarded by mu
}

// A count is of task_done and shutdown, which are of this door alone and begin anew with the
// server.
type count struct {
	taken, done int
	even        chan struct{} // closed when done has caught up; nil when nobody waits for that

	shuts     int           // shutdowns
	down, now bool          // shut down, and at once; see shutdown
	woken     chan struct{} // closed at a shutdown; nil when nobody waits for that
	waits     int           // calls that wait for that
}

// New makes the door to b. It panics without a key.
func New(b *broker.Broker, opt Options) *Server {
	if !opt.Access.Locked() {
		panic("manager: no key")
	}
	s := &Server{broker: b, frame: opt.Frame.Filled(), opt: opt,
		idents: map[string]*ident{}, counts: map[string]*count{}}
	s.hall = door.NewHall(&s.frame, b, leaseLength)
	return s
}

// Run serves ln until ctx is done, then drains: it takes no more connections, ends waits, and gives
// back what nobody confirmed. When it returns, ln and every connection are closed and no goroutine
// is left. A Server is run once.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	serve := func(ctx context.Context, nc *door.Conn) { s.hall.Go(func() { s.serve(ctx, nc) }) }
	return s.hall.Run(ctx, ln, serve, func() {})
}

// Admit serves a connection that was let in by another door, where it was TLS, until either side
// ends it. One that comes before Run, or when that drains, is closed.
func (s *Server) Admit(nc net.Conn) { s.hall.Admit(nc, s.serve) }

func (s *Server) serve(ctx context.Context, nc *door.Conn) {
	defer nc.Close()
	c := newConn(s, nc)
	if err := c.shakeHands(); err != nil {
		if nc.Strange() && !errors.Is(err, errKey) && !errors.Is(err, errMD5) { // those have had their line
			s.shaken.Warn(s.frame.Log, "manager: a client was not let in", "client", nc.RemoteAddr(), "err", err)
		}
		return
	}
	s.hall.Recognize(nc, c.store.Who)
	c.run(ctx)
}

// heldBy notes the ident of the get that hands an item to c.
func (s *Server) heldBy(c *conn, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.refs.heldBy = id
}

// count is that of a queue; the caller holds mu.
func (s *Server) count(queue string) *count {
	n := s.counts[queue]
	if n == nil {
		n = &count{}
		s.counts[queue] = n
	}
	return n
}

// took counts an item that a client has got.
func (s *Server) took(queue string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(queue).taken++
}

// taskDone counts a task_done; it is false when there was one too many.
func (s *Server) taskDone(queue string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counts[queue]
	if n == nil || n.done >= n.taken {
		return false
	}
	if n.done++; n.done == n.taken && n.even != nil {
		close(n.even)
		n.even = nil
	}
	return true
}

// allDone returns nil when every item of the queue was told done, and otherwise what is closed
// then.
func (s *Server) allDone(queue string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counts[queue]
	if n == nil || n.done >= n.taken {
		return nil
	}
	if n.even == nil {
		n.even = make(chan struct{})
	}
	return n.even
}

// queueOf says which queue a registered name stands for.
func (s *Server) queueOf(name string) (string, bool) {
	if q, ok := s.opt.Queues[name]; ok {
		return q, true
	}
	switch name {
	case "get_task_queue":
		return glassq.DefaultQueue, true
	case "get_result_queue":
		return glassq.DefaultResults, true
	}
	q, ok := strings.CutPrefix(name, "get_")
	q, ok2 := strings.CutSuffix(q, "_queue")
	return q, ok && ok2 && glassq.CheckName(q) == nil
}
