package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// Commands that a program might read print JSON, a whole value on each line, and nothing else.
func TestJSON(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	data := filepath.Join(f.dir, "d")
	s := start(t, nil, "serve", "--data", data, "--http", "127.0.0.1:0")
	s.addr()
	s.kill()
	for _, tt := range []struct {
		args string
		want []string // members of every line
	}{
		{"version --json", []string{"version", "go", "os", "arch"}},
		{"put --queue hand --json hello", []string{"id", "queue", "duplicate"}},
		{"get --queue hand --json", []string{"body"}},
		{"dispatch U -n 3 --run a --json --quiet", []string{"run", "put", "total", "seconds"}},
		{"work http --until-done a --json --quiet", []string{"done", "ok", "failed", "nacked", "undone", "lost", "seconds"}},
		{"dispatch U -n 3 --run a --json --wait --quiet",
			[]string{"run", "put", "skipped", "ok", "failed", "dead", "pending", "complete"}},
		{"dispatch U -n 3 --run a --json --wait --quiet --out D/a.ndjson", []string{"ok", "missing", "duplicate"}},
		{"runs ls --json", []string{"run", "books"}},
		{"runs show a --json", []string{"run", "books"}},
		{"runs wait a --json", []string{"run", "books"}},
		{"queue ls --json", []string{"name", "ready", "books", "settings"}},
		{"queue show tasks --json", []string{"name", "ready", "books", "settings"}},
		{"queue set tasks --attempts 5 --json", []string{"attempts", "rate", "paused"}},
		{"queue pause tasks --json", []string{"paused"}},
		{"queue resume tasks --json", []string{"paused"}},
		{"queue peek tasks --json", nil},
		{"queue purge tasks --force --json", []string{"queue", "purged"}},
		{"queue redrive tasks --json", []string{"queue", "redriven"}},
		{"runs retry a --json", []string{"run", "put"}},
		{"runs cancel a --json", []string{"run", "cancelled"}},
		{"runs rm a --json", []string{"run", "removed"}},
		{"config work http --json", []string{"name", "value", "from"}},
		{"backup --data D/d D/copy --json", []string{"folder", "files", "tasks", "queues"}},
		{"restore D/copy --data D/again --json", []string{"folder", "files", "tasks", "queues"}},
		{"repair --data D/d --json", []string{"folder", "damaged", "losses", "queues", "again"}},
		{"doctor --data D/d --json", []string{"check", "verdict", "says"}},
	} {
		args := strings.Fields(tt.args)
		for i := range args {
			args[i] = strings.Replace(args[i], "D/", f.dir+"/", 1)
			if args[i] == "U" {
				args[i] = f.url
			}
		}
		out, _ := f.do(0, args...)
		if out == "" && tt.want != nil {
			t.Errorf("glassq %s printed nothing", tt.args)
		}
		for line := range strings.Lines(out) {
			var v map[string]json.RawMessage
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Errorf("glassq %s printed %q: %v", tt.args, line, err)
			}
			for _, name := range tt.want {
				if _, ok := v[name]; !ok {
					t.Errorf("glassq %s printed %q; want the member %s", tt.args, line, name)
				}
			}
		}
	}
}
