//go:build unix

package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

var pyKills = flag.Int("py.kills", 8, "times that TestPyKilled kills the server")

// newPythons are those that glassq py takes.
func newPythons(t *testing.T) (found []string) {
	t.Helper()
	for _, path := range pythons(t) {
		if exec.Command(path, "-c", "import sys; sys.exit(sys.version_info < (3, 6))").Run() == nil {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		t.Skip("needs python3 of 3.6 or newer: install the package python3")
	}
	return found
}

// A classroom is a folder in which scripts run under glassq py, and the port of their manager.
type classroom struct {
	t           *testing.T
	state, port string
}

// room ends the server that scripts have started, whoever did, with the test.
func room(t *testing.T) *classroom {
	t.Helper()
	_, port, _ := net.SplitHostPort(freeAddress(t))
	c := &classroom{t, t.TempDir(), port}
	t.Cleanup(func() { c.kill(0) })
	return c
}

func (c *classroom) args(python string, script ...string) []string {
	return append([]string{"py", "--python", python, "--http", "127.0.0.1:0", "testdata/py/" + script[0], c.port}, script[1:]...)
}

func (c *classroom) env() []string {
	return []string{"XDG_STATE_HOME=" + c.state, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"}
}

func (c *classroom) start(python string, script ...string) *process {
	return start(c.t, c.env(), c.args(python, script...)...)
}

// kill ends the server with SIGKILL unless it is the process last, and returns its process.
func (c *classroom) kill(last int) int {
	text, err := os.ReadFile(filepath.Join(c.state, "glassq", "py", c.port, "pid"))
	if err != nil {
		return last // none was started
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		c.t.Fatal(err)
	}
	if pid != last {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return pid
}

// TestPy: the tutorial's master and worker run as they are, in every Python found.
func TestPy(t *testing.T) {
	t.Parallel()
	for _, python := range newPythons(t) {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(python))), func(t *testing.T) {
			c := room(t)
			worker := c.start(python, "task_worker.py", "0", "3") // it waits for the server
			master := c.start(python, "task_master.py", "10")
			var got []string
			for line := range master.lines {
				got = append(got, line)
			}
			var want []string
			for n := range 10 {
				want = append(want, fmt.Sprintf("Put task %d...", n))
			}
			want = append(want, "Try get results...")
			for n := range 10 {
				want = append(want, fmt.Sprintf("Result: %d * %d = %d", n, n, n*n))
			}
			want = append(want, "master exit.")
			if code := master.ends(); code != 0 || strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("master: exit %d, %q; want %q", code, got, want)
			}
			if !strings.Contains(master.said(), "glassq py --insecure manager opens it") {
				t.Errorf("the master said %q; want that other machines are not let in", master.said())
			}
			if code := worker.ends(); code != 0 {
				t.Errorf("worker: exit %d", code)
			}
			// The server goes on, and so the next master finds it.
			master = c.start(python, "task_master.py", "0")
			if code := master.ends(); code != 0 || !strings.Contains(master.said(), "uses the server that listens at 127.0.0.1:"+c.port) {
				t.Errorf("the next master: exit %d; it said %q", code, master.said())
			}
		})
	}
}

// TestPyOthers: managers of other kinds are Python's own; what is half of each is refused.
func TestPyOthers(t *testing.T) {
	t.Parallel()
	all := newPythons(t)
	for _, python := range []string{all[0], all[len(all)-1]} {
		c := room(t)
		out, errs, code := invoke(t, "", c.env(), c.args(python, "others.py")...)
		want := "[7]\n1\n5\nglassq py: get_config is registered beside queues, and its name is no get_<x>_queue\n"
		if out != want || code != 0 {
			t.Errorf("%s: exit %d, %q; want %q\n%s", python, code, out, want, errs)
		}
	}
}

// TestPyServes: a program that serves and does nothing else has its server started again, and ends
// by Ctrl-C.
func TestPyServes(t *testing.T) {
	t.Parallel()
	python := newPythons(t)[0]
	c := room(t)
	p := c.start(python, "server_only.py")
	if line := <-p.lines; line != "serves" {
		t.Fatalf("it printed %q", line)
	}
	client := "from multiprocessing.managers import BaseManager\nimport sys\nBaseManager.register('get_job_queue')\n" +
		"m = BaseManager(('127.0.0.1', " + c.port + "), b'abc')\nm.connect()\nq = m.get_job_queue()\nexec(sys.argv[1])"
	last := 0
	for _, do := range []string{"q.put('kept')", "print(q.get(timeout=10)); q.task_done()"} {
		out, errs, code := invoke(t, "", c.env(), "py", "--python", python, "--", "-c", client, do)
		if code != 0 || strings.HasPrefix(do, "print") && out != "kept\n" {
			t.Fatalf("%s: exit %d, %q\n%s", do, code, out, errs)
		}
		last = c.kill(last)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.ends(); code != 0 {
		t.Errorf("after Ctrl-C: exit %d", code)
	}
}

// TestPyChained: a sitecustomize that the machine has runs, too.
func TestPyChained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sitecustomize.py"), "import os\nos.environ['SITE'] = 'mine'\n")
	c := room(t)
	for _, python := range newPythons(t) {
		out, errs, code := invoke(t, "", append(c.env(), "PYTHONPATH="+dir), "py", "--python", python, "--", "-c",
			"import os, sys; print(os.environ['SITE'], sys.modules['sitecustomize'].__file__.startswith(sys.argv[1]))", dir)
		if out != "mine True\n" || code != 0 {
			t.Errorf("%s: exit %d, %q, %s; want its own sitecustomize", python, code, out, errs)
		}
	}
}

