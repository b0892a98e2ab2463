package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
	"github.com/glassq/glassq/worker"
	"github.com/valyala/fasthttp"
)

func newFetcher(t testing.TB, opt Options) *Fetcher {
	t.Helper()
	f, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// once does one task with a handler of its own and returns the result's o and the whole record.
func once(t testing.TB, opt Options, body string) (result.Record, string) {
	t.Helper()
	h := newFetcher(t, opt).newHandler()
	defer h.Close()
	return one(t, h, body)
}

func one(t testing.TB, h worker.Handler, body string) (result.Record, string) {
	t.Helper()
	var r worker.Reply
	l := glassq.Lease{Task: glassq.Task{Body: []byte(body), Type: glassq.TypeText}, Attempt: 1}
	if err := h.Handle(t.Context(), &l, &r); err != nil {
		t.Fatalf("Handle(%s) = %v", body, err)
	}
	var res result.Record
	if !json.Valid(r.Body) || !result.Parse(r.Body, &res) {
		t.Fatalf("Handle(%s): bad record %s", body, r.Body)
	}
	if want := result.OutcomeOf(r.Body, r.Type); !r.Judged || r.Outcome != want {
		t.Fatalf("Handle(%s): judged %v as %v, the record says %v: %s", body, r.Judged, r.Outcome, want, r.Body)
	}
	return res, string(r.Body)
}

// raw listens and gives every connection to serve, with the request's first bytes read.
func raw(t testing.TB, serve func(c net.Conn)) (addr string, conns *atomic.Int32) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer c.Close()
				b := make([]byte, 4096)
				n, _ := c.Read(b)
				serve(&seen{TCPConn: c.(*net.TCPConn), first: b[:n]})
			}()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String(), conns
}

// A seen is a connection whose first bytes were read.
type seen struct {
	*net.TCPConn
	first  []byte
	replay bool
}

// again makes the first bytes come once more.
func (c *seen) again() *seen {
	c.replay = true
	return c
}

func (c *seen) Read(p []byte) (int, error) {
	if c.replay && len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.TCPConn.Read(p)
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) { io.WriteString(c, text) }
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s host=%s ua=%q x=%q ct=%q len=%d body=%s", r.Method, r.RequestURI, r.Host,
		r.Header["User-Agent"], r.Header["X-A"], r.Header.Get("Content-Type"), r.ContentLength, b)
}

func TestEnginesAgree(t *testing.T) {
	var last atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		rec := httptest.NewRecorder()
		rec.Body = &b
		echo(rec, r)
		last.Store(b.String())
		w.Write(b.Bytes())
	}))
	defer srv.Close()
	host := srv.Listener.Addr().String()
	tests := []struct{ name, task, want string }{
		{"plain", srv.URL + "/?q=1", `GET /?q=1 host=HOST ua=["test"] x=[] ct="" len=0 body=`},
		{"no path", srv.URL, `GET / host=HOST ua=["test"] x=[] ct="" len=0 body=`},
		{"query only", srv.URL + "?a=b#frag", `GET /?a=b host=HOST ua=["test"] x=[] ct="" len=0 body=`},
		{"path as it is", srv.URL + "/a//b/../c%2Fd;e?x=%20",
			`GET /a//b/../c%2Fd;e?x=%20 host=HOST ua=["test"] x=[] ct="" len=0 body=`},
		{"json string", `"` + srv.URL + `/s"`, `GET /s host=HOST ua=["test"] x=[] ct="" len=0 body=`},
		{"object", `{"url":"` + srv.URL + `/o"}`, `GET /o host=HOST ua=["test"] x=[] ct="" len=0 body=`},
		{"header", `{"url":"` + srv.URL + `/h","header":{"X-A":"1","user-agent":"me"}}`,
			`GET /h host=HOST ua=["me"] x=["1"] ct="" len=0 body=`},
		{"post text", `{"url":"` + srv.URL + `/p","method":"POST","header":{"X-A":"1"},"body":"abcd"}`,
			`POST /p host=HOST ua=["test"] x=["1"] ct="" len=4 body=abcd`},
		{"post json", `{"url":"` + srv.URL + `/p","method":"PUT","body":{"a":1}}`,
			`PUT /p host=HOST ua=["test"] x=[] ct="application/json" len=7 body={"a":1}`},
		{"post nothing", `{"url":"` + srv.URL + `/p","method":"POST"}`,
			`POST /p host=HOST ua=["test"] x=[] ct="" len=0 body=`},
		{"lists of values", `{"method":"POST","url":"` + srv.URL + `/v","b64":"aGVsbG8=","header":{"X-A":["1","2"]}}`,
			`POST /v host=HOST ua=["test"] x=["1" "2"] ct="" len=5 body=hello`},
		{"delete", `{"method":"DELETE","url":"` + srv.URL + `/d","timeout":"5s"}`,
			`DELETE /d host=HOST ua=["test"] x=[] ct="" len=0 body=`},
		{"head", `{"method":"HEAD","url":"` + srv.URL + `/e","timeout":5}`,
			`HEAD /e host=HOST ua=["test"] x=[] ct="" len=0 body=`},
	}
	for _, engine := range []string{EngineFast, EngineStd} {
		h := newFetcher(t, Options{Engine: engine, UserAgent: "test"}).newHandler()
		for _, tt := range tests {
			t.Run(engine+"/"+tt.name, func(t *testing.T) {
				got, rec := one(t, h, tt.task)
				want := strings.Replace(tt.want, "HOST", host, 1)
				if !got.OK || last.Load() != want {
					t.Errorf("%s\nserver saw  %s\nwant        %s", rec, last.Load(), want)
				}
				if n := int64(len(want)); got.Bytes != n && !strings.HasPrefix(want, "HEAD") {
					t.Errorf("n = %d, want %d", got.Bytes, n)
				}
			})
		}
		h.Close()
	}
	got, rec := once(t, Options{}, `{"url":"`+srv.URL+`/","header":{"Host":"other.example"}}`)
	if !got.OK || !strings.Contains(fmt.Sprint(last.Load()), "host=other.example ua=[]") {
		t.Errorf("auto with a Host header: %s, server saw %s", rec, last.Load())
	}
}

