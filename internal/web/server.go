// Package web is the HTTP door: it parses requests, calls the broker, and prints answers.
//
// Every route takes and gives JSON, or NDJSON where there are many. A reserve parks in the server
// instead of polling. Cross-site requests and unknown Host names are refused, so that a web page
// cannot reach a queue through its visitor's browser. The package decides nothing about tasks.
package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
)

const (
	maxRequest   = 48 << 20         // bytes of one request body: MaxPutBytes as base64, and envelopes
	maxSettings  = 1 << 20          // bytes of one that changes settings
	maxPoll      = 10 * time.Minute // longest wait of one long poll
	drainFor     = 10 * time.Second // how long requests may finish when the server stops
	stallTimeout = 60 * time.Second // longest silence while an answer is written
	bodyTimeout  = 10 * time.Second // longest wait for a body that nobody reads
)

// Options tunes New. The zero value serves everyone who can connect.
type Options struct {
	Keys    [][]byte     // bearer keys, any of which opens the routes that are not open to all (see open); none: all are open
	Hosts   []string     // allowed Host names besides localhost and IP addresses; "*" allows all
	MaxBody int          // most bytes of one task's body; 0 means glassq.DefaultMaxBody
	TLS     *tls.Config  // nil serves plain HTTP
	Intake  *door.Intake // bounds the bodies in flight of all doors that share it; nil makes one
	Version string       // said in the Server header; "" says none
	Logger  *slog.Logger // nil discards
}

// A Server is the HTTP door of one store. It is safe for concurrent use.
type Server struct {
	store glassq.Store
	opt   Options
	keys  [][sha256.Size]byte
	mux   *http.ServeMux

	patterns []string // what mux routes, in the order of the documents
	handler  http.Handler
	intake   *door.Intake
	log      *slog.Logger
	parked   atomic.Int64 // bytes of puts that wait for room

	mu       sync.Mutex
	draining bool                         // guarded by mu
	polls    map[*poll]context.CancelFunc // guarded by mu: long polls to end when draining
}

// A poll is one long poll under way.
type poll struct{ _ byte }

// New makes the door to s, which is normally a broker.Broker.
func New(s glassq.Store, opt Options) *Server {
	if opt.MaxBody == 0 {
		opt.MaxBody = glassq.DefaultMaxBody
	}
	w := &Server{
		store: s,
		opt:   opt,
		mux:   http.NewServeMux(),
		log:   opt.Logger,
		polls: make(map[*poll]context.CancelFunc),
	}
	if w.intake = opt.Intake; w.intake == nil {
		w.intake = door.NewIntake(glassq.BodiesInFlight)
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	for _, k := range opt.Keys {
		w.keys = append(w.keys, sha256.Sum256(k))
	}
	w.routes()
	crossSite := http.NewCrossOriginProtection()
	crossSite.SetDenyHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		refuse(rw, glassq.Errorf(glassq.CodeForbidden, "cross-site requests are refused"))
	}))
	w.handler = crossSite.Handler(http.HandlerFunc(w.guarded))
	return w
}

func (s *Server) routes() {
	handle := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		s.patterns = append(s.patterns, pattern)
		s.mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			if err := h(rw, r); err != nil {
				s.refuse(rw, r, err)
			}
		})
	}
	handle("POST /v1/queues/{queue}/tasks", s.put)
	handle("POST /v1/queues/{queue}/reserve", s.reserve)
	handle("POST /v1/ack", s.ack)
	handle("POST /v1/nack", s.nack)
	handle("POST /v1/extend", s.extend)

	handle("GET /v1/queues", s.queues)
	handle("GET /v1/queues/{queue}", s.showQueue)
	handle("PATCH /v1/queues/{queue}", s.configure)
	handle("DELETE /v1/queues/{queue}", s.drop)
	handle("GET /v1/queues/{queue}/peek", s.peek)
	handle("POST /v1/queues/{queue}/purge", s.purge)
	handle("POST /v1/queues/{queue}/redrive", s.redrive)

	handle("GET /v1/runs", s.runs)
	handle("GET /v1/runs/{run}", s.showRun)
	handle("POST /v1/runs/{run}", s.setRun)
	handle("GET /v1/runs/{run}/ids", s.runIDs)
	handle("POST /v1/runs/{run}/cancel", s.cancelRun)

	handle("GET /v1/stats", s.stats)
	handle("POST /v1/backup", s.backup)
	handle("GET /livez", s.livez)
	handle("GET /readyz", s.readyz)
	handle("GET /openapi.yaml", s.openAPI)
	handle("GET /schema/{name}", s.schema)
	handle("/", s.noRoute)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.Error("panic in a request", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			refuse(rw, glassq.Errorf(glassq.CodeInternal, "internal error; the server's log says more"))
		}
	}()
	if r.ContentLength != 0 { // the body of a request that is refused unread is read past, before the answer
		http.NewResponseController(rw).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	if s.opt.Version != "" {
		rw.Header().Set("Server", "glassq/"+s.opt.Version)
	}
	s.handler.ServeHTTP(rw, r)
}

