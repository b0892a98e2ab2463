package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// A Dialect says who is to read a pickle.
type Dialect uint8

const (
	Neutral Dialect = iota // this package: nothing is changed for anybody's sake
	Python2                // 2.7: protocol 2
	Python3                // 3.0 and newer: protocol 3
)

// errCycle refuses a record that is among its own arguments.
var errCycle = errors.New("an object that is needed to make itself")

const (
	longest   = 64 << 20 // bytes of a pickle, which sharing keeps near the length of the body: only circles reach it
	shareFrom = 32       // bytes of a text or data that is written once and then referred to
)

// Append appends v, which [Check] has looked at, as instructions without PROTO and STOP. Texts of
// Python 3 and of JSON are str in either Python; a str of Python 2 is text in Python 3 when it is
// UTF-8, and bytes otherwise; bytes are str in Python 2.
func Append(dst []byte, v *Value, to Dialect) ([]byte, error) {
	e := encoder{out: dst, to: to}
	err := e.value(v, 0)
	return e.out, err
}

// Dump is Append for the neutral dialect, as a whole pickle that Decode reads. python2 says that v
// was made by Python 2.
func Dump(v *Value, python2 bool) ([]byte, error) {
	proto := byte(4)
	if python2 {
		proto = 2
	}
	out, err := Append([]byte{opProto, proto}, v, Neutral)
	return append(out, opStop), err
}

type encoder struct {
	out  []byte
	to   Dialect
	memo map[*Value]uint32 // of shared values that were written: their places
}

func (e *encoder) op(b ...byte) { e.out = append(e.out, b...) }

const deepest = 10_000 // levels; Check allows fewer, cycles may come on top

func (e *encoder) value(v *Value, level int) error {
	if level > deepest {
		return errCycle
	}
	if len(e.out) > longest {
		return ErrTooLong
	}
	if at, ok := e.kept(v); ok {
		e.op(opLongBinGet)
		e.out = binary.LittleEndian.AppendUint32(e.out, at)
		return nil
	}
	switch v.Kind {
	case None:
		e.op(opNone)
	case Bool:
		e.op(opNewFalse - byte(v.Num&1))
	case Int:
		e.int(int64(v.Num))
	case Big:
		e.big(v.Raw)
	case Float:
		e.op(opBinFloat)
		e.out = binary.BigEndian.AppendUint64(e.out, v.Num)
	case Text:
		if e.to == Python2 && v.Num == 0 {
			e.out = AppendText(e.out, v.Raw, Python2)
		} else {
			e.out = AppendText(e.out, v.Raw, Python3)
		}
	case Str:
		switch {
		case e.to != Python3:
			e.out = appendShort(e.out, v.Raw, opShortBinString, opBinString)
		case utf8.Valid(v.Raw):
			e.out = AppendText(e.out, v.Raw, Python3)
		default:
			e.out = AppendBytes(e.out, v.Raw, Python3)
		}
	case Bytes:
		e.out = AppendBytes(e.out, v.Raw, e.to)
	case ByteArray:
		e.global([]byte("builtins\nbytearray"))
		e.out = AppendBytes(e.out, v.Raw, e.to)
		e.op(opTuple1, opReduce)
		e.keep(v)
	case Global:
		e.global(v.Raw)
	case List:
		e.op(opEmptyList)
		e.keep(v)
		return e.fill(v.Items, opAppend, opAppends, level)
	case Dict:
		e.op(opEmptyDict)
		e.keep(v)
		return e.fill(v.Items, opSetItem, opSetItems, level)
	case Set, FrozenSet:
		if v.Kind == Set {
			e.global([]byte("builtins\nset"))
		} else {
			e.global([]byte("builtins\nfrozenset"))
		}
		e.op(opEmptyList)
		if err := e.fill(v.Items, opAppend, opAppends, level); err != nil {
			return err
		}
		e.op(opTuple1, opReduce)
		e.keep(v)
	case Tuple:
		return e.tuple(v, level)
	default:
		return e.record(v, level)
	}
	if len(v.Raw) >= shareFrom && v.Kind != ByteArray {
		e.keep(v)
	}
	return nil
}

// kept is the place of v in the memo.
func (e *encoder) kept(v *Value) (uint32, bool) {
	if v.refs < 2 {
		return 0, false
	}
	at, ok := e.memo[v]
	return at, ok
}

// keep stores the value just made in the memo when something else refers to it too.
func (e *encoder) keep(v *Value) {
	if v.refs < 2 {
		return
	}
	if e.memo == nil {
		e.memo = map[*Value]uint32{}
	}
	at := uint32(len(e.memo))
	e.memo[v] = at
	e.op(opLongBinPut)
	e.out = binary.LittleEndian.AppendUint32(e.out, at)
}

// fill adds items to the container on the top: one has an instruction of its own.
func (e *encoder) fill(items []*Value, one, many byte, level int) error {
	single := 1
	if one == opSetItem {
		single = 2
	}
	if len(items) == 0 {
		return nil
	}
	if len(items) > single {
		e.op(opMark)
	}
	for _, x := range items {
		if err := e.value(x, level+1); err != nil {
			return err
		}
	}
	if len(items) > single {
		one = many
	}
	e.op(one)
	return nil
}

