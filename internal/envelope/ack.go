package envelope

import (
	"strconv"

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
	if len(a.Put) > 0 {
		dst = append(jsonline.AppendKey(dst, "put"), '[')
		for i := range a.Put {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendTask(dst, &a.Put[i])
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
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
	var seen [8][]byte
	n := 0
	for c.Open('{', "an ack"); c.More(); {
		key := c.Key()
		for _, k := range seen[:n] {
			if string(k) == string(key) {
				c.Fail(c.From, "member %q comes twice", key)
			}
		}
		if n < len(seen) {
			seen[n] = key
			n++
		}
		switch word := string(key); {
		case word == "put" && c.At('['):
			readPuts(&c, line, a)
			continue
		case word == "headers" && c.At('{'):
			r.Headers = readHeaders(&c)
			continue
		}
		v := c.Value()
		if c.Null() {
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
			c.Fail(c.From, "an ack has no member %.40q, only token, result, type, b64, queue, headers, cost, put", key)
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

func readPuts(c *jsonline.Cursor, line []byte, a *glassq.Ack) {
	for c.Open('[', "put"); c.More(); {
		if len(a.Put) == glassq.MaxBatch {
			c.Fail(c.To, "an ack puts at most %d tasks", glassq.MaxBatch)
			return
		}
		a.Put = append(a.Put, glassq.Task{})
		readTask(c, line, &a.Put[len(a.Put)-1], needsBody, nil)
	}
}
