package target

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serve runs a server and returns its URL and what ends it.
func serve(t *testing.T, opt Options) (url string, s *Server, end func() error) {
	t.Helper()
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, ln) }()
	return "http://" + ln.Addr().String(), s, func() error {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		return <-done
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestAnswers(t *testing.T) {
	var log bytes.Buffer
	url, s, end := serve(t, Options{Log: &log})
	for _, path := range []string{"/?q=7", "/other", "/?q=a%0Ab"} {
		if code, body := get(t, url+path); code != 200 || !strings.HasPrefix(body, "hello ") {
			t.Errorf("GET %s = %d %q", path, code, body)
		}
	}
	if code, body := get(t, url+"/count"); code != 200 || body != "{\"count\":3}\n" || s.Count() != 3 {
		t.Errorf("GET /count = %d %q, Count %d; want 3", code, body, s.Count())
	}
	if err := end(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if want := "7\n/other\na b\n"; log.String() != want {
		t.Errorf("log = %q, want %q", log.String(), want)
	}
}

func TestErrorsSizeLatency(t *testing.T) {
	url, _, end := serve(t, Options{Errors: 1, Size: 1000, Latency: 30 * time.Millisecond, Jitter: time.Millisecond})
	start := time.Now()
	code, body := get(t, url+"/?q=1")
	if code != 500 || len(body) != 1000 || time.Since(start) < 30*time.Millisecond {
		t.Errorf("GET = %d, %d bytes after %v; want 500, 1000 bytes, 30ms", code, len(body), time.Since(start))
	}
	if err := end(); err != nil {
		t.Errorf("Run = %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestLogError(t *testing.T) {
	url, _, end := serve(t, Options{Log: broken{}})
	get(t, url+"/")
	if err := end(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("Run = %v, want the log's error", err)
	}
}

func TestOptions(t *testing.T) {
	for _, opt := range []Options{{Errors: 2}, {Errors: -1}, {Size: -1}, {Latency: -1}} {
		if _, err := New(opt); err == nil {
			t.Errorf("New(%+v) = nil, want an error", opt)
		}
	}
}
