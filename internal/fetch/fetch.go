// Package fetch is the built-in HTTP work: a task is a request, its result says how that went.
//
// Every task gets exactly one request per try and one result; nothing is sent twice behind the
// worker's back, no redirect is followed, nothing is decompressed, and no request takes longer than
// its timeout, however slowly the server drips. Failures have a class of glassq.ErrorClasses. The
// package has two engines: fast speaks plain HTTP/1.1 on connections of its own, one per host and
// handler; std is net/http, for everything else. It does not know queues; a [Fetcher] makes handlers
// for package worker.
package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/glassq/glassq/worker"
)

// Engines.
const (
	EngineAuto = "auto" // fast where it can, std for the rest
	EngineFast = "fast" // a task that fast cannot do is a bad_task
	EngineStd  = "std"
)

// Options tunes New. The zero value is ready for production.
type Options struct {
	Engine         string              // auto, fast or std; "" means auto
	Timeout        time.Duration       // most time for a whole request, connecting included; 0 means 30s
	ConnectTimeout time.Duration       // most time to connect, handshake included; 0 means 10s
	NoKeepAlive    bool                // a connection per request
	IdleTimeout    time.Duration       // a connection idle for longer is not used again; 0 means 4s, below the 5s of many servers
	Insecure       bool                // accept any certificate
	CAFile         string              // PEM file of further roots; "" means the system's only
	HTTP2          bool                // offer HTTP/2 on https; goes through std
	Proxy          string              // URL of a proxy; goes through std. The environment is not asked
	UserAgent      string              // "" sends none
	MaxBody        int64               // largest answer in bytes; 0 means 10 MiB
	Success        func(code int) bool // whether a status is success; nil means 200..399
	Retries        int                 // further tries after a failure to get an answer, idempotent or not
	Backoff        time.Duration       // before the first retry, doubled for each further one; 0 means 100ms
	Worker         string              // name in the results; "" leaves it out
}

// A Fetcher makes handlers that share its settings.
type Fetcher struct {
	opt    Options
	tls    *tls.Config
	client *http.Client // std, shared
	dialer net.Dialer
}

// New checks opt and reads its CA file.
func New(opt Options) (*Fetcher, error) {
	switch opt.Engine {
	case "":
		opt.Engine = EngineAuto
	case EngineAuto, EngineFast, EngineStd:
	default:
		return nil, fmt.Errorf("engine %q is not one of auto, fast, std", opt.Engine)
	}
	if opt.Timeout < 0 || opt.ConnectTimeout < 0 || opt.IdleTimeout < 0 || opt.Backoff < 0 || opt.MaxBody < 0 || opt.Retries < 0 {
		return nil, errors.New("timeouts, backoff, retries and body size are not negative")
	}
	orElse(&opt.Timeout, 30*time.Second)
	orElse(&opt.ConnectTimeout, 10*time.Second)
	orElse(&opt.IdleTimeout, 4*time.Second)
	orElse(&opt.Backoff, 100*time.Millisecond)
	orElse(&opt.MaxBody, 10<<20)
	if opt.Success == nil {
		opt.Success = func(code int) bool { return code >= 200 && code < 400 }
	}
	if !validValue(opt.UserAgent) {
		return nil, fmt.Errorf("user agent %q has control characters", opt.UserAgent)
	}
	if (opt.HTTP2 || opt.Proxy != "") && opt.Engine == EngineFast {
		return nil, errors.New("the fast engine speaks neither HTTP/2 nor to proxies")
	}
	f := &Fetcher{opt: opt, dialer: net.Dialer{KeepAlive: 30 * time.Second}}
	f.tls = &tls.Config{InsecureSkipVerify: opt.Insecure, ClientSessionCache: tls.NewLRUClientSessionCache(256)}
	if opt.CAFile != "" {
		pem, err := os.ReadFile(opt.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		f.tls.RootCAs, err = x509.SystemCertPool()
		if err != nil {
			f.tls.RootCAs = x509.NewCertPool()
		}
		if !f.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s has no certificate", opt.CAFile)
		}
	}
	var proxy *url.URL
	if opt.Proxy != "" {
		var err error
		if proxy, err = url.Parse(opt.Proxy); err != nil || proxy.Host == "" {
			return nil, fmt.Errorf("proxy %q is not a URL", opt.Proxy)
		}
	}
	f.client = f.newClient(proxy)
	return f, nil
}

func orElse[T int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Handler returns a new handler; i is not looked at. It has the signature that worker.Run wants.
func (f *Fetcher) Handler(i int) worker.Handler { return f.newHandler() }

// Close closes idle connections of the shared engine. Call it after the handlers are closed.
func (f *Fetcher) Close() error {
	f.client.CloseIdleConnections()
	return nil
}
