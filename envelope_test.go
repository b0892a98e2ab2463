package glassq

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseTask(t *testing.T) {
	tests := []struct {
		name, line string
		want       Task
		err        string // part of the message; "" for none
	}{
		{"text", `{"body":"hi"}`, Task{Body: []byte("hi"), Type: TypeText}, ""},
		{"empty text", `{"body":""}`, Task{Body: []byte{}, Type: TypeText}, ""},
		{"spaces", " { \"body\" : \"hi\" } \r", Task{Body: []byte("hi"), Type: TypeText}, ""},
		{"escapes", `{"body":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z"}`, Task{Body: []byte("a\"\\/\b\f\n\r\té😀z"), Type: TypeText}, ""},
		{"object", `{"body": {"a": [1, 2.5e3, null]} }`, Task{Body: []byte(`{"a": [1, 2.5e3, null]}`), Type: TypeJSON}, ""},
		{"number", `{"body":-0.5}`, Task{Body: []byte("-0.5"), Type: TypeJSON}, ""},
		{"null body", `{"body":null}`, Task{Body: []byte("null"), Type: TypeJSON}, ""},
		{"octets", `{"b64":"AAH/"}`, Task{Body: []byte{0, 1, 255}, Type: TypeOctets}, ""},
		{"type after", `{"body":"<a/>","type":"text/xml"}`, Task{Body: []byte("<a/>"), Type: "text/xml"}, ""},
		{"type before", `{"type":"image/png","b64":"AA=="}`, Task{Body: []byte{0}, Type: "image/png"}, ""},
		{
			"all", `{"queue":"q","id":"x","run":"r","priority":9,"delay":"250ms","ttl":1.5,"attempts":3,"lease":"2m","result":"rq","headers":{"traceparent":"00"},"key":"host","flags":7,"body":"b"}`,
			Task{
				Queue: "q", ID: "x", Run: "r", Priority: Level(9), Delay: 250 * time.Millisecond, TTL: 1500 * time.Millisecond, Attempts: 3, Lease: 2 * time.Minute,
				Result: "rq", Headers: map[string]string{"traceparent": "00"}, Key: "host", Flags: 7, Body: []byte("b"), Type: TypeText,
			}, "",
		},
		{"lowest priority", `{"priority":0,"body":""}`, Task{Priority: Level(0), Body: []byte{}, Type: TypeText}, ""},
		{"nulls are absent", `{"id":null,"n":null,"headers":null,"body":"b"}`, Task{Body: []byte("b"), Type: TypeText}, ""},
		{"dense", `{"run":"r1","n":7,"body":"b"}`, Task{Run: "r1", N: 7, Dense: true, Body: []byte("b"), Type: TypeText}, ""},
		{"dense with its id", `{"id":"r1/7","run":"r1","n":7,"body":"b"}`, Task{Run: "r1", N: 7, Dense: true, Body: []byte("b"), Type: TypeText}, ""},
		{"unknown members", `{"x":{"y":1},"body":"b","\u007a":[2]}`, Task{Body: []byte("b"), Type: TypeText, Extra: []byte(`{"x":{"y":1},"\u007a":[2]}`)}, ""},

		{"dense with another id", `{"id":"r1/8","run":"r1","n":7,"body":"b"}`, Task{}, `the id is "r1/7"`},
		{"n without run", `{"n":7,"body":"b"}`, Task{}, "n needs a run"},
		{"no body", `{"id":"x"}`, Task{}, "needs a member body"},
		{"two bodies", `{"body":"x","b64":""}`, Task{}, "either body or b64"},
		{"twice", `{"id":"a","id":"b","body":"x"}`, Task{}, "comes twice, at byte 15"},
		{"lease word", `{"token":"1.q","body":"x"}`, Task{}, `"token" belongs to leases`},
		{"not an object", `[1]`, Task{}, "must begin with {, at byte 0"},
		{"empty", ``, Task{}, "must begin with {"},
		{"cut", `{"body":"x`, Task{}, "does not end, at byte 8"},
		{"trailing comma", `{"body":"x",}`, Task{}, "want a member name"},
		{"trailing text", `{"body":"x"} y`, Task{}, "something follows the end, at byte 13"},
		{"leading zero", `{"body":01}`, Task{}, "must not begin with 0"},
		{"bad escape", `{"body":"\x"}`, Task{}, "bad escape"},
		{"half a surrogate", `{"body":"\ud800x"}`, Task{}, "surrogate"},
		{"two high surrogates", `{"body":"\ud800\ud800"}`, Task{}, "surrogate"},
		{"control character", "{\"body\":\"a\tb\"}", Task{}, "control character"},
		{"not UTF-8", "{\"body\":\"a\xff\"}", Task{}, "not UTF-8; send bytes as b64, at byte 10"},
		{"bad base64", `{"b64":"A"}`, Task{}, "not standard base64"},
		{"priority", `{"priority":10,"body":""}`, Task{}, "priority must be a whole number from 0 to 9"},
		{"negative", `{"priority":-1,"body":""}`, Task{}, "priority must be"},
		{"n too large", `{"run":"r","n":4294967296,"body":""}`, Task{}, "n must be"},
		{"negative delay", `{"delay":-1,"body":""}`, Task{}, "delay must be a duration"},
		{"bad delay", `{"delay":"soon","body":""}`, Task{}, "delay must be a duration"},
		{"endless delay", `{"delay":1e300,"body":""}`, Task{}, "delay must be a duration"},
		{"id a number", `{"id":1,"body":""}`, Task{}, "id must be a string"},
		{"headers of numbers", `{"headers":{"a":1},"body":""}`, Task{}, "a header must be a string"},
		{"deep", `{"body":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`, Task{}, "nested deeper"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Task{Queue: "old", ID: "old", Run: "old", Of: 3}
			err := ParseTask([]byte(tt.line), &got)
			if tt.err != "" {
				if !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), ", at byte ") {
					t.Errorf("ParseTask(%s) = %v; want bad_request with %q", tt.line, err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseTask(%s) = %+v, %v; want %+v", tt.line, got, err, tt.want)
			}
		})
	}
}

