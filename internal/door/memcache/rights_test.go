package memcache

import (
	"strings"
	"testing"

	"github.com/glassq/glassq/internal/rights"
)

// TestVerbsHaveRows: each verb that does something is in the table of rights, by a word that means
// it.
func TestVerbsHaveRows(t *testing.T) {
	rows := map[verb]bool{}
	for i := range rights.Rules {
		for _, form := range rights.Rules[i].Memcached {
			var c command
			word, _, _ := strings.Cut(form, " ")
			line := word + " q 0 0 0"
			if strings.HasPrefix(form, "m") {
				line = form
			}
			parseCommand([]byte(line), &c)
			if c.verb == verbNone {
				t.Errorf("%s is no command", form)
			}
			rows[c.verb] = true
		}
	}
	for v := verbSet; v <= verbMeta; v++ {
		refused := v == verbChange || v == verbCount // whatever the rights are
		if !rows[v] && !refused {
			t.Errorf("verb %d has no row in internal/rights", v)
		}
	}
}
