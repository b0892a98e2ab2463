package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/glassq/glassq/result"
)

// newTransport makes the std engine: net/http without its surprises. There is no http.Client around it:
// that would look at redirects.
func (f *Fetcher) newTransport(proxy *url.URL) *http.Transport {
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
		ForceAttemptHTTP2:      f.opt.HTTP2,
	}
	if !f.opt.HTTP2 {
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
		default:
			hr.Header.Add(name, h.value)
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
	case hr.Method == http.MethodGet || hr.Method == http.MethodHead || hr.Method == http.MethodOptions:
		hr.Body = noBody{}
	case replayable(hr):
		hr.Close = true // on a connection of its own nothing is sent again
	case hr.Method != http.MethodPost && hr.Method != http.MethodPut && hr.Method != http.MethodPatch && hr.Method != http.MethodDelete:
		hr.Close = true
	}
	return hr, nil
}

// replayable reports whether the request says that it may be sent twice, which net/http takes at its word.
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
	hr, err := f.newRequest(ctx, req)
	if err != nil {
		return answer{final: true, err: result.ClassBadTask, msg: err.Error()}
	}
	a := answer{}
	resp, err := f.std.RoundTrip(hr)
	if err == nil {
		a.code = resp.StatusCode
		f.note(&a, resp.Header.Get)
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
	return failure(bare(err), connecting)
}
