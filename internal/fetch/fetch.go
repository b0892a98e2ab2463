// Package fetch is the built-in HTTP work: a task is a request, its result says how that went.
//
// Every task has one result. Nothing is sent twice behind the worker's back: tries and redirects
// happen here, if the options allow them, and the result counts them. No try takes longer than its
// timeout, however slowly the server drips, and no answer more memory than its limit. Failures have
// a class of result.Classes. The package has two engines that agree on every answer: fast speaks
// plain HTTP/1.1 on connections of its own, one per host and handler; std is net/http, for
// everything else. It does not know queues; a [Fetcher] makes handlers for package worker.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/glassq/glassq/worker"
)

// Engines.
const (
	EngineAuto = "auto" // fast where it can, std for the rest
	EngineFast = "fast" // a task that fast cannot do is a bad_task
	EngineStd  = "std"
)

// Options tunes New. The zero value measures: one request per task, its answer taken as it is; see
// Profile.
type Options struct {
	Engine         string        // auto, fast or std; "" means auto
	Timeout        time.Duration // most time for a try, connecting and redirects included; 0 means 30s
	ConnectTimeout time.Duration // most time to connect, handshake included; 0 means 10s
	NoKeepAlive    bool          // a connection per request
	MaxAge         time.Duration // a connection that is older is not used again; 0 means however old, while it is in use
	UnixSocket     string        // path of a socket that all connections go to; "" means where URLs say
	IdleTimeout    time.Duration // a connection idle for longer is not used again; 0 means 4s, below the 5s of many servers
	HTTP2          bool          // offer HTTP/2 on https; goes through std
	Proxy          string        // URL of a proxy; goes through std. The environment is not asked
	ConnectTo      []string      // HOST:PORT:TOHOST:TOPORT, parts may be empty: where connections go instead
	UserAgent      string        // "" sends none
	MaxBody        int64         // largest answer in bytes, as it comes and decoded; 0 means 10 MiB

	Insecure   bool   // accept any certificate
	CAFile     string // PEM file of further roots; "" means the system's only
	CertFile   string // PEM file of a client certificate, with KeyFile; "" means none
	KeyFile    string
	ServerName string // what the certificate must say, and SNI asks for; "" means the URL's host

	Guard     bool     // no connections but to public addresses
	AllowCIDR []string // addresses and ranges that Guard lets pass
	DenyCIDR  []string // addresses and ranges that no connection is made to, with Guard or without
	AllowHost []string // names, and domains like *.example.com, that may be asked; nil means any

	Retries     int           // further tries after a failure to get an answer, or a status of RetryOn
	RetryOn     Codes         // statuses that are tried again; nil means none
	RetryUnsafe bool          // retry POST and the like also when the server may have acted on it
	Backoff     time.Duration // before the first retry, doubled for each further one; 0 means 100ms
	BackoffMax  time.Duration // most time before a retry; what asks for longer by Retry-After is the result; 0 means 60s
	PerHost     int           // most requests at once to one host; 0 means no limit
	PerHostRate float64       // most requests a second that begin to one host; 0 means no limit
	Redirects   int           // most redirects that are followed; 0 means that they are answers
	Cookies     bool          // keep cookies over the redirects of a task
	Decode      bool          // ask for gzip, deflate, br and zstd, and unpack them

	Rules       Rules        // what counts as success
	Phases      bool         // member ph in results
	Capture     string       // off, hash, text or file; "" means off
	CaptureDir  string       // folder for files
	CaptureText int          // bytes in the result; 0 means 8 KiB
	Worker      string       // name in the results; "" leaves it out
	Notify      func(string) // told once of each kind of trouble and choice; nil for nobody. It may be called by many at once
}

// A Fetcher makes handlers that share its settings.
type Fetcher struct {
	opt      Options
	tls      *tls.Config
	proxy    *url.URL
	stdMu    sync.Mutex                                                        // guards the next three
	std      *http.Transport                                                   // shared
	http1    *http.Transport                                                   // for servers that demand HTTP/1.1; nil without Options.HTTP2
	made     time.Time                                                         // when the transports were
	hosts    *hostTable                                                        // nil when nothing is kept of hosts
	oldHosts sync.Map                                                          // those servers, host:port as in URLs
	connect  func(ctx context.Context, network, addr string) (net.Conn, error) // looks at the guard
	guard    *guard
	detours  []detour
	capture  *capture
	wantBody bool     // something looks at every body
	said     sync.Map // texts told to Notify
}

// Profiles.
const (
	ProfileMeasure = "measure" // no retry, no redirect, no decoding, no guard
	ProfileFetch   = "fetch"
)

// Profile returns the options of a profile: measure changes nothing about a request, fetch wants
// the answer.
func Profile(name string) (Options, error) {
	switch name {
	case ProfileMeasure:
		return Options{}, nil
	case ProfileFetch:
		return Options{
			Retries: 3, Backoff: 500 * time.Millisecond, Redirects: 10, Cookies: true, Decode: true, Guard: true,
			RetryOn: Codes{{408, 408}, {429, 429}, {500, 500}, {502, 504}},
		}, nil
	}
	return Options{}, fmt.Errorf("profile %q is not one of measure, fetch", name)
}