// guarded checks Host and key, and routes.
func (s *Server) guarded(rw http.ResponseWriter, r *http.Request) {
	if !s.hostAllowed(r.Host) {
		refuse(rw, glassq.Errorf(glassq.CodeForbidden,
			"host %.80q is not allowed; use localhost, an IP address, or a name the server was told to serve", r.Host))
		return
	}
	if !open(r.URL.Path) && !s.keyAllowed(r) {
		rw.Header().Set("WWW-Authenticate", `Bearer realm="glassq"`)
		refuse(rw, glassq.Errorf(glassq.CodeUnauthorized, "this server needs its key: send the header Authorization: Bearer <key>"))
		return
	}
	s.mux.ServeHTTP(rw, r)
}

// hostAllowed defends against DNS rebinding: a hostile page whose own name resolves to this machine
// counts as same-origin in the browser, but its requests carry that name in Host. An address cannot
// be rebound, so all addresses are fine; of names only localhost and those of Options.Hosts are.
func (s *Server) hostAllowed(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	addr, _, _ := strings.Cut(host, "%")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(addr) != nil {
		return true
	}
	return slices.ContainsFunc(s.opt.Hosts, func(h string) bool {
		return h == "*" || strings.EqualFold(h, host) || strings.EqualFold(h, hostport)
	})
}

// keyAllowed compares hashes, so that neither length nor content of a key shows in the time it takes.
func (s *Server) keyAllowed(r *http.Request) bool {
	if len(s.keys) == 0 {
		return true
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	ok := 0
	for i := range s.keys {
		ok |= subtle.ConstantTimeCompare(sum[:], s.keys[i][:])
	}
	return ok == 1 && strings.EqualFold(scheme, "Bearer")
}

// noRoute answers what no route takes: 405 where the path has other methods, else 404.
func (s *Server) noRoute(rw http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, m := range []string{"GET", "POST", "PATCH", "DELETE"} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); pattern != "/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		return glassq.Errorf(glassq.CodeNotFound, "no such route: %.100s", r.URL.Path)
	}
	rw.Header().Set("Allow", strings.Join(allowed, ", "))
	refuseStatus(rw, http.StatusMethodNotAllowed,
		glassq.Errorf(glassq.CodeBadRequest, "%s does not fit %.100s; allowed: %s", r.Method, r.URL.Path, strings.Join(allowed, ", ")))
	return nil
}

// Run serves ln until ctx is done, then drains: it takes no more connections, ends long polls, lets
// requests finish for up to 10 s, and cancels what is left. When it returns, ln and every connection
// are closed. Other Runs of the same Server drain with it.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    16 << 10,
		TLSConfig:         s.opt.TLS,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if s.opt.TLS != nil {
			served <- srv.ServeTLS(ln, "", "")
		} else {
			served <- srv.Serve(ln)
		}
	})
	select {
	case err := <-served:
		srv.Close()
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	s.drain()
	grace, stop := context.WithTimeout(base, drainFor)
	defer stop()
	if err := srv.Shutdown(grace); err != nil {
		cancel()
		srv.Close()
		if !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("stop http: %w", err)
		}
	}
	return nil
}

// drain ends all long polls and those that come later.
func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for _, cancel := range s.polls {
		cancel()
	}
}

// errDraining answers a long poll that the server's end has cut short.
var errDraining = glassq.Errorf(glassq.CodeClosed, "the server is stopping")

// longPoll returns a context that also ends when the server drains. The caller must call done.
func (s *Server) longPoll(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	p := new(poll)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		cancel()
	}
	s.polls[p] = cancel
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.polls, p)
	}
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}
