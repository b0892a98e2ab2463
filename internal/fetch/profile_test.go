package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
	"github.com/glassq/glassq/worker"
)

var engines = []string{EngineFast, EngineStd}

func TestBackoff(t *testing.T) {
	for _, tt := range []struct {
		try  int
		r    float64
		want time.Duration
	}{{1, 0, time.Second}, {2, 0, 2 * time.Second}, {4, 0, 8 * time.Second}, {5, 0, 10 * time.Second},
		{1000, 0, 10 * time.Second}, {1, 1, time.Second / 2}, {3, 0.5, 3 * time.Second}} {
		if got := backoff(time.Second, 10*time.Second, tt.try, tt.r); got != tt.want {
			t.Errorf("backoff(1s, 10s, %d, %v) = %v, want %v", tt.try, tt.r, got, tt.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"", 0, false}, {"0", 0, true}, {" 120 ", 2 * time.Minute, true}, {"-1", 0, false}, {"soon", 0, false}, {"1.5", 0,
			false},
		{"99999999999999", 1 << 32 * time.Second, true}, {"Fri, 02 Jan 2026 03:04:35 GMT", 30 * time.Second,
			true}, {"Fri, 02 Jan 2026 03:00:00 GMT", 0, true},
	} {
		if got, ok := retryAfter(tt.text, now); got != tt.want || ok != tt.ok {
			t.Errorf("retryAfter(%q) = %v, %v; want %v, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

// What is tried again, and what is not.
func TestAgain(t *testing.T) {
	fetcher := newFetcher(t, Options{Retries: 2, RetryOn: Codes{{429, 429}, {500, 504}}, Backoff: time.Second,
		BackoffMax: time.Minute})
	unsafe := newFetcher(t, Options{Retries: 2, RetryOn: Codes{{500, 504}}, RetryUnsafe: true, Backoff: time.Second})
	for _, tt := range []struct {
		name   string
		f      *Fetcher
		method string
		a      answer
		try    int
		again  bool
		least  time.Duration
	}{
		{"answer", fetcher, "", answer{code: 200}, 1, false, 0},
		{"not found", fetcher, "", answer{code: 404}, 1, false, 0},
		{"busy", fetcher, "", answer{code: 503}, 1, true, time.Second / 2},
		{"the last try", fetcher, "", answer{code: 503}, 3, false, 0},
		{"asked to wait", fetcher, "", answer{code: 503, after: "20"}, 1, true, 20 * time.Second},
		{"asked to wait long", fetcher, "", answer{code: 503, after: "61"}, 1, false, 0},
		{"no answer", fetcher, "GET", answer{err: result.ClassReset}, 2, true, time.Second},
		{"blocked", fetcher, "", failure(&blockedError{what: "x"}, true), 1, false, 0},
		{"too large", fetcher, "", failure(errTooLarge, false), 1, false, 0},
		{"no such name", fetcher, "", failure(&net.DNSError{IsNotFound: true}, true), 1, false, 0},
		{"no name server", fetcher, "", failure(&net.DNSError{IsTimeout: true}, true), 1, true, 0},
		{"expired", fetcher, "", failure(&handshakeError{&tls.CertificateVerificationError{Err: io.EOF}}, true), 1, false, 0},
		{"post, cut", fetcher, "POST", answer{err: result.ClassReset}, 1, false, 0},
		{"post, not connected", fetcher, "POST", answer{err: result.ClassRefused, unsent: true}, 1, true, 0},
		{"post, slow down", fetcher, "POST", answer{code: 429}, 1, true, 0},
		{"post, error", fetcher, "POST", answer{code: 500}, 1, false, 0},
		{"post, error, allowed", unsafe, "POST", answer{code: 500}, 1, true, 0},
	} {
		wait, again := tt.f.again(&request{method: tt.method}, &tt.a, tt.try, time.Now())
		if again != tt.again || wait < tt.least {
			t.Errorf("%s: again = %v, %v; want %v after at least %v", tt.name, wait, again, tt.again, tt.least)
		}
	}
}

// A task whose host asks for pauses goes back for as long, uncounted, and so do others for that
// host.
func TestRetryAfterGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt, _ := Profile(ProfileFetch)
		opt.Guard, opt.Engine, opt.Retries = false, EngineFast, 1
		f := newFetcher(t, opt)
		answers := []string{
			"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			"HTTP/1.1 429 Slow\r\nRetry-After: 11\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ok5,
		}
		dials := 0
		f.connect = func(context.Context, string, string) (net.Conn, error) {
			dials++
			return newScripted([]byte(answers[dials-1])), nil
		}
		h := f.newHandler()
		defer h.Close()
		began := time.Now()
		handle := func(url string) (time.Duration, string) {
			l := glassq.Lease{Task: glassq.Task{Body: []byte(url)}, Late: time.Second}
			var r worker.Reply
			err := h.Handle(t.Context(), &l, &r)
			nack, ok := errors.AsType[*worker.NackError](err)
			if err != nil && (!ok || !nack.Undone || nack.Delay <= 0) {
				t.Fatalf("Handle = %v, want undone with a delay", err)
			}
			if err != nil {
				return nack.Delay, ""
			}
			return 0, string(r.Body)
		}
		for _, want := range []time.Duration{7 * time.Second, 11 * time.Second} {
			if got, rec := handle("http://x/"); got != want {
				t.Fatalf("given back for %v, want %v: %s", got, want, rec)
			}
			time.Sleep(want / 2)
			before := dials
			if got, rec := handle("http://X/else"); got != want-want/2 || dials != before {
				t.Errorf("another task of the host: given back for %v, want %v, and nothing sent: %s", got, want-want/2, rec)
			}
			time.Sleep(want - want/2)
		}
		wait, rec := handle("http://x/")
		var got result.Record
		result.Parse([]byte(rec), &got)
		if wait != 0 || !got.OK || time.Since(began) != 18*time.Second || strings.Contains(rec, "tries") {
			t.Errorf("after the pauses: %v %s; want ok in one try", wait, rec)
		}
	})
}

// A pause that a host asks for holds its key for all workers, and a task that has it goes back to its
// place; one with another key, or none, waits by itself.
func TestPauseHoldsKey(t *testing.T) {
	for _, tt := range []struct {
		key, url    string
		hold, delay time.Duration
	}{
		{"x", "http://x/", 30 * time.Second, 0},
		{"x:8080", "http://X:8080/", 30 * time.Second, 0},
		{"tenant", "http://x/", 0, 30 * time.Second},
		{"", "http://x/", 0, 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFetcher(t, Options{Engine: EngineFast, Retries: 1, RetryOn: Codes{{429, 429}}})
			f.connect = func(context.Context, string, string) (net.Conn, error) {
				return newScripted([]byte("HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")), nil
			}
			h := f.newHandler()
			defer h.Close()
			l := glassq.Lease{Task: glassq.Task{Body: []byte(tt.url), Key: tt.key}}
			for _, what := range []string{"the first task", "one that was here already"} {
				err := h.Handle(t.Context(), &l, &worker.Reply{})
				nack, ok := errors.AsType[*worker.NackError](err)
				if !ok || nack.Hold != tt.hold || nack.Delay != tt.delay || !nack.Undone {
					t.Errorf("key %q, %s: %+v; want hold %v, delay %v", tt.key, what, err, tt.hold, tt.delay)
				}
			}
		})
	}
}

// A host that does nothing but ask for pauses is given up in the end.
func TestPausesWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFetcher(t, Options{Engine: EngineFast, Retries: 1, RetryOn: Codes{{429, 429}}})
		f.connect = func(context.Context, string, string) (net.Conn, error) {
			return newScripted([]byte("HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")), nil
		}
		h := f.newHandler()
		defer h.Close()
		l := glassq.Lease{Task: glassq.Task{Body: []byte("http://x/")}}
		for range 100 {
			var r worker.Reply
			err := h.Handle(t.Context(), &l, &r)
			if err == nil {
				return
			}
			nack, _ := errors.AsType[*worker.NackError](err)
			time.Sleep(nack.Delay)
		}
		t.Error("100 pauses, and no result")
	})
}

