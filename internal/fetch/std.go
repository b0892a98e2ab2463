package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq/result"
)

// newTransports replaces the transports. f.stdMu is held, or nobody else has f yet.
func (f *Fetcher) newTransports() {
	f.std, f.made = f.newTransport(f.proxy, f.opt.HTTP2), time.Now()
	if f.opt.HTTP2 {
		f.http1 = f.newTransport(f.proxy, false)
	}
}

// closeIdle closes what is not in use; the rest is closed once it has been idle for a while.
// f.stdMu is held.
func (f *Fetcher) closeIdle() {
	f.std.CloseIdleConnections()
	if f.http1 != nil {
		f.http1.CloseIdleConnections()
	}
}

// transport is that for the host:port of a URL. The connections of one are as old as it is at most,
// so it is replaced when they are too old: net/http does not tell the age of a connection before it
// has taken it.
func (f *Fetcher) transport(host string) *http.Transport {
	f.stdMu.Lock()
	defer f.stdMu.Unlock()
	if f.opt.MaxAge > 0 && time.Since(f.made) > f.opt.MaxAge {
		f.closeIdle()
		f.newTransports()
	}
	if f.http1 != nil {
		if _, demanded := f.oldHosts.Load(host); demanded {
			return f.http1
		}
	}
	return f.std
}

// newTransport makes the std engine: net/http without its surprises. There is no http.Client around
// it: that would look at redirects.
func (f *Fetcher) newTransport(proxy *url.URL, http2 bool) *http.Transport {
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, f.opt.ConnectTimeout)
			defer cancel()
			return f.dial(ctx, network, addr)
		},
		TLSClientConfig:        f.tls.Clone(),
		TLSHandshakeTimeout:    f.opt.ConnectTimeout,
		DisableKeepAlives:      f.opt.NoKeepAlive,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    10_000,
		IdleConnTimeout:        f.opt.IdleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		ForceAttemptHTTP2:      http2,
	}
	if !http2 {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // no HTTP/2
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return t
}

// noBody is an empty body that net/http does not know to be empty: a request with one, and without
// GetBody, is never sent again on another connection.
type noBody struct{}

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }
func (noBody) Close() error             { return nil }

func (f *Fetcher) newRequest(ctx context.Context, req *request) (*http.Request, error) {
	hr, err := http.NewRequestWithContext(ctx, req.method, string(req.url), nil)
	if err != nil {
		return nil, bare(err)
	}
	hr.Header["User-Agent"] = []string{f.opt.UserAgent} // "" sends none
	if f.opt.Decode {
		hr.Header["Accept-Encoding"] = []string{acceptEncoding}
	}
	own := false // an Accept-Encoding of the task's
	for _, h := range req.header {
		switch name := http.CanonicalHeaderKey(h.name); name {
		case "Host":
			hr.Host = h.value
		case "User-Agent":
			hr.Header[name] = []string{h.value}
		case "Accept-Encoding":
			if !own {
				hr.Header.Del(name)
				own = true
			}
			hr.Header.Add(name, h.value)
		case "Connection":
			hr.Close = hr.Close || strings.EqualFold(h.value, "close")
			hr.Header.Add(name, h.value)
		case "Authorization", "Expect", "Transfer-Encoding", "Trailer", "Upgrade", "Te", "Idempotency-Key", "X-Idempotency-Key":
			hr.Header.Add(name, h.value) // net/http looks for these
		default:
			hr.Header[h.name] = append(hr.Header[h.name], h.value) // a name is sent as it was given
		}
	}
	if u := hr.URL.User; u != nil && hr.Header["Authorization"] == nil {
		password, _ := u.Password()
		hr.SetBasicAuth(u.Username(), password)
	}
	switch {
	case len(req.body) > 0:
		hr.Body = io.NopCloser(bytes.NewReader(req.body))
		hr.ContentLength = int64(len(req.body))
	case lacksBody(hr.Method):
		hr.Body = noBody{}
	case replayable(hr):
		hr.Close = true // on a connection of its own nothing is sent again
	case hr.Method != http.MethodPost && hr.Method != http.MethodPut && hr.Method != http.MethodPatch:
		hr.Close = true
	}
	return hr, nil
}

