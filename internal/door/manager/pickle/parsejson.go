package pickle

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/jsonline"
)

// A jsonReader makes values of valid JSON.
type jsonReader struct {
	c   *jsonline.Cursor
	n   int // values so far
	lim Limits
	ok  bool    // nothing is over a limit
	dec Decoder // of the pickles within
}

func (p *jsonReader) value(level int) *Value {
	if p.n++; p.n > p.lim.Nodes || level >= p.lim.Depth {
		p.ok = false
	}
	switch {
	case !p.ok:
		return nil
	case p.c.At('['):
		v := &Value{Kind: List}
		for p.c.Open('[', "a list"); p.ok && p.c.More(); {
			v.Items = append(v.Items, p.value(level+1))
		}
		return v
	case p.c.At('{'):
		v := &Value{Kind: Dict}
		for p.c.Open('{', "a dict"); p.ok && p.c.More(); {
			key := &Value{Kind: Text, Raw: jsonline.Plain(p.c.Value())}
			v.Items = append(v.Items, key, p.value(level+1))
		}
		if !p.ok {
			return nil
		}
		return p.untag(v)
	}
	switch raw := p.c.Value(); raw[0] {
	case 'n':
		return &Value{Kind: None}
	case 't':
		return &Value{Kind: Bool, Num: 1}
	case 'f':
		return &Value{Kind: Bool}
	case '"':
		return &Value{Kind: Text, Raw: jsonline.Plain(raw)}
	default:
		return p.number(string(raw))
	}
}

func (p *jsonReader) number(text string) *Value {
	v := &Value{}
	if strings.ContainsAny(text, ".eE") {
		f, _ := strconv.ParseFloat(text, 64) // out of range is infinite, as in Python
		v.Kind, v.Num = Float, math.Float64bits(f)
		return v
	}
	if len(text) > p.lim.IntBytes*12/5 || !setDecimal(v, text) {
		p.ok = false
	}
	return v
}

// untag makes the value that a dict with the member "$py" stands for; others are what they are.
func (p *jsonReader) untag(v *Value) *Value {
	tag := v.Member("$py")
	if tag == nil || tag.Kind != Text {
		return v
	}
	switch name := string(tag.Raw); name {
	case "tuple", "set", "frozenset", "dict", "deque", "complex", "exception":
		items := v.Member("items")
		if items == nil || items.Kind != List {
			return v
		}
		return untagItems(v, name, items)
	case "bytes", "bytearray", "pickle", "opaque":
		text := v.Member("b64")
		if text == nil || text.Kind != Text {
			return v
		}
		raw, err := base64.StdEncoding.DecodeString(string(text.Raw))
		if err != nil {
			return v
		}
		switch name {
		case "bytes":
			return &Value{Kind: Bytes, Raw: raw}
		case "bytearray":
			return &Value{Kind: ByteArray, Raw: raw}
		}
		before := p.dec.used
		p.dec.Limits = p.lim
		p.dec.Limits.Nodes = max(1, p.lim.Nodes-p.n+before)
		x, _, err := p.dec.run(raw)
		p.n += p.dec.used - before
		if err != nil {
			return v
		}
		return x
	}
	text := v.Member("v")
	if text == nil || text.Kind != Text {
		return v
	}
	return untagText(v, string(tag.Raw), text, p.lim)
}

