package plain

import (
	"bytes"
	"strings"
	"testing"
)

// words are what is shown of words, by themselves and in a stream.
var words = []struct{ name, word, text, stream string }{
	{"plain", "abc äöü 日本 €", "abc äöü 日本 €", "abc äöü 日本 €"},
	{"an escape", "a\x1b[2Jb", "a?[2Jb", "a?[2Jb"},
	{"a title", "\x1b]0;evil\x07", "?]0;evil?", "?]0;evil?"},
	{"CSI of the second set", "\u009b2J", "?2J", "?2J"},
	{"CSI as a byte", "\x9b2J", "?2J", "?2J"},
	{"DEL and backspace", "a\x7f\bb", "a??b", "a??b"},
	{"lines and tabs", "a\nb\tc\rd", "a?b?c?d", "a\nb\tc?d"},
	{"NUL", "a\x00b", "a?b", "a?b"},
	{"overrides", "a\u202eb\u2066c\u2028d", "a?b?c?d", "a?b?c?d"},
	{"half a character", "a\xe2\x82", "a?", "a"},
}

func TestText(t *testing.T) {
	for _, tt := range words {
		t.Run(tt.name, func(t *testing.T) {
			if got := Text([]byte(tt.word)); got != tt.text {
				t.Errorf("Text(%q) = %q; want %q", tt.word, got, tt.text)
			}
			var whole, bytewise bytes.Buffer
			if n, err := Writer(&whole).Write([]byte(tt.word)); n != len(tt.word) || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
			w := Writer(&bytewise)
			for _, b := range []byte(tt.word) {
				w.Write([]byte{b})
			}
			if whole.String() != tt.stream || bytewise.String() != tt.stream {
				t.Errorf("Writer of %q writes %q, and by bytes %q; want %q", tt.word, whole.String(), bytewise.String(), tt.stream)
			}
		})
	}
}

func FuzzWriter(f *testing.F) {
	for _, tt := range words {
		f.Add([]byte(tt.word), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		var out bytes.Buffer
		w := Writer(&out)
		at = max(0, min(at, len(in)))
		w.Write(in[:at])
		w.Write(in[at:])
		for _, r := range out.String() {
			if Unprintable(r) && r != '\n' && r != '\t' {
				t.Errorf("%q writes %q", in, out.String())
			}
		}
		if strings.ToValidUTF8(out.String(), "") != out.String() {
			t.Errorf("%q writes %q, which is no UTF-8", in, out.String())
		}
	})
}
