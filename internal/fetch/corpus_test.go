package fetch

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/freeport"
	"github.com/glassq/glassq/result"
	"github.com/valyala/fasthttp"
)

// An awkward server, and what both engines have to make of it.
type awkward struct {
	name  string
	serve func(net.Conn)             // a connection whose first bytes were read; nil when task names no server of the test
	task  string                     // %s is the address; "" means a GET
	tune  func(*testing.T, *Options) // nil for none
	class string
	code  int
	n     int64
	more  string // a part of the record, "" for any
	conns int32  // 0 means 1
}

const (
	chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	ok5     = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
)

func x(n int) string { return strings.Repeat("x", n) }

// in writes the parts of an answer one by one.
func in(parts ...string) func(net.Conn) {
	return func(c net.Conn) {
		for _, p := range parts {
			if _, err := io.WriteString(c, p); err != nil {
				return
			}
		}
	}
}

func silent(c net.Conn) { io.Copy(io.Discard, c) }

func reset(c net.Conn) { c.(*seen).SetLinger(0) }

func short(_ *testing.T, o *Options) { o.Timeout = time.Second }

func small(_ *testing.T, o *Options) { o.MaxBody = 1000 }

func decoding(_ *testing.T, o *Options) { o.Decode, o.MaxBody = true, 100_000 }

func following(_ *testing.T, o *Options) { o.Redirects = 3 }

func packed(encoding, body string) func(net.Conn) {
	return says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", encoding,
		len(body), body))
}

