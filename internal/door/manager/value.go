package manager

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door/manager/pickle"
	"github.com/glassq/glassq/internal/jsonline"
)

// pyHeader carries the value as Python made it, where the body in text or JSON is not all there is
// to it.
const pyHeader = "py"

// toTask makes the body, the type and perhaps the header of a task of v. A refusal is of Python's
// kind.
func (c *conn) toTask(v *pickle.Value, queue string) (t glassq.Task, refused *exception) {
	r, err := pickle.Check(v, pickle.Limits{})
	if err != nil {
		return t, &exception{"ValueError", err.Error()}
	}
	t.Queue = queue
	if r.Foreign != "" {
		if !c.opaque(queue) {
			return t, &exception{"TypeError", r.Foreign + " is not plain data; glassq queue set " + queue +
				" --opaque lets it pass to Python getters"}
		}
		raw, err := pickle.Dump(v, c.python2)
		if err != nil {
			return t, &exception{"TypeError", err.Error()}
		}
		t.Type, t.Body = glassq.TypeJSON, pickle.AppendOpaque(nil, raw)
		return t, nil
	}
	if r.Bytes > int64(c.s.broker.Limits().MaxBody) {
		return t, c.tooLong(r.Bytes)
	}
	switch {
	case v.Kind == pickle.Text, v.Kind == pickle.Str && utf8.Valid(v.Raw):
		t.Type, t.Body = glassq.TypeText, v.Raw
	case v.Kind == pickle.Bytes, v.Kind == pickle.Str, v.Kind == pickle.ByteArray:
		t.Type, t.Body = glassq.TypeOctets, v.Raw
	default:
		t.Type = glassq.TypeJSON
		if t.Body, refused = c.json(v, false); refused != nil {
			return t, refused
		}
	}
	if r.Exact {
		return t, nil
	}
	raw, err := pickle.Dump(v, c.python2)
	switch {
	case err == nil && base64.StdEncoding.EncodedLen(len(raw))+len(pyHeader) <= glassq.MaxMeta:
		t.Headers = map[string]string{pyHeader: base64.StdEncoding.EncodeToString(raw)}
	case t.Type == glassq.TypeJSON:
		if t.Body, refused = c.json(v, true); refused != nil {
			return t, refused
		}
	}
	return t, nil
}

// json prints v as a body.
func (c *conn) json(v *pickle.Value, exact bool) ([]byte, *exception) {
	b, err := pickle.AppendJSON(nil, v, exact, c.s.broker.Limits().MaxBody)
	switch {
	case errors.Is(err, pickle.ErrTooLong):
		return nil, c.tooLong(int64(c.s.broker.Limits().MaxBody) + 1)
	case err != nil:
		return nil, &exception{"TypeError", err.Error()}
	}
	return b, nil
}

// tooLong refuses a value that takes at least n bytes.
func (c *conn) tooLong(n int64) *exception {
	return &exception{"ValueError", fmt.Sprintf("body of at least %d bytes, with shared parts written out wherever they are; the limit is %d (serve --max-body)",
		n, c.s.broker.Limits().MaxBody)}
}

// opaque tells whether the queue takes instances of classes of the program's own.
func (c *conn) opaque(queue string) bool {
	held, err := c.s.broker.Held(c.ctx, queue)
	return err == nil && held[0].Settings.Opaque
}

// appendValue appends what the task is to Python.
func (c *conn) appendValue(dst []byte, t *glassq.Task) []byte {
	if h, ok := t.Headers[pyHeader]; ok {
		if raw, err := base64.StdEncoding.DecodeString(h); err == nil {
			if out, ok := c.appendPickle(dst, raw, t.Queue); ok {
				return out
			}
		}
	}
	form := jsonline.FormOf(t.Body, t.Type)
	if form == jsonline.JSON {
		if raw, ok := opaqueOf(t.Body); ok {
			if out, ok := c.appendPickle(dst, raw, t.Queue); ok {
				return out
			}
		}
		if v, ok := pickle.ParseJSON(t.Body, pickle.Limits{}); ok {
			if out, ok := c.appendChecked(dst, v, t.Queue); ok {
				return out
			}
		}
	}
	if form == jsonline.Octets {
		return pickle.AppendBytes(dst, t.Body, c.dialect())
	}
	return pickle.AppendText(dst, t.Body, c.dialect())
}

func opaqueOf(body []byte) ([]byte, bool) {
	b, ok := bytes.CutPrefix(body, []byte(`{"$py":"opaque","b64":"`))
	b, ok2 := bytes.CutSuffix(b, []byte(`"}`))
	if !ok || !ok2 {
		return nil, false
	}
	raw, err := base64.StdEncoding.AppendDecode(nil, b)
	return raw, err == nil
}

func (c *conn) appendPickle(dst, raw []byte, queue string) ([]byte, bool) {
	v, _, err := c.stored.Decode(raw)
	if err != nil {
		return dst, false
	}
	return c.appendChecked(dst, v, queue)
}

// appendChecked appends v, which anybody may have put through another door.
func (c *conn) appendChecked(dst []byte, v *pickle.Value, queue string) ([]byte, bool) {
	r, err := pickle.Check(v, pickle.Limits{})
	if err != nil {
		return dst, false
	}
	if (r.Foreign != "" || len(r.Members) > 0) && !c.opaque(queue) {
		if r.Foreign != "" {
			return dst, false
		}
		for _, m := range r.Members {
			pickle.Member(m)
		}
	}
	out, err := pickle.Append(dst, v, c.dialect())
	return out, err == nil
}
