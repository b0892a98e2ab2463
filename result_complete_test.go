package glassq

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestCompleteResult(t *testing.T) {
	full := Result{RT: 1500 * time.Microsecond, T: time.UnixMilli(1790000000123), Lag: time.Millisecond, W: "w1", A: 2}
	tests := []struct{ name, record, input, typ, want, err string }{
		{"least", `{"o":{"ok":1,"rt":0.25}}`, "hello", TypeText,
			`{"i":"hello","o":{"ok":1,"rt":0.25,"t":1790000000.123,"lag":0.001,"w":"w1","a":2}}`, ""},
		{"empty o", ` {"o":{ }} `, `{"a": 1}`, TypeJSON,
			`{"i":{"a":1},"o":{ "ok":1,"rt":0.0015,"t":1790000000.123,"lag":0.001,"w":"w1","a":2}}`, ""},
		{"all there", `{"i":"x","x":[1],"o":{"a":1,"w":"me","lag":0,"t":1,"rt":1,"ok":false}}`, "hello", TypeText,
			`{"i":"x","x":[1],"o":{"a":1,"w":"me","lag":0,"t":1,"rt":1,"ok":false}}`, ""},
		{"octets", `{"o":{"ok":0,"rt":1,"t":1,"lag":1,"w":"","a":1}}`, "\x00\xff", TypeOctets,
			`{"b64":"AP8=","o":{"ok":0,"rt":1,"t":1,"lag":1,"w":"","a":1}}`, ""},
		{"o first, member after", `{"o":{"ok":1,"rt":1,"t":1,"lag":1,"w":"","a":1},"i":7}`, "", "",
			`{"o":{"ok":1,"rt":1,"t":1,"lag":1,"w":"","a":1},"i":7}`, ""},
		{"last o counts", `{"i":1,"o":1,"o":{"ok":1,"rt":1,"t":1,"lag":1,"w":"","a":1}}`, "", "",
			`{"i":1,"o":1,"o":{"ok":1,"rt":1,"t":1,"lag":1,"w":"","a":1}}`, ""},
		{"words", "done", "", "", "", "one JSON object"},
		{"nothing", "", "", "", "", "one JSON object"},
		{"array", `[{"o":{}}]`, "", "", "", "one JSON object"},
		{"two", `{"o":{}}{"o":{}}`, "", "", "", "one JSON object"},
		{"cut", `{"o":{"ok":1}`, "", "", "", "one JSON object"},
		{"no o", `{"ok":1,"rt":2}`, "", "", "", `no object "o"`},
		{"o is a number", `{"o":1}`, "", "", "", `no object "o"`},
		{"latin-1", "{\"o\":{\"x\":\"\xe9\"}}", "", "", "", "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CompleteResult([]byte("kept"), []byte(tt.record), []byte(tt.input), tt.typ, &full)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || string(got) != "kept" {
					t.Fatalf("CompleteResult(%s) = %s, %v; want an error that says %q", tt.record, got, err, tt.err)
				}
				return
			}
			if err != nil || string(got) != "kept"+tt.want {
				t.Errorf("CompleteResult(%s) = %s, %v\nwant kept%s", tt.record, got, err, tt.want)
			}
		})
	}
}

func FuzzCompleteResult(f *testing.F) {
	f.Add([]byte(`{"o":{"ok":1}}`), []byte("x"))
	f.Add([]byte(` {"a":[{}],"o":{},"i":null}`), []byte("{}"))
	f.Fuzz(func(t *testing.T, record, input []byte) {
		got, err := CompleteResult(nil, record, input, "", &Result{RT: time.Second, W: "w", A: 1})
		if err != nil {
			return
		}
		var r Result
		if !json.Valid(got) || !ParseResultOut(got, &r) {
			t.Fatalf("CompleteResult(%q) = %q: not a record", record, got)
		}
	})
}
