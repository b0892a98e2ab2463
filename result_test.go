package glassq

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAppendResult(t *testing.T) {
	full := Result{OK: true, RT: 12345 * time.Microsecond, Code: 200, N: 512,
		T: time.UnixMilli(1790000000123), Lag: 400 * time.Microsecond, W: "host-3172", A: 1}
	tests := []struct {
		name, in, typ string
		r             Result
		want          string
	}{
		{"text", "http://localhost:8888/?q=7", TypeText, full,
			`{"i":"http://localhost:8888/?q=7","o":{"ok":1,"rt":0.012345,"code":200,"n":512,"t":1790000000.123,"lag":0.0004,"w":"host-3172","a":1}}`},
		{"least", "x", TypeText, Result{}, `{"i":"x","o":{"ok":0,"rt":0}}`},
		{"failed", "x", TypeText, Result{RT: 1500 * time.Millisecond, Err: ErrClassDNS, Msg: "no \"such\" host\n"},
			`{"i":"x","o":{"ok":0,"rt":1.5,"err":"dns","msg":"no \"such\" host\n"}}`},
		{"json", "{ \"a\" : [1,\n \"b c\"] }\n", TypeJSON, Result{OK: true}, `{"i":{"a":[1,"b c"]},"o":{"ok":1,"rt":0}}`},
		{"json number", " 12 ", TypeJSON, Result{OK: true}, `{"i":12,"o":{"ok":1,"rt":0}}`},
		{"bad json", `{"a":`, TypeJSON, Result{}, `{"i":"{\"a\":","o":{"ok":0,"rt":0}}`},
		{"two json", `{} {}`, TypeJSON, Result{}, `{"i":"{} {}","o":{"ok":0,"rt":0}}`},
		{"no type, json", `[1, 2]`, "", Result{}, `{"i":[1,2],"o":{"ok":0,"rt":0}}`},
		{"no type, text", `123`, "", Result{}, `{"i":"123","o":{"ok":0,"rt":0}}`},
		{"octets", "abc", TypeOctets, Result{}, `{"b64":"YWJj","o":{"ok":0,"rt":0}}`},
		{"not utf-8", "a\xffb", TypeText, Result{}, `{"b64":"Yf9i","o":{"ok":0,"rt":0}}`},
		{"control", "a\x01\té", TypeText, Result{Msg: "\xff"}, `{"i":"a\u0001\té","o":{"ok":0,"rt":0,"msg":"\ufffd"}}`},
		{"negative", "x", TypeText, Result{RT: -1, Lag: -1}, `{"i":"x","o":{"ok":0,"rt":0}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(AppendResult(nil, []byte(tt.in), tt.typ, &tt.r))
			if got != tt.want {
				t.Errorf("AppendResult(%q, %q) =\n%s, want\n%s", tt.in, tt.typ, got, tt.want)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("AppendResult(%q) = %s, not JSON", tt.in, got)
			}
		})
	}
}

func TestOutcomeOf(t *testing.T) {
	tests := []struct {
		in   string
		typ  string
		want Outcome
	}{
		{``, "", OK},
		{`{"i":"x","o":{"ok":1,"rt":0.1}}`, TypeJSON, OK},
		{`{"i":"x","o":{"ok":0,"rt":0.1}}`, TypeJSON, Failed},
		{`{"o":{"ok":0}}`, "", Failed},
		{`{"o":{"ok":0}}`, TypeText, Failed},
		{`{"o":{"ok":0}}`, "image/png", OK},
		{` { "o" : { "ok" : false } } `, TypeJSON, Failed},
		{`{"o":{"ok":true}}`, TypeJSON, OK},
		{`{"o":{"ok":0.0}}`, TypeJSON, Failed},
		{`{"o":{"ok":-0e5}}`, TypeJSON, Failed},
		{`{"o":{"ok":0.001}}`, TypeJSON, OK},
		{`{"o":{"ok":"0"}}`, TypeJSON, OK},
		{`{"o":{"ok":null}}`, TypeJSON, OK},
		{`{"o":{}}`, TypeJSON, OK},
		{`{"o":{"x":{"ok":0},"s":"\"ok\":0"}}`, TypeJSON, OK},
		{`{"i":{"o":{"ok":0}},"ok":0}`, TypeJSON, OK},
		{`{"i":"\"o\":{\"ok\":0}"}`, TypeJSON, OK},
		{`{"o":{"ok":1,"ok":0}}`, TypeJSON, Failed},
		{`{"o":{"ok":0,"ok":1}}`, TypeJSON, OK},
		{`{"o":{"ok":0},"o":{"ok":1}}`, TypeJSON, OK},
		{`{"o":{"ok":0},"o":1}`, TypeJSON, OK},
		{`{"\u006f":{"o\u006B":0}}`, TypeJSON, Failed},
		{`{"o":{"ok":0}`, TypeJSON, OK},
		{`{"o":{"ok":0}}x`, TypeJSON, OK},
		{`[{"o":{"ok":0}}]`, TypeJSON, OK},
		{`0`, TypeJSON, OK},
	}
	for _, tt := range tests {
		if got := OutcomeOf([]byte(tt.in), tt.typ); got != tt.want {
			t.Errorf("OutcomeOf(%s, %q) = %v, want %v", tt.in, tt.typ, got, tt.want)
		}
	}
}

func TestParseResultOut(t *testing.T) {
	want := Result{OK: true, RT: 12345 * time.Microsecond, Code: 200, Err: ErrClassStatus, N: 512,
		T: time.UnixMilli(1790000000123), Lag: 400 * time.Microsecond, A: 2}
	in := AppendResult(nil, []byte("x"), TypeText, &want)
	var got Result
	if !ParseResultOut(in, &got) || got != want {
		t.Errorf("ParseResultOut(%s) = %+v, want %+v", in, got, want)
	}
	tests := []struct {
		in   string
		want Result
		ok   bool
	}{
		{`{"o":{}}`, Result{OK: true}, true},
		{`{"o":{"ok":false,"rt":1e-3,"lag":25E-1}}`, Result{RT: time.Millisecond, Lag: 2500 * time.Millisecond}, true},
		{`{"o":{"ok":1,"rt":"1","code":null,"err":5}}`, Result{OK: true}, true},
		{`{"o":{"n":1e99,"a":-3}}`, Result{OK: true, N: 1<<63 - 1, A: -3}, true},
		{`{"o":{"rt":1e-99999999999999}}`, Result{OK: true}, true},
		{`{"o":{"err":"other"}}`, Result{OK: true, Err: "other"}, true},
		{`{"o":1}`, Result{OK: true}, false},
		{`{"i":1}`, Result{OK: true}, false},
		{`nope`, Result{OK: true}, false},
		{``, Result{OK: true}, false},
	}
	for _, tt := range tests {
		var got Result
		if ok := ParseResultOut([]byte(tt.in), &got); ok != tt.ok || got != tt.want {
			t.Errorf("ParseResultOut(%s) = %+v, %v; want %+v, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestResultAllocs(t *testing.T) {
	r := Result{OK: true, RT: time.Millisecond, Code: 200, N: 9, T: time.UnixMilli(1), W: "w", A: 1}
	in := []byte(`{"url":"http://x/"}`)
	buf := make([]byte, 0, 1024)
	n := testing.AllocsPerRun(100, func() {
		out := AppendResult(buf, in, TypeJSON, &r)
		var back Result
		ParseResultOut(out, &back)
		OutcomeOf(out, TypeJSON)
	})
	if n != 0 {
		t.Errorf("a result written and read allocates %v times, want 0", n)
	}
}

// naiveOutcome is OutcomeOf by encoding/json.
func naiveOutcome(in []byte) Outcome {
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	var v any
	if !json.Valid(in) || d.Decode(&v) != nil {
		return OK
	}
	m, _ := v.(map[string]any)
	o, _ := m["o"].(map[string]any)
	switch ok := o["ok"].(type) {
	case bool:
		if !ok {
			return Failed
		}
	case json.Number:
		mantissa, _, _ := strings.Cut(strings.ToLower(string(ok)), "e")
		if !strings.ContainsAny(mantissa, "123456789") {
			return Failed
		}
	}
	return OK
}

func FuzzOutcomeOf(f *testing.F) {
	f.Add([]byte(`{"i":"x","o":{"ok":0,"rt":0.1,"err":"dns"}}`))
	f.Add([]byte(`{"\u006f":{"ok":false,"ok":[{}]}}`))
	f.Add([]byte(` {"o":{"ok":1E+5},"o":{"ok":-0.0e1}} `))
	f.Fuzz(func(t *testing.T, in []byte) {
		if got, want := OutcomeOf(in, TypeJSON), naiveOutcome(in); got != want {
			t.Fatalf("OutcomeOf(%q) = %v, want %v", in, got, want)
		}
		var r Result
		if ParseResultOut(in, &r) && r.OK != (naiveOutcome(in) == OK) {
			t.Fatalf("ParseResultOut(%q): OK = %v", in, r.OK)
		}
	})
}

func FuzzAppendResult(f *testing.F) {
	f.Add([]byte("http://x/?q=1"), TypeText, "msg")
	f.Add([]byte(`{"url": "http://x/"}`), TypeJSON, "\x00\xff")
	f.Fuzz(func(t *testing.T, in []byte, typ, msg string) {
		out := AppendResult(nil, in, typ, &Result{Msg: msg})
		var rec struct {
			I   json.RawMessage
			B64 *string
			O   struct{ Msg string }
		}
		if err := json.Unmarshal(out, &rec); err != nil || bytes.ContainsAny(out, "\n\r") {
			t.Fatalf("AppendResult(%q, %q) = %s: %v", in, typ, out, err)
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
		OutcomeOf(usual, TypeJSON)
	}
}

func BenchmarkParseResultOut(b *testing.B) {
	var r Result
	b.SetBytes(int64(len(usual)))
	b.ReportAllocs()
	for b.Loop() {
		ParseResultOut(usual, &r)
	}
}

func BenchmarkAppendResult(b *testing.B) {
	var r Result
	ParseResultOut(usual, &r)
	r.W = "host-3172"
	in := []byte("http://127.0.0.1:8888/?q=123456")
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		AppendResult(buf, in, TypeText, &r)
	}
}

// FuzzEnvelopeScan holds the scanner of envelopes to the grammar of encoding/json.
func FuzzEnvelopeScan(f *testing.F) {
	for _, s := range []string{string(usual), `{"a":[1,-0.5e+7,{"\u00e9":null}],"b":"01234567\"89\\"} `, `{"a":1,}`, `[01]`, "\"\x1f1234567\"", `"12345678`, "-", `"\u12g4"`, `{"long name \n":"é\/"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := newScan(in)
		s.skip(0)
		s.end()
		if valid := json.Valid(in) && utf8.Valid(in); s.err == nil && !valid || valid && s.err != nil && !strings.Contains(s.err.Message, "nested") {
			t.Fatalf("the scan of an envelope of %q says %v, encoding/json %v", in, s.err, valid)
		}
	})
}
