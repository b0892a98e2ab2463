package httpdoor

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq/internal/door"
)

// inDoor serves over a listener on loopback until the test ends, and returns its address.
func inDoor(t *testing.T, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		if free, all := s.requests.Free(), int64(DefaultRequests); free != all {
			t.Errorf("%d of %d requests are not given back", all-free, all)
		}
	})
	return ln.Addr().String()
}

// TestPages: what a page can have its visitor's browser send to a server without a key is refused,
// on every route; what our own page and what programs send is not.
func TestPages(t *testing.T) {
	const browser = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
	s := New(openStore(t), Options{})
	for _, tt := range []struct {
		name, contentType string
		header            map[string]string
		read, write       bool // whether it is let in
	}{
		{"curl", form, map[string]string{"User-Agent": "curl/8.5.0"}, true, true},
		{"a program", typeJSON, nil, true, true},
		{"typed into a browser", "", map[string]string{"User-Agent": browser, "Sec-Fetch-Site": "none"}, true, false},
		{"our own page", typeJSON, map[string]string{"User-Agent": browser, "Sec-Fetch-Site": "same-origin",
			"Origin": "http://localhost"}, true, true},
		{"our own page, a form", form, map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, true, false},
		{"another site", typeJSON, map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, false, false},
		{"another site, an image", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}, false, false},
		{"another site, a frame", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate",
			"Sec-Fetch-Dest": "iframe"}, false, false},
		{"another site, a link", form, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate",
			"Sec-Fetch-Dest": "document"}, true, false},
		{"another port", form, map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8000"}, false, false},
		{"an older browser", "text/plain", map[string]string{"User-Agent": browser, "Origin": "http://evil.example"}, false, false},
		{"an older browser that says no more", "text/plain", map[string]string{"User-Agent": browser}, true, false},
		{"an upload of it", "multipart/form-data; boundary=x", map[string]string{"User-Agent": browser}, true, false},
		{"a body of it without a type", "", map[string]string{"User-Agent": browser}, true, false},
		{"a sandboxed page", "text/plain", map[string]string{"Origin": "null"}, false, false},
	} {
		for _, pattern := range s.patterns {
			method, path, _ := strings.Cut(pattern, " ")
			if path == "" {
				continue
			}
			path = strings.NewReplacer("{queue}", "q", "{run}", "r", "{name}", "task.json", "{id}", "i", "{n}", "0",
				"/events", "/events?wait=1ms").Replace(path)
			r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader("{}"))
			r.Header.Set("Content-Type", tt.contentType)
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			want := tt.write
			if method == "GET" {
				want = tt.read
			}
			if (w.Code != http.StatusForbidden) != want {
				t.Errorf("%s: %s = %d %s; let in: %v", tt.name, pattern, w.Code, w.Body, want)
			}
			h := w.Header()
			for k := range h {
				if strings.HasPrefix(k, "Access-Control-") {
					t.Errorf("%s: %s allows other sites: %s", tt.name, pattern, k)
				}
			}
			if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
				h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %s may be framed: %v", tt.name, pattern, h)
			}
		}
	}
	r := httptest.NewRequest("OPTIONS", "http://localhost/v1/queues/q/tasks", nil)
	r.Header.Set("Origin", "http://evil.example")
	r.Header.Set("Access-Control-Request-Method", "POST")
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code < 400 || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a browser that asks for leave is told %d %v", w.Code, w.Header())
	}
}