func TestAppendTask(t *testing.T) {
	tests := []struct {
		name string
		task Task
		want string
	}{
		{"text", Task{Body: []byte("a\"<\n\x01é"), Type: TypeText}, `{"body":"a\"<\n\u0001é"}`},
		{"other text", Task{Body: []byte("x"), Type: "text/html"}, `{"type":"text/html","body":"x"}`},
		{"text that is not", Task{Body: []byte("\xff"), Type: TypeText}, `{"type":"text/plain; charset=utf-8","b64":"/w=="}`},
		{"json", Task{Body: []byte("{\"a\":\r\n [1,\n2]}\n"), Type: TypeJSON}, `{"body":{"a": [1,2]}}`},
		{"json string", Task{Body: []byte(`"x"`), Type: TypeJSON}, `{"type":"application/json","body":"\"x\""}`},
		{"json kin", Task{Body: []byte(`[1]`), Type: "application/ld+json"}, `{"type":"application/ld+json","body":[1]}`},
		{"not json", Task{Body: []byte("{"), Type: TypeJSON}, `{"type":"application/json","b64":"ew=="}`},
		{"octets", Task{Body: []byte("x"), Type: TypeOctets}, `{"b64":"eA=="}`},
		{"nobody said: json", Task{Body: []byte(`{"i":1}`)}, `{"body":{"i":1}}`},
		{"nobody said: text", Task{Body: []byte(`123`)}, `{"body":"123"}`},
		{"nobody said: octets", Task{Body: []byte("\xff")}, `{"b64":"/w=="}`},
		{"dense", Task{Run: "r", N: 0, Dense: true, Type: TypeText}, `{"run":"r","n":0,"body":""}`},
		{
			"all", Task{
				Queue: "q", ID: "x", Run: "r", Priority: Level(0), Delay: 250 * time.Millisecond, TTL: time.Hour, Attempts: 3, Lease: time.Minute, Result: "rq",
				Headers: map[string]string{"b": "2", "a": "1"}, Key: "k", Flags: 7, Extra: []byte("{\"x\":1,\n\"id\":2,\"token\":3, \"y\" : [4]}"), Type: TypeText,
			},
			`{"queue":"q","id":"x","run":"r","delay":0.25,"ttl":3600,"lease":60,"priority":0,"attempts":3,"result":"rq","key":"k","flags":7,"headers":{"a":"1","b":"2"},"x":1,"y":[4],"body":""}`,
		},
		{"bad extra", Task{Extra: []byte(`{"x":1} {`), Type: TypeText}, `{"body":""}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := AppendTask(nil, &tt.task); string(got) != tt.want {
				t.Errorf("AppendTask(%+v)\n got %s\nwant %s", tt.task, got, tt.want)
			}
		})
	}
}

// randomTask makes a task as an engine may hold it.
func randomTask(r *rand.Rand) Task {
	t := Task{Queue: "q", Priority: Level(r.IntN(10)), Attempts: r.IntN(5), Flags: uint32(r.IntN(2)) * r.Uint32()}
	switch r.IntN(3) {
	case 0:
		t.Run, t.N, t.Dense = "r", r.Uint32(), true
	case 1:
		t.ID = "id\"" + string(rune(r.IntN(0xd800)))
	}
	texts := []string{"", "plain", "q\"\\\n\x00\u2028é😀", strings.Repeat("long \"text\" ", r.IntN(50))}
	values := []string{`{}`, `[1,{"a":"b\n"}]`, `12`, `null`, `"s"`, `true`}
	switch r.IntN(4) {
	case 0:
		t.Type, t.Body = TypeText, []byte(texts[r.IntN(len(texts))])
	case 1:
		t.Type, t.Body = TypeJSON, []byte(values[r.IntN(len(values))])
	case 2:
		t.Type, t.Body = TypeOctets, make([]byte, r.IntN(20))
	case 3:
		t.Type, t.Body = "image/png", []byte("\x89\xff")
	}
	if r.IntN(2) == 0 {
		t.Headers = map[string]string{"a": texts[r.IntN(len(texts))], "b\"": ""}
		t.Extra = []byte(`{"x":` + values[r.IntN(len(values))] + `,"y":1}`)
	}
	return t
}

func TestEnvelopeRoundTrips(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	for range 3000 {
		task := randomTask(r)
		put := task
		put.Delay, put.TTL, put.Lease = time.Duration(r.Int64N(1e18)), time.Duration(r.IntN(1e9)), time.Duration(r.IntN(3))*time.Second
		if put.Priority == PriorityDefault {
			put.Priority = 0
		}
		line := AppendTask(nil, &put)
		var got Task
		if err := ParseTask(line, &got); err != nil || !sameTask(got, put) {
			t.Fatalf("seed %d: ParseTask(%s) = %+v, %v; want %+v", seed, line, got, err, put)
		}
		if !json.Valid(line) || bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("seed %d: AppendTask = %q, not one line of JSON", seed, line)
		}

		lease := Lease{Task: put, Number: r.Uint64N(1<<53) * uint64(r.IntN(2)), Attempt: r.IntN(9), Length: time.Duration(r.IntN(1e6)) * time.Millisecond, Age: time.Duration(r.IntN(1e6)) * time.Microsecond, Late: time.Duration(r.IntN(2)) * time.Microsecond}
		lease.Delay, lease.TTL, lease.Lease, lease.Of = 0, 0, 0, r.IntN(3)
		line = AppendLease(nil, &lease)
		var l Lease
		err := ParseLease(line, &l)
		if left := time.Until(l.Deadline); left > lease.Length || left < lease.Length-time.Minute {
			t.Fatalf("seed %d: ParseLease(%s): deadline in %v; want %v", seed, line, left, lease.Length)
		}
		l.Deadline = time.Time{}
		if ok := sameTask(l.Task, lease.Task); err != nil || !ok {
			t.Fatalf("seed %d: ParseLease(%s) = %+v, %v; want %+v", seed, line, l, err, lease)
		}
		l.Task, lease.Task = Task{}, Task{}
		if !reflect.DeepEqual(l, lease) {
			t.Fatalf("seed %d: ParseLease(%s) = %+v; want %+v", seed, line, l, lease)
		}

		result := Task{Type: task.Type, Body: task.Body, Headers: task.Headers}
		ack := Ack{Token: Token{"q", 9}, Put: []Task{put, {Queue: "p", Type: TypeText}}}
		if string(task.Body) != "null" {
			ack.Result = &result
		}
		line = AppendAck(nil, &ack)
		var a Ack
		if err := ParseAck(line, &a); err != nil || a.Token != ack.Token || len(a.Put) != 2 || !sameTask(a.Put[0], put) ||
			(a.Result == nil) != (ack.Result == nil) || a.Result != nil && !sameTask(*a.Result, result) || !json.Valid(line) {
			t.Fatalf("seed %d: ParseAck(%s) = %+v, %v; want %+v", seed, line, a, err, ack)
		}

		peeked := Peeked{Task: put, Number: r.Uint64() >> 1, State: Dead, Attempt: 3, Age: time.Hour, Due: time.Second, Reason: "re\"ason"}
		peeked.Of = r.IntN(2)
		line = AppendPeeked(nil, &peeked)
		var p Peeked
		if err := ParsePeeked(line, &p); err != nil || !sameTask(p.Task, peeked.Task) || p.Number != peeked.Number || p.State != Dead || p.Reason != peeked.Reason || p.Due != time.Second || p.Attempt != 3 {
			t.Fatalf("seed %d: ParsePeeked(%s) = %+v, %v; want %+v", seed, line, p, err, peeked)
		}
	}
}

// sameTask compares what an envelope keeps.
func sameTask(a, b Task) bool {
	if a.Priority.Level() != b.Priority.Level() || !bytes.Equal(a.Body, b.Body) {
		return false
	}
	a.Priority, b.Priority, a.Body, b.Body = 0, 0, nil, nil
	return reflect.DeepEqual(a, b)
}

func TestParseAck(t *testing.T) {
	tests := []struct {
		name, line string
		want       *Task
		err        string
	}{
		{"bare", `{"token":"7.q"}`, nil, ""},
		{"null", `{"token":"7.q","result":null}`, nil, ""},
		{"record", `{"token":"7.q","result":{"i": "x",  "o":{"ok":1}}}`, &Task{Body: []byte(`{"i": "x",  "o":{"ok":1}}`), Type: TypeJSON}, ""},
		{"string", `{"token":"7.q","result":"a\u0062"}`, &Task{Body: []byte(`"a\u0062"`), Type: TypeJSON}, ""},
		{"text", `{"result":"a\u0062","type":"text/csv","token":"7.q"}`, &Task{Body: []byte(`ab`), Type: "text/csv"}, ""},
		{"octets", `{"token":"7.q","b64":"AA=="}`, &Task{Body: []byte{0}, Type: TypeOctets}, ""},
		{"queue", `{"token":"7.q","result":1,"queue":"other"}`, &Task{Body: []byte(`1`), Type: TypeJSON, Queue: "other"}, ""},
		{"no token", `{"result":1}`, nil, "token is needed"},
		{"bad token", `{"token":"0.q"}`, nil, "token"},
		{"both", `{"token":"7.q","result":1,"b64":""}`, nil, "either result or b64"},
		{"unknown", `{"token":"7.q","reslut":1}`, nil, `no member "reslut"`},
		{"twice", `{"token":"7.q","token":"8.q"}`, nil, "twice"},
		{"bad follow-up", `{"token":"7.q","put":[{"queue":"x"}]}`, nil, "needs a member body"},
		{"trailing comma", `{"token":"7.q","put":[{"body":""},]}`, nil, "must begin with {"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a Ack
			err := ParseAck([]byte(tt.line), &a)
			if tt.err != "" {
				if !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("ParseAck(%s) = %v; want %q", tt.line, err, tt.err)
				}
				return
			}
			if err != nil || a.Token != (Token{"q", 7}) || !reflect.DeepEqual(a.Result, tt.want) {
				t.Errorf("ParseAck(%s) = %+v, %v; want result %+v", tt.line, a, err, tt.want)
			}
		})
	}
}

func TestNackExtendReceipt(t *testing.T) {
	for _, want := range []Nack{
		{Token: Token{"q", 1}, Delay: -1},
		{Token: Token{"q.x", 1<<53 - 1}, Delay: 0, Reason: "no \"luck\"", Dead: true},
		{Token: Token{"q", 2}, Delay: 1500 * time.Millisecond, Undone: true},
	} {
		line := AppendNack(nil, &want)
		var got Nack
		if err := ParseNack(line, &got); err != nil || got != want {
			t.Errorf("ParseNack(%s) = %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, want := range []Extend{{Token: Token{"q", 1}}, {Token: Token{"q", 2}, Lease: time.Minute}} {
		line := AppendExtend(nil, &want)
		var got Extend
		if err := ParseExtend(line, &got); err != nil || got != want {
			t.Errorf("ParseExtend(%s) = %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, tt := range []struct {
		id   string
		r    Receipt
		line string
	}{
		{"", Receipt{Number: 12}, `{"id":"~12"}`},
		{"r/1", Receipt{Number: 12}, `{"id":"r/1"}`},
		{"x", Receipt{Duplicate: true}, `{"id":"x","duplicate":true}`},
	} {
		line := AppendReceipt(nil, tt.id, tt.r)
		id, r, err := ParseReceipt(line)
		if string(line) != tt.line || err != nil || r.Duplicate != tt.r.Duplicate || tt.id != "" && id != tt.id || tt.id == "" && r != tt.r {
			t.Errorf("AppendReceipt(%q, %+v) = %s, read as %q %+v %v; want %s", tt.id, tt.r, line, id, r, err, tt.line)
		}
	}
	for _, line := range []string{`{"token":"1.q","delay":"x"}`, `{"token":"1.q","dead":1}`, `{}`, `{"token":"1.q","x":1}`} {
		var n Nack
		if err := ParseNack([]byte(line), &n); !errors.Is(err, ErrBadRequest) {
			t.Errorf("ParseNack(%s) = %v; want bad_request", line, err)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "1": time.Second, "0.25": 250 * time.Millisecond, "1e-3": time.Millisecond, "1E1": 10 * time.Second,
		"0.000000001": 1, "0.0000000004": 0, "9000000000": 9000000000 * time.Second, "12.345678901": 12345678901,
	} {
		if got, ok := parseSeconds([]byte(text)); !ok || got != want {
			t.Errorf("parseSeconds(%s) = %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"9300000000", "1e99", "99999999999999999999"} {
		if got, ok := parseSeconds([]byte(text)); ok {
			t.Errorf("parseSeconds(%s) = %v; want refusal", text, got)
		}
	}
}

// FuzzTask checks the scanner against encoding/json: what ParseTask takes is JSON with the same
// meaning, what it prints is one line of JSON, and printing is stable.
func FuzzTask(f *testing.F) {
	f.Add([]byte(`{"id":"a","body":"x\u00e9\n"}`))
	f.Add([]byte(`{"run":"r","n":1,"delay":"1s","ttl":2.5,"body":{"a":[1,true,null,"s"]},"x":1}`))
	f.Add([]byte(`{"b64":"AAEC","type":"image/png","headers":{"a":"b"},"priority":9}`))
	f.Add([]byte("{\"body\":[1,\n2]}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var task Task
		if err := ParseTask(in, &task); err != nil {
			if !errors.Is(err, ErrBadRequest) {
				t.Fatalf("ParseTask(%q): code %s", in, CodeOf(err))
			}
			return
		}
		var ref map[string]json.RawMessage
		if err := json.Unmarshal(in, &ref); err != nil {
			t.Fatalf("ParseTask took %q; encoding/json says %v", in, err)
		}
		var text string
		if body := ref["body"]; len(body) > 0 && body[0] == '"' {
			if json.Unmarshal(body, &text); text != string(task.Body) {
				t.Fatalf("body of %q = %q; want %q", in, task.Body, text)
			}
		}
		line := AppendTask(nil, &task)
		var again Task
		if err := ParseTask(line, &again); err != nil || !json.Valid(line) || bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("AppendTask of %q = %q: %v", in, line, err)
		}
		if out := AppendTask(nil, &again); !bytes.Equal(out, line) {
			t.Fatalf("printed %q, then %q", line, out)
		}
		var l Lease
		ParseLease(in, &l)
	})
}

// FuzzJSON checks that the scanner accepts what encoding/json accepts, and nothing else, among UTF-8
// texts that are not too deep.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+3,"\u12aF\\"],"b":{}}`, `[1,]`, `01`, `"\ud800"`, ` tru`, `1.`, `{"a":1,}`, `-`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if !utf8.Valid(in) || bytes.Count(in, []byte("["))+bytes.Count(in, []byte("{")) > maxJSONDepth {
			return
		}
		if got, want := jsonKind(in) != 0, json.Valid(in); got != want {
			t.Fatalf("jsonKind(%q) says %v; want %v", in, got, want)
		}
		if json.Valid(in) {
			var a, b any
			json.Unmarshal(in, &a)
			json.Unmarshal(appendLine(nil, in), &b)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("appendLine(%q) changes the value", in)
			}
		}
	})
}

