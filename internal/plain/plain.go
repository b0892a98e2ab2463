// Package plain makes text of what comes from elsewhere: what people see holds no character that
// does something to a terminal or a page. It is the one place that knows which those are. It writes
// numbers with their nouns, too.
package plain

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Text is a word from elsewhere as text: UTF-8, without control characters, and without those that
// turn the direction of what follows. There is a question mark for each.
func Text(word []byte) string {
	return strings.Map(func(r rune) rune {
		if Unprintable(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(word), "?"))
}

// Short is Text of the first most bytes, with a mark where there are more.
func Short(b []byte, most int) string {
	if len(b) <= most {
		return Text(b)
	}
	return Text(b[:most]) + "…"
}

// Unprintable reports whether a character does something to a terminal or a page rather than to be
// seen: control characters of both sets, line separators, and overrides of the direction.
func Unprintable(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// Writer returns a writer that makes text of all that it is given, but for the ends of lines and
// tabs, and writes it to w. A write may end within a character, which is kept until the
// rest comes. It is not safe for concurrent use.
func Writer(w io.Writer) io.Writer { return &writer{w: w} }

type writer struct {
	w    io.Writer
	rest []byte // the beginning of a character
	out  []byte
}

func (p *writer) Write(b []byte) (int, error) {
	in := b
	if len(p.rest) > 0 {
		in = append(p.rest, b...)
	}
	p.out = p.out[:0]
	for len(in) > 0 && (in[0] < utf8.RuneSelf || utf8.FullRune(in)) {
		r, n := utf8.DecodeRune(in)
		switch {
		case r == utf8.RuneError && n == 1, Unprintable(r) && r != '\n' && r != '\t':
			p.out = append(p.out, '?')
		default:
			p.out = append(p.out, in[:n]...)
		}
		in = in[n:]
	}
	p.rest = append(p.rest[:0], in...)
	if _, err := p.w.Write(p.out); err != nil {
		return 0, err
	}
	return len(b), nil
}
