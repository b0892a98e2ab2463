// Package target is a web server to aim at: it answers after a chosen latency, with a chosen share
// of errors and a chosen size, counts what it answered and can log it. It knows nothing of queues,
// so that its count is evidence from outside.
//
//	GET /?q=N    a small text that says N
//	GET /count   {"count":1234}: requests so far, those for /count left out
package target

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Options tunes New. The zero value answers at once, always with 200 and a few bytes.
type Options struct {
	Latency time.Duration // before every answer
	Jitter  time.Duration // up to that much more, evenly spread
	Errors  float64       // share of requests answered with 500, 0 to 1
	Size    int           // bytes of an answer at least; 0 means as long as the text is
	Log     io.Writer     // one line per request: its q, or its path without one; nil logs nothing
}

// A Server answers requests. Make one with New.
type Server struct {
	opt   Options
	pad   []byte
	count atomic.Uint64

	mu     sync.Mutex // guards log and logErr
	log    *bufio.Writer
	logErr error
}

// maxSize bounds Options.Size.
const maxSize = 1 << 30

// New checks opt.
func New(opt Options) (*Server, error) {
	switch {
	case opt.Latency < 0 || opt.Jitter < 0:
		return nil, errors.New("latency and jitter are not negative")
	case !(opt.Errors >= 0 && opt.Errors <= 1):
		return nil, fmt.Errorf("share of errors %v is not between 0 and 1", opt.Errors)
	case opt.Size < 0 || opt.Size > maxSize:
		return nil, fmt.Errorf("size %d is not between 0 and %d", opt.Size, maxSize)
	}
	s := &Server{opt: opt}
	if opt.Log != nil {
		s.log = bufio.NewWriterSize(opt.Log, 64<<10)
	}
	if opt.Size > 0 {
		s.pad = make([]byte, opt.Size)
		for i := range s.pad {
			s.pad[i] = '.'
		}
	}
	return s, nil
}

// Count returns how many requests have come so far, those for /count left out.
func (s *Server) Count() uint64 { return s.count.Load() }

// drainTime is how long requests in progress may take when the server ends.
const drainTime = 5 * time.Second

// Run serves ln until ctx is done; then ln is closed, requests in progress get up to five seconds,
// and the log is flushed. Its error is of the listener or of the log.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	srv := &fasthttp.Server{
		Handler:                      s.handle,
		Name:                         "glassq-target",
		NoDefaultDate:                true,
		CloseOnShutdown:              true,
		DisablePreParseMultipartForm: true,
		MaxRequestBodySize:           64 << 20,
		Logger:                       quiet{},
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	ended := make(chan struct{})
	if s.log != nil {
		wg.Go(func() { s.flushEachSecond(ended) })
	}
	var stopped error
	over := make(chan struct{})
	wg.Go(func() {
		defer close(over)
		<-ctx.Done()
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer done()
		stopped = srv.ShutdownWithContext(grace)
	})
	err := srv.Serve(ln)
	planned := ctx.Err() != nil
	cancel()
	<-over
	close(ended)
	if err := s.flush(); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	if err != nil && !planned {
		return fmt.Errorf("serve: %w", err)
	}
	if stopped != nil && !errors.Is(stopped, context.DeadlineExceeded) && !errors.Is(stopped, net.ErrClosed) {
		return fmt.Errorf("stop: %w", stopped)
	}
	return nil
}

// quiet drops fasthttp's log: a client that breaks off is no news here.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (s *Server) flushEachSecond(ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			s.flush()
		}
	}
}

func (s *Server) flush() error {
	if s.log == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.log.Flush(); err != nil && s.logErr == nil {
		s.logErr = err
	}
	return s.logErr
}

func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	if string(ctx.Path()) == "/count" {
		ctx.SetContentType("application/json")
		ctx.Response.SetBody(strconv.AppendUint([]byte(`{"count":`), s.Count(), 10))
		ctx.Response.AppendBodyString("}\n")
		return
	}
	s.count.Add(1)
	q := ctx.QueryArgs().Peek("q")
	if s.log != nil {
		s.note(ctx, q)
	}
	if d := s.delay(); d > 0 {
		time.Sleep(d)
	}
	ctx.SetContentType("text/plain; charset=utf-8")
	if s.opt.Errors > 0 && rand.Float64() < s.opt.Errors {
		ctx.SetStatusCode(fasthttp.StatusInternalServerError)
		ctx.Response.AppendBodyString("error on purpose: ")
	} else {
		ctx.Response.AppendBodyString("hello ")
	}
	ctx.Response.AppendBody(q)
	ctx.Response.AppendBodyString("\n")
	if n := len(ctx.Response.Body()); n < len(s.pad) {
		ctx.Response.AppendBody(s.pad[n:])
	}
}

// delay draws how long to wait before an answer.
func (s *Server) delay() time.Duration {
	d := s.opt.Latency
	if s.opt.Jitter > 0 {
		d += rand.N(s.opt.Jitter + 1)
	}
	return d
}

// note writes a line of the log. Control characters become spaces: a request is one line.
func (s *Server) note(ctx *fasthttp.RequestCtx, q []byte) {
	if len(q) == 0 {
		q = ctx.Path()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range q {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		s.log.WriteByte(c) // errors stick, and come out in flush
	}
	s.log.WriteByte('\n')
}
