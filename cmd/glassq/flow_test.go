package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

// TestPipeline is the example of docs/flow.md: a run after another, with hooks.
func TestPipeline(t *testing.T) {
	f := newTestbed(t, "--errors", "0")
	const n = "20"
	f.do(0, "dispatch", f.url, "-n", n, "--run", "fetch", "--on-failed", "alarms")
	f.do(0, "dispatch", "load {0}", "-n", "10", "--queue", "loads", "--run", "load", "--after", "fetch", "--on-end", "reports",
		"--on-failed", `{"queue":"alarms","priority":9}`)
	out, _ := f.do(0, "explain", "load")
	if !strings.Contains(out, "it waits for the end of run fetch, which has 20 pending") {
		t.Errorf("explain load = %s", out)
	}
	if q := f.queue("loads"); q.Delayed != 10 || q.Ready != 0 {
		t.Errorf("queue loads = %+v; want its tasks delayed", q)
	}
	f.do(0, "work", "http", "--until-done", "fetch", "-c", "4")
	f.do(0, "work", "exec", "--queue", "loads", "--until-done", "load", "--", "true")
	out, _ = f.do(0, "get", "--queue", "reports", "--wait", "30s")
	var end glassq.RunEnd
	if err := json.Unmarshal([]byte(out), &end); err != nil || end.Run != "load" || end.End != 1 || !end.OK ||
		end.Books.OK != 10 {
		t.Errorf("get --queue reports = %q, %v; want the books of load", out, err)
	}
	run, err := f.q.Run(t.Context(), "load")
	if err != nil || run.OnEnd != `{"queue":"reports"}` || run.OnFailed != `{"queue":"alarms","priority":9}` ||
		run.Ends != 1 || run.After != "fetch" {
		t.Errorf("run load = %+v, %v", run, err)
	}

	for _, tt := range []struct {
		name, says string
		args       []string
	}{
		{"a run that never comes", "no run nobody", []string{"--after", "nobody"}},
		{"after nothing", "name it with --after", []string{"--after-any"}},
		{"a bad queue", "--on-end: bad name", []string{"--on-end", "no queue"}},
		{"a hook with a body", "--on-failed: hook: ", []string{"--on-failed", `{"queue":"q","body":"x"}`}},
	} {
		_, said := f.do(2, append([]string{"dispatch", "x{0}", "-n", "1", "--queue", "p", "--retry", "0s"}, tt.args...)...)
		if !strings.Contains(said, tt.says) {
			t.Errorf("%s: %s; want %q in it", tt.name, said, tt.says)
		}
	}
}
