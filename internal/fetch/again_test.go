package fetch

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/glassq/glassq/result"
)

// TestHeadersThatRepeat: a header like the one before is not parsed again, and one that only begins
// like it is.
func TestHeadersThatRepeat(t *testing.T) {
	answers := []string{
		ok5, ok5,
		"HTTP/1.1 200 OK\r\nContent-Length: 55\r\n\r\n" + x(55),
		"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\nContent-Length: 7\n\n\r\n\r\nabc", // fasthttp takes it for seven bytes
		"HTTP/1.1 200 OK\nContent-Length: 7\n\n\r\n\r\nabc",
		"HTTP/1.1 103 Hints\r\n\r\n" + ok5, "HTTP/1.1 103 Hints\r\n\r\n" + ok5,
		ok5,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: " + x(maxSame) + "\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
	}
	records := map[string][]string{}
	for _, engine := range []string{EngineFast, EngineStd} {
		addr, conns := raw(t, func(c net.Conn) {
			b := make([]byte, 4096)
			for _, a := range answers {
				if _, err := io.WriteString(c, a); err != nil {
					return
				}
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		})
		h := newFetcher(t, Options{Engine: engine}).newHandler()
		for range answers {
			got, _ := one(t, h, "http://"+addr)
			records[engine] = append(records[engine], fmt.Sprint(got.Code, got.Bytes, got.Class))
		}
		h.Close()
		if conns.Load() != 1 {
			t.Errorf("%s: %d connections, want 1", engine, conns.Load())
		}
	}
	for i, a := range answers {
		if fast, std := records[EngineFast][i], records[EngineStd][i]; fast != std {
			t.Errorf("answer %d, %.60q: fast says %s, std %s", i, a, fast, std)
		}
	}
}

// TestClosedUnseen: a server has closed its connection after an answer, and nobody has looked at it
// since.
func TestClosedUnseen(t *testing.T) {
	closed := make(chan struct{})
	addr, _ := raw(t, func(c net.Conn) {
		io.WriteString(c, ok5)
		c.Close()
		closed <- struct{}{}
	})
	h := newFetcher(t, Options{Engine: EngineFast}).newHandler()
	defer h.Close()
	h.fast.probeAfter = time.Hour
	one(t, h, "http://"+addr)
	<-closed
	if got, rec := one(t, h, "http://"+addr); got.Class != result.ClassEOF {
		t.Errorf("%s, want eof", rec)
	}
}

// TestHalfClosedUnseen: a server that only says that it sends no more, and reads on, is noticed at
// once.
func TestHalfClosedUnseen(t *testing.T) {
	closed := make(chan struct{})
	addr, _ := raw(t, func(c net.Conn) {
		io.WriteString(c, ok5)
		c.(*seen).CloseWrite()
		closed <- struct{}{}
		io.Copy(io.Discard, c)
	})
	h := newFetcher(t, Options{Engine: EngineFast}).newHandler()
	defer h.Close()
	h.fast.probeAfter = time.Hour
	one(t, h, "http://"+addr)
	<-closed
	if got, rec := one(t, h, "http://"+addr); got.Class != result.ClassEOF {
		t.Errorf("%s, want eof", rec)
	}
}

// TestEarlyAnswer: an answer that came before its request is complete, on a connection used before.
func TestEarlyAnswer(t *testing.T) {
	addr, _ := raw(t, func(c net.Conn) {
		io.WriteString(c, ok5)
		b := make([]byte, 10)
		io.ReadFull(c, b)
		io.WriteString(c, "HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
		io.Copy(io.Discard, c)
	})
	h := newFetcher(t, Options{Engine: EngineFast}).newHandler()
	defer h.Close()
	one(t, h, "http://"+addr)
	task := fmt.Sprintf(`{"url":"http://%s","method":"POST","header":{"A":"b"},"body":%q}`, addr, x(inlineBody))
	if got, rec := one(t, h, task); got.Code != http.StatusRequestEntityTooLarge || got.Bytes != 2 {
		t.Errorf("%s, want 413", rec)
	}
}
