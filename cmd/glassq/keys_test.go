package main

import (
	"strings"
	"testing"
)

// TestKeysByHand: keys of tasks that are put by hand, as keys shows them.
func TestKeysByHand(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0", "--memcached", "off", "--manager", "off")
	for _, tt := range []struct {
		args string
		code int
		has  string // on either output
	}{
		{"queue set q --fair --key-concurrency 1", 0, "fair"},
		{"put q one --key a --cost 3", 0, ""},
		{"put q two --key a", 0, ""},
		{"put q three --key " + strings.Repeat("k", 129), 2, "key"},
		{"queue peek q --json", 0, `"cost":3`},
		{"get q", 0, "one"},
		{"keys q", 0, "a"},
		{"queue set h --halt failed>0%of1 --halt-per key --resume 1m", 0, "halt failed>0%of1 per key, resume 1m0s"},
		{"queue set h --halt-per host", 2, "neither queue nor key"},
		{"keys h --release a", 1, "neither holds nor halts"},
	} {
		out, errs, code := invoke(t, "", nil, append(strings.Fields(tt.args), "--server", "http://"+s.addr())...)
		if code != tt.code || !strings.Contains(out+errs, tt.has) {
			t.Errorf("glassq %s: exit %d, %q, %q; want %d and %q", tt.args, code, out, errs, tt.code, tt.has)
		}
	}
}
