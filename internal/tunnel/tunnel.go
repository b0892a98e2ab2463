// Package tunnel carries connections of Python programs to the manager door of a server on another
// machine, over TLS. The programs connect to an address of this machine and know nothing of it.
//
// How one side ends is how the other side sees it end: what is closed in good order is closed so,
// and a program that was killed breaks its connection off, because the server takes these for
// different things.
package tunnel

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/glassq/glassq/internal/cert"
	"github.com/glassq/glassq/internal/door"
)

const dialTime = 10 * time.Second // longest time for a connection and its handshake

// A Tunnel leads to one server. It is safe for concurrent use.
type Tunnel struct {
	server string // host:port
	config *tls.Config
	frame  door.Frame // its log, and its seats
	failed door.Line
}

// New makes a tunnel to a server's port for TLS, with the certificates that config trusts.
func New(server string, config *tls.Config, frame door.Frame) *Tunnel {
	c := config.Clone()
	if c == nil {
		c = new(tls.Config)
	}
	c.NextProtos, c.MinVersion = []string{door.ManagerProtocol}, max(c.MinVersion, tls.VersionTLS12)
	c.ClientSessionCache = tls.NewLRUClientSessionCache(0) // a Python program makes many short connections
	return &Tunnel{server: server, config: c, frame: frame.Filled()}
}

// dial connects to the server. The error of one that cannot be trusted is a *cert.Error.
func (t *Tunnel) dial(ctx context.Context) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	nc, err := (&tls.Dialer{Config: t.config}).DialContext(ctx, "tcp", t.server)
	if err == nil {
		c := nc.(*tls.Conn)
		if c.ConnectionState().NegotiatedProtocol == door.ManagerProtocol {
			return c, nil
		}
		c.Close()
		return nil, &cert.Error{Text: fmt.Sprintf("reach %s: it has TLS, and is no glassq server with a Python manager door", t.server)}
	}
	if e := cert.Explain(err); e != nil {
		return nil, &cert.Error{Text: fmt.Sprintf("reach %s: %s", t.server, e.Text), Err: err}
	}
	return nil, fmt.Errorf("reach %s: %w", t.server, err)
}

// Check connects once, to say early what is wrong.
func (t *Tunnel) Check(ctx context.Context) error {
	c, err := t.dial(ctx)
	if err != nil {
		return err
	}
	return c.Close()
}

// Run carries the connections of ln until ctx is done. When it returns, ln and every connection are
// closed.
func (t *Tunnel) Run(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // runs before the wait
	ln = t.frame.Listen(ln, "")
	wg.Go(func() { <-ctx.Done(); ln.Close() })
	for {
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		wg.Go(func() { t.carry(ctx, nc) })
	}
}

// carry connects one program, until both sides have ended or one breaks off.
func (t *Tunnel) carry(ctx context.Context, near net.Conn) {
	defer near.Close()
	far, err := t.dial(ctx)
	if err != nil {
		if ctx.Err() == nil {
			t.failed.Warn(t.frame.Log, "a program could not be connected", "err", err)
		}
		return
	}
	defer far.Close()
	breakOff := func() {
		reset(near)
		reset(far.NetConn())
	}
	stop := context.AfterFunc(ctx, breakOff)
	defer stop()
	var ways sync.WaitGroup
	ways.Go(func() { pass(far, near, breakOff) })
	ways.Go(func() { pass(near, far, breakOff) })
	ways.Wait()
}

// pass copies one direction to its end. A good one is passed on, any other breaks both sides off.
func pass(to, from net.Conn, breakOff func()) {
	_, err := io.Copy(to, from)
	if err == nil {
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			err = half.CloseWrite()
		}
	}
	if err != nil {
		breakOff()
	}
}

// reset closes a connection in a way that the other end takes for no good order.
func reset(nc net.Conn) {
	if c, ok := nc.(*door.Conn); ok {
		nc = c.Conn
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}
