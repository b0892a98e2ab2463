package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Connections go to all addresses of a name in turn; one that does not answer is passed over, and
// the other family is tried beside a slow one.
func TestSpread(t *testing.T) {
	const fast, slow, gone = "1", "2", "3" // last digits of addresses
	for _, tt := range []struct {
		name, answer, want string
		took               time.Duration // for all
	}{
		{"in turn", "10.0.0.1 10.1.0.1 10.2.0.1", "10.0.0.1:80 10.1.0.1:80 10.2.0.1:80 10.0.0.1:80", 0},
		{"one is gone", "10.0.0.1 10.0.0.3", "10.0.0.1:80 10.0.0.1:80 10.0.0.1:80 10.0.0.1:80", 0},
		{"all are gone", "10.0.0.3 10.1.0.3", "10.0.0.3:80 gone 10.1.0.3:80 gone 10.0.0.3:80 gone 10.1.0.3:80 gone", 0},
		{"the first family", "2001:db8::1 10.0.0.1", "[2001:db8::1]:80 [2001:db8::1]:80 [2001:db8::1]:80 [2001:db8::1]:80",
			0},
		{"the first family is gone", "2001:db8::3 10.0.0.1", "10.0.0.1:80 10.0.0.1:80 10.0.0.1:80 10.0.0.1:80", 0},
		{"the first family is slow", "2001:db8::2 10.0.0.1 10.1.0.1", "10.0.0.1:80 10.1.0.1:80 10.0.0.1:80 10.1.0.1:80",
			4 * fallbackDelay},
		{"both families are gone", "2001:db8::3 10.0.0.3", strings.Repeat("[2001:db8::3]:80 gone ", 4), 0},
		{"a slow one leaves time", "10.0.0.2 10.0.0.1", "10.0.0.1:80 10.0.0.1:80 10.0.0.1:80 10.0.0.1:80",
			2 * 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &spreader{
				lookup: func(context.Context, string, string) (list []netip.Addr, err error) {
					for f := range strings.FieldsSeq(tt.answer) {
						list = append(list, netip.MustParseAddr(f))
					}
					return list, nil
				},
				dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
					host, _, _ := net.SplitHostPort(addr)
					switch host[len(host)-1:] {
					case gone:
						return nil, errors.New(addr + " gone")
					case slow:
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return nil, nil
				},
			}
			var got []string
			inner := s.dial
			s.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				_, err := inner(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &named{addr: addr}, nil
			}
			began := time.Now()
			for range 4 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				c, err := s.connect(ctx, "tcp", "x:80")
				cancel()
				if err != nil {
					got = append(got, err.Error())
				} else {
					got = append(got, c.(*named).addr)
				}
			}
			if strings.Join(got, " ") != strings.TrimSpace(tt.want) || time.Since(began) != tt.took {
				t.Errorf("%s: %q in %v, want %q in %v", tt.name, got, time.Since(began), tt.want, tt.took)
			}
		})
	}
}

type named struct {
	net.Conn
	addr string
}

func (*named) Close() error { return nil }

// Both engines connect anew when a connection is too old.
func TestMaxAge(t *testing.T) {
	for _, engine := range engines {
		synctest.Test(t, func(t *testing.T) {
			f := newFetcher(t, Options{Engine: engine, MaxAge: 10 * time.Second, IdleTimeout: time.Hour})
			dials := 0
			f.connect = func(context.Context, string, string) (net.Conn, error) {
				dials++
				client, server := net.Pipe()
				go func() {
					b := make([]byte, 4096)
					for {
						if _, err := server.Read(b); err != nil {
							return
						}
						io.WriteString(server, ok5)
					}
				}()
				return client, nil
			}
			h := f.newHandler()
			var got []int
			for range 5 {
				if res, rec := one(t, h, "http://x/"); !res.OK {
					t.Error(rec)
				}
				got = append(got, dials)
				time.Sleep(6 * time.Second)
			}
			if want := []int{1, 1, 2, 2, 3}; !slices.Equal(got, want) {
				t.Errorf("%s: %v connections after each request, want %v", engine, got, want)
			}
			h.Close()
			f.Close()
		})
	}
}

// A task's cookies follow its redirects, within their domain, and no other task has them.
func TestCookies(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/in":
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
			w.Header().Add("Set-Cookie", "b=2; Path=/elsewhere")
			w.Header().Add("Set-Cookie", "c=3; Domain=other.example")
			w.Header().Add("Set-Cookie", "d=4; Path=/")
			http.Redirect(w, r, "/more", http.StatusFound)
		case "/more":
			w.Header().Add("Set-Cookie", "a=; Max-Age=0")
			http.Redirect(w, r, "/end", http.StatusSeeOther)
		}
		fmt.Fprintf(w, "%s", r.Header["Cookie"])
	}))
	defer srv.Close()
	for _, engine := range engines {
		for with, want := range map[bool]string{true: "[own=x; d=4]", false: "[own=x]"} {
			h := newFetcher(t, Options{Engine: engine, Redirects: 3, Cookies: with, Capture: CaptureText}).newHandler()
			for range 2 {
				if _, rec := one(t, h, `{"url":"`+srv.URL+`/in","header":{"cookie":"own=x"}}`); !strings.Contains(rec,
					`"body":"`+want+`"`) {
					t.Errorf("%s, cookies %v: %s, want %s", engine, with, rec, want)
				}
			}
			h.Close()
		}
	}
}

func TestUnixSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("left out: sockets with a path")
	}
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		io.WriteString(w, r.Host)
	}))
	srv.Listener = ln
	srv.Start()
	defer srv.Close()
	for _, engine := range engines {
		opt := Options{Engine: engine, UnixSocket: path, Guard: true, Capture: CaptureText}
		if got, rec := once(t, opt, "http://docker/info"); !got.OK || !strings.Contains(rec, `"body":"docker"`) {
			t.Errorf("%s: %s", engine, rec)
		}
	}
	if _, rec := once(t, Options{}, "http://unix:/x"); !strings.Contains(rec, "lookup unix: no such host; --unix-socket") {
		t.Logf("left out: a resolver here knows a host named unix, or none answers: %s", rec)
	}
}
