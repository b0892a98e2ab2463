package jsonline

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// Duration reads a JSON value that is a string like "250ms" or a number of seconds; it is not
// negative. One that is too long for a Duration is the longest, as in ParseDuration.
func Duration(v []byte) (time.Duration, bool) {
	if len(v) > 0 && v[0] == '"' {
		return ParseDuration(string(Plain(v)))
	}
	d, ok := Seconds(v)
	if !ok {
		if f, err := strconv.ParseFloat(string(v), 64); f > 1 && (err == nil || errors.Is(err, strconv.ErrRange)) {
			return math.MaxInt64, true
		}
	}
	return d, ok
}

// ParseDuration reads text like "250ms". One that is longer than a Duration can be, 292 years, is
// that long: whoever has bounds names them. A negative one is none.
func ParseDuration(text string) (time.Duration, bool) {
	d, err := time.ParseDuration(text)
	if err == nil {
		return d, d >= 0
	}
	// Text that reads with one digit for each number is well formed, and was too long.
	short := make([]byte, 0, len(text))
	for i := range len(text) {
		if last := len(short) - 1; last >= 0 && text[i]-'0' <= 9 && short[last]-'0' <= 9 {
			short[last] = text[i]
		} else {
			short = append(short, text[i])
		}
	}
	d, err = time.ParseDuration(string(short)) // which takes 0 alone without a unit
	return math.MaxInt64, err == nil && d >= 0 && short[0] != '-' && short[len(short)-1] > '9'
}

// Seconds reads a JSON number of seconds; up to nine decimals are exact. A value that is no number,
// is negative or is too large for a Duration, 292 years, is none.
func Seconds(v []byte) (time.Duration, bool) {
	var nanos uint64
	decimals := -1
	for _, c := range v {
		switch {
		case c == '.':
			decimals = 0
		case c-'0' > 9 || nanos > math.MaxInt64/20 || decimals == 9:
			f, err := strconv.ParseFloat(string(v), 64)
			if f = math.Round(f * 1e9); err != nil || !(f >= 0 && f < math.MaxInt64) {
				return 0, false
			}
			return time.Duration(f), true
		default:
			nanos = nanos*10 + uint64(c-'0')
			if decimals >= 0 {
				decimals++
			}
		}
	}
	for n := max(decimals, 0); n < 9; n++ {
		if nanos > math.MaxInt64/10 {
			return 0, false
		}
		nanos *= 10
	}
	return time.Duration(nanos), len(v) > 0
}

// Int reads a JSON number as an integer: decimals are cut off, and what is beyond an int64 is its
// bound. A value that is no number is 0.
func Int(v []byte) int64 {
	n, i := int64(0), 0
	for i < min(len(v), 18) && v[i]-'0' <= 9 {
		n = n*10 + int64(v[i]-'0')
		i++
	}
	if i > 0 && i == len(v) {
		return n
	}
	if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(string(v), 64)
	switch {
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

// AppendSeconds appends d as a JSON number of seconds, exactly. A negative d is 0.
func AppendSeconds(dst []byte, d time.Duration) []byte {
	d = max(d, 0)
	dst = strconv.AppendInt(dst, int64(d/time.Second), 10)
	frac := d % time.Second
	if frac == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := time.Second / 10; frac > 0; unit /= 10 {
		dst = append(dst, '0'+byte(frac/unit))
		frac %= unit
	}
	return dst
}
