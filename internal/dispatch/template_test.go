package dispatch

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

func TestTemplate(t *testing.T) {
	tests := []struct {
		in, want string
		pos      int // of the error; 0 for none
	}{
		{"http://h/?q={0}", "http://h/?q=42", 0},
		{"{0:06}{=0}", "00004242", 0},
		{"{0:01}", "42", 0},
		{"{line}|{=line}", "%22a%22%20%5C%0A%26%2F|\"a\" \\\n&/", 0},
		{"{{0}} {{{0}}}", "{0} {42}", 0},
		{"no value", "no value", 0},
		{"", "", 0},
		{`{{"q":"{=line}","{=line}":{=0}}}`, `{"q":"\"a\" \\\n&/","\"a\" \\\n&/":42}`, 0},
		{`"\"{=line} {line}"`, `"\"\"a\" \\\n&/ %22a%22%20%5C%0A%26%2F"`, 0},
		{`q="{=line}"`, "q=\"\"a\" \\\n&/\"", 0},
		{"x{1}", "", 2},
		{"x{0", "", 2},
		{"x}y", "", 2},
		{"{}", "", 1},
		{"{0}{0:6}", "", 4},
		{"{0:021}", "", 1},
		{"{line:03}", "", 1},
		{"{col:}", "", 1},
		{"{col}", "", 1},
		{`{"a":{0}}`, "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			tmpl, err := ParseTemplate(tt.in)
			if tt.pos > 0 {
				te, ok := errors.AsType[*TemplateError](err)
				if !ok || te.Pos != tt.pos {
					t.Fatalf("ParseTemplate = %v, want an error at %d", err, tt.pos)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(tmpl.Append(nil, &record{number: 42, line: []byte("\"a\" \\\n&/")})); got != tt.want {
				t.Errorf("Append = %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"http://h/?q={0}", "{0:06}{=line}", "{{}}", "{", "}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tmpl, err := ParseTemplate(s)
		if err != nil {
			if te, ok := errors.AsType[*TemplateError](err); !ok || te.Pos < 1 || te.Pos > len(s) {
				t.Fatalf("ParseTemplate(%q) = %v", s, err)
			}
			return
		}
		escaped := strings.NewReplacer("{", "{{", "}", "}}")
		if again, err := ParseTemplate(escaped.Replace(s)); err != nil || string(again.Append(nil, &record{number: 1})) != s {
			t.Fatalf("ParseTemplate of escaped %q: %v", s, err)
		}
		bound := *tmpl // columns are found by bind, which wants a file
		bound.parts = slices.Clone(tmpl.parts)
		bound.Append(nil, &record{number: 1<<64 - 1, line: []byte("x"), row: []string{"y"}})
	})
}

func TestParseRange(t *testing.T) {
	tests := []struct {
		in          string
		first, last uint64
		ok          bool
	}{
		{"0..999999", 0, 999999, true},
		{"5..5", 5, 5, true},
		{"9..1", 0, 0, false},
		{"1-5", 0, 0, false},
		{"0..4294967296", 0, 0, false},
		{"-1..5", 0, 0, false},
	}
	for _, tt := range tests {
		first, last, err := ParseRange(tt.in)
		if first != tt.first || last != tt.last || (err == nil) != tt.ok {
			t.Errorf("ParseRange(%q) = %d, %d, %v", tt.in, first, last, err)
		}
	}
	if _, err := NewCounter(mustTemplate(t, "/{line}"), nil, 0, 1); err == nil {
		t.Error("NewCounter with {line} = nil error")
	}
	src := counterOf(t, strings.Repeat("ü", 2000), 0, 1)
	if n := len(src.Fingerprint()); n > glassq.MaxReason {
		t.Errorf("fingerprint of %d bytes", n)
	}
}

func TestData(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":{"b":{0}}}`: `{"a":{"b":7}}`, `{=line}{x}{`: `l l{x}{`, `{{0}}`: `{7}`, "}{0:03}": "}007", "": "", "{{line}": "{l%20l",
	} {
		if got := string(ParseData(in).Append(nil, &record{number: 7, line: []byte("l l")})); got != want {
			t.Errorf("ParseData(%q) makes %q, want %q", in, got, want)
		}
	}
	if got := string(Literal("{0}}").Append(nil, &record{})); got != "{0}}" {
		t.Errorf("Literal = %q", got)
	}
}
