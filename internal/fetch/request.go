package fetch

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq/internal/jsonline"
)

// A request is a parsed task. Its byte slices belong to the task's body or to the handler.
type request struct {
	url     []byte // whole, as given
	tls     bool
	host    []byte // host[:port] as in the URL
	target  []byte // path and query as sent, "" means "/"; not cleaned up
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

// setURL cuts the URL into what goes on the wire, without cleaning it up.
func (r *request) setURL(u []byte) error {
	r.url = u
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
		if c >= utf8.RuneSelf {
			r.odd = "a url beyond ASCII"
		}
	}
	if i := bytes.IndexByte(rest, '#'); i >= 0 {
		rest = rest[:i]
	}
	r.host = rest
	if i := bytes.IndexAny(rest, "/?"); i >= 0 {
		r.host, r.target = rest[:i], rest[i:]
	}
	if bytes.IndexByte(r.host, '@') >= 0 {
		r.odd = "user and password in the url"
	} else if !plainHost(r.host) {
		r.odd = "an unusual host"
	}
	if r.odd != "" || bytes.IndexByte(r.target, '%') >= 0 {
		p, err := url.Parse(string(u))
		if err != nil {
			return fmt.Errorf("url does not parse: %w", bare(err))
		}
		if p.Host == "" {
			return errors.New("the url has no host")
		}
	}
	return nil
}

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
	if n > 65535 {
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

// parseJSON reads {"url", "method", "header", "body", "timeout"}. A header is a string or a list of
// strings. A body is text, or any JSON to be sent as JSON; in a vegeta target, known by its lists of
// header values or by a method without any header, a body that is base64 is decoded; give a header
// with a plain string to say that such a body is text.
func (r *request) parseJSON(body []byte) error {
	var t struct {
		URL     string                     `json:"url"`
		Method  string                     `json:"method"`
		Header  map[string]json.RawMessage `json:"header"`
		Headers map[string]json.RawMessage `json:"headers"`
		Body    json.RawMessage            `json:"body"`
		B64     []byte                     `json:"b64"`
		Timeout json.RawMessage            `json:"timeout"`
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return fmt.Errorf("task does not parse: %w", err)
	}
	if err := r.setURL([]byte(t.URL)); err != nil {
		return err
	}
	r.method = t.Method
	if !isToken(t.Method) && t.Method != "" {
		return fmt.Errorf("bad method %.40q", t.Method)
	}
	switch t.Method {
	case "CONNECT":
		r.odd = oddMethod
	}
	if len(t.Header) == 0 {
		t.Header = t.Headers
	}
	lists, err := r.setHeader(t.Header)
	if err != nil {
		return err
	}
	r.body = t.B64
	if len(t.Body) > 0 && string(t.Body) != "null" {
		if err := r.setBody(t.Body, lists || len(t.Header) == 0 && t.Method != ""); err != nil {
			return err
		}
	}
	return r.setTimeout(t.Timeout)
}

func (r *request) setBody(raw json.RawMessage, vegeta bool) error {
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
	if vegeta {
		if b, err := base64.StdEncoding.DecodeString(s); err == nil {
			r.body = b
		}
	}
	return nil
}

func (r *request) setTimeout(raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	r.timeout, _ = jsonline.Duration(raw)
	if r.timeout <= 0 || r.timeout > 24*time.Hour {
		return fmt.Errorf("timeout %.40s is neither a duration like \"250ms\" nor a number of seconds, up to 24h", raw)
	}
	return nil
}

// setHeader sorts and checks the fields, and tells whether all of them were lists.
func (r *request) setHeader(header map[string]json.RawMessage) (lists bool, err error) {
	lists = len(header) > 0
	for name, raw := range header {
		var values []string
		if len(raw) > 0 && raw[0] == '"' {
			lists = false
			values = make([]string, 1)
			err = json.Unmarshal(raw, &values[0])
		} else {
			err = json.Unmarshal(raw, &values)
		}
		if err != nil {
			return false, fmt.Errorf("header %.40q is neither a string nor a list of strings", name)
		}
		if !isToken(name) {
			return false, fmt.Errorf("bad header name %.40q", name)
		}
		switch strings.ToLower(name) {
		case "content-length": // the body says it
			continue
		case "connection", "transfer-encoding", "expect", "upgrade", "te", "trailer", "keep-alive", "host",
			"proxy-connection", "proxy-authorization":
			r.odd = oddHeader + strings.ToLower(name)
		}
		for _, v := range values {
			if !validValue(v) {
				return false, fmt.Errorf("header %.40q has control characters in its value", name)
			}
			r.header = append(r.header, field{name, v})
		}
	}
	slices.SortStableFunc(r.header, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return lists, nil
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
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
