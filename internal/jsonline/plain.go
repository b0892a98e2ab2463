package jsonline

import "bytes"

// isPlain reports whether b surely is one JSON value (RFC 8259). It knows what the lines of a usual
// run are made of and says no to all else, valid or not: an escape, an exponent, groups more than
// 16 deep. Of those the library decides, which takes about three times as long a line. It may be
// stricter than JSON, never laxer: FuzzPlain holds it against the library.
func isPlain(b []byte) bool {
	i := afterPlain(b, 0, 16)
	return i >= 0 && afterSpace(b, i) == len(b)
}

// The functions below return the index after what begins at b[i], or -1 where that is not plain.

func afterPlain(b []byte, i, depth int) int {
	if i = afterSpace(b, i); i == len(b) || depth == 0 {
		return -1
	}
	switch c := b[i]; c {
	case '"':
		return afterPlainString(b, i)
	case 't':
		return afterWord(b, i, "true")
	case 'f':
		return afterWord(b, i, "false")
	case 'n':
		return afterWord(b, i, "null")
	case '{', '[':
		end := c + 2 // } or ]
		if i = afterSpace(b, i+1); i < len(b) && b[i] == end {
			return i + 1
		}
		for {
			if c == '{' {
				if i = afterName(b, i); i < 0 {
					return -1
				}
			}
			if i = afterPlain(b, i, depth-1); i < 0 {
				return -1
			}
			if i = afterSpace(b, i); i == len(b) {
				return -1
			}
			i++
			if b[i-1] == end {
				return i
			}
			if b[i-1] != ',' {
				return -1
			}
		}
	}
	return afterNumber(b, i)
}

func afterSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

func afterName(b []byte, i int) int {
	if i = afterPlainString(b, afterSpace(b, i)); i < 0 {
		return -1
	}
	if i = afterSpace(b, i); i == len(b) || b[i] != ':' {
		return -1
	}
	return i + 1
}

func afterPlainString(b []byte, i int) int {
	if i == len(b) || b[i] != '"' {
		return -1
	}
	for i++; i < len(b) && b[i] >= ' '; i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			return -1
		}
	}
	return -1
}

func afterWord(b []byte, i int, word string) int {
	if !bytes.HasPrefix(b[i:], []byte(word)) {
		return -1
	}
	return i + len(word)
}

// afterNumber knows -?(0|[1-9][0-9]*)(\.[0-9]+)?. What follows it decides whether it is a number.
func afterNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	whole := i
	i = afterDigits(b, i)
	if i == whole || b[whole] == '0' && i > whole+1 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		part := i + 1
		if i = afterDigits(b, part); i == part {
			return -1
		}
	}
	return i
}

func afterDigits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}
