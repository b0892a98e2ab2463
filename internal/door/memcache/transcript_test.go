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
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/schema"
)

// A transcript is a file of lines:
//
//	C: bytes      what client 1 sends; C2: of client 2, and so on. Go escapes, \r\n written out
//	S: bytes      what it gets next, byte for byte
//	S: closed     the server ends its connection
//	hangup C      the client goes away
//	sleep 5s      time passes
//	options key maxbody=100
//	full q 2      the queue may hold that many tasks
//
// Everything after # at the start of a line is for people.
type transcript struct {
	name  string
	opt   setup
	steps []step
}

type step struct {
	line   int
	what   string // C, S, closed, hangup, sleep, full
	client int
	data   []byte
	word   string
	n      int64
	wait   time.Duration
}

func readTranscripts(t testing.TB) (all []transcript) {
	t.Helper()
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tr := transcript{name: strings.TrimSuffix(filepath.Base(file), ".txt")}
		in := bufio.NewScanner(bytes.NewReader(text))
		for no := 1; in.Scan(); no++ {
			s, err := tr.parseLine(in.Text())
			if err != nil {
				t.Fatalf("%s:%d: %v", file, no, err)
			}
			if s.what != "" {
				s.line = no
				tr.steps = append(tr.steps, s)
			}
		}
		all = append(all, tr)
	}
	return all
}

func (tr *transcript) parseLine(line string) (s step, err error) {
	if line == "" || line[0] == '#' {
		return s, nil
	}
	words := strings.Fields(line)
	switch words[0] {
	case "options":
		for _, o := range words[1:] {
			if n, ok := strings.CutPrefix(o, "maxbody="); ok {
				tr.opt.MaxBody, err = strconv.Atoi(n)
			} else {
				tr.opt.Keys = append(tr.opt.Keys, []byte(o))
			}
		}
		return s, err
	case "sleep":
		s.what = "sleep"
		s.wait, err = time.ParseDuration(words[1])
		return s, err
	case "full":
		s.what, s.word = "full", words[1]
		s.n, err = strconv.ParseInt(words[2], 10, 64)
		return s, err
	case "hangup":
		s.what, s.client = "hangup", clientOf(words[1])
		return s, nil
	}
	who, text, ok := strings.Cut(line, ": ")
	if !ok {
		return s, fmt.Errorf("no step: %q", line)
	}
	s.what, s.client = who[:1], clientOf(who)
	if s.what == "S" && text == "closed" {
		s.what = "closed"
		return s, nil
	}
	text, err = strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	s.data = []byte(text)
	return s, err
}

func clientOf(who string) int {
	n, err := strconv.Atoi(who[1:])
	if err != nil {
		return 1
	}
	return n
}

// A pipeListener hands out the server's ends of net.Pipes.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
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

func (l *pipeListener) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

// A setup is what tests choose of a door.
type setup struct {
	Keys    [][]byte
	TLS     *tls.Config
	MaxBody int
	Log     *slog.Logger
}

func (s setup) frame() door.Frame {
	return door.Frame{Access: door.NewAccess(s.Keys...), TLS: s.TLS, Version: "test", Log: s.Log}
}

// A rig is a door over an engine in memory, for use within a bubble.
type rig struct {
	t      testing.TB
	store  *broker.Broker
	server *Server
	ln     *pipeListener
	stop   func()
}

func newRig(t testing.TB, opt setup) *rig {
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.NewWithSchemas(context.Background(), e, glassq.Limits{MaxBody: opt.MaxBody}, schema.Compile)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: b, ln: newPipeListener()}
	r.server = New(r.store, opt.frame())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.server.Run(ctx, r.ln) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		if n := r.server.count.current.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if n, bursts := r.server.frame.Intake.Taken(), r.server.bursts.Load(); n != 0 || bursts != 0 {
			t.Errorf("%d bytes of the room for bodies and %d of that for bursts are not given back", n, bursts)
		}
		if n := r.server.frame.Answers.Taken(); n != 0 {
			t.Errorf("%d bytes of the room for answers are not given back", n)
		}
		e.Close()
	}
	return r
}

// chunks tells how the k-th send of a transcript is cut up.
type chunks func(k int, data []byte) [][]byte

func whole(_ int, data []byte) [][]byte { return [][]byte{data} }

func single(_ int, data []byte) (out [][]byte) {
	for i := range data {
		out = append(out, data[i:i+1])
	}
	return out
}

// play runs a transcript; what goes wrong is named by its line.
func (tr *transcript) play(t *testing.T, cut chunks) (ok bool) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tr.opt)
		defer r.stop()
		clients := map[int]*client{}
		sends := 0
		for _, s := range tr.steps {
			if s.client > 0 && clients[s.client] == nil {
				clients[s.client] = &client{Conn: r.ln.dial()}
			}
			if err := s.do(r, clients[s.client], sends, cut); err != nil {
				t.Errorf("%s.txt:%d: %v", tr.name, s.line, err)
				break
			}
			if s.what == "C" {
				sends++
			}
		}
		for _, nc := range clients {
			nc.Close()
		}
		ok = !t.Failed()
	})
	return ok
}

// A client sends in the background, one send after the other.
type client struct {
	net.Conn
	sent chan struct{} // closed when the last send is over; nil before the first
}

func (s *step) do(r *rig, nc *client, k int, cut chunks) error {
	switch s.what {
	case "C":
		parts, before, sent := cut(k, s.data), nc.sent, make(chan struct{})
		nc.sent = sent
		go func() { // ends with the connection
			defer close(sent)
			if before != nil {
				<-before
			}
			for _, p := range parts {
				if _, err := nc.Write(p); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
	case "S":
		got := make([]byte, len(s.data))
		nc.SetReadDeadline(time.Now().Add(time.Hour))
		n, err := io.ReadFull(nc, got)
		if !bytes.Equal(got[:n], s.data) {
			return fmt.Errorf("got %q, %v; want %q", got[:n], err, s.data)
		}
	case "closed":
		nc.SetReadDeadline(time.Now().Add(time.Hour))
		got, err := io.ReadAll(nc)
		if len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("got %q, %v; want the connection closed", got, err)
		}
	case "hangup":
		nc.Close()
		synctest.Wait()
	case "sleep":
		time.Sleep(s.wait)
		synctest.Wait()
	case "full":
		_, err := r.store.Configure(context.Background(), s.word, glassq.SettingsChange{MaxTasks: &s.n})
		return err
	}
	return nil
}

// TestTranscripts plays each transcript as it is, byte by byte, and cut in two at every byte of
// every send.
func TestTranscripts(t *testing.T) {
	for _, tr := range readTranscripts(t) {
		t.Run(tr.name, func(t *testing.T) {
			if !tr.play(t, whole) || !tr.play(t, single) {
				return
			}
			var sends []step
			for _, s := range tr.steps {
				if s.what == "C" {
					sends = append(sends, s)
				}
			}
			for k, s := range sends {
				for at := 1; at < len(s.data) && at < 4096; at++ {
					if !tr.play(t, func(i int, data []byte) [][]byte {
						if i != k {
							return [][]byte{data}
						}
						return [][]byte{data[:at], data[at:]}
					}) {
						t.Fatalf("line %d cut at byte %d", s.line, at)
					}
				}
			}
		})
	}
}
