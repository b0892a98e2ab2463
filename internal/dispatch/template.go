package dispatch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/internal/template"
)

// A Template makes bodies from numbers and lines:
//
//	{0}     the number            {0:06}   at least six digits, zeros in front
//	{line}  the line of the file  {{ }}    a brace
//	{col:name}  the column of that name in a row of CSV
//
// Values are escaped for use in a URL, wherever in it they stand: every byte but A-Z a-z 0-9 - _ .
// ~ becomes %XX. With an equals sign, {=0}, {=line} or {=col:name}, they are taken as they are;
// only in a string of a template that is JSON do they become what JSON writes for them there, so
// that no value ends its string. A Template is read-only once parsed.
type Template struct {
	text  string
	parts []part
	line  bool // has {line}
	cols  bool // has {col:name}
	size  int  // bytes of the literal parts
}

// A part is a literal followed by a value.
type part struct {
	lit  string
	kind partKind
	pad  int    // digits at least, for numbers
	raw  bool   // not escaped
	json bool   // raw, but in a string of JSON
	name string // of a column
	col  int    // its place in a row; see bind
}

type partKind uint8

const (
	partEnd    partKind = iota // no value follows
	partNumber                 // {0}
	partLine                   // {line}
	partCol                    // {col:name}
)

const maxPad = template.MaxDigits

// A TemplateError tells where a template stopped making sense.
type TemplateError struct {
	Template string
	Pos      int // byte from 1
	Reason   string
}

func (e *TemplateError) Error() string {
	return fmt.Sprintf("template %q, character %d: %s", e.Template, e.Pos, e.Reason)
}

// Literal is a template of text alone, whatever braces it has.
func Literal(text string) *Template {
	t := &Template{text: text}
	t.add(part{lit: text})
	return t
}

// Join makes one template of several, with sep between them.
func Join(sep string, list []*Template) *Template {
	t := &Template{}
	for i, one := range list {
		if i > 0 {
			t.text += sep
			t.add(part{lit: sep})
		}
		t.text += one.text
		for _, p := range one.parts {
			t.add(p)
		}
	}
	return t
}

// ParseData reads a template in which all braces but those of values stand for themselves, as in
// JSON.
func ParseData(s string) *Template {
	t := &Template{text: s}
	from := 0
	for i := 0; i < len(s); i++ {
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			break
		}
		if s[i] != '{' {
			continue
		}
		if p, reason := parseValue(s[i+1 : i+end]); reason == "" {
			p.lit = s[from:i]
			t.add(p)
			i += end
			from = i + 1
		}
	}
	t.add(part{lit: s[from:]})
	t.findStrings()
	return t
}

// ParseTemplate reads a template. The error is a *TemplateError.
func ParseTemplate(s string) (*Template, error) {
	t := &Template{text: s}
	fail := func(i int, format string, args ...any) (*Template, error) {
		return nil, &TemplateError{Template: s, Pos: i + 1, Reason: fmt.Sprintf(format, args...)}
	}
	var lit strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c != '{' && c != '}':
			lit.WriteByte(c)
			i++
		case i+1 < len(s) && s[i+1] == c:
			lit.WriteByte(c)
			i += 2
		case c == '}':
			return fail(i, "a } without its {; write }} for a brace")
		default:
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return fail(i, "a { without its }; write {{ for a brace")
			}
			name := s[i+1 : i+end]
			p, reason := parseValue(name)
			if reason != "" {
				return fail(i, "{%.40s} %s; write {{ for a brace", name, reason)
			}
			p.lit = lit.String()
			lit.Reset()
			t.add(p)
			i += end + 1
		}
	}
	t.add(part{lit: lit.String()})
	t.findStrings()
	return t, nil
}

// findStrings notes which values stand in a string of a template that is JSON.
func (t *Template) findStrings() {
	if !json.Valid(t.Append(nil, nil)) {
		return
	}
	inside, escaped := false, false
	for i := range t.parts {
		p := &t.parts[i]
		for _, c := range []byte(p.lit) {
			if c == '"' && !escaped {
				inside = !inside
			}
			escaped = c == '\\' && !escaped
		}
		p.json = p.raw && inside
	}
}

