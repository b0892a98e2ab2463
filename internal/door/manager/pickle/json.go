package pickle

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/glassq/glassq/internal/jsonline"
)

const maxExactInt = 1<<53 - 1 // the largest integer that every JSON reader keeps

// AppendJSON appends v, which [Check] found plain, as JSON. What JSON has no form for is an object
// with the member "$py":
//
//	{"$py":"int","v":"9007199254740993"}       {"$py":"float","v":"inf"}        {"$py":"bytes","b64":"AP8="}
//	{"$py":"set","items":[1,2]}                {"$py":"dict","items":[[1,"x"]]}  other keys than text
//	{"$py":"datetime","v":"2024-01-02T03:04:05"}, and so for date, time, Decimal, UUID, Fraction, Path, PurePath
//	{"$py":"deque","items":[1,2]}, and so for complex
//	{"$py":"exception","class":"ValueError","items":["arguments"]}, with its module where that is not builtins
//	{"$py":"object","class":"__main__.Point","items":[1,2]}: a named tuple, or a member of an Enum by its value
//
// With exact nothing is simplified: tuples, frozen sets, byte arrays, and what is str or unicode in
// Python 2 have tags of their own, and objects are {"$py":"pickle","b64":…}, so that [ParseJSON]
// makes the same value again, except that an object in two places becomes two.
//
// More than most bytes are refused with ErrTooLong: shared parts are written out wherever they are,
// so that a short pickle may be long as JSON. Little more than that is ever held.
func AppendJSON(dst []byte, v *Value, exact bool, most int) ([]byte, error) {
	w := jsonWriter{out: dst, exact: exact, end: len(dst) + most}
	err := w.value(v)
	if err == nil && len(w.out) > w.end {
		err = ErrTooLong
	}
	return w.out, err
}

type jsonWriter struct {
	out   []byte
	exact bool
	end   int // most bytes of out
}

func (w *jsonWriter) str(s string) { w.out = append(w.out, s...) }

func (w *jsonWriter) value(v *Value) error {
	if len(w.out) > w.end {
		return ErrTooLong
	}
	switch v.Kind {
	case None:
		w.str("null")
	case Bool:
		w.out = strconv.AppendBool(w.out, v.Num != 0)
	case Int, Big:
		if n := int64(v.Num); v.Kind == Big || n < -maxExactInt || n > maxExactInt {
			w.str(`{"$py":"int","v":"`)
			w.out = integer(w.out, v)
			w.str(`"}`)
		} else {
			w.out = integer(w.out, v)
		}
	case Float:
		w.float(v.Float())
	case Text:
		if w.exact && v.Num == 1 && ascii(v.Raw) {
			w.tagged("unicode", v.Raw)
		} else {
			w.text(v.Raw)
		}
	case Str:
		switch {
		case !utf8.Valid(v.Raw):
			w.base64("bytes", v.Raw)
		case w.exact && !ascii(v.Raw):
			w.tagged("str", v.Raw)
		default:
			w.text(v.Raw)
		}
	case Bytes:
		w.base64("bytes", v.Raw)
	case ByteArray:
		if w.exact {
			w.base64("bytearray", v.Raw)
		} else {
			w.base64("bytes", v.Raw)
		}
	case List:
		return w.list(v.Items)
	case Tuple:
		if !w.exact {
			return w.list(v.Items)
		}
		return w.items("tuple", v.Items)
	case Set:
		return w.items("set", v.Items)
	case FrozenSet:
		if w.exact {
			return w.items("frozenset", v.Items)
		}
		return w.items("set", v.Items)
	case Dict:
		return w.dict(v.Items)
	default:
		return w.object(v)
	}
	return nil
}

// integer appends an Int or a Big in decimal.
func integer(dst []byte, v *Value) []byte {
	if v.Kind == Big {
		return bigOf(v.Raw).Append(dst, 10)
	}
	return strconv.AppendInt(dst, int64(v.Num), 10)
}

func (w *jsonWriter) tagged(tag string, text []byte) {
	w.str(`{"$py":"` + tag + `","v":`)
	w.text(text)
	w.str("}")
}

func (w *jsonWriter) base64(tag string, raw []byte) {
	w.str(`{"$py":"` + tag + `","b64":"`)
	w.out = append(base64.StdEncoding.AppendEncode(w.out, raw), `"}`...)
}

