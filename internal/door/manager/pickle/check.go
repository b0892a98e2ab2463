package pickle

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// ErrTooDeep and ErrTooMany refuse a value whoever is to get it, ErrTooLong what would be printed
// of it.
var (
	ErrTooDeep = errors.New("containers within containers beyond the limit")
	ErrTooMany = errors.New("more values than the limit, when shared ones are counted wherever they are")
	ErrTooLong = errors.New("longer than the limit, when shared parts are written out wherever they are")
)

// A Report tells what a value is made of.
type Report struct {
	// Foreign says why the value is not plain data: what is in it that only its own program
	// understands, or that no getter could load. It is empty for plain data, to which some classes
	// of the standard library belong (see known), and objects of the main program that are made of
	// plain arguments alone, as named tuples are.
	Foreign string
	// Members are calls of what the main program names, with one value: members of an Enum, as a
	// rule. A value for a getter that must not be made to call anything goes after [Member].
	Members []*Value
	// Exact: the text or JSON of the value is all there is to it, for Python as well. Otherwise a
	// getter in Python needs the pickle, or JSON made with exact.
	Exact bool
	// Bytes is how long the texts and data of the value are, shared ones counted wherever they are.
	// JSON of plain data is no shorter.
	Bytes int64
}

// Check looks through v. It must be called once before v is encoded or printed as JSON. The error
// is ErrTooDeep or ErrTooMany.
func Check(v *Value, lim Limits) (Report, error) {
	c := checker{lim: lim.withDefaults(), r: Report{Exact: true}}
	if err := c.look(v, 1); err != nil {
		return Report{}, err
	}
	if v.Kind == Global {
		c.foreign("the class or function %s", describe(v))
	}
	c.r.Bytes = v.bytes
	return c.r, nil
}

const (
	unseen uint8 = iota
	open
	done
)

type checker struct {
	lim  Limits
	r    Report
	args *Value // the tuple of arguments of the record whose parts are looked at next
}

func (c *checker) foreign(format string, args ...any) {
	c.r.Exact = false
	if c.r.Foreign == "" {
		c.r.Foreign = fmt.Sprintf(format, args...)
	}
}