func (t *Template) add(p part) {
	t.parts = append(t.parts, p)
	t.size += len(p.lit)
	t.line = t.line || p.kind == partLine
	t.cols = t.cols || p.kind == partCol
}

// parseValue reads what stands between braces; a reason that is not "" says what is wrong with it.
func parseValue(s string) (p part, reason string) {
	s, p.raw = strings.CutPrefix(s, "=")
	name, pad, padded := strings.Cut(s, ":")
	switch name {
	case "col":
		if pad == "" {
			return p, "names no column: write {col:name} with a name of the first row of the CSV file"
		}
		p.kind, p.name = partCol, pad
		return p, ""
	case "0":
		p.kind = partNumber
	case "line":
		p.kind = partLine
	default:
		return p, "is not a value: there are {0}, {0:06}, {line}, {col:name}, and {=0}, {=line}, {=col:name} unescaped"
	}
	if !padded {
		return p, ""
	}
	if p.kind == partLine {
		return p, "cannot be padded: only numbers can"
	}
	n, err := strconv.Atoi(pad)
	if err != nil || len(pad) < 2 || pad[0] != '0' || n < 1 || n > maxPad {
		return p, fmt.Sprintf("has a bad padding: write a 0 and how many digits, up to %d, as in {0:06}", maxPad)
	}
	p.pad = n
	return p, ""
}

// String returns the template as it was written.
func (t *Template) String() string { return t.text }

// UsesLine reports whether the template has {line} or {col:name}, and so needs lines to read.
func (t *Template) UsesLine() bool { return t.line || t.cols }

// bind returns the template with its columns found in the header of a CSV file. The error has code
// bad_request.
func (t *Template) bind(header []string) (*Template, error) {
	if t == nil || !t.cols {
		return t, nil
	}
	bound := *t
	bound.parts = slices.Clone(t.parts)
	for i := range bound.parts {
		p := &bound.parts[i]
		if p.kind != partCol {
			continue
		}
		if p.col = slices.Index(header, p.name); p.col < 0 {
			return nil, glassq.Errorf(glassq.CodeBadRequest, "there is no column %q; the first row has %.300s", p.name,
				strings.Join(header, ", "))
		}
	}
	return &bound, nil
}

// A record is what one task is made of.
type record struct {
	number uint64   // for {0}
	symbol bool     // {0} stays as it is: the body becomes the template of a range
	line   []byte   // for {line}
	row    []string // for {col:name}
}

// Append appends the body made from a record; without one each value is a 0. It ends soon after
// glassq.HardMaxBody bytes: what is longer is no body, however much of it there would be.
func (t *Template) Append(dst []byte, r *record) []byte {
	end := len(dst) + glassq.HardMaxBody
	for i := range t.parts {
		if len(dst) > end {
			break
		}
		p := &t.parts[i]
		dst = append(dst, p.lit...)
		if r == nil {
			if p.kind != partEnd {
				dst = append(dst, '0')
			}
			continue
		}
		switch p.kind {
		case partNumber:
			if r.symbol {
				dst = template.AppendValue(dst, p.pad)
			} else {
				dst = template.AppendNumber(dst, r.number, p.pad)
			}
		case partLine:
			dst = appendValue(dst, r.line, p)
		case partCol:
			dst = appendValue(dst, r.row[p.col], p)
		}
	}
	return dst
}

func appendValue[T string | []byte](dst []byte, v T, p *part) []byte {
	switch {
	case p.json:
		quoted := jsonline.AppendString(nil, v)
		return append(dst, quoted[1:len(quoted)-1]...)
	case p.raw:
		return append(dst, v...)
	}
	return appendEscaped(dst, v)
}

// appendEscaped escapes for any place in a URL: a space is %20, which a path and a query both read.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '-' || c == '_' || c == '.' || c == '~' {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', hex[c>>4], hex[c&15])
	}
	return dst
}
