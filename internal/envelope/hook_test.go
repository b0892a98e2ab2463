package envelope

import (
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

func TestHook(t *testing.T) {
	tests := []struct {
		name      string
		hook      glassq.Hook
		want, err string // the text in its one form, or what the error says
	}{
		{"a queue", `{"queue":"q"}`, `{"queue":"q"}`, ""},
		{"options in another order", ` {"priority": 9, "delay": "1m", "queue":"q", "headers": {"b":"1","a":"2"}, "run":"s"}`,
			`{"queue":"q","run":"s","delay":60,"priority":9,"headers":{"a":"2","b":"1"}}`, ""},
		{"an unknown member", `{"queue":"q","for":{"x":1}}`, `{"queue":"q","for":{"x":1}}`, ""},
		{"no queue", `{"priority":9}`, "", "it needs a queue"},
		{"a body", `{"queue":"q","body":"x"}`, "", "its id, type and body are given"},
		{"an empty body", `{"queue":"q","b64":""}`, "", "its id, type and body are given"},
		{"an id", `{"queue":"q","id":"x"}`, "", "its id, type and body are given"},
		{"a position", `{"queue":"q","run":"r","n":1}`, "", "its id, type and body are given"},
		{"a word of leases", `{"queue":"q","token":"1.q"}`, "", "belongs to leases"},
		{"no object", `"q"`, "", `hook: it is an object, as in {"queue":"nightly"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var task glassq.Task
			err := ParseHook(tt.hook, &task)
			if tt.err != "" {
				if glassq.CodeOf(err) != glassq.CodeBadRequest || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("ParseHook(%s) = %v; want bad_request with %q", tt.hook, err, tt.err)
				}
				return
			}
			if err != nil || task.Type != glassq.TypeJSON {
				t.Fatalf("ParseHook(%s) = %+v, %v", tt.hook, task, err)
			}
			if got := string(AppendHook(nil, &task)); got != tt.want {
				t.Errorf("AppendHook = %s; want %s", got, tt.want)
			}
		})
	}
}
