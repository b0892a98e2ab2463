package output

import (
	"bytes"
	"encoding/json"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/jsonwalk"
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
	out        glassq.Result // what it says; OK when there is no object o
}

// scan checks that b is one JSON object, from its first byte to its last, and finds its parts.
func (obj *object) scan(b []byte) bool {
	*obj = object{clean: true}
	obj.out.OK = true
	w := jsonwalk.Walk(b, 0, 1)
	for w.Next() {
		obj.members++
		key, ks := w.Key(), keySpan(&w)
		if bytes.IndexByte(key, '\\') >= 0 {
			key = []byte(unquoteKey(key))
		}
		if len(key) == 1 && key[0] == 'o' {
			obj.takeOut(b, &w, ks)
			continue
		}
		from := w.Pos()
		w.Skip()
		v := span{from, w.Pos()}
		switch string(key) {
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
	if w.Pos() != len(b) {
		return false
	}
	if !obj.o.isObject(b) {
		obj.clean = false
	}
	return true
}

// keySpan is where the key of a member lies, with its quotes.
func keySpan(w *jsonwalk.Walker) span {
	from, to := w.Name()
	return span{from - 1, to + 1}
}

// takeOut takes the value of a member o of b.
func (obj *object) takeOut(b []byte, w *jsonwalk.Walker, key span) {
	if obj.o.end != 0 {
		obj.clean = false
	}
	obj.outer = outer{out: glassq.Result{OK: true}}
	obj.oKey, obj.o.start = key, w.Pos()
	if !w.At('{') {
		w.Skip()
		obj.o.end = w.Pos()
		return
	}
	in := w.Enter()
	for in.Next() {
		obj.oMembers++
		name, v := in.Key(), span{start: in.Pos()}
		in.Skip()
		if v.end = in.Pos(); v.end < 0 {
			break
		}
		if len(name) == 1 && name[0] == 'a' {
			obj.hasAttempt = true
		}
		switch string(name) {
		case "msg":
			obj.msg = v
		case "w":
			obj.w = v
		default:
			obj.out.Set(name, b[v.start:v.end])
		}
	}
	w.Leave(&in)
	obj.o.end = w.Pos()
}

// eachMember calls f for the members of the object that v, a part of a body that was scanned, is. key is
// between its quotes, ks with them.
func eachMember(v []byte, f func(key []byte, ks, v span)) {
	for w := jsonwalk.Walk(v, 0, 1); w.Next(); {
		from := w.Pos()
		if w.Skip() != nil {
			f(w.Key(), keySpan(&w), span{from, w.Pos()})
		}
	}
}

// unquoteKey returns the name that a key stands for, given what is between its quotes.
func unquoteKey(key []byte) string {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key)
	}
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, key...), '"'), &s) != nil {
		return ""
	}
	return s
}
