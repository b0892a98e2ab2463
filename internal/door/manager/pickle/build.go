package pickle

import (
	"bytes"
	"unicode/utf8"
)

// build runs the instructions that make and fill containers and records.
func (d *Decoder) build(op byte) error {
	switch op {
	case opEmptyList:
		d.push(d.node(List))
	case opEmptyDict:
		d.push(d.node(Dict))
	case opEmptyTuple:
		d.push(d.node(Tuple))
	case opEmptySet:
		d.push(d.node(Set))
	case opTuple1, opTuple2, opTuple3:
		n := int(op-opTuple1) + 1
		if len(d.stack)-d.floor() < n {
			return d.fail("%s", errNoValue)
		}
		v := d.node(Tuple)
		v.Items = append(v.Items, d.stack[len(d.stack)-n:]...)
		d.stack = append(d.stack[:len(d.stack)-n], v)
	case opTuple, opList, opDict, opFrozenSet:
		items, ok := d.popMark()
		if !ok {
			return d.fail("no mark is open")
		}
		v := d.node(map[byte]Kind{opTuple: Tuple, opList: List, opDict: Dict, opFrozenSet: FrozenSet}[op])
		if v.Kind == Dict && len(items)%2 != 0 {
			return d.fail("a key without a value")
		}
		v.Items = append(v.Items, items...)
		d.push(v)
	case opAppend, opSetItem:
		n := 1
		if op == opSetItem {
			n = 2
		}
		if len(d.stack)-d.floor() < n+1 {
			return d.fail("%s", errNoValue)
		}
		items := d.stack[len(d.stack)-n:]
		d.stack = d.stack[:len(d.stack)-n]
		return d.fill(op, items)
	case opAppends, opSetItems, opAddItems:
		items, ok := d.popMark()
		if !ok || d.top() == nil {
			return d.fail("no mark is open, or nothing lies under it")
		}
		return d.fill(op, items)
	case opGlobal, opStackGlobal:
		return d.global(op)
	case opReduce, opNewObj:
		args, class := d.pop(), d.pop()
		if args == nil || class == nil || args.Kind != Tuple {
			return d.fail("a callable and a tuple of arguments are missing")
		}
		k := Reduce
		if op == opNewObj {
			k = New
		}
		v := d.fold(d.makeRecord(k, class, args))
		n := len(v.Raw) + len(v.Items)
		if v.record() {
			n += len(v.Items[1].Items)
		}
		if err := d.copies(n); err != nil {
			return err
		}
		d.push(v)
	case opNewObjEx:
		kwargs, args, class := d.pop(), d.pop(), d.pop()
		if kwargs == nil || args == nil || class == nil || args.Kind != Tuple || kwargs.Kind != Dict {
			return d.fail("a class, a tuple and a dict are missing")
		}
		d.push(d.makeRecord(NewEx, class, args, kwargs))
	case opObj:
		items, ok := d.popMark()
		if !ok || len(items) == 0 {
			return d.fail("no mark is open, or no class lies above it")
		}
		args := d.node(Tuple)
		args.Items = append(args.Items, items[1:]...)
		d.push(d.makeRecord(Obj, items[0], args))
	case opBuild:
		state, v := d.pop(), d.top()
		if state == nil || v == nil || !v.record() {
			return d.fail("BUILD of what is not an object")
		}
		m := v.more()
		m.State = append(m.State, state)
	default:
		return d.fail("instruction %#02x is not data", op)
	}
	return nil
}

func (d *Decoder) makeRecord(k Kind, items ...*Value) *Value {
	v := d.node(k)
	v.Items = append(v.Items, items...)
	return v
}

func (v *Value) more() *More {
	if v.More == nil {
		v.More = &More{}
	}
	return v.More
}

// fill adds items to the container on the top of the stack.
func (d *Decoder) fill(op byte, items []*Value) error {
	v := d.top()
	pairs := op == opSetItem || op == opSetItems
	if pairs && len(items)%2 != 0 {
		return d.fail("a key without a value")
	}
	switch {
	case pairs && v.Kind == Dict, op == opAddItems && v.Kind == Set, (op == opAppend || op == opAppends) && v.Kind == List:
		v.Items = append(v.Items, items...)
	case pairs && v.record():
		m := v.more()
		m.Dict = append(m.Dict, items...)
	case op != opAddItems && !pairs && v.record():
		m := v.more()
		m.List = append(m.List, items...)
	default:
		return d.fail("instruction %#02x on what it does not fit", op)
	}
	return nil
}

