package memcache

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDalli: Ruby's client goes through all verbs by meta commands; one that is too old for them
// and speaks the binary protocol says what is wrong.
func TestDalli(t *testing.T) {
	if exec.Command("ruby", "-e", `require "dalli"`).Run() != nil {
		t.Skip("needs Dalli: install the package ruby-dalli")
	}
	r := openPort(t, setup{MaxBody: 1 << 20})
	out, err := exec.CommandContext(t.Context(), "ruby", "testdata/dalli.rb", r.addr).CombinedOutput()
	said := strings.TrimSpace(string(out))
	t.Log(said)
	if err != nil || !strings.HasSuffix(said, ": ok") && !strings.Contains(said, "Unknown command") {
		t.Fatalf("%v: %s", err, said)
	}
	if !strings.HasSuffix(said, ": ok") {
		t.Skipf("the verbs of meta commands: %s is too old for them; gem install dalli -v '~> 5'", strings.Fields(said)[:2])
	}
}
