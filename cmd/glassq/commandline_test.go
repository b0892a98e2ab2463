package main

import (
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"plain", []string{"run", "http://h/?q={0}", "-n", "10"}, `glassq run 'http://h/?q={0}' -n 10`},
		{"quotes", []string{"run", "it's", ""}, `glassq run 'it'\''s' ''`},
		{"a secret header", []string{"run", "-H", "Authorization: Bearer x", "--header=X-Key: x", "-HCookie: x"},
			`glassq run -H 'Authorization: …' '--header=X-Key: …' '-HCookie: …'`},
		{"an open header", []string{"run", "-H", "Content-Type: text/plain"}, `glassq run -H 'Content-Type: text/plain'`},
		{"a password in a URL", []string{"run", "https://u:secret@h/", "--proxy=http://u:p@q:1"},
			"glassq run https://…@h/ --proxy=http://…@q:1"},
		{"long", []string{strings.Repeat("a", 300)}, "glassq " + strings.Repeat("a", 200) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := commandLine(tt.args); got != tt.want {
				t.Errorf("commandLine(%q) = %s, want %s", tt.args, got, tt.want)
			}
		})
	}
}