// look checks v, which has level-1 containers around it.
func (c *checker) look(v *Value, level int) error {
	v.refs++
	switch {
	case v.state == open:
		c.foreign("a value that contains itself")
		return nil
	case v.state == done && v.Kind < List:
		return nil
	case v.state == done:
		if v.Kind != Tuple && v.Kind != Global {
			c.r.Exact = false // two places hold one object
		}
		if level+int(v.depth)-1 > c.lim.Depth {
			return ErrTooDeep
		}
		return nil
	case level > c.lim.Depth:
		return ErrTooDeep
	}
	if v.Kind < List {
		v.state, v.depth, v.size, v.bytes = done, 1, 1, int64(len(v.Raw))
		c.leaf(v)
		return nil
	}
	args := c.args == v // those of a record, whose globals known looks at
	if v.Kind != Global {
		c.args = nil
	}
	if v.record() {
		c.args = v.Items[1]
	}
	v.state = open
	size, depth, bytes := int64(1), int32(1), int64(0)
	err := v.children(func(x *Value) error {
		if err := c.look(x, level+1); err != nil {
			return err
		}
		size += int64(max(x.size, 1))
		bytes += x.bytes
		depth = max(depth, x.depth+1)
		if size > int64(c.lim.Nodes) {
			return ErrTooMany
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.state, v.depth, v.size, v.bytes = done, depth, int32(size), bytes
	if c.r.Foreign == "" { // the first fault is enough, and circles are never looked at twice
		c.container(v, args)
	}
	return nil
}

// children calls f for every value that v refers to, until it fails.
func (v *Value) children(f func(*Value) error) error {
	all := [4][]*Value{v.Items}
	if v.More != nil {
		all[1], all[2], all[3] = v.More.List, v.More.Dict, v.More.State
	}
	for _, some := range all {
		for _, x := range some {
			if err := f(x); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) leaf(v *Value) {
	switch v.Kind {
	case Text:
		if !utf8.Valid(v.Raw) {
			c.foreign("text with half a surrogate pair, or that is not UTF-8")
		}
		if v.Num == 1 && ascii(v.Raw) {
			c.r.Exact = false // a unicode; text to Python 2 is a str where it can be
		}
	case Str:
		if !ascii(v.Raw) && utf8.Valid(v.Raw) {
			c.r.Exact = false
		}
	case ByteArray:
		c.r.Exact = false
	}
}

func (c *checker) container(v *Value, args bool) {
	switch v.Kind {
	case Tuple:
		c.r.Exact = false
	case Set, FrozenSet:
		c.r.Exact = c.r.Exact && v.Kind == Set
		for _, x := range v.Items {
			c.hashable(x, "an item of a set")
		}
	case Dict:
		for i := 0; i < len(v.Items); i += 2 {
			c.hashable(v.Items[i], "a key of a dict")
		}
	case Global:
		c.r.Exact = false // allowed within a defaultdict only, see known
	case Reduce, New, NewEx, Obj:
		c.r.Exact = false
		if !known(v) {
			c.foreign("an instance of %s", describe(v))
		} else if member(v) {
			c.r.Members = append(c.r.Members, v)
		}
		if v.More != nil {
			for i := 0; i < len(v.More.Dict); i += 2 {
				c.hashable(v.More.Dict[i], "a key of a dict")
			}
		}
	}
	if v.record() || args {
		return
	}
	for _, x := range v.Items {
		if x.Kind == Global {
			c.foreign("the class or function %s", describe(x))
		}
	}
}

// hashable notes a key that Python could not load: the getter would fail and the task with it.
func (c *checker) hashable(v *Value, where string) {
	switch {
	case v.Kind < ByteArray:
	case v.Kind == Tuple || v.Kind == FrozenSet:
		for _, x := range v.Items {
			c.hashable(x, where)
		}
	case v.Kind == Reduce || v.Kind == New:
		switch _, name := v.Class(); name {
		case "OrderedDict", "defaultdict", "Counter", "deque":
			c.foreign("%s that Python cannot hash", where)
		}
		if v.Kind == New {
			for _, x := range v.Items[1].Items {
				c.hashable(x, where)
			}
		}
	default:
		c.foreign("%s that Python cannot hash", where)
	}
}

func describe(v *Value) string {
	module, name := v.Class()
	if module == "" {
		return "a class without a name"
	}
	return fmt.Sprintf("%.200s.%.200s", module, name)
}

// known reports whether a record is plain data, made as the pickler of some Python makes it.
func known(v *Value) bool {
	module, name := v.Class()
	module = libraryModule(module)
	plainArgs := !slices.ContainsFunc(v.Items[1].Items, func(x *Value) bool { return x.Kind == Global })
	if v.More != nil && slices.ContainsFunc(v.More.Dict, func(x *Value) bool { return x.Kind == Global }) {
		return false
	}
	switch module {
	case "datetime":
		switch name {
		case "datetime", "date", "time", "timedelta", "timezone":
			return v.Kind == Reduce && plainArgs && v.More == nil
		}
	case "decimal":
		return name == "Decimal" && v.Kind == Reduce && plainArgs && v.More == nil
	case "uuid":
		// An empty instance and its members as a dict.
		if name == "UUID" && v.Kind == Reduce { // by its text, which is how JSON is read
			args := v.Items[1].Items
			return v.More == nil && len(args) == 1 && args[0].Kind == Text && uuidText(args[0].Raw)
		}
		return name == "UUID" && v.Kind == New && len(v.Items[1].Items) == 0 && v.More != nil && v.More.List == nil &&
			v.More.Dict == nil && len(v.More.State) == 1 && v.More.State[0].Kind == Dict &&
			!slices.ContainsFunc(v.More.State[0].Items, func(x *Value) bool { return x.Kind == Global })
	case "collections":
		if name == "Counter" || name == "deque" {
			break
		}
		if v.Kind != Reduce || v.More != nil && (v.More.List != nil || v.More.State != nil) {
			return false
		}
		switch args := v.Items[1].Items; name {
		case "OrderedDict":
			return plainArgs && len(args) <= 1
		case "defaultdict":
			return len(args) == 0 || len(args) == 1 && (args[0].Kind == None || harmless(args[0]))
		}
	}
	return knownMore(v, module, name, plainArgs)
}

// harmless reports whether v names a type that makes an empty value when it is called.
func harmless(v *Value) bool {
	for _, name := range []string{"int", "list", "dict", "set", "str", "float", "tuple", "bool", "bytes", "frozenset",
		"bytearray", "unicode", "long"} {
		if v.is(name, "builtins", "__builtin__") {
			return true
		}
	}
	return false
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Float returns the number of a Float.
func (v *Value) Float() float64 { return math.Float64frombits(v.Num) }
