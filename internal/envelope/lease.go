package envelope

import (
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// AppendLease appends a lease as one line of JSON: token, attempt, lease (the granted length in
// seconds), age, late (absent when 0), said (what was said of it under earlier leases, in the words of an
// extend), of (results only), and the task with its queue, id and body as in AppendTask. Age and late are printed to the microsecond. A task that was taken, not leased,
// has no number and no token.
func AppendLease(dst []byte, l *glassq.Lease) []byte {
	dst, rest := CutLease(dst, l)
	return rest.appendAll(dst)
}

// CutLease is AppendLease without the rest.
func CutLease(dst []byte, l *glassq.Lease) ([]byte, Rest) {
	dst = append(dst, '{')
	if l.Number != 0 {
		dst = append(dst, `"token":"`...)
		dst = strconv.AppendUint(dst, l.Number, 10)
		dst = append(dst, '.')
		dst = append(dst, l.Queue...) // a queue name has nothing to escape
		dst = append(dst, '"')
	}
	dst = strconv.AppendInt(jsonline.AppendKey(dst, "attempt"), int64(l.Attempt), 10)
	dst = appendSeconds(dst, "lease", l.Length)
	dst = appendSeconds(dst, "age", l.Age.Truncate(time.Microsecond))
	if l.Late >= time.Microsecond {
		dst = appendSeconds(dst, "late", l.Late.Truncate(time.Microsecond))
	}
	return cutKept(appendSaid(dst, l.Progress), &l.Task, "}")
}

// cutKept appends the members of a task that an engine holds, which has a queue and an id, and
// leaves the rest, at whose end is end.
func cutKept(dst []byte, t *glassq.Task, end string) ([]byte, Rest) {
	dst = append(append(append(jsonline.AppendKey(dst, "queue"), '"'), t.Queue...), '"') // a name has nothing to escape
	if t.Dense {
		dst = append(append(jsonline.AppendKey(dst, "id"), '"'), t.Run...)
		dst = append(dst, '/')
		dst = append(strconv.AppendUint(dst, uint64(t.Position), 10), '"')
	} else if t.ID != "" {
		dst = appendString(dst, "id", t.ID)
	}
	dst = appendRun(dst, t)
	if t.OfAttempt > 0 {
		dst = strconv.AppendInt(jsonline.AppendKey(dst, "of"), int64(t.OfAttempt), 10)
	}
	return appendRest(dst, t, end)
}

// AppendReceipt appends the answer to one put task as one line of JSON: its id, duplicate when
// it is one, and a warning if there is one. id is the task's own, or "" for the one the engine
// assigned.
func AppendReceipt(dst []byte, id string, r glassq.Receipt) []byte {
	if id == "" {
		id = glassq.AssignedID(r.Number)
	}
	dst = appendString(append(dst, '{'), "id", id)
	if r.Duplicate {
		dst = append(dst, `,"duplicate":true`...)
	}
	if r.Put > 0 {
		dst = strconv.AppendUint(jsonline.AppendKey(dst, "put"), r.Put, 10)
	}
	if r.Warning != "" {
		dst = appendString(dst, "warning", r.Warning)
	}
	return append(dst, '}')
}