func TestBadTasks(t *testing.T) {
	for _, body := range []string{"", "ftp://x/", "http://", "http:///x", "http://a b/", "http://x/\x01", `{`, `{}`,
		`{"url":5}`,
		`{"url":"http://x/","method":"A B"}`, `{"url":"http://x/","header":{"a b":"c"}}`,
		`{"url":"http://x/","header":{"a":"b\r\nc: d"}}`,
		`{"url":"http://x/","timeout":-1}`, `{"url":"http://x/","timeout":"soon"}`, `{"url":"http://x/","header":{"a":1}}`,
		"http://x/%zz"} {
		if got, rec := once(t, Options{}, body); got.OK || got.Class != result.ClassBadTask {
			t.Errorf("Handle(%q) = %s, want bad_task", body, rec)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	for _, engine := range []string{EngineFast, EngineStd} {
		for no, want := range map[bool]int32{false: 1, true: 5} {
			conns.Store(0)
			h := newFetcher(t, Options{Engine: engine, NoKeepAlive: no}).newHandler()
			for range 5 {
				if got, rec := one(t, h, srv.URL); !got.OK {
					t.Error(rec)
				}
			}
			h.Close()
			if conns.Load() != want {
				t.Errorf("%s, no keep-alive %v: %d connections, want %d", engine, no, conns.Load(), want)
			}
		}
	}
}

// More hosts than a handler keeps connections to, over and over.
func TestManyHosts(t *testing.T) {
	h := newFetcher(t, Options{Engine: EngineFast}).newHandler()
	defer h.Close()
	var urls []string
	for range maxHosts + 4 {
		srv := httptest.NewServer(http.HandlerFunc(echo))
		defer srv.Close()
		urls = append(urls, srv.URL)
	}
	for range 3 {
		for _, url := range urls {
			if got, rec := one(t, h, url); !got.OK {
				t.Error(rec)
			}
			if h.fast.watch.nc != h.fast.last.nc {
				t.Error("the connection in use is not the one that is watched")
			}
		}
	}
	if n := len(h.fast.conns); n > maxHosts {
		t.Errorf("%d connections kept, want at most %d", n, maxHosts)
	}
}

// A server that reads a request on a used connection and closes must not make it go out twice,
// whatever the method promises.
func TestNoHiddenResend(t *testing.T) {
	for _, engine := range []string{EngineFast, EngineStd} {
		for _, more := range []string{"", `,"method":"HEAD"`, `,"method":"OPTIONS"`, `,"method":"POST"`,
			`,"method":"POST","body":"a"`, `,"method":"DELETE"`,
			`,"method":"POST","header":{"Idempotency-Key":"1"}`, `,"method":"PROPFIND"`,
			`,"method":"PUT","header":{"X-Idempotency-Key":"1"},"body":"a"`} {
			var requests atomic.Int32
			addr, _ := raw(t, func(c net.Conn) {
				requests.Add(1)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				if n, _ := c.Read(make([]byte, 4096)); n > 0 { // the second request is read and never answered
					requests.Add(1)
				}
			})
			h := newFetcher(t, Options{Engine: engine}).newHandler()
			task := `{"url":"http://` + addr + `"` + more + `}`
			one(t, h, task)
			got, rec := one(t, h, task)
			h.Close()
			if got.Class != result.ClassEOF && got.Class != result.ClassReset && !got.OK || requests.Load() != 2 {
				t.Errorf("%s: %s with %d requests sent, want 2", engine, rec, requests.Load())
			}
			if got.OK && engine == EngineFast {
				t.Errorf("%s: %s, want that the connection was used again", engine, rec)
			}
		}
	}
}

// A connection that the server closed while it was idle is not used: nothing was sent, so this is
// no try.
func TestClosedWhileIdle(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		t.Skip("left out: a connection cannot be looked at here")
	}
	closed := make(chan struct{}, 2)
	addr, conns := raw(t, func(c net.Conn) {
		io.WriteString(c, ok5)
		c.Close()
		closed <- struct{}{}
	})
	h := newFetcher(t, Options{Engine: EngineFast}).newHandler()
	defer h.Close()
	h.fast.probeAfter = 0
	for range 2 {
		if got, rec := one(t, h, "http://"+addr); !got.OK || strings.Contains(rec, "tries") {
			t.Error(rec)
		}
		<-closed
	}
	if conns.Load() != 2 {
		t.Errorf("%d connections, want 2", conns.Load())
	}
}

func TestRetries(t *testing.T) {
	addr, conns := raw(t, func(net.Conn) {})
	got, rec := once(t, Options{Retries: 2, Backoff: time.Millisecond}, "http://"+addr)
	if got.Class != result.ClassEOF || conns.Load() != 3 {
		t.Errorf("%s after %d tries, want eof after 3", rec, conns.Load())
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		io.WriteString(w, r.Proto)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, opt := range []Options{
		{Engine: EngineFast, CAFile: ca}, {Engine: EngineStd, CAFile: ca}, {Engine: EngineFast,
			Insecure: true}, {HTTP2: true, CAFile: ca},
	} {
		want := int64(len("HTTP/1.1"))
		if got, rec := once(t, opt, srv.URL); !got.OK || got.Bytes != want {
			if !opt.HTTP2 || got.Bytes != int64(len("HTTP/2.0")) {
				t.Errorf("%+v: %s", opt, rec)
			}
		}
	}
}

func TestCancel(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(echo))
	defer srv.Close()
	for _, engine := range []string{EngineFast, EngineStd} {
		begun := make(chan struct{}, 1)
		addr, _ := raw(t, func(c net.Conn) { begun <- struct{}{}; io.Copy(io.Discard, c) })
		h := newFetcher(t, Options{Engine: engine}).newHandler()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		l := glassq.Lease{Task: glassq.Task{Body: []byte("http://" + addr)}}
		if err := h.Handle(ctx, &l, &worker.Reply{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Handle = %v, want context.Canceled", engine, err)
		}
		if got, rec := one(t, h, srv.URL); !got.OK { // with a new context all is well again
			t.Errorf("%s: after a cancelled task: %s", engine, rec)
		}
		h.Close()
	}
}

func TestOptions(t *testing.T) {
	for _, opt := range []Options{{Engine: "x"}, {Timeout: -1}, {CAFile: "/does/not/exist"}, {Proxy: "::"},
		{Engine: EngineFast, HTTP2: true}, {UserAgent: "a\r\nb"}} {
		if _, err := New(opt); err == nil {
			t.Errorf("New(%+v) = nil, want an error", opt)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("http://localhost:8888/?q=1"))
	f.Add([]byte(`{"url":"https://x/","method":"POST","header":{"A":["b"]},"body":"aGk=","timeout":"1s"}`))
	fetcher := newFetcher(f, Options{})
	f.Fuzz(func(t *testing.T, in []byte) {
		h := fetcher.newHandler()
		req, err := h.parse(in)
		if err != nil {
			return
		}
		for _, field := range req.header {
			if strings.ContainsAny(field.name+field.value, "\r\n") {
				t.Fatalf("parse(%q): header %q breaks the line", in, field)
			}
		}
		if bytes.ContainsAny(req.target, " \r\n") || strings.ContainsAny(req.method, " \r\n") || req.odd == "" &&
			!plainHost(req.host) {
			t.Fatalf("parse(%q) = %+v", in, req)
		}
	})
}

// benchServer answers like the built-in target.
func benchServer(b *testing.B) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") }}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ln) }()
	b.Cleanup(func() { srv.Shutdown(); <-done })
	return "http://" + ln.Addr().String() + "/?q=7"
}

func BenchmarkFast(b *testing.B) {
	url := benchServer(b)
	h := newFetcher(b, Options{Worker: "w"}).newHandler()
	l := glassq.Lease{Task: glassq.Task{Body: []byte(url), Type: glassq.TypeText}, Attempt: 1}
	var r worker.Reply
	b.ReportAllocs()
	for b.Loop() {
		r.Body = r.Body[:0]
		if err := h.Handle(b.Context(), &l, &r); err != nil {
			b.Fatal(err)
		}
	}
	h.Close()
}

func BenchmarkBareFasthttp(b *testing.B) {
	url := benchServer(b)
	c := &fasthttp.HostClient{Addr: strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/?q=7"),
		ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second}
	var req fasthttp.Request
	var resp fasthttp.Response
	b.ReportAllocs()
	for b.Loop() {
		req.SetRequestURI(url)
		if err := c.Do(&req, &resp); err != nil {
			b.Fatal(err)
		}
	}
	c.CloseIdleConnections()
}
