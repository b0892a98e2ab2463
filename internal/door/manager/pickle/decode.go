package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// Limits bound what a Decoder and a check accept. Zero fields mean the defaults.
type Limits struct {
	Ops      int // instructions of one pickle; 0 means 1,000,000
	Nodes    int // nodes of one pickle, and of a value counted by every path; 0 means 200,000
	Depth    int // containers within containers; 0 means 100
	IntBytes int // bytes of one integer; 0 means 1024
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, to int) {
		if *v <= 0 {
			*v = to
		}
	}
	set(&l.Ops, 1_000_000)
	set(&l.Nodes, 200_000)
	set(&l.Depth, 100)
	set(&l.IntBytes, 1024)
	return l
}

// ErrPickle is what every refusal of a Decoder is to errors.Is.
var ErrPickle = errors.New("not an acceptable pickle")

const (
	maxCopied = 1 << 20 // bytes and items copied beyond the length of a pickle
	slabSize  = 64
	keepSlabs = 8 // kept for the next pickle
	keepStack = 1024
)

// A Decoder reads pickles one after the other and reuses its memory. The zero value has the default
// limits. It is not safe for concurrent use.
type Decoder struct {
	Limits Limits

	in    []byte
	at    int
	ops   int
	proto int
	slabs [][]Value
	used  int
	stack []*Value
	marks []int // heights of the stack
	memo  []*Value
	saved int // entries in memo

	copied int // bytes and items that became part of a second value
}

// Decode reads b, which must be one whole pickle. The value and what it refers to is valid until
// the next call, and aliases b. proto is what the pickle says of itself, 0 when nothing. An error
// is an ErrPickle that names the byte; time and memory are bounded by the length of b and the
// limits.
func (d *Decoder) Decode(b []byte) (v *Value, proto int, err error) {
	d.Forget()
	return d.run(b)
}

// run reads b and keeps the values of what was read before.
func (d *Decoder) run(b []byte) (v *Value, proto int, err error) {
	d.in, d.at, d.ops, d.proto, d.copied = b, 0, 0, 0, 0
	d.stack, d.marks, d.memo, d.saved = d.stack[:0], d.marks[:0], d.memo[:0], 0
	lim := d.Limits.withDefaults()
	for {
		if d.at >= len(d.in) {
			return nil, d.proto, d.fail("the end comes before STOP")
		}
		if d.ops++; d.ops > lim.Ops {
			return nil, d.proto, d.fail("more than %d instructions", lim.Ops)
		}
		if d.used > lim.Nodes+lim.Nodes/4 {
			return nil, d.proto, d.fail("more than %d values", lim.Nodes)
		}
		op := d.in[d.at]
		d.at++
		if op == opStop {
			break
		}
		if err := d.step(op, &lim); err != nil {
			return nil, d.proto, err
		}
	}
	switch {
	case len(d.marks) > 0 || len(d.stack) != 1:
		return nil, d.proto, d.fail("STOP with %d values and %d open marks; there must be one value", len(d.stack),
			len(d.marks))
	case d.at != len(d.in):
		return nil, d.proto, d.fail("%d bytes after STOP", len(d.in)-d.at)
	}
	return d.stack[0], d.proto, nil
}

// Forget ends the life of the value that was decoded last, and gives up most of the memory that a
// large one took. Decode does it too.
func (d *Decoder) Forget() {
	d.in = nil
	if len(d.slabs) > keepSlabs {
		d.slabs = d.slabs[:keepSlabs:keepSlabs]
	}
	for i := 0; i < min(d.used, len(d.slabs)*slabSize); i++ {
		v := &d.slabs[i/slabSize][i%slabSize]
		items := v.Items[:0]
		if cap(items) > slabSize {
			items = nil
		}
		clear(items[:cap(items)])
		*v = Value{Items: items}
	}
	d.used = 0
	if cap(d.stack) > keepStack {
		d.stack = nil
	}
	if cap(d.marks) > keepStack {
		d.marks = nil
	}
	if cap(d.memo) > keepStack {
		d.memo = nil
	}
	clear(d.stack[:cap(d.stack)]) // what points to a slab keeps it
	clear(d.memo[:cap(d.memo)])
}

// copies counts n bytes or items that become part of a second value. A pickler makes such values of
// parts that belong to them alone, and so copies no more than it writes.
func (d *Decoder) copies(n int) error {
	if d.copied += n; d.copied > len(d.in)+maxCopied {
		return d.fail("many objects made of the same parts, %d bytes so far", d.copied)
	}
	return nil
}

func (d *Decoder) fail(format string, args ...any) error {
	return fmt.Errorf("%w: byte %d: %s", ErrPickle, d.at, fmt.Sprintf(format, args...))
}

