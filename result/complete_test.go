package result

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

func TestComplete(t *testing.T) {
	full := Record{Took: 1500 * time.Microsecond, Began: time.UnixMilli(1790000000123), Lag: time.Millisecond,
		Worker: "w1", Attempt: 2}
	tests := []struct{ name, record, input, typ, want, err string }{
		{"least", `{"o":{"ok":1,"rt":0.25}}`, "hello", glassq.TypeText,
			`{"i":"hello","o":{"ok":1,"rt":0.25,"t":1790000000.123,"lag":0.001,"w":"w1","a":2}}`, ""},
		{"empty o", ` {"o":{ }} `, `{"a": 1}`, glassq.TypeJSON,
			`{"i":{"a": 1},"o":{"ok":1,"rt":0.0015,"t":1790000000.123,"lag":0.001,"w":"w1","a":2 }}`, ""},
		{"all there", `{"i":"x","x":[1],"o":{"a":1,"w":"me","lag":0,"t":1,"rt":1,"ok":false}}`, "hello", glassq.TypeText,
			`{"i":"x","x":[1],"o":{"a":1,"w":"me","lag":0,"t":1,"rt":1,"ok":false}}`, ""},
		{"octets", `{"o":{"ok":0,"rt":1,"t":1,"lag":1,"w":"","a":1}}`, "\x00\xff", glassq.TypeOctets,
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
			got, err := Complete([]byte("kept"), []byte(tt.record), []byte(tt.input), tt.typ, &full)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || string(got) != "kept" {
					t.Fatalf("Complete(%s) = %s, %v; want an error that says %q", tt.record, got, err, tt.err)
				}
				return
			}
			if err != nil || string(got) != "kept"+tt.want {
				t.Errorf("Complete(%s) = %s, %v\nwant kept%s", tt.record, got, err, tt.want)
			}
		})
	}
}

func FuzzComplete(f *testing.F) {
	f.Add([]byte(`{"o":{"ok":1}}`), []byte("x"))
	f.Add([]byte(` {"a":[{}],"o":{},"i":null}`), []byte("{}"))
	f.Fuzz(func(t *testing.T, record, input []byte) {
		got, err := Complete(nil, record, input, "", &Record{Took: time.Second, Worker: "w", Attempt: 1})
		if err != nil {
			return
		}
		var r Record
		if !json.Valid(got) || !Parse(got, &r) {
			t.Fatalf("Complete(%q) = %q: not a record", record, got)
		}
	})
}
