package httpdoor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
)

// A pipeListener hands out the server's ends of net.Pipes.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

// A pipeRig is a door on connections in memory, for use within a bubble.
type pipeRig struct {
	t      *testing.T
	server *Server
	ln     *pipeListener
}

func newPipeRig(t *testing.T) (*pipeRig, func()) {
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &pipeRig{t, New(broker.New(e, glassq.Limits{}), Options{}),
		&pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.server.Run(ctx, r.ln) }()
	return r, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		if n := r.server.frame.Intake.Taken(); n != 0 {
			t.Errorf("%d bytes of the room for bodies are not given back", n)
		}
		e.Close()
	}
}

// send begins a request on a connection of its own; head is its first line and what else it needs.
func (r *pipeRig) send(head, body string) net.Conn {
	r.t.Helper()
	ours, theirs := net.Pipe()
	r.ln.conns <- theirs
	text := strings.Replace(head, "\n", " HTTP/1.1\r\nHost: localhost\r\n", 1) + "\r\n\r\n" + body
	go io.WriteString(ours, text) // ends with the connection
	synctest.Wait()
	return ours
}

// want reads the answer to a request, and when it came.
func (r *pipeRig) want(what string, nc net.Conn, status int, part string, after time.Duration) {
	r.t.Helper()
	began := time.Now()
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !strings.Contains(string(text), part) || time.Since(began) != after {
		r.t.Errorf("%s = %d %s, %v after %v; want %d %q after %v", what, resp.StatusCode, text, err, time.Since(began),
			status, part, after)
	}
	if status == http.StatusServiceUnavailable && (resp.Header.Get("Retry-After") == "" || !resp.Close) {
		r.t.Errorf("%s: the answer has no Retry-After, or the connection goes on", what)
	}
}

// TestAnnouncedBodies: bodies that are announced and do not come stop nobody, and are cut after 10
// s.
func TestAnnouncedBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := newPipeRig(t)
		defer stop()
		const slow = "less than 1 KiB/s"
		type request struct {
			name, head, body string
			status           int
			part             string
		}
		idle := []request{
			{"begun", "POST /v1/queues/q/tasks\nContent-Length: 50331648", strings.Repeat("x", 9<<10), 503, slow},
			{"chunked", "POST /v1/queues/q/tasks\nTransfer-Encoding: chunked", "5\r\nab", 503, slow},
			{"ack", "POST /v1/ack\nContent-Length: 100", "{", 503, slow},
			{"settings", "PATCH /v1/queues/q\nContent-Length: 100", "{", 503, slow},
			{"reserve", "POST /v1/queues/q/reserve?wait=1h\nContent-Length: 100", "", 503, slow},
			{"too long", "PATCH /v1/queues/q\nContent-Length: 1048577", "", 413, "1024 KiB"},
			{"no route", "POST /v1/nowhere\nContent-Length: 100", "", 404, "no such route"},
		}
		for i := range 6 {
			idle = append(idle, request{fmt.Sprint("put ", i), "POST /v1/queues/q/tasks\nContent-Length: 50331648", "", 503,
				slow})
		}
		var conns []net.Conn
		for _, row := range idle {
			nc := r.send(row.head, row.body)
			defer nc.Close()
			conns = append(conns, nc)
		}
		for _, row := range []struct {
			head, body string
			status     int
			part       string
		}{
			{"POST /v1/queues/q/tasks\nContent-Length: 1", "x", 200, `"id"`},
			{"POST /v1/queues/q/tasks\nContent-Length: 70000", strings.Repeat("x", 70000), 200, `"id"`},
			{"POST /v1/queues/q/reserve\nContent-Length: 2", "{}", 200, `"token":"1.q"`},
			{"POST /v1/ack\nContent-Length: 17", `{"token":"1.q"}  `, 200, `"ok":true`},
		} {
			nc := r.send(row.head, row.body)
			r.want(row.head, nc, row.status, row.part, 0)
			nc.Close()
		}
		after := 10 * time.Second
		for i, row := range idle {
			if row.status == 413 {
				r.want(row.name, conns[i], row.status, row.part, 0)
				continue
			}
			r.want(row.name, conns[i], row.status, row.part, after)
			after = 0 // all at once
		}
	})
}

// TestBodiesThatTakeTheirTime: a sender that keeps its pace may take minutes, and then the
// connection goes on.
func TestBodiesThatTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := newPipeRig(t)
		defer stop()
		nc := r.send("POST /v1/queues/q/tasks\nContent-Type: text/plain\r\nContent-Length: 204800", "")
		defer nc.Close()
		for range 100 {
			time.Sleep(time.Second + time.Millisecond)
			if _, err := nc.Write(make([]byte, 2048)); err != nil {
				t.Fatal(err)
			}
		}
		r.want("the put", nc, 200, `"id"`, 0)
		time.Sleep(time.Minute)
		go io.WriteString(nc, "GET /v1/queues/q HTTP/1.1\r\nHost: localhost\r\n\r\n") // ends with the connection
		r.want("the next request", nc, 200, `"ready":1`, 0)
	})
}