// TestPyRefuses: what cannot work is refused with a sentence.
func TestPyRefuses(t *testing.T) {
	t.Parallel()
	c := room(t)
	for _, tt := range []struct {
		name, stdin string
		args        []string
		code        int
		says        string
	}{
		{"no script", "", []string{"py"}, exitUsage, "SCRIPT is missing"},
		{"no such Python", "", []string{"py", "--python", "/none/python", "x.py"}, exitUsage, "--python"},
		{"another door", "", []string{"py", "--insecure", "http", "x.py"}, exitUsage, "write --insecure manager"},
		{"a bad queue", "", []string{"py", "--manager-queue", "a=b c", "x.py"}, exitUsage, "the name of a queue"},
		{"less than no time", "", []string{"py", "--retry", "-1s", "x.py"}, exitUsage, "negative"},
		{"an empty key", "", []string{"py", "--server-for", "127.0.0.1:" + c.port}, exitUsage, "authkey is empty"},
		{"a key with a line feed", "abc\n", []string{"py", "--server-for", "127.0.0.1:" + c.port}, exitUsage, "line feed"},
		{"no address", "abc", []string{"py", "--server-for", "here"}, exitUsage, "not an address"},
		{"an address of others", "abc", []string{"py", "--server-for", "192.0.2.1:" + c.port}, exitUnexpected, "--insecure manager"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, errs, code := invoke(t, tt.stdin, c.env(), tt.args...)
			if code != tt.code || !strings.Contains(errs, tt.says) {
				t.Errorf("exit %d, %q; want %d and %q", code, errs, tt.code, tt.says)
			}
		})
	}
	for _, python := range pythons(t) {
		if strings.Contains(python, "2.7") {
			_, errs, code := invoke(t, "", c.env(), "py", "--python", python, "--", "-c", "print(1)")
			if code != exitUsage || !strings.Contains(errs, "too old") {
				t.Errorf("%s: exit %d, %q; want that it is too old", python, code, errs)
			}
		}
	}
}

// TestPyKilled: the server is killed again and again under a master and three workers; each of them
// goes on, no result is lost, and there are no more twice than tasks were in flight.
func TestPyKilled(t *testing.T) {
	t.Parallel()
	all := newPythons(t)
	const perKill, workers = 10, 3
	tasks := max(60, *pyKills*perKill)
	c := room(t)
	var team []*process
	for i := range workers {
		team = append(team, c.start(all[i%len(all)], "task_worker.py", "0.01", "30"))
	}
	master := c.start(all[len(all)-1], "task_master.py", strconv.Itoa(tasks))
	for _, w := range team {
		go w.wait() // reads what it prints
	}
	seen := map[string]int{}
	lines, kills, last := 0, 0, 0
	for line := range master.lines {
		if r, ok := strings.CutPrefix(line, "Result: "); ok {
			seen[r]++
		}
		if lines++; kills < *pyKills && lines > (kills+1)*2*tasks/(*pyKills+1) {
			if pid := c.kill(last); pid != last {
				last = pid
				kills++
			}
		}
	}
	if code := master.ends(); code != 0 {
		t.Errorf("master: exit %d", code)
	}
	for _, w := range team {
		if code := w.ends(); code != 0 {
			t.Errorf("worker: exit %d", code)
		}
	}
	// The master takes as many results as it put tasks; what else there is lies in the queue.
	rest, errs, code := invoke(t, "", c.env(), "py", "--python", all[0], "--", "-c", "import queue\nfrom multiprocessing.managers import BaseManager\n"+
		"BaseManager.register('get_result_queue')\nm = BaseManager(('127.0.0.1', "+c.port+"), b'abc')\nm.connect()\nq = m.get_result_queue()\n"+
		"try:\n    while True: print(q.get_nowait())\nexcept queue.Empty: pass")
	if code != 0 {
		t.Errorf("the rest: exit %d\n%s", code, errs)
	}
	for r := range strings.Lines(rest) {
		seen[strings.TrimSpace(r)]++
	}
	lost, twice := 0, 0
	for n := range tasks {
		switch times := seen[fmt.Sprintf("%d * %d = %d", n, n, n*n)]; {
		case times == 0:
			lost++
		default:
			twice += times - 1
		}
	}
	t.Logf("%d kills, %d tasks: lost %d, twice %d", kills, tasks, lost, twice)
	if kills < *pyKills {
		t.Errorf("%d kills; want %d", kills, *pyKills)
	}
	if lost > 0 || twice > kills*workers {
		t.Errorf("lost %d, twice %d; want none lost, and at most %d twice", lost, twice, kills*workers)
	}
}
