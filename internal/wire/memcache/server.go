// Package memcache is the memcached door: it speaks memcached's text protocol in memcacheq's dialect with
// Kestrel's reliable reads, and adds leases by number, results and batches in verbs that stock clients
// can send. docs/memcached.md is the dialect.
//
// A connection that sends bursts, long bodies or what may wait has a goroutine. It parses all that has
// arrived, hands runs of puts or of acks to the broker as one batch, and writes the answers when its input
// runs dry. Connections that send one short command at a time, and idle ones, share a few loops (see loop).
// The package decides nothing about tasks.
package memcache

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
)

const (
	stallTimeout = 60 * time.Second // longest silence within a command, or while an answer is written
	drainFor     = 10 * time.Second // how long connections may finish when the server stops
	lingerFor    = 2 * time.Second  // how long input is read past after a connection was refused
	openLease    = 10 * time.Second // of a read that belongs to its connection, extended while that lives
)

// Options tunes New. The zero value serves everyone who can connect.
type Options struct {
	Keys    [][]byte     // keys, any of which logs in; none: nobody has to
	TLS     *tls.Config  // nil serves plain TCP
	MaxBody int          // most bytes of one task's body; 0 means glassq.DefaultMaxBody
	Intake  *door.Intake // bounds the bodies in flight of all doors that share it; nil makes one
	Version string       // said by version and stats; "" says none
	Logger  *slog.Logger // nil discards
}

// A Server is the memcached door of one store. It is safe for concurrent use.
type Server struct {
	store  glassq.Store
	opt    Options
	keys   [][sha256.Size]byte
	intake *door.Intake
	bursts atomic.Int64 // bytes of large input buffers
	log    *slog.Logger
	began  time.Time
	kept   keeper
	count  counters

	answers *glassq.Budget // of large bodies that are being sent
	roomy   int64          // bytes of it free while nobody asks before taking

	draining atomic.Bool
	wg       sync.WaitGroup // of all goroutines
	mu       sync.Mutex
	conns    map[*conn]struct{} // guarded by mu
	loops    []*loop            // since the first TCP connection, where the system can; guarded by mu until then
	gathers  bool               // puts and acks wait for a sync, so loops gather them; set with loops
	turn     int                // of loops, for the next connection; guarded by mu
}

// New makes the door to s, which is normally a broker.Broker.
func New(s glassq.Store, opt Options) *Server {
	if opt.MaxBody == 0 {
		opt.MaxBody = glassq.DefaultMaxBody
	}
	if opt.Version == "" {
		opt.Version = "dev"
	}
	m := &Server{store: s, opt: opt, intake: opt.Intake, log: opt.Logger, began: time.Now(),
		conns: map[*conn]struct{}{}}
	m.answers, m.roomy = glassq.NewBudget(answerRoom), answerRoom/2
	m.kept.tokens = map[uint64]glassq.Token{}
	if m.intake == nil {
		m.intake = door.NewIntake(glassq.BodiesInFlight)
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	for _, k := range opt.Keys {
		m.keys = append(m.keys, sha256.Sum256(k))
	}
	return m
}

// Run serves ln until ctx is done, then drains: it takes no more connections, ends waits, answers the
// commands that have arrived, and cuts what is left after 10 s. When it returns, ln and every connection
// are closed and no goroutine is left. A Server is run once.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	defer s.wg.Wait()
	life, cancel := context.WithCancel(ctx)
	defer cancel() // runs before the wait
	s.wg.Go(func() { s.kept.run(life, s) })
	s.wg.Go(func() {
		<-life.Done()
		ln.Close()
		s.drain()
	})
	for pause := time.Duration(0); ; {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.serve(life, nc)
		case life.Err() != nil:
			s.await()
			return nil
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
			// Connections that end make room; those that are there go on.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Error("no connection can be taken: out of file descriptors", "err", err)
			select {
			case <-time.After(pause):
			case <-life.Done():
			}
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// drain ends all reads, so that connections end when they have answered what they have read.
func (s *Server) drain() {
	s.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.nc.SetReadDeadline(longAgo)
	}
	for _, l := range s.loops {
		l.stop()
	}
}

// await waits for all goroutines, and cuts all connections after drainFor.
func (s *Server) await() {
	cut := time.AfterFunc(drainFor, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.nc.Close()
		}
	})
	defer cut.Stop()
	s.wg.Wait()
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// serve has a client served until either side ends the connection.
func (s *Server) serve(ctx context.Context, nc net.Conn) {
	c := newConn(ctx, s, nc)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.count.conns.Add(1)
	if c.raw != nil {
		c.loop = s.nextLoop()
		c.home = c.loop
	}
	s.count.current.Add(1)
	if s.draining.Load() {
		nc.SetReadDeadline(longAgo)
	}
	if c.locked || !c.loop.add(c) {
		s.wg.Go(c.run)
	}
}

// forget ends the book-keeping of a connection that is closed.
func (s *Server) forget(c *conn) {
	s.count.current.Add(-1)
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}