// No more requests at once, and no more a second, go to a host than it may have; none of its places
// stays empty.
func TestPerHost(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  Options
		took time.Duration // at least, for 40 requests of 100 ms
	}{
		{"at once", Options{PerHost: 2}, 2 * time.Second},
		{"a second", Options{PerHostRate: 20}, 39 * 50 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			tt.opt.Engine = EngineFast
			f := newFetcher(t, tt.opt)
			var busy, most int
			var mu sync.Mutex
			f.connect = func(context.Context, string, string) (net.Conn, error) {
				mu.Lock()
				busy++
				most = max(most, busy)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				busy--
				mu.Unlock()
				return newScripted([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")), nil
			}
			began := time.Now()
			var wg sync.WaitGroup
			for range 40 {
				wg.Go(func() {
					h := f.newHandler()
					defer h.Close()
					l := glassq.Lease{Task: glassq.Task{Body: []byte("http://x/")}}
					for {
						err := h.Handle(t.Context(), &l, &worker.Reply{})
						if err == nil {
							return
						}
						nack, ok := errors.AsType[*worker.NackError](err)
						if !ok || !nack.Undone {
							t.Error(err)
							return
						}
						time.Sleep(nack.Delay)
					}
				})
			}
			wg.Wait()
			if took := time.Since(began); tt.opt.PerHost > 0 && most > tt.opt.PerHost || took < tt.took || took > 2*tt.took {
				t.Errorf("%s: %d at once, took %v; want %v to twice that", tt.name, most, took, tt.took)
			}
		})
	}
}

