// Package httpdoor is the HTTP door: it parses requests, calls the broker, and prints answers.
//
// Every route takes and gives JSON, or NDJSON where there are many. A reserve parks in the server
// instead of polling. Cross-site requests and unknown Host names are refused, so that a web page
// cannot reach a queue through its visitor's browser. The package decides nothing about tasks.
package httpdoor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/dashboard"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/explain"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/metrics"
	"github.com/glassq/glassq/internal/rights"
)

const (
	maxRequest  = 48 << 20         // bytes of one request body: MaxPutBytes as base64, and envelopes
	maxSettings = 1 << 20          // bytes of one that changes settings
	maxPoll     = 10 * time.Minute // longest wait of one long poll
	bodyTimeout = 10 * time.Second // longest wait for a body that nobody reads
	headTime    = 5 * time.Second  // longest wait for a head that has begun
	idleTime    = 2 * time.Minute  // longest silence between two requests
	maxHead     = 16 << 10         // bytes of a request line and its header
	maxStreams  = 100              // requests under way on one connection of HTTP/2

	// DefaultRequests is how many requests may be under way, those that wait included.
	DefaultRequests = 10_000
)

// Options tunes New. The zero value serves everyone who can connect.
type Options struct {
	door.Frame                                 // its keys are bearer keys, for the routes that are not open to all
	Reload     func() (glassq.Reloaded, error) // reads the settings again; nil: there are none to read
	Hosts      []string                        // allowed Host names besides localhost and IP addresses; "*" allows all
	Names      func() []string                 // those of the certificate, allowed too; nil: there is none
	Requests   int64                           // most requests under way; 0 means DefaultRequests

	// Manager serves, until it ends, a connection whose client has asked for door.ManagerProtocol
	// instead of HTTP when it agreed on TLS; nil refuses such clients.
	Manager func(net.Conn)

	// Live knows what goes on in the store under the broker; nil is one that knows nothing, for a
	// door without it.
	Live *live.Live

	ReadOnlyDashboard bool // nobody changes anything by a page
}

// A Server is the HTTP door of one broker. It is safe for concurrent use.
type Server struct {
	broker *broker.Broker
	frame  door.Frame
	hosts  []string
	names  func() []string // nil for none
	other  func(net.Conn)  // Options.Manager
	reread func() (glassq.Reloaded, error)
	live   *live.Live
	mux    *http.ServeMux
	lost   http.Handler // of what no route takes
	header http.Header  // of every answer, unless it says otherwise; its values are shared and never changed in place

	explain  explain.Explainer
	pages    *dashboard.Server
	metrics  http.Handler
	streams  *door.Budget // of events
	patterns []string     // what mux routes, in the order of the documents
	requests *door.Budget
	lines    door.Line // clients that speak something else
	origin   *http.CrossOriginProtection

	life  context.Context // done when the server drains
	drain context.CancelFunc
}

// New makes the door to b.
func New(b *broker.Broker, opt Options) *Server {
	w := &Server{
		broker: b,
		frame:  opt.Frame.Filled(),
		hosts:  opt.Hosts,
		names:  opt.Names,
		other:  opt.Manager,
		reread: opt.Reload,
		live:   opt.Live,
		mux:    http.NewServeMux(),
		origin: http.NewCrossOriginProtection(),
		header: http.Header{
			"Cache-Control":                {"no-store"},
			"X-Content-Type-Options":       {"nosniff"},
			"X-Frame-Options":              {"DENY"},
			"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
			"Cross-Origin-Resource-Policy": {"same-origin"},
		},
	}
	if w.frame.Version != "" {
		w.header.Set("Server", "glassq/"+w.frame.Version)
	}
	w.requests = door.NewBudget(cmp.Or(opt.Requests, DefaultRequests))
	if w.live == nil {
		w.live = live.New(live.Options{})
	}
	w.explain = explain.Explainer{Store: b, Live: w.live, Stopping: w.isDraining}
	w.streams = door.NewBudget(maxWatchers)
	w.metrics = metrics.Handler(b, w.live, w.frame.Access.Refused)
	w.life, w.drain = context.WithCancel(context.Background())
	w.pages = dashboard.New(b, dashboard.Options{Access: w.frame.Access, Known: w.known, Client: w.client,
		Status: statusOf, Live: w.live, Explain: &w.explain, Life: w.life, ReadOnly: opt.ReadOnlyDashboard, Log: w.frame.Log})
	w.routes()
	return w
}

