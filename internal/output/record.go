package output

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/internal/report"
	"github.com/glassq/glassq/result"
)

// A record is one result, read as far as counting and printing need it. Its texts alias the body.
type record struct {
	lease *glassq.Lease // whose id, run and attempt are the queue's
	body  []byte        // on one line, without space around it
	obj   *object       // its parts; nil when the body is no JSON object
	out   result.Record // what its member o says; OK as the books have it
	at    time.Time     // when it came here, for those that name no time
}

// read makes r the record of a lease. obj is room for its parts.
func (r *record) read(l *glassq.Lease, obj *object, now time.Time) {
	*r = record{lease: l, body: oneLine(bytes.TrimSpace(l.Body)), at: now}
	if obj.scan(r.body) {
		r.obj = obj
	}
	r.verdict()
}

// text returns the value at s of the body, without the quotes if it is a string; nil for no value.
func (r *record) text(s span) []byte {
	if r.obj == nil || s.end == 0 {
		return nil
	}
	return jsonline.Plain(r.body[s.start:s.end])
}

// oneLine is an object on one line and in UTF-8; what is no object it leaves alone.
func oneLine(b []byte) []byte {
	if len(b) == 0 || b[0] != '{' {
		return b
	}
	if !utf8.Valid(b) {
		b = bytes.ToValidUTF8(b, []byte("\ufffd"))
	}
	if (bytes.IndexByte(b, '\n') >= 0 || bytes.IndexByte(b, '\r') >= 0) && jsonline.Valid(b) {
		return jsonline.AppendLine(nil, b)
	}
	return b
}

func (r *record) worker() []byte  { return r.text(r.part().w) }
func (r *record) message() []byte { return r.text(r.part().msg) }

var noParts object

func (r *record) part() *object {
	if r.obj == nil {
		return &noParts
	}
	return r.obj
}

// input is what the task was: its text, its JSON, its bytes when they were sent as b64, and of a
// result that is no record the result itself.
func (r *record) input() []byte {
	if r.obj == nil {
		return r.lease.Body
	}
	if v := r.text(r.obj.i); v != nil || r.obj.b64.end == 0 {
		return v
	}
	v := r.text(r.obj.b64)
	out, err := base64.StdEncoding.AppendDecode(nil, v)
	if err != nil {
		return v
	}
	return out
}

// host is the host, with the port if it names one, of an input that is a URL or an object with one;
// nil for other inputs.
func (r *record) host() []byte {
	if r.obj == nil || r.obj.i.end == 0 {
		return nil
	}
	v := r.body[r.obj.i.start:r.obj.i.end]
	if v[0] == '{' {
		var url span
		eachMember(v, func(name []byte, _, s span) {
			if string(name) == "url" {
				url = s
			}
		})
		v = v[url.start:url.end]
	}
	return hostOf(jsonline.Plain(v))
}

// shown is the input as a report shows it: of a request its method and URL alone, for its headers
// and body may hold what is nobody else's business.
func (r *record) shown() []byte {
	in := r.input()
	if len(in) == 0 || in[0] != '{' || !jsonline.Valid(in) {
		return in
	}
	var method, url []byte
	eachMember(in, func(name []byte, _, s span) {
		switch string(name) {
		case "url":
			url = jsonline.Plain(in[s.start:s.end])
		case "method":
			method = jsonline.Plain(in[s.start:s.end])
		}
	})
	switch {
	case url == nil:
		return in
	case method == nil:
		return url
	}
	return fmt.Appendf(nil, "%s %s", method, url)
}

// hostOf cuts the host out of a URL; nil when there is none.
func hostOf(url []byte) []byte {
	_, rest, ok := bytes.Cut(url, []byte("://"))
	if !ok {
		return nil
	}
	for i, c := range rest {
		if c == '/' || c == '?' || c == '#' || c == '\\' {
			rest = rest[:i]
			break
		}
	}
	if i := bytes.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// label is the value of a label: a header of the result, or a member of this name of o, of the
// record, or of an input that is an object; the first that there is counts.
func (r *record) label(name string) []byte {
	if v, ok := r.lease.Headers[name]; ok {
		return []byte(v)
	}
	if r.obj == nil {
		return nil
	}
	for _, in := range []span{r.obj.o, {0, len(r.body)}, r.obj.i} {
		if !in.isObject(r.body) {
			continue
		}
		var found span
		eachMember(r.body[in.start:in.end], func(key []byte, _, v span) {
			if string(key) == name {
				found = span{in.start + v.start, in.start + v.end}
			}
		})
		if found.end > 0 {
			return r.text(found)
		}
	}
	return nil
}

// class is the error class of a failed result, for counting: "status 404" for a bare status.
func (r *record) class(buf []byte) []byte {
	switch {
	case r.out.Class == result.ClassStatus && r.out.Code != 0, r.out.Class == "" && r.out.Code != 0:
		return appendInt(append(buf, "status "...), r.out.Code)
	case r.out.Class == "":
		return append(buf, "unknown"...)
	case len(r.out.Class) > maxClass:
		return append(buf, otherKey...)
	}
	return append(buf, r.out.Class...)
}

// ended is when the work was done by the worker's clock; zero when the result does not say.
func (r *record) ended() time.Time {
	if r.out.Began.IsZero() {
		return time.Time{}
	}
	return r.out.Began.Add(r.out.Took)
}

// timed reports whether the result's time says something about answers. That of a connection which
// was refused does not, and would make them look better. That of a time-out does: an answer would
// have taken as long at least.
func (r *record) timed() bool {
	return r.out.OK || r.out.Code != 0 || !report.Unanswered(r.out.Class) ||
		r.out.Class == result.ClassTimeout || r.out.Class == result.ClassConnectTimeout
}

// hasDue reports whether the result says how long after its due moment the work began. A worker
// that names the start and no lag says that there was none.
func (r *record) hasDue() bool { return r.out.Lag > 0 || !r.out.Began.IsZero() }
