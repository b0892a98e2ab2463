package schema

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const person = `{"type":"object","required":["url"],"properties":{"url":{"type":"string","pattern":"^http"},"tags":{"items":{"type":"integer"}}}}`
	tests := []struct {
		name, schema, body string
		fault              string // a part of the error, "" for none
	}{
		{"fits", person, `{"url":"http://localhost/","tags":[1]}`, ""},
		{"member missing", person, `{}`, "at the top: missing property 'url'"},
		{"wrong type inside", person, `{"url":"http://x","tags":[1,"a"]}`, "at /tags/1: got string, want integer"},
		{"pattern", person, `{"url":"ftp://x"}`, "at /url: 'ftp://x' does not match pattern"},
		{"text is a string", `{"type":"string"}`, `"abc"`, ""},
		{"false refuses all", `false`, `1`, "at the top"},
		{"true takes all", `true`, `null`, ""},
		{"big integers are exact", `{"const":9007199254740993}`, `9007199254740992`, "at the top"},
		{"not JSON", `true`, `{`, "not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check, err := Compile(tt.schema)
			if err != nil {
				t.Fatal(err)
			}
			err = check([]byte(tt.body))
			if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("check(%s) = %v, want %q", tt.body, err, tt.fault)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, tt := range []struct{ name, schema, want string }{
		{"not JSON", `{`, "EOF"},
		{"not a schema", `{"type":"wood"}`, "at /type"},
		{"another document", `{"$ref":"http://localhost/x.json"}`, "whole in itself"},
		{"a file", `{"$ref":"file:///etc/hostname"}`, "whole in itself"},
		{"too large", `"` + strings.Repeat("x", MaxSize) + `"`, "limit"},
	} {
		if _, err := Compile(tt.schema); err == nil || !strings.Contains(err.Error(), tt.want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Compile = %v, want %q on one line", tt.name, err, tt.want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`{"type":"object"}`, `{"a":1}`)
	f.Add(`{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#"}}}`, `1`)
	f.Fuzz(func(t *testing.T, schema, body string) {
		if check, err := Compile(schema); err == nil {
			check([]byte(body)) // must not panic
		}
	})
}
