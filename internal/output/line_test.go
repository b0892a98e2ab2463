package output

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
)

func TestLine(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"attempt added", `{"i":"u","o":{"ok":1}}`, `{"id":"r1/7","run":"r1","i":"u","o":{"ok":1,"a":2}}`},
		{"attempt kept", `{"o":{"a":9,"ok":1},"i":2}`, `{"id":"r1/7","run":"r1","o":{"a":9,"ok":1},"i":2}`},
		{"empty o", `{"o":{}}`, `{"id":"r1/7","run":"r1","o":{"a":2}}`},
		{"no o", `{"i":1}`, `{"id":"r1/7","run":"r1","i":1,"o":{"ok":1,"a":2}}`},
		{"empty object", `{}`, `{"id":"r1/7","run":"r1","o":{"ok":1,"a":2}}`},
		{"o no object", `{"o":3}`, `{"id":"r1/7","run":"r1","o":3}`},
		{"own id", `{"id":"x","o":{"ok":0},"run":"y"}`, `{"id":"r1/7","run":"r1","o":{"ok":0,"a":2}}`},
		{"own id in disguise", `{"\u0069d":"x","o":{"ok":0}}`, `{"id":"r1/7","run":"r1","o":{"ok":0,"a":2}}`},
		{"inner id", `{"i":{"id":1},"o":{"ok":1}}`, `{"id":"r1/7","run":"r1","i":{"id":1},"o":{"ok":1,"a":2}}`},
		{"many lines", "\n{\n\"o\":{\r\n\"ok\":1}}\n", `{"id":"r1/7","run":"r1","o":{"ok":1,"a":2}}`},
		{"not UTF-8", "{\"i\":\"\xe9\",\"o\":{\"ok\":0}}", `{"id":"r1/7","run":"r1","i":"�","o":{"ok":0,"a":2}}`},
		{"half a pair", `{"i":"\ud800","o":{"ok":0}}`, `{"id":"r1/7","run":"r1","i":"\ud800","o":{"ok":0,"a":2}}`},
		{"nothing", ``, `{"id":"r1/7","run":"r1","o":{"ok":1,"a":2}}`},
		{"text", "a\"b\n", `{"id":"r1/7","run":"r1","o":{"ok":1,"a":2},"raw":"a\"b\n"}`},
		{"number", `42`, `{"id":"r1/7","run":"r1","o":{"ok":1,"a":2},"raw":42}`},
		{"octets", "\xff\x00", `{"id":"r1/7","run":"r1","o":{"ok":1,"a":2},"b64":"/wA="}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := lease(tt.body)
			if got := string(lineOf(&l)); got != tt.want+"\n" {
				t.Errorf("line of %q = %s, want %s", tt.body, got, tt.want)
			}
		})
	}
}

func lease(body string) glassq.Lease {
	return glassq.Lease{Task: glassq.Task{ID: "r1/7", Run: "r1", Position: 7, Dense: true, OfAttempt: 2, Body: []byte(body)}}
}

func lineOf(l *glassq.Lease) []byte {
	var r record
	r.read(l, new(object), time.Time{})
	return appendLine(nil, l, r.body, r.obj)
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{`{"o":{"ok":1}}`, `{}`, `[1]`, "\xff", `{"id":1,"o":{},"o":{"a":1}}`,
		`{"a":-0.1e+5,"b":"\u00e9\\"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if ok := new(object).scan(bytes.TrimSpace([]byte(body))); ok != (json.Valid([]byte(body)) &&
			strings.Trim(body, " \t\r\n")[0] == '{') {
			if ok || !strings.ContainsAny(body, "\v\f\u0085\u00a0") {
				t.Fatalf("scan(%q) = %v, json.Valid is %v", body, ok, json.Valid([]byte(body)))
			}
		}
		l := lease(body)
		var r record
		var want result.Record
		r.read(&l, new(object), time.Time{})
		if result.Parse(r.body, &want); r.out != want &&
			result.OutcomeOf(l.Body, l.Type) == result.OutcomeOf(r.body, l.Type) {
			t.Fatalf("verdict of %q is %+v, and that of the books %+v", body, r.out, want)
		}
		line := lineOf(&l)
		if bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("line of %q is not one line: %q", body, line)
		}
		var got struct{ ID, Run string }
		if err := json.Unmarshal(line, &struct {
			ID  *string `json:"id"`
			Run *string `json:"run"`
		}{&got.ID, &got.Run}); err != nil {
			if strings.ContainsAny(strings.ToLower(body), "idrun") {
				return // encoding/json folds case: "ID" may be of any type
			}
			t.Fatalf("line of %q = %q: %v", body, line, err)
		}
		seen, valid, err := LoadSeen(bytes.NewReader(line), LoadOptions{Run: "r1"})
		if err != nil || valid != int64(len(line)) || seen.Count("r1") != 1 {
			t.Fatalf("LoadSeen(%q) = %v, %d, %v", line, seen, valid, err)
		}
	})
}

