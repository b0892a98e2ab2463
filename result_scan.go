package glassq

import "github.com/glassq/glassq/internal/jsonwalk"

// eachMember calls f with every member of obj, a valid JSON object: the raw key between its quotes
// and the raw value.
func eachMember(obj []byte, f func(key, value []byte)) {
	for w := jsonwalk.Walk(obj, 0, 1); w.Next(); {
		f(w.Key(), w.Skip())
	}
}

// keyIs reports whether the raw key, valid as a JSON string, says want, a word of plain letters.
func keyIs(key []byte, want string) bool {
	return string(key) == want || len(key) > len(want) && escapedIs(key, want)
}

// escapedIs is keyIs for a key that is written with escapes.
func escapedIs(key []byte, want string) bool {
	if len(key) < 6 || len(key) > 6*len(want) {
		return false
	}
	w := 0
	for i := 0; i < len(key); w++ {
		if w == len(want) {
			return false
		}
		c := rune(key[i])
		if c != '\\' {
			i++
		} else {
			if key[i+1] != 'u' {
				return false // the short escapes stand for no letter
			}
			c = 0
			for _, h := range key[i+2 : i+6] {
				c = c<<4 | rune(unhex(h))
			}
			i += 6
		}
		if c != rune(want[w]) {
			return false
		}
	}
	return w == len(want)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// compactValue appends the JSON value that begins at b[i] to dst without spaces between its parts,
// and returns the index after it, or -1 if there is none.
func compactValue(dst, b []byte, i, depth int) ([]byte, int) {
	end := jsonwalk.Value(b, i, depth)
	if end < 0 {
		return dst, -1
	}
	for i < end {
		switch b[i] {
		case ' ', '\n', '\r', '\t':
			i++
		case '"':
			j := jsonwalk.String(b, i)
			dst = append(dst, b[i:j]...)
			i = j
		default:
			dst = append(dst, b[i])
			i++
		}
	}
	return dst, end
}
