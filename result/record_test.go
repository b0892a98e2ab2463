package result

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/glassq/glassq"
)

func TestAppend(t *testing.T) {
	full := Record{OK: true, Took: 12345 * time.Microsecond, Code: 200, Bytes: 512,
		Began: time.UnixMilli(1790000000123), Lag: 400 * time.Microsecond, Worker: "host-3172", Attempt: 1}
	tests := []struct {
		name, in, typ string
		r             Record
		want          string
	}{
		{"text", "http://localhost:8888/?q=7", glassq.TypeText, full,
			`{"i":"http://localhost:8888/?q=7","o":{"ok":1,"rt":0.012345,"code":200,"n":512,"t":1790000000.123,"lag":0.0004,"w":"host-3172","a":1}}`},
		{"least", "x", glassq.TypeText, Record{}, `{"i":"x","o":{"ok":0,"rt":0}}`},
		{"failed", "x", glassq.TypeText, Record{Took: 1500 * time.Millisecond, Class: ClassDNS,
			Message: "no \"such\" host\n"},
			`{"i":"x","o":{"ok":0,"rt":1.5,"err":"dns","msg":"no \"such\" host\n"}}`},
		{"json", "{ \"a\" : [1,\n \"b c\"] }\n", glassq.TypeJSON, Record{OK: true},
			`{"i":{"a":[1,"b c"]},"o":{"ok":1,"rt":0}}`},
		{"json number", " 12 ", glassq.TypeJSON, Record{OK: true}, `{"i":12,"o":{"ok":1,"rt":0}}`},
		{"bad json", `{"a":`, glassq.TypeJSON, Record{}, `{"i":"{\"a\":","o":{"ok":0,"rt":0}}`},
		{"two json", `{} {}`, glassq.TypeJSON, Record{}, `{"i":"{} {}","o":{"ok":0,"rt":0}}`},
		{"no type, json", `[1, 2]`, "", Record{}, `{"i":[1, 2],"o":{"ok":0,"rt":0}}`},
		{"no type, text", `123`, "", Record{}, `{"i":"123","o":{"ok":0,"rt":0}}`},
		{"octets", "abc", glassq.TypeOctets, Record{}, `{"b64":"YWJj","o":{"ok":0,"rt":0}}`},
		{"not utf-8", "a\xffb", glassq.TypeText, Record{}, `{"b64":"Yf9i","o":{"ok":0,"rt":0}}`},
		{"control", "a\x01\té", glassq.TypeText, Record{Message: "\xff"}, `{"i":"a\u0001\té","o":{"ok":0,"rt":0,"msg":"�"}}`},
		{"negative", "x", glassq.TypeText, Record{Took: -1, Lag: -1}, `{"i":"x","o":{"ok":0,"rt":0}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(Append(nil, []byte(tt.in), tt.typ, &tt.r))
			if got != tt.want {
				t.Errorf("Append(%q, %q) =\n%s, want\n%s", tt.in, tt.typ, got, tt.want)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("Append(%q) = %s, not JSON", tt.in, got)
			}
		})
	}
}

func TestOutcomeOf(t *testing.T) {
	tests := []struct {
		in   string
		typ  string
		want glassq.Outcome
	}{
		{``, "", glassq.OK},
		{`{"i":"x","o":{"ok":1,"rt":0.1}}`, glassq.TypeJSON, glassq.OK},
		{`{"i":"x","o":{"ok":0,"rt":0.1}}`, glassq.TypeJSON, glassq.Failed},
		{`{"o":{"ok":0}}`, "", glassq.Failed},
		{`{"o":{"ok":0}}`, glassq.TypeText, glassq.Failed},
		{`{"o":{"ok":0}}`, "image/png", glassq.OK},
		{` { "o" : { "ok" : false } } `, glassq.TypeJSON, glassq.Failed},
		{`{"o":{"ok":true}}`, glassq.TypeJSON, glassq.OK},
		{`{"o":{"ok":0.0}}`, glassq.TypeJSON, glassq.Failed},
		{`{"o":{"ok":-0e5}}`, glassq.TypeJSON, glassq.Failed},
		{`{"o":{"ok":0.001}}`, glassq.TypeJSON, glassq.OK},
		{`{"o":{"ok":"0"}}`, glassq.TypeJSON, glassq.OK},
		{`{"o":{"ok":null}}`, glassq.TypeJSON, glassq.OK},
		{`{"o":{}}`, glassq.TypeJSON, glassq.OK},
		{`{"o":{"x":{"ok":0},"s":"\"ok\":0"}}`, glassq.TypeJSON, glassq.OK},
		{`{"i":{"o":{"ok":0}},"ok":0}`, glassq.TypeJSON, glassq.OK},
		{`{"i":"\"o\":{\"ok\":0}"}`, glassq.TypeJSON, glassq.OK},
		{`{"o":{"ok":1,"ok":0}}`, glassq.TypeJSON, glassq.Failed},
		{`{"o":{"ok":0,"ok":1}}`, glassq.TypeJSON, glassq.OK},
		{`{"o":{"ok":0},"o":{"ok":1}}`, glassq.TypeJSON, glassq.OK},
		{`{"o":{"ok":0},"o":1}`, glassq.TypeJSON, glassq.OK},
		{`{"\u006f":{"o\u006B":0}}`, glassq.TypeJSON, glassq.Failed},
		{`{"o":{"ok":0}`, glassq.TypeJSON, glassq.OK},
		{`{"o":{"ok":0}}x`, glassq.TypeJSON, glassq.OK},
		{`[{"o":{"ok":0}}]`, glassq.TypeJSON, glassq.OK},
		{`0`, glassq.TypeJSON, glassq.OK},
	}
	for _, tt := range tests {
		if got := OutcomeOf([]byte(tt.in), tt.typ); got != tt.want {
			t.Errorf("OutcomeOf(%s, %q) = %v, want %v", tt.in, tt.typ, got, tt.want)
		}
	}
}

func TestParse(t *testing.T) {
	want := Record{OK: true, Took: 12345 * time.Microsecond, Code: 200, Class: ClassStatus, Bytes: 512,
		Began: time.UnixMilli(1790000000123), Lag: 400 * time.Microsecond, Attempt: 2}
	in := Append(nil, []byte("x"), glassq.TypeText, &want)
	var got Record
	if !Parse(in, &got) || got != want {
		t.Errorf("Parse(%s) = %+v, want %+v", in, got, want)
	}
	tests := []struct {
		in   string
		want Record
		ok   bool
	}{
		{`{"o":{}}`, Record{OK: true}, true},
		{`{"o":{"ok":false,"rt":1e-3,"lag":25E-1}}`, Record{Took: time.Millisecond, Lag: 2500 * time.Millisecond}, true},
		{`{"o":{"ok":1,"rt":"1","code":null,"err":5}}`, Record{OK: true}, true},
		{`{"o":{"n":1e99,"a":-3}}`, Record{OK: true, Bytes: 1<<63 - 1, Attempt: -3}, true},
		{`{"o":{"rt":1e-99999999999999}}`, Record{OK: true}, true},
		{`{"o":{"err":"other"}}`, Record{OK: true, Class: "other"}, true},
		{`{"o":1}`, Record{OK: true}, false},
		{`{"i":1}`, Record{OK: true}, false},
		{`nope`, Record{OK: true}, false},
		{``, Record{OK: true}, false},
	}
	for _, tt := range tests {
		var got Record
		if ok := Parse([]byte(tt.in), &got); ok != tt.ok || got != tt.want {
			t.Errorf("Parse(%s) = %+v, %v; want %+v, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

// naiveOutcome is OutcomeOf by encoding/json.
func naiveOutcome(in []byte) glassq.Outcome {
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	var v any
	if !json.Valid(in) || d.Decode(&v) != nil {
		return glassq.OK
	}
	m, _ := v.(map[string]any)
	o, _ := m["o"].(map[string]any)
	switch ok := o["ok"].(type) {
	case bool:
		if !ok {
			return glassq.Failed
		}
	case json.Number:
		mantissa, _, _ := strings.Cut(strings.ToLower(string(ok)), "e")
		if !strings.ContainsAny(mantissa, "123456789") {
			return glassq.Failed
		}
	}
	return glassq.OK
}

func FuzzOutcomeOf(f *testing.F) {
	f.Add([]byte(`{"i":"x","o":{"ok":0,"rt":0.1,"err":"dns"}}`))
	f.Add([]byte(`{"\u006f":{"ok":false,"ok":[{}]}}`))
	f.Add([]byte(` {"o":{"ok":1E+5},"o":{"ok":-0.0e1}} `))
	f.Fuzz(func(t *testing.T, in []byte) {
		if got, want := OutcomeOf(in, glassq.TypeJSON), naiveOutcome(in); got != want {
			t.Fatalf("OutcomeOf(%q) = %v, want %v", in, got, want)
		}
		var r Record
		if Parse(in, &r) && r.OK != (naiveOutcome(in) == glassq.OK) {
			t.Fatalf("Parse(%q): OK = %v", in, r.OK)
		}
	})
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte("http://x/?q=1"), glassq.TypeText, "msg")
	f.Add([]byte(`{"url": "http://x/"}`), glassq.TypeJSON, "\x00\xff")
	f.Fuzz(func(t *testing.T, in []byte, typ, msg string) {
		out := Append(nil, in, typ, &Record{Message: msg})
		var rec struct {
			I   json.RawMessage
			B64 *string
			O   struct{ Msg string }
		}
		if err := json.Unmarshal(out, &rec); err != nil || bytes.ContainsAny(out, "\n\r") {
			t.Fatalf("Append(%q, %q) = %s: %v", in, typ, out, err)
		}
		if want := strings.ToValidUTF8(msg, "\ufffd"); utf8.ValidString(msg) && rec.O.Msg != want {
			t.Fatalf("msg %q came back as %q", msg, rec.O.Msg)
		}
		if rec.B64 != nil {
			if got, err := base64.StdEncoding.DecodeString(*rec.B64); err != nil || !bytes.Equal(got, in) {
				t.Fatalf("b64 of %q came back as %q, %v", in, got, err)
			}
		} else if strings.HasPrefix(typ, "text/") {
			var s string
			if err := json.Unmarshal(rec.I, &s); err != nil || s != string(in) {
				t.Fatalf("text %q came back as %q, %v", in, s, err)
			}
		}
	})
}

// usual is a result as the built-in HTTP work makes it.
var usual = []byte(`{"i":"http://127.0.0.1:8888/?q=123456","o":{"ok":1,"rt":0.001234,"code":200,"n":12,"t":1790000000.123,"lag":0.000004,"w":"host-3172","a":1}}`)

func BenchmarkOutcomeOf(b *testing.B) {
	b.SetBytes(int64(len(usual)))
	b.ReportAllocs()
	for b.Loop() {
		OutcomeOf(usual, glassq.TypeJSON)
	}
}

func BenchmarkParse(b *testing.B) {
	var r Record
	b.SetBytes(int64(len(usual)))
	b.ReportAllocs()
	for b.Loop() {
		Parse(usual, &r)
	}
}

func BenchmarkAppend(b *testing.B) {
	var r Record
	Parse(usual, &r)
	r.Worker = "host-3172"
	in := []byte("http://127.0.0.1:8888/?q=123456")
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		Append(buf, in, glassq.TypeText, &r)
	}
}
