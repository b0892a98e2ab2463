package glassq

import (
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/glassq/glassq/internal/jsonwalk"
)

// CompleteResult appends record to dst with what it lacks: the input as member i (or b64), and in its
// object o the members ok (1), rt, t, lag, w and a, from r. What the record has is kept byte for byte,
// unknown members included, so that a worker in any language need only say {"o":{"ok":1}}.
//
// The error says why record is no result record: it is not UTF-8, not one JSON object, or has no
// object o. dst is returned as it was then. record must not hold a newline if the result is to be one
// line.
func CompleteResult(dst, record, input []byte, inputType string, r *Result) ([]byte, error) {
	if !utf8.Valid(record) {
		return dst, errNotUTF8
	}
	start := jsonwalk.Space(record, 0)
	if start == len(record) || record[start] != '{' {
		return dst, errNotObject
	}
	end := jsonwalk.Value(record, start, 0)
	if end < 0 || jsonwalk.Space(record, end) != len(record) {
		return dst, errNotObject
	}
	hasInput := false
	var o []byte
	eachMember(record[start:end], func(key, value []byte) {
		switch {
		case keyIs(key, "i"), keyIs(key, "b64"):
			hasInput = true
		case keyIs(key, "o"):
			o = value
		}
	})
	if len(o) == 0 || o[0] != '{' {
		return dst, errNoOut
	}
	// o is a part of record: its place in it is known from the capacities.
	oEnd := cap(record) - cap(o) + len(o)
	dst = append(dst, '{')
	if !hasInput {
		dst = append(appendInput(dst, input, inputType), ',')
	}
	dst = append(dst, record[start+1:oEnd-1]...)
	dst = appendMissing(dst, o, r)
	return append(dst, record[oEnd-1:end]...), nil
}

var (
	errNotUTF8   = errors.New("it is not UTF-8")
	errNotObject = errors.New("it is not one JSON object")
	errNoOut     = errors.New(`it has no object "o"`)
)

// appendMissing appends those members of r that o lacks.
func appendMissing(dst, o []byte, r *Result) []byte {
	var ok, rt, t, lag, w, a, any bool
	eachMember(o, func(key, _ []byte) {
		any = true
		ok = ok || keyIs(key, "ok")
		rt = rt || keyIs(key, "rt")
		t = t || keyIs(key, "t")
		lag = lag || keyIs(key, "lag")
		w = w || keyIs(key, "w")
		a = a || keyIs(key, "a")
	})
	comma := func(name string) {
		if any {
			dst = append(dst, ',')
		}
		any = true
		dst = append(append(append(dst, '"'), name...), '"', ':')
	}
	if !ok {
		comma("ok")
		dst = append(dst, '1')
	}
	if !rt {
		comma("rt")
		dst = appendMicros(dst, r.RT)
	}
	if !t && !r.T.IsZero() {
		comma("t")
		dst = appendMillis(dst, r.T)
	}
	if !lag && r.Lag > 0 {
		comma("lag")
		dst = appendMicros(dst, r.Lag)
	}
	if !w && r.W != "" {
		comma("w")
		dst = appendJSONString(dst, r.W)
	}
	if !a && r.A != 0 {
		comma("a")
		dst = strconv.AppendInt(dst, int64(r.A), 10)
	}
	return dst
}
