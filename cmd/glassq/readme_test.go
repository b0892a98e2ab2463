package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestReadme runs the lines of the README's tour, on free ports and in a folder of their own; what is
// started with & is stopped at the end.
func TestReadme(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the tour is for a POSIX shell")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)<!-- tour[^>]*-->\n```sh\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 3 {
		t.Fatalf("README.md has %d tour blocks, want 3", len(blocks))
	}
	dir := t.TempDir()
	ports := strings.NewReplacer("127.0.0.1:8888", freeAddress(t), "127.0.0.1:5080", freeAddress(t),
		"go build -o bin/glassq", "go build -C "+root+" -o "+dir+"/bin/glassq")
	server := ports.Replace("http://127.0.0.1:5080")
	env := append(os.Environ(), "GLASSQ_SERVER="+server, "GLASSQ_HTTP="+strings.TrimPrefix(server, "http://"),
		"GLASSQ_MEMCACHED=off", "XDG_STATE_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	for _, b := range blocks {
		for line := range strings.Lines(string(b[1])) {
			line = ports.Replace(strings.TrimSpace(line))
			if strings.HasPrefix(line, "curl ") {
				if _, err := exec.LookPath("curl"); err != nil {
					t.Logf("left out, there is no curl: %s", line)
					continue
				}
			}
			back := strings.HasSuffix(line, "&")
			cmd := exec.Command("sh", "-c", "exec "+strings.TrimSuffix(line, "&"))
			cmd.Dir, cmd.Env = dir, env
			if back {
				startInBack(t, cmd, line)
				continue
			}
			out, err := cmd.CombinedOutput()
			t.Logf("$ %s\n%s", line, out)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if strings.Contains(line, " run ") && !strings.Contains(string(out), "ok 10,000 + failed 0") {
				t.Errorf("%s: the books are not those of 10,000 good requests", line)
			}
			if strings.Contains(line, "/reserve") && !strings.Contains(string(out), `"hello"`) {
				t.Errorf("%s: the task put by curl did not come", line)
			}
		}
	}
	lines, err := os.ReadFile(filepath.Join(dir, "r1.ndjson"))
	if err != nil || strings.Count(string(lines), "\n") != 10000 {
		t.Errorf("r1.ndjson has %d lines, %v; want 10,000", strings.Count(string(lines), "\n"), err)
	}
}

// startInBack starts cmd, waits for its line that says where it listens if it is one that listens, and
// stops it at the end of the test.
func startInBack(t *testing.T, cmd *exec.Cmd, line string) {
	t.Helper()
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, drained := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drained)
		said := false
		in := bufio.NewScanner(pipe)
		for in.Scan() {
			if !said && strings.Contains(in.Text(), "http on ") {
				said = true
				close(ready)
			}
		}
		if !said {
			close(ready)
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		<-drained
		if err := cmd.Wait(); err != nil && !strings.Contains(line, " work ") {
			t.Errorf("%s ended with %v", line, err)
		}
	})
	if strings.Contains(line, " serve ") || strings.Contains(line, " target ") {
		<-ready
	}
}