// A call is one request, by a client that was let in.
type call struct {
	*Server
	store door.Store      // as the client may use it
	asked context.Context // lasts until the client ends its side, or gives the request up
}

// A handler answers a call, or returns why there is no answer.
type handler func(*call, http.ResponseWriter, *http.Request) error

// told is a handler whose answer is JSON, for a request with the parameters words and no body.
func told(h func(*call, *http.Request, *query) (any, error), words ...string) handler {
	return func(s *call, rw http.ResponseWriter, r *http.Request) error {
		q := parseQuery(r, words...)
		if q.err != nil {
			return q.err
		}
		if err := s.noBody(rw, r, words...); err != nil {
			return err
		}
		v, err := h(s, r, q)
		if err != nil {
			return err
		}
		return answer(rw, v)
	}
}

// changes is a handler whose answer is JSON, for a request whose body is a change.
func changes[C any](h func(*call, *http.Request, *C) (any, error)) handler {
	return func(s *call, rw http.ResponseWriter, r *http.Request) error {
		if q := parseQuery(r); q.err != nil {
			return q.err
		}
		c := new(C)
		if err := s.readJSON(rw, r, c); err != nil {
			return err
		}
		v, err := h(s, r, c)
		if err != nil {
			return err
		}
		return answer(rw, v)
	}
}

// okay answers a verb that has nothing to tell.
var okay = map[string]bool{"ok": true}

// listed is the answer that has a list; a list that is nil is empty.
func listed[T any](name string, list []T) map[string]any {
	if list == nil {
		list = []T{}
	}
	return map[string]any{name: list}
}

func (s *Server) routes() {
	handle := func(pattern string, h handler) http.HandlerFunc {
		verb := rights.Route(pattern)
		s.patterns = append(s.patterns, pattern)
		f := func(rw http.ResponseWriter, r *http.Request) {
			if err := s.let(rw, r, verb, h); err != nil {
				s.refuse(rw, r, err)
			}
		}
		s.mux.HandleFunc(pattern, f)
		return f
	}
	handle("POST /v1/queues/{queue}/tasks", (*call).put)
	handle("POST /v1/queues/{queue}/reserve", (*call).reserve)
	handle("POST /v1/ack", (*call).ack)
	handle("POST /v1/nack", (*call).nack)
	handle("POST /v1/extend", (*call).extend)

	handle("GET /v1/queues", told((*call).queues, "name"))
	handle("GET /v1/queues/{queue}", told((*call).showQueue))
	handle("PATCH /v1/queues/{queue}", changes((*call).configure))
	handle("DELETE /v1/queues/{queue}", told((*call).drop))
	handle("GET /v1/queues/{queue}/peek", (*call).peek)
	handle("POST /v1/queues/{queue}/purge", told((*call).purge, append([]string{"state"}, filterNames...)...))
	handle("POST /v1/queues/{queue}/redrive", told((*call).redrive, filterNames...))
	handle("GET /v1/queues/{queue}/keys", told((*call).keys, "cursor", "max"))
	handle("POST /v1/queues/{queue}/release", told((*call).releaseKey, "key"))

	handle("GET /v1/runs", told((*call).runs))
	handle("GET /v1/runs/{run}", told((*call).showRun, "until", "wait"))
	handle("POST /v1/runs/{run}", changes((*call).setRun))
	handle("DELETE /v1/runs/{run}", told((*call).dropRun))
	handle("GET /v1/runs/{run}/ids", (*call).runIDs)
	handle("POST /v1/runs/{run}/cancel", told((*call).cancelRun))

	handle("GET /v1/schedules", told((*call).schedules))
	handle("POST /v1/schedules/{schedule}", changes((*call).setSchedule))
	handle("DELETE /v1/schedules/{schedule}", told((*call).dropSchedule))

	handle("GET /v1/whoami", told((*call).whoami))
	handle("GET /v1/stats", told((*call).stats))
	handle("GET /v1/queues/{queue}/explain", told((*call).explainQueue))
	handle("GET /v1/queues/{queue}/tasks/{id}", (*call).showTask)
	handle("GET /v1/runs/{run}/explain", told((*call).explainRun))
	handle("GET /v1/runs/{run}/tasks/{n}", (*call).showRunTask)
	handle("GET /v1/events", (*call).events)
	handle("GET /metrics", (*call).showMetrics)
	handle("POST /v1/backup", (*call).backup)
	handle("POST /v1/reload", told((*call).reload))
	handle("GET /livez", (*call).livez)
	handle("GET /readyz", (*call).readyz)
	handle("GET /openapi.yaml", (*call).openAPI)
	handle("GET /schema/{name}", (*call).schema)
	s.lost = handle("/", (*call).noRoute)
	for _, pattern := range dashboard.Patterns {
		s.mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			s.visitor(r)
			s.pages.ServeHTTP(rw, r.WithContext(lasting(r)))
		})
	}
}

