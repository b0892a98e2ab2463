package memcache

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
)

// A netRig is a door on a real TCP port, over an engine in memory.
type netRig struct {
	t      *testing.T
	store  *broker.Broker
	server *Server
	addr   string
}

// openPort starts a door, which the end of the test stops: then no goroutine of it may be left, and
// nothing of the budgets be taken.
func openPort(t *testing.T, opt setup) *netRig {
	t.Helper()
	return openPortWith(t, opt, 0)
}

// openPortWith is openPort with less room for answers.
func openPortWith(t *testing.T, opt setup, room int64) *netRig {
	t.Helper()
	return openPortOn(t, "mem:", opt, room)
}

// openPortOn is openPortWith on a store that lies in a folder.
func openPortOn(t *testing.T, dir string, opt setup, room int64) *netRig {
	t.Helper()
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &netRig{t: t, store: broker.New(e, glassq.Limits{MaxBody: opt.MaxBody})}
	frame := opt.frame()
	if room > 0 {
		frame.Answers = door.NewAnswers(room, slog.New(slog.DiscardHandler))
	}
	r.server = New(r.store, frame)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.server.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if bytes.Contains(stacks, []byte("memcache.(*conn)")) || bytes.Contains(stacks, []byte("memcache.(*Server)")) {
			t.Errorf("goroutines are left:\n%s", stacks)
		}
		if n := r.server.count.current.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if n := r.server.lines.Taken(); n != 0 {
			t.Errorf("%d bytes of the room for long lines are not given back", n)
		}
		if n, bursts := r.server.frame.Intake.Taken(), r.server.bursts.Load(); n != 0 || bursts != 0 {
			t.Errorf("%d bytes of the room for bodies and %d of that for bursts are not given back", n, bursts)
		}
		for i, l := range r.server.loops {
			if n := l.gathered.Load(); n != 0 {
				t.Errorf("loop %d still gathers %d connections", i, n)
			}
		}
		if n := r.server.frame.Answers.Taken(); n != 0 {
			t.Errorf("%d bytes of the room for answers are not given back", n)
		}
		e.Close()
	})
	return r
}

// dial connects; the connection ends with the test.
func (r *netRig) dial() *net.TCPConn {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	return nc.(*net.TCPConn)
}

// ask sends on a connection of its own, ends its side, and wants exactly this answer and then the
// end.
func (r *netRig) ask(send, want string) {
	r.t.Helper()
	nc := r.dial()
	defer nc.Close()
	go func() { // ends when the connection does
		io.WriteString(nc, send)
		nc.CloseWrite()
	}()
	if got, err := io.ReadAll(nc); err != nil || string(got) != want {
		r.t.Fatalf("%.80q = %.200q, %v; want %.200q", send, got, err, want)
	}
}

// expect sends on nc and wants exactly this answer.
func expect(t testing.TB, nc net.Conn, send, want string) {
	t.Helper()
	if _, err := io.WriteString(nc, send); err != nil {
		t.Fatalf("send %.80q: %v", send, err)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(nc, got); err != nil || string(got) != want {
		t.Fatalf("%.80q = %.200q, %v; want %.200q", send, got[:n], err, want)
	}
}

// closed wants nothing but the end of the connection.
func closed(t *testing.T, what string, nc net.Conn) {
	t.Helper()
	got, err := io.ReadAll(nc)
	if len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s = %.80q, %v; want the connection closed", what, got, err)
	}
}

// stat asks for stats until the named one has a value that is wanted.
func (r *netRig) stat(name string, want func(n int64) bool) {
	r.t.Helper()
	nc := r.dial()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second)) // it will never have that value
	in := bufio.NewReader(nc)
	for last := ""; ; {
		if _, err := io.WriteString(nc, "stats\r\nstats queue\r\n"); err != nil {
			r.t.Fatal(err)
		}
		for ends := 0; ends < 2; {
			line, err := in.ReadString('\n')
			if err != nil {
				r.t.Fatalf("stat %s stays %q: %v", name, last, err)
			}
			if line == endOf {
				ends++
			}
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "STAT "+name+" "); ok {
				last = v
			}
		}
		if n, err := strconv.ParseInt(last, 10, 64); err == nil && want(n) {
			return
		}
	}
}

func equals(n int64) func(int64) bool { return func(v int64) bool { return v == n } }

