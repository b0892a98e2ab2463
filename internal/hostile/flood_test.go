package hostile

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// A flood is what many clients do at once. It returns what lets go of them.
type flood struct {
	name string
	// one is one of the many, over a connection of its own. It returns when it has done what there
	// is to do, with the connection open, or when the door has ended that.
	one  func(s *server, nc net.Conn)
	door func(s *server) string
}

func doorHTTP(s *server) string   { return s.http }
func doorLines(s *server) string  { return s.lines }
func doorPython(s *server) string { return s.python }

// head is the head of a request with the key.
func head(method, path string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + theKey + "\r\nContent-Type: text/plain\r\n"
}

// say sends bytes; what a door has cut takes no more.
func say(text string) func(*server, net.Conn) {
	return func(_ *server, nc net.Conn) { io.WriteString(nc, text) }
}

var mebibyte = strings.Repeat("x", 1<<20)

var floods = []flood{
	{"silence before a request", say(""), doorHTTP},
	{"silence before a login", say(""), doorLines},
	{"silence before a proof", say(""), doorPython},
	{"half a head", say("GET /v1/queues HTTP/1.1\r\nHost: local"), doorHTTP},
	{"half a line before a login", say("set auth 0 0 4096\r\nci:"), doorLines},
	{"half a proof", say("\x00\x00\x00\x28{sha256}"), doorPython},
	{"a long head without end", say("GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + mebibyte), doorHTTP},
	{"bodies that stop, with the key", say(head("POST", "/v1/queues/slow/tasks") + "Content-Length: 16000000\r\n\r\n" + mebibyte), doorHTTP},
	{"bodies that stop, without a key", say("POST /v1/queues/slow/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n" +
		mebibyte), doorHTTP},
	{"bodies that stop, in lines", say(login(theKey) + "set slow 0 0 16000000\r\n" + mebibyte), doorLines},
	{"calls that stop, in Python", func(s *server, nc net.Conn) {
		if p := s.shake(nc, theKey); p != nil {
			io.WriteString(nc, "\x00\xf0\x00\x00"+mebibyte)
		}
	}, doorPython},
	{"readers that stop", say(head("GET", "/v1/queues/large/peek?limit=100") + "\r\n"), doorHTTP},
	{"readers that stop, in lines", say(login(theKey) + strings.Repeat("get large/peek\r\n", 20)), doorLines},
	{"wrong keys", func(_ *server, nc net.Conn) {
		for range 10 {
			io.WriteString(nc, "GET /v1/queues HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\n")
			if _, err := nc.Read(make([]byte, 4096)); err != nil {
				return
			}
		}
	}, doorHTTP},
	{"wrong logins", say(login("wrong")), doorLines},
	{"pickles that grow", func(s *server, nc net.Conn) {
		if p := s.shake(nc, theKey); p != nil { // lists in lists, a million deep
			text := "\x80\x04(\x8c\x06q-task\x8c\x03put" + strings.Repeat("]", 1<<20) + strings.Repeat("a", 1<<20-1) + "\x85}t."
			p.send([]byte(text))
		}
	}, doorPython},
	{"waits without end", say(head("POST", "/v1/queues/nothing/reserve?wait=10m") + "\r\n"), doorHTTP},
	{"connections that come and go", func(s *server, nc net.Conn) {
		nc.Close()
		for range 20 {
			if c, err := net.Dial("tcp", s.http); err == nil {
				c.Close()
			}
		}
	}, doorHTTP},
}

// TestFloods: while many do what keeps a server busy, another client is served; afterwards nothing
// is left of them. The times are measured in full only, and printed: they say much on a machine
// that has nothing else to do.
func TestFloods(t *testing.T) {
	many, samples := 80, 20
	if *full {
		many, samples = 300, 2000
	}
	// beyond is how much more memory than its budgets the server may have: 256 MiB of bodies that
	// come in, and as many that go out.
	const budgets, beyond = 512 << 20, 64 << 20
	s := start(t)
	large := make([]glassq.Task, 20)
	for i := range large {
		large[i] = glassq.Task{Queue: "large", Body: []byte(mebibyte)}
	}
	if _, err := s.admin.Put(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	s.heldBytes = s.figure("process_resident_memory_bytes")
	calm := s.sample(samples)
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			cases.Add(1)
			s.t = t
			addr := f.door(s)
			var conns []net.Conn
			var attack sync.WaitGroup
			for range many {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				nc.(*net.TCPConn).SetReadBuffer(4096) // a reader that stops holds little itself
				nc.SetDeadline(time.Now().Add(tooLong))
				conns = append(conns, nc)
				attack.Go(func() { f.one(s, nc) })
			}
			s.served()
			times := s.sample(samples)
			most := s.figure("process_resident_memory_bytes")
			s.served()
			for _, nc := range conns {
				nc.Close()
			}
			attack.Wait()
			s.settles()
			if grown := most - s.heldBytes; grown > budgets+beyond {
				t.Errorf("the server grew by %.0f MiB", grown/(1<<20))
			}
			if *full {
				left := s.shrinks(beyond)
				fmt.Printf("hostile: %-36s p99 %v, calm %v (%.1fx); memory %+.0f MiB, afterwards %+.0f MiB\n", f.name,
					p99(times), p99(calm), float64(p99(times))/float64(p99(calm)), (most-s.heldBytes)/(1<<20), left/(1<<20))
			}
		})
	}
	s.t = t
	if status, _ := s.ask("GET", "/readyz", "", ""); status != http.StatusOK {
		t.Errorf("readyz = %d", status)
	}
}

// sample puts a task n times, and says how long each put took.
func (s *server) sample(n int) []time.Duration {
	s.t.Helper()
	times := make([]time.Duration, n)
	for i := range times {
		began := time.Now()
		if _, err := s.admin.Put(s.t.Context(), []glassq.Task{{Queue: "sampled", Body: []byte("x")}}); err != nil {
			s.t.Fatalf("another client: put %d of %d: %v", i+1, n, err)
		}
		times[i] = time.Since(began)
	}
	return times
}

func p99(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)*99/100].Round(10 * time.Microsecond)
}

// shrinks waits until the server has given back what it had beyond what it held while it was calm,
// but for allowed bytes, and returns what is left above that. A server gives back slowly: it is not
// asked to be calm at once.
func (s *server) shrinks(allowed float64) (left float64) {
	s.t.Helper()
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Second) {
		left = s.figure("process_resident_memory_bytes") - s.heldBytes
		if left <= allowed {
			return left
		}
		if time.Now().After(end) {
			s.t.Errorf("the server still has %.0f MiB more than while it was calm", left/(1<<20))
			return left
		}
	}
}