func pack(w func(io.Writer) io.WriteCloser, text string) string {
	var b bytes.Buffer
	z := w(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func gz(text string) string {
	return pack(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, text)
}

// moved redirects the task's request with a line of status, and answers others with ok5.
func moved(status, location string) func(net.Conn) {
	return func(c net.Conn) {
		if bytes.Contains(c.(*seen).first, []byte("?q=1 ")) {
			fmt.Fprintf(c, "HTTP/1.1 %s\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, location)
			return
		}
		io.WriteString(c, ok5)
	}
}

// handshake serves TLS with cfg, then answer.
func handshake(cfg *tls.Config, answer string) func(net.Conn) {
	return func(c net.Conn) {
		tc := tls.Server(c.(*seen).again(), cfg)
		defer tc.Close()
		if tc.Handshake() != nil {
			return
		}
		tc.Read(make([]byte, 4096))
		io.WriteString(tc, answer)
	}
}

func corpus(t *testing.T) []awkward {
	gone, err := freeport.Addresses(1)
	if err != nil {
		t.Fatal(err)
	}
	ca := newAuthority(t)
	hour := time.Now().Add(time.Hour)
	good := ca.leaf(t, hour)
	trust := func(_ *testing.T, o *Options) { o.CAFile = ca.file }
	secure := func(c tls.Certificate, tune func(*tls.Config)) func(net.Conn) {
		cfg := &tls.Config{Certificates: []tls.Certificate{c}}
		if tune != nil {
			tune(cfg)
		}
		return handshake(cfg, ok5)
	}
	const https = "https://%s/"
	long := strings.Repeat("0123456789", 1000)
	br := string(fasthttp.AppendBrotliBytes(nil, []byte(long)))
	zs := string(fasthttp.AppendZstdBytes(nil, []byte(long)))
	deflated := pack(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, long)
	raw := pack(func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 5); return z }, long)
	bomb := gz(strings.Repeat("\x00", 10<<20))
	upload := `{"url":"http://%s/","method":"POST","header":{"A":"b"},"body":"` + x(2<<20) + `"}`

	const (
		eof      = result.ClassEOF
		protocol = result.ClassProtocol
		tooLarge = result.ClassTooLarge
		timeout  = result.ClassTimeout
		badTLS   = result.ClassTLS
		status   = result.ClassStatus
		mismatch = result.ClassBodyMismatch
	)
	return []awkward{
		// Bodies and their ends.
		{name: "fine", serve: says(ok5), code: 200, n: 5},
		{name: "in single bytes", serve: in(strings.Split(ok5, "")...), code: 200, n: 5},
		{name: "empty", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), code: 200},
		{name: "until close", serve: says("HTTP/1.1 200 OK\r\n\r\nhello"), code: 200, n: 5},
		{name: "until close, nothing", serve: says("HTTP/1.1 200 OK\r\n\r\n"), code: 200},
		{name: "http 1.0", serve: says("HTTP/1.0 200 OK\r\n\r\nhello"), code: 200, n: 5},
		{name: "http 1.0 with length and keep-alive", serve: says("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"), code: 200, n: 5},
		{name: "http 1.0 says chunked", serve: says("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), code: 200, n: 15},
		{name: "body cut", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), class: eof},
		{name: "body reset", serve: func(c net.Conn) {
			io.WriteString(c,
				"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			reset(c)
		}, class: result.ClassReset},
		{name: "body longer than said", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more"),
			code: 200, n: 5},
		{name: "too large", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + x(2000)), tune: small,
			class: tooLarge},
		{name: "as large as may be", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + x(1000)), tune: small,
			code: 200, n: 1000},
		{name: "too large, and cut", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nhello"), tune: small,
			class: tooLarge},
		{name: "too large until close", serve: says("HTTP/1.1 200 OK\r\n\r\n" + x(2000)), tune: small, class: tooLarge},
		{name: "head", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
			task: `{"url":"http://%s/","method":"HEAD"}`, tune: small, code: 200},
		{name: "head with a body", serve: says(ok5), task: `{"url":"http://%s/","method":"HEAD"}`, code: 200},
		{name: "head, chunked", serve: says(chunked), task: `{"url":"http://%s/","method":"HEAD"}`, code: 200},
		{name: "204", serve: says("HTTP/1.1 204 No Content\r\n\r\n"), code: 204},
		{name: "204 with a body", serve: says("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"), code: 204},
		{name: "304 with a length", serve: says("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"), code: 304},
		{name: "205 with a body", serve: says("HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nab"), code: 205, n: 2},

		// Chunks.
		{name: "chunked", serve: says(chunked + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), code: 200, n: 5},
		{name: "chunked, nothing", serve: says(chunked + "0\r\n\r\n"), code: 200},
		{name: "chunk extensions", serve: says(chunked + "5;name=value;\"x\"\r\nhello\r\n0;end\r\n\r\n"), code: 200, n: 5},
		{name: "chunk size in capitals, with zeros", serve: says(chunked + "000A\r\n0123456789\r\n0\r\n\r\n"), code: 200,
			n: 10},
		{name: "space after a chunk size", serve: says(chunked + "5  \r\nhello\r\n0\r\n\r\n"), code: 200, n: 5},
		{name: "chunks with bare LF", serve: says(chunked + "5\nhello\n0\n\n"), class: protocol},
		{name: "bad chunk size", serve: says(chunked + "zz\r\nabc\r\n"), class: protocol},
		{name: "negative chunk size", serve: says(chunked + "-5\r\nhello\r\n0\r\n\r\n"), class: protocol},
		{name: "chunk size beyond 64 bits", serve: says(chunked + "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
			class: protocol},
		{name: "endless chunk size line", serve: says(chunked + "5;" + x(9000) + "\r\nhello\r\n0\r\n\r\n"), class: protocol},
		{name: "chunk longer than said", serve: says(chunked + "3\r\nhello\r\n0\r\n\r\n"), class: protocol},
		{name: "chunk cut", serve: says(chunked + "5\r\nab"), class: eof},
		{name: "no last chunk", serve: says(chunked + "5\r\nhello\r\n"), class: eof},
		{name: "no end after the last chunk", serve: says(chunked + "5\r\nhello\r\n0\r\n"), class: eof},
		{name: "trailer", serve: says("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), code: 200, n: 5},
		{name: "trailer that was not announced", serve: says(chunked + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), code: 200,
			n: 5},
		{name: "bad trailer", serve: says(chunked + "5\r\nhello\r\n0\r\nno colon\r\n\r\n"), class: protocol},
		{name: "endless trailer", serve: says(chunked + "0\r\nX: " + x(9000) + "\r\n\r\n"), class: protocol},
		{name: "too large in chunks", serve: says(chunked + "7d0\r\n" + x(2000) + "\r\n0\r\n\r\n"), tune: small,
			class: tooLarge},

		// Lengths that contradict.
		{name: "chunked and a length", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), code: 200, n: 5},
		{name: "two equal lengths", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
			code: 200, n: 5},
		{name: "two lengths", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nhello"),
			class: protocol},
		{name: "a list of lengths", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"), class: protocol},
		{name: "negative length", serve: says("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"), class: protocol},
		{name: "length that is no number", serve: says("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello"),
			class: protocol},
		{name: "empty length", serve: says("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello"), class: protocol},
		{name: "unknown transfer encoding", serve: says("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), class: protocol},
		{name: "chunked twice", serve: says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), class: protocol},
		{name: "identity", serve: says("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"),
			class: protocol},

		// Interim answers.
		{name: "100 first", serve: says("HTTP/1.1 100 Continue\r\n\r\n" + ok5), code: 200, n: 5},
		{name: "103 first, with headers", serve: says("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok5), code: 200,
			n: 5},
		{name: "102 and 103 first, apart", serve: in("HTTP/1.1 102 Processing\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n",
			ok5), code: 200, n: 5},
		{name: "only 100", serve: says("HTTP/1.1 100 Continue\r\n\r\n"), class: eof},
		{name: "switching protocols", serve: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello")
			silent(c)
		}, class: status, code: 101},
		{name: "endless interim answers", serve: func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: "+x(1000)+"\r\n\r\n"); err != nil {
					return
				}
			}
		}, class: tooLarge},

		// Status lines and headers.
		{name: "not found", serve: says("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"), class: status, code: 404,
			n: 2},
		{name: "status without a text", serve: says("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello"), code: 200, n: 5},
		{name: "unknown status", serve: says("HTTP/1.1 799 What\r\nContent-Length: 5\r\n\r\nhello"), class: status,
			code: 799, n: 5},
		{name: "two spaces before the status", serve: says("HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello"), code: 200,
			n: 5},
		{name: "status of two digits", serve: says("HTTP/1.1 20 OK\r\n\r\n"), class: protocol},
		{name: "status of four digits", serve: says("HTTP/1.1 2000 OK\r\n\r\n"), class: protocol},
		{name: "status that is no number", serve: says("HTTP/1.1 abc OK\r\n\r\n"), class: protocol},
		{name: "bad version", serve: says("HTTP/x.1 200 OK\r\n\r\n"), class: protocol},
		{name: "lower case version", serve: says("http/1.1 200 OK\r\n\r\n"), class: protocol},
		{name: "not http", serve: says("SSH-2.0-OpenSSH_9.6\r\n"), class: protocol},
		{name: "not http, and no line", serve: says("\x15\x03\x01\x00\x02\x02\x16"), class: protocol},
		{name: "empty lines first", serve: says("\r\n\r\n" + ok5), class: protocol},
		{name: "bare LF", serve: says("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"), code: 200, n: 5},
		{name: "folded header", serve: says("HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 5\r\n\r\nhello"),
			code: 200, n: 5},
		{name: "folded first line", serve: says("HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 5\r\n\r\nhello"),
			class: protocol},
		{name: "header without a colon", serve: says("HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 5\r\n\r\nhello"),
			class: protocol},
		{name: "header without a name", serve: says("HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 5\r\n\r\nhello"),
			class: protocol},
		{name: "space before the colon", serve: says("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello"), code: 200, n: 5},
		{name: "header beyond ASCII", serve: says("HTTP/1.1 200 OK\r\nX-A: \xe4\xf6\r\nContent-Length: 5\r\n\r\nhello"),
			code: 200, n: 5},
		{name: "header of 9 KiB", serve: says("HTTP/1.1 200 OK\r\nX-A: " + x(9<<10) + "\r\nContent-Length: 5\r\n\r\nhello"),
			code: 200, n: 5},
		{name: "a thousand headers", serve: says("HTTP/1.1 200 OK\r\n" + strings.Repeat("Set-Cookie: a=b\r\n", 1000) +
			"Content-Length: 5\r\n\r\nhello"), code: 200, n: 5},
		{name: "header of 200 KiB, chunked", serve: says("HTTP/1.1 200 OK\r\nX-A: " + x(200<<10) +
			"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), code: 200, n: 5},
		{name: "header of 300 KiB", serve: says("HTTP/1.1 200 OK\r\nX-A: " + x(300<<10) + "\r\n\r\n"), class: tooLarge},
		{name: "endless header", serve: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(c, "X-A: b\r\n"); err != nil {
					return
				}
			}
		}, class: tooLarge},

		// Connections.
		{name: "refused", task: "http://" + gone[0] + "/", class: result.ClassRefused},
		{name: "no such host", task: "http://no-such-host.invalid/", class: result.ClassDNS},
		{name: "closed at once", serve: func(net.Conn) {}, class: eof},
		{name: "reset", serve: reset, class: result.ClassReset},
		{name: "header cut", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"), class: eof},
		{name: "status line cut", serve: says("HTTP/1.1 2"), class: protocol},
		{name: "header reset", serve: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-"); reset(c) },
			class: protocol},
		{name: "silent", serve: silent, tune: short, class: timeout},
		{name: "silent in the header", serve: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "); silent(c) },
			tune: short, class: timeout},
		{name: "silent in the body", serve: func(c net.Conn) {
			io.WriteString(c,
				"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
			silent(c)
		}, tune: short, class: timeout},
		{name: "silent in a chunk", serve: func(c net.Conn) { io.WriteString(c, chunked+"5\r\nhel"); silent(c) },
			tune: short, class: timeout},
		{name: "silent in the trailer", serve: func(c net.Conn) {
			io.WriteString(c,
				chunked+"5\r\nhello\r\n0\r\n")
			silent(c)
		}, tune: short, class: timeout},
		{name: "dripping", serve: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
			for range 1000 {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}, tune: short, class: timeout},
		{name: "answer before the upload ends", serve: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
			io.Copy(io.Discard, c)
		}, task: upload, class: status, code: 413, n: 2},
		{name: "upload never read, answered", serve: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
			c.(*seen).CloseWrite()
			io.Copy(io.Discard, c)
		}, task: upload, class: status, code: 413, n: 2},
		{name: "upload never read", serve: func(c net.Conn) { <-time.After(5 * time.Second) }, task: upload, tune: short,
			class: timeout},
		{name: "upload", serve: func(c net.Conn) {
			req, err := http.ReadRequest(bufio.NewReader(c.(*seen).again()))
			if err == nil {
				io.Copy(io.Discard, req.Body)
				io.WriteString(c, ok5)
			}
		}, task: upload, code: 200, n: 5},

		// TLS.
		{name: "tls", serve: secure(good, nil), task: https, tune: trust, code: 200, n: 5},
		{name: "tls to plain", serve: says("HTTP/1.1 400 Bad Request\r\n\r\n"), task: https, class: badTLS},
		{name: "plain to tls", serve: says("\x15\x03\x01\x00\x02\x02\x16"), class: protocol},
		{name: "unknown authority", serve: secure(good, nil), task: https, class: badTLS},
		{name: "expired", serve: secure(ca.leaf(t, time.Now().Add(-time.Hour)), nil), task: https, tune: trust,
			class: badTLS},
		{name: "another host's certificate", serve: secure(ca.leaf(t, hour, "other.example"), nil), task: https,
			tune: trust, class: badTLS},
		{name: "another name is expected", serve: secure(ca.leaf(t, hour, "other.example"), nil), task: https,
			tune: func(t *testing.T, o *Options) { trust(t, o); o.ServerName = "other.example" }, code: 200, n: 5},
		{name: "any certificate", serve: secure(ca.leaf(t, time.Now().Add(-time.Hour), "x"), nil), task: https,
			tune: func(_ *testing.T, o *Options) { o.Insecure = true }, code: 200, n: 5},
		{name: "old version", serve: secure(good, func(c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10,
				tls.VersionTLS11
		}), task: https, tune: trust, class: badTLS},
		{name: "wants a certificate", serve: secure(good, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }),
			task: https, tune: trust, class: badTLS},
		{name: "wants a certificate, TLS 1.2", serve: secure(good,
			func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }), task: https,
			tune: trust, class: badTLS},
		{name: "gets a certificate", serve: secure(good, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }),
			task: https,
			tune: func(t *testing.T, o *Options) {
				trust(t, o)
				o.CertFile,
					o.KeyFile = files(t, ca.leaf(t, hour, "me"))
			}, code: 200, n: 5},
		{name: "silent handshake", serve: silent, task: https, tune: short, class: result.ClassConnectTimeout},
		{name: "handshake closed", serve: func(net.Conn) {}, task: https, class: eof},
		{name: "handshake reset", serve: reset, task: https, class: result.ClassReset},
		{name: "tls body cut without a word", serve: handshake(&tls.Config{Certificates: []tls.Certificate{good}},
			"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), task: https, tune: trust, class: eof},

		// Encodings.
		{name: "gzip as it is", serve: packed("gzip", gz(long)), code: 200, n: int64(len(gz(long)))},
		{name: "gzip", serve: packed("gzip", gz(long)), tune: decoding, code: 200, n: int64(len(gz(long))),
			more: `"size":10000`},
		{name: "deflate", serve: packed("deflate", deflated), tune: decoding, code: 200, n: int64(len(deflated)),
			more: `"size":10000`},
		{name: "deflate without a frame", serve: packed("deflate", raw), tune: decoding, code: 200, n: int64(len(raw)),
			more: `"size":10000`},
		{name: "br", serve: packed("br", br), tune: decoding, code: 200, n: int64(len(br)), more: `"size":10000`},
		{name: "zstd", serve: packed("zstd", zs), tune: decoding, code: 200, n: int64(len(zs)), more: `"size":10000`},
		{name: "gzip twice", serve: packed("gzip, gzip", gz(gz(long))), tune: decoding, code: 200,
			n: int64(len(gz(gz(long)))), more: `"size":10000`},
		{name: "says gzip and is not", serve: packed("gzip", "hello"), tune: decoding, class: protocol, code: 200, n: 5},
		{name: "gzip cut", serve: packed("gzip", gz(long)[:30]), tune: decoding, class: protocol, code: 200, n: 30},
		{name: "gzip with a wrong sum", serve: packed("gzip", gz(long)[:len(gz(long))-8]+"12345678"), tune: decoding,
			class: protocol, code: 200, n: int64(len(gz(long)))},
		{name: "gzip of nothing at all", serve: says("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"), tune: decoding, code: 200},
		{name: "unknown encoding", serve: packed("pack200", "hello"), tune: decoding, class: protocol, code: 200, n: 5},
		{name: "identity encoding", serve: packed("identity", "hello"), tune: decoding, code: 200, n: 5},
		{name: "bomb", serve: packed("gzip", bomb), tune: decoding, class: tooLarge, code: 200, n: int64(len(bomb))},
		{name: "gzip, head", serve: says("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99\r\n\r\n"),
			task: `{"url":"http://%s/","method":"HEAD"}`, tune: decoding, code: 200},

		// Redirects.
		{name: "redirect is not followed", serve: says("HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n"), code: 302},
		{name: "301", serve: moved("301 Moved", "/b?c"), tune: following, code: 200, n: 5, more: `/b?c"`, conns: 2},
		{name: "303", serve: moved("303 See Other", "b"), tune: following, code: 200, n: 5, more: `"hops":1`, conns: 2},
		{name: "307", serve: moved("307 Temporary", "../x"), tune: following, code: 200, n: 5, more: `"hops":1`, conns: 2},
		{name: "308 with a fragment", serve: moved("308 Permanent", "?#top"), tune: following, code: 200, n: 5, conns: 2},
		{name: "redirect without a place", serve: says("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), tune: following,
			code: 302},
		{name: "300 with a place", serve: says("HTTP/1.1 300 Choices\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"),
			tune: following, code: 300},
		{name: "redirect to another scheme", serve: says("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"), tune: following, class: protocol, code: 302},
		{name: "redirect to nonsense", serve: says("HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n"), tune: following, class: protocol, code: 302},
		{name: "redirect to nobody", serve: says("HTTP/1.1 302 Found\r\nLocation: http://" + gone[0] +
			"/\r\nContent-Length: 0\r\n\r\n"), tune: following, class: result.ClassRefused},
		{name: "loop", serve: says("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), tune: following, class: status, code: 302, more: "more than 3 redirects", conns: 4},

		// Rules.
		{name: "body as expected", serve: says(ok5), tune: func(_ *testing.T,
			o *Options) {
			o.Rules.Contains = []string{"ell"}
		}, code: 200, n: 5},
		{name: "body is another", serve: says(ok5), tune: func(_ *testing.T,
			o *Options) {
			o.Rules.Contains = []string{"good bye"}
		}, class: mismatch, code: 200, n: 5},
		{name: "body is another, in chunks", serve: says(chunked + "5\r\nhello\r\n0\r\n\r\n"),
			tune: func(_ *testing.T, o *Options) { o.Rules.MaxSize = 4 }, class: mismatch, code: 200, n: 5},
		{name: "body as expected once unpacked", serve: packed("gzip", gz(long)), tune: func(t *testing.T, o *Options) {
			decoding(t, o)
			o.Rules.Contains, o.Rules.MinSize = []string{long}, 10000
		}, code: 200, n: int64(len(gz(long)))},

		{name: "nonsense", task: "nonsense", class: result.ClassBadTask},
	}
}

// Both engines say the same of each server: status, size, success and class.
func TestAwkwardServers(t *testing.T) {
	quietLog(t)
	list := corpus(t)
	if len(list) < 60 {
		t.Errorf("%d servers, want 60", len(list))
	}
	limit := make(chan struct{}, 8) // the timeouts of some are short
	for _, tt := range list {
		for _, engine := range []string{EngineFast, EngineStd} {
			t.Run(engine+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				limit <- struct{}{}
				defer func() { <-limit }()
				tt.check(t, engine)
			})
		}
	}
}

func (tt *awkward) check(t *testing.T, engine string) {
	opt := Options{Engine: engine, Timeout: 20 * time.Second}
	if tt.tune != nil {
		tt.tune(t, &opt)
	}
	task := tt.task
	var conns *atomic.Int32
	if tt.serve != nil {
		var addr string
		addr, conns = raw(t, tt.serve)
		if task == "" {
			task = "http://%s/?q=1"
		}
		task = strings.Replace(task, "%s", addr, 1)
	}
	got, rec := once(t, opt, task)
	if i := strings.Index(rec, `"o":`); i > 0 && len(rec) > 1000 {
		rec = rec[i:]
	}
	if got.Class != tt.class || got.Code != tt.code || got.Bytes != tt.n || got.OK != (tt.class == "") ||
		!strings.Contains(rec, tt.more) {
		t.Errorf("%s\nwant err %q code %d n %d %s", rec, tt.class, tt.code, tt.n, tt.more)
	}
	if want := max(tt.conns, 1); conns != nil && conns.Load() != want {
		t.Errorf("%d connections, want %d: nothing is sent twice", conns.Load(), want)
	}
	if strings.Contains(rec, "->") {
		t.Errorf("%s names an ephemeral port", rec)
	}
}

// After an odd answer that has a clear end the connection is used again, and the next answer is
// read from where it begins.
func TestKeptAfterOddAnswers(t *testing.T) {
	get, head := `{"url":"http://%s/"}`, `{"url":"http://%s/","method":"HEAD"}`
	for _, tt := range []struct{ name, task, answer string }{
		{"trailer", get, chunked + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"chunk extension", get, chunked + "5;a=b\r\nhello\r\n0\r\n\r\n"},
		{"bare LF", get, "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"},
		{"folded", get, "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello"},
		{"two equal lengths", get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
		{"long header", get, "HTTP/1.1 200 OK\r\nX: " + x(20<<10) + "\r\nContent-Length: 5\r\n\r\nhello"},
		{"long header, chunked", get, "HTTP/1.1 200 OK\r\nX: " + x(20<<10) +
			"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"},
		{"interim", get, "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{"204", get, "HTTP/1.1 204 No Content\r\n\r\n"},
		{"304 with a length", get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"},
		{"head with a length", head, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"},
		{"head, chunked", head, chunked},
		{"http 1.0 with keep-alive", get, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"},
		{"body of a large answer", get, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + x(100_000)},
		{"not found", get, "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno"},
	} {
		for _, engine := range engines {
			t.Run(tt.name+"/"+engine, func(t *testing.T) {
				addr, conns := raw(t, func(c net.Conn) {
					io.WriteString(c, tt.answer)
					if n, _ := c.Read(make([]byte, 4096)); n > 0 {
						io.WriteString(c, ok5)
					}
					silent(c)
				})
				h := newFetcher(t, Options{Engine: engine, Capture: CaptureText}).newHandler()
				first, rec := one(t, h, strings.Replace(tt.task, "%s", addr, 1))
				got, rec2 := one(t, h, "http://"+addr)
				h.Close()
				if first.Code == 0 || !got.OK || !strings.Contains(rec2, `"body":"hello"`) || conns.Load() != 1 {
					t.Errorf("%d connections, %.200s then %s", conns.Load(), rec, rec2)
				}
			})
		}
	}
}
