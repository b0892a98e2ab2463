package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// TestEndlessDurations: a duration that does not fit a Duration is the longest, so that who has
// bounds names them.
func TestEndlessDurations(t *testing.T) {
	for _, long := range []string{"31536000000", "1e300", "1e999", "9223372036.9", "99999999999999999999", `"31536000000s"`,
		`"9999999999999999999h"`, `"1h99999999999999.5h"`} {
		for _, member := range []string{"delay", "ttl", "lease"} {
			var task glassq.Task
			err := ParseTask([]byte(`{"body":"","`+member+`":`+long+`}`), &task)
			if got := task.Delay + task.TTL + task.Lease; err != nil || got != math.MaxInt64 {
				t.Errorf("%s of %s = %v, %v; want the longest", member, long, got, err)
			}
		}
		var n glassq.Nack
		var x glassq.Extend
		if err := ParseNack([]byte(`{"token":"1.q","delay":`+long+`}`), &n); err != nil || n.Delay != math.MaxInt64 {
			t.Errorf("delay of a nack of %s = %v, %v; want the longest", long, n.Delay, err)
		}
		if err := ParseExtend([]byte(`{"token":"1.q","lease":`+long+`}`), &x); err != nil || x.Lease != math.MaxInt64 {
			t.Errorf("lease of an extend of %s = %v, %v; want the longest", long, x.Lease, err)
		}
	}
}

// TestNegativeDurations: what one end would refuse comes to the other as it is.
func TestNegativeDurations(t *testing.T) {
	for _, task := range []glassq.Task{{Delay: -time.Second}, {TTL: -1}, {Lease: -time.Hour}} {
		line := AppendTask(nil, &task)
		if err := ParseTask(line, new(glassq.Task)); !errors.Is(err, glassq.ErrBadRequest) {
			t.Errorf("ParseTask(%s) = %v; want bad_request", line, err)
		}
	}
	line := AppendExtend(nil, &glassq.Extend{Token: glassq.Token{Queue: "q", Number: 1}, Lease: -time.Second})
	if err := ParseExtend(line, new(glassq.Extend)); !errors.Is(err, glassq.ErrBadRequest) {
		t.Errorf("ParseExtend(%s) = %v; want bad_request", line, err)
	}
}