// TestHalfClosed: a client that ends its side gets the answers to all it has sent, and a wait ends
// at once.
func TestHalfClosed(t *testing.T) {
	r := openPort(t, setup{})
	r.ask("set q 0 0 1\r\na\r\nset q 0 0 1\r\nb\r\nget q q q\r\nget q/t=3600000\r\n",
		"STORED\r\nSTORED\r\nVALUE q 0 1\r\na\r\nVALUE q 0 1\r\nb\r\nEND\r\nEND\r\n")
	r.ask("set q 0 0 5\r\nab", "") // no whole command: nothing is stored, nothing said
	r.ask("get q\r\nget q", "END\r\n")
	// A lease by number that was read stays, though the client closed its side before.
	nc := r.dial()
	io.WriteString(nc, "set q 0 0 1\r\na\r\ngets q/open\r\n")
	nc.CloseWrite()
	got, err := io.ReadAll(nc)
	nc.Close()
	if err != nil || !bytes.HasPrefix(got, []byte("STORED\r\nVALUE q/open 0 1 ")) {
		t.Fatalf("reserve with a closed side = %q, %v", got, err)
	}
	r.stat("curr_connections", equals(1))
	r.ask("get q\r\n", "END\r\n")
}

// TestLargeBodies goes past every buffer, up to the limit and beyond.
func TestLargeBodies(t *testing.T) {
	const most = 1 << 20
	r := openPort(t, setup{MaxBody: most})
	nc := r.dial()
	for _, n := range []int{largeIn - maxLine, largeIn - 20, largeIn - 2, largeIn, largeIn + 1, 3 * largeIn, most - 1,
		most} {
		body := strings.Repeat("x\r\nget q\r\n", n/10+1)[:n]
		expect(t, nc, fmt.Sprintf("set q 0 0 %d\r\n%s\r\nget q\r\n", n, body),
			fmt.Sprintf("STORED\r\nVALUE q 0 %d\r\n%s\r\nEND\r\n", n, body))
		expect(t, nc, fmt.Sprintf("set q 0 0 %d noreply\r\n%s\r\ngets q/peek\r\nget q\r\n", n, body),
			fmt.Sprintf("VALUE q/peek 0 %d 0\r\n%s\r\nEND\r\nVALUE q 0 %d\r\n%s\r\nEND\r\n", n, body, n, body))
	}
	for _, n := range []int{most + 1, 5 * most} {
		body := strings.Repeat("x\r\nget q\r\n", n/10+1)[:n]
		expect(t, nc, fmt.Sprintf("set q 0 0 %d\r\n%s\r\nget q\r\n", n, body), tooLarge+endOf)
		expect(t, nc, fmt.Sprintf("set q 0 0 %d noreply\r\n%s\r\nget q\r\n", n, body), endOf)
	}
	r.stat("noreply_failures", equals(2))
	// A large body without its end closes the connection and stores nothing.
	for _, n := range []int{most, most + 1} {
		got := make(chan string, 1)
		bad := r.dial()
		go func() {
			b, _ := io.ReadAll(bad)
			got <- string(b)
		}()
		fmt.Fprintf(bad, "set q 0 0 %d\r\n%s", n, strings.Repeat("x", n+2))
		if g := <-got; g != "CLIENT_ERROR bad data chunk\r\n" {
			t.Errorf("a body of %d without CRLF = %q", n, g)
		}
	}
	expect(t, nc, "get q\r\n", endOf)
}