func FuzzLoadSeen(f *testing.F) {
	f.Add([]byte("{\"id\":\"r1/0\",\"run\":\"r1\"}\n{\"id\":\"r1/1\""))
	f.Add([]byte("{\"run\":\"r\",\"id\":\"r/9\"}\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		seen, valid, err := LoadSeen(bytes.NewReader(in), LoadOptions{})
		if valid < 0 || valid > int64(len(in)) || valid > 0 && in[valid-1] != '\n' {
			t.Fatalf("LoadSeen(%q) = %d bytes valid", in, valid)
		}
		if err != nil {
			return
		}
		again, same, err := LoadSeen(bytes.NewReader(in[:valid]), LoadOptions{})
		if err != nil || same != valid || len(again.runs) != len(seen.runs) {
			t.Fatalf("LoadSeen(%q) = %d, %v; want %d", in[:valid], same, err, valid)
		}
	})
}

func TestLoadSeenRefusesOtherFiles(t *testing.T) {
	for _, in := range []string{"hello\n", "{\"id\":\"r1/0\"}\nx\n", "{}\n", "\x00\x00\n"} {
		if _, _, err := LoadSeen(strings.NewReader(in), LoadOptions{}); err == nil {
			t.Errorf("LoadSeen(%q) = nil error", in)
		}
	}
}

func TestMissing(t *testing.T) {
	var s Seen
	for _, n := range []uint32{0, 1, 5, 9, 1<<32 - 1} {
		s.add("r", n)
	}
	var ids []glassq.Interval
	gone := func(iv glassq.Interval) { ids = append(ids, iv) }
	n := missing(s.of("r"), glassq.Interval{First: 1, Last: 12}, gone)
	want := []glassq.Interval{{First: 2, Last: 4}, {First: 6, Last: 8}, {First: 10, Last: 12}}
	if n != 9 || len(ids) != 3 || ids[0] != want[0] || ids[1] != want[1] || ids[2] != want[2] {
		t.Errorf("missing = %d, %v; want 9, %v", n, ids, want)
	}
	ids = nil
	if n := missing(s.of("r"), glassq.Interval{First: 1<<32 - 3, Last: 1<<32 - 1}, gone); n != 2 || len(ids) != 1 {
		t.Errorf("missing at the end = %d, %v; want 2 in one", n, ids)
	}
}

func BenchmarkWriteBatch(b *testing.B) {
	o, err := newOutput(nil, Options{W: discard{}})
	if err != nil {
		b.Fatal(err)
	}
	leases := make([]glassq.Lease, 1000)
	w := batchWriter{o: o}
	n := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range leases {
			leases[i] = glassq.Lease{Task: glassq.Task{Queue: "results", ID: "", Run: "r1", Position: n, Dense: true, OfAttempt: 1,
				Body: benchBody}}
			n++
		}
		if err := w.write(leases); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "results/s")
}

var benchBody = []byte(`{"i":"http://localhost:8888/?q=7","o":{"ok":1,"rt":0.012345,"code":200,"n":512,"t":1790000000.123,"lag":0.0004,"w":"host-3172"}}`)

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
