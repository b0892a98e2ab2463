package fetch

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/valyala/fasthttp"
)

// fastEngine speaks HTTP/1.1 on connections that belong to one handler, so nothing is locked and
// nothing is pooled. Requests are written from cached parts; answers are parsed by fasthttp.
type fastEngine struct {
	f     *Fetcher
	conns map[hostKey]*conn
	last  *conn // the one used last
	resp  fasthttp.Response
	buf   []byte // the request
	watch *watch
}

type hostKey struct {
	tls  bool
	host string
}

const (
	maxHosts     = 16                    // connections that a handler keeps
	readBuffer   = 8 << 10               // also the largest header of an answer
	inlineBody   = 64 << 10              // largest body that is sent in one write with its header
	deadlineStep = 10 * time.Millisecond // a deadline may be that late
)

// A conn is a connection to one host, and what every request to it says.
type conn struct {
	key      hostKey
	nc       net.Conn
	br       *bufio.Reader
	tail     []byte    // " HTTP/1.1", Host and Connection
	deadline time.Time // set on nc
	used     time.Time // when its last answer was read
	err      error     // of a read, as it was: fasthttp makes io.EOF of most
}

// Read reads for br.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.nc.Read(p)
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
	e.resp.Header.SetNoDefaultContentType(true)
}

func (e *fastEngine) close() {
	for _, c := range e.conns {
		e.drop(c)
	}
	e.unwatch()
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

// do sends req and reads the answer, all before deadline.
func (e *fastEngine) do(ctx context.Context, req *request, deadline time.Time) answer {
	e.follow(ctx)
	c := e.last
	if c == nil || c.key.tls != req.tls || string(req.host) != c.key.host {
		c = e.conns[hostKey{req.tls, string(req.host)}]
	}
	if c != nil && (c.br.Buffered() > 0 || time.Since(c.used) > e.f.opt.IdleTimeout) {
		e.drop(c)
		c = nil
	}
	if c == nil {
		var err error
		if c, err = e.connect(ctx, req, deadline); err != nil {
			return failure(err, true)
		}
	}
	if e.last != c {
		e.last = c
		e.watch.set(c.nc)
	}
	if c.deadline.Before(deadline) || c.deadline.Sub(deadline) > deadlineStep {
		c.deadline = deadline.Add(deadlineStep)
		if err := c.nc.SetDeadline(c.deadline); err != nil {
			e.drop(c)
			return failure(err, false)
		}
	}
	if err := ctx.Err(); err != nil { // after the deadline is set: from here on abort has the last word
		e.drop(c)
		return answer{err: glassq.ErrClassCancelled, msg: err.Error()}
	}
	return e.exchange(c, req)
}

func (e *fastEngine) exchange(c *conn, req *request) answer {
	werr := e.write(c, req)
	if werr != nil && isTimeout(werr) {
		e.drop(c)
		return failure(werr, false)
	}
	// After another write error an early answer may lie there: 413 and the like.
	e.resp.SkipBody = req.method == "HEAD"
	err := e.resp.ReadLimitBody(c.br, int(e.f.opt.MaxBody))
	if err != nil {
		e.drop(c)
		switch {
		case werr != nil:
			err = werr
		case c.err != nil:
			err = c.err
		}
		return failure(err, false)
	}
	a := answer{code: e.resp.StatusCode()}
	if !e.resp.SkipBody {
		a.n = int64(len(e.resp.Body()))
	}
	if werr != nil || e.f.opt.NoKeepAlive || e.resp.ConnectionClose() || a.code == fasthttp.StatusSwitchingProtocols {
		e.drop(c)
	} else {
		c.used = time.Now()
	}
	e.resp.ResetBody()
	return a
}

func (e *fastEngine) write(c *conn, req *request) error {
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
	agent := e.f.opt.UserAgent
	for _, f := range req.header {
		if strings.EqualFold(f.name, "User-Agent") {
			agent = ""
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
	_, err := c.nc.Write(b)
	if err == nil && separate {
		_, err = c.nc.Write(req.body)
	}
	return err
}

// connect dials req's host and keeps the connection.
func (e *fastEngine) connect(ctx context.Context, req *request, deadline time.Time) (*conn, error) {
	for _, c := range e.conns {
		if len(e.conns) < maxHosts {
			break
		}
		e.drop(c)
	}
	limit := time.Now().Add(e.f.opt.ConnectTimeout)
	if deadline.Before(limit) {
		limit = deadline
	}
	ctx, cancel := context.WithDeadline(ctx, limit)
	defer cancel()

	host := string(req.host)
	name, addr := host, host
	if i := bytes.IndexByte(req.host, ':'); i >= 0 {
		name = host[:i]
	} else if req.tls {
		addr += ":443"
	} else {
		addr += ":80"
	}
	nc, err := e.f.dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if req.tls {
		cfg := e.f.tls.Clone()
		cfg.ServerName = name
		cfg.NextProtos = []string{"http/1.1"}
		tc := tls.Client(nc, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, &handshakeError{err}
		}
		nc = tc
	}
	c := &conn{key: hostKey{req.tls, host}, nc: nc, used: time.Now()}
	c.br = bufio.NewReaderSize(c, readBuffer)
	c.tail = append(c.tail, " HTTP/1.1\r\nHost: "+host+"\r\n"...)
	if e.f.opt.NoKeepAlive {
		c.tail = append(c.tail, "Connection: close\r\n"...)
	}
	e.conns[c.key] = c
	return c, nil
}