// lasting is how long a request is worked on. net/http ends the context of one in HTTP/1, and of all
// that come behind it, when the client ends its side. That one may still read: such a request ends
// with its connection.
func lasting(r *http.Request) context.Context {
	if nc, ok := r.Context().Value(connKey{}).(*door.Conn); ok && r.ProtoMajor == 1 {
		return nc.Life()
	}
	return r.Context()
}

// let has h serve r if whoever sent it may do verb. It ends when the sender's token does.
func (s *Server) let(rw http.ResponseWriter, r *http.Request, verb rights.Verb, h handler) error {
	by := s.client(r)
	who, err := s.admit(r, verb, by)
	if err != nil {
		return err
	}
	store := door.NewStore(s.broker, who, by)
	// The verbs of the store look at whatever else a request names.
	lasts, asked := lasting(r), r.Context()
	if err := store.May(lasts, verb, nameIn(r)); err != nil {
		return err
	}
	ctx, end := who.Within(lasts)
	defer end()
	if verb != rights.VerbAsk {
		ctx = live.WithCaller(ctx, callerOf(r, by.From))
	}
	r = r.WithContext(ctx)
	if w, ok := rw.(*writer); ok {
		w.r = r
	}
	err = h(&call{s, store, asked}, rw, r)
	if errors.Is(err, errGone) {
		err = nil // whoever would read an answer is gone
	}
	if over := who.Over(); err != nil && over != nil {
		return over
	}
	return err
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.frame.Log.Error("panic in a request", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			refuse(rw, glassq.Errorf(glassq.CodeInternal, "internal error; the server's log says more"))
		}
	}()
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// It may have had a length too, which net/http takes away unsaid: what follows may be meant
		// as its body.
		rw.Header().Set("Connection", "close")
	}
	if r.ContentLength != 0 { // the body of a request that is refused unread is read past, before the answer
		http.NewResponseController(rw).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	maps.Copy(rw.Header(), s.header)
	if !s.requests.TryTake(1) {
		refuse(rw, glassq.Errorf(glassq.CodeUnavailable, "too many requests are under way (serve --max-requests); try again later"))
		return
	}
	defer s.requests.Give(1)
	if err := s.guard(r); err != nil {
		refuse(rw, err)
		return
	}
	to := http.Handler(s.mux)
	if !tidy(r) { // the mux would send the client to another path, with an answer that says nothing
		to = s.lost
	}
	to.ServeHTTP(&writer{rw, s, r}, r)
}

