package fetch

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/freeport"
	"github.com/glassq/glassq/result"
)

// A peer is a connection to an HTTP/2 client, by hand: the library would not say what awkward
// servers say.
type peer struct {
	net.Conn
	first bool // of the test
}

// Types, flags and error codes of frames.
const (
	frameData, frameHeaders, frameReset, frameSettings, frameAway = 0x0, 0x1, 0x3, 0x4, 0x7

	endStream, endHeaders = 0x1, 0x4

	noError, protocolError, internalError, refusedStream, enhanceCalm, http11Required = 0, 1, 2, 7, 0xb, 0xd
)

func (p *peer) frame(kind, flags byte, stream uint32, payload []byte) {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	p.Write(append(binary.BigEndian.AppendUint32(b, stream), payload...))
}

func code(numbers ...uint32) (b []byte) {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

func (p *peer) ok(stream uint32)          { p.frame(frameHeaders, endStream|endHeaders, stream, []byte{0x88}) } // :status: 200
func (p *peer) reset(stream, why uint32)  { p.frame(frameReset, 0, stream, code(why)) }
func (p *peer) goAway(last, why uint32)   { p.frame(frameAway, 0, 0, code(last, why)) }
func (p *peer) begins(stream uint32)      { p.frame(frameHeaders, endHeaders, stream, []byte{0x88}) }
func (p *peer) data(stream uint32, n int) { p.frame(frameData, 0, stream, make([]byte, n)) }

// http2Server calls on for each request, when it is whole, until on returns false. A client that
// does not want HTTP/2 is answered in HTTP/1.1.
func http2Server(t *testing.T, cert tls.Certificate, on func(p *peer, stream uint32) bool) (addr string,
	requests *atomic.Int32) {
	requests = new(atomic.Int32)
	cfg := serverTLS(cert)
	cfg.NextProtos = []string{"h2", "http/1.1"}
	var conns atomic.Int32
	addr, _ = raw(t, func(c net.Conn) {
		tc := tls.Server(c.(*seen).again(), cfg)
		if tc.Handshake() != nil {
			return
		}
		br := bufio.NewReader(tc)
		if tc.ConnectionState().NegotiatedProtocol != "h2" {
			if line, _ := br.ReadString('\n'); line != "" {
				requests.Add(1)
				io.WriteString(tc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
			return
		}
		br.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
		p := &peer{tc, conns.Add(1) == 1}
		p.frame(frameSettings, 0, 0, nil)
		head := make([]byte, 9)
		for {
			if _, err := io.ReadFull(br, head); err != nil {
				return
			}
			if _, err := br.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
				return
			}
			if kind := head[3]; kind == frameHeaders || kind == frameData {
				if kind == frameHeaders {
					requests.Add(1)
				}
				if head[4]&endStream != 0 && !on(p, binary.BigEndian.Uint32(head[5:])) {
					return
				}
			}
		}
	})
	return addr, requests
}

var streamID = regexp.MustCompile(`(?i)stream *id|\b(stream|last)[^"]*\d{1,3}\b`)

// Awkward HTTP/2 servers: a request that the server did not process is sent again whatever its
// method is, within its task, and each sending counts as a try. Nothing else is sent again.
func TestAwkwardHTTP2(t *testing.T) {
	quietLog(t)
	ca := newAuthority(t)
	cert := ca.leaf(t, time.Now().Add(time.Hour))
	const post = `{"url":"URL","method":"POST","body":"abc"}`
	for _, tt := range []struct {
		name  string
		on    func(p *peer, stream uint32) bool
		class string
		tries int // of the second task
		more  string
	}{
		{"fine", func(p *peer, s uint32) bool { p.ok(s); return true }, "", 1, `"code":200`},
		{"refused once", func(p *peer, s uint32) bool {
			if s == 3 {
				p.reset(s, refusedStream)
			} else {
				p.ok(s)
			}
			return true
		}, "", 2, ""},
		{"refused for some time", func(p *peer, s uint32) bool {
			if s > 1 && s < 9 {
				p.reset(s, refusedStream)
			} else {
				p.ok(s)
			}
			return true
		}, "", 4, ""},
		{"refused for ever", func(p *peer, s uint32) bool {
			if s == 1 {
				p.ok(s)
			} else {
				p.reset(s, refusedStream)
			}
			return true
		}, result.ClassRefused, maxUnprocessed, "not processed by the server: stream error: REFUSED_STREAM"},
		{"going away, as nginx does", func(p *peer, s uint32) bool {
			if s == 3 {
				p.goAway(1, noError)
			} else {
				p.ok(s)
			}
			return s == 1
		}, "", 2, ""},
		{"going away with an error", func(p *peer, s uint32) bool {
			if s == 3 {
				p.goAway(1, enhanceCalm)
			} else {
				p.ok(s)
			}
			return s == 1
		}, "", 2, ""},
		{"going away from the first request on", func(p *peer, s uint32) bool {
			if p.first {
				p.goAway(0, noError)
			} else {
				p.ok(s)
			}
			return !p.first
		}, "", 1, ""},
		{"going away from the first request on, with an error", func(p *peer, s uint32) bool {
			if p.first {
				p.goAway(0, enhanceCalm)
			} else {
				p.ok(s)
			}
			return !p.first
		}, "", 1, ""},
		{"went away while it was at it", func(p *peer, s uint32) bool {
			if s == 3 {
				p.goAway(3, noError)
				return false
			}
			p.ok(s)
			return true
		}, result.ClassEOF, 1, ""},
		{"closed without a word", func(p *peer, s uint32) bool {
			if s == 1 {
				p.ok(s)
			}
			return s == 1
		}, result.ClassEOF, 1, ""},
		{"protocol error", func(p *peer, s uint32) bool {
			if s == 3 {
				p.reset(s, protocolError)
			} else {
				p.ok(s)
			}
			return true
		}, result.ClassProtocol, 1, "stream error: PROTOCOL_ERROR"},
		{"reset in the body", func(p *peer, s uint32) bool {
			if s == 3 {
				p.begins(s)
				p.data(s, 5)
				p.reset(s, internalError)
			} else {
				p.ok(s)
			}
			return true
		}, result.ClassProtocol, 1, "stream error: INTERNAL_ERROR"},
		{"refused in the body, which is too late", func(p *peer, s uint32) bool {
			if s == 3 {
				p.begins(s)
				p.data(s, 5)
				p.reset(s, refusedStream)
			} else {
				p.ok(s)
			}
			return true
		}, result.ClassRefused, 1, ""},
		{"demands HTTP/1.1", func(p *peer, s uint32) bool {
			if s == 3 {
				p.reset(s, http11Required)
			} else {
				p.ok(s)
			}
			return true
		}, "", 2, ""},
		{"demands HTTP/1.1, going away", func(p *peer, s uint32) bool { p.goAway(0, http11Required); return false }, "", 1,
			""},
	} {
		for _, task := range []string{"URL", post, `{"url":"URL","method":"DELETE"}`,
			`{"url":"URL","method":"PATCH","header":{"Idempotency-Key":"1"},"body":"a"}`} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				addr, requests := http2Server(t, cert, tt.on)
				h := newFetcher(t, Options{HTTP2: true, CAFile: ca.file, Timeout: 20 * time.Second}).newHandler()
				defer h.Close()
				task := strings.Replace(task, "URL", "https://"+addr+"/", 1)
				one(t, h, task)
				before := requests.Load()
				got, rec := one(t, h, task)
				sent := int(requests.Load() - before)
				counted := tt.tries == 1 && !strings.Contains(rec, `"tries"`) ||
					strings.Contains(rec, fmt.Sprintf(`"tries":%d`, tt.tries))
				if got.Class != tt.class || got.OK != (tt.class == "") || sent != tt.tries || !counted ||
					!strings.Contains(rec, tt.more) {
					t.Errorf("%s: %s, %d requests came; want class %q, %d tries", task, rec, sent, tt.class, tt.tries)
				}
				if _, msg, ok := strings.Cut(rec, `"msg"`); ok && streamID.MatchString(msg) {
					t.Errorf("%s names a stream", rec)
				}
			})
		}
	}
}

