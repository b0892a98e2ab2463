package envelope

import (
	"bytes"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// A Rest is what is still to be printed of a task: its body and what follows. Large bodies are
// printed piece by piece, so that nobody holds them twice.
type Rest struct {
	form  jsonline.Form
	body  []byte
	begun bool
	end   string
}

// cutBody prints the key of t's body, behind the type where the form of the body does not imply it.
func cutBody(dst []byte, t *glassq.Task, end string) ([]byte, Rest) {
	form, implied := jsonline.FormOf(t.Body, t.Type), glassq.TypeOctets
	switch {
	case form == jsonline.Text, form == jsonline.JSON && firstOf(t.Body) == '"': // as a value it would be read as text
		form, implied = jsonline.Text, glassq.TypeText
	case form == jsonline.JSON:
		implied = glassq.TypeJSON
	}
	if t.Type != "" && t.Type != implied {
		dst = appendString(dst, "type", t.Type)
	}
	return cutAs(dst, "body", form, t.Body, end)
}

// cutAs prints the key of a body in its form: text and JSON under key, octets as b64.
func cutAs(dst []byte, key string, form jsonline.Form, body []byte, end string) ([]byte, Rest) {
	if form == jsonline.Octets {
		key = "b64"
	}
	return jsonline.AppendKey(dst, key), Rest{form: form, body: body, end: end}
}

// appendAs appends all of a body in its form.
func appendAs(dst []byte, key string, form jsonline.Form, body []byte) []byte {
	dst, rest := cutAs(dst, key, form, body, "")
	return rest.appendAll(dst)
}

// Append appends the next size bytes of the body or a few less, at most six times as long as they
// were, and tells whether more is left. size is at least 4.
func (r *Rest) Append(dst []byte, size int) (_ []byte, more bool) {
	part := r.body
	if len(part) > size {
		part = part[:r.cut(size)]
	}
	r.body = r.body[len(part):]
	begun, start := r.begun, len(dst)
	r.begun, more = true, len(r.body) > 0
	switch {
	case r.form == jsonline.Text:
		dst = within(jsonline.AppendString(dst, part), start, begun, more)
	case r.form == jsonline.Octets:
		dst = within(jsonline.AppendBase64(dst, part), start, begun, more)
	case !begun && !more:
		dst = jsonline.AppendLine(dst, part)
	default: // no string of a JSON value has line breaks
		for len(part) > 0 {
			at := bytes.IndexAny(part, "\r\n")
			if at < 0 {
				at = len(part)
			}
			dst = append(dst, part[:at]...)
			part = part[min(at+1, len(part)):]
		}
	}
	if !more {
		dst = append(dst, r.end...)
	}
	return dst, more
}

func (r *Rest) appendAll(dst []byte) []byte {
	dst, _ = r.Append(dst, len(r.body))
	return dst
}

// cut is where a piece of at most size bytes of the body ends.
func (r *Rest) cut(size int) int {
	switch r.form {
	case jsonline.Octets:
		size -= size % 3 // bytes of a group of base64
	case jsonline.Text:
		for !utf8.RuneStart(r.body[size]) {
			size--
		}
	}
	return size
}

// within makes the string that begins at start a part of a longer one.
func within(dst []byte, start int, begun, more bool) []byte {
	if more {
		dst = dst[:len(dst)-1]
	}
	if begun {
		dst = append(dst[:start], dst[start+1:]...)
	}
	return dst
}

// firstOf is the first byte of a JSON value that may have space before it; 0 for nothing.
func firstOf(value []byte) byte {
	if value = bytes.TrimLeft(value, " \t\r\n"); len(value) > 0 {
		return value[0]
	}
	return 0
}
