package dispatch

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// A Request makes of a task's URL a request with a method, headers, a body or a time-out: the
// task's body is then {"url", "method", "header", "body", "timeout"} as JSON. It is read-only once
// made.
type Request struct {
	Method  string // "" means GET
	Header  []Field
	Body    *Template // nil for none
	Timeout time.Duration
}

// A Field is one header of a Request.
type Field struct {
	Name  string
	Value *Template
}

// ParseField reads "Name: value", where value is a template. The error has code bad_request, or is
// a
// *TemplateError.
func ParseField(s string) (Field, error) {
	name, value, ok := strings.Cut(s, ":")
	if name = strings.TrimSpace(name); !ok || !isToken(name) {
		return Field{}, glassq.Errorf(glassq.CodeBadRequest, "header %.80q is not like 'Name: value'", s)
	}
	t, err := ParseTemplate(strings.TrimSpace(value))
	return Field{name, t}, err
}

// CheckMethod refuses what is no HTTP method. The error has code bad_request.
func CheckMethod(s string) error {
	if !isToken(s) {
		return glassq.Errorf(glassq.CodeBadRequest, "method %.40q is not one word like POST", s)
	}
	return nil
}

// isToken reports whether s is a token of HTTP.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// A maker makes bodies of records.
type maker struct {
	tmpl    *Template // nil: the line, or the row as a JSON object
	req     *Request  // nil: the body is a URL, or whatever the template says
	columns []string  // of CSV
	keys    *Key      // nil: tasks have no keys but their own
	last    string    // the last key
	scratch []byte
	fields  []pair // likewise
}

// templates are all templates of m.
func (m *maker) templates() []*Template {
	all := []*Template{m.tmpl}
	if m.req != nil {
		all = append(all, m.req.Body)
		for _, f := range m.req.Header {
			all = append(all, f.Value)
		}
	}
	return all
}

// needsColumns reports whether a template has {col:name}.
func (m *maker) needsColumns() bool {
	for _, t := range m.templates() {
		if t != nil && t.cols {
			return true
		}
	}
	return false
}

// bind finds the columns of all templates.
func (m *maker) bind(header []string) error {
	m.columns = header
	var err error
	if m.tmpl, err = m.tmpl.bind(header); err != nil || m.req == nil {
		return err
	}
	req := *m.req
	if req.Body, err = req.Body.bind(header); err != nil {
		return err
	}
	req.Header = append([]Field(nil), req.Header...)
	for i := range req.Header {
		f := &req.Header[i]
		if f.Value, err = f.Value.bind(header); err != nil {
			return err
		}
	}
	m.req = &req
	return nil
}

// append appends the body of a record. The error has code too_large; then dst is as it was.
func (m *maker) append(dst []byte, r *record) ([]byte, error) {
	start := len(dst)
	if dst = m.body(dst, r); len(dst)-start > glassq.HardMaxBody {
		return dst[:start], glassq.Errorf(glassq.CodeTooLarge,
			"a body of more than %d bytes, the most that any queue takes", glassq.HardMaxBody)
	}
	return dst, nil
}

func (m *maker) body(dst []byte, r *record) []byte {
	switch {
	case m.req != nil:
		return m.request(dst, r)
	case m.tmpl != nil:
		return m.tmpl.Append(dst, r)
	case m.columns != nil:
		return m.object(dst, r.row)
	}
	return append(dst, r.line...)
}

// contentType is that of a body that append has made.
func (m *maker) contentType(body []byte) string {
	switch {
	case m.req != nil || m.tmpl == nil && m.columns != nil:
		return glassq.TypeJSON
	case !utf8.Valid(body):
		return glassq.TypeOctets
	}
	return glassq.TypeText
}

func (m *maker) request(dst []byte, r *record) []byte {
	m.scratch = m.scratch[:0]
	text := func(t *Template) []byte {
		from := len(m.scratch)
		m.scratch = t.Append(m.scratch, r)
		return m.scratch[from:]
	}
	url := r.line
	if m.tmpl != nil {
		url = text(m.tmpl)
	}
	m.fields = m.fields[:0]
	for _, f := range m.req.Header {
		if len(m.scratch) > glassq.HardMaxBody {
			break // what there is now is no body already
		}
		m.fields = append(m.fields, pair{f.Name, text(f.Value)})
	}
	var body []byte
	if m.req.Body != nil {
		body = text(m.req.Body)
	}
	dst = appendRequest(dst, url, m.req.Method, m.fields, body)
	if m.req.Timeout > 0 {
		dst = strconv.AppendQuote(append(dst[:len(dst)-1], `,"timeout":`...), m.req.Timeout.String())
		dst = append(dst, '}')
	}
	return dst
}

// A pair is a header field as it is sent.
type pair struct {
	name  string
	value []byte
}

// appendRequest appends the body of a task that is a request. Fields of one name become a list, in
// their order. It ends soon after glassq.HardMaxBody bytes.
func appendRequest(dst, url []byte, method string, header []pair, body []byte) []byte {
	end := len(dst) + glassq.HardMaxBody
	dst = jsonline.AppendString(append(dst, `{"url":`...), url)
	if method != "" {
		dst = jsonline.AppendString(append(dst, `,"method":`...), []byte(method))
	}
	open := `,"header":{`
	for i, f := range header {
		same := func(g pair) bool { return strings.EqualFold(f.name, g.name) }
		if slices.ContainsFunc(header[:i], same) {
			continue // it is there
		}
		if len(dst) > end {
			return dst
		}
		dst = append(jsonline.AppendString(append(dst, open...), []byte(f.name)), ':')
		open = ","
		if !slices.ContainsFunc(header[i+1:], same) {
			dst = jsonline.AppendString(dst, f.value)
			continue
		}
		sep := byte('[')
		for _, g := range header[i:] {
			if same(g) {
				dst = jsonline.AppendString(append(dst, sep), g.value)
				sep = ','
			}
		}
		dst = append(dst, ']')
	}
	if open == "," {
		dst = append(dst, '}')
	}
	switch {
	case len(body) == 0:
	case utf8.Valid(body):
		dst = jsonline.AppendString(append(dst, `,"body":`...), body)
	default:
		dst = base64.StdEncoding.AppendEncode(append(dst, `,"b64":"`...), body)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// object appends a row as a JSON object of texts.
func (m *maker) object(dst []byte, row []string) []byte {
	dst = append(dst, '{')
	for i, name := range m.columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsonline.AppendString(dst, []byte(name)), ':')
		dst = jsonline.AppendString(dst, []byte(row[i]))
	}
	return append(dst, '}')
}

// describe adds to a fingerprint what else m makes bodies of.
func (m *maker) describe() string {
	s := ""
	if m.tmpl != nil {
		s += " template " + shorten(m.tmpl.text)
	}
	if m.req == nil {
		return s
	}
	all := m.req.Method
	for _, f := range m.req.Header {
		all += "\n" + f.Name + ": " + f.Value.text
	}
	if m.req.Body != nil {
		all += "\n\n" + m.req.Body.text
	}
	return s + " request " + digest(all+"\x00"+m.req.Timeout.String())
}
