package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/jsonline"
)

// A request is a parsed task. Its byte slices belong to the task's body or to the handler.
type request struct {
	url     []byte // as it is sent: without a fragment, escaped where it must be
	tls     bool
	host    []byte // host[:port] as in the URL
	target  []byte // its path and query, "" means "/"; not cleaned up
	method  string // "" means GET
	header  []field
	body    []byte
	timeout time.Duration // 0 means the fetcher's
	odd     string        // why only std can do it, "" if both can
}

// oddHeader begins a request's odd when that is about a header, oddMethod is one about the method.
const (
	oddHeader = "header "
	oddMethod = "method CONNECT"
)

type field struct{ name, value string }

var (
	errNoURL  = errors.New("no url: a task is a URL or a JSON object with url")
	errScheme = errors.New("the url begins with neither http:// nor https://")
)

// parse reads a task's body. The request is valid until the next call and while body is.
func (h *handler) parse(body []byte) (*request, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, errNoURL
	}
	if body[0] != '{' {
		if body[0] == '"' { // a URL as a JSON string, as Python's json makes it
			var s string
			if err := json.Unmarshal(body, &s); err != nil {
				return nil, fmt.Errorf("task is not a URL: %w", err)
			}
			body = []byte(s)
		}
		h.pure = request{}
		return &h.pure, h.pure.setURL(body)
	}
	h.req = request{}
	return &h.req, h.req.parseJSON(body)
}

// setURL cuts the URL into what goes on the wire. Both engines send what it makes, so it alone
// decides what is escaped; see escape.
func (r *request) setURL(u []byte) error {
	var rest []byte
	switch {
	case hasPrefixFold(u, "http://"):
		rest = u[len("http://"):]
	case hasPrefixFold(u, "https://"):
		rest = u[len("https://"):]
		r.tls = true
	case len(u) == 0:
		return errNoURL
	default:
		return errScheme
	}
	for _, c := range u {
		if c <= ' ' || c == 0x7f {
			return fmt.Errorf("url has a space or control character: %.60q", u)
		}
	}
	if i := bytes.IndexByte(rest, '#'); i >= 0 {
		rest, u = rest[:i], u[:len(u)-len(rest)+i]
	}
	r.host = rest
	if i := bytes.IndexAny(rest, "/?"); i >= 0 {
		r.host, r.target = rest[:i], escape(rest[i:])
	}
	r.url = u
	if n := len(rest) - len(r.host); len(r.target) != n { // something was escaped
		r.url = slices.Concat(u[:len(u)-n], r.target)
	}
	if bytes.IndexByte(r.host, '@') >= 0 {
		r.odd = "user and password in the url"
	} else if !plainHost(r.host) {
		r.odd = "an unusual host"
	}
	if r.odd == "" && bytes.IndexByte(r.target, '%') < 0 {
		return nil
	}
	p, err := url.Parse(string(r.url))
	if err != nil {
		if i := bytes.IndexByte(r.host, '%'); i >= 0 && bytes.IndexByte(r.host, '[') < 0 {
			return fmt.Errorf("the host of the url has %.3q in it: write its letters as they are", r.host[i:])
		}
		return fmt.Errorf("url does not parse: %w", bare(err))
	}
	if p.Host == "" {
		return errors.New("the url has no host")
	}
	if port := p.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %.20s is not between 1 and 65535", port)
		}
	}
	return nil
}

// escape returns a part of a URL in which all is escaped that a URL cannot hold (RFC 3986), and
// nothing else is touched: an escape stays as it was written, and what may stand as it is does.
// text itself is returned when there is nothing to escape.
func escape(text []byte) []byte {
	n := 0
	for _, c := range text {
		if unfitForURL[c] {
			n++
		}
	}
	if n == 0 {
		return text
	}
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(text)+2*n)
	for _, c := range text {
		if unfitForURL[c] {
			out = append(out, '%', hex[c>>4], hex[c&15])
		} else {
			out = append(out, c)
		}
	}
	return out
}

// unfitForURL holds the bytes that no part of a URL can have.
var unfitForURL = func() (unfit [256]bool) {
	for c := range unfit {
		unfit[c] = c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", byte(c)) >= 0
	}
	return unfit
}()

