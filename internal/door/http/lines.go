package httpdoor

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/glassq/glassq/internal/door"
)

// What is said to clients before there is a request.
const (
	full = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" +
		`{"error":{"code":"unavailable","message":"your machine has too many connections (serve --max-connections-per-address)"}}` +
		"\n"
	notLines = "SERVER_ERROR this is glassq's HTTP door; its memcached door has another address\r\n"
	notTLS   = "HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nthis port speaks HTTP without TLS: write http://\n"
)

// onlyHTTP is a listener whose clients are cut when they begin with something else than HTTP.
type onlyHTTP struct {
	net.Listener
	s *Server
}

func (l *onlyHTTP) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &firstLook{Conn: nc.(*door.Conn), s: l.s}, nil
}

// A firstLook looks at what a client says first. Reads are of one goroutine at a time.
type firstLook struct {
	*door.Conn
	s      *Server
	looked bool
}

func (c *firstLook) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.looked || n == 0 {
		return n, err
	}
	c.looked = true
	if b[0] >= 'A' && b[0] <= 'Z' || b[0] == '\r' || b[0] == '\n' { // a method, or an empty line before it
		return n, err
	}
	c.s.lines.Warn(c.s.frame.Log, "a client of the HTTP door was cut that does not speak HTTP", "client", c.RemoteAddr(),
		"begins", fmt.Sprintf("%.20q", b[:n]))
	said := ""
	switch {
	case b[0] == 0x16: // the first record of TLS (RFC 8446, section 5.1)
		said = notTLS
	case b[0] >= 'a' && b[0] <= 'z':
		said = notLines
	}
	c.SetWriteDeadline(time.Now().Add(time.Second))
	io.WriteString(c.Conn, said)
	return 0, io.EOF
}
