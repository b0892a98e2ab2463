// Package manager is the door for Python programs that use multiprocessing.managers.BaseManager: they call
// get_task_queue() and get_result_queue() of a manager and put and get through the proxies, unmodified, in
// any Python from 2.7 on. docs/python.md is what they see.
//
// A connection is one goroutine; a second one watches it only while a call waits. Nothing that a client
// sends is executed, see package pickle.
package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
)

const (
	handshakeTime = 10 * time.Second // for the handshake, and again for the first request
	writeTimeout  = 30 * time.Second // after which a reply counts as not delivered
	drainFor      = 10 * time.Second
	leaseLength   = 60 * time.Second          // of an item that its getter has not confirmed, extended meanwhile
	maxParked     = glassq.BodiesInFlight / 2 // bytes of large values whose puts wait for room
)

// Options tunes New.
type Options struct {
	Keys    [][]byte          // any of which a client must have; at least one, none of them empty
	Strict  bool              // refuse the MD5 answers of Python 3.11 and older
	Queues  map[string]string // registered names beside get_<x>_queue: name to queue
	MaxBody int               // most bytes of one task's body; 0 means glassq.DefaultMaxBody
	Intake  *door.Intake      // bounds the bodies in flight of all doors that share it; nil makes one
	Logger  *slog.Logger      // nil discards

	Delivery map[string]Delivery // by queue, "" for all others; nil means OnNextCall
}

// A Store is what the door stands before, normally a broker.Broker.
type Store interface {
	glassq.Store
	glassq.Waits
}

// A Server is the manager door of one store. It is safe for concurrent use.
type Server struct {
	store    Store
	opt      Options
	intake   *door.Intake
	log      *slog.Logger
	draining atomic.Bool

	mu        sync.Mutex
	parked    int64     // bytes of large values whose puts wait for room; guarded by mu
	strangers strangers // guarded by mu

	conns  map[*conn]struct{}      // guarded by mu
	idents map[string]*ident       // that have references; guarded by mu
	held   map[uint64]glassq.Token // unconfirmed items of live connections; guarded by mu
	counts map[string]*count       // by queue; guarded by mu
}

// A count is of task_done and shutdown, which are of this door alone and begin anew with the server.
type count struct {
	taken, done int
	even        chan struct{} // closed when done has caught up; nil when nobody waits for that

	shuts     int           // shutdowns
	down, now bool          // shut down, and at once; see shutdown
	woken     chan struct{} // closed at a shutdown; nil when nobody waits for that
}

// New makes the door to s. It panics without a key.
func New(s Store, opt Options) *Server {
	if len(opt.Keys) == 0 {
		panic("manager: no key")
	}
	for _, k := range opt.Keys {
		if len(k) == 0 {
			panic("manager: an empty key")
		}
	}
	if opt.MaxBody == 0 {
		opt.MaxBody = glassq.DefaultMaxBody
	}
	m := &Server{store: s, opt: opt, intake: opt.Intake, log: opt.Logger, conns: map[*conn]struct{}{},
		strangers: strangers{turns: map[string]time.Time{}}, idents: map[string]*ident{}, held: map[uint64]glassq.Token{}, counts: map[string]*count{}}
	if m.intake == nil {
		m.intake = door.NewIntake(glassq.BodiesInFlight)
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	return m
}

// Run serves ln until ctx is done, then drains: it takes no more connections, ends waits, and gives back
// what nobody confirmed. When it returns, ln and every connection are closed and no goroutine is left. A
// Server is run once.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	life, cancel := context.WithCancel(ctx)
	defer cancel() // runs before wg.Wait
	wg.Go(func() { s.extend(life) })
	wg.Go(func() {
		<-life.Done()
		ln.Close()
		s.draining.Store(true)
		s.each(func(c *conn) { c.nc.SetReadDeadline(longAgo) })
	})
	for pause := time.Duration(0); ; {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			wg.Go(func() { s.serve(life, nc) })
		case life.Err() != nil:
			cut := time.AfterFunc(drainFor, func() { s.each(func(c *conn) { c.nc.Close() }) })
			wg.Wait()
			cut.Stop()
			return nil
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Error("no connection can be taken: out of file descriptors", "err", err)
			rest(life, pause)
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// rest waits for d, or until ctx is done.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}

func (s *Server) serve(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	shaking, cut := context.WithCancel(ctx)
	defer cut()
	st := s.enter(nc, func() {
		cut()
		nc.Close()
	})
	c := newConn(s, nc)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	err := c.shakeHands(shaking, st)
	s.leave(st)
	if err != nil {
		if shaking.Err() == nil && !errors.Is(err, errKey) && !errors.Is(err, errMD5) { // those have had their line
			s.mu.Lock()
			s.say(&s.strangers.other, "manager: a client was not let in", nc, err)
			s.mu.Unlock()
		}
		return
	}
	c.run(ctx)
}

// park counts n bytes of a value whose put is to wait for room; it is false when too much waits. What waits
// is not in flight: if it counted there, it could keep out the acks that make room.
func (s *Server) park(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.parked+n > maxParked {
		return false
	}
	s.parked += n
	return true
}

// unpark ends what park began.
func (s *Server) unpark(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked -= n
}

// extend keeps the leases of unconfirmed items while their connections live.
func (s *Server) extend(ctx context.Context) {
	tick := time.NewTicker(leaseLength / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var all []glassq.Extend
		s.mu.Lock()
		for _, t := range s.held {
			all = append(all, glassq.Extend{Token: t, Lease: leaseLength})
		}
		s.mu.Unlock()
		for len(all) > 0 {
			n := min(len(all), glassq.MaxBatch)
			if _, err := s.store.Extend(ctx, all[:n]); err != nil && ctx.Err() == nil {
				s.log.Warn("unconfirmed items not extended", "items", n, "err", err)
			}
			all = all[n:]
		}
	}
}

// hold notes an item that goes to c, by a get through an ident.
func (s *Server) hold(c *conn, t glassq.Token, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[t.Number] = t
	c.refs.heldBy = id
}

func (s *Server) drop(t glassq.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, t.Number)
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
	n := s.count(queue)
	if n.done >= n.taken {
		return false
	}
	if n.done++; n.done == n.taken && n.even != nil {
		close(n.even)
		n.even = nil
	}
	return true
}

// allDone returns nil when every item of the queue was told done, and otherwise what is closed then.
func (s *Server) allDone(queue string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.count(queue)
	if n.done >= n.taken {
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