// tidy tells that the path of r has no part that is empty, or "." or "..".
func tidy(r *http.Request) bool {
	p := r.URL.EscapedPath()
	clean := path.Clean(p)
	return p == "" || p == clean || p == clean+"/"
}

// nameIn is the queue or the run that the address of r names, "" for none.
func nameIn(r *http.Request) string { return cmp.Or(r.PathValue("queue"), r.PathValue("run")) }

// admit decides who sent r, where verb needs that.
func (s *Server) admit(r *http.Request, verb rights.Verb, by door.Client) (door.Who, error) {
	if rights.Rules[verb].Needs == 0 {
		return door.Who{}, nil
	}
	if visitor, ok := s.visitor(r); ok {
		return visitor, nil
	}
	if !s.frame.Access.Locked() {
		return s.frame.Access.Guest(nil, 0), nil // over HTTP, guests of all machines have the same rights
	}
	who, err := s.known(r)
	if err != nil {
		by.Login(r.Context(), who, err)
	}
	return who, err
}

// client is how the actions of the one that sent r are audited.
func (s *Server) client(r *http.Request) door.Client {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = "local"
	}
	return door.Client{Frame: &s.frame, Door: "http", From: host}
}

// known is the client by the key that it sends or, without one, by its certificate. Wrong keys have
// to wait, see door.Strangers.
func (s *Server) known(r *http.Request) (door.Who, error) {
	nc, ok := r.Context().Value(connKey{}).(*door.Conn)
	header := r.Header.Get("Authorization")
	if header == "" {
		who, certified, err := s.frame.Access.WithCertificate(r.TLS)
		if !certified && err == nil {
			err = glassq.Errorf(glassq.CodeUnauthorized,
				"this server needs a key: send the header Authorization: Bearer <key>")
		}
		if err == nil && ok {
			s.frame.Strangers.Recognize(nc)
		}
		return who, err
	}
	scheme, key, _ := strings.Cut(header, " ")
	if key = strings.TrimSpace(key); key == "" || !strings.EqualFold(scheme, "Bearer") {
		return door.Who{}, glassq.Errorf(glassq.CodeUnauthorized,
			"this server takes keys as Authorization: Bearer <key>, not %.20q", scheme)
	}
	from, ctx := addrOf(r), r.Context()
	if ok { // who ends the request waits no less
		ctx = nc.Life()
	}
	if !ok || nc.Strange() { // a proxy's connection that has shown the key is not held up by its other clients
		s.frame.Strangers.Turn(ctx, from)
	}
	who, err := s.frame.Access.WithKey([]byte(key))
	if err != nil {
		s.frame.Strangers.Wrong(ctx, from, errKey)
		return door.Who{}, err
	}
	if ok && nc.Strange() {
		s.frame.Strangers.Recognize(nc)
	}
	return who, nil
}

var errKey = errors.New("http: wrong key")

// addrOf is where r came from.
func addrOf(r *http.Request) net.Addr {
	if nc, ok := r.Context().Value(connKey{}).(*door.Conn); ok {
		return nc.RemoteAddr()
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return &net.UnixAddr{Name: r.RemoteAddr}
	}
	return net.TCPAddrFromAddrPort(at)
}

// visitor is who reads by the session of the dashboard: a browser sends no key with a stream of
// events. Its connection is none of a stranger's.
func (s *Server) visitor(r *http.Request) (door.Who, bool) {
	if r.Header.Get("Authorization") != "" || !s.frame.Access.Locked() {
		return door.Who{}, false
	}
	who, ok := s.pages.Visitor(r)
	if nc, is := r.Context().Value(connKey{}).(*door.Conn); ok && is && nc.Strange() {
		s.frame.Strangers.Recognize(nc)
	}
	return who, ok && r.Method == http.MethodGet
}