func (w *jsonWriter) items(tag string, items []*Value) error {
	w.str(`{"$py":"` + tag + `","items":`)
	err := w.list(items)
	w.str("}")
	return err
}

// made prints an object as its class and what it is made of.
func (w *jsonWriter) made(tag, class string, args []*Value) error {
	w.str(`{"$py":"` + tag + `","class":`)
	w.text([]byte(class))
	w.str(`,"items":`)
	err := w.list(args)
	w.str("}")
	return err
}

func (w *jsonWriter) list(items []*Value) error {
	w.str("[")
	for i, x := range items {
		if i > 0 {
			w.str(",")
		}
		if err := w.value(x); err != nil {
			return err
		}
	}
	w.str("]")
	return nil
}

func (w *jsonWriter) float(f float64) {
	switch {
	case math.IsNaN(f):
		w.str(`{"$py":"float","v":"nan"}`)
	case math.IsInf(f, 1):
		w.str(`{"$py":"float","v":"inf"}`)
	case math.IsInf(f, -1):
		w.str(`{"$py":"float","v":"-inf"}`)
	case f != 0 && (math.Abs(f) < 1e-4 || math.Abs(f) >= 1e16):
		w.out = strconv.AppendFloat(w.out, f, 'e', -1, 64)
	default:
		w.out = strconv.AppendFloat(w.out, f, 'f', -1, 64)
		if f == math.Trunc(f) {
			w.str(".0")
		}
	}
}

// textKey reports whether v can be the name of a member of a JSON object that is read back as it
// was.
func (w *jsonWriter) textKey(v *Value) bool {
	switch v.Kind {
	case Text:
		return string(v.Raw) != "$py" && !(w.exact && v.Num == 1 && ascii(v.Raw))
	case Str:
		return string(v.Raw) != "$py" && utf8.Valid(v.Raw) && !(w.exact && !ascii(v.Raw))
	}
	return false
}

func (w *jsonWriter) dict(items []*Value) error {
	plain := true
	for i := 0; i < len(items) && plain; i += 2 {
		plain = w.textKey(items[i])
	}
	if !plain {
		w.str(`{"$py":"dict","items":[`)
	} else {
		w.str("{")
	}
	for i := 0; i < len(items); i += 2 {
		if i > 0 {
			w.str(",")
		}
		if plain {
			w.text(items[i].Raw)
			w.str(":")
			if err := w.value(items[i+1]); err != nil {
				return err
			}
		} else if err := w.list(items[i : i+2]); err != nil {
			return err
		}
	}
	if !plain {
		w.str("]")
	}
	w.str("}")
	return nil
}

// object prints a record, readable for people where its meaning is known.
func (w *jsonWriter) object(v *Value) error {
	if !w.exact && v.record() && known(v) {
		module, name := v.Class()
		module = libraryModule(module)
		args := v.Items[1].Items
		switch {
		case module == "__main__":
			return w.made("object", module+"."+name, args)
		case isException(module, name):
			return w.made("exception", strings.TrimPrefix(module+"."+name, "builtins."), args)
		case name == "OrderedDict" || name == "defaultdict":
			if items, ok := dictItems(v); ok {
				return w.dict(items)
			}
		case name == "Counter" && len(args) == 0:
			return w.dict(nil)
		case name == "Counter":
			return w.dict(args[0].Items)
		case name == "deque":
			items, _ := dequeItems(v)
			return w.items(name, items)
		case name == "complex":
			return w.items(name, args)
		default:
			if text, ok := knownText(name, v); ok {
				if module == "pathlib" { // of the reader's own system
					name = strings.NewReplacer("Posix", "", "Windows", "").Replace(name)
				}
				w.tagged(name, []byte(text))
				return nil
			}
		}
	}
	tag := "opaque"
	if w.exact {
		tag = "pickle"
	}
	raw, err := Dump(v, false)
	if err != nil {
		return err
	}
	w.base64(tag, raw)
	return nil
}

// AppendOpaque appends what stands in JSON for a value that only Python can have.
func AppendOpaque(dst []byte, raw []byte) []byte {
	w := jsonWriter{out: dst}
	w.base64("opaque", raw)
	return w.out
}

