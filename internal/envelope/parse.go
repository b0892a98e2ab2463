package envelope

import (
	"bytes"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonline"
)

// ParseTask reads what AppendTask prints and what people write: a JSON object with body (a string
// or any JSON value) or b64, and optional members. A null member is an absent one, except body.
// Unknown members are kept in Extra; words that only a lease has, and members that come twice, are
// refused. Run and n together make the task Dense; an id beside them must be their id. Run and range
// make it many, see glassq.Range; a lease has none.
//
// t is overwritten, but a string that is the same as before is kept and not allocated anew: a
// caller that parses many may pass a copy of the task before. Body may alias line, with no spare
// capacity. The error has code bad_request and names the byte offset in line.
func ParseTask(line []byte, t *glassq.Task) error {
	c := jsonline.ReadText(line)
	readTask(&c, line, t, needsBody, nil)
	return c.Err()
}

// ParseLease reads what AppendLease prints. Deadline is set to the granted length from now. What it
// says of strings, aliases and errors is what ParseTask says.
func ParseLease(line []byte, l *glassq.Lease) error {
	*l = glassq.Lease{Task: l.Task}
	c := jsonline.ReadText(line)
	readTask(&c, line, &l.Task, needsBody, l)
	l.Deadline = time.Now().Add(l.Length)
	return c.Err()
}

// Whether an envelope must have a body.
const (
	needsBody = true
	needsNone = false
)

// readTask takes one envelope; l is not nil when it is a lease's, and receives what only leases
// have.
func readTask(c *jsonline.Cursor, line []byte, t *glassq.Task, body bool, l *glassq.Lease) {
	old := *t
	*t = glassq.Task{}
	c.Open('{', "a task")
	at := c.From
	var seen uint32
	var id, extra []byte
	for c.More() {
		key := c.Key()
		if c.Err() != nil {
			return
		}
		word := envelopeWord(key)
		name := line[c.From:c.To]
		switch {
		case word == 0, word == wordRange && l != nil:
			extra = appendMember(extra, name, c.Value())
			continue
		case seen&word != 0:
			c.Fail(c.From, "member %q comes twice", key)
			return
		case l == nil && word&leaseWords != 0:
			c.Fail(c.From, "member %q belongs to leases, not to a put", key)
			return
		}
		if word == wordHeaders && c.At('{') {
			t.Headers = readHeaders(c)
			seen |= word
			continue
		}
		if word == wordRange && c.At('{') {
			readRange(c, t)
			seen |= word
			continue
		}
		if c.Value(); c.Null() && word != wordBody {
			continue
		}
		if seen |= word; word == wordID {
			id = c.Text("id")
		} else {
			readMember(c, line, word, t, &old, l)
		}
	}
	if c.Err() != nil {
		return
	}
	if len(extra) > 0 {
		t.Extra = append(extra, '}')
	}
	switch have := seen & (wordBody | wordB64); {
	case have == 0 && body:
		c.Fail(at, "a task needs a member body or b64; JSON data goes in as {\"body\": …}")
		return
	case have == wordBody|wordB64:
		c.Fail(at, "a task has either body or b64, not both")
		return
	}
	if seen&wordRange != 0 {
		switch {
		case t.Run == "":
			c.Fail(at, "range needs a run")
		case seen&wordN != 0 || id != nil:
			c.Fail(at, "range says the positions and ids of its tasks; leave out n and id")
		}
		return
	}
	if seen&wordN == 0 {
		t.ID = keep(old.ID, id)
		return
	}
	t.Dense = true
	switch {
	case t.Run == "":
		c.Fail(at, "n needs a run")
	case id != nil && !isDenseID(id, t):
		c.Fail(at, "with run %q and n %d the id is %q, not %q", t.Run, t.Position, glassq.DenseID(t.Run, t.Position), id)
	}
}

// isDenseID is id == glassq.DenseID(t.Run, t.N), without an allocation.
func isDenseID(id []byte, t *glassq.Task) bool {
	var room [64]byte
	want := append(append(room[:0], t.Run...), '/')
	return bytes.Equal(id, strconv.AppendUint(want, uint64(t.Position), 10))
}