// The profiles, on a server that is busy, sends elsewhere, and packs.
func TestProfiles(t *testing.T) {
	if _, err := Profile("x"); err == nil {
		t.Error("Profile(x) = nil, want an error")
	}
	for _, engine := range engines {
		var n atomic.Int32
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch n.Add(1) {
			case 1:
				w.WriteHeader(503)
			case 2:
				http.Redirect(w, r, "/there", http.StatusFound)
			default:
				w.Header().Set("Content-Encoding", "gzip")
				io.WriteString(w, gz(r.URL.Path+" "+r.Header.Get("Accept-Encoding")))
			}
		}))
		defer srv.Close()
		opt, _ := Profile(ProfileFetch)
		opt.Engine, opt.Backoff, opt.AllowCIDR, opt.Capture = engine, time.Millisecond, []string{"127.0.0.1"}, CaptureText
		got, rec := once(t, opt, srv.URL)
		for _, want := range []string{`"tries":2`, `"hops":1`, `"url":"` + srv.URL + `/there"`,
			`"body":"/there gzip, deflate, br, zstd"`, `"size":30`} {
			if !got.OK || !strings.Contains(rec, want) {
				t.Errorf("%s: fetch: %s, want %s", engine, rec, want)
			}
		}
		n.Store(0)
		opt, _ = Profile(ProfileMeasure)
		opt.Engine = engine
		if got, rec := once(t, opt, srv.URL); got.Code != 503 || n.Load() != 1 || strings.Contains(rec, "tries") {
			t.Errorf("%s: measure: %s after %d requests, want 503 after one", engine, rec, n.Load())
		}
	}
}

// What a redirect does to method, body and headers.
func TestRedirects(t *testing.T) {
	var other string
	var seen []string
	handle := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, fmt.Sprintf("%s %s body=%s type=%s auth=%s x=%s", r.Method, r.URL.Path, body,
			r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.Header.Get("X-A")))
		var code int
		var to string
		if n, _ := fmt.Sscanf(r.URL.Path, "/%d/%s", &code, &to); n == 2 {
			if to == "other" {
				to = other
			}
			w.Header().Set("Location", to)
			w.WriteHeader(code)
		}
	}
	srv := httptest.NewServer(http.HandlerFunc(handle))
	defer srv.Close()
	srv2 := httptest.NewServer(http.HandlerFunc(handle))
	defer srv2.Close()
	other = srv2.URL + "/o"
	const typed = " type=application/json"
	for _, tt := range []struct{ name, method, path, want string }{
		{"301 of a post", "POST", "/301/x", "GET /301/x body= type= auth=s x=1"},
		{"302 of a put", "PUT", "/302/x", "PUT /302/x body={}" + typed + " auth=s x=1"},
		{"303 of a put", "PUT", "/303/x", "GET /303/x body= type= auth=s x=1"},
		{"303 of a head", "HEAD", "/303/x", "HEAD /303/x body= type= auth=s x=1"},
		{"307 of a post", "POST", "/307/x", "POST /307/x body={}" + typed + " auth=s x=1"},
		{"308 of a patch", "PATCH", "/308/x", "PATCH /308/x body={}" + typed + " auth=s x=1"},
		{"307 to another host", "POST", "/307/other", "POST /o body={}" + typed + " auth= x=1"},
		{"303 to another host", "POST", "/303/other", "GET /o body= type= auth= x=1"},
	} {
		for _, engine := range engines {
			seen = nil
			body := `,"body":{}`
			if tt.method == "HEAD" {
				body = ""
			}
			task := `{"url":"` + srv.URL + tt.path + `","method":"` + tt.method +
				`","header":{"Authorization":"s","X-A":"1"}` + body + `}`
			// "x" leads to /301/x again and so on, so one hop is followed and the second ends it.
			got, rec := once(t, Options{Engine: engine, Redirects: 1}, task)
			if len(seen) != 2 || seen[1] != tt.want || got.Code == 0 {
				t.Errorf("%s, %s: %s, the server saw %q, want %q", tt.name, engine, rec, seen, tt.want)
			}
		}
	}
}

