package output

import (
	"bytes"
	"encoding/csv"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/result"
)

// appendCSV appends the line of a result. Cells without a value are empty.
func appendCSV(dst []byte, r *record, c *columns) []byte {
	l, o := r.lease, &r.out
	field := func(b []byte) { dst = append(c.appendText(dst, b), ',') }
	field([]byte(l.TaskID()))
	field([]byte(l.Run))
	if o.OK {
		dst = append(dst, "1,"...)
	} else {
		dst = append(dst, "0,"...)
	}
	dst = append(appendSeconds(dst, o.Took, o.Took > 0), ',')
	dst = append(appendSeconds(dst, o.Lag, r.hasDue()), ',')
	number := func(n int64) {
		if n != 0 {
			dst = strconv.AppendInt(dst, n, 10)
		}
		dst = append(dst, ',')
	}
	number(int64(o.Code))
	field([]byte(o.Class))
	field(r.message())
	number(o.Bytes)
	if !o.Began.IsZero() {
		dst = strconv.AppendFloat(dst, float64(o.Began.UnixMilli())/1000, 'f', 3, 64)
	}
	dst = append(dst, ',')
	field(r.worker())
	number(int64(r.attempt()))
	dst = c.appendText(dst, r.input())
	return append(c.append(dst, r), '\n')
}

// attempt is the worker's word, or else the queue's.
func (r *record) attempt() int {
	if r.out.Attempt != 0 {
		return r.out.Attempt
	}
	return r.lease.OfAttempt
}

func appendSeconds(dst []byte, d time.Duration, known bool) []byte {
	if !known {
		return dst
	}
	return strconv.AppendFloat(dst, d.Seconds(), 'f', 6, 64)
}

// appendField appends a value, in quotes where RFC 4180 wants them.
func appendField(dst, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	if !bytes.ContainsAny(b, "\",\r\n") && b[0] != ' ' && b[len(b)-1] != ' ' {
		return append(dst, b...)
	}
	dst = append(dst, '"')
	for _, c := range b {
		switch c {
		case '"':
			dst = append(dst, '"', '"')
		case '\r', '\n':
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// appendText appends a text from elsewhere, unless the columns are raw so that nothing but reading
// it happens: no spreadsheet takes it for a formula, and no terminal for a command. See harmless.
func (c *columns) appendText(dst, b []byte) []byte {
	if !c.raw {
		b = harmless(b)
	}
	return appendField(dst, b)
}

// harmless returns a text without control characters and the like, and with an apostrophe before
// what a spreadsheet would calculate. text takes the apostrophe back.
func harmless(b []byte) []byte {
	harmless := true
	for _, c := range b {
		harmless = harmless && c >= ' ' && c < 0x7f
	}
	if !harmless {
		b = bytes.Map(func(r rune) rune {
			switch {
			case r == '\t' || r == '\r' || r == '\n':
				return ' '
			case plain.Unprintable(r):
				return '?'
			}
			return r
		}, bytes.ToValidUTF8(b, []byte("?")))
	}
	if isFormula(b) {
		b = append([]byte{'\''}, b...)
	}
	return b
}

// isFormula reports whether a cell would be calculated: after any apostrophes and spaces it begins
// like a formula, as typed on Western or on East Asian keyboards, and is no number.
func isFormula(b []byte) bool {
	b = bytes.TrimLeft(b, "' ")
	r, _ := utf8.DecodeRune(b)
	return strings.ContainsRune("=+-@＝＋－＠", r) && !number.Match(b)
}

var number = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

// text is what was written as cell, but for the characters that were replaced.
func (c *columns) text(cell string) string {
	if !c.raw && strings.HasPrefix(cell, "'") && isFormula([]byte(cell)) {
		return cell[1:]
	}
	return cell
}

// parseCSV reads a line that appendCSV wrote.
func parseCSV(line []byte, l *glassq.Lease, c *columns) bool {
	in := csv.NewReader(bytes.NewReader(line))
	in.FieldsPerRecord = csvFields + len(c.names)
	if c.more {
		in.FieldsPerRecord++
	}
	in.ReuseRecord = true
	f, err := in.Read()
	if err != nil || f[0] == "" {
		return false
	}
	for i := range f {
		f[i] = c.text(f[i])
	}
	seconds := func(s string) time.Duration {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || v < 0 || v > 1e9 {
			return 0
		}
		return time.Duration(v * float64(time.Second))
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	r := result.Record{
		OK: f[2] != "0", Took: seconds(f[3]), Lag: seconds(f[4]), Code: int(number(f[5])), Class: f[6], Message: f[7],
		Bytes: number(f[8]), Worker: f[10], Attempt: int(number(f[11])), More: c.members(f[csvFields:]),
	}
	if t, err := strconv.ParseFloat(f[9], 64); err == nil && t > 0 && t < 1e11 {
		r.Began = time.UnixMilli(int64(t*1000 + 0.5))
	}
	l.ID, l.Run, l.Type = strings.Clone(f[0]), strings.Clone(f[1]), glassq.TypeJSON
	l.Body = result.Append(nil, []byte(f[12]), "", &r)
	return true
}
