package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cert"
)

const (
	maxPoll      = 60 * time.Second // longest wait of one request; longer waits are several
	callTimeout  = 2 * time.Minute  // longest time for one request beyond its wait
	notifyEvery  = 10 * time.Second
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
	maxAnswer    = 2 << 30 // bytes of one answer
	partBytes    = 32 << 20
	longestPause = 1 << 30 // seconds that a server may ask for
)

// ErrUnreachable: no connection to the server, or it broke before the answer. Its code is
// unavailable, so errors.Is also matches a server that says so itself. When a call that changes
// something may have reached the server, the code of the error is outcome_unknown, and it wraps
// ErrUnreachable.
var ErrUnreachable = &glassq.Error{Code: glassq.CodeUnavailable, Message: "server unreachable"}

// Options tunes New. The zero value fits an open server on the same machine.
type Options struct {
	Key    string      // bearer key; "" sends none
	CAFile string      // PEM file of authorities to trust beside the system's; "" for none
	TLS    *tls.Config // nil is Go's default; CAFile is added to it

	// Worker is the name of this client in the server's lists of workers and in explanations, at
	// most 100 bytes of printable ASCII; "" means its address. Agent is the User-Agent, the name
	// and version of the program; "" is Go's own.
	Worker, Agent string

	// Transport sends the requests, for programs that add something to them or observe them; nil is
	// one of the client's own. A Transport has its own TLS configuration: CAFile and TLS are
	// refused beside it. When its error wraps a *net.OpError of a dial, nothing was sent. Close
	// leaves its connections open.
	Transport http.RoundTripper

	// Retry is how long a call waits for a server that cannot be reached or is stopping, counted
	// from its first failure: 0 fails at once, negative waits for ever.
	Retry time.Duration
	// Notify is told when such a wait begins or goes on, at most once per 10 s. It may be called
	// from several goroutines, never at the same time. nil tells nobody.
	Notify func(error)
}

// A Client is a server's store, seen from afar. It is safe for concurrent use.
type Client struct {
	base   string // scheme, host and path, without a slash at the end
	opt    Options
	http   *http.Client
	closed chan struct{}

	mu       sync.Mutex
	calls    map[*call]context.CancelFunc // guarded by mu; nil after Close
	notified time.Time                    // guarded by notifyMu
	notifyMu sync.Mutex
}

type call struct{ _ byte }

var _ glassq.Store = (*Client)(nil)

// New makes a client of the server at serverURL, like "http://127.0.0.1:5080". It does not connect.
func New(serverURL string, opt Options) (*Client, error) {
	u, err := url.Parse(serverURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "server address %.200q is not like http://host:port", serverURL)
	}
	if strings.ContainsAny(opt.Key, "\r\n\x00") {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "the key has a line break or a zero byte")
	}
	for _, s := range []string{opt.Worker, opt.Agent} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, glassq.Errorf(glassq.CodeBadRequest, "the worker's name %.60q is not printable ASCII", s)
		}
	}
	transport, err := newTransport(opt)
	if err != nil {
		return nil, err
	}
	return &Client{
		base: strings.TrimRight(u.String(), "/"),
		opt:  opt,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		closed: make(chan struct{}),
		calls:  make(map[*call]context.CancelFunc),
	}, nil
}

// newTransport is what sends the requests of a client with opt.
func newTransport(opt Options) (http.RoundTripper, error) {
	if opt.Transport != nil {
		if opt.TLS != nil || opt.CAFile != "" {
			return nil, glassq.Errorf(glassq.CodeBadRequest,
				"a transport brings its own TLS configuration; set TLS or CAFile, or Transport")
		}
		return opt.Transport, nil
	}
	config, err := cert.Trust(opt.TLS, opt.CAFile)
	if err != nil {
		return nil, glassq.Errorf(glassq.CodeBadRequest, "%w", err)
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment, // never used for loopback
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   1024,
		IdleConnTimeout:       90 * time.Second, // below the server's 120 s
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}, nil
}

