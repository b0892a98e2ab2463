package broker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/jsonline"
	"github.com/glassq/glassq/result"
)

// TestOneForm: every printer, and the check of schemas, gives a body the same form: leases and puts
// in envelopes, the input in a result record, the result in an ack.
func TestOneForm(t *testing.T) {
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	tests := []struct {
		name, body, typ string
		want            string // text, json or octets
	}{
		{"space before the semicolon", `{"a":1}`, "application/json ; charset=utf-8", "json"},
		{"upper case", `{"a":1}`, "Application/Problem+JSON", "json"},
		{"leading space", ` {"a":1}`, "", "json"},
		{"600 arrays", deep, glassq.TypeJSON, "json"},
		{"600 arrays, no type", deep, "", "json"},
		{"beyond the depth", strings.Repeat("[", 9_901) + strings.Repeat("]", 9_901), glassq.TypeJSON, "text"},
		{"no JSON", `{"a":`, glassq.TypeJSON, "text"},
		{"not UTF-8", "{\"a\":\"\xff\"}", glassq.TypeJSON, "octets"},
		{"not UTF-8, no type", "{\"a\":\"\xff\"}", "", "octets"},
		{"half a surrogate pair", `{"a":"\ud800"}`, glassq.TypeJSON, "json"},
		{"half a surrogate pair in a name", `{"\ud800":1}`, glassq.TypeJSON, "json"},
		{"a name twice", `{"a":1,"a":2}`, glassq.TypeJSON, "json"},
		{"a number beyond float64", `[1e999]`, glassq.TypeJSON, "json"},
		{"byte order mark", "\ufeff{}", "", "text"},
		{"line separator", "[\"\u2028\"]", glassq.TypeJSON, "json"},
		{"line breaks", "{\"a\":\r\n[1,\n2]}\n", glassq.TypeJSON, "json"},
		{"number, no type", "123", "", "text"},
		{"octets that look like JSON", "{}", glassq.TypeOctets, "octets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			task := glassq.Task{Queue: "q", ID: "a\x7f", Body: []byte(tt.body), Type: tt.typ}
			lines := map[string][2]string{ // by printer: the line, and the member that is not in base64
				"put":    {string(envelope.AppendTask(nil, &task)), "body"},
				"lease":  {string(envelope.AppendLease(nil, &glassq.Lease{Task: task, Number: 1})), "body"},
				"peeked": {string(envelope.AppendPeeked(nil, &glassq.Peeked{Task: task})), "body"},
				"ack": {string(envelope.AppendAck(nil, &glassq.Ack{Token: glassq.Token{Queue: "q", Number: 1},
					Result: &task})), "result"},
				"record": {string(result.Append(nil, task.Body, task.Type, &result.Record{OK: true})), "i"},
			}
			for printer, line := range lines {
				if got := formIn(t, line[0], line[1]); got != tt.want {
					t.Errorf("%s shows %.40q of type %q as %s, want %s: %.200s", printer, tt.body, tt.typ, got, tt.want, line[0])
				}
				if strings.ContainsAny(line[0], "\r\n") {
					t.Errorf("%s of %q is not one line: %q", printer, tt.body, line[0])
				}
			}
			checked := "octets"
			err := agrees(&task, func(b []byte) error {
				if checked = "text"; b[0] != '"' {
					checked = "json"
				}
				return nil
			}, "the body", "q")
			if checked != tt.want || (err != nil) != (tt.want == "octets") {
				t.Errorf("a schema sees %.40q of type %q as %s (%v), want %s", tt.body, tt.typ, checked, err, tt.want)
			}
			var again glassq.Task
			if err := envelope.ParseTask([]byte(lines["put"][0]), &again); err != nil || again.ID != task.ID {
				t.Errorf("the put of %.40q is read as %+v, %v", tt.body, again.ID, err)
			}
			if form := jsonline.FormOf(again.Body, again.Type); form != jsonline.FormOf(task.Body, task.Type) {
				t.Errorf("the put of %.40q has form %d when it is read again", tt.body, form)
			}
		})
	}
}

// formIn tells which form a line has for the body in member.
func formIn(t *testing.T, line, member string) string {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &all); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if inner, ok := all["task"]; ok {
		return formIn(t, string(inner), member)
	}
	switch v := all[member]; {
	case all["b64"] != nil:
		return "octets"
	case v != nil && v[0] == '"':
		return "text"
	case v != nil:
		return "json"
	}
	return "nothing"
}

// TestOneString: a string is written in the same way wherever it stands.
func TestOneString(t *testing.T) {
	const odd = "a\x7f\u2028\x00\"é<"
	want := string(jsonline.AppendString(nil, odd))
	for printer, line := range map[string]string{
		"put":    string(envelope.AppendTask(nil, &glassq.Task{ID: odd})),
		"record": string(result.Append(nil, []byte(odd), glassq.TypeText, &result.Record{Worker: odd})),
		"nack":   string(envelope.AppendNack(nil, &glassq.Nack{Reason: odd})),
		"peeked": string(envelope.AppendPeeked(nil, &glassq.Peeked{Reason: odd})),
	} {
		if !strings.Contains(line, want) {
			t.Errorf("%s writes %q as %s, want %s", printer, odd, line, want)
		}
	}
}