// dictItems is the content of an OrderedDict or defaultdict.
func dictItems(v *Value) ([]*Value, bool) {
	var items []*Value
	if _, name := v.Class(); name == "OrderedDict" && len(v.Items[1].Items) == 1 { // Python 2: a list of pairs
		arg := v.Items[1].Items[0]
		if arg.Kind != List {
			return nil, false
		}
		for _, pair := range arg.Items {
			if pair.Kind != List && pair.Kind != Tuple || len(pair.Items) != 2 {
				return nil, false
			}
			items = append(items, pair.Items...)
		}
	}
	if v.More != nil {
		items = append(items, v.More.Dict...)
	}
	return items, true
}

// knownText is the usual text of a date, number or UUID.
func knownText(name string, v *Value) (string, bool) {
	args := v.Items[1].Items
	switch name {
	case "Decimal":
		if len(args) == 1 && (args[0].Kind == Text || args[0].Kind == Str) && utf8.Valid(args[0].Raw) {
			return string(args[0].Raw), true
		}
	case "Fraction":
		return fractionText(args)
	case "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath":
		return pathText(name, args)
	case "UUID":
		if v.Kind == Reduce {
			return string(args[0].Raw), true
		}
		n := v.More.State[0].Member("int")
		if n == nil || n.Kind != Int && n.Kind != Big {
			return "", false
		}
		raw := n.Raw
		if n.Kind == Int {
			raw = make([]byte, 8)
			for i := range raw {
				raw[i] = byte(n.Num >> (8 * i))
			}
		}
		b := bigOf(raw)
		if b.Sign() < 0 || b.BitLen() > 128 {
			return "", false
		}
		h := hex.EncodeToString(b.FillBytes(make([]byte, 16)))
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], true
	case "datetime", "date", "time":
		if len(args) == 1 && args[0].Kind == Bytes { // without a time zone
			return dateText(name, args[0].Raw)
		}
	}
	return "", false
}

// dateText prints what Python packs a date, a time or both into, as isoformat does.
func dateText(name string, b []byte) (string, bool) {
	out := make([]byte, 0, 26)
	two := func(n byte, after string) {
		out = append(append(out, '0'+n/10%10, '0'+n%10), after...)
	}
	want := map[string]int{"datetime": 10, "date": 4, "time": 6}[name]
	if len(b) != want {
		return "", false
	}
	if name != "time" {
		year := int(b[0])<<8 | int(b[1])
		two(byte(year/100), "")
		two(byte(year%100), "-")
		two(b[2]&0x7f, "-") // the top bit is the fold
		two(b[3], "")
		b = b[4:]
	}
	if name == "datetime" {
		out = append(out, 'T')
	}
	if name != "date" {
		two(b[0]&0x7f, ":")
		two(b[1], ":")
		two(b[2], "")
		if us := int(b[3])<<16 | int(b[4])<<8 | int(b[5]); us > 0 && us < 1e6 {
			out = append(out, '.')
			out = append(out, strconv.Itoa(1e6 + us)[1:]...)
		}
	}
	return string(out), true
}

// textStep is how many bytes of a text are written at a time: escaped, they may be six times as
// long.
const textStep = 64 << 10

// text prints s as a JSON string. Text beyond the end is left out: value refuses it.
func (w *jsonWriter) text(s []byte) {
	for first := true; first || len(s) > 0 && len(w.out) <= w.end; first = false {
		n := min(len(s), textStep)
		for n < len(s) && n > textStep-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		if first {
			w.out = jsonline.AppendString(w.out, s[:n])
		} else { // goes on before the quote that closes it, by a string whose opening quote is taken away
			at := len(w.out) - 2
			last := w.out[at]
			w.out = jsonline.AppendString(w.out[:at], s[:n])
			w.out[at] = last
		}
		s = s[n:]
	}
}

// ParseJSON makes the value that JSON stands for; objects with "$py" are what [AppendJSON] says,
// and otherwise plain dicts. It reports false for what is not JSON, is nested deeper than the
// limit, has more values or a longer integer: such a body is text to Python. What is in a
// {"$py":"pickle"} must be looked at with [Check], like everything that came from somebody else.
// The value may alias b.
func ParseJSON(b []byte, lim Limits) (*Value, bool) {
	if !jsonline.Valid(b) {
		return nil, false
	}
	c := jsonline.Read(b)
	p := jsonReader{c: &c, lim: lim.withDefaults(), ok: true}
	v := p.value(0)
	return v, p.ok
}
