package output

import (
	"strconv"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/result"
)

// appendLine appends the line of a result, with its end: the worker's object with id and run, from
// the lease, in front. Members of these names that the worker sent are left out: who did what is
// the queue's to say. The attempt goes into o as a, unless the worker said it. A body that is no
// object becomes raw (or b64, when it is not UTF-8) beside {"ok":1}. body is l.Body on one line,
// and obj what its scan found in it, nil for no object.
func appendLine(dst []byte, l *glassq.Lease, body []byte, obj *object) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendID(dst, l)
	if l.Run != "" {
		dst = append(dst, `,"run":`...)
		dst = jsonline.AppendString(dst, l.Run)
	}
	if obj == nil {
		dst = appendOutcome(dst, l.OfAttempt)
		dst = appendRaw(dst, l.Body)
		return append(dst, "}\n"...)
	}
	switch {
	case obj.clean && obj.o.isObject(body) && (l.OfAttempt == 0 || obj.hasAttempt):
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
		dst = appendAttempt(dst, l.OfAttempt)
		dst = append(dst, body[end:]...)
	default:
		dst = appendMembers(dst, body, obj, l.OfAttempt)
	}
	return append(dst, '\n')
}

// appendMembers appends the members of an object one by one, without its own id and run, and with
// an outcome if it has none; then the closing brace.
func appendMembers(dst, body []byte, obj *object, attempt int) []byte {
	seen := false
	eachMember(body, func(name []byte, key, v span) {
		switch string(name) {
		case "id", "run":
			return
		case "o":
			seen = true
		}
		dst = append(dst, ',')
		if key == obj.oKey && obj.o.isObject(body) && attempt > 0 && !obj.hasAttempt {
			dst = append(dst, body[key.start:v.end-1]...)
			if obj.oMembers > 0 {
				dst = append(dst, ',')
			}
			dst = appendAttempt(dst, attempt)
			dst = append(dst, '}')
			return
		}
		dst = append(dst, body[key.start:v.end]...)
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
func appendRaw(dst, body []byte) []byte {
	switch form := jsonline.FormOf(body, glassq.TypeJSON); {
	case len(body) == 0:
		return dst
	case form == jsonline.JSON:
		return jsonline.AppendLine(append(dst, `,"raw":`...), body)
	case form == jsonline.Text:
		return jsonline.AppendString(append(dst, `,"raw":`...), body)
	}
	return jsonline.AppendBase64(append(dst, `,"b64":`...), body)
}

// appendID appends the id of a result as JSON.
func appendID(dst []byte, l *glassq.Lease) []byte {
	if l.ID == "" && l.Dense {
		dst = append(dst, '"')
		dst = append(dst, l.Run...) // a name: nothing in it needs escaping
		dst = append(dst, '/')
		dst = strconv.AppendUint(dst, uint64(l.Position), 10)
		return append(dst, '"')
	}
	return jsonline.AppendString(dst, l.TaskID())
}

// appendText appends the line of a result for people and cut(1): id, ok or failed, code, seconds
// and error class, with tabs between and a dash for what is not there.
func appendText(dst []byte, l *glassq.Lease, v *result.Record) []byte {
	if l.ID == "" && l.Dense {
		dst = append(dst, l.Run...)
		dst = append(dst, '/')
		dst = strconv.AppendUint(dst, uint64(l.Position), 10)
	} else {
		dst = append(dst, plain.Text([]byte(l.TaskID()))...)
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
	if v.Took > 0 {
		dst = strconv.AppendFloat(dst, v.Took.Seconds(), 'f', 6, 64)
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, '\t')
	if v.Class != "" {
		dst = append(dst, plain.Text([]byte(v.Class))...)
	} else {
		dst = append(dst, '-')
	}
	return append(dst, '\n')
}
