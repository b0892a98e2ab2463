package output

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonwalk"
)

// appendLine appends the line of a result, with its end: the worker's object with id and run, from
// the lease, in front. Members of these names that the worker sent are left out: who did what is the
// queue's to say. The attempt goes into o as a, unless the worker said it. A body that is no object
// becomes raw (or b64, when it is not UTF-8) beside {"ok":1}. body is l.Body without space around it,
// and obj what its scan found in it, nil for no object.
func appendLine(dst []byte, l *glassq.Lease, body []byte, obj *object) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendID(dst, l)
	if l.Run != "" {
		dst = append(dst, `,"run":`...)
		dst = appendString(dst, l.Run)
	}
	if obj == nil {
		dst = appendOutcome(dst, l.Of)
		dst = appendRaw(dst, body, l.Body)
		return append(dst, "}\n"...)
	}
	start := len(dst)
	switch {
	case obj.clean && obj.o.isObject(body) && (l.Of == 0 || obj.hasAttempt):
		if obj.members > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, body[1:]...)
	case obj.clean && obj.o.isObject(body):
		end := obj.o.end - 1 // the brace that closes o
		dst = append(dst, ',')
		dst = append(dst, body[1:end]...)
		if obj.oMembers > 0 {
			dst = append(dst, ',')
		}
		dst = appendAttempt(dst, l.Of)
		dst = append(dst, body[end:]...)
	default:
		dst = appendMembers(dst, body, obj, l.Of)
	}
	blankEnds(dst[start:])
	return append(dst, '\n')
}

// blankEnds makes spaces of the line ends in JSON: between values they mean the same, and strings
// have none.
func blankEnds(b []byte) {
	for _, end := range []byte("\n\r") {
		for at := 0; ; {
			i := bytes.IndexByte(b[at:], end)
			if i < 0 {
				break
			}
			b[at+i] = ' '
			at += i + 1
		}
	}
}

// appendMembers appends the members of an object one by one, without its own id and run, and with an
// outcome if it has none; then the closing brace.
func appendMembers(dst, body []byte, obj *object, attempt int) []byte {
	seen := false
	eachMember(body, func(key []byte, keySpan, v span) {
		if name := unquoteKey(key); name == "id" || name == "run" {
			return
		} else if name == "o" {
			seen = true
		}
		dst = append(dst, ',')
		if keySpan == obj.oKey && obj.o.isObject(body) && attempt > 0 && !obj.hasAttempt {
			dst = append(dst, body[keySpan.start:v.end-1]...)
			if obj.oMembers > 0 {
				dst = append(dst, ',')
			}
			dst = appendAttempt(dst, attempt)
			dst = append(dst, '}')
			return
		}
		dst = append(dst, body[keySpan.start:v.end]...)
	})
	if !seen {
		dst = appendOutcome(dst, attempt)
	}
	return append(dst, '}')
}

func appendOutcome(dst []byte, attempt int) []byte {
	dst = append(dst, `,"o":{"ok":1`...)
	if attempt > 0 {
		dst = append(dst, ',')
		dst = appendAttempt(dst, attempt)
	}
	return append(dst, '}')
}

func appendAttempt(dst []byte, attempt int) []byte {
	dst = append(dst, `"a":`...)
	return strconv.AppendInt(dst, int64(attempt), 10)
}

// appendRaw appends what a worker sent that is no object: JSON as it is, text as a string, other
// bytes as base64, nothing for nothing.
func appendRaw(dst, trimmed, body []byte) []byte {
	if len(body) == 0 {
		return dst
	}
	if jsonwalk.Value(trimmed, 0, 0) == len(trimmed) {
		dst = append(dst, `,"raw":`...)
		start := len(dst)
		dst = append(dst, trimmed...)
		blankEnds(dst[start:])
		return dst
	}
	if utf8.Valid(body) {
		return appendString(append(dst, `,"raw":`...), string(body))
	}
	dst = append(dst, `,"b64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, body)
	return append(dst, '"')
}

// appendID appends the id of a result as JSON.
func appendID(dst []byte, l *glassq.Lease) []byte {
	if l.ID == "" && l.Dense {
		dst = append(dst, '"')
		dst = append(dst, l.Run...) // a name: nothing in it needs escaping
		dst = append(dst, '/')
		dst = strconv.AppendUint(dst, uint64(l.N), 10)
		return append(dst, '"')
	}
	return appendString(dst, l.TaskID())
}

// appendString appends s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}

// appendText appends the line of a result for people and cut(1): id, ok or failed, code, seconds and
// error class, with tabs between and a dash for what is not there.
func appendText(dst []byte, l *glassq.Lease, v *glassq.Result) []byte {
	if l.ID == "" && l.Dense {
		dst = append(dst, l.Run...)
		dst = append(dst, '/')
		dst = strconv.AppendUint(dst, uint64(l.N), 10)
	} else {
		for _, c := range []byte(l.TaskID()) {
			if c < ' ' || c == 0x7f {
				c = '?'
			}
			dst = append(dst, c)
		}
	}
	if v.OK {
		dst = append(dst, "\tok\t"...)
	} else {
		dst = append(dst, "\tfailed\t"...)
	}
	if v.Code != 0 {
		dst = strconv.AppendInt(dst, int64(v.Code), 10)
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, '\t')
	if v.RT > 0 {
		dst = strconv.AppendFloat(dst, v.RT.Seconds(), 'f', 6, 64)
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, '\t')
	if v.Err != "" {
		for _, c := range []byte(v.Err) {
			if c < ' ' || c == 0x7f {
				c = '?'
			}
			dst = append(dst, c)
		}
	} else {
		dst = append(dst, '-')
	}
	return append(dst, '\n')
}
