package jsonline

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq"
)

func TestFormOf(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		name, body, typ string
		want            Form
	}{
		{"object", `{"a":1}`, "", JSON},
		{"leading space", " \r\n\t[1]", "", JSON},
		{"number without a type", "123", "", Text},
		{"cut object without a type", `{"a":`, "", Text},
		{"bytes without a type", "{\"a\":\"\xff\"}", "", Octets},
		{"number", "123", glassq.TypeJSON, JSON},
		{"parameter", "{}", "application/json ; charset=utf-8", JSON},
		{"upper case", "{}", "Application/JSON", JSON},
		{"kin", "{}", "application/ld+JSON; x=y", JSON},
		{"no JSON", "{", glassq.TypeJSON, Text},
		{"no JSON, not UTF-8", "{\xff", glassq.TypeJSON, Octets},
		{"nothing", "", glassq.TypeJSON, Text},
		{"text", "{}", glassq.TypeText, Text},
		{"text in upper case", "x", "TEXT/html", Text},
		{"text, not UTF-8", "\xff", glassq.TypeText, Octets},
		{"octets", "x", glassq.TypeOctets, Octets},
		{"image", "{}", "image/png", Octets},
		{"600 deep", nested(600), glassq.TypeJSON, JSON},
		{"as deep as may be", nested(maxDepth), glassq.TypeJSON, JSON},
		{"too deep", nested(maxDepth + 1), glassq.TypeJSON, Text},
		{"many, not deep", "[" + strings.Repeat("[],", maxDepth) + "[]]", "", JSON},
		{"half a surrogate pair", `["\ud800"]`, "", JSON},
		{"a name twice", `{"a":1,"a":2}`, "", JSON},
		{"a number beyond float64", `[1e999]`, "", JSON},
		{"byte order mark", "\ufeff{}", glassq.TypeJSON, Text},
		{"line separator", "[\"\u2028\"]", "", JSON},
		{"delete", "[\"\x7f\"]", "", JSON},
		{"control character", "[\"\x01\"]", "", Text},
	}
	for _, tt := range tests {
		if got := FormOf([]byte(tt.body), tt.typ); got != tt.want {
			t.Errorf("%s: FormOf(%.40q, %q) = %d, want %d", tt.name, tt.body, tt.typ, got, tt.want)
		}
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"plain /<>&": `"plain /<>&"`, "a\"\\\n\r\t": `"a\"\\\n\r\t"`, "\x00\x1f\x7f": "\"\\u0000\\u001f\x7f\"",
		"é\u2028😀": "\"é\u2028😀\"", "\xff\xed\xa0\x80": "\"\ufffd\ufffd\ufffd\ufffd\"",
	} {
		got := string(AppendString(nil, in))
		if got != want || string(AppendString(nil, []byte(in))) != want {
			t.Errorf("AppendString(%q) = %s, want %s", in, got, want)
		}
		if plain := string(Plain([]byte(got))); plain != strings.ToValidUTF8(in, "\ufffd") && utf8.ValidString(in) {
			t.Errorf("Plain(%s) = %q, want %q", got, plain, in)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "1": time.Second, "0.25": 250 * time.Millisecond, "1e-3": time.Millisecond, "1E1": 10 * time.Second,
		"0.000000001": 1, "0.0000000004": 0, "9000000000": 9000000000 * time.Second, "12.345678901": 12345678901,
	} {
		if got, ok := Seconds([]byte(text)); !ok || got != want {
			t.Errorf("Seconds(%s) = %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"9300000000", "1e99", "99999999999999999999", "-1", "", "null", "true"} {
		if got, ok := Seconds([]byte(text)); ok {
			t.Errorf("Seconds(%s) = %v; want refusal", text, got)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, `"0"`: 0, "10": 10 * time.Second, "1e2": 100 * time.Second, "31536000000": math.MaxInt64, `"250ms"`: 250 * time.Millisecond,
		`"1h30m"`: 90 * time.Minute, `"31536000000s"`: math.MaxInt64, `"99999999999999999999.5h"`: math.MaxInt64,
	} {
		if got, ok := Duration([]byte(text)); !ok || got != want {
			t.Errorf("Duration(%s) = %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{`"10"`, `"100"`, `"+20"`, `"10.0"`, `"7"`, `"-5s"`, `"s"`, `""`, "-1", "null"} {
		if got, ok := Duration([]byte(text)); ok {
			t.Errorf("Duration(%s) = %v; want refusal", text, got)
		}
	}
}

func TestInt(t *testing.T) {
	for text, want := range map[string]int64{
		"7": 7, "-3": -3, "2.9": 2, "1e3": 1000, "1e99": math.MaxInt64, "-1e99": math.MinInt64, `"7"`: 0, "null": 0,
	} {
		if got := Int([]byte(text)); got != want {
			t.Errorf("Int(%s) = %d, want %d", text, got, want)
		}
	}
}

// FuzzJSON holds the cursor, and what counts as JSON, to the grammar of encoding/json.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-0.5e+3,"\u12aF\\"],"b":{}}`, `[1,]`, `01`, `"\ud800"`, ` tru`, `1.`, `{"a":1,}`, `-`, `{"i":"x","o":{"ok":1}} `,
		"\"\x1f1234567\"", `"12345678`, `"\u12g4"`, `{"long name \n":"é\/"}`, `{"a" 1}`, `{1:2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Count(in, []byte("["))+bytes.Count(in, []byte("{")) > maxDepth {
			return
		}
		valid := json.Valid(in)
		if got, want := Valid(in), valid && utf8.Valid(in); got != want {
			t.Fatalf("Valid(%q) = %v; want %v", in, got, want)
		}
		c := Read(in)
		walk(&c)
		if got := c.Err() == nil; got != valid {
			t.Fatalf("a walk through %q ends with %v; encoding/json takes it: %v", in, c.Err(), valid)
		}
		if Valid(in) {
			var a, b any
			json.Unmarshal(in, &a)
			json.Unmarshal(AppendLine(nil, in), &b)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("AppendLine(%q) changes the value", in)
			}
		}
	})
}

// walk takes a value part by part.
func walk(c *Cursor) {
	switch {
	case c.At('{'):
		for c.Open('{', "it"); c.More(); {
			c.Key()
			walk(c)
		}
	case c.At('['):
		for c.Open('[', "it"); c.More(); {
			walk(c)
		}
	default:
		c.Value()
	}
}