func untagItems(v *Value, name string, items *Value) *Value {
	kind := map[string]Kind{"tuple": Tuple, "set": Set, "frozenset": FrozenSet}[name]
	switch kind {
	case Tuple:
		return &Value{Kind: Tuple, Items: items.Items}
	case Set, FrozenSet:
		set := &Value{Kind: kind}
		for _, x := range items.Items {
			set.Items = append(set.Items, untuple(x))
		}
		return set
	}
	switch name {
	case "deque":
		q := call("collections", name)
		q.More = &More{List: items.Items}
		return q
	case "complex":
		if c := call("builtins", name, items.Items...); known(c) {
			return c
		}
		return v
	case "exception":
		class := v.Member("class")
		if class == nil || class.Kind != Text {
			return v
		}
		module, name := "builtins", string(class.Raw)
		if at := strings.LastIndexByte(name, '.'); at >= 0 {
			module, name = name[:at], name[at+1:]
		}
		if !isException(module, name) {
			return v
		}
		return call(module, name, items.Items...)
	}
	d := &Value{Kind: Dict}
	for _, pair := range items.Items {
		if pair.Kind != List || len(pair.Items) != 2 {
			return v
		}
		d.Items = append(d.Items, untuple(pair.Items[0]), pair.Items[1])
	}
	return d
}

// call is what Python makes by a call.
func call(module, name string, args ...*Value) *Value {
	return &Value{Kind: Reduce, Items: []*Value{{Kind: Global, Raw: []byte(module + "\n" + name)},
		{Kind: Tuple, Items: args}}}
}

// untuple makes the tuple again that JSON made a list of: no list can be a key, or in a set.
func untuple(v *Value) *Value {
	if v.Kind != List {
		return v
	}
	t := &Value{Kind: Tuple}
	for _, x := range v.Items {
		t.Items = append(t.Items, untuple(x))
	}
	return t
}

func untagText(v *Value, tag string, text *Value, lim Limits) *Value {
	switch tag {
	case "str":
		return &Value{Kind: Str, Raw: text.Raw}
	case "unicode":
		return &Value{Kind: Text, Raw: text.Raw, Num: 1}
	case "int":
		n := &Value{}
		if len(text.Raw) <= lim.IntBytes*12/5 && setDecimal(n, string(text.Raw)) {
			return n
		}
	case "float":
		switch s := string(text.Raw); s {
		case "nan":
			return &Value{Kind: Float, Num: 0x7ff8 << 48} // as Python writes it
		case "inf", "-inf":
			f, _ := strconv.ParseFloat(s, 64)
			return &Value{Kind: Float, Num: math.Float64bits(f)}
		}
	case "Decimal":
		if decimalText(text.Raw) {
			return call("decimal", tag, text)
		}
	case "UUID":
		// Through the constructor, which takes the usual text.
		if uuidText(text.Raw) {
			return call("uuid", tag, text)
		}
	case "datetime", "date", "time":
		if raw, ok := packDate(tag, string(text.Raw)); ok {
			return call("datetime", tag, &Value{Kind: Bytes, Raw: raw})
		}
	case "Fraction":
		if c := call("fractions", tag, text); known(c) {
			return c
		}
	case "Path", "PurePath":
		return call("pathlib", tag, text)
	}
	return v
}

// decimalText reports whether Decimal(text) succeeds.
func decimalText(b []byte) bool {
	s := string(b)
	switch s {
	case "NaN", "sNaN", "Infinity", "-Infinity":
		return true
	}
	if len(b) > 1000 || len(b) == 0 {
		return false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return false
		}
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

func uuidText(b []byte) bool {
	for i, c := range b {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return len(b) == 36
}

// dateForms are the texts that dateText prints, as package time reads them.
var dateForms = map[string]string{"datetime": "2006-01-02T15:04:05.999999", "date": "2006-01-02",
	"time": "15:04:05.999999"}

// packDate is the inverse of dateText.
func packDate(name, text string) ([]byte, bool) {
	t, err := time.Parse(dateForms[name], text)
	if err != nil || len(text) > 26 {
		return nil, false
	}
	var b []byte
	if name != "time" {
		if t.Year() < 1 {
			return nil, false
		}
		b = append(b, byte(t.Year()>>8), byte(t.Year()), byte(t.Month()), byte(t.Day()))
	}
	if name != "date" {
		us := t.Nanosecond() / 1000
		b = append(b, byte(t.Hour()), byte(t.Minute()), byte(t.Second()), byte(us>>16), byte(us>>8), byte(us))
	}
	return b, true
}
