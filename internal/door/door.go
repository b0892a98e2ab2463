// Package door is the frame of all doors: it lets connections in and sees them out, and holds what
// the doors share: who may do what, TLS, the room for bodies, and the leases that are kept for
// clients. It knows bytes, connections and leases; it does not know protocols.
//
// A new door is a package below this one: New takes a broker and a Frame, and Run serves a listener
// with a Hall.
package door

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
)

const (
	// DrainFor is how long connections may finish when a server stops.
	DrainFor = 10 * time.Second

	// ManagerProtocol is what a client asks for, by ALPN, that wants the Python manager door on the
	// HTTP door's port.
	ManagerProtocol = "glassq-manager"
)

// A Frame is what the doors of a server share. The zero value, filled, serves everyone who can
// connect.
type Frame struct {
	Access  *Access     // nil: nobody needs a key
	TLS     *tls.Config // of the doors that know it; nil serves plain TCP
	Memory  Memory      // how much the following may have; zero is that of a server without a limit
	Intake  *Intake     // bounds the bodies in flight; nil makes one of Memory.Bodies
	Parked  *Budget     // bounds the bodies that wait for room in their queues; nil makes one of Memory.Parked
	Answers *Answers    // bounds the bodies in answers that are being read; nil makes one of Memory.Answers
	Seats   *Seats      // bounds the connections of all doors; nil makes one of AllSeats()

	Audit     *audit.Log   // hears what clients do; nil for nothing
	Strangers *Strangers   // of all doors, where a key is needed; nil makes one
	Version   string       // of this program, for those who ask; "" says none
	Log       *slog.Logger // nil discards

	logins *audit.Logins // made by Filled, over Audit
}

// Filled returns f with its defaults.
func (f Frame) Filled() Frame {
	if f.Access == nil {
		f.Access = new(Access)
	}
	if f.logins == nil {
		f.logins = &audit.Logins{Log: f.Audit}
	}
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	if f.Memory == (Memory{}) {
		f.Memory = Share(0, 0)
	}
	if f.Intake == nil {
		f.Intake = NewIntake(f.Memory.Bodies)
	}
	if f.Parked == nil {
		f.Parked = NewBudget(f.Memory.Parked)
	}
	if f.Answers == nil {
		f.Answers = NewAnswers(f.Memory.Answers, f.Log)
	}
	if f.Seats == nil {
		f.Seats = NewSeats(0, 0, f.Log)
	}
	if f.Strangers == nil {
		f.Strangers = NewStrangers(f.Log)
	}
	return f
}

// Rest waits for d, or until ctx is done.
func Rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// A Conn is a connection that was let in.
type Conn struct {
	net.Conn
	frame    *Frame
	address  string // see addressOf
	seated   bool   // false where another connection has its seat
	closed   atomic.Bool
	hall     *Hall           // nil where the door has its own
	strange  context.Context // lasts while it is a stranger; nil where it never was one
	familiar func()          // ends strange
	life     context.Context // see Live; nil where nobody asks
	lose     func()          // ends life
	stay     func() bool     // has it outlive its token; nil where it has none. Guarded by hall.mu
}

// Peer names the other end of a connection that has no better name: its address without the port,
// which every connection of one program has another of, and "local" for one that is not of TCP.
func Peer(addr net.Addr) string {
	if a, ok := addr.(*net.TCPAddr); ok {
		return a.IP.String()
	}
	return "local"
}

// Close ends the connection and leaves its seat. Later ones only say that it is closed.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	if c.closed.CompareAndSwap(false, true) {
		if c.lose != nil {
			c.lose()
		}
		if c.hall != nil {
			c.hall.left(c)
		}
		c.frame.Strangers.Recognize(c)
		if c.seated {
			c.frame.Seats.leave(c.address)
		}
	}
	return err
}

// Cut ends both directions of the connection under whoever has it, who finds its end and sees to
// the rest. It does not block.
func (c *Conn) Cut() {
	if c.lose != nil {
		c.lose()
	}
	half, ok := c.Conn.(interface {
		CloseRead() error
		CloseWrite() error
	})
	if !ok {
		c.Conn.Close()
		return
	}
	// Not closed: what polls its descriptor would never hear of it. One that has failed already is
	// found anyway.
	half.CloseRead()
	half.CloseWrite()
}

// Live has Life end with ctx, or when the connection is lost: closed, cut, or found reset by a read. A
// client that has ended its side only may still read. It is called at most once, before the
// connection has another owner, and with a context that knows it.
func (c *Conn) Live(ctx context.Context) { c.life, c.lose = context.WithCancel(ctx) }