func TestRules(t *testing.T) {
	hello := sha256.Sum256([]byte("hello"))
	codes := func(text string) Codes {
		c, err := ParseCodes(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, tt := range []struct {
		name string
		r    Rules
		code int
		rt   time.Duration
		want string
	}{
		{"nothing", Rules{}, 200, 0, ""},
		{"399", Rules{}, 399, 0, ""},
		{"400", Rules{}, 400, 0, result.ClassStatus},
		{"listed", Rules{Codes: codes("404, 5xx")}, 503, 0, ""},
		{"not listed", Rules{Codes: codes("404,500-502")}, 200, 0, result.ClassStatus},
		{"all of it", Rules{Contains: []string{"he", "lo"}, Match: regexp.MustCompile("^h.*o$"), SHA256: hello[:],
			MinSize: 5, MaxSize: 5, MaxTime: time.Second}, 200, time.Second, ""},
		{"text", Rules{Contains: []string{"he", "x"}}, 200, 0, result.ClassBodyMismatch},
		{"expression", Rules{Match: regexp.MustCompile("^ello")}, 200, 0, result.ClassBodyMismatch},
		{"sum", Rules{SHA256: make([]byte, 32)}, 200, 0, result.ClassBodyMismatch},
		{"too small", Rules{MinSize: 6}, 200, 0, result.ClassBodyMismatch},
		{"too large", Rules{MaxSize: 4}, 200, 0, result.ClassBodyMismatch},
		{"late", Rules{MaxTime: time.Second}, 200, time.Second + 1, result.ClassTimeout},
		{"status first", Rules{MinSize: 6}, 500, 0, result.ClassStatus},
	} {
		if got, _ := tt.r.judge(tt.code, []byte("hello"), 5, tt.rt); got != tt.want {
			t.Errorf("%s: judge = %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, bad := range []string{"x", "99", "1000", "200-", "-200", "300-200", "200;201", "xxx", "6x"} {
		if c, err := ParseCodes(bad); err == nil {
			t.Errorf("ParseCodes(%q) = %v, want an error", bad, c)
		}
	}
	if c, err := ParseCodes(" "); c != nil || err != nil {
		t.Errorf("ParseCodes of nothing = %v, %v", c, err)
	}
}

func TestCapture(t *testing.T) {
	body := "h\u00e9llo"
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
	addr, _ := raw(t, says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)))
	octets, _ := raw(t, says("HTTP/1.1 200 OK\r\n\r\n\xff\xfe\x00abc"))
	dir := filepath.Join(t.TempDir(), "a", "b")
	for _, tt := range []struct {
		name, addr string
		opt        Options
		want       string
		no         string
	}{
		{"off", addr, Options{}, `"n":6`, "sha256"},
		{"hash", addr, Options{Capture: CaptureHash}, `"sha256":"` + sum + `"`, "file"},
		{"text", addr, Options{Capture: CaptureText}, `"body":"h` + "\u00e9" + `llo"`, "cut"},
		{"cut before a character", addr, Options{Capture: CaptureText, CaptureText: 2}, `"body":"h","body_cut":5`, "b64"},
		{"octets", octets, Options{Capture: CaptureText, CaptureText: 3}, `"body_b64":"//4A","body_cut":3`, `"body":`},
		{"file", addr, Options{Capture: CaptureFile, CaptureDir: dir},
			`"sha256":"` + sum + `","file":"` + sum[:2] + "/" + sum + `"`, ""},
		{"file, again", addr, Options{Capture: CaptureFile, CaptureDir: dir}, `"file":"` + sum[:2] + "/" + sum + `"`, ""},
	} {
		for _, engine := range engines {
			tt.opt.Engine = engine
			_, rec := once(t, tt.opt, "http://"+tt.addr)
			if !strings.Contains(rec, tt.want) || tt.no != "" && strings.Contains(rec, tt.no) {
				t.Errorf("%s, %s: %s, want %s", tt.name, engine, rec, tt.want)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, sum[:2], sum)); string(b) != body || err != nil {
		t.Errorf("the file has %q, %v", b, err)
	}
	if list, _ := os.ReadDir(filepath.Join(dir, sum[:2])); len(list) != 1 {
		t.Errorf("%d files, want one", len(list))
	}
	// What cannot be kept is not acked.
	os.RemoveAll(dir)
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFetcher(t, Options{})
	f.capture = &capture{mode: CaptureFile, dir: dir}
	f.wantBody = true
	h := f.newHandler()
	defer h.Close()
	l := glassq.Lease{Task: glassq.Task{Body: []byte("http://" + addr)}}
	if err := h.Handle(t.Context(), &l, &worker.Reply{}); err == nil || !strings.Contains(err.Error(), "keep the body") {
		t.Errorf("Handle without room for the body = %v, want an error", err)
	}
	for _, bad := range []Options{{Capture: "x"}, {Capture: CaptureFile}, {CaptureDir: dir},
		{Capture: CaptureFile, CaptureDir: filepath.Join(dir, "x")}} {
		if _, err := New(bad); err == nil {
			t.Errorf("New(%+v) = nil, want an error", bad)
		}
	}
}

func TestPhases(t *testing.T) {
	ca := newAuthority(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/go" {
			http.Redirect(w, r, "/there", http.StatusFound)
			return
		}
		io.WriteString(w, "hello")
	}))
	srv.TLS = serverTLS(ca.leaf(t, time.Now().Add(time.Hour), "localhost"))
	srv.StartTLS()
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	for _, engine := range engines {
		f := newFetcher(t, Options{Engine: engine, Phases: true, CAFile: ca.file, Redirects: 2,
			ConnectTo: []string{"localhost::127.0.0.1:"}})
		h := f.newHandler()
		for i, want := range []string{"connect,first,read,send,tls,wait", "first,read,send,wait"} {
			_, rec := one(t, h, "https://localhost:"+port+"/go")
			var r struct {
				O struct {
					RT float64
					Ph map[string]float64
				}
			}
			if err := json.Unmarshal([]byte(rec), &r); err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for name, d := range r.O.Ph {
				if !strings.Contains(want, name) {
					t.Errorf("%s, request %d: %s, want at most %s", engine, i, rec, want)
				}
				if name != "first" {
					sum += d
				}
			}
			if r.O.Ph["wait"] == 0 || r.O.Ph["first"] == 0 || i == 0 && r.O.Ph["tls"] == 0 || sum > r.O.RT ||
				r.O.Ph["first"] > r.O.RT {
				t.Errorf("%s, request %d: %s: phases are missing, or sum up to more than the whole", engine, i, rec)
			}
		}
		h.Close()
		// Without an answer there are fewer.
		if _, rec := once(t, Options{Engine: engine, Phases: true}, "http://127.0.0.1:1/"); strings.Contains(rec, `"first"`) {
			t.Errorf("%s: %s has a first byte", engine, rec)
		}
	}
}

