package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/glassq/glassq"
)

// A targetReader reads vegeta's targets and makes requests of them, in both of its formats: a line
// that begins with { is a target as JSON, whose body is base64; any other begins a target of
// several lines, which are a method and a URL, headers, and @ with the path of a file for the body.
// An empty line or the next method ends such a target; # begins a comment before one.
type targetReader struct {
	in    *lineReader
	held  []byte // a line that was read and belongs to the next target; nil for none
	first uint64 // line that the last target began at
}

func (v *targetReader) at() uint64 { return v.first }

func (v *targetReader) empty() uint64 { return 0 } // they are the ends of targets

// ready looks for a target as JSON, or for the line behind one of text.
func (v *targetReader) ready() bool {
	text := len(v.held) > 0
	return text && v.held[0] == '{' || anyLine(v.in.r, v.in.end, func(line []byte) bool {
		line = bytes.TrimSpace(line)
		switch {
		case text:
			return endsTarget(line)
		case len(line) == 0 || line[0] == '#':
			return false
		}
		text = line[0] != '{'
		return !text
	})
}

// read returns the next line, without the spaces around it.
func (v *targetReader) read() ([]byte, error) {
	if b := v.held; b != nil {
		v.held = nil
		return b, nil
	}
	b, err := v.in.read()
	if v.in.line == 1 {
		b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	}
	return bytes.TrimSpace(b), err
}

func (v *targetReader) takeRecord(r *record) error {
	for {
		b, err := v.read()
		v.first = v.in.line
		switch {
		case err != nil:
			return err
		case len(b) == 0 || b[0] == '#':
		case b[0] == '{':
			r.line, err = jsonTarget(b)
			return v.bad(err)
		default:
			r.line, err = v.plain(string(b))
			return err
		}
	}
}

// bad is an error of the line at hand; nil for nil.
func (v *targetReader) bad(err error) error {
	if err == nil {
		return nil
	}
	return &LineError{Line: v.in.line, Err: glassq.Errorf(glassq.CodeBadRequest, "not a vegeta target: %w", err)}
}

// jsonTarget makes a request of a target as JSON.
func jsonTarget(line []byte) ([]byte, error) {
	var t struct {
		Method, URL string
		Header      map[string][]string
		Body        []byte
	}
	if err := json.Unmarshal(line, &t); err != nil {
		return nil, err
	}
	if t.Method == "" || t.URL == "" {
		return nil, errors.New("it needs method and url")
	}
	var fields []pair
	for name, values := range t.Header {
		for _, value := range values {
			fields = append(fields, pair{name, []byte(value)})
		}
	}
	slices.SortStableFunc(fields, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	return appendRequest(nil, []byte(t.URL), t.Method, fields, t.Body), nil
}

// plain reads the rest of a target whose first line is text, to its end also after an error.
func (v *targetReader) plain(text string) ([]byte, error) {
	method, url, _ := strings.Cut(text, " ")
	url = strings.TrimSpace(url)
	var bad error
	if !isMethod(text) || url == "" {
		bad = v.bad(fmt.Errorf("%.60q is neither a method and a URL, like 'GET http://host/', nor JSON", text))
	}
	var fields []pair
	var body []byte
	for {
		b, err := v.read()
		if err == io.EOF || err == nil && len(b) == 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		line := string(b)
		if endsTarget(b) {
			v.held = []byte(line)
			break
		}
		name, value, ok := strings.Cut(line, ":")
		switch {
		case line[0] == '@':
			body, err = ReadBody(line[1:])
		case !ok || !isToken(name):
			err = fmt.Errorf("%.60q is neither a header, nor @ and a file for the body", line)
		default:
			fields = append(fields, pair{name, []byte(strings.TrimSpace(value))})
		}
		if bad == nil {
			bad = v.bad(err)
		}
	}
	return appendRequest(nil, []byte(url), method, fields, body), bad
}

// endsTarget tells whether a line is not of the target of text before it.
func endsTarget(line []byte) bool { return len(line) == 0 || line[0] == '{' || isMethod(string(line)) }

// isMethod reports whether line begins with a method in capitals and a space.
func isMethod(line string) bool {
	word, _, ok := strings.Cut(line, " ")
	return ok && isToken(word) && strings.ToUpper(word) == word
}

// ReadBody reads the file at path, which is to be the body of requests and so at most
// glassq.HardMaxBody long.
func ReadBody(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, glassq.HardMaxBody+1))
	if err == nil && len(b) > glassq.HardMaxBody {
		err = fmt.Errorf("%s: larger than any body, %d bytes", path, glassq.HardMaxBody)
	}
	return b, err
}
