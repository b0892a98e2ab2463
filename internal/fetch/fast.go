package fetch

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq/result"
	"github.com/valyala/fasthttp"
)

// fastEngine speaks HTTP/1.1 on connections that belong to one handler, so nothing is locked and
// nothing is pooled. Requests are written from cached parts; the headers of answers are parsed by
// fasthttp, and by net/http what fasthttp does not take: see answer.go.
type fastEngine struct {
	f     *Fetcher
	conns map[hostKey]*conn
	last  *conn // the one used last
	head  fasthttp.ResponseHeader
	same  []byte       // what head was read from, if it was all of a header; servers repeat themselves
	buf   []byte       // the request
	body  bytes.Buffer // of the answer, if something wants it
	watch *watch

	probeAfter time.Duration // a connection idle for longer is looked at before it is used
}

type hostKey struct {
	tls  bool
	host string
}

const (
	maxHosts     = 16                    // connections that a handler keeps
	readBuffer   = 8 << 10               // a longer header is read by net/http
	maxSame      = 1 << 10               // a longer header is parsed again each time
	inlineBody   = 64 << 10              // largest body that is sent in one write with its header
	deadlineStep = 10 * time.Millisecond // a deadline may be that late, or a 256th of the timeout
)

// A conn is a connection to one host, and what every request to it says.
type conn struct {
	key      hostKey
	nc       net.Conn
	br       *bufio.Reader
	tail     []byte    // " HTTP/1.1", Host and Connection
	deadline time.Time // set on nc
	born     time.Time // when it was made
	used     time.Time // when its last answer was read
	err      error     // of a read, as it was; it stays
	seen     int64     // bytes read
	limit    int64     // of seen, while a header is read; 0 for none
	watch    *stopwatch
}

// Read reads for br.
func (c *conn) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.limit > 0 && c.seen >= c.limit {
		c.err = errHeader
		return 0, c.err
	}
	n, err := c.nc.Read(p)
	if n > 0 && c.watch != nil && !c.watch.answered {
		c.watch.answered = true
		c.watch.firstByte()
	}
	c.seen += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

// A watch cuts the connection in use when its context is done.
type watch struct {
	ctx  context.Context
	stop func() bool
	mu   sync.Mutex
	nc   net.Conn
}

func (w *watch) abort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.nc != nil {
		w.nc.SetDeadline(time.Unix(1, 0))
	}
}

func (w *watch) set(nc net.Conn) {
	w.mu.Lock()
	w.nc = nc
	w.mu.Unlock()
}

func (e *fastEngine) init(f *Fetcher) {
	e.f = f
	e.conns = map[hostKey]*conn{}
	e.probeAfter = 5 * time.Millisecond
	e.head.SetNoDefaultContentType(true)
}

func (e *fastEngine) close() {
	for _, c := range e.conns {
		e.drop(c)
	}
	e.unwatch()
}

// release drops room for bodies that was large.
func (e *fastEngine) release() {
	if e.body.Cap() > keepBuffer {
		e.body = bytes.Buffer{}
	}
}

func (e *fastEngine) drop(c *conn) {
	if e.last == c {
		e.watch.set(nil)
		e.last = nil
	}
	c.nc.Close()
	delete(e.conns, c.key)
}

func (e *fastEngine) unwatch() {
	if e.watch != nil {
		e.watch.set(nil)
		e.watch.stop()
		e.watch = nil
	}
}

// follow makes the end of ctx cut the connection in use. The context is the same for task after
// task, so this is mostly one comparison.
func (e *fastEngine) follow(ctx context.Context) {
	if e.watch != nil && e.watch.ctx == ctx {
		return
	}
	if e.last != nil {
		e.drop(e.last) // the old context may have set its deadline
	}
	e.unwatch()
	w := &watch{ctx: ctx}
	w.stop = context.AfterFunc(ctx, w.abort)
	e.watch = w
}

// do sends req and reads the answer, all before the turn's deadline.
func (e *fastEngine) do(t *turn, req *request) answer {
	e.follow(t.ctx)
	c := e.last
	if c == nil || c.key.tls != req.tls || string(req.host) != c.key.host {
		c = e.conns[hostKey{req.tls, string(req.host)}]
	}
	if c != nil {
		idle := t.began.Sub(c.used)
		if c.br.Buffered() > 0 || idle > e.f.opt.IdleTimeout || e.f.opt.MaxAge > 0 &&
			t.began.Sub(c.born) > e.f.opt.MaxAge || idle > e.probeAfter && stale(c.nc) {
			e.drop(c)
			c = nil
		}
	}
	if c == nil {
		var err error
		if c, err = e.connect(t, req); err != nil {
			return failure(err, true)
		}
	}
	if e.last != c {
		e.last = c
		e.watch.set(c.nc)
	}
	step := max(deadlineStep, t.deadline.Sub(t.began)/256)
	if late := c.deadline.Sub(t.deadline); late < 0 || late > step {
		c.deadline = t.deadline.Add(step)
		if err := c.nc.SetDeadline(c.deadline); err != nil {
			e.drop(c)
			return failure(err, false)
		}
	}
	if err := t.ctx.Err(); err != nil { // after the deadline is set: from here on abort has the last word
		e.drop(c)
		return answer{err: result.ClassCancelled, msg: err.Error()}
	}
	if t.watch != nil {
		t.watch.connected()
		c.watch = t.watch
		c.watch.answered = false
	}
	return e.exchange(c, req)
}

