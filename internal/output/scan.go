package output

import (
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/result"
)

// A span is a stretch of a body.
type span struct{ start, end int }

func (s span) isObject(b []byte) bool { return s.end > s.start && b[s.start] == '{' }

// An object is what one pass over a worker's JSON object finds. Where a name comes twice, the last
// one counts, as for most readers.
type object struct {
	members int
	clean   bool // no member is id or run, and o is there once
	o, oKey span // value and name of member o; zero when absent
	outer
	i, b64  span // values of the members that say what the task was
	id, run span // values, for lines of a file
	raw     bool // there is a member raw: a line of what was no object
}

// An outer is what is found in member o.
type outer struct {
	oMembers   int           // members of o
	hasAttempt bool          // o has a
	msg, w     span          // values
	out        result.Record // what it says; OK when there is no object o
}

// scan checks that b is one JSON object, from its first byte to its last, and finds its parts.
func (obj *object) scan(b []byte) bool {
	*obj = object{clean: true}
	obj.out.OK = true
	c := jsonline.Read(b)
	for c.Open('{', "a record"); c.More(); {
		obj.members++
		name, key := c.Key(), span{c.From, c.To}
		if string(name) == "o" {
			obj.takeOut(&c, key)
			continue
		}
		c.Value()
		v := span{c.From, c.To}
		switch string(name) {
		case "i":
			obj.i = v
		case "b64":
			obj.b64 = v
		case "raw":
			obj.raw = true
		case "id":
			if obj.id.end == 0 { // of two members with one name, ours came first
				obj.id = v
			}
			obj.clean = false
		case "run":
			if obj.run.end == 0 {
				obj.run = v
			}
			obj.clean = false
		}
	}
	if c.Err() != nil {
		return false
	}
	if !obj.o.isObject(b) {
		obj.clean = false
	}
	return true
}

// takeOut takes the value of a member o.
func (obj *object) takeOut(c *jsonline.Cursor, key span) {
	if obj.o.end != 0 {
		obj.clean = false
	}
	obj.outer = outer{out: result.Record{OK: true}}
	obj.oKey = key
	if !c.At('{') {
		c.Value()
		obj.o = span{c.From, c.To}
		return
	}
	c.Open('{', "o")
	obj.o.start = c.From
	for c.More() {
		obj.oMembers++
		name, value := c.Key(), c.Value()
		if value == nil {
			break
		}
		switch v := (span{c.From, c.To}); string(name) {
		case "msg":
			obj.msg = v
		case "w":
			obj.w = v
		default:
			obj.hasAttempt = obj.hasAttempt || string(name) == "a"
			obj.out.Set(name, value)
		}
	}
	obj.o.end = c.To
}

// eachMember calls f for the members of the object that v, a part of a body that was scanned, is.
// name is what the key says, and key where it lies, with its quotes.
func eachMember(v []byte, f func(name []byte, key, value span)) {
	c := jsonline.Read(v)
	for c.Open('{', "an object"); c.More(); {
		name, key := c.Key(), span{c.From, c.To}
		if c.Value() != nil {
			f(name, key, span{c.From, c.To})
		}
	}
}