// net/http itself sends a POST again that has no body and was not processed. That counts as well.
func TestHTTP2WithoutBody(t *testing.T) {
	ca := newAuthority(t)
	addr, requests := http2Server(t, ca.leaf(t, time.Now().Add(time.Hour)), func(p *peer, s uint32) bool {
		if s == 1 {
			p.reset(s, refusedStream)
		} else {
			p.ok(s)
		}
		return true
	})
	got, rec := once(t, Options{HTTP2: true, CAFile: ca.file}, `{"url":"https://`+addr+`/","method":"POST"}`)
	if !got.OK || !strings.Contains(rec, `"tries":2`) || requests.Load() != 2 {
		t.Errorf("%s, %d requests came; want ok, 2 tries", rec, requests.Load())
	}
}

// TestNginxHTTP2: nginx ends a connection after a thousand requests and does not look at those that
// are on their way to it. All of them are answered in the end.
func TestNginxHTTP2(t *testing.T) {
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("needs nginx: apt-get install nginx")
	}
	ca := newAuthority(t)
	addr := startNginx(t, ca.leaf(t, time.Now().Add(time.Hour)))
	f := newFetcher(t, Options{HTTP2: true, CAFile: ca.file})
	const handlers, each = 20, 300
	var again atomic.Int32
	var wg sync.WaitGroup
	for range handlers {
		h := f.newHandler()
		wg.Go(func() {
			defer h.Close()
			for i := range each {
				task := "https://" + addr + "/"
				if i%2 > 0 {
					task = `{"url":"` + task + `","method":"POST","body":"x"}`
				}
				got, rec := one(t, h, task)
				if !got.OK {
					t.Errorf("%s", rec)
				}
				if strings.Contains(rec, `"tries"`) {
					again.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d of %d were sent again", again.Load(), handlers*each)
}

// startNginx starts nginx on a free port, with its defaults, and returns when it listens.
func startNginx(t *testing.T, cert tls.Certificate) (addr string) {
	dir := t.TempDir()
	certFile, keyFile := files(t, cert)
	addrs, err := freeport.Addresses(1)
	if err != nil {
		t.Fatal(err)
	}
	addr = addrs[0]
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr notice;
events { }
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s;
uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
server { listen %[2]s ssl http2; ssl_certificate %[3]s; ssl_certificate_key %[4]s; return 200 hello; } }`, dir, addr, certFile, keyFile)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "nginx", "-p", dir, "-c", path)
	errs, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() })
	lines := bufio.NewScanner(errs)
	said := ""
	for lines.Scan() {
		if said += lines.Text() + "\n"; strings.Contains(said, `event method`) { // it listens before it says so
			go io.Copy(io.Discard, errs)
			return addr
		}
	}
	t.Fatalf("nginx: %s", said)
	return ""
}