// tuple appends a tuple. One that contains itself was made while its items were: those are thrown
// away.
func (e *encoder) tuple(v *Value, level int) error {
	n := len(v.Items)
	if n > 3 {
		e.op(opMark)
	}
	for _, x := range v.Items {
		if err := e.value(x, level+1); err != nil {
			return err
		}
	}
	if _, ok := e.kept(v); ok {
		if n > 3 {
			e.op('1')
		} else {
			e.op(bytes.Repeat([]byte{opPop}, n)...)
		}
		return e.value(v, level)
	}
	switch {
	case n == 0:
		e.op(opEmptyTuple)
	case n > 3:
		e.op(opTuple)
	default:
		e.op(opTuple1 + byte(n-1))
	}
	e.keep(v)
	return nil
}

func (e *encoder) record(v *Value, level int) error {
	class, args := v.Items[0], v.Items[1]
	if v.Kind == Obj {
		e.op(opMark)
	}
	if err := e.value(class, level+1); err != nil {
		return err
	}
	if v.Kind == Obj {
		for _, x := range args.Items {
			if err := e.value(x, level+1); err != nil {
				return err
			}
		}
		e.op(opObj)
	} else {
		for _, x := range v.Items[1:] {
			if err := e.value(x, level+1); err != nil {
				return err
			}
		}
		switch v.Kind {
		case Reduce:
			e.op(opReduce)
		case New:
			e.op(opNewObj)
		default:
			if e.to != Neutral {
				return fmt.Errorf("%s: made with keyword arguments, which a pickle for all Pythons cannot say", describe(v))
			}
			e.op(opNewObjEx)
		}
	}
	if _, ok := e.kept(v); ok {
		return errCycle
	}
	e.keep(v)
	m := v.More
	if m == nil {
		return nil
	}
	if err := e.fill(m.List, opAppend, opAppends, level); err != nil {
		return err
	}
	if err := e.fill(m.Dict, opSetItem, opSetItems, level); err != nil {
		return err
	}
	for _, x := range m.State {
		if err := e.value(x, level+1); err != nil {
			return err
		}
		e.op(opBuild)
	}
	return nil
}

func (e *encoder) int(n int64) {
	switch {
	case n >= 0 && n <= 0xff:
		e.op(opBinInt1, byte(n))
	case n >= 0 && n <= 0xffff:
		e.op(opBinInt2, byte(n), byte(n>>8))
	case n >= math.MinInt32 && n <= math.MaxInt32:
		e.op(opBinInt)
		e.out = binary.LittleEndian.AppendUint32(e.out, uint32(n))
	case e.to == Python2:
		// As text: the only form of an int of 64 bits that Python 2 does not make a long of.
		e.op(opInt)
		e.out = append(strconv.AppendInt(e.out, n, 10), '\n')
	default:
		e.op(opLong1, 8)
		e.out = binary.LittleEndian.AppendUint64(e.out, uint64(n))
	}
}

func (e *encoder) big(raw []byte) {
	if len(raw) < 256 {
		e.op(opLong1, byte(len(raw)))
	} else {
		e.op(opLong4)
		e.out = binary.LittleEndian.AppendUint32(e.out, uint32(len(raw)))
	}
	e.out = append(e.out, raw...)
}

// The two Pythons' names for the same modules.
var moduleNames = []struct{ two, three string }{
	{"__builtin__", "builtins"}, {"exceptions", "builtins"}, {"copy_reg", "copyreg"}, {"Queue", "queue"},
}

func (e *encoder) global(raw []byte) {
	module, name, _ := bytes.Cut(raw, []byte{'\n'})
	to := string(module)
	if to == "pathlib._local" || to == "_queue" { // as some Pythons alone have it
		to = libraryModule(to)
	}
	for _, m := range moduleNames {
		if e.to == Python2 && to == m.three {
			to = m.two
			break
		}
		if e.to != Python2 && to == m.two {
			to = m.three
			break
		}
	}
	e.op(opGlobal)
	e.out = append(append(append(append(e.out, to...), '\n'), name...), '\n')
}

// AppendText appends text, which is UTF-8, as a str of either Python where it can be one.
func AppendText[S string | []byte](dst []byte, text S, to Dialect) []byte {
	if to == Python2 && ascii([]byte(text)) {
		return appendShort(dst, text, opShortBinString, opBinString)
	}
	dst = binary.LittleEndian.AppendUint32(append(dst, opBinUnicode), uint32(len(text)))
	return append(dst, text...)
}

// AppendBytes appends bytes, which are str in Python 2.
func AppendBytes(dst, b []byte, to Dialect) []byte {
	if to == Python2 {
		return appendShort(dst, b, opShortBinString, opBinString)
	}
	return appendShort(dst, b, opShortBinBytes, opBinBytes)
}

// appendShort appends an instruction for up to 255 bytes, or the one for more.
func appendShort[S string | []byte](dst []byte, b S, short, long byte) []byte {
	if len(b) < 256 {
		return append(append(dst, short, byte(len(b))), b...)
	}
	dst = binary.LittleEndian.AppendUint32(append(dst, long), uint32(len(b)))
	return append(dst, b...)
}
