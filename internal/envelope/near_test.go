package envelope

import (
	"strings"
	"testing"
)

func TestNear(t *testing.T) {
	tests := []struct{ member, want string }{
		{"prio", "priority"}, {"Priority", "priority"}, {"PRIORITY", "priority"}, {"prioroty", "priority"},
		{"retry", "attempts"}, {"max_attempts", "attempts"}, {"maxRetries", "attempts"}, {"attemps", "attempts"},
		{"timeout", "lease"}, {"Content-Type", "type"}, {"content_type", "type"}, {"expires", "ttl"}, {"TTL", "ttl"},
		{"header", "headers"}, {"results", "result"}, {"task_id", "id"},
		{"delay", ""}, // is the option itself
		{"customer", ""}, {"tag", ""}, {"", ""}, {"x", ""}, {"resolution", ""}, {"token", ""}, {"Token", ""},
		{strings.Repeat("prio", 1000), ""},
	}
	for _, tt := range tests {
		t.Run(tt.member[:min(20, len(tt.member))], func(t *testing.T) {
			if got := Near(tt.member); got != tt.want {
				t.Errorf("Near(%.40q) = %q, want %q", tt.member, got, tt.want)
			}
		})
	}
}

func TestWarning(t *testing.T) {
	tests := []struct{ name, extra, want string }{
		{"none", ``, ""},
		{"own", `{"customer":{"prio":1},"tag":"prio"}`, ""},
		{"near", `{"tag":1,"prio":9}`, `member "prio" means nothing to the queue and is kept as your own; the option is called "priority"`},
		{"escaped", `{"pr\u0069o":9}`, `member "prio" means nothing to the queue and is kept as your own; the option is called "priority"`},
		{"no object", `[1]`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Warning([]byte(tt.extra)); got != tt.want {
				t.Errorf("Warning(%s) = %q, want %q", tt.extra, got, tt.want)
			}
		})
	}
}