func (d *Decoder) node(k Kind) *Value {
	if d.used == len(d.slabs)*slabSize {
		d.slabs = append(d.slabs, make([]Value, slabSize))
	}
	v := &d.slabs[d.used/slabSize][d.used%slabSize]
	d.used++
	v.Kind = k
	return v
}

func (d *Decoder) push(v *Value) { d.stack = append(d.stack, v) }

// floor is the height of the stack that may not be fallen below.
func (d *Decoder) floor() int {
	if n := len(d.marks); n > 0 {
		return d.marks[n-1]
	}
	return 0
}

// pop takes the top value, nil when there is none above the last mark.
func (d *Decoder) pop() *Value {
	n := len(d.stack)
	if n <= d.floor() {
		return nil
	}
	v := d.stack[n-1]
	d.stack = d.stack[:n-1]
	return v
}

// top is the top value without taking it.
func (d *Decoder) top() *Value {
	if n := len(d.stack); n > d.floor() {
		return d.stack[n-1]
	}
	return nil
}

// popMark takes everything above the last mark, and the mark; valid until the next push.
func (d *Decoder) popMark() ([]*Value, bool) {
	n := len(d.marks)
	if n == 0 {
		return nil, false
	}
	items := d.stack[d.marks[n-1]:]
	d.stack = d.stack[:d.marks[n-1]]
	d.marks = d.marks[:n-1]
	return items, true
}

// take returns the next n bytes of the input.
func (d *Decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.in)-d.at) {
		return nil, d.fail("%d bytes announced, %d left", n, len(d.in)-d.at)
	}
	b := d.in[d.at : d.at+int(n) : d.at+int(n)]
	d.at += int(n)
	return b, nil
}

// uint reads a little-endian number of size bytes.
func (d *Decoder) uint(size int) (uint64, error) {
	b, err := d.take(uint64(size))
	if err != nil {
		return 0, err
	}
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)), nil
	}
	return binary.LittleEndian.Uint64(b), nil
}

// raw pushes a value whose bytes follow a length of size bytes; a signed length may not be
// negative.
func (d *Decoder) raw(k Kind, size int, signed bool) error {
	n, err := d.uint(size)
	if err != nil {
		return err
	}
	if signed && n > math.MaxInt32 {
		return d.fail("negative length")
	}
	b, err := d.take(n)
	if err != nil {
		return err
	}
	v := d.node(k)
	v.Raw = b
	if k == Text && d.proto == 2 {
		v.Num = 1
	}
	d.push(v)
	return nil
}

// line reads up to a newline, which it drops.
func (d *Decoder) line() ([]byte, error) {
	n := bytes.IndexByte(d.in[d.at:], '\n')
	if n < 0 {
		return nil, d.fail("a line without an end")
	}
	b := d.in[d.at : d.at+n]
	d.at += n + 1
	return b, nil
}

var errNoValue = "a value is missing before the instruction"

// step runs one instruction that is not STOP.
func (d *Decoder) step(op byte, lim *Limits) error {
	switch op {
	case opProto:
		n, err := d.uint(1)
		if err != nil {
			return err
		}
		if n > 5 {
			return d.fail("protocol %d; the newest known is 5", n)
		}
		d.proto = int(n)
	case opFrame:
		n, err := d.uint(8)
		if err != nil {
			return err
		}
		if n > uint64(len(d.in)-d.at) {
			return d.fail("a frame of %d bytes, %d left", n, len(d.in)-d.at)
		}
	case opMark:
		d.marks = append(d.marks, len(d.stack))
	case opPop:
		if d.pop() == nil {
			if len(d.marks) == 0 {
				return d.fail("%s", errNoValue)
			}
			d.marks = d.marks[:len(d.marks)-1]
		}
	case opPopMark:
		if _, ok := d.popMark(); !ok {
			return d.fail("no mark is open")
		}
	case opDup:
		v := d.top()
		if v == nil {
			return d.fail("%s", errNoValue)
		}
		d.push(v)
	case opNone, opNewTrue, opNewFalse, opInt, opLong, opBinInt, opBinInt1, opBinInt2, opLong1, opLong4,
		opFloat, opBinFloat:
		return d.number(op, lim)
	case opShortBinString:
		return d.raw(Str, 1, false)
	case opBinString:
		return d.raw(Str, 4, true)
	case opBinUnicode:
		return d.raw(Text, 4, false)
	case opShortUnicode:
		return d.raw(Text, 1, false)
	case opBinUnicode8:
		return d.raw(Text, 8, false)
	case opShortBinBytes:
		return d.raw(Bytes, 1, false)
	case opBinBytes:
		return d.raw(Bytes, 4, false)
	case opBinBytes8:
		return d.raw(Bytes, 8, false)
	case opByteArray8:
		return d.raw(ByteArray, 8, false)
	case opBinPut, opLongBinPut, opPut, opMemoize, opBinGet, opLongBinGet, opGet:
		return d.memory(op)
	default:
		return d.build(op)
	}
	return nil
}