// lacksBody reports whether net/http takes noBody for no body with method. With others it would
// send it in chunks.
func lacksBody(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete, "PROPFIND", "SEARCH":
		return true
	}
	return false
}

// replayable reports whether the request says that it may be sent twice, which net/http takes at
// its word.
func replayable(r *http.Request) bool {
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

// doStd sends req with net/http.
func (h *handler) doStd(t *turn, req *request) answer {
	f := h.f
	ctx, cancel := context.WithDeadline(t.ctx, t.deadline)
	defer cancel()
	var connected atomic.Bool
	var sends atomic.Int32
	if t.watch != nil {
		ctx = t.watch.trace(ctx)
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { connected.Store(true) },
		WroteHeaders: func() { sends.Add(1) },
	})
	a := answer{}
	resp, err := f.roundTrip(ctx, req)
	if _, bad := errors.AsType[*requestError](err); bad {
		return answer{final: true, err: result.ClassBadTask, msg: err.Error()}
	}
	if err == nil {
		a.code = resp.StatusCode
		f.note(&a, resp.Header.Values)
		err = h.readStd(resp, &a)
		resp.Body.Close() // what it says is known, or does not matter any more
	}
	if err != nil {
		a = stdFailure(t.ctx, err, !connected.Load())
	} else if t.watch != nil {
		t.watch.last()
	}
	a.sends = int(sends.Load())
	return a
}

// A requestError is of a request that cannot be made.
type requestError struct{ error }

// roundTrip sends req, and again for as long as an HTTP/2 server says that it has not looked at it:
// the connection was about to end, or had too many requests. That is safe for every method. The
// first time it goes at once, then with longer and longer pauses, so that whoever is overloaded is
// not hit harder. A server that demands HTTP/1.1 is spoken to in that from then on.
func (f *Fetcher) roundTrip(ctx context.Context, req *request) (*http.Response, error) {
	wait := time.Duration(0)
	for try := 1; ; try++ {
		hr, err := f.newRequest(ctx, req)
		if err != nil {
			return nil, &requestError{err}
		}
		resp, err := f.transport(hr.URL.Host).RoundTrip(hr)
		switch {
		case err == nil || !unprocessed(err) || try == maxUnprocessed:
			return resp, err
		case strings.Contains(err.Error(), demandsHTTP1):
			f.oldHosts.Store(hr.URL.Host, true)
			continue
		}
		if pause(ctx, wait) != nil {
			return nil, err // which says more than that the time is over
		}
		wait = min(max(2*wait, 10*time.Millisecond), time.Second)
	}
}

// maxUnprocessed is how often a request goes to an HTTP/2 server that does not process it: for two
// to three seconds.
const maxUnprocessed = 10

const demandsHTTP1 = "HTTP_1_1_REQUIRED"

// unprocessed reports whether an HTTP/2 server said that it did nothing with a request: a GOAWAY
// that excludes it, REFUSED_STREAM (RFC 9113, 8.7), or the demand for HTTP/1.1; or that there was
// no connection to send it on any more, which net/http tells of as a body that it cannot rewind.
// err is RoundTrip's, so no answer had begun. net/http has no types for these errors.
func unprocessed(err error) bool {
	text := err.Error()
	for _, sign := range []string{"graceful shutdown GOAWAY", "received GOAWAY from server", "cannot rewind body",
		"; REFUSED_STREAM", "; " + demandsHTTP1} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

func (h *handler) readStd(resp *http.Response, a *answer) (err error) {
	if a.code == http.StatusSwitchingProtocols {
		return nil // what follows is no answer
	}
	if resp.ContentLength > h.f.opt.MaxBody && resp.Request.Method != http.MethodHead {
		return errTooLarge
	}
	a.n, a.body, err = h.f.readBody(resp.Body, &h.buf, a.encoding)
	return err
}

func stdFailure(ctx context.Context, err error, connecting bool) answer {
	if ctx.Err() != nil {
		return answer{err: result.ClassCancelled, msg: ctx.Err().Error()}
	}
	if connecting && isTimeout(err) {
		return answer{err: result.ClassConnectTimeout, msg: "no connection in time", unsent: true}
	}
	a := failure(bare(err), connecting)
	a.unsent = connecting || a.err == result.ClassRefused // by HTTP/2: not processed
	return a
}
