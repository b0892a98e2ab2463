package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonwalk"
)

// readBody reads a request's body, waiting for room among all bodies in flight. The caller must call
// done when it needs the bytes no more.
func (s *Server) readBody(rw http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	if r.ContentLength > maxRequest {
		return nil, nil, tooLarge()
	}
	n := r.ContentLength
	if n < 0 {
		n = maxRequest
	}
	if err := s.budget.Take(r.Context(), n); err != nil {
		return nil, nil, err
	}
	c := http.NewResponseController(rw)
	in := &stallReader{r: http.MaxBytesReader(rw, r.Body, maxRequest), c: c}
	in.until = time.Now().Add(stallTimeout + time.Duration(n/minRate)*time.Second)
	if r.ContentLength >= 0 {
		body = make([]byte, n)
		_, err = io.ReadFull(in, body)
	} else {
		body, err = io.ReadAll(in)
	}
	// The server watches the connection for its end from here on: no deadline must fire.
	c.SetReadDeadline(time.Time{})
	if err != nil {
		s.budget.Give(n)
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, nil, tooLarge()
		}
		return nil, nil, glassq.Errorf(glassq.CodeBadRequest, "read body: %w", err)
	}
	return body, func() { s.budget.Give(n) }, nil
}

func tooLarge() error {
	return glassq.Errorf(glassq.CodeTooLarge,
		"a request has at most %d MiB, %d tasks and %d MiB of bodies; split it", maxRequest>>20, glassq.MaxBatch, glassq.MaxPutBytes>>20)
}

// A stallReader moves the read deadline before every read, but not beyond until: a client that
// trickles must not keep its room for ever.
type stallReader struct {
	r     io.Reader
	c     *http.ResponseController
	until time.Time
}

func (s *stallReader) Read(p []byte) (int, error) {
	deadline := time.Now().Add(stallTimeout)
	if deadline.After(s.until) {
		deadline = s.until
	}
	s.c.SetReadDeadline(deadline)
	return s.r.Read(p)
}

// A record is one JSON text of a batch.
type record struct {
	line int // from 1; the index from 1 in an array
	text []byte
}

// records splits a body: NDJSON by lines, JSON into an array's elements or the one object.
// single tells that it was one object.
func records(contentType string, body []byte) (list []record, single bool, err error) {
	if contentType == typeNDJSON || contentType == "application/ndjson" || contentType == "application/jsonl" {
		list = make([]record, 0, min(bytes.Count(body, []byte{'\n'})+1, glassq.MaxBatch))
		for line := 1; len(body) > 0; line++ {
			text, rest, _ := bytes.Cut(body, []byte{'\n'})
			body = rest
			if text = bytes.TrimSpace(text); len(text) == 0 {
				continue
			}
			if len(list) == glassq.MaxBatch {
				return nil, false, tooLarge()
			}
			list = append(list, record{line, text})
		}
		return list, false, nil
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '[' {
		return []record{{1, body}}, true, nil
	}
	// Counted before they are taken apart: an array of small numbers is many times longer as a list of elements.
	if !json.Valid(body) {
		var whole json.RawMessage
		return nil, false, badJSON(json.Unmarshal(body, &whole))
	}
	for i := jsonwalk.Space(body, 1); body[i] != ']'; {
		if len(list) == glassq.MaxBatch {
			return nil, false, tooLarge()
		}
		end := jsonwalk.Value(body, i, 1)
		list = append(list, record{len(list) + 1, body[i:end:end]})
		if i = jsonwalk.Space(body, end); body[i] == ',' {
			i = jsonwalk.Space(body, i+1)
		}
	}
	return list, false, nil
}

func badJSON(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return glassq.Errorf(glassq.CodeBadRequest, "%v, at byte %d", e, e.Offset)
	}
	return glassq.Errorf(glassq.CodeBadRequest, "%s", strings.TrimPrefix(err.Error(), "json: "))
}

// inLine names the line of an error about one record of several.
func inLine(err error, line int) error {
	return &glassq.Error{Code: glassq.CodeOf(err), Message: "line " + strconv.Itoa(line) + ": " + err.Error(), Err: err}
}

// readJSON reads a small JSON object into v. Members that v does not have are refused.
func (s *Server) readJSON(rw http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // an empty body changes nothing
		}
		return badJSON(err)
	}
	if d.More() {
		return glassq.Errorf(glassq.CodeBadRequest, "one JSON object is wanted, something follows it")
	}
	return nil
}

// mediaType returns the bare, lower-case type of a request's body.
func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		t, _, _ = strings.Cut(r.Header.Get("Content-Type"), ";")
	}
	return strings.ToLower(strings.TrimSpace(t))
}

// A query is the query string of one request, checked against the words a route knows. Its error is
// sticky.
type query struct {
	values url.Values
	err    error
}

// parseQuery refuses parameters that are not in words, and those that come twice but for "name" and
// "state", of which there may be several.
func parseQuery(r *http.Request, words ...string) *query {
	q := new(query)
	if r.URL.RawQuery == "" {
		return q
	}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.fail("query string: %v", err)
	}
	for k, v := range q.values {
		switch {
		case !slices.Contains(words, k) && len(words) == 0:
			q.fail("query parameter %.40q is not known here; there are none", k)
		case !slices.Contains(words, k):
			q.fail("query parameter %.40q is not known here; there are: %s", k, strings.Join(words, ", "))
		case len(v) > 1 && k != "name" && k != "state":
			q.fail("query parameter %q comes twice", k)
		}
	}
	return q
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = glassq.Errorf(glassq.CodeBadRequest, format, args...)
	}
}

func (q *query) has(key string) bool { return q.values.Has(key) }

func (q *query) text(key string) string { return q.values.Get(key) }

// number reads a whole number of at most limit; def when it is absent.
func (q *query) number(key string, def, limit uint64) uint64 {
	if !q.has(key) {
		return def
	}
	n, err := strconv.ParseUint(q.text(key), 10, 64)
	if err != nil || n > limit {
		q.fail("%s=%.40s: want a whole number up to %d", key, q.text(key), limit)
	}
	return n
}

// duration reads "250ms" or a number of seconds.
func (q *query) duration(key string) time.Duration {
	text := q.text(key)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err != nil || d < 0 {
		q.fail("%s=%.40s: want a duration like 250ms or a number of seconds", key, text)
	}
	return d
}

// flag reads 1, true, 0 or false.
func (q *query) flag(key string) bool {
	if !q.has(key) {
		return false
	}
	v, err := strconv.ParseBool(q.text(key))
	if err != nil {
		q.fail("%s=%.40s: want true or false", key, q.text(key))
	}
	return v
}

// oneOf reads one of the given words; the first is the default.
func (q *query) oneOf(key string, words ...string) string {
	text := q.text(key)
	if text == "" {
		return words[0]
	}
	if !slices.Contains(words, text) {
		q.fail("%s=%.40s: want one of %s", key, text, strings.Join(words, ", "))
	}
	return text
}