// number pushes None, a truth value or a number.
func (d *Decoder) number(op byte, lim *Limits) error {
	v := d.node(Int)
	switch op {
	case opNone:
		v.Kind = None
	case opNewTrue, opNewFalse:
		v.Kind, v.Num = Bool, uint64(opNewFalse-op)
	case opBinInt:
		n, err := d.uint(4)
		if err != nil {
			return err
		}
		v.Num = uint64(int64(int32(n)))
	case opBinInt1, opBinInt2:
		size := 1
		if op == opBinInt2 {
			size = 2
		}
		n, err := d.uint(size)
		if err != nil {
			return err
		}
		v.Num = n
	case opBinFloat:
		b, err := d.take(8)
		if err != nil {
			return err
		}
		v.Kind, v.Num = Float, binary.BigEndian.Uint64(b)
	case opFloat:
		b, err := d.line()
		if err != nil {
			return err
		}
		f, err := strconv.ParseFloat(string(b), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) || len(b) > 64 {
			return d.fail("%.40q is not a float", b)
		}
		v.Kind, v.Num = Float, math.Float64bits(f)
	case opLong1, opLong4:
		size := 1
		if op == opLong4 {
			size = 4
		}
		n, err := d.uint(size)
		if err != nil {
			return err
		}
		if n > uint64(lim.IntBytes) {
			return d.fail("an integer of %d bytes; the limit is %d", int32(n), lim.IntBytes)
		}
		b, err := d.take(n)
		if err != nil {
			return err
		}
		setInt(v, b)
	default: // opInt, opLong
		b, err := d.line()
		if err != nil {
			return err
		}
		if op == opInt && (string(b) == "00" || string(b) == "01") {
			v.Kind, v.Num = Bool, uint64(b[1]-'0')
			break
		}
		if op == opLong {
			b = bytes.TrimSuffix(b, []byte{'L'})
		}
		if len(b) > lim.IntBytes*5/2 || !setDecimal(v, string(b)) {
			return d.fail("%.40q is not an integer of at most %d bytes", b, lim.IntBytes)
		}
	}
	d.push(v)
	return nil
}

// setInt makes v the integer b, in little-endian two's complement.
func setInt(v *Value, b []byte) {
	for len(b) > 1 { // drop bytes that only repeat the sign
		last, sign := b[len(b)-1], b[len(b)-2]&0x80
		if last == 0 && sign == 0 || last == 0xff && sign != 0 {
			b = b[:len(b)-1]
			continue
		}
		break
	}
	if len(b) > 8 {
		v.Kind, v.Raw = Big, b
		return
	}
	var n uint64
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	if k := len(b); k > 0 && k < 8 && b[k-1]&0x80 != 0 {
		n |= ^uint64(0) << (8 * k)
	}
	v.Kind, v.Num = Int, n
}

// setDecimal makes v the integer that s says; false when s says none.
func setDecimal(v *Value, s string) bool {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		v.Kind, v.Num = Int, uint64(n)
		return true
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return false
	}
	setInt(v, twos(n))
	return true
}

// twos is n in little-endian two's complement, as short as it can be.
func twos(n *big.Int) []byte {
	size := n.BitLen()/8 + 1
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	b := n.FillBytes(make([]byte, size))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

// bigOf is the inverse of twos.
func bigOf(raw []byte) *big.Int {
	b := make([]byte, len(raw))
	for i, c := range raw {
		b[len(raw)-1-i] = c
	}
	n := new(big.Int).SetBytes(b)
	if len(raw) > 0 && raw[len(raw)-1]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	return n
}

// memory stores the top value under a number, or pushes what was stored.
func (d *Decoder) memory(op byte) error {
	var n uint64
	var err error
	switch op {
	case opMemoize:
		n = uint64(d.saved)
	case opBinPut, opBinGet:
		n, err = d.uint(1)
	case opLongBinPut, opLongBinGet:
		n, err = d.uint(4)
	default:
		var b []byte
		if b, err = d.line(); err == nil {
			if n, err = strconv.ParseUint(string(b), 10, 32); err != nil {
				err = d.fail("%.40q is not a place of the memo", b)
			}
		}
	}
	if err != nil {
		return err
	}
	if op == opBinGet || op == opLongBinGet || op == opGet {
		if n >= uint64(len(d.memo)) || d.memo[n] == nil {
			return d.fail("nothing is at %d of the memo", n)
		}
		d.push(d.memo[n])
		return nil
	}
	v := d.top()
	if v == nil {
		return d.fail("%s", errNoValue)
	}
	if n > uint64(d.ops) {
		return d.fail("place %d of the memo after %d instructions", n, d.ops)
	}
	for uint64(len(d.memo)) <= n {
		d.memo = append(d.memo, nil)
	}
	if d.memo[n] == nil {
		d.saved++
	}
	d.memo[n] = v
	return nil
}
