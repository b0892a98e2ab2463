package fetch

import (
	"context"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// A scripted is a connection whose peer answers the first write with text and then closes.
type scripted struct {
	text  []byte
	once  sync.Once
	asked chan struct{}
	over  chan struct{}
	shut  sync.Once
}

func newScripted(text []byte) *scripted {
	return &scripted{text: text, asked: make(chan struct{}), over: make(chan struct{})}
}

func (s *scripted) Read(p []byte) (int, error) {
	select {
	case <-s.asked:
	case <-s.over:
		return 0, net.ErrClosed
	}
	n := copy(p, s.text)
	s.text = s.text[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *scripted) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.asked) })
	return len(p), nil
}

func (s *scripted) Close() error                     { s.shut.Do(func() { close(s.over) }); return nil }
func (s *scripted) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// Whatever a server sends before it closes, both engines make the same of it.
func FuzzEnginesAgree(f *testing.F) {
	quietLog(f)
	for _, text := range []string{
		ok5, chunked + "5\r\nhello\r\n0\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.0 301 Moved\r\nLocation: /x\r\nConnection: keep-alive\r\n\r\n",
		"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
		"HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 2\n\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTrailer: A, B\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n000\r\n\r\n",
		"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nab",
	} {
		f.Add([]byte(text), false)
		f.Add([]byte(text), true)
	}
	engines := map[string]*Fetcher{}
	for _, e := range []string{EngineFast, EngineStd} {
		engines[e] = newFetcher(f, Options{Engine: e, MaxBody: 1000, NoKeepAlive: true, Timeout: time.Minute})
	}
	f.Fuzz(func(t *testing.T, text []byte, head bool) {
		task := `{"url":"http://x/"}`
		if head {
			task = `{"url":"http://x/","method":"HEAD"}`
		}
		type outcome struct {
			ok   bool
			err  string
			code int
			n    int64
		}
		var got []outcome
		var recs []string
		for _, e := range []string{EngineFast, EngineStd} {
			fetcher := engines[e]
			fetcher.connect = func(context.Context, string, string) (net.Conn, error) { return newScripted(text), nil }
			fetcher.std = fetcher.newTransport(nil, false)
			h := fetcher.newHandler()
			res, rec := one(t, h, task)
			h.Close()
			got = append(got, outcome{res.OK, res.Class, res.Code, res.Bytes})
			recs = append(recs, rec)
		}
		if got[0] != got[1] {
			t.Errorf("answer %q, head %v:\nfast %s\nstd  %s", text, head, recs[0], recs[1])
		}
	})
}

// quietLog drops what net/http logs of bytes that come unasked.
func quietLog(t testing.TB) {
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
}