func TestConnectTo(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	for _, to := range []string{"x.example:80:127.0.0.1:" + port, "X.example::127.0.0.1:" + port, "::127.0.0.1:" + port,
		":80:localhost:" + port} {
		for _, engine := range engines {
			got, rec := once(t, Options{Engine: engine, ConnectTo: []string{"other.example:::1", to}, Capture: CaptureText},
				"http://x.example/")
			if !got.OK || !strings.Contains(rec, `"body":"x.example"`) {
				t.Errorf("%s, %s: %s", to, engine, rec)
			}
		}
	}
	if d, err := parseDetour("[::1]:80:[2001:db8::1]:8080"); err != nil ||
		d != (detour{"::1", "80", "2001:db8::1", "8080"}) {
		t.Errorf("parseDetour of IPv6 = %+v, %v", d, err)
	}
	for _, bad := range []string{"", "a", "a:80:b", "a:80:b:80:c", "a:x:b:80", "a:80:b:70000", "[::1:80:b:80", "a:80::",
		"[a]b:80:c:80"} {
		if _, err := New(Options{ConnectTo: []string{bad}}); err == nil {
			t.Errorf("--connect-to %q is accepted", bad)
		}
	}
}

// HTTP/2 where the target offers it; the same on a target that does not.
func TestHTTP2(t *testing.T) {
	ca := newAuthority(t)
	for want, offer := range map[string]bool{"HTTP/2.0": true, "HTTP/1.1": false} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
			r *http.Request) {
			io.WriteString(w, r.Proto)
		}))
		srv.EnableHTTP2 = offer
		srv.TLS = serverTLS(ca.leaf(t, time.Now().Add(time.Hour)))
		srv.StartTLS()
		defer srv.Close()
		got, rec := once(t, Options{HTTP2: true, CAFile: ca.file, Capture: CaptureText}, srv.URL)
		if !got.OK || !strings.Contains(rec, `"body":"`+want+`"`) {
			t.Errorf("offered %v: %s, want %s", offer, rec, want)
		}
	}
}

