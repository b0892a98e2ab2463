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

	"github.com/glassq/glassq"
)

// newClient makes the std engine: net/http without its surprises.
func (f *Fetcher) newClient(proxy *url.URL) *http.Client {
	d := f.dialer
	d.Timeout = f.opt.ConnectTimeout
	t := &http.Transport{
		DialContext:         d.DialContext,
		TLSClientConfig:     f.tls.Clone(),
		TLSHandshakeTimeout: f.opt.ConnectTimeout,
		DisableKeepAlives:   f.opt.NoKeepAlive,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 10_000,
		IdleConnTimeout:     f.opt.IdleTimeout,
		ForceAttemptHTTP2:   f.opt.HTTP2,
	}
	if !f.opt.HTTP2 {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // no HTTP/2
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
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
	for _, h := range req.header {
		switch name := http.CanonicalHeaderKey(h.name); name {
		case "Host":
			hr.Host = h.value
		case "User-Agent":
			hr.Header[name] = []string{h.value}
		case "Connection":
			hr.Close = hr.Close || strings.EqualFold(h.value, "close")
			hr.Header.Add(name, h.value)
		default:
			hr.Header.Add(name, h.value)
		}
	}
	switch {
	case len(req.body) > 0:
		hr.Body = io.NopCloser(bytes.NewReader(req.body))
		hr.ContentLength = int64(len(req.body))
	case hr.Method == http.MethodGet || hr.Method == http.MethodHead || hr.Method == http.MethodOptions:
		hr.Body = noBody{}
	case hr.Method != http.MethodPost && hr.Method != http.MethodPut && hr.Method != http.MethodPatch && hr.Method != http.MethodDelete:
		hr.Close = true // on a connection of its own nothing is sent again
	}
	return hr, nil
}

// doStd sends req with net/http.
func (f *Fetcher) doStd(ctx context.Context, req *request, deadline time.Time) answer {
	parent := ctx
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	hr, err := f.newRequest(ctx, req)
	if err != nil {
		return answer{err: glassq.ErrClassBadTask, msg: err.Error()}
	}
	resp, err := f.client.Do(hr)
	if err != nil {
		return stdFailure(parent, err, !connected.Load())
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, f.opt.MaxBody+1))
	switch {
	case err != nil:
		return stdFailure(parent, err, false)
	case n > f.opt.MaxBody:
		return answer{err: glassq.ErrClassTooLarge, msg: errTooLarge.Error()}
	}
	return answer{code: resp.StatusCode, n: n}
}

func stdFailure(ctx context.Context, err error, connecting bool) answer {
	if ctx.Err() != nil {
		return answer{err: glassq.ErrClassCancelled, msg: ctx.Err().Error()}
	}
	var ne net.Error
	if connecting && errors.As(err, &ne) && ne.Timeout() {
		return answer{err: glassq.ErrClassConnectTimeout, msg: "no connection in time"}
	}
	return failure(bare(err), connecting)
}
