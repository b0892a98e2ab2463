package fetch

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
)

// How the fast engine reads an answer. Usual answers go to fasthttp's parser of headers. Where
// that refuses, or is known to take more than net/http does, net/http reads the same bytes and has
// the last word, so that both engines say the same of every server.

// maxHeader bounds the header of an answer, interim ones included, in both engines.
const maxHeader = 256 << 10

// statusSize is the length of the shortest status line, "HTTP/1.1 200" and an end.
const statusSize = 13

// read reads the answer to a request of method, and tells whether the connection can be used again.
func (e *fastEngine) read(c *conn, method string, a *answer) (keep bool, err error) {
	c.seen = int64(c.br.Buffered())
	for {
		b, err := c.br.Peek(statusSize)
		if len(b) == 0 {
			return false, err
		}
		if err != nil && isTimeout(err) {
			return false, err
		}
		b, _ = c.br.Peek(c.br.Buffered())
		if n := len(e.same); n > 0 && len(b) >= n && bytes.Equal(b[:n], e.same) {
			c.br.Discard(n) // head says it already
		} else if slow, err := e.parse(c, b); err != nil {
			return false, err
		} else if slow {
			return e.readSlowly(c, method, a)
		}
		a.code = e.head.StatusCode()
		if a.code >= 200 || a.code == http.StatusSwitchingProtocols {
			break
		}
		if c.seen-int64(c.br.Buffered()) > maxHeader {
			return false, errHeader
		}
	}
	e.f.note(a, e.values)
	keep = !e.head.ConnectionClose()
	if method == http.MethodHead || a.code == http.StatusNoContent || a.code == http.StatusNotModified {
		return keep, nil
	}
	if a.code == http.StatusSwitchingProtocols {
		return false, nil // what follows is no answer
	}
	switch size := int64(e.head.ContentLength()); {
	case size >= 0:
		err = e.readSized(c, size, a)
	case size == -1:
		if err = e.readBody(httputil.NewChunkedReader(c.br), a); err == nil {
			err = readTrailer(c.br)
		}
	default:
		keep = false
		err = e.readBody(c.br, a)
	}
	return keep, err
}

// values are those of a field of the header.
func (e *fastEngine) values(name string) (list []string) {
	if name == "Set-Cookie" {
		for _, v := range e.head.Cookies() {
			list = append(list, string(v))
		}
		return list
	}
	for _, v := range e.head.PeekAll(name) {
		list = append(list, string(v))
	}
	return list
}

// parse reads the header that b, all that is there, begins with. slow means that net/http is to
// read it.
func (e *fastEngine) parse(c *conn, b []byte) (slow bool, err error) {
	e.same = e.same[:0]
	end := plainHeader(b)
	if end < 0 {
		return true, nil
	}
	if end <= maxSame {
		e.same = append(e.same, b[:end]...) // before the parser has the buffer
	}
	before := c.br.Buffered()
	err = e.head.Read(c.br)
	if err != nil || before-c.br.Buffered() != end {
		e.same = e.same[:0] // fasthttp also takes an empty line without \r for the end
	}
	if err != nil {
		if c.err != nil && isTimeout(c.err) {
			return false, c.err
		}
		return true, nil
	}
	return false, nil
}

// plainHeader returns where the header ends that b begins with; -1 if it is not whole, or has what
// fasthttp reads in another way than net/http: it takes "Content-Length : 5" for a length.
func plainHeader(b []byte) int {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < statusSize-1 || !plainStatus(b) {
		return -1
	}
	for at := 0; ; {
		i := bytes.IndexByte(b[at:end], ':')
		if i < 0 {
			return end + len("\r\n\r\n")
		}
		if at += i; b[at-1] == ' ' || b[at-1] == '\t' {
			return -1
		}
		at++
	}
}

// plainStatus reports whether b begins like "HTTP/1.1 200 ".
func plainStatus(b []byte) bool {
	if string(b[:7]) != "HTTP/1." || b[7] != '0' && b[7] != '1' || b[8] != ' ' {
		return false
	}
	for _, c := range b[9:12] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return b[9] != '0' && (b[12] == ' ' || b[12] == '\r')
}

// readSlowly has net/http read the answer.
func (e *fastEngine) readSlowly(c *conn, method string, a *answer) (keep bool, err error) {
	c.limit = maxHeader
	req := &http.Request{Method: method}
	var resp *http.Response
	for {
		resp, err = http.ReadResponse(c.br, req)
		if err != nil {
			return false, err
		}
		if resp.StatusCode < 100 || resp.StatusCode > 199 || resp.StatusCode == http.StatusSwitchingProtocols {
			break
		}
	}
	c.limit = 0
	a.code = resp.StatusCode
	e.f.note(a, resp.Header.Values)
	if a.code == http.StatusSwitchingProtocols {
		return false, nil
	}
	if resp.ContentLength > e.f.opt.MaxBody {
		return false, errTooLarge
	}
	return !resp.Close, e.readBody(resp.Body, a)
}

// readSized reads a body of size bytes.
func (e *fastEngine) readSized(c *conn, size int64, a *answer) error {
	if size > e.f.opt.MaxBody {
		return errTooLarge
	}
	a.n = size
	if !e.f.wants(a.encoding) {
		n, err := c.br.Discard(int(size))
		if err == io.EOF && int64(n) < size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	e.body.Reset()
	n, err := io.CopyN(&e.body, c.br, size)
	if err == io.EOF && n < size {
		err = io.ErrUnexpectedEOF
	}
	a.body = e.body.Bytes()
	return err
}

// readBody reads a body to its end.
func (e *fastEngine) readBody(r io.Reader, a *answer) (err error) {
	a.n, a.body, err = e.f.readBody(r, &e.body, a.encoding)
	return err
}

// readBody reads r to its end, into buf if something wants the body, and returns how long it was.
func (f *Fetcher) readBody(r io.Reader, buf *bytes.Buffer, encoding string) (n int64, body []byte, err error) {
	limit := io.LimitReader(r, f.opt.MaxBody+1)
	if f.wants(encoding) {
		buf.Reset()
		n, err = buf.ReadFrom(limit)
		body = buf.Bytes()
	} else {
		n, err = io.Copy(io.Discard, limit)
	}
	if err == nil && n > f.opt.MaxBody {
		err = errTooLarge
	}
	return n, body, err
}

// errTrailer is of what follows the last chunk.
var errTrailer = errors.New("suspiciously long trailer after a chunked body")

// readTrailer reads what follows the last chunk: mostly an empty line. As in net/http the fields of
// a trailer fit into 4 KiB.
func readTrailer(br *bufio.Reader) error {
	b, err := br.Peek(2)
	switch {
	case string(b) == "\r\n":
		br.Discard(2) // they are there
		return nil
	case len(b) < 2 && (err == nil || err == io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	}
	for size := 4; ; size++ {
		b, err := br.Peek(size)
		if bytes.HasSuffix(b, []byte("\r\n\r\n")) {
			break
		}
		if err != nil || size == 4<<10 {
			return errTrailer
		}
	}
	if _, err := textproto.NewReader(br).ReadMIMEHeader(); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}
