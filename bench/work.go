package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/client"
)

var (
	lines = flag.Int("lines", 200_000, "tasks for work pipe")
	procs = flag.Int("processes", 3_000, "processes that work exec and its rivals start")
)

// children is how many children, or processes at once, everybody has.
const children = 2

// trivialChild is a worker that reads a task and says that it is done.
const trivialChild = `import json, sys
for line in sys.stdin:
    task = json.loads(line)
    print('{"o":{"ok":1}}', flush=True)
`

// workSuite measures work pipe with a trivial Python child, and work exec beside what else starts a
// process per line. The server is a process of its own; tasks are there before the clock starts,
// which runs from the worker's start to its end.
func workSuite(b *bench) error {
	var tools [3]string
	for i, name := range []string{"python3", "xargs", "parallel"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("%s is not here: apt-get install python3 findutils parallel (%w)", name, err)
		}
		tools[i] = path
	}
	python, xargs, parallel := tools[0], tools[1], tools[2]
	out, err := exec.Command(python, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s: %w", python, err)
	}
	script := filepath.Join(b.dir, "child.py")
	if err := os.WriteFile(script, []byte(trivialChild), 0o600); err != nil {
		return err
	}
	server, err := start(b.ctx, b.glassq, "serve", "--data", filepath.Join(b.dir, "work"), "--http", "127.0.0.1:0",
		"--memcached", "off", "--manager", "off", "--sync", *syncs)
	if err != nil {
		return err
	}
	defer server.stop()
	w := &workBench{b: b, url: "http://" + server.addr}
	if w.q, err = client.New(w.url, client.Options{}); err != nil {
		return err
	}
	defer w.q.Close()
	fmt.Printf("%s; server a process of its own, sync %s; %d children\n\n", strings.TrimSpace(string(out)), *syncs,
		children)

	pipes := []*tool{
		{row{name: "work pipe"}, w.glassq(*lines, "pipe", "-c", strconv.Itoa(children), python, "-u", script)},
		{row{name: "the same, --window 16"}, w.glassq(*lines, "pipe", "-c", strconv.Itoa(children), "--window", "16",
			python, "-u", script)},
	}
	numbers := strings.Builder{}
	for i := range *procs {
		fmt.Fprintln(&numbers, i)
	}
	rival := func(name string, args ...string) func(int) (float64, string, error) {
		return func(int) (float64, string, error) {
			cmd := exec.CommandContext(b.ctx, name, args...)
			cmd.Stdin = strings.NewReader(numbers.String())
			began := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				return 0, "", fmt.Errorf("%s: %w: %s", name, err, out)
			}
			return float64(*procs) / time.Since(began).Seconds(), "", nil
		}
	}
	n := strconv.Itoa(children)
	execs := []*tool{
		{row{name: "work exec /bin/true"}, w.glassq(*procs, "exec", "-c", n, "/bin/true")},
		{row{name: "work exec /bin/true {}"}, w.glassq(*procs, "exec", "-c", n, "/bin/true", "{}")},
		{row{name: "xargs -P 2 -n 1 /bin/true"}, rival(xargs, "-P", n, "-n", "1", "/bin/true")},
		{row{name: "parallel -j 2 /bin/true"}, rival(parallel, "--will-cite", "-j", n, "/bin/true")},
	}
	for round := range *rounds {
		for _, t := range slices.Concat(pipes, execs) {
			rate, note, err := t.run(round)
			if err != nil {
				return err
			}
			t.rates, t.note = append(t.rates, rate), note
		}
	}
	printWork(pipes)
	printWork(execs)
	return nil
}

// printWork prints rows, and how the first compares with each.
func printWork(tools []*tool) {
	fmt.Printf("%-28s %10s %10s %10s  first/it\n", "", "tasks/s", "least", "most")
	for _, t := range tools {
		fmt.Printf("%-28s %10.0f %10.0f %10.0f  %.2f\n", t.name, t.median(), slices.Min(t.rates), slices.Max(t.rates),
			tools[0].median()/t.median())
	}
	fmt.Println()
}

// A workBench is a server that workers are measured at.
type workBench struct {
	b    *bench
	url  string
	q    *client.Client
	runs int
}

// glassq is a tool: work, with args, on a run of count tasks.
func (w *workBench) glassq(count int, args ...string) func(int) (float64, string, error) {
	return func(int) (float64, string, error) {
		w.runs++
		run := fmt.Sprint("work", w.runs)
		if _, _, err := timed(w.b.glassq, "dispatch", "--server", w.url, "--run", run, "--quiet",
			"http://127.0.0.1:8888/?q={0}", "-n", strconv.Itoa(count)); err != nil {
			return 0, "", err
		}
		all := append([]string{"work", args[0], "--server", w.url, "--until-done", run, "--quiet"}, args[1:]...)
		_, took, err := timed(w.b.glassq, all...)
		if err != nil {
			return 0, "", err
		}
		r, err := w.q.Run(w.b.ctx, run)
		if err == nil && r.Books.OK != uint64(count) {
			err = fmt.Errorf("books of %s: %+v, want %d ok", run, r.Books, count)
		}
		return float64(count) / took.Seconds(), "", err
	}
}