// callerOf is who sent r: the name in its header Glassq-Worker, else the address from.
func callerOf(r *http.Request, from string) live.Caller {
	return live.Caller{Door: "http", Worker: cmp.Or(r.Header.Get("Glassq-Worker"), from), Version: r.UserAgent()}
}

// noRoute answers what no route takes: 405 where the path has other methods, else 404.
func (s *call) noRoute(rw http.ResponseWriter, r *http.Request) error {
	if !tidy(r) {
		return glassq.Errorf(glassq.CodeNotFound, "no such route: %.100s: a part of it is empty, . or ..", r.URL.Path)
	}
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
		glassq.Errorf(glassq.CodeBadRequest, "%s does not fit %.100s; allowed: %s", r.Method, r.URL.Path,
			strings.Join(allowed, ", ")))
	return nil
}

// Run serves ln until ctx is done, then drains: it takes no more connections, ends long polls, lets
// requests finish for up to 10 s, and cancels what is left. When it returns, ln and every
// connection are closed. Other Runs of the same Server drain with it.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHead,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		TLSConfig:         s.frame.TLS,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       s.withConn,
		ErrorLog:          slog.NewLogLogger(s.frame.Log.Handler(), slog.LevelDebug),
	}
	ln = s.frame.Listen(ln, full)
	if s.frame.TLS == nil {
		ln = &onlyHTTP{ln, s}
	}
	if s.other != nil && s.frame.TLS != nil {
		s.passManager(srv)
	}
	served := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if s.frame.TLS != nil {
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
	defer s.pages.Wait()
	grace, stop := context.WithTimeout(base, door.DrainFor)
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

type connKey struct{}

// withConn has requests know their connection, which is a stranger's where a key is needed.
func (s *Server) withConn(ctx context.Context, nc net.Conn) context.Context {
	switch c := nc.(type) {
	case *tls.Conn:
		nc = c.NetConn()
	case *firstLook:
		nc = c.Conn
	}
	c := nc.(*door.Conn)
	c.Live(context.WithValue(ctx, connKey{}, c))
	if s.frame.Access.Locked() {
		s.frame.Strangers.Enter(s.life, c)
	}
	return c.Life()
}

// passManager has srv hand over those connections that are not to be HTTP, which are strangers
// there then.
func (s *Server) passManager(srv *http.Server) {
	srv.TLSConfig = s.frame.TLS.Clone()
	srv.TLSConfig.NextProtos = []string{"h2", "http/1.1", door.ManagerProtocol}
	srv.Protocols = new(http.Protocols) // which are no longer the default once there is another one
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		door.ManagerProtocol: func(_ *http.Server, c *tls.Conn, _ http.Handler) {
			s.frame.Strangers.Recognize(c.NetConn().(*door.Conn))
			s.other(c)
		},
	}
}

// errDraining answers a long poll that the server's end has cut short.
var errDraining = glassq.Errorf(glassq.CodeClosed, "the server is stopping")

// longPoll returns a context that also ends when the server drains, and if the client is heeded when that
// ends its side. The caller must call done.
func (s *call) longPoll(ctx context.Context, heeded bool) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	free, heard := context.AfterFunc(s.life, cancel), func() bool { return true }
	if heeded {
		heard = context.AfterFunc(s.asked, cancel)
	}
	return ctx, func() {
		heard()
		free()
		cancel()
	}
}

// wait runs f, which may wait, under a longPoll. over tells that the client, if it is heeded, has ended
// its side meanwhile and may still read: it is answered as if the time had run out.
func (s *call) wait(ctx context.Context, heeded bool, f func(context.Context) error) (over bool, err error) {
	within, done := s.longPoll(ctx, heeded)
	defer done()
	err = f(within)
	return errors.Is(err, context.Canceled) && heeded && s.asked.Err() != nil && ctx.Err() == nil && !s.isDraining(), err
}

func (s *Server) isDraining() bool { return s.life.Err() != nil }