// TestRebinding: a name of somebody else that leads to this machine reaches nothing, on any route,
// however the request says it.
func TestRebinding(t *testing.T) {
	s := New(openStore(t), Options{})
	addr := inDoor(t, s)
	rebound := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}}
	defer rebound.CloseIdleConnections()
	_, port, _ := net.SplitHostPort(addr)
	for _, pattern := range s.patterns {
		method, path, _ := strings.Cut(pattern, " ")
		if path == "" {
			continue
		}
		path = strings.NewReplacer("{queue}", "q", "{run}", "r", "{name}", "task.json").Replace(path)
		for _, host := range []string{"evil.example:" + port, "evil.example", "127.0.0.1.evil.example:" + port,
			"localhost.evil.example:" + port} {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", typeJSON)
			r.Header.Set("Origin", "http://"+host)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			resp, err := rebound.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			said, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(said), "is not allowed") {
				t.Errorf("%s by %s = %d %s", pattern, host, resp.StatusCode, said)
			}
		}
	}
	for _, tt := range []struct{ name, text, want string }{
		{"a whole address", "GET http://evil.example/v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 403"},
		{"two hosts", "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 400"},
		{"no host", "GET /v1/stats HTTP/1.0\r\n\r\n", "HTTP/1.0 200"},
		{"one host", "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200"},
	} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, tt.text)
		line, err := bufio.NewReader(nc).ReadString('\n')
		if nc.Close(); err != nil || !strings.HasPrefix(line, tt.want) {
			t.Errorf("%s: %q, %v; want %s", tt.name, line, err, tt.want)
		}
	}
}

// TestOtherProtocols: who speaks something else at the HTTP door is cut, and the log says so once.
func TestOtherProtocols(t *testing.T) {
	var log bytes.Buffer
	s := New(openStore(t), Options{Frame: door.Frame{Log: slog.New(slog.NewTextHandler(&log, nil))}})
	addr := inDoor(t, s)
	for _, tt := range []struct{ name, text, want string }{
		{"memcached", "get tasks\r\n", notLines},
		{"memcached, binary", "\x80\x00\x00\x00", ""},
		{"a Python manager", "\x00\x00\x00\x10#CHALLENGE#", ""},
		{"TLS", "\x16\x03\x01\x00\xf0", notTLS},
	} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, tt.text)
		got, _ := io.ReadAll(nc) // a reset where something is left unread
		if nc.Close(); string(got) != tt.want {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
	}
	resp, err := http.Get("http://" + addr + "/livez")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("HTTP after that: %v, %v", resp, err)
	}
	resp.Body.Close()
	if n := strings.Count(log.String(), "does not speak HTTP"); n != 1 || !strings.Contains(log.String(), "get tasks") {
		t.Errorf("%d lines; want one with what the client said:\n%s", n, &log)
	}
}

// TestWrongKeys: wrong keys are refused one after the other, right ones of the same machine wait
// meanwhile, those of others do not; and the log says so once a minute.
func TestWrongKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := New(openStore(t), Options{Frame: door.Frame{Access: door.NewAccess([]byte("k")),
			Log: slog.New(slog.NewTextHandler(&log, nil))}})
		began := time.Now()
		type told struct {
			status int
			after  time.Duration
		}
		ask := func(from, key string) <-chan told {
			answer := make(chan told, 1)
			go func() {
				r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/v1/stats", nil)
				r.RemoteAddr = from + ":1000"
				r.Header.Set("Authorization", "Bearer "+key)
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				answer <- told{w.Code, time.Since(began)}
			}()
			synctest.Wait()
			return answer
		}
		var wrong []<-chan told
		for range 100 {
			wrong = append(wrong, ask("192.0.2.1", "x"))
		}
		same, other := ask("192.0.2.1", "k"), ask("192.0.2.2", "k")
		here, local := ask("127.0.0.1", "x"), ask("127.0.0.1", "k")
		if got := <-other; got != (told{200, 0}) {
			t.Errorf("a right key of another machine: %v", got)
		}
		if got := <-local; got != (told{200, 0}) {
			t.Errorf("a right key of this machine: %v", got)
		}
		if got := <-here; got != (told{401, door.WrongPause}) {
			t.Errorf("a wrong key of this machine: %v", got)
		}
		if got := <-wrong[0]; got != (told{401, door.WrongPause}) {
			t.Errorf("the first wrong key: %v", got)
		}
		if got := <-same; got.status != 200 || got.after < door.WrongPause {
			t.Errorf("a right key of the same machine: %v", got)
		}
		for i, c := range wrong[1:] {
			if got := <-c; got.status != 401 || got.after < door.WrongPause {
				t.Errorf("wrong key %d: %v", i+1, got)
			}
		}
		if took := time.Since(began); took < door.LongestTurn {
			t.Errorf("100 wrong keys at once took %v", took)
		}
		if n := strings.Count(log.String(), "a client was not let in"); n != 1 {
			t.Errorf("%d lines; want one:\n%s", n, &log)
		}
	})
}