func TestParseTask(t *testing.T) {
	tests := []struct {
		name, line string
		want       glassq.Task
		err        string // part of the message; "" for none
	}{
		{"text", `{"body":"hi"}`, glassq.Task{Body: []byte("hi"), Type: glassq.TypeText}, ""},
		{"empty text", `{"body":""}`, glassq.Task{Body: []byte{}, Type: glassq.TypeText}, ""},
		{"spaces", " { \"body\" : \"hi\" } \r", glassq.Task{Body: []byte("hi"), Type: glassq.TypeText}, ""},
		{"escapes", `{"body":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z"}`,
			glassq.Task{Body: []byte("a\"\\/\b\f\n\r\té😀z"), Type: glassq.TypeText}, ""},
		{"object", `{"body": {"a": [1, 2.5e3, null]} }`,
			glassq.Task{Body: []byte(`{"a": [1, 2.5e3, null]}`), Type: glassq.TypeJSON}, ""},
		{"number", `{"body":-0.5}`, glassq.Task{Body: []byte("-0.5"), Type: glassq.TypeJSON}, ""},
		{"null body", `{"body":null}`, glassq.Task{Body: []byte("null"), Type: glassq.TypeJSON}, ""},
		{"octets", `{"b64":"AAH/"}`, glassq.Task{Body: []byte{0, 1, 255}, Type: glassq.TypeOctets}, ""},
		{"type after", `{"body":"<a/>","type":"text/xml"}`, glassq.Task{Body: []byte("<a/>"), Type: "text/xml"}, ""},
		{"type before", `{"type":"image/png","b64":"AA=="}`, glassq.Task{Body: []byte{0}, Type: "image/png"}, ""},
		{
			"all", `{"queue":"q","id":"x","run":"r","priority":9,"delay":"250ms","ttl":1.5,"attempts":3,"lease":"2m","result":"rq","headers":{"traceparent":"00"},"key":"host","flags":7,"body":"b"}`,
			glassq.Task{
				Queue: "q", ID: "x", Run: "r", Priority: glassq.Level(9), Delay: 250 * time.Millisecond,
				TTL: 1500 * time.Millisecond, Attempts: 3, Lease: 2 * time.Minute,
				ResultQueue: "rq", Headers: map[string]string{"traceparent": "00"}, Key: "host", Flags: 7, Body: []byte("b"),
				Type: glassq.TypeText,
			}, "",
		},
		{"lowest priority", `{"priority":0,"body":""}`, glassq.Task{Priority: glassq.Level(0), Body: []byte{},
			Type: glassq.TypeText}, ""},
		{"nulls are absent", `{"id":null,"n":null,"headers":null,"body":"b"}`,
			glassq.Task{Body: []byte("b"), Type: glassq.TypeText}, ""},
		{"dense", `{"run":"r1","n":7,"body":"b"}`, glassq.Task{Run: "r1", Position: 7, Dense: true, Body: []byte("b"),
			Type: glassq.TypeText}, ""},
		{"dense with its id", `{"id":"r1/7","run":"r1","n":7,"body":"b"}`,
			glassq.Task{Run: "r1", Position: 7, Dense: true, Body: []byte("b"), Type: glassq.TypeText}, ""},
		{"range", `{"run":"r1","range":{"from":7,"count":4294967289,"add":3},"body":"{0:06}"}`,
			glassq.Task{Run: "r1", Position: 7, Dense: true, Range: &glassq.Range{Count: 1<<32 - 7, Add: 3}, Body: []byte("{0:06}"),
				Type: glassq.TypeText}, ""},
		{"range from 0", `{"range":{"count":1},"run":"r1","body":{"n":"{0}"}}`,
			glassq.Task{Run: "r1", Dense: true, Range: &glassq.Range{Count: 1}, Body: []byte(`{"n":"{0}"}`), Type: glassq.TypeJSON}, ""},
		{"unknown members", `{"x":{"y":1},"body":"b","\u007a":[2]}`,
			glassq.Task{Body: []byte("b"), Type: glassq.TypeText, Extra: []byte(`{"x":{"y":1},"\u007a":[2]}`)}, ""},

		{"dense with another id", `{"id":"r1/8","run":"r1","n":7,"body":"b"}`, glassq.Task{}, `the id is "r1/7"`},
		{"n without run", `{"n":7,"body":"b"}`, glassq.Task{}, "n needs a run"},
		{"range without run", `{"range":{"count":7},"body":"b"}`, glassq.Task{}, "range needs a run"},
		{"range and n", `{"run":"r","n":1,"range":{"count":7},"body":"b"}`, glassq.Task{}, "leave out n and id"},
		{"range and id", `{"run":"r","id":"r/0","range":{"count":7},"body":"b"}`, glassq.Task{}, "leave out n and id"},
		{"range of none", `{"run":"r","range":{"from":7},"body":"b"}`, glassq.Task{}, "range needs a count of 1 or more"},
		{"range beyond", `{"run":"r","range":{"from":1,"count":4294967296},"body":"b"}`, glassq.Task{}, "beyond position 4294967295"},
		{"range of too many", `{"run":"r","range":{"count":4294967297},"body":"b"}`, glassq.Task{}, "count must be"},
		{"range a number", `{"run":"r","range":7,"body":"b"}`, glassq.Task{}, "range must be like"},
		{"range with more", `{"run":"r","range":{"count":7,"step":2},"body":"b"}`, glassq.Task{}, `no member "step"`},
		{"empty run", `{"run":"","body":"b"}`, glassq.Task{}, "run is empty; name one, or leave the member out, at byte 7"},
		{"empty result", `{"body":"b","result":""}`, glassq.Task{}, "result is empty"},
		{"empty queue", `{"queue":"","body":"b"}`, glassq.Task{}, "queue is empty"},
		{"no body", `{"id":"x"}`, glassq.Task{}, "needs a member body"},
		{"two bodies", `{"body":"x","b64":""}`, glassq.Task{}, "either body or b64"},
		{"twice", `{"id":"a","id":"b","body":"x"}`, glassq.Task{}, "comes twice, at byte 10"},
		{"lease word", `{"token":"1.q","body":"x"}`, glassq.Task{}, `"token" belongs to leases`},
		{"not an object", `[1]`, glassq.Task{}, "must begin with {, at byte 0"},
		{"empty", ``, glassq.Task{}, "ends too early"},
		{"cut", `{"body":"x`, glassq.Task{}, "ends too early, at byte 10"},
		{"trailing comma", `{"body":"x",}`, glassq.Task{}, "not JSON: invalid character '}' at start of string"},
		{"trailing text", `{"body":"x"} y`, glassq.Task{}, "something follows the end, at byte 13"},
		{"leading zero", `{"body":01}`, glassq.Task{}, "not JSON: invalid character '1' after object value"},
		{"not JSON: invalid escape sequence", `{"body":"\x"}`, glassq.Task{}, "not JSON: invalid escape sequence"},
		{"half a surrogate", `{"body":"\ud800x"}`, glassq.Task{}, "surrogate"},
		{"two high surrogates", `{"body":"\ud800\ud800"}`, glassq.Task{}, "surrogate"},
		{"control character", "{\"body\":\"a\tb\"}", glassq.Task{}, "control character"},
		{"not UTF-8", "{\"body\":\"a\xff\"}", glassq.Task{}, "not UTF-8; send bytes as b64, at byte 10"},
		{"bad base64", `{"b64":"A"}`, glassq.Task{}, "not standard base64"},
		{"priority", `{"priority":10,"body":""}`, glassq.Task{}, "priority must be a whole number from 0 to 9"},
		{"negative", `{"priority":-1,"body":""}`, glassq.Task{}, "priority must be"},
		{"n too large", `{"run":"r","n":4294967296,"body":""}`, glassq.Task{}, "n must be"},
		{"negative delay", `{"delay":-1,"body":""}`, glassq.Task{}, "delay must be a duration"},
		{"bad delay", `{"delay":"soon","body":""}`, glassq.Task{}, "delay must be a duration"},
		{"negative endless delay", `{"delay":-1e300,"body":""}`, glassq.Task{}, "delay must be a duration"},
		{"negative long lease", `{"lease":"-99999999999h","body":""}`, glassq.Task{}, "lease must be a duration"},
		{"id a number", `{"id":1,"body":""}`, glassq.Task{}, "id must be a string"},
		{"headers of numbers", `{"headers":{"a":1},"body":""}`, glassq.Task{}, "a header must be a string"},
		{"deep", `{"body":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, glassq.Task{},
			"not JSON: exceeded max depth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := glassq.Task{Queue: "old", ID: "old", Run: "old", OfAttempt: 3}
			err := ParseTask([]byte(tt.line), &got)
			if tt.err != "" {
				if !errors.Is(err, glassq.ErrBadRequest) || !strings.Contains(err.Error(), tt.err) ||
					!strings.Contains(err.Error(), ", at byte ") {
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
		task glassq.Task
		want string
	}{
		{"text", glassq.Task{Body: []byte("a\"<\n\x01é"), Type: glassq.TypeText}, `{"body":"a\"<\n\u0001é"}`},
		{"other text", glassq.Task{Body: []byte("x"), Type: "text/html"}, `{"type":"text/html","body":"x"}`},
		{"text that is not", glassq.Task{Body: []byte("\xff"), Type: glassq.TypeText},
			`{"type":"text/plain; charset=utf-8","b64":"/w=="}`},
		{"json", glassq.Task{Body: []byte("{\"a\":\r\n [1,\n2]}\n"), Type: glassq.TypeJSON}, `{"body":{"a":[1,2]}}`},
		{"json string", glassq.Task{Body: []byte(`"x"`), Type: glassq.TypeJSON},
			`{"type":"application/json","body":"\"x\""}`},
		{"json kin", glassq.Task{Body: []byte(`[1]`), Type: "application/ld+json"},
			`{"type":"application/ld+json","body":[1]}`},
		{"not json", glassq.Task{Body: []byte("{"), Type: glassq.TypeJSON}, `{"type":"application/json","body":"{"}`},
		{"octets", glassq.Task{Body: []byte("x"), Type: glassq.TypeOctets}, `{"b64":"eA=="}`},
		{"nobody said: json", glassq.Task{Body: []byte(`{"i":1}`)}, `{"body":{"i":1}}`},
		{"nobody said: text", glassq.Task{Body: []byte(`123`)}, `{"body":"123"}`},
		{"nobody said: octets", glassq.Task{Body: []byte("\xff")}, `{"b64":"/w=="}`},
		{"dense", glassq.Task{Run: "r", Position: 0, Dense: true, Type: glassq.TypeText}, `{"run":"r","n":0,"body":""}`},
		{"range", glassq.Task{Run: "r", Position: 5, Dense: true, Range: &glassq.Range{Count: 9, Add: 2}, Body: []byte("{0}"),
			Type: glassq.TypeText}, `{"run":"r","range":{"from":5,"count":9,"add":2},"body":"{0}"}`},
		{
			"all", glassq.Task{
				Queue: "q", ID: "x", Run: "r", Priority: glassq.Level(0), Delay: 250 * time.Millisecond,
				TTL: time.Hour, Attempts: 3, Lease: time.Minute, ResultQueue: "rq",
				Headers: map[string]string{"b": "2", "a": "1"}, Key: "k", Flags: 7,
				Extra: []byte("{\"x\":1,\n\"id\":2,\"token\":3, \"y\" : [4]}"), Type: glassq.TypeText,
			},
			`{"queue":"q","id":"x","run":"r","delay":0.25,"ttl":3600,"lease":60,"priority":0,"attempts":3,"result":"rq","key":"k","flags":7,"headers":{"a":"1","b":"2"},"x":1,"y":[4],"body":""}`,
		},
		{"bad extra", glassq.Task{Extra: []byte(`{"x":1} {`), Type: glassq.TypeText}, `{"body":""}`},
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
func randomTask(r *rand.Rand) glassq.Task {
	t := glassq.Task{Queue: "q", Priority: glassq.Level(r.IntN(10)), Attempts: r.IntN(5),
		Flags: uint32(r.IntN(2)) * r.Uint32()}
	switch r.IntN(3) {
	case 0:
		t.Run, t.Position, t.Dense = "r", r.Uint32(), true
	case 1:
		t.ID = "id\"" + string(rune(r.IntN(0xd800)))
	}
	texts := []string{"", "plain", "q\"\\\n\x00\u2028é😀", strings.Repeat("long \"text\" ", r.IntN(50))}
	values := []string{`{}`, `[1,{"a":"b\n"}]`, `12`, `null`, `"s"`, `true`}
	switch r.IntN(4) {
	case 0:
		t.Type, t.Body = glassq.TypeText, []byte(texts[r.IntN(len(texts))])
	case 1:
		t.Type, t.Body = glassq.TypeJSON, []byte(values[r.IntN(len(values))])
	case 2:
		t.Type, t.Body = glassq.TypeOctets, make([]byte, r.IntN(20))
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
		put.Delay, put.TTL = time.Duration(r.Int64N(1e18)), time.Duration(r.IntN(1e9))
		put.Lease = time.Duration(r.IntN(3)) * time.Second
		if put.Priority == glassq.PriorityDefault {
			put.Priority = 0
		}
		line := AppendTask(nil, &put)
		var got glassq.Task
		if err := ParseTask(line, &got); err != nil || !sameTask(got, put) {
			t.Fatalf("seed %d: ParseTask(%s) = %+v, %v; want %+v", seed, line, got, err, put)
		}
		if !json.Valid(line) || bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("seed %d: AppendTask = %q, not one line of JSON", seed, line)
		}

		lease := glassq.Lease{Task: put, Number: r.Uint64N(1<<53) * uint64(r.IntN(2)), Attempt: r.IntN(9),
			Length: time.Duration(r.IntN(1e6)) * time.Millisecond, Age: time.Duration(r.IntN(1e6)) * time.Microsecond,
			Late: time.Duration(r.IntN(2)) * time.Microsecond}
		lease.Delay, lease.TTL, lease.Lease, lease.OfAttempt = 0, 0, 0, r.IntN(3)
		line = AppendLease(nil, &lease)
		var l glassq.Lease
		err := ParseLease(line, &l)
		if left := time.Until(l.Deadline); left > lease.Length || left < lease.Length-time.Minute {
			t.Fatalf("seed %d: ParseLease(%s): deadline in %v; want %v", seed, line, left, lease.Length)
		}
		l.Deadline = time.Time{}
		if ok := sameTask(l.Task, lease.Task); err != nil || !ok {
			t.Fatalf("seed %d: ParseLease(%s) = %+v, %v; want %+v", seed, line, l, err, lease)
		}
		l.Task, lease.Task = glassq.Task{}, glassq.Task{}
		if !reflect.DeepEqual(l, lease) {
			t.Fatalf("seed %d: ParseLease(%s) = %+v; want %+v", seed, line, l, lease)
		}

		result := glassq.Task{Type: task.Type, Body: task.Body, Headers: task.Headers}
		ack := glassq.Ack{Token: glassq.Token{Queue: "q", Number: 9},
			Put: []glassq.Task{put, {Queue: "p", Type: glassq.TypeText}}}
		if string(task.Body) != "null" {
			ack.Result = &result
		}
		line = AppendAck(nil, &ack)
		var a glassq.Ack
		if err := ParseAck(line, &a); err != nil || a.Token != ack.Token || len(a.Put) != 2 || !sameTask(a.Put[0], put) ||
			(a.Result == nil) != (ack.Result == nil) || a.Result != nil && !sameTask(*a.Result, result) || !json.Valid(line) {
			t.Fatalf("seed %d: ParseAck(%s) = %+v, %v; want %+v", seed, line, a, err, ack)
		}

		peeked := glassq.Peeked{Task: put, Number: r.Uint64() >> 1, State: glassq.Dead, Attempt: 3, Age: time.Hour,
			Due: time.Second, Reason: "re\"ason"}
		peeked.OfAttempt = r.IntN(2)
		line = AppendPeeked(nil, &peeked)
		var p glassq.Peeked
		if err := ParsePeeked(line, &p); err != nil || !sameTask(p.Task, peeked.Task) || p.Number != peeked.Number ||
			p.State != glassq.Dead || p.Reason != peeked.Reason || p.Due != time.Second || p.Attempt != 3 {
			t.Fatalf("seed %d: ParsePeeked(%s) = %+v, %v; want %+v", seed, line, p, err, peeked)
		}
	}
}

// sameTask compares what an envelope keeps.
func sameTask(a, b glassq.Task) bool {
	if a.Priority.Level() != b.Priority.Level() || !bytes.Equal(a.Body, b.Body) {
		return false
	}
	a.Priority, b.Priority, a.Body, b.Body = 0, 0, nil, nil
	return reflect.DeepEqual(a, b)
}

func TestParseAck(t *testing.T) {
	tests := []struct {
		name, line string
		want       *glassq.Task
		err        string
	}{
		{"bare", `{"token":"7.q"}`, nil, ""},
		{"null", `{"token":"7.q","result":null}`, nil, ""},
		{"record", `{"token":"7.q","result":{"i": "x",  "o":{"ok":1}}}`,
			&glassq.Task{Body: []byte(`{"i": "x",  "o":{"ok":1}}`), Type: glassq.TypeJSON}, ""},
		{"string", `{"token":"7.q","result":"a\u0062"}`, &glassq.Task{Body: []byte(`"a\u0062"`), Type: glassq.TypeJSON}, ""},
		{"text", `{"result":"a\u0062","type":"text/csv","token":"7.q"}`, &glassq.Task{Body: []byte(`ab`), Type: "text/csv"},
			""},
		{"octets", `{"token":"7.q","b64":"AA=="}`, &glassq.Task{Body: []byte{0}, Type: glassq.TypeOctets}, ""},
		{"queue", `{"token":"7.q","result":1,"queue":"other"}`,
			&glassq.Task{Body: []byte(`1`), Type: glassq.TypeJSON, Queue: "other"}, ""},
		{"no token", `{"result":1}`, nil, "token is needed"},
		{"bad token", `{"token":"0.q"}`, nil, "token"},
		{"both", `{"token":"7.q","result":1,"b64":""}`, nil, "either result or b64"},
		{"unknown", `{"token":"7.q","reslut":1}`, nil, `no member "reslut"`},
		{"unknown null", `{"token":"7.q","reslut":null}`, nil, `no member "reslut"`},
		{"nulls", `{"token":"7.q","type":null,"b64":null,"queue":null,"headers":null,"cost":null,"put":null}`, nil, ""},
		{"twice", `{"token":"7.q","token":"8.q"}`, nil, "twice"},
		{"bad follow-up", `{"token":"7.q","put":[{"queue":"x"}]}`, nil, "needs a member body"},
		{"trailing comma", `{"token":"7.q","put":[{"body":""},]}`, nil, "not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a glassq.Ack
			err := ParseAck([]byte(tt.line), &a)
			if tt.err != "" {
				if !errors.Is(err, glassq.ErrBadRequest) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("ParseAck(%s) = %v; want %q", tt.line, err, tt.err)
				}
				return
			}
			if err != nil || a.Token != (glassq.Token{Queue: "q", Number: 7}) || !reflect.DeepEqual(a.Result, tt.want) {
				t.Errorf("ParseAck(%s) = %+v, %v; want result %+v", tt.line, a, err, tt.want)
			}
		})
	}
}

func TestNackExtendReceipt(t *testing.T) {
	for _, want := range []glassq.Nack{
		{Token: glassq.Token{Queue: "q", Number: 1}},
		{Token: glassq.Token{Queue: "q.x", Number: 1<<53 - 1}, Delay: glassq.AtOnce, Reason: "no \"luck\"", Dead: true},
		{Token: glassq.Token{Queue: "q", Number: 2}, Delay: 1500 * time.Millisecond, Undone: true},
	} {
		line := AppendNack(nil, &want)
		var got glassq.Nack
		if err := ParseNack(line, &got); err != nil || got != want {
			t.Errorf("ParseNack(%s) = %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, want := range []glassq.Extend{{Token: glassq.Token{Queue: "q", Number: 1}},
		{Token: glassq.Token{Queue: "q", Number: 2}, Lease: time.Minute},
		{Token: glassq.Token{Queue: "q", Number: 2}, Seq: 7},
		{Token: glassq.Token{Queue: "q", Number: 2}, Seq: 1, Progress: &glassq.Progress{Done: 0.4, Note: "page \"40\""}},
		{Token: glassq.Token{Queue: "q", Number: 2}, Seq: 2, Progress: &glassq.Progress{Done: 0, Checkpoint: []byte("at ü\n")}},
		{Token: glassq.Token{Queue: "q", Number: 2}, Seq: 2, Progress: &glassq.Progress{Done: -1, Checkpoint: []byte{0, 255}}},
		{Token: glassq.Token{Queue: "q", Number: 2}, Seq: 3, Progress: &glassq.Progress{Done: -1, Checkpoint: []byte{}},
			Put: []glassq.Task{{Queue: "p", Body: []byte("a"), Type: glassq.TypeText},
				{Queue: "p", Body: []byte("{}"), Type: glassq.TypeJSON}}},
	} {
		line := AppendExtend(nil, &want)
		var got glassq.Extend
		if err := ParseExtend(line, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseExtend(%s) = %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, tt := range []struct {
		id   string
		r    glassq.Receipt
		line string
	}{
		{"", glassq.Receipt{Number: 12}, `{"id":"~12"}`},
		{"r/1", glassq.Receipt{Number: 12}, `{"id":"r/1"}`},
		{"x", glassq.Receipt{Duplicate: true}, `{"id":"x","duplicate":true}`},
	} {
		line := AppendReceipt(nil, tt.id, tt.r)
		if string(line) != tt.line {
			t.Errorf("AppendReceipt(%q, %+v) = %s; want %s", tt.id, tt.r, line, tt.line)
		}
	}
	for _, line := range []string{`{"token":"1.q","delay":"x"}`, `{"token":"1.q","dead":1}`, `{}`,
		`{"token":"1.q","x":1}`} {
		var n glassq.Nack
		if err := ParseNack([]byte(line), &n); !errors.Is(err, glassq.ErrBadRequest) {
			t.Errorf("ParseNack(%s) = %v; want bad_request", line, err)
		}
	}
}

func TestParseExtendRefuses(t *testing.T) {
	for _, tt := range []struct{ name, line, err string }{
		{"no token", `{"seq":1}`, "token is needed"},
		{"unknown", `{"token":"7.q","progres":1}`, `no member "progres"`},
		{"unknown null", `{"token":"7.q","progres":null}`, `no member "progres"`},
		{"twice", `{"token":"7.q","seq":1,"seq":1}`, "twice"},
		{"no seq", `{"token":"7.q","progress":0.5}`, "needs seq"},
		{"a put without seq", `{"token":"7.q","put":[{"queue":"p","body":1}]}`, "needs seq"},
		{"seq 0", `{"token":"7.q","seq":0}`, "counts from 1"},
		{"more than all", `{"token":"7.q","seq":1,"progress":1.01}`, "from 0 to 1"},
		{"less than nothing", `{"token":"7.q","seq":1,"progress":-1}`, "from 0 to 1"},
		{"a progress in words", `{"token":"7.q","seq":1,"progress":"half"}`, "from 0 to 1"},
		{"two checkpoints", `{"token":"7.q","seq":1,"checkpoint":"","checkpoint_b64":""}`, "either checkpoint or checkpoint_b64"},
		{"a checkpoint that is no text", `{"token":"7.q","seq":1,"checkpoint":{"page":1}}`, "checkpoint"},
		{"bad base64", `{"token":"7.q","seq":1,"checkpoint_b64":"?"}`, "base64"},
		{"a put of no list", `{"token":"7.q","seq":1,"put":{}}`, "begin with ["},
		{"a bad put", `{"token":"7.q","seq":1,"put":[{"queue":"x"}]}`, "needs a member body"},
		{"not JSON", `{"token":"7.q",}`, "not JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var x glassq.Extend
			err := ParseExtend([]byte(tt.line), &x)
			if !errors.Is(err, glassq.ErrBadRequest) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseExtend(%s) = %v; want %q", tt.line, err, tt.err)
			}
		})
	}
}

// TestSaid: what was said of a task stands in leases and in lists, and is no word of a put.
func TestSaid(t *testing.T) {
	for _, tt := range []struct {
		name string
		said glassq.Progress
		json string
	}{
		{"all", glassq.Progress{Done: 0.4, Note: "page 40", Checkpoint: []byte("at 40"), Size: 5},
			`"said":{"progress":0.4,"note":"page 40","checkpoint":"at 40"}`},
		{"octets", glassq.Progress{Done: 0, Checkpoint: []byte{255, 0}, Size: 2}, `"said":{"progress":0,"checkpoint_b64":"/wA="}`},
		{"left out", glassq.Progress{Done: -1, Size: 70}, `"said":{"checkpoint_bytes":70}`},
		{"nothing yet", glassq.Progress{Done: -1}, `"said":{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			task := glassq.Task{Queue: "q", ID: "i", Body: []byte("x"), Type: glassq.TypeText}
			line := AppendLease(nil, &glassq.Lease{Task: task, Number: 1, Progress: &tt.said})
			var l glassq.Lease
			err := ParseLease(line, &l)
			if err != nil || !strings.Contains(string(line), tt.json) || !reflect.DeepEqual(l.Progress, &tt.said) {
				t.Errorf("ParseLease(%s) = %+v, %v; want %+v", line, l.Progress, err, tt.said)
			}
			line = AppendPeeked(nil, &glassq.Peeked{Task: task, Number: 1, State: glassq.Ready, Progress: &tt.said})
			var p glassq.Peeked
			err = ParsePeeked(line, &p)
			if err != nil || !strings.Contains(string(line), tt.json) || !reflect.DeepEqual(p.Progress, &tt.said) {
				t.Errorf("ParsePeeked(%s) = %+v, %v; want %+v", line, p.Progress, err, tt.said)
			}
		})
	}
	if err := ParseTask([]byte(`{"queue":"q","body":1,"said":{}}`), new(glassq.Task)); err == nil {
		t.Error("a put may say what only a lease says")
	}
	if err := ParseLease([]byte(`{"queue":"q","body":1,"said":7}`), new(glassq.Lease)); err == nil {
		t.Error("a lease says 7")
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
		var task glassq.Task
		if err := ParseTask(in, &task); err != nil {
			if !errors.Is(err, glassq.ErrBadRequest) {
				t.Fatalf("ParseTask(%q): code %s", in, glassq.CodeOf(err))
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
		var again glassq.Task
		if err := ParseTask(line, &again); err != nil || !json.Valid(line) || bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("AppendTask of %q = %q: %v", in, line, err)
		}
		if out := AppendTask(nil, &again); !bytes.Equal(out, line) {
			t.Fatalf("printed %q, then %q", line, out)
		}
		var l glassq.Lease
		ParseLease(in, &l)
	})
}

// FuzzAck checks that no line makes the other parsers panic, and that what they take round-trips.
func FuzzAck(f *testing.F) {
	f.Add([]byte(`{"token":"7.q","result":{"o":{"ok":1}},"put":[{"queue":"p","body":"x"}]}`))
	f.Add([]byte(`{"token":"7.q","delay":"1s","reason":"r","dead":true}`))
	f.Add([]byte(`{"token":"7.q","type":"text/csv","result":"a\nb"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var a, a2 glassq.Ack
		if ParseAck(in, &a) == nil {
			line := AppendAck(nil, &a)
			if err := ParseAck(line, &a2); err != nil || !bytes.Equal(AppendAck(nil, &a2), line) {
				t.Fatalf("ParseAck(%q) printed %q, read again: %v", in, line, err)
			}
		}
		var n, n2 glassq.Nack
		if ParseNack(in, &n) == nil {
			if err := ParseNack(AppendNack(nil, &n), &n2); err != nil || n2 != n {
				t.Fatalf("nack %q = %+v, again %+v, %v", in, n, n2, err)
			}
		}
		var e, e2 glassq.Extend
		if ParseExtend(in, &e) == nil {
			if err := ParseExtend(AppendExtend(nil, &e), &e2); err != nil || !reflect.DeepEqual(e2, e) {
				t.Fatalf("extend %q = %+v, again %+v, %v", in, e, e2, err)
			}
		}
		var p glassq.Peeked
		ParsePeeked(in, &p)
	})
}

func BenchmarkParseTask(b *testing.B) {
	line := []byte(`{"run":"r1","n":123456,"body":"http://localhost:8888/?q=123456"}`)
	var t glassq.Task
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseTask(line, &t); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendTask(b *testing.B) {
	t := glassq.Task{Run: "r1", Position: 123456, Dense: true, Type: glassq.TypeText,
		Body: []byte("http://localhost:8888/?q=123456")}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendTask(dst[:0], &t)
	}
}

func benchLease() *glassq.Lease {
	return &glassq.Lease{
		Task: glassq.Task{Queue: "tasks", Run: "r1", Position: 123456, Dense: true, Type: glassq.TypeText,
			Body: []byte("http://localhost:8888/?q=123456")},
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
	var l glassq.Lease
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseLease(line, &l); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAck(b *testing.B) {
	line := []byte(`{"token":"1099511627776.tasks","result":{"i":"http://localhost:8888/?q=7","o":{"ok":1,"rt":0.012345,"code":200,"n":512,"t":1790000000.123,"lag":0.0004,"w":"host-3172","a":1}}}`)
	var a glassq.Ack
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseAck(line, &a); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPieces: a body that is printed piece by piece is the one that is printed at once.
func TestPieces(t *testing.T) {
	for _, tt := range []struct{ name, body, contentType string }{
		{"text", strings.Repeat("aä\x01\"€\U0001F600", 9), ""},
		{"octets", strings.Repeat("\xff\x00a", 9) + "x", glassq.TypeOctets},
		{"JSON", `{"a":[1,2,"` + strings.Repeat("é", 20) + `"]}`, ""},
		{"JSON with line breaks", "{\"a\":\r\n[1,\n2,\"" + strings.Repeat(`\n`, 20) + "\"]\n}", ""},
		{"nothing", "", ""},
	} {
		for size := 4; size < 12; size++ {
			l := glassq.Lease{Task: glassq.Task{Queue: "q", ID: "a", Body: []byte(tt.body), Type: tt.contentType}, Number: 1}
			out, rest := CutLease(nil, &l)
			for more := true; more; {
				before := len(out)
				if out, more = rest.Append(out, size); len(out)-before > 6*size+4 {
					t.Fatalf("%s: a piece of %d bytes is printed in %d", tt.name, size, len(out)-before)
				}
			}
			var got, want glassq.Lease
			if err := errors.Join(ParseLease(out, &got), ParseLease(AppendLease(nil, &l), &want)); err != nil {
				t.Fatalf("%s: %s: %v", tt.name, out, err)
			}
			same := func(b []byte) string { return strings.NewReplacer("\n", "", "\r", "").Replace(string(b)) }
			if same(got.Body) != same(want.Body) || bytes.ContainsRune(out, '\n') || got.Type != want.Type {
				t.Errorf("%s by %d: %q %q; want %q %q", tt.name, size, got.Body, got.Type, want.Body, want.Type)
			}
		}
	}
}
