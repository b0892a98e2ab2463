// Package memcache is the memcached door: it speaks memcached's text protocol in memcacheq's
// dialect with Kestrel's reliable reads, and adds leases by number, results and batches in verbs
// that stock clients can send. docs/memcached.md is the dialect.
//
// A connection that sends bursts, long bodies or what may wait has a goroutine. It parses all that
// has arrived, hands runs of puts or of acks to the broker as one batch, and writes the answers
// when its input runs dry. Connections that send one short command at a time, and idle ones, share
// a few loops (see loop). The package decides nothing about tasks.
package memcache

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/door"
)

const (
	stallTimeout = door.StallTimeout
	lingerFor    = 2 * time.Second  // how long input is read past after a connection was refused
	openLease    = 10 * time.Second // of a read that belongs to its connection, extended while that lives
)

// A Server is the memcached door of one broker. It is safe for concurrent use.
type Server struct {
	broker *broker.Broker
	frame  door.Frame
	hall   *door.Hall   // keeps the leases of open reads
	bursts atomic.Int64 // bytes of large input buffers
	began  time.Time
	count  counters
	lines  *door.Intake // of long lines while their gets are done
	binary door.Line    // of clients that speak the binary protocol
	others door.Line    // of those that speak something else

	mu      sync.Mutex
	loops   []*loop // since the first TCP connection, where the system can; guarded by mu until then
	gathers bool    // puts and acks wait for a sync, so loops gather them; set with loops
	turn    int     // of loops, for the next connection; guarded by mu
}

// New makes the door to b.
func New(b *broker.Broker, f door.Frame) *Server {
	f = f.Filled()
	s := &Server{broker: b, frame: f, began: time.Now(),
		lines: door.NewIntake(f.Memory.Bodies)}
	if s.frame.Version == "" {
		s.frame.Version = "dev"
	}
	s.hall = door.NewHall(&s.frame, b, openLease)
	s.hall.Full = "SERVER_ERROR your machine has too many connections (serve --max-connections-per-address)\r\n"
	return s
}

// Run serves ln until ctx is done, then drains: it takes no more connections, ends waits, answers
// the commands that have arrived, and cuts what is left after 10 s. When it returns, ln and every
// connection are closed and no goroutine is left. A Server is run once.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	return s.hall.Run(ctx, ln, s.serve, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, l := range s.loops {
			l.stop()
		}
	})
}

// serve has a client served until either side ends the connection.
func (s *Server) serve(ctx context.Context, nc *door.Conn) {
	c := newConn(ctx, s, nc)
	s.count.conns.Add(1)
	s.count.current.Add(1)
	if c.raw != nil {
		c.home = s.nextLoop()
	}
	if c.locked || !c.toLoop() {
		s.hall.Go(c.run)
	}
}