// Which engine does what is said, once for each reason.
func TestEngineChoice(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	var said []string
	h := newFetcher(t, Options{Notify: func(s string) { said = append(said, s) }}).newHandler()
	defer h.Close()
	with := strings.Replace(srv.URL, "http://", "http://me:pw@", 1)
	for _, url := range []string{srv.URL, with, with, strings.Replace(srv.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1)} {
		if got, rec := one(t, h, url); !got.OK {
			t.Error(rec)
		}
	}
	if len(said) != 2 || !strings.Contains(said[0], "user and password") || !strings.Contains(said[1], "an unusual host") {
		t.Errorf("said %q, want two reasons", said)
	}
	for want, opt := range map[string]Options{"fast, std for what": {}, "std": {Engine: EngineStd},
		"std, for the proxy": {Proxy: "http://x:1"}, "fast, std for https": {HTTP2: true}} {
		if got := newFetcher(t, opt).Plan(); !strings.HasPrefix(got, want) {
			t.Errorf("Plan() of %+v = %q, want %q", opt, got, want)
		}
	}
}

// What the machine lacks is no result: the task goes back, and the worker is told.
func TestLack(t *testing.T) {
	for _, engine := range engines {
		for _, tt := range []struct {
			errno syscall.Errno
			addr  string
			lack  string // "" for a result
		}{
			{syscall.EMFILE, "127.0.0.1:1", "open files"},
			{syscall.ENOBUFS, "127.0.0.1:1", "memory"},
			{syscall.EADDRNOTAVAIL, "127.0.0.1:1", "local ports"},
			{syscall.ECONNREFUSED, "127.0.0.1:1", ""},
		} {
			f := newFetcher(t, Options{Engine: engine, Retries: 1, Backoff: 1})
			f.connect = func(context.Context, string, string) (net.Conn, error) {
				to, _ := net.ResolveTCPAddr("tcp", tt.addr)
				return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: os.NewSyscallError("connect", tt.errno)}
			}
			h := f.newHandler()
			l := glassq.Lease{Task: glassq.Task{Body: []byte("http://x/")}}
			err := h.Handle(t.Context(), &l, &worker.Reply{})
			nack, ok := errors.AsType[*worker.NackError](err)
			if ok != (tt.lack != "") || ok && (nack.Lack != tt.lack || !nack.Undone) {
				t.Errorf("%s, %v: Handle = %+v, want lack %q", engine, tt.errno, err, tt.lack)
			}
			h.Close()
		}
	}
}

// A slow is a scripted connection whose answer takes its time.
type slow struct {
	*scripted
	wait time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	n, err := s.scripted.Read(p)
	if n > 0 {
		time.Sleep(s.wait)
		s.wait = 0
	}
	return n, err
}

// The phases of all hops of a redirect are added up, and first is that of the last answer.
func TestPhasesOfHops(t *testing.T) {
	for _, engine := range engines {
		synctest.Test(t, func(t *testing.T) {
			f := newFetcher(t, Options{Engine: engine, Phases: true, Redirects: 1})
			answers := []string{"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ok5}
			dials := 0
			f.connect = func(context.Context, string, string) (net.Conn, error) {
				dials++
				return &slow{newScripted([]byte(answers[dials-1])), time.Duration(dials) * time.Second}, nil
			}
			h := f.newHandler()
			defer h.Close()
			got, rec := one(t, h, "http://x/")
			if got.Took != 3*time.Second || !strings.Contains(rec, `"ph":{"wait":3,"first":3}`) {
				t.Errorf("%s: %s, want 3 s of waiting", engine, rec)
			}
		})
	}
}
