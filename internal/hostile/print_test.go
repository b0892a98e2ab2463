package hostile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

// evil is what a task, a worker or a reason may say: it clears a screen, sets a title in three
// ways, forges a line, and would be calculated or run where it is taken for more than text.
const evil = "=cmd|'/C calc'!A0\x1b[2J\x1b]0;title\x07\u009b31m\x7f\b\u202e\r\nFORGED ok $(touch PWNED) `touch PWNED` ;touch PWNED <script>alert(1)</script>"

// TestPrinted: nothing that came from elsewhere does anything to a terminal, a table, a log, a page
// or a shell, wherever it is printed.
func TestPrinted(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()
	remote := []string{"--server", "http://" + s.http, "--key-file", s.keys}
	glassqd := func(want int, args ...string) string {
		t.Helper()
		at := 2 // before what may be a command of its own
		if args[0] == "explain" || args[0] == "top" || args[0] == "output" {
			at = 1
		}
		out, errs, code := invoke(t, slices.Insert(args, at, remote...)...)
		if code != want {
			t.Errorf("glassq %q = %d, %q, %q; want %d", args, code, out, errs, want)
		}
		return out + errs
	}
	tasks := []glassq.Task{
		{Queue: "evil", ID: "a" + evil, Body: []byte(evil), Type: glassq.TypeText, Run: "evil-run"},
		{Queue: "evil", ID: "b" + evil, Body: []byte(evil), Type: glassq.TypeText, Run: "evil-run", Attempts: 1},
		{Queue: "exec", ID: "c" + evil, Body: []byte(evil), Type: glassq.TypeText, Run: "exec-run", ResultQueue: "results.exec-run"},
		{Queue: "shell", ID: "d" + evil, Body: []byte(evil), Type: glassq.TypeText, Run: "shell-run", ResultQueue: "results.shell-run"},
	}
	if _, err := s.admin.Put(ctx, tasks); err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{"exec-run", "shell-run"} {
		if status, answer := s.ask("POST", "/v1/runs/"+run, "Bearer "+theKey, `{"sealed":true,"total":1}`); status != 200 {
			t.Fatalf("seal = %d %s", status, answer)
		}
	}
	// One is leased by a worker with such a name, one is dead for such a reason.
	if status, answer := s.ask("POST", "/v1/queues/evil/reserve?max=1&lease=12h", "Bearer "+theKey, "", "Glassq-Worker",
		strings.NewReplacer("\r", "", "\n", "", "\x00", "", "\x1b", "", "\x07", "", "\b", "", "\x7f", "").Replace(evil)); status != 200 {
		t.Fatalf("reserve = %d %s", status, answer)
	}
	l, err := s.admin.Reserve(ctx, glassq.Reserve{Queue: "evil"})
	if err != nil || len(l) != 1 {
		t.Fatal(l, err)
	}
	errs, err := s.admin.Nack(ctx, []glassq.Nack{{Token: l[0].Token(), Reason: evil, Dead: true}})
	if err != nil || errs[0] != nil {
		t.Fatal(errs, err)
	}

	dir := t.TempDir()
	joblog, page, results := filepath.Join(dir, "joblog"), filepath.Join(dir, "report.html"), filepath.Join(dir, "results.csv")
	shown := map[string]string{
		"queue ls":            glassqd(0, "queue", "ls"),
		"queue show":          glassqd(0, "queue", "show", "evil"),
		"queue peek":          glassqd(0, "queue", "peek", "shell"),
		"queue peek, dead":    glassqd(0, "queue", "peek", "evil", "--state", "dead"),
		"runs ls":             glassqd(0, "runs", "ls"),
		"runs show":           glassqd(0, "runs", "show", "evil-run"),
		"explain a queue":     glassqd(0, "explain", "evil"),
		"explain a task":      glassqd(0, "explain", "b"+evil, "--queue", "evil"),
		"explain a lease":     glassqd(0, "explain", l[0].Token().String()),
		"a name that is none": glassqd(2, "queue", "show", evil),
		"top":                 glassqd(0, "top", "--once", "--every", "100ms"),
	}
	shown["work exec"] = glassqd(0, "work", "exec", "--queue", "exec", "--until-done", "exec-run", "--tag", "--joblog", joblog, "--",
		"printf", "%s", "{}")
	shown["work exec, a shell"] = glassqd(0, "work", "exec", "--queue", "shell", "--until-done", "shell-run", "--shell", "echo {}")
	shown["output"] = glassqd(0, "output", "--run", "exec-run", "--results", "results.exec-run")
	shown["output to a file"] = glassqd(0, "output", "--run", "shell-run", "--results", "results.shell-run", "--format", "csv", "--out", results, "--report", page)
	for name, file := range map[string]string{"the joblog": joblog, "the report": page, "the CSV": results} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		shown[name] = string(b)
	}
	for name, text := range shown {
		cases.Add(1)
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if name == "work exec" { // what the command printed itself, behind the tab, is data to a pipe
				line, _, _ = strings.Cut(line, "\t")
			}
			for _, r := range line {
				if plain.Unprintable(r) && r != '\t' {
					t.Errorf("%s prints %q", name, line)
					break
				}
			}
			if strings.HasPrefix(line, "FORGED") {
				t.Errorf("%s prints a line of somebody else's: %q", name, line)
			}
			if strings.Contains(line, "<script>alert(1)") && name == "the report" {
				t.Errorf("%s has %q", name, line)
			}
			if name == "the CSV" && strings.Contains(","+strings.ReplaceAll(line, `"`, ""), ",=cmd") {
				t.Errorf("a cell is calculated: %q", line)
			}
		}
	}
	if _, err := os.Stat("PWNED"); err == nil {
		os.Remove("PWNED")
		t.Error("a task ran in a shell")
	}
}
