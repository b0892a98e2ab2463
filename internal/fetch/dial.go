package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/cert"
)

// A detour sends connections for one host and port to another, as curl's --connect-to does.
type detour struct{ host, port, toHost, toPort string } // "" stands for any, or for the same

// parseDetour reads HOST:PORT:TOHOST:TOPORT; each part may be empty, an IPv6 address stands in
// brackets.
func parseDetour(text string) (detour, error) {
	var parts []string
	for rest := text; ; {
		var part string
		if strings.HasPrefix(rest, "[") {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				break
			}
			part, rest = rest[1:end], rest[end+1:]
		} else if i := strings.IndexByte(rest, ':'); i >= 0 {
			part, rest = rest[:i], rest[i:]
		} else {
			part, rest = rest, ""
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != ':' {
			parts = nil
			break
		}
		rest = rest[1:]
	}
	if len(parts) != 4 || !isPort(parts[1]) || !isPort(parts[3]) || parts[2]+parts[3] == "" {
		return detour{}, fmt.Errorf("%q is not like host:port:otherhost:otherport, of which parts may be empty", text)
	}
	return detour{strings.ToLower(parts[0]), parts[1], parts[2], parts[3]}, nil
}

// isPort reports whether s is empty or a port.
func isPort(s string) bool {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || n > 65535 {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return s == "" || n > 0 && n <= 65535
}

// dial connects to addr, or to where a detour sends it. The guard looks at every address it tries.
func (f *Fetcher) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if f.opt.UnixSocket != "" { // that of the worker's own choice, whatever the URL says: not for the guard
		return new(net.Dialer).DialContext(ctx, "unix", f.opt.UnixSocket)
	}
	if len(f.detours) > 0 {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		for _, d := range f.detours {
			if d.host != "" && d.host != strings.ToLower(host) || d.port != "" && d.port != port {
				continue
			}
			if d.toHost != "" {
				host = d.toHost
			}
			if d.toPort != "" {
				port = d.toPort
			}
			addr = net.JoinHostPort(host, port)
			break
		}
	}
	return f.connect(ctx, network, addr)
}

// newDialer makes the dialer that both engines use.
func newDialer(g *guard) *spreader {
	d := &net.Dialer{KeepAlive: 30 * time.Second}
	if g.active() {
		d.Control = g.control
	}
	return &spreader{dial: d.DialContext, lookup: net.DefaultResolver.LookupNetIP}
}

// newTLS reads the certificates that opt names.
func newTLS(opt *Options) (*tls.Config, error) {
	c, err := cert.Trust(&tls.Config{
		InsecureSkipVerify: opt.Insecure,
		ServerName:         opt.ServerName,
		ClientSessionCache: tls.NewLRUClientSessionCache(256),
	}, opt.CAFile)
	if err != nil {
		return nil, err
	}
	if (opt.CertFile == "") != (opt.KeyFile == "") {
		return nil, errors.New("a client certificate needs both its certificate and its key")
	}
	if opt.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(opt.CertFile, opt.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