func readMember(c *jsonline.Cursor, line []byte, word uint32, t, old *glassq.Task, l *glassq.Lease) {
	switch word {
	case wordBody:
		readBody(c, line, t)
	case wordB64:
		t.Body = c.Base64("b64")
		if t.Type == "" {
			t.Type = glassq.TypeOctets
		}
	case wordQueue:
		t.Queue = readName(c, "queue", old.Queue)
	case wordN:
		t.Position = uint32(c.Integer("n", 1<<32-1))
	case wordRun:
		t.Run = readName(c, "run", old.Run)
	case wordType:
		if typ := c.Text("type"); len(typ) > 0 {
			t.Type = keepType(old.Type, typ)
		}
	case wordPriority:
		t.Priority = glassq.Level(int(c.Integer("priority", 9)))
	case wordDelay:
		t.Delay = c.Duration("delay")
	case wordTTL:
		t.TTL = c.Duration("ttl")
	case wordAttempts:
		t.Attempts = int(c.Integer("attempts", glassq.MaxAttempts))
	case wordLease:
		if d := c.Duration("lease"); l != nil {
			l.Length = d
		} else {
			t.Lease = d
		}
	case wordResult:
		t.ResultQueue = readName(c, "result", old.ResultQueue)
	case wordHeaders:
		c.Fail(c.From, "headers must begin with {")
	case wordRange:
		c.Fail(c.From, "range must be like {\"from\":0,\"count\":1000}")
	case wordKey:
		t.Key = keep(old.Key, c.Text("key"))
	case wordCost:
		if t.Cost = uint32(c.Integer("cost", glassq.MaxCost)); t.Cost == 0 {
			c.Fail(c.From, "cost must be a whole number from 1 to %d", glassq.MaxCost)
		}
	case wordFlags:
		t.Flags = uint32(c.Integer("flags", 1<<32-1))
	case wordToken:
		tok := readToken(c)
		if l.Number = tok.Number; l.Queue == "" {
			l.Queue = keep(old.Queue, []byte(tok.Queue))
		}
	case wordAttempt:
		l.Attempt = int(c.Integer("attempt", 1<<31-1))
	case wordAge:
		l.Age = c.Duration("age")
	case wordLate:
		l.Late = c.Duration("late")
	case wordSaid:
		l.Progress = readSaid(c, line[c.From:c.To])
	case wordOf:
		t.OfAttempt = int(c.Integer("of", 1<<31-1))
	}
}

// readName takes a name. An empty one is none: it comes of a variable that is not set, and a task
// without its run would be in no book that anybody looks at.
func readName(c *jsonline.Cursor, key, old string) string {
	text := c.Text(key)
	if len(text) == 0 {
		c.Fail(c.From, "%s is empty; name one, or leave the member out", key)
	}
	return keep(old, text)
}

// readBody takes the member body; a type said before it stays.
func readBody(c *jsonline.Cursor, line []byte, t *glassq.Task) {
	implied := glassq.TypeJSON
	t.Body = line[c.From:c.To:c.To]
	if t.Body[0] == '"' {
		implied = glassq.TypeText
		t.Body = c.Text("body")
	}
	if t.Type == "" {
		t.Type = implied
	}
}

func readHeaders(c *jsonline.Cursor) map[string]string {
	var headers map[string]string
	size := 0
	for c.Open('{', "headers"); c.More(); {
		if headers == nil {
			headers = make(map[string]string)
		}
		c.Key()
		at := c.From
		key := c.Text("the name of a header")
		c.Value()
		value := c.Text("a header")
		if size += len(key) + len(value); size > glassq.MaxMeta { // refused sooner or later: a map of them all is much longer
			c.Fail(at, "more than %d bytes of headers", glassq.MaxMeta)
		}
		headers[string(key)] = string(value)
	}
	return headers
}

// readRange takes the member range: from and add are 0 where they are not said.
func readRange(c *jsonline.Cursor, t *glassq.Task) {
	r := &glassq.Range{}
	at := c.From
	for c.Open('{', "range"); c.More(); {
		key := string(c.Key())
		name := c.From
		c.Value()
		switch key {
		case "from":
			t.Position = uint32(c.Integer("from", glassq.MaxPositions-1))
		case "count":
			r.Count = c.Integer("count", glassq.MaxPositions)
		case "add":
			r.Add = c.Integer("add", 1<<63)
		default:
			c.Fail(name, "range has no member %q; it has from, count and add", key)
		}
	}
	switch {
	case r.Count == 0:
		c.Fail(at, "range needs a count of 1 or more")
	case uint64(t.Position)+r.Count > glassq.MaxPositions:
		c.Fail(at, "range goes beyond position %d, the last that a run can have", uint64(glassq.MaxPositions-1))
	}
	t.Dense, t.Range = true, r
}

func readToken(c *jsonline.Cursor) glassq.Token {
	text := string(c.Text("token"))
	if c.Err() != nil {
		return glassq.Token{}
	}
	tok, err := glassq.ParseToken(text)
	if err != nil {
		c.Fail(c.From, "%v", err)
	}
	return tok
}

// appendMember adds a raw member to an object that is not closed yet.
func appendMember(object, key, value []byte) []byte {
	if object == nil {
		object = append(object, '{')
	} else {
		object = append(object, ',')
	}
	object = append(append(object, key...), ':')
	return append(object, value...)
}

// keep returns old if b says the same, to spare an allocation.
func keep(old string, b []byte) string {
	if old == string(b) {
		return old
	}
	return string(b)
}

// keepType is keep that knows the usual types.
func keepType(old string, b []byte) string {
	switch string(b) {
	case glassq.TypeText:
		return glassq.TypeText
	case glassq.TypeJSON:
		return glassq.TypeJSON
	case glassq.TypeOctets:
		return glassq.TypeOctets
	}
	return keep(old, b)
}
