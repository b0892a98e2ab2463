package output

import (
	"io"
	"strconv"

	"github.com/glassq/glassq/internal/jsonline"
)

// A failedList writes failed tasks as lines that dispatch takes again: the body as it was put, and
// in a member of its own the id and the error. Its zero value drops them. What cannot be written is
// told by close.
type failedList struct {
	list
	unknown uint64 // results that do not say what the task was; they are left out
}

func newFailedList(w io.Writer) *failedList {
	return &failedList{list: newList("failed tasks", w)}
}

func (l *failedList) add(r *record) {
	if l.w == nil {
		return
	}
	b := append(l.buf[:0], '{')
	switch p := r.part(); {
	case p.i.end > 0:
		b = append(jsonline.AppendKey(b, "body"), r.body[p.i.start:p.i.end]...)
	case p.b64.end > 0:
		b = append(jsonline.AppendKey(b, "b64"), r.body[p.b64.start:p.b64.end]...)
	default:
		l.unknown++
		return
	}
	b = append(jsonline.AppendKey(b, "failed"), '{')
	b = appendID(jsonline.AppendKey(b, "id"), r.lease)
	b = jsonline.AppendString(jsonline.AppendKey(b, "err"), r.class(nil))
	if r.out.Code != 0 {
		b = strconv.AppendInt(jsonline.AppendKey(b, "code"), int64(r.out.Code), 10)
	}
	if msg := r.message(); len(msg) > 0 {
		b = jsonline.AppendString(jsonline.AppendKey(b, "msg"), msg)
	}
	l.buf = append(b, "}}\n"...)
	l.w.Write(l.buf) // the error stays until close
}
