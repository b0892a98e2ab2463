// Package pickle reads and writes Python pickles as data.
//
// A pickle is a program for a small machine that can call any function. Nothing of that happens
// here: a [Decoder] accepts the instructions that build data, makes a tree of [Value]s, and turns
// what names a class or a function into an inert record of the name and its arguments. Encoding
// prints the tree again, in a form that either Python 2 or Python 3 reads.
//
// The package knows values and JSON; it does not know queues, sockets or requests. The opcodes are
// those of CPython's pickletools, protocols 0 to 5.
package pickle

import "bytes"

// A Kind is what a Value is.
type Kind uint8

const (
	None      Kind = iota
	Bool           // Num is 0 or 1
	Int            // Num, as int64
	Big            // Raw, little-endian two's complement, beyond 64 bits
	Float          // Num, as the bits of a float64
	Text           // Raw, UTF-8: str of Python 3; with Num 1, unicode of Python 2
	Str            // Raw: the 8-bit str of Python 2
	Bytes          // Raw: bytes of Python 3
	ByteArray      // Raw
	List           // Items
	Tuple          // Items
	Set            // Items
	FrozenSet      // Items
	Dict           // Items: key, value, key, value …
	Global         // Raw: module, a newline, name. A class or function, by its name only
	Reduce         // Items: callable, arguments
	New            // Items: class, arguments
	NewEx          // Items: class, arguments, keyword arguments
	Obj            // Items: class, arguments; an old-style instance of Python 2
	mark           // on the decoder's stack only
)

// A Value is one node of a decoded pickle. Nodes may be shared, and a container may contain itself;
// after [Check] found it plain it is a tree with sharing. A Value and what it refers to is used by
// one goroutine.
type Value struct {
	Kind  Kind
	state uint8 // of the check: unseen, open, done
	refs  int32 // how often a check reached it
	depth int32 // levels below and with it, after a check
	size  int32 // nodes below and with it, counted by every path, after a check
	bytes int64 // of their Raw, counted in the same way
	Num   uint64
	Raw   []byte // may alias the decoder's input
	Items []*Value
	More  *More // what was attached to a record, nil for nothing
}

// More is what APPEND, SETITEM and BUILD attached to a record (kinds Reduce, New, NewEx, Obj).
type More struct {
	List  []*Value // appended items
	Dict  []*Value // key, value, key, value …
	State []*Value // arguments of BUILD, in order
}

// record reports whether v stands for an object that Python would make by a call.
func (v *Value) record() bool { return v.Kind >= Reduce && v.Kind <= Obj }

// Class returns the module and name of a record's class or of a global; both are empty when v is
// neither, or when what is called is not simply named.
func (v *Value) Class() (module, name string) {
	g := v
	if v.record() {
		g = v.Items[0]
	}
	if g.Kind != Global {
		return "", ""
	}
	m, n, _ := bytes.Cut(g.Raw, []byte{'\n'})
	return string(m), string(n)
}

// is reports whether v is a global of one of the modules, by that name.
func (v *Value) is(name string, modules ...string) bool {
	if v.Kind != Global {
		return false
	}
	for _, m := range modules {
		if len(v.Raw) == len(m)+1+len(name) && string(v.Raw[:len(m)]) == m && string(v.Raw[len(m)+1:]) == name {
			return true
		}
	}
	return false
}

// Member returns the value of a text key of a dict, or nil.
func (v *Value) Member(key string) *Value {
	if v.Kind != Dict {
		return nil
	}
	for i := len(v.Items) - 2; i >= 0; i -= 2 { // the last one counts, as in Python
		if k := v.Items[i]; (k.Kind == Text || k.Kind == Str) && string(k.Raw) == key {
			return v.Items[i+1]
		}
	}
	return nil
}

// True reports whether Python takes v as true in a condition. Records are true.
func (v *Value) True() bool {
	switch v.Kind {
	case None:
		return false
	case Bool, Int:
		return v.Num != 0
	case Float:
		return v.Num<<1 != 0 // neither 0.0 nor -0.0
	case Text, Str, Bytes, ByteArray:
		return len(v.Raw) > 0
	case List, Tuple, Set, FrozenSet, Dict:
		return len(v.Items) > 0
	}
	return true
}
