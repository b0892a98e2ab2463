package manager

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
)

// A farEnd is a connection from another machine.
type farEnd struct {
	net.Conn
	from net.Addr
}

func (f farEnd) RemoteAddr() net.Addr { return f.from }

// from connects from an address, and reads the challenge.
func (h *house) from(address string) (*peer, []byte) {
	h.t.Helper()
	ours, theirs := net.Pipe()
	h.t.Cleanup(func() { ours.Close() })
	h.ln.calls <- farEnd{theirs, &net.TCPAddr{IP: net.ParseIP(address), Port: 1}}
	p := &peer{t: h.t, nc: ours, r: bufio.NewReader(ours)}
	b, err := p.read()
	if err != nil {
		h.t.Fatalf("%s: no challenge: %v", address, err)
	}
	return p, b
}

// TestWrongKeys: those of one machine are refused one after the other, with one line a minute;
// those with the key do not wait, unless they come from another machine that sends wrong ones.
func TestWrongKeys(t *testing.T) {
	var log bytes.Buffer
	under(t, Options{Frame: door.Frame{Log: slog.New(slog.NewTextHandler(&log, nil))}}, func(h *house) {
		tries := func(address string, n int) (took time.Duration) {
			began := time.Now()
			all := make([]*peer, n)
			for i := range all {
				all[i], _ = h.from(address)
				if err := all[i].send(make([]byte, 16)); err != nil {
					h.t.Fatal(err)
				}
			}
			for _, p := range all {
				if b, err := p.read(); string(b) != wordFailure {
					h.t.Fatalf("a wrong key: %q, %v; want %s", b, err, wordFailure)
				}
			}
			return time.Since(began)
		}
		if took := tries("127.0.0.1", 20); took != 20*door.WrongPause {
			h.t.Errorf("20 wrong keys of this machine in %v; want %v", took, 20*door.WrongPause)
		}
		right := func(address string) time.Duration {
			began := time.Now()
			p, challenge := h.from(address)
			answer, _ := answerTo([]byte("secret"), append([]byte(wordChallenge), challenge[len(wordChallenge):]...),
				proof{named: true}, false)
			p.send(answer)
			if b, err := p.read(); string(b) != wordWelcome {
				h.t.Fatalf("the right key: %q, %v", b, err)
			}
			return time.Since(began)
		}
		for _, address := range []string{"127.0.0.1", "192.0.2.1"} {
			for range 8 {
				p, _ := h.from(address)
				p.send(make([]byte, 16))
			}
		}
		synctest.Wait()
		for address, want := range map[string]time.Duration{"127.0.0.1": 0, "192.0.2.2": 0} {
			if took := right(address); took != want {
				h.t.Errorf("the right key from %s waits %v; want %v", address, took, want)
			}
		}
		if took := right("192.0.2.1"); took == 0 || took > door.LongestTurn {
			h.t.Errorf("the right key from where wrong ones come waits %v", took)
		}
	})
	if n := strings.Count(log.String(), "wrong key; it was answered with md5 without a name"); n != 1 {
		t.Errorf("%d lines; want one:\n%s", n, &log)
	}
}

// TestSilence: a client with the key is served beside as many silent connections as there may be,
// and beyond.
func TestSilence(t *testing.T) {
	under(t, Options{}, func(h *house) {
		known, id := h.serving("get_task_queue")
		for range 300 {
			p, _ := h.from("127.0.0.1")
			defer p.nc.Close()
		}
		late, lateID := h.serving("get_task_queue")
		known.want("#RETURN", "null", id, "put", "a")
		late.want("#RETURN", `"a"`, lateID, "get")
	})
}

// TestOthersAreNamed: the log says once that something came that is no Python manager's client.
func TestOthersAreNamed(t *testing.T) {
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\xf0", "get q\r\n"} {
		var log bytes.Buffer
		under(t, Options{Frame: door.Frame{Log: slog.New(slog.NewTextHandler(&log, nil))}}, func(h *house) {
			for range 3 {
				p, _ := h.from("127.0.0.1")
				io.WriteString(p.nc, text[:4])
				if _, err := p.read(); err == nil {
					h.t.Errorf("%q is answered", text)
				}
			}
		})
		if n := strings.Count(log.String(), errOther.Error()); n != 1 {
			t.Errorf("%q: %d lines; want one:\n%s", text, n, &log)
		}
	}
}

// TestSlowHead: the head of a message that has begun has ten seconds; a client that says nothing
// has as long as it likes.
func TestSlowHead(t *testing.T) {
	under(t, Options{}, func(h *house) {
		p, id := h.serving("get_task_queue")
		time.Sleep(24 * time.Hour)
		p.still(id, "0")
		p.nc.Write([]byte{0})
		began := time.Now()
		if _, err := p.read(); err == nil || time.Since(began) != handshakeTime {
			h.t.Errorf("a head that does not end is cut with %v after %v; want %v", err, time.Since(began), handshakeTime)
		}
	})
}

// TestCutReader: a client that does not read the item that it has asked for is cut while another
// one waits for room; its item is ready again, with no attempt counted, and the other one gets it.
func TestCutReader(t *testing.T) {
	const size = 3 << 20
	answers := door.NewAnswers(2*(size+1<<10)/7*8, slog.New(slog.DiscardHandler))
	under(t, Options{Frame: door.Frame{Answers: answers}}, func(h *house) {
		if _, err := h.broker.Put(h.t.Context(), []glassq.Task{{Queue: "tasks", Body: make([]byte, size)}}); err != nil {
			h.t.Fatal(err)
		}
		deaf, id := h.serving("get_task_queue")
		other, otherID := h.serving("get_task_queue")
		deaf.call(id, "get")
		h.held("tasks", 0, 1)
		if _, err := h.broker.Put(h.t.Context(), []glassq.Task{{Queue: "tasks", Body: []byte("small")}, {Queue: "tasks",
			Body: make([]byte, size)}}); err != nil {
			h.t.Fatal(err)
		}
		other.want("#RETURN", `"small"`, otherID, "get")
		began := time.Now()
		if kind, v := other.ask(otherID, "get"); kind != "#RETURN" || len(v.Raw) != size {
			h.t.Fatalf("%s of %d bytes; want the item", kind, len(v.Raw))
		}
		if took := time.Since(began); took > 2*time.Second {
			h.t.Errorf("it waited %v for the reader that is cut", took)
		}
		h.held("tasks", 1, 1)
		tasks, _, err := h.broker.Peek(h.t.Context(), "tasks", glassq.Ready, 0, 10)
		if err != nil || len(tasks) != 1 || tasks[0].Attempt != 0 {
			h.t.Errorf("%d items, %v; want one with no attempt counted", len(tasks), err)
		}
	})
	if n := answers.Taken(); n != 0 {
		t.Errorf("%d bytes are taken in the end", n)
	}
}