// TestBadInput sends what is no command: each has its answer, and then the end or the next command.
func TestBadInput(t *testing.T) {
	const (
		wrongName = "CLIENT_ERROR bad queue name: it has 1 to 200 bytes of A-Z a-z 0-9 . _ : + -, and is neither . nor ..\r\n"
		noOption  = "CLIENT_ERROR unknown option ..\r\n"
		tooLong   = "CLIENT_ERROR line too long: it has at most 2048 bytes, that of a get or gets 65536\r\n"
	)
	r := openPort(t, setup{})
	for _, tt := range []struct{ name, send, want string }{
		{"a line at the limit", "get " + strings.Repeat("q ", (maxLine-4)/2) + "\r\nget q\r\n", endOf + endOf},
		{"a long line at the limit", "get " + strings.Repeat("q ", (maxKeys-4)/2) + "\r\nget q\r\n",
			endOf + endOf},
		{"a long line over the limit", "get " + strings.Repeat("q ", (maxKeys-2)/2) + "\r\nget q\r\n", tooLong},
		{"a long line without end", "gets " + strings.Repeat("q ", maxKeys), tooLong},
		{"a long line with a bad key", "get " + strings.Repeat("q ", 2000) + strings.Repeat("k", 201) + "\r\nget q\r\n",
			wrongName + endOf},
		{"a long line that waits", "get " + strings.Repeat("q/t=5 ", 1000) + "\r\nget q\r\n",
			"CLIENT_ERROR a line over 2048 bytes waits for nothing: no t=\r\n" + endOf},
		{"a line over the limit", strings.Repeat("x", maxLine+1) + "\r\nget q\r\n", tooLong},
		{"a line without end", strings.Repeat("x", 1<<20), tooLong},
		{"a key over the limit", "get " + strings.Repeat("k", 201) + "\r\nget q\r\n",
			wrongName + endOf},
		{"a huge length", "set q 0 0 18446744073709551616\r\nget q\r\n", "CLIENT_ERROR bad command line format\r\n"},
		{"a length beyond skipping", fmt.Sprintf("set q 0 0 %d\r\nget q\r\n", maxSkip+1),
			"CLIENT_ERROR bad command line format\r\n"},
		{"a negative length", "set q 0 0 -1\r\nget q\r\n", "CLIENT_ERROR bad command line format\r\n"},
		{"no length", "set q 0 0\r\nget q\r\n", "CLIENT_ERROR bad command line format\r\n"},
		{"a body too long", "set q 0 0 1\r\nabc\r\nget q\r\n", "CLIENT_ERROR bad data chunk\r\n"},
		{"a body too short", "set q 0 0 3\r\na\r\nget q\r\n", "CLIENT_ERROR bad data chunk\r\n"},
		{"the binary protocol", "\x80\x00\x00\x01" + strings.Repeat("\x00", 20),
			"\x81" + strings.Repeat("\x00", 6) + "\x81\x00\x00\x00\x0f" + strings.Repeat("\x00", 12) + "Unknown command"},
		{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nset q 0 0 1\r\na\r\n", notHTTP},
		{"HTTP with a body", "POST /q HTTP/1.1\r\nContent-Length: 17\r\n\r\nset q 0 0 1\r\na\r\n", notHTTP},
		{"HTTP behind commands", "set behind 0 0 1\r\na\r\nPOST /q HTTP/1.1\r\nContent-Length: 17\r\n\r\nset q 0 0 1\r\na\r\n",
			"STORED\r\n" + notHTTP},
		{"its header behind commands", "version\r\nhost: localhost\r\n\r\nset q 0 0 1\r\na\r\n", "VERSION 1.6.0\r\n" + notHTTP},
		{"TLS behind commands", "version\r\n\x16\x03\x01\x00", "VERSION 1.6.0\r\n"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", notHTTP},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ""},
		{"an unknown verb", "frobnicate q\r\nget q\r\n", badVerb + endOf},
		{"meta commands without key", "mg\r\nmd\r\nma\r\nget q\r\n", badVerb + badVerb + badVerb + endOf},
		{"an unknown option", "get q/frobnicate\r\nset q/frobnicate 0 0 5\r\nget q\r\nget q\r\n",
			"CLIENT_ERROR unknown option frobnicate\r\nCLIENT_ERROR unknown option frobnicate\r\nEND\r\n"},
		{"a path", "get q/..\r\nget ../q\r\nset q/../../etc/passwd 0 0 1\r\na\r\nget ..\r\n",
			noOption + wrongName + noOption + wrongName},
		{"NUL", "get q\x00\r\nget \x00\r\n\x00\r\n", wrongName + wrongName + badVerb},
		{"nothing", "", ""},
		{"empty lines", "\r\n\n\r\n", badVerb + badVerb + badVerb},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nc := r.dial()
			defer nc.Close()
			go io.WriteString(nc, tt.send) // ends when the connection does
			if strings.HasSuffix(tt.want, badVerb) || strings.HasSuffix(tt.want, endOf) ||
				strings.Contains(tt.want, "bad queue name") || tt.send == "" {
				// The connection goes on, until we end it. What cut it would come before the
				// answers were whole.
				got := make([]byte, len(tt.want))
				if _, err := io.ReadFull(nc, got); err != nil || string(got) != tt.want {
					t.Fatalf("%.80q = %q, %v; want %q", tt.send, got, err, tt.want)
				}
				nc.CloseWrite()
				closed(t, "after it", nc)
				return
			}
			if got, _ := io.ReadAll(nc); string(got) != tt.want {
				t.Errorf("%.80q = %q; want %q and the end", tt.send, got, tt.want)
			}
		})
	}
	r.stat("curr_connections", equals(1))
	r.ask("get q\r\n", endOf)
}