// Life is what Live began, nil without it.
func (c *Conn) Life() context.Context { return c.life }

// Read reads what the client sends, and notices that it is gone.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.lose != nil && err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.lose()
	}
	return n, err
}

// SetReadDeadline sets it, but for a server that stops, whose reads have ended for good.
func (c *Conn) SetReadDeadline(t time.Time) error {
	err := c.Conn.SetReadDeadline(t)
	if c.hall != nil && c.hall.Draining() {
		err = c.Conn.SetReadDeadline(LongAgo)
	}
	return err
}

// CloseWrite ends the side that is written to, where there are two.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// A Hall is where the connections of one door are, from the moment in which they are let in.
type Hall struct {
	Kept *Keeper // the leases of its clients; it runs while the hall does
	Full string  // what a client is told for whom there is no seat; set before Run

	frame    *Frame
	draining atomic.Bool
	wg       sync.WaitGroup // of all goroutines

	mu    sync.Mutex
	life  context.Context    // while it runs; nil before. Guarded by mu
	conns map[*Conn]struct{} // guarded by mu
}

// NewHall makes the hall of one door before store, whose clients hold leases that last for lease.
func NewHall(f *Frame, store glassq.Store, lease time.Duration) *Hall {
	return &Hall{Kept: NewKeeper(store, lease, f.Log), frame: f, conns: map[*Conn]struct{}{}}
}

// Go runs f in a goroutine that Run waits for.
func (h *Hall) Go(f func()) { h.wg.Go(f) }

// Draining tells whether the server stops.
func (h *Hall) Draining() bool { return h.draining.Load() }

// Run serves ln until ctx is done, then drains: no more connections are taken, all reads end,
// drained is called, and what is left after DrainFor is cut. serve is called for each connection;
// it must not block, and sees to it that the connection is closed in the end. When Run returns, ln
// and every connection are closed, and no goroutine is left. A Hall is run once.
func (h *Hall) Run(ctx context.Context, ln net.Listener, serve func(context.Context, *Conn), drained func()) error {
	defer h.wg.Wait()
	life, cancel := context.WithCancel(ctx)
	defer cancel() // runs before the wait
	ln = h.frame.Listen(ln, h.Full)
	h.mu.Lock()
	h.life = life
	h.mu.Unlock()
	h.wg.Go(func() { h.Kept.Run(life) })
	h.wg.Go(func() {
		<-life.Done()
		ln.Close()
		h.draining.Store(true)
		h.each(func(c *Conn) { c.SetReadDeadline(LongAgo) })
		drained()
	})
	for {
		nc, err := ln.Accept()
		switch {
		case life.Err() != nil:
			if err == nil {
				nc.Close()
			}
			cut := time.AfterFunc(DrainFor, func() { h.each((*Conn).Cut) })
			h.wg.Wait()
			cut.Stop()
			return nil
		case err != nil:
			return fmt.Errorf("accept: %w", err)
		}
		c := nc.(*Conn)
		h.enter(life, c)
		serve(life, c)
	}
}

// Admit has serve work on a connection that came another way than by the listener, and has a seat
// already. It blocks until serve returns, and closes a connection that comes when the hall does not
// run.
func (h *Hall) Admit(nc net.Conn, serve func(context.Context, *Conn)) {
	c := &Conn{Conn: nc, frame: h.frame}
	done := make(chan struct{})
	h.mu.Lock()
	life := h.life
	// Run's own goroutine takes mu after it has noted that it drains: until then it is waited for.
	if life == nil || h.Draining() {
		h.mu.Unlock()
		nc.Close()
		return
	}
	h.enterLocked(life, c)
	h.wg.Go(func() {
		defer close(done)
		serve(life, c)
	})
	h.mu.Unlock()
	<-done
}

// enter takes a connection in.
func (h *Hall) enter(life context.Context, c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.enterLocked(life, c)
}

// enterLocked is enter with mu held.
func (h *Hall) enterLocked(life context.Context, c *Conn) {
	if h.frame.Access.Locked() {
		h.frame.Strangers.Enter(life, c)
	}
	c.hall = h
	h.conns[c] = struct{}{}
	if h.Draining() {
		c.Conn.SetReadDeadline(LongAgo)
	}
}

// left ends what enter began.
func (h *Hall) left(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	if c.stay != nil {
		c.stay()
	}
}

func (h *Hall) each(f func(*Conn)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		f(c)
	}
}