// Close ends calls under way with code closed, and closes idle connections, those of an
// Options.Transport excepted. The server goes on.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		return nil
	}
	close(c.closed)
	for _, cancel := range c.calls {
		cancel()
	}
	c.calls = nil
	if c.opt.Transport == nil { // another one may serve others too
		c.http.CloseIdleConnections()
	}
	return nil
}

// A place is where a request goes to.
type place struct {
	path string // escaped, with the query
	err  error  // what is wrong with a name in it: nothing is sent then
}

// route is the place rest of one of a kind: queues, runs or schedules.
func route(kind, name, rest string) place {
	return place{"/v1/" + kind + "/" + url.PathEscape(name) + rest, glassq.CheckName(name)}
}

// with is p with a query, which may be empty.
func (p place) with(q url.Values) place {
	if len(q) > 0 {
		p.path += "?" + q.Encode()
	}
	return p
}

// A request is one HTTP request, which may be sent several times.
type request struct {
	method string
	place
	body   []byte
	ndjson bool          // content type of body; else JSON
	wait   time.Duration // how long the server is asked to wait
	undone bool          // what it does is taken back when nobody reads the answer
	twice  *bool         // do sets it when the answered attempt was not the first that may have been done
}

// begin notes a call, which Close ends through its context. The caller must call done.
func (c *Client) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	k := new(call)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		cancel()
		return nil, nil, glassq.ErrClosed
	}
	c.calls[k] = cancel
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.calls, k)
	}, nil
}

// do sends a request until it is answered or the time for retries is over. It returns the body of
// an answer with status 2xx, and what another one says as a *glassq.Error.
func (c *Client) do(ctx context.Context, req request) ([]byte, error) {
	if req.err != nil {
		return nil, req.err
	}
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var since time.Time
	var unsure bool // an attempt may have been done
	fail := func(err error) ([]byte, error) {
		if unsure && (ctx.Err() != nil || glassq.CodeOf(err) == glassq.CodeUnavailable) {
			err = unknown(err)
		}
		return nil, c.orClosed(ctx, err)
	}
	backoff := firstBackoff
	for {
		body, again, err := c.once(ctx, req)
		if err == nil {
			if req.twice != nil {
				*req.twice = unsure
			}
			return body, nil
		}
		if !again {
			return fail(err)
		}
		unsure = unsure || glassq.CodeOf(err) == glassq.CodeUnknown
		now := time.Now()
		if since.IsZero() {
			since = now
		}
		pause := backoff/2 + rand.N(backoff/2)
		if c.opt.Retry >= 0 && now.Add(pause).Sub(since) > c.opt.Retry {
			return fail(err)
		}
		c.notify(now, err)
		backoff = min(backoff*2, lastBackoff)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fail(ctx.Err())
		}
	}
}

// unknown says of a call that failed with err that it may be done or not.
func unknown(err error) error {
	if glassq.CodeOf(err) == glassq.CodeUnknown {
		return err
	}
	return glassq.Errorf(glassq.CodeUnknown, "the outcome is unknown: %w", err)
}

// orClosed says closed where Close has cancelled a call.
func (c *Client) orClosed(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		select {
		case <-c.closed:
			return glassq.ErrClosed
		default:
		}
	}
	return err
}

func (c *Client) notify(now time.Time, err error) {
	if c.opt.Notify == nil {
		return
	}
	c.notifyMu.Lock()
	defer c.notifyMu.Unlock()
	if now.Sub(c.notified) >= notifyEvery {
		c.notified = now
		c.opt.Notify(err)
	}
}

