//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTwoMachines runs the commands of docs/two-machines.md, where both machines are this one.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/two-machines.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)<!-- (server|client|python) -->\n```console\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 3 {
		t.Fatalf("the page has %d blocks, want 3", len(blocks))
	}
	dir, door, manager := t.TempDir(), freeAddress(t), freeAddress(t)
	_, port, _ := net.SplitHostPort(door)
	here := strings.NewReplacer("queue.example:5080", "localhost:"+port, "queue.example", "localhost", "0.0.0.0:5080", door,
		"127.0.0.1:5001", freeAddress(t))
	more := []string{"GLASSQ_MANAGER=" + manager, "PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH")}
	env := environment(t, more...)
	said := ""
	for _, b := range blocks {
		for line := range strings.Lines(string(b[2])) {
			line = here.Replace(strings.TrimSpace(line))
			if _, err := exec.LookPath("curl"); err != nil && strings.HasPrefix(line, "curl") {
				continue
			}
			cmd := exec.Command("sh", "-c", strings.TrimSuffix(line, "&"))
			cmd.Dir, cmd.Env = dir, env
			if strings.HasSuffix(line, "&") {
				cmd = exec.Command("sh", "-c", "exec "+strings.TrimSuffix(line, "&"))
				cmd.Dir = dir
				startCommand(t, more, "in back", cmd).addr()
				continue
			}
			out, err := cmd.CombinedOutput()
			t.Logf("$ %s\n%s", line, out)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			said += string(out)
		}
	}
	for _, want := range []string{"app may put on shop.*", "a task", `"name":"shop.mails"`} {
		if !strings.Contains(said, want) {
			t.Errorf("the commands said %q; want %q", said, want)
		}
	}
}