// TestTooManyRequests: beyond the requests that may be under way one is refused at once, and the
// next is served.
func TestTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(openStore(t), Options{Requests: 1})
		ctx, cancel := context.WithCancel(t.Context())
		waits := make(chan struct{})
		go func() {
			defer close(waits)
			r := httptest.NewRequestWithContext(ctx, "POST", "http://localhost/v1/queues/q/reserve?wait=10m", nil)
			s.ServeHTTP(httptest.NewRecorder(), r)
		}()
		synctest.Wait()
		if status, got := ask(s, "GET", "/livez", "", ""); status != 503 || !strings.Contains(got, "--max-requests") {
			t.Errorf("one too many = %d %s", status, got)
		}
		cancel()
		<-waits
		if status, got := ask(s, "GET", "/livez", "", ""); status != 200 {
			t.Errorf("the next = %d %s", status, got)
		}
	})
}

// A farDoor is a listener whose clients come from another machine.
type farDoor struct {
	in   chan net.Conn
	shut chan struct{}
	once sync.Once
}

func (l *farDoor) Accept() (net.Conn, error) {
	select {
	case nc := <-l.in:
		return farEnd{nc}, nil
	case <-l.shut:
		return nil, net.ErrClosed
	}
}

func (l *farDoor) Close() error   { l.once.Do(func() { close(l.shut) }); return nil }
func (l *farDoor) Addr() net.Addr { return &net.UnixAddr{} }

type farEnd struct{ net.Conn }

func (farEnd) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1} }

// TestKnownConnection: a connection that has shown the key does not wait for the wrong keys of
// others on its machine, as a proxy's does not; and those that have not shown it are cut where they
// are too many.
func TestKnownConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(openStore(t), Options{Frame: door.Frame{Access: door.NewAccess([]byte("k"))}})
		ln := &farDoor{in: make(chan net.Conn), shut: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx, ln) }()
		dial := func() net.Conn {
			ours, theirs := net.Pipe()
			ln.in <- theirs
			return ours
		}
		ask := func(nc net.Conn, in *bufio.Reader, key string) string {
			io.WriteString(nc, "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+key+"\r\n\r\n")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				return err.Error()
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return resp.Status[:3]
		}
		known := dial()
		in := bufio.NewReader(known)
		if got := ask(known, in, "k"); got != "200" {
			t.Fatalf("the first request is told %s", got)
		}
		var wrong []net.Conn
		for range 8 {
			nc := dial()
			wrong = append(wrong, nc)
			go ask(nc, bufio.NewReader(nc), "x") // ends with the connection
		}
		synctest.Wait()
		began := time.Now()
		if got := ask(known, in, "k"); got != "200" || time.Since(began) != 0 {
			t.Errorf("the second one is told %s after %v", got, time.Since(began))
		}
		late := dial()
		if got := ask(late, bufio.NewReader(late), "k"); got != "200" || time.Since(began) == 0 {
			t.Errorf("another connection is told %s after %v; want it to wait", got, time.Since(began))
		}
		var silent []net.Conn
		for range 100 {
			silent = append(silent, dial())
		}
		synctest.Wait()
		cut := 0
		for _, nc := range silent {
			nc.SetReadDeadline(time.Now())
			if _, err := nc.Read(make([]byte, 1)); err == io.EOF {
				cut++
			}
		}
		if cut != 100-64 {
			t.Errorf("%d of 100 silent connections are cut; want all but 64", cut)
		}
		for _, nc := range append(append(silent, wrong...), known, late) {
			nc.Close()
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}
