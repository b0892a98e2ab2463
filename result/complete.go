package result

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/glassq/glassq/internal/jsonline"
)

var (
	errNotUTF8   = errors.New("it is not UTF-8")
	errNotObject = errors.New("it is not one JSON object")
	errNoOut     = errors.New(`it has no object "o"`)
)

// Complete appends record to dst with what it lacks: the input as member i (or b64), and in its
// object o the members ok (1), rt, t, lag, w and a, from r. Members that the record has are kept
// byte for byte, unknown members included, so that a worker in any language need only say
// {"o":{"ok":1}}.
//
// The error says why record is no result record: it is not UTF-8, not one JSON object, or has no
// object o. dst is returned as it was then. record must not hold a newline if the result is to be
// one line.
func Complete(dst, record, input []byte, inputType string, r *Record) ([]byte, error) {
	if !utf8.Valid(record) {
		return dst, errNotUTF8
	}
	c := jsonline.Read(record)
	var hasInput, ok, rt bool
	var h has
	start, end := 0, 0 // of the members of the last o, without its braces; end is 0 for none
	c.Open('{', "a record")
	first := c.To
	for c.More() {
		switch key := c.Key(); string(key) {
		case "i", "b64":
			hasInput = true
		case "o":
			start, end, ok, rt, h = 0, 0, false, false, has{}
			if !c.At('{') {
				break
			}
			c.Open('{', "o")
			for start = c.To; c.More(); c.Value() {
				switch string(c.Key()) {
				case "ok":
					ok = true
				case "rt":
					rt = true
				case "t":
					h.t = true
				case "lag":
					h.lag = true
				case "w":
					h.w = true
				case "a":
					h.a = true
				}
			}
			end = c.From
			continue
		}
		c.Value()
	}
	last := c.To
	if c.Err() != nil {
		return dst, errNotObject
	}
	if end == 0 {
		return dst, errNoOut
	}
	dst = append(dst, '{')
	if !hasInput {
		dst = append(appendInput(dst, input, inputType), ',')
	}
	if empty := bytes.TrimSpace(record[start:end]); len(empty) == 0 {
		end = start // AppendKey must see the brace
	}
	dst = append(dst, record[first:end]...)
	if !ok {
		dst = append(jsonline.AppendKey(dst, "ok"), '1')
	}
	if !rt {
		dst = appendMicros(jsonline.AppendKey(dst, "rt"), r.Took)
	}
	dst = appendCircumstances(dst, r, h)
	return append(dst, record[end:last]...), nil
}