// once sends a request; again tells that repeating it may help.
func (c *Client) once(ctx context.Context, req request) (body []byte, again bool, err error) {
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, req.wait+callTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(limited, req.method, c.base+req.path, bytes.NewReader(req.body))
	if err != nil {
		return nil, false, glassq.Errorf(glassq.CodeBadRequest, "make request: %w", err)
	}
	if c.opt.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.opt.Key)
	}
	if c.opt.Worker != "" {
		r.Header.Set("Glassq-Worker", c.opt.Worker)
	}
	if c.opt.Agent != "" {
		r.Header.Set("User-Agent", c.opt.Agent)
	}
	switch {
	case req.ndjson:
		r.Header.Set("Content-Type", "application/x-ndjson")
	case req.body != nil:
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(r)
	if errors.Is(err, http.ErrSchemeMismatch) { // net/http has seen what it was
		err = tls.RecordHeaderError{Msg: err.Error()}
	}
	if err == nil {
		defer resp.Body.Close()
		body, err = readAnswer(resp)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		if req.method == http.MethodGet || req.undone || isDial(err) {
			return nil, false, ctx.Err()
		}
		return nil, false, unknown(ctx.Err())
	case err != nil && cert.Explain(err) != nil:
		return nil, false, glassq.Errorf(glassq.CodeUnavailable, "reach %s: %w", c.base, cert.Explain(unwrapURL(err)))
	case err != nil:
		err = glassq.Errorf(glassq.CodeUnavailable, "reach %s: %w", c.base, unwrapURL(err))
		if req.method != http.MethodGet && !isDial(err) {
			err = unknown(err)
		}
		return nil, true, err
	case resp.StatusCode/100 == 2:
		return body, false, nil
	}
	err = refusal(resp, body)
	switch {
	case cert.IsPlainOnTLS(resp.StatusCode, body):
		err = &cert.Error{Text: "the server speaks TLS on this port: write https:// instead of http://", Err: err}
		return nil, false, glassq.Errorf(glassq.CodeUnavailable, "reach %s: %w", c.base, err)
	case c.opt.Key == "" && glassq.CodeOf(err) == glassq.CodeUnauthorized:
		err = glassq.Errorf(glassq.CodeUnauthorized, "%w; none was sent: name the file that holds it with --key-file", err)
	}
	return nil, resp.StatusCode == http.StatusServiceUnavailable, err
}

func readAnswer(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > maxAnswer {
		return nil, fmt.Errorf("an answer of %d bytes", resp.ContentLength)
	}
	if n := resp.ContentLength; n >= 0 && n <= 64<<20 {
		body := make([]byte, n)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	return body, err
}

// isDial tells that there was no connection, so that nothing was sent.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// unwrapURL drops method and address, which the message says already.
func unwrapURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// A failure is the error member of an answer.
type failure struct {
	Code    glassq.Code `json:"code"`
	Message string      `json:"message"`
}

func (f failure) err() *glassq.Error {
	if f.Code == "" {
		return nil
	}
	return &glassq.Error{Code: f.Code, Message: f.Message}
}

// refusal reads an answer with an error status. One that is not ours comes from something between.
func refusal(resp *http.Response, body []byte) error {
	var a struct {
		Error failure `json:"error"`
	}
	if json.Unmarshal(body, &a) == nil && a.Error.Code != "" {
		err := a.Error.err()
		if s, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil && s > 0 {
			err.RetryAfter = time.Duration(min(s, longestPause)) * time.Second
		}
		return err
	}
	code := glassq.CodeInternal
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		code = glassq.CodeUnauthorized
	case http.StatusForbidden:
		code = glassq.CodeForbidden
	case http.StatusNotFound:
		code = glassq.CodeNotFound
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		code = glassq.CodeUnavailable
	}
	return glassq.Errorf(code, "the server answered %s; is it a glassq server?", resp.Status)
}

// call sends in as JSON, nothing when it is nil, and reads the JSON answer into v, unless that is nil.
func (c *Client) call(ctx context.Context, method string, to place, in, v any) error {
	req := request{method: method, place: to}
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return glassq.Errorf(glassq.CodeBadRequest, "print request: %w", err)
		}
		req.body = body
	}
	return c.read(ctx, req, v)
}

func (c *Client) read(ctx context.Context, req request, v any) error {
	body, err := c.do(ctx, req)
	if err != nil || v == nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return badAnswer(err)
	}
	return nil
}

func badAnswer(err error) error {
	return glassq.Errorf(glassq.CodeInternal, "read the server's answer: %w", err)
}