// TestQuietFailures: what is refused without an answer is counted.
func TestQuietFailures(t *testing.T) {
	r := openPort(t, setup{MaxBody: 10})
	one := int64(1)
	if _, err := r.store.Configure(t.Context(), "full", glassq.SettingsChange{MaxTasks: &one}); err != nil {
		t.Fatal(err)
	}
	r.ask("set q 0 0 1 noreply\r\na\r\nset q 0 0 11 noreply\r\n01234567890\r\nset ../q 0 0 1 noreply\r\na\r\nset q/x 0 0 1 noreply\r\na\r\n"+
		"set full 0 0 1 noreply\r\na\r\nset full 0 0 1 noreply\r\na\r\ndelete q/999 noreply\r\ntouch q/999 5 noreply\r\ncas r 0 0 1 999 noreply\r\na\r\n"+
		"append q 0 0 1 noreply\r\na\r\nget q\r\n", "VALUE q 0 1\r\na\r\nEND\r\n")
	r.stat("noreply_failures", equals(8))
}

// TestStats: what monitors read is there, and ours has names of its own.
func TestStats(t *testing.T) {
	r := openPort(t, setup{})
	r.ask("set q 0 0 3\r\nabc\r\nset q/delay=60000 0 0 1\r\na\r\nset p 0 0 1\r\nb\r\nget p p\r\n",
		stored+stored+stored+"VALUE p 0 1\r\nb\r\n"+endOf)
	for name, want := range map[string]int64{"curr_items": 2, "total_items": 3, "bytes": 4, "cmd_get": 2, "cmd_set": 3,
		"get_hits": 1, "get_misses": 1, "evictions": 0, "limit_maxbytes": 0} {
		r.stat(name, equals(want))
	}
	nc := r.dial()
	io.WriteString(nc, "version\r\nstats\r\nstats settings\r\nquit\r\n")
	got, err := io.ReadAll(nc)
	for _, line := range []string{"VERSION 1.6.0", "STAT version 1.6.0", "STAT glassq_version test",
		"STAT auth_enabled_ascii no"} {
		if !strings.Contains("\r\n"+string(got), "\r\n"+line+"\r\n") {
			t.Errorf("no line %q in %q, %v", line, got, err)
		}
	}
}

// TestTLS: with a certificate the door speaks TLS and nothing else.
func TestTLS(t *testing.T) {
	cert := selfSigned(t)
	r := openPort(t, setup{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Keys: [][]byte{[]byte("secret")}})
	nc := tls.Client(r.dial(), &tls.Config{InsecureSkipVerify: true})
	expect(t, nc, "set x 0 0 8\r\nu secret\r\nset q 0 0 1\r\na\r\ngets q/open/t=1000\r\nset q 0 0 1\r\nb\r\nget q/t=1000\r\n",
		"STORED\r\nSTORED\r\nVALUE q/open/t=1000 0 1 1\r\na\r\nEND\r\nSTORED\r\nVALUE q/t=1000 0 1\r\nb\r\nEND\r\n")
	body := strings.Repeat("x", 2*largeIn)
	expect(t, nc, fmt.Sprintf("set q 0 0 %d\r\n%s\r\nget q\r\n", len(body), body),
		fmt.Sprintf("STORED\r\nVALUE q 0 %d\r\n%s\r\nEND\r\n", len(body), body))
	nc.Close()
	plain := r.dial()
	io.WriteString(plain, "get q\r\n")
	if got, _ := io.ReadAll(plain); bytes.Contains(got, []byte("END")) || bytes.Contains(got, []byte("VALUE")) {
		t.Errorf("a client without TLS got %q", got)
	}
}
