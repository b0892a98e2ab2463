package jsonline

import "testing"

func TestKeySource(t *testing.T) {
	for _, tt := range []struct{ name, source, body, want string }{
		{"a URL", "host", "http://a.example:81/x", "a.example:81"},
		{"a URL in an object", "host", `{"q":[1],"url":"http://b.example/"}`, "b.example"},
		{"no URL", "host", "7", ""},
		{"a string", "{tenant}", ` {"tenant":"gold \"7\""}`, `gold "7"`},
		{"a number", "{tenant}", `{"a":{"tenant":"x"},"tenant":42}`, "42"},
		{"a list", "{tenant}", `{"tenant":["x"]}`, ""},
		{"no such member", "{tenant}", `{"name":"x"}`, ""},
		{"text", "{tenant}", "tenant", ""},
		{"broken", "{tenant}", `{"tenant":"x"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := ParseKeySource(tt.source)
			if err != nil || k.Of([]byte(tt.body)) != tt.want {
				t.Errorf("key of %s = %q, %v; want %q", tt.body, k.Of([]byte(tt.body)), err, tt.want)
			}
		})
	}
	for _, bad := range []string{"", "tenant", "{}", "{a", "{a}b", "{a}}", "a{b}"} {
		if k, err := ParseKeySource(bad); err == nil {
			t.Errorf("ParseKeySource(%q) = %q; want an error", bad, k)
		}
	}
}