// New checks opt, reads the files it names and makes the folder for bodies.
func New(opt Options) (*Fetcher, error) {
	proxy, err := opt.fillDefaults()
	if err != nil {
		return nil, err
	}
	f := &Fetcher{opt: opt, wantBody: opt.Rules.needBody()}
	if f.guard, err = newGuard(&opt); err != nil {
		return nil, err
	}
	if proxy != nil && f.guard.active() {
		return nil, errors.New("a proxy connects in the worker's place, so the guard and denied addresses cannot be kept: " +
			"let the proxy refuse them, and switch the guard off")
	}
	for _, text := range opt.ConnectTo {
		d, err := parseDetour(text)
		if err != nil {
			return nil, err
		}
		f.detours = append(f.detours, d)
	}
	f.connect = newDialer(f.guard).connect
	if f.tls, err = newTLS(&opt); err != nil {
		return nil, err
	}
	if f.capture, err = newCapture(&opt); err != nil {
		return nil, err
	}
	if opt.Retries > 0 || opt.PerHost > 0 || opt.PerHostRate > 0 {
		f.hosts = &hostTable{byID: map[string]*host{}}
	}
	f.wantBody = f.wantBody || f.capture.mode != CaptureOff
	f.proxy = proxy
	f.newTransports()
	return f, nil
}

// fillDefaults checks what stands for itself and fills in defaults.
func (o *Options) fillDefaults() (proxy *url.URL, err error) {
	switch o.Engine {
	case "":
		o.Engine = EngineAuto
	case EngineAuto, EngineFast, EngineStd:
	default:
		return nil, fmt.Errorf("engine %q is not one of auto, fast, std", o.Engine)
	}
	if o.MaxAge < 0 || o.Timeout < 0 || o.ConnectTimeout < 0 || o.IdleTimeout < 0 || o.Backoff < 0 || o.BackoffMax < 0 {
		return nil, errors.New("--timeout, --connect-timeout, --max-connection-age, --backoff and --backoff-max are not negative")
	}
	if o.PerHost < 0 || !(o.PerHostRate >= 0) {
		return nil, errors.New("--per-host and --per-host-rate are not negative")
	}
	if o.MaxBody < 0 || o.CaptureText < 0 || o.Retries < 0 || o.Redirects < 0 {
		return nil, errors.New("--retries, --redirects, --max-answer and --save-text are not negative")
	}
	orElse(&o.Timeout, 30*time.Second)
	orElse(&o.ConnectTimeout, 10*time.Second)
	orElse(&o.IdleTimeout, 4*time.Second)
	orElse(&o.Backoff, 100*time.Millisecond)
	orElse(&o.BackoffMax, time.Minute)
	orElse(&o.MaxBody, 10<<20)
	if err := o.Rules.check(); err != nil {
		return nil, err
	}
	if !validValue(o.UserAgent) {
		return nil, fmt.Errorf("user agent %q has control characters", o.UserAgent)
	}
	if (o.HTTP2 || o.Proxy != "") && o.Engine == EngineFast {
		return nil, errors.New("the fast engine speaks neither HTTP/2 nor to proxies; leave out --engine")
	}
	if o.Proxy == "" {
		return nil, nil
	}
	if o.UnixSocket != "" {
		return nil, errors.New("a proxy and a socket at once: connections can go to one of them only")
	}
	if proxy, err = url.Parse(o.Proxy); err != nil || proxy.Host == "" {
		return nil, errors.New("the proxy is not a URL like http://proxy.example:3128")
	}
	switch proxy.Scheme {
	case "http", "https", "socks5", "socks5h":
		return proxy, nil
	}
	return nil, fmt.Errorf("proxy scheme %q is not one of http, https, socks5, socks5h", proxy.Scheme)
}

func orElse[T int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Plan says which engine does what.
func (f *Fetcher) Plan() string {
	switch {
	case f.opt.Engine != EngineAuto:
		return f.opt.Engine
	case f.opt.Proxy != "":
		return EngineStd + ", for the proxy"
	case f.opt.HTTP2:
		return EngineFast + ", std for https"
	}
	return EngineFast + ", std for what that cannot do"
}

// once tells Notify text, the first time only.
func (f *Fetcher) once(text string) {
	if f.opt.Notify == nil {
		return
	}
	if _, said := f.said.Load(text); said {
		return
	}
	if _, said := f.said.LoadOrStore(text, true); !said {
		f.opt.Notify(text)
	}
}

// Handler returns a new handler; i is not looked at. It has the signature that worker.Run wants.
func (f *Fetcher) Handler(i int) worker.Handler { return f.newHandler() }

// Close closes idle connections of the shared engine. Call it after the handlers are closed.
func (f *Fetcher) Close() error {
	f.stdMu.Lock()
	defer f.stdMu.Unlock()
	f.closeIdle()
	return nil
}