// FuzzAck checks that no line makes the other parsers panic, and that what they take round-trips.
func FuzzAck(f *testing.F) {
	f.Add([]byte(`{"token":"7.q","result":{"o":{"ok":1}},"put":[{"queue":"p","body":"x"}]}`))
	f.Add([]byte(`{"token":"7.q","delay":"1s","reason":"r","dead":true}`))
	f.Add([]byte(`{"token":"7.q","type":"text/csv","result":"a\nb"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var a, a2 Ack
		if ParseAck(in, &a) == nil {
			line := AppendAck(nil, &a)
			if err := ParseAck(line, &a2); err != nil || !bytes.Equal(AppendAck(nil, &a2), line) {
				t.Fatalf("ParseAck(%q) printed %q, read again: %v", in, line, err)
			}
		}
		var n, n2 Nack
		if ParseNack(in, &n) == nil {
			if err := ParseNack(AppendNack(nil, &n), &n2); err != nil || n2 != n {
				t.Fatalf("nack %q = %+v, again %+v, %v", in, n, n2, err)
			}
		}
		var e, e2 Extend
		if ParseExtend(in, &e) == nil {
			if err := ParseExtend(AppendExtend(nil, &e), &e2); err != nil || e2 != e {
				t.Fatalf("extend %q = %+v, again %+v, %v", in, e, e2, err)
			}
		}
		var p Peeked
		ParsePeeked(in, &p)
		ParseReceipt(in)
	})
}

func BenchmarkParseTask(b *testing.B) {
	line := []byte(`{"run":"r1","n":123456,"body":"http://localhost:8888/?q=123456"}`)
	var t Task
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseTask(line, &t); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendTask(b *testing.B) {
	t := Task{Run: "r1", N: 123456, Dense: true, Type: TypeText, Body: []byte("http://localhost:8888/?q=123456")}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendTask(dst[:0], &t)
	}
}

func benchLease() *Lease {
	return &Lease{
		Task:   Task{Queue: "tasks", Run: "r1", N: 123456, Dense: true, Type: TypeText, Body: []byte("http://localhost:8888/?q=123456")},
		Number: 1 << 40, Attempt: 1, Length: 10 * time.Second, Age: 1234567 * time.Microsecond,
	}
}

func BenchmarkAppendLease(b *testing.B) {
	l := benchLease()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendLease(dst[:0], l)
	}
}

func BenchmarkParseLease(b *testing.B) {
	line := AppendLease(nil, benchLease())
	var l Lease
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseLease(line, &l); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAck(b *testing.B) {
	line := []byte(`{"token":"1099511627776.tasks","result":{"i":"http://localhost:8888/?q=7","o":{"ok":1,"rt":0.012345,"code":200,"n":512,"t":1790000000.123,"lag":0.0004,"w":"host-3172","a":1}}}`)
	var a Ack
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseAck(line, &a); err != nil {
			b.Fatal(err)
		}
	}
}