// global pushes the name of a class or function. It is looked up nowhere.
func (d *Decoder) global(op byte) error {
	var module, name []byte
	if op == opGlobal {
		var err error
		if module, err = d.line(); err != nil {
			return err
		}
		if name, err = d.line(); err != nil {
			return err
		}
	} else {
		n, m := d.pop(), d.pop()
		if n == nil || m == nil || n.Kind != Text && n.Kind != Str || m.Kind != Text && m.Kind != Str {
			return d.fail("the name of a class is missing")
		}
		module, name = m.Raw, n.Raw
	}
	const longest = 500 // bytes; a name, not a place to hide data
	if len(module) == 0 || len(name) == 0 || len(module)+len(name) > longest || !utf8.Valid(module) || !utf8.Valid(name) ||
		bytes.IndexByte(module, '\n') >= 0 || bytes.IndexByte(name, '\n') >= 0 {
		return d.fail("%.60q %.60q is not the name of a class", module, name)
	}
	if err := d.copies(len(module) + len(name)); err != nil {
		return err
	}
	v := d.node(Global)
	v.Raw = append(append(append(make([]byte, 0, len(module)+1+len(name)), module...), '\n'), name...)
	d.push(v)
	return nil
}

// fold turns the calls that protocols write for plain values into those values: sets, byte arrays,
// and the bytes of Python 3 in protocols that have none.
func (d *Decoder) fold(v *Value) *Value {
	f, args := v.Items[0], v.Items[1].Items
	switch {
	case f.is("set", "builtins", "__builtin__"), f.is("frozenset", "builtins", "__builtin__"):
		if len(args) > 1 || len(args) == 1 && args[0].Kind != List {
			return v
		}
		set := d.node(Set)
		if f.is("frozenset", "builtins", "__builtin__") {
			set.Kind = FrozenSet
		}
		if len(args) == 1 {
			set.Items = append(set.Items, args[0].Items...)
		}
		return set
	case f.is("bytearray", "builtins", "__builtin__"):
		b := d.node(ByteArray)
		switch {
		case len(args) == 0:
			return b
		case len(args) == 1 && (args[0].Kind == Bytes || args[0].Kind == Str):
			b.Raw = args[0].Raw
			return b
		case len(args) == 2 && args[0].Kind == Text && isLatin1(args[1]):
			if raw, ok := latin1(args[0].Raw); ok {
				b.Raw = raw
				return b
			}
		}
	case f.is("encode", "_codecs"):
		if len(args) == 2 && args[0].Kind == Text && isLatin1(args[1]) {
			if raw, ok := latin1(args[0].Raw); ok {
				b := d.node(Bytes)
				b.Raw = raw
				return b
			}
		}
	case f.is("bytes", "builtins", "__builtin__"):
		if len(args) == 0 {
			return d.node(Bytes)
		}
	case f.is("datetime", "datetime"), f.is("date", "datetime"), f.is("time", "datetime"):
		// The first argument is packed bytes, which Python 2 writes as str and as such might pass
		// for text.
		if len(args) > 0 && args[0].Kind == Str {
			b := d.node(Bytes)
			b.Raw = args[0].Raw
			t := d.node(Tuple)
			t.Items = append(append(t.Items, b), args[1:]...)
			v.Items[1] = t
		}
	}
	return v
}

func isLatin1(v *Value) bool {
	if v.Kind != Text && v.Kind != Str {
		return false
	}
	switch string(v.Raw) {
	case "latin1", "latin-1":
		return true
	}
	return false
}

// latin1 is what text in UTF-8 is in one byte per letter, if it can be.
func latin1(text []byte) ([]byte, bool) {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r > 0xff {
			return nil, false
		}
		out, text = append(out, byte(r)), text[n:]
	}
	return out, true
}
