package main

import (
	"strings"
	"testing"
)

// TestExplain asks a server why a queue, a run and tasks are as they are, by the names that they
// have elsewhere.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--memcached", "off", "--manager", "off")
	env := []string{"GLASSQ_SERVER=http://" + s.addr()}
	for _, args := range [][]string{{"put", "one"}, {"dispatch", "x{0}", "-n", "2", "--queue", "jobs", "--run", "r1"},
		{"dispatch", "y{0}", "-n", "2", "--queue", "later", "--run", "r2", "--after", "r1"}, {"queue", "pause", "jobs"},
		{"dispatch", "z{0}", "-n", "3", "--queue", "more", "--run", "tasks"}} {
		if out, errs, code := invoke(t, "", env, args...); code != 0 {
			t.Fatalf("%v: exit %d: %s%s", args, code, out, errs)
		}
	}
	tests := []struct {
		name  string
		args  []string
		code  int
		parts []string
	}{
		{"queue", []string{"tasks"}, 0, []string{"queue tasks: 1 pending: 1 ready and nobody asks", "no_worker: glassq work"}},
		{"queue and run", []string{"tasks"}, 0, []string{"queue tasks: 1 pending", "run tasks: put 3 = "}},
		{"run", []string{"r1"}, 0, []string{"run r1: put 2 = ok 0 + failed 0 + dead 0 + pending 2: it is paused"}},
		{"run that waits", []string{"r2"}, 0, []string{"it waits for the end of run r1, which has 2 pending", "after: glassq explain r1\n"}},
		{"queue of a run that waits", []string{"later"}, 0, []string{"2 delayed; run r2 waits for the end of run r1", "after: glassq explain r1\n"}},
		{"position", []string{"r1/1"}, 0, []string{"It is pending", "glassq queue peek jobs"}},
		{"id", []string{"~1", "--queue", "tasks"}, 0, []string{"It is ready"}},
		{"token", []string{"7.tasks"}, 0, []string{"No such task"}},
		{"json", []string{"jobs", "--json"}, 0, []string{`"cause":"paused"`, `"do":"glassq queue resume jobs"`}},
		{"nothing of that name", []string{"nowhere"}, exitUnexpected, []string{"there is no queue and no run nowhere"}},
		{"no name", []string{"a b"}, exitUsage, []string{"with --queue by its id"}},
	}
	for _, tt := range tests {
		out, errs, code := invoke(t, "", env, append([]string{"explain"}, tt.args...)...)
		if code != tt.code {
			t.Errorf("%s: exit %d, want %d: %s%s", tt.name, code, tt.code, out, errs)
		}
		for _, part := range tt.parts {
			if !strings.Contains(out+errs, part) {
				t.Errorf("%s: no %q in %s%s", tt.name, part, out, errs)
			}
		}
	}
}
