package httpdoor

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/jsonline"
)

// readBody reads a request's body of at most most bytes, taking its room among all bodies in flight
// as it arrives. The caller must call done when it needs the bytes no more.
func (s *Server) readBody(rw http.ResponseWriter, r *http.Request, most int) (body []byte, done func(), err error) {
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		// Kept as it is it would be another body, and nothing that comes out says how to unpack it.
		return nil, nil, glassq.Errorf(glassq.CodeBadRequest, "Content-Encoding %.40q is not known here; send the body as it is, without", c)
	}
	if r.ContentLength > int64(most) {
		return nil, nil, tooLarge(most)
	}
	from := sender{r.Body, http.NewResponseController(rw)}
	body, done, err = s.frame.Intake.Receive(r.Context(), from, nil, int(r.ContentLength), most)
	if err == nil {
		return body, done, nil
	}
	// The rest of the body is not waited for.
	from.SetReadDeadline(door.LongAgo)
	rw.Header().Set("Connection", "close")
	switch glassq.CodeOf(err) {
	case glassq.CodeTooLarge:
		return nil, nil, tooLarge(most)
	case glassq.CodeUnavailable:
		return nil, nil, err
	}
	return nil, nil, glassq.Errorf(glassq.CodeBadRequest, "read body: %w", err)
}

// A sender is where the body of a request comes from.
type sender struct {
	io.Reader
	*http.ResponseController
}

// tooLarge refuses a request over most bytes, or over what one put may have.
func tooLarge(most int) error {
	if most < maxRequest {
		return glassq.Errorf(glassq.CodeTooLarge, "a request like this has at most %d KiB", most>>10)
	}
	return glassq.Errorf(glassq.CodeTooLarge,
		"a request has at most %d MiB, %d tasks and %d MiB of bodies; split it", maxRequest>>20, glassq.MaxBatch,
		glassq.MaxPutBytes>>20)
}

// A record is one JSON text of a batch.
type record struct {
	line int // from 1; the index from 1 in an array
	text []byte
}

func isNDJSON(media string) bool {
	return media == typeNDJSON || media == "application/ndjson" || media == "application/jsonl"
}

// Records are the JSON texts of a body.
type records []record

// split splits a body and appends what it has: NDJSON by lines, JSON into an array's elements or
// the one object. single tells that it was one object.
func (list *records) split(contentType string, body []byte) (single bool, err error) {
	if isNDJSON(contentType) {
		*list = slices.Grow(*list, min(bytes.Count(body, []byte{'\n'})+1, glassq.MaxBatch))
		for line := 1; len(body) > 0; line++ {
			text, rest, _ := bytes.Cut(body, []byte{'\n'})
			body = rest
			if text = bytes.TrimSpace(text); len(text) == 0 {
				continue
			}
			if len(*list) == glassq.MaxBatch {
				return false, tooLarge(maxRequest)
			}
			*list = append(*list, record{line, text})
		}
		return false, nil
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '[' {
		*list = append(*list, record{1, body})
		return true, nil
	}
	c := jsonline.Read(body)
	for c.Open('[', "a batch"); c.More(); {
		if len(*list) == glassq.MaxBatch {
			return false, tooLarge(maxRequest)
		}
		*list = append(*list, record{len(*list) + 1, c.Value()})
	}
	return false, c.Err()
}

// inLine names the line of an error about one record of several.
func inLine(err error, line int) error {
	return &glassq.Error{Code: glassq.CodeOf(err), Message: "line " + strconv.Itoa(line) + ": " + err.Error(), Err: err}
}

// readJSON reads a small JSON object into v; see envelope.ParseChange.
func (s *Server) readJSON(rw http.ResponseWriter, r *http.Request, v any) error {
	body, done, err := s.readBody(rw, r, maxSettings)
	if err != nil {
		return err
	}
	defer done()
	if len(bytes.TrimSpace(body)) == 0 {
		return nil // an empty body changes nothing
	}
	return envelope.ParseChange(body, v)
}

// noBody refuses a body of a request whose options are the parameters words: what it says would not be
// done. An empty object says nothing.
func (s *Server) noBody(rw http.ResponseWriter, r *http.Request, words ...string) error {
	if r.ContentLength == 0 {
		return nil
	}
	body, done, err := s.readBody(rw, r, maxSettings) // one that is not read hides a client that goes away
	if err != nil {
		return err
	}
	defer done()
	switch body = bytes.TrimSpace(body); {
	case len(body) == 0 || string(body) == "{}":
		return nil
	case len(words) == 0:
		return glassq.Errorf(glassq.CodeBadRequest, "this request has no body, and no options: send it without")
	}
	return glassq.Errorf(glassq.CodeBadRequest, "this request has no body; its options are query parameters, as in ?%s=…; there are: %s",
		words[0], strings.Join(words, ", "))
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

// parseQuery refuses parameters that are not in words, and those that come twice but for "name",
// "state" and "task", of which there may be several. One that is empty, as by a variable of a shell that is not
// set, is refused too, but for the cursor of a first page.
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
		case len(v) > 1 && k != "name" && k != "state" && k != "task":
			q.fail("query parameter %q comes twice", k)
		case k != "cursor" && slices.Contains(v, ""):
			q.fail("query parameter %q is empty; give it a value, or leave it out", k)
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
		q.fail("%s=%.40s: want a whole number from 0 to %d", key, q.text(key), limit)
	}
	return n
}

// atLeast1 is number that refuses 0.
func (q *query) atLeast1(key string, def, limit uint64) uint64 {
	n := q.number(key, def, limit)
	if n == 0 && q.err == nil {
		q.fail("%s=0: want a whole number from 1 to %d", key, limit)
	}
	return n
}

// duration reads "250ms" or a number of seconds; one that is too long for a Duration is the
// longest.
func (q *query) duration(key string) time.Duration {
	text := q.text(key)
	if text == "" {
		return 0
	}
	d, ok := jsonline.ParseDuration(text)
	if !ok {
		d, ok = jsonline.ParseDuration(text + "s")
	}
	if !ok {
		q.fail("%s=%.40s: want a duration like 250ms or a number of seconds, not negative", key, text)
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

// oneOf reads one of the given words; the first is the default, "" where there is none.
func (q *query) oneOf(key string, words ...string) string {
	text := q.text(key)
	if text == "" {
		return words[0]
	}
	if !slices.Contains(words, text) {
		q.fail("%s=%.40s: want one of %s", key, text, strings.TrimPrefix(strings.Join(words, ", "), ", "))
	}
	return text
}