// writeGrace is how long the rest of a large body may take once its answer has come.
const writeGrace = 50 * time.Millisecond

func (e *fastEngine) exchange(c *conn, req *request) answer {
	sent, werr := e.write(c, req)
	if werr != nil && isTimeout(werr) {
		e.drop(c)
		return failure(werr, false)
	}
	// After another write error an early answer may lie there: 413 and the like.
	a := answer{sends: 1}
	keep, err := e.read(c, req.method, &a)
	if err != nil {
		e.drop(c)
		if sent != nil {
			werr = <-sent // at once: the connection is closed
		}
		if werr != nil && !errors.Is(werr, net.ErrClosed) {
			err = werr
		}
		a = failure(err, false)
		a.sends = 1
		return a
	}
	if c.watch != nil {
		c.watch.last()
		c.watch = nil
	}
	if sent != nil {
		grace := time.NewTimer(writeGrace)
		select {
		case werr = <-sent:
		case <-grace.C:
			c.nc.Close()
			werr = <-sent
		}
		grace.Stop()
	}
	if werr != nil || !keep || e.f.opt.NoKeepAlive {
		e.drop(c)
	} else {
		c.used = time.Now()
		a.at = c.used
	}
	return a
}

// write sends the request. If the body is large it is sent by a goroutine of its own, so that an
// answer that comes before its end is seen; sent gets that one's error then.
func (e *fastEngine) write(c *conn, req *request) (sent chan error, err error) {
	b := e.buf[:0]
	if req.method == "" {
		b = append(b, "GET "...)
	} else {
		b = append(b, req.method...)
		b = append(b, ' ')
	}
	if len(req.target) == 0 || req.target[0] != '/' {
		b = append(b, '/')
	}
	b = append(b, req.target...)
	b = append(b, c.tail...)
	agent, decode := e.f.opt.UserAgent, e.f.opt.Decode
	for _, f := range req.header {
		switch {
		case strings.EqualFold(f.name, "User-Agent"):
			agent = ""
		case strings.EqualFold(f.name, "Accept-Encoding"):
			decode = false
		}
		b = append(b, f.name...)
		b = append(b, ": "...)
		b = append(b, f.value...)
		b = append(b, "\r\n"...)
	}
	if agent != "" {
		b = append(b, "User-Agent: "...)
		b = append(b, agent...)
		b = append(b, "\r\n"...)
	}
	if decode {
		b = append(b, "Accept-Encoding: "+acceptEncoding+"\r\n"...)
	}
	if len(req.body) > 0 || req.method == "POST" || req.method == "PUT" || req.method == "PATCH" {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(req.body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	separate := len(req.body) > inlineBody
	if !separate {
		b = append(b, req.body...)
	}
	e.buf = b
	_, err = c.nc.Write(b)
	if err == nil && separate {
		sent = c.send(req.body)
	} else if c.watch != nil {
		c.watch.wrote()
	}
	return sent, err
}

// send writes body while the caller does something else, and must wait for the error that is sent.
func (c *conn) send(body []byte) chan error {
	sent := make(chan error, 1)
	nc, watch := c.nc, c.watch
	go func() {
		_, err := nc.Write(body)
		if watch != nil {
			watch.wrote()
		}
		sent <- err
	}()
	return sent
}

// connect dials req's host and keeps the connection.
func (e *fastEngine) connect(t *turn, req *request) (*conn, error) {
	for _, c := range e.conns {
		if len(e.conns) < maxHosts {
			break
		}
		e.drop(c)
	}
	limit := time.Now().Add(e.f.opt.ConnectTimeout)
	if t.deadline.Before(limit) {
		limit = t.deadline
	}
	ctx, cancel := context.WithDeadline(t.ctx, limit)
	defer cancel()
	if t.watch != nil {
		ctx = t.watch.trace(ctx)
	}

	host := string(req.host)
	name, addr := host, host
	if i := bytes.IndexByte(req.host, ':'); i >= 0 {
		name = host[:i]
	} else if req.tls {
		addr += ":443"
	} else {
		addr += ":80"
	}
	nc, err := e.f.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if req.tls {
		cfg := e.f.tls.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = name
		}
		cfg.NextProtos = []string{"http/1.1"}
		tc := tls.Client(nc, cfg)
		began := time.Now()
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, &handshakeError{err}
		}
		if t.watch != nil {
			t.watch.add(&t.watch.tls, time.Since(began))
		}
		nc = tc
	}
	c := &conn{key: hostKey{req.tls, host}, nc: nc, born: time.Now(), used: time.Now()}
	c.br = bufio.NewReaderSize(c, readBuffer)
	c.tail = append(c.tail, " HTTP/1.1\r\nHost: "+host+"\r\n"...)
	if e.f.opt.NoKeepAlive {
		c.tail = append(c.tail, "Connection: close\r\n"...)
	}
	e.conns[c.key] = c
	return c, nil
}
