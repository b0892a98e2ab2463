package envelope

import (
	"slices"
	"strconv"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// AppendAck appends an ack as one line of JSON: token, result, cost, put (an array of put envelopes with
// their queues). A JSON result is printed as it is; a text one as a string beside its type; any
// other as b64 beside its type. A result's Queue is the member queue. Outcome is not printed: the
// broker at the other end decides it.
func AppendAck(dst []byte, a *glassq.Ack) []byte {
	dst = appendString(append(dst, '{'), "token", a.Token.String())
	if a.Result != nil {
		dst = appendResult(dst, a.Result)
	}
	if a.Cost != nil {
		dst = strconv.AppendUint(jsonline.AppendKey(dst, "cost"), uint64(*a.Cost), 10)
	}
	return append(appendPuts(dst, a.Put), '}')
}

func appendPuts(dst []byte, tasks []glassq.Task) []byte {
	if len(tasks) == 0 {
		return dst
	}
	dst = append(jsonline.AppendKey(dst, "put"), '[')
	for i := range tasks {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendTask(dst, &tasks[i])
	}
	return append(dst, ']')
}

// appendResult appends the members that say a result. A string, and a null, is a JSON result as it
// stands only beside no type: a typed string is a text, and null is no result.
func appendResult(dst []byte, t *glassq.Task) []byte {
	if t.Queue != "" {
		dst = appendString(dst, "queue", t.Queue)
	}
	dst = appendHeaders(dst, t.Headers)
	form, implied, typ := jsonline.FormOf(t.Body, t.Type), "", t.Type
	switch first := firstOf(t.Body); {
	case form == jsonline.Octets:
		implied = glassq.TypeOctets
	case form == jsonline.JSON && (first != '"' || typ == glassq.TypeJSON) && first != 'n':
		implied = glassq.TypeJSON
	default:
		if form = jsonline.Text; typ == "" {
			typ = glassq.TypeText
		}
	}
	if typ != "" && typ != implied {
		dst = appendString(dst, "type", typ)
	}
	return appendAs(dst, "result", form, t.Body)
}

var ackMembers = []string{"token", "result", "type", "b64", "queue", "headers", "cost", "put"}

// ParseAck reads an ack. A result is any JSON value, kept byte for byte with type JSON; null is no
// result. With a type, a result that is a string is the text itself. b64 is a result of any bytes.
// Unknown members are refused, and so are members that come twice. Result.Body may alias line. The
// error is like ParseTask's.
func ParseAck(line []byte, a *glassq.Ack) error {
	*a = glassq.Ack{}
	c := jsonline.ReadText(line)
	var r glassq.Task
	var raw []byte // the result as it was written
	at, b64 := 0, false
	var seen once
	for c.Open('{', "an ack"); c.More(); {
		key := seen.key(&c)
		switch word := string(key); {
		case word == "put" && c.At('['):
			readPuts(&c, line, &a.Put, "an ack")
			continue
		case word == "headers" && c.At('{'):
			r.Headers = readHeaders(&c)
			continue
		}
		v := c.Value()
		if c.Null() && slices.Contains(ackMembers, string(key)) {
			continue
		}
		switch string(key) {
		case "token":
			a.Token = readToken(&c)
		case "result":
			raw, at = v, c.From
		case "type":
			r.Type = keepType("", c.Text("type"))
		case "b64":
			r.Body, b64 = c.Base64("b64"), true
		case "queue":
			r.Queue = string(c.Text("queue"))
		case "cost":
			cost := uint32(c.Integer("cost", glassq.MaxCost))
			a.Cost = &cost
		case "headers":
			c.Fail(c.From, "headers must begin with {")
		case "put":
			c.Fail(c.From, "put must begin with [")
		default:
			c.Fail(c.From, "an ack has no member %.40q, only %s", key, strings.Join(ackMembers, ", "))
		}
	}
	if c.Err() == nil && a.Token.Number == 0 {
		c.Fail(0, needToken)
	}
	if b64 && raw != nil {
		c.Fail(at, "an ack has either result or b64, not both")
	}
	if c.Err() != nil || !b64 && raw == nil {
		return c.Err()
	}
	implied := glassq.TypeOctets
	if raw != nil {
		implied = glassq.TypeJSON
		if r.Body = raw; raw[0] == '"' && r.Type != "" {
			c.From, c.To = at, at+len(raw) // the last value again
			r.Body = c.Text("result")
		}
	}
	if r.Type == "" {
		r.Type = implied
	}
	a.Result = &r
	return c.Err()
}

const needToken = "a token is needed, as it came with the lease"

// A once has the keys of an object, each of which may be there once.
type once struct {
	seen [8][]byte // as many as any object may have that is read so
	n    int
}

func (o *once) key(c *jsonline.Cursor) []byte {
	key := c.Key()
	for _, k := range o.seen[:o.n] {
		if string(k) == string(key) {
			c.Fail(c.From, "member %q comes twice", key)
		}
	}
	if o.n < len(o.seen) {
		o.seen[o.n] = key
		o.n++
	}
	return key
}

func readPuts(c *jsonline.Cursor, line []byte, tasks *[]glassq.Task, what string) {
	for c.Open('[', "put"); c.More(); {
		if len(*tasks) == glassq.MaxBatch {
			c.Fail(c.To, "%s puts at most %d tasks", what, glassq.MaxBatch)
			return
		}
		*tasks = append(*tasks, glassq.Task{})
		t := &(*tasks)[len(*tasks)-1]
		at := c.To
		if readTask(c, line, t, needsBody, nil); t.Queue == "" {
			c.Fail(at, "each task of put needs a member queue: where it goes")
		}
	}
}
