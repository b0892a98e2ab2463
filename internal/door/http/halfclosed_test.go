package httpdoor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/door"
)

// served runs a door over b on a real port, until the test ends.
func served(t *testing.T, b *broker.Broker, opt Options) (dial func() *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- New(b, opt).Run(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return func() *net.TCPConn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(time.Minute))
		return c.(*net.TCPConn)
	}
}

// request is one of HTTP/1.1 as it goes over the wire.
func request(method, target, body string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", method,
		target, len(body), body)
}

// answers reads what comes until the end: "status body" of each, without the end of the line.
func answers(t *testing.T, from io.Reader) (list []string) {
	t.Helper()
	in := bufio.NewReader(from)
	for {
		if _, err := in.Peek(1); err == io.EOF {
			return list
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("after the answers %q: %v", list, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("after the answers %q: %v", list, err)
		}
		list = append(list, strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", string(body))))
	}
}

// TestHalfClosed: a client that sends its requests and ends its side gets the answer to each of
// them, and a wait ends at once, as if its time had run out.
func TestHalfClosed(t *testing.T) {
	const queue = "/v1/queues/q"
	put := func(body string) string { return request("POST", queue+"/tasks", body) }
	reserve := func(query string) string { return request("POST", queue+"/reserve?"+query, "") }
	full := int64(1)
	tests := []struct {
		name string
		sent []string
		want []string // the beginning of each answer, or a part after …
	}{
		{"puts", []string{put("a"), put("b"), put("c")}, []string{`200 {"id":"~`, `200 {"id":"~`, `200 {"id":"~`}},
		{"put and take", []string{put("a"), reserve("take=true"), reserve("take=true")},
			[]string{`200 {"id":"~`, `200 …"body":"a"`, "204"}},
		{"lease", []string{put("a"), reserve("max=2")}, []string{`200 {"id":"~`, `200 …"attempt":1`}},
		{"wait in vain", []string{reserve("wait=10m"), reserve("wait=10m"), request("GET", "/livez", "")},
			[]string{"204", "204", "200"}},
		{"wait for room", []string{request("POST", "/v1/queues/full/tasks?wait=10m", "b"), put("a")},
			[]string{"429 …queue_full", `200 {"id":"~`}},
		{"wait for a run", []string{request("GET", "/v1/runs/r?until=complete&wait=10m", ""), put("a")},
			[]string{`200 …"complete":false`, `200 {"id":"~`}},
		{"pages and documents", []string{request("GET", "/queues", ""), request("GET", "/openapi.yaml", ""),
			request("GET", "/nowhere", "")}, []string{"200 …<html", "200 …openapi", "404 …not_found"}},
		{"events", []string{request("GET", "/v1/events", "")}, []string{"200 retry: 1000"}},
		{"half of one", []string{put("a"), "POST /v1/queues/q/tasks HTT"}, []string{`200 {"id":"~`, "400"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := openStore(t)
			dial := served(t, b, Options{})
			if _, err := b.Configure(t.Context(), "full", glassq.SettingsChange{MaxTasks: &full}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Put(t.Context(), []glassq.Task{{Queue: "full", Run: "r", Body: []byte("a")}}); err != nil {
				t.Fatal(err)
			}
			for range 20 { // the end may come before a request is served, and while it is
				c := dial()
				io.WriteString(c, strings.Join(tt.sent, ""))
				c.CloseWrite()
				got := answers(t, c)
				for i, want := range tt.want {
					begin, part, _ := strings.Cut(want, "…")
					if i >= len(got) || !strings.HasPrefix(got[i], begin) || !strings.Contains(got[i], part) {
						t.Fatalf("answers %q, want %q", got, tt.want)
					}
				}
				if len(got) != len(tt.want) {
					t.Fatalf("answers %q, want %q", got, tt.want)
				}
				if _, err := b.Purge(t.Context(), "q"); err != nil && glassq.CodeOf(err) != glassq.CodeNotFound {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestEndedWait: a wait that its client's end cuts short takes nothing that comes behind it: most such
// clients have gone.
func TestEndedWait(t *testing.T) {
	parked := make(chan struct{}, 2)
	st := &stub{reserve: func(ctx context.Context) ([]glassq.Lease, error) {
		parked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := served(t, broker.New(st, glassq.Limits{}), Options{})()
	io.WriteString(c, request("POST", "/v1/queues/q/reserve?wait=10m", ""))
	<-parked
	c.CloseWrite()
	if got := answers(t, c); len(got) != 1 || got[0] != "204" {
		t.Errorf("answers %q, want 204", got)
	}
	if len(parked) > 0 {
		t.Error("the queue was asked again for a client that may have gone")
	}
}

// A oneWay is a connection of another machine whose client has ended its side.
type oneWay struct {
	net.Conn // what is written goes here
	said     io.Reader
}

func (c *oneWay) Read(b []byte) (int, error) { return c.said.Read(b) }

func (c *oneWay) SetReadDeadline(time.Time) error { return nil }

func (c *oneWay) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

// An end is what a client sends when it is closed: nothing more.
type end chan struct{}

func (e end) Read([]byte) (int, error) {
	<-e
	return 0, io.EOF
}

// A oneConn is a listener with one connection.
type oneConn struct {
	net.Listener
	is chan net.Conn
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.is; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error { return nil }

// TestHalfClosedKeys: a client that ends its side does not try keys any faster for that.
func TestHalfClosedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		ln := &oneConn{is: make(chan net.Conn, 1)}
		ran := make(chan error, 1)
		s := New(openStore(t), Options{Frame: door.Frame{Access: door.NewAccess([]byte("k"))}})
		go func() { ran <- s.Run(ctx, ln) }()
		const guesses = 8
		guess := "GET /v1/queues HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer no\r\n\r\n"
		client, server := net.Pipe()
		began := time.Now()
		ln.is <- &oneWay{server, strings.NewReader(strings.Repeat(guess, guesses))}
		got := answers(t, client)
		if took := time.Since(began); len(got) != guesses || took < guesses*door.WrongPause {
			t.Errorf("%d wrong keys were refused within %v, want %d within %v", len(got), took, guesses, guesses*door.WrongPause)
		}
		stop()
		close(ln.is)
		<-ran
	})
}

// TestLateForOneThatEnded: what becomes ready as a client that waits ends its side is given back.
func TestLateForOneThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, back := make(end), make(chan glassq.Nack, 1)
		st := &stub{
			reserve: func(ctx context.Context) ([]glassq.Lease, error) {
				time.Sleep(2 * atOnce)
				close(ended)
				<-ctx.Done()
				return []glassq.Lease{{Number: 7, Task: glassq.Task{Queue: "q", Body: []byte("a")}}}, nil
			},
			nack: func(_ context.Context, nacks []glassq.Nack) ([]error, error) {
				back <- nacks[0]
				return make([]error, len(nacks)), nil
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		ln := &oneConn{is: make(chan net.Conn, 1)}
		ran := make(chan error, 1)
		go func() { ran <- New(broker.New(st, glassq.Limits{}), Options{}).Run(ctx, ln) }()
		client, server := net.Pipe()
		ln.is <- &oneWay{server, io.MultiReader(strings.NewReader(request("POST", "/v1/queues/q/reserve?wait=10m", "")), ended)}
		if got := answers(t, client); len(got) != 1 || got[0] != "204" {
			t.Errorf("answers %q, want 204", got)
		}
		if n := <-back; n.Token.Number != 7 || !n.Undone {
			t.Errorf("given back: %+v, want lease 7 undone", n)
		}
		stop()
		close(ln.is)
		<-ran
	})
}
