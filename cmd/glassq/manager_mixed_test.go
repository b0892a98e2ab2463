package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

// mixedTasks is how many tasks a mixed run has; all of them in the tests that decide.
func mixedTasks() int {
	if os.Getenv("CI") != "" {
		return 20_000
	}
	return 2_000
}

// TestManagerPythonGoPython: a dispatcher in Python, HTTP workers in Go, an output in Python, each
// a process.
func TestManagerPythonGoPython(t *testing.T) {
	t.Parallel()
	const dir = "../../examples/python-manager/"
	all := pythons(t)
	n := mixedTasks()
	addr := freeAddress(t)
	c, env := serveManager(t, addr)
	target := start(t, nil, "target", "--listen", "127.0.0.1:0")
	for range 2 {
		start(t, env, "work", "http", "-c", "16")
	}
	output := python(t, all[len(all)-1], addr, dir+"output.py", strconv.Itoa(n))
	var printed strings.Builder
	output.Stdout, output.Stderr = &printed, &printed
	if err := output.Start(); err != nil {
		t.Fatal(err)
	}
	mustPython(t, all[0], addr, dir+"dispatcher.py", strconv.Itoa(n), "http://"+target.addr()+"/")
	if err := output.Wait(); err != nil {
		t.Fatalf("output: %v\n%s", err, printed.String())
	}
	seen := map[string]bool{}
	for line := range strings.Lines(printed.String()) {
		seen[line] = true
	}
	if len(seen) != n+1 || !seen[fmt.Sprintf("ok %d\n", n)] {
		t.Errorf("output printed %d distinct lines; want %d results and ok %d", len(seen), n, n)
	}
	for _, name := range []string{"tasks", "results"} { // the last confirmation may still be under way
		settled(t, c, name, func(q glassq.QueueInfo) bool { return q.Books == glassq.Books{Put: uint64(n), OK: uint64(n)} })
	}
}

// TestManagerGoPythonGo: a dispatcher in Go, workers in Python, an output in Go. The run's results
// are in a queue of its own, of which the workers know nothing.
func TestManagerGoPythonGo(t *testing.T) {
	t.Parallel()
	all := pythons(t)
	n := mixedTasks()
	addr := freeAddress(t)
	_, env := serveManager(t, addr)
	output := start(t, env, "output", "--run", "r1", "--json")
	if _, errs, code := invoke(t, "", env, "dispatch", "--run", "r1", "http://localhost/?q={0}", "-n",
		strconv.Itoa(n)); code != 0 {
		t.Fatalf("dispatch: exit %d: %s", code, errs)
	}
	worked := make(chan string, 2)
	for _, path := range []string{all[0], all[len(all)-1]} {
		cmd := python(t, path, addr, "../../examples/python-manager/worker.py")
		go func() { // waited for below
			out, err := cmd.CombinedOutput()
			if err != nil {
				worked <- fmt.Sprintf("%s: %v\n%s", path, err, out)
				return
			}
			worked <- ""
		}()
	}
	ids := map[string]bool{}
	lines := 0
	for line := range output.lines {
		ids[idOf(t, line)] = true
		lines++
	}
	for range 2 {
		if bad := <-worked; bad != "" {
			t.Error(bad)
		}
	}
	books := fmt.Sprintf("put %[1]d,000 = ok %[1]d,000 + failed 0 + dead 0 + pending 0    missing 0   duplicate 0", n/1000)
	if code := output.wait(); code != 0 || !strings.Contains(output.said(), books) {
		t.Errorf("output: exit %d, said %s; want %q", code, output.said(), books)
	}
	if lines != n || len(ids) != n {
		t.Errorf("output printed %d lines, %d distinct ids; want %d", lines, len(ids), n)
	}
}
