package template

import (
	"bytes"
	"math"
	"testing"
)

func TestTemplate(t *testing.T) {
	tests := []struct {
		name, text string
		number     uint64
		want, back string // back "" is text
	}{
		{"a URL", "http://h/?q={0}", 7, "http://h/?q=7", ""},
		{"digits", "{0:06}.jpg", 42, "000042.jpg", ""},
		{"more digits than asked for", "{0:02}", 12345, "12345", ""},
		{"the largest number", "{0:020}|{0}", math.MaxUint64, "18446744073709551615|18446744073709551615", ""},
		{"unescaped is the same", "{=0} {=0:03}", 5, "5 005", "{0} {0:03}"},
		{"one digit is none", "{0:01}", 5, "5", "{0}"},
		{"JSON", `{"url":"http://h/{0}","n":{0}}`, 3, `{"url":"http://h/3","n":3}`, ""},
		{"braces stand for themselves", "{{0}} {1} {line} {0:6} {0:021} {0:00} {0:0+1} {", 1,
			"{1} {1} {line} {0:6} {0:021} {0:00} {0:0+1} {", ""},
		{"no number", "plain", 9, "plain", ""},
		{"nothing", "", 9, "", ""},
		{"numbers side by side", "{0}{0}", 12, "1212", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Parse([]byte(tt.text))
			if got := string(p.Append(nil, tt.number)); got != tt.want {
				t.Errorf("Append(%d) = %q, want %q", tt.number, got, tt.want)
			}
			if got := p.Size(tt.number); got != len(tt.want) {
				t.Errorf("Size(%d) = %d, want %d", tt.number, got, len(tt.want))
			}
			if tt.back == "" {
				tt.back = tt.text
			}
			if got := string(p.AppendText(nil)); got != tt.back {
				t.Errorf("AppendText() = %q, want %q", got, tt.back)
			}
			add := tt.number - min(tt.number, 3)
			rec := p.AppendRecord(nil, add)
			if got, ok := AppendBody(nil, rec, uint32(tt.number-add)); !ok || string(got) != tt.want {
				t.Errorf("AppendBody(%x, %d) = %q, %v; want %q", rec, tt.number-add, got, ok, tt.want)
			}
			again, was, ok := Read(rec)
			if got := string(again.AppendText(nil)); !ok || was != add || got != tt.back {
				t.Errorf("Read(%x) = %q, %d, %v; want %q, %d", rec, got, was, ok, tt.back, add)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	good := Parse([]byte("a{0}b"))
	rec := good.AppendRecord(nil, 1)
	tests := []struct {
		name string
		rec  []byte
	}{
		{"nothing", nil},
		{"another version", append([]byte{2}, rec[1:]...)},
		{"cut before the number", rec[:4]},
		{"a literal beyond the end", []byte{1, 0, 1, 9, 'a'}},
		{"too many digits", []byte{1, 0, 1, 0, 21}},
		{"more numbers than there are", []byte{1, 0, 0xff, 0xff, 0x03, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, ok := Read(tt.rec); ok {
				t.Errorf("Read(%x) is ok", tt.rec)
			}
			if _, ok := AppendBody(nil, tt.rec, 1); ok {
				t.Errorf("AppendBody(%x) is ok", tt.rec)
			}
		})
	}
}

// FuzzTemplate: a text and its record make the same, and no record makes Read panic.
func FuzzTemplate(f *testing.F) {
	f.Add([]byte("http://h/?q={0:03}{0}"), uint32(7))
	f.Add([]byte{1, 0, 1, 1, 'a', 3}, uint32(9))
	f.Fuzz(func(t *testing.T, in []byte, n uint32) {
		if p, add, ok := Read(in); ok {
			want := p.Append(nil, add+uint64(n))
			if got, ok := AppendBody(nil, in, n); !ok || !bytes.Equal(got, want) {
				t.Fatalf("AppendBody = %q, %v; want %q", got, ok, want)
			}
		}
		p := Parse(in)
		rec := p.AppendRecord(nil, 0)
		got, ok := AppendBody(nil, rec, n)
		if want := p.Append(nil, uint64(n)); !ok || !bytes.Equal(got, want) || p.Size(uint64(n)) != len(want) {
			t.Fatalf("%q with %d makes %q, by its record %q, %v, of %d bytes", in, n, want, got, ok, p.Size(uint64(n)))
		}
		back := Parse(p.AppendText(nil))
		if again := back.AppendRecord(nil, 0); !bytes.Equal(again, rec) {
			t.Fatalf("%q became %q", rec, again)
		}
	})
}