// plainHost reports whether host is letters, digits, dots and hyphens, with a port or not.
func plainHost(host []byte) bool {
	name, port, colon := bytes.Cut(host, []byte(":"))
	if len(name) == 0 || colon && len(port) == 0 {
		return false
	}
	n := 0
	for _, c := range port {
		if c < '0' || c > '9' || n > 65535 {
			return false
		}
		n = n*10 + int(c-'0')
	}
	if n > 65535 || colon && n == 0 {
		return false
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func hasPrefixFold(b []byte, prefix string) bool {
	if len(b) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// bare drops the URL from an error of net/url: the result names it already.
func bare(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}

// parseJSON reads {"url", "method", "header", "body", "timeout"}, whose names may be in capitals. A
// header is a string or a list of strings. A body is text, or any JSON to be sent as JSON; b64
// holds one of bytes. A member that comes twice is an error: nobody knows which was meant.
func (r *request) parseJSON(body []byte) error {
	var address, method string
	var header, headers, text, timeout json.RawMessage
	var b64 []byte
	err := members(body, func(name string, v json.RawMessage) error {
		var to any
		switch strings.ToLower(name) {
		case "url":
			to = &address
		case "method":
			to = &method
		case "header":
			to = &header
		case "headers":
			to = &headers
		case "body":
			to = &text
		case "b64":
			to = &b64
		case "timeout":
			to = &timeout
		default:
			return nil
		}
		if err := json.Unmarshal(v, to); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}, strings.ToLower)
	if err != nil {
		return fmt.Errorf("task does not parse: %w", err)
	}
	if err := r.setURL([]byte(address)); err != nil {
		return err
	}
	r.method = method
	if !isToken(method) && method != "" {
		return fmt.Errorf("bad method %.40q", method)
	}
	if method == "CONNECT" {
		r.odd = oddMethod
	}
	if header == nil {
		header = headers
	} else if headers != nil {
		return errors.New("task has both header and headers")
	}
	if err := r.setHeader(header); err != nil {
		return err
	}
	switch r.body = b64; {
	case isNull(text):
	case b64 != nil:
		return errors.New("task has both body and b64")
	default:
		if err := r.setBody(text); err != nil {
			return err
		}
	}
	return r.setTimeout(timeout)
}

// members gives the members of a JSON object to each, in their order. Two names for which same
// returns one text are an error; nil compares them as they are.
func members(object []byte, each func(name string, value json.RawMessage) error, same func(string) string) error {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		name := t.(string) // a member begins with nothing else
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		key := name
		if same != nil {
			key = same(name)
		}
		if seen[key] {
			return fmt.Errorf("%.40q comes twice", name)
		}
		seen[key] = true
		if err := each(name, value); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something follows the object")
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func (r *request) setBody(raw json.RawMessage) error {
	if raw[0] != '"' {
		r.body = raw
		if !slices.ContainsFunc(r.header, func(f field) bool { return strings.EqualFold(f.name, "Content-Type") }) {
			r.header = append(r.header, field{"Content-Type", "application/json"})
		}
		return nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("body does not parse: %w", err)
	}
	r.body = []byte(s)
	return nil
}

func (r *request) setTimeout(raw json.RawMessage) error {
	if isNull(raw) {
		return nil
	}
	r.timeout, _ = jsonline.Duration(raw)
	if r.timeout <= 0 || r.timeout > 24*time.Hour {
		return fmt.Errorf("timeout %.40s is neither a duration like \"250ms\" nor a number of seconds, up to 24h", raw)
	}
	return nil
}

// setHeader checks the fields and keeps them in their order.
func (r *request) setHeader(header json.RawMessage) error {
	if isNull(header) {
		return nil
	}
	err := members(header, func(name string, raw json.RawMessage) (err error) {
		values := make([]string, 1)
		if raw[0] == '"' {
			err = json.Unmarshal(raw, &values[0])
		} else {
			err = json.Unmarshal(raw, &values)
		}
		if err != nil {
			return fmt.Errorf("%.40q is neither a string nor a list of strings", name)
		}
		if !isToken(name) {
			return fmt.Errorf("bad name %.40q", name)
		}
		switch lower := strings.ToLower(name); lower {
		case "content-length": // the body says it
			return nil
		case "host", "user-agent":
			if len(values) > 1 {
				return fmt.Errorf("%s has one value, not %d", name, len(values))
			}
			if lower == "host" {
				r.odd = oddHeader + lower
			}
		case "connection", "transfer-encoding", "expect", "upgrade", "te", "trailer", "keep-alive",
			"proxy-connection", "proxy-authorization":
			r.odd = oddHeader + lower
		}
		for _, v := range values {
			if !validValue(v) {
				return fmt.Errorf("%.40q has control characters in its value", name)
			}
			r.header = append(r.header, field{name, strings.Trim(v, " \t")})
		}
		return nil
	}, nil)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return nil
}

func validValue(v string) bool {
	for i := range len(v) {
		if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
			return false
		}
	}
	return true
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
