package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
)

// pythons are the interpreters found: those of GLASSQ_PYTHONS, of pyenv, and python3 and python2.7.
func pythons(t *testing.T) []string {
	t.Helper()
	found := filepath.SplitList(os.Getenv("GLASSQ_PYTHONS"))
	if home, err := os.UserHomeDir(); err == nil {
		more, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions/*/bin/python"))
		found = append(found, more...)
	}
	for _, name := range []string{"python3", "python2.7"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "").Run() == nil {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		t.Skip("needs python3: install the package python3")
	}
	return found
}

// managerServer starts a server with the manager door, and returns its address and a client.
func managerServer(t *testing.T) (string, *client.Client) {
	t.Helper()
	addr := freeAddress(t)
	c, _ := serveManager(t, addr)
	return addr, c
}

// serveManager starts a server with the manager door at addr, and returns a client and the
// environment in which other programs find the server.
func serveManager(t *testing.T, addr string, more ...string) (*client.Client, []string) {
	t.Helper()
	dir := t.TempDir()
	key := write(t, filepath.Join(dir, "key"), "secret")
	s := start(t, nil, append([]string{"serve", "--data", filepath.Join(dir, "d"), "--sync", "interval", "--http",
		"127.0.0.1:0",
		"--memcached", "off", "--manager", addr, "--key-file", key}, more...)...)
	url := "http://" + s.addr()
	c, err := client.New(url, client.Options{Key: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	return c, []string{"GLASSQ_SERVER=" + url, "GLASSQ_KEY_FILE=" + key}
}

// settled waits until a queue is as ok says.
func settled(t *testing.T, c *client.Client, queue string, ok func(glassq.QueueInfo) bool) {
	t.Helper()
	for {
		q, err := c.Queues(t.Context(), queue)
		switch {
		case errors.Is(err, glassq.ErrNotFound): // not yet
		case err != nil:
			t.Fatalf("queue %s: %v", queue, err)
		case ok(q[0]):
			return
		}
	}
}

func python(t *testing.T, path, addr string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), tooLong)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "MANAGER="+addr, "MANAGER_KEY=secret", "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

func mustPython(t *testing.T, path, addr string, args ...string) string {
	t.Helper()
	out, err := python(t, path, addr, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", path, args, err, out)
	}
	return string(out)
}

// TestManagerSurface: every Python found sees the same queues, values and exceptions.
func TestManagerSurface(t *testing.T) {
	addr, _ := managerServer(t)
	_, port, _ := net.SplitHostPort(addr)
	for _, path := range pythons(t) {
		t.Log(strings.TrimSpace(mustPython(t, path, addr, "testdata/manager_surface.py", port)))
	}
}

// TestManagerExamples: the example programs print the same with a manager of Python's own and with
// ours, and ours has it in the books.
func TestManagerExamples(t *testing.T) {
	const dir = "../../examples/python-manager/"
	session := func(path, addr string) string {
		mustPython(t, path, addr, dir+"dispatcher.py", "50")
		mustPython(t, path, addr, dir+"worker.py")
		return mustPython(t, path, addr, dir+"output.py", "50")
	}
	ours, c := managerServer(t)
	all := pythons(t)
	for _, path := range all {
		native := freeAddress(t)
		server := python(t, path, native, dir+"server.py")
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		for up := false; !up; {
			nc, err := net.Dial("tcp", native)
			if up = err == nil; up {
				nc.Close()
			} else if t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
		want := session(path, native)
		server.Process.Kill()
		server.Wait()
		if got := session(path, ours); got != want || !strings.Contains(got, "ok 50") {
			t.Errorf("%s: with ours:\n%s\nwith Python's own:\n%s", path, got, want)
		}
	}
	q, err := c.Queues(t.Context(), "tasks")
	if n := uint64(50 * len(all)); err != nil || q[0].Books != (glassq.Books{Put: n, OK: n}) {
		t.Errorf("books = %+v, %v; want put and ok %d", q, err, n)
	}
}

// TestManagerKilled: what a killed program had taken and not confirmed, or waited for, is there for
// the next.
func TestManagerKilled(t *testing.T) {
	addr, c := managerServer(t)
	for _, path := range pythons(t) {
		cmd := python(t, path, addr, "-c", "import sys; sys.path.insert(0, '../../examples/python-manager')\n"+
			"from manager import connect\nt, r = connect()\nt.put('x')\nprint(t.get()); sys.stdout.flush()\nimport time; time.sleep(1000)")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "x" {
			t.Fatalf("%s printed %q, %v; want x", path, line, err)
		}
		cmd.Process.Kill()
		cmd.Wait()
		got, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "tasks", Wait: tooLong})
		if err != nil || len(got) != 1 || string(got[0].Body) != "x" || got[0].Attempt != 2 {
			t.Fatalf("%s: after the kill: %+v, %v; want x at attempt 2", path, got, err)
		}
		if errs, err := c.Ack(t.Context(), []glassq.Ack{{Token: got[0].Token()}}); err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
	}
}
