package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/stores"
)

const booksOf2000 = "put 2,000 = ok 2,000 + failed 0 + dead 0 + pending 0    missing 0   duplicate "

// The four programs, the server killed in the middle and started again: each task has one result,
// and output ends by itself.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := start(t, nil, "target", "--listen", "127.0.0.1:0", "--latency", "5ms")
	data := filepath.Join(dir, "d")
	server := start(t, nil, "serve", "--data", data, "--http", "127.0.0.1:0")
	addr := server.addr()
	env := []string{"GLASSQ_SERVER=http://" + addr, "GLASSQ_LEASE=1s"}
	work := start(t, env, "work", "http", "-c", "8", "--until-done", "r1")
	out := start(t, env, "output", "--run", "r1", "--json", "--batch", "50")
	url := "http://" + target.addr() + "/?q={0}"
	if _, errs, code := invoke(t, "", env[:1], "dispatch", "--run", "r1", url, "-n", "2000"); code != 0 {
		t.Fatalf("dispatch: exit %d: %s", code, errs)
	}
	ids := map[string]bool{}
	lines := 0
	for line := range out.lines {
		ids[idOf(t, line)] = true
		if lines++; lines == 400 {
			server.kill()
			server = start(t, nil, "serve", "--data", data, "--http", addr)
		}
	}
	if code := out.wait(); code != 0 {
		t.Errorf("output: exit %d, want 0", code)
	}
	if lines != 2000 || len(ids) != 2000 {
		t.Errorf("output printed %d lines, %d distinct ids; want 2000", lines, len(ids))
	}
	if !strings.Contains(out.said(), booksOf2000) {
		t.Errorf("output said %s; want %q", out.said(), booksOf2000)
	}
	if code := work.wait(); code != 0 {
		t.Errorf("work --until-done: exit %d, want 0", code)
	}
	// The same dispatch again doubles nothing.
	if _, errs, code := invoke(t, "", env[:1], "dispatch", "--run", "r1", url, "-n", "2000"); code != 0 ||
		!strings.Contains(errs, "2,000 were there before") {
		t.Errorf("dispatch again: exit %d: %s; want 2,000 there before", code, errs)
	}
}

// A run that is killed goes on with the same command, and what it prints is whole.
func TestRunContinued(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "asked")
	target := start(t, nil, "target", "--listen", "127.0.0.1:0", "--latency", "2ms", "--log", log)
	args := []string{"run", "http://" + target.addr() + "/?q={0}", "-n", "2000", "-c", "16", "--json", "--lease", "1s",
		"--data", filepath.Join(dir, "d")}
	first := start(t, nil, args...)
	for range 300 {
		if _, ok := <-first.lines; !ok {
			t.Fatalf("run ended by itself: %s", first.said())
		}
	}
	first.kill()
	for i := range 2 { // the second time there is nothing left to do
		out, errs, code := invoke(t, "", nil, args...)
		if code != 0 || !strings.Contains(errs, booksOf2000) {
			t.Errorf("run, continued %d: exit %d: %s; want %q", i, code, errs, booksOf2000)
		}
		ids := map[string]bool{}
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		for _, line := range lines {
			ids[idOf(t, line)] = true
		}
		if len(lines) != 2000 || len(ids) != 2000 {
			t.Errorf("run, continued %d, printed %d lines, %d distinct ids; want 2000", i, len(lines), len(ids))
		}
	}
	if _, errs, code := invoke(t, "", nil, append(slices.Clone(args), "-n", "2001")...); code != exitUsage {
		t.Errorf("run with other tasks: exit %d: %s; want 2", code, errs)
	}
	if err := target.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Skip("no interrupt on this system: the target's log cannot be flushed")
	}
	target.wait()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	asked := strings.Fields(string(data))
	slices.Sort(asked)
	if n := len(slices.Compact(slices.Clone(asked))); n != 2000 || len(asked) > 2000+2*16+100 {
		t.Errorf("the target saw %d requests for %d URLs; want 2000 URLs, and no more again than were in flight",
			len(asked), n)
	}
}

// A folder whose queue has a result schema is continued with it: run stores no result that
// disagrees.
func TestRunSchema(t *testing.T) {
	t.Parallel()
	target := start(t, nil, "target", "--listen", "127.0.0.1:0")
	data := filepath.Join(t.TempDir(), "d")
	store, err := stores.Open(t.Context(), data, stores.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, once := glassq.Schema(`{"properties":{"i":{"not":{"pattern":"q=1$"}}}}`), 1
	if _, err := store.Configure(t.Context(), glassq.DefaultQueue,
		glassq.SettingsChange{ResultSchema: &want, Attempts: &once}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	out, errs, code := invoke(t, "", nil, "run", "http://"+target.addr()+"/?q={0}", "-n", "3", "--json", "--strict",
		"--data", data)
	if code != exitNotWell || strings.Count(out, "\n") != 2 || !strings.Contains(errs, "put 3 = ok 2 + failed 0 + dead 1") {
		t.Errorf("run: exit %d, printed %s, said %s; want two results and a dead task", code, out, errs)
	}
}

// The first interrupt drains and exits with 7; what is printed continues the run.
func TestRunInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted by another here")
	}
	t.Parallel()
	target := start(t, nil, "target", "--listen", "127.0.0.1:0", "--latency", "2ms")
	args := []string{"run", "http://" + target.addr() + "/?q={0}", "-n", "2000", "-c", "4", "--json"}
	first := start(t, nil, args...)
	for range 100 {
		<-first.lines
	}
	if err := first.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := first.wait(); code != exitInterrupted {
		t.Errorf("run, interrupted: exit %d, want 7", code)
	}
	kept := regexp.MustCompile(`--data (\S+) --run (\S+)`).FindStringSubmatch(first.said())
	if kept == nil {
		t.Fatalf("run did not say how to go on: %s", first.said())
	}
	out, errs, code := invoke(t, "", nil, append(args, "--data", kept[1], "--run", kept[2], "--strict")...)
	if n := strings.Count(out, "\n"); code != 0 || n != 2000 {
		t.Errorf("run, continued: exit %d, %d lines: %s; want 2000", code, n, errs)
	}
}

// Failed requests are results, and the books balance. When not one task went well, that is the
// exit; one that failed is only with --strict (decision 0132).
func TestFailedAreBooked(t *testing.T) {
	t.Parallel()
	url := "http://" + freeAddress(t) + "/?q={0}"
	out := filepath.Join(t.TempDir(), "r.ndjson")
	_, errs, code := invoke(t, "", nil, "run", url, "-n", "50", "--out", out)
	if code != exitNotWell || !strings.Contains(errs, "not one of 50 tasks went well") || !strings.Contains(errs, "put 50 = ok 0 + failed 50 + dead 0 + pending 0    missing 0") {
		t.Errorf("run against nobody: exit %d: %s", code, errs)
	}
	data, err := os.ReadFile(out)
	if n := strings.Count(string(data), `"err":"refused"`); err != nil || n != 50 {
		t.Errorf("%d results of 50 say refused, %v", n, err)
	}
	target := start(t, nil, "target", "--listen", "127.0.0.1:0")
	mixed := write(t, filepath.Join(t.TempDir(), "urls"), "http://"+target.addr()+"/\n"+strings.Replace(url, "{0}", "1\n", 1))
	for _, tt := range []struct {
		name, strict string
		want         int
	}{{"one of two failed", "", 0}, {"one of two failed, strictly", "--strict", exitNotWell}} {
		args := []string{"run", "--file", mixed}
		if tt.strict != "" {
			args = append(args, tt.strict)
		}
		if _, errs, code := invoke(t, "", nil, args...); code != tt.want ||
			tt.want != 0 && !strings.Contains(errs, "--strict: 1 of 2 tasks failed or dead") {
			t.Errorf("%s: run %s: exit %d: %s; want %d", tt.name, tt.strict, code, errs, tt.want)
		}
	}
}

// TestNotOneWentWell: every program that sees the end of a run says with exit 4 that nothing of it
// went well.
func TestNotOneWentWell(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	for _, queue := range []string{"a", "b"} {
		f.do(0, "dispatch", "{0}", "-n", "2", "--run", queue, "--queue", queue, "--quiet")
	}
	work := func(code int, run, script string) {
		f.do(code, "work", "exec", "--queue", run, "--until-done", run, "--quiet", "--", "sh", "-c", script)
	}
	work(exitNotWell, "a", "exit 3")
	work(0, "b", `read x; exit $x`)
	f.do(exitNotWell, "runs", "wait", "a")
	f.do(0, "runs", "wait", "a", "--until", "exists", "--timeout", "1ms", "--json")
	f.do(0, "runs", "wait", "b")
	f.do(exitNotWell, "output", "--run", "a", "--quiet", "--format", "none")
	f.do(0, "output", "--run", "b", "--quiet", "--format", "none")
	f.do(0, "dispatch", "--file", write(t, filepath.Join(f.dir, "empty"), ""), "--run", "none", "--wait", "--quiet")
}

// An output that lacks what another one took says that its books do not balance.
func TestUnbalanced(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0")
	env := []string{"GLASSQ_SERVER=http://" + s.addr()}
	target := start(t, nil, "target", "--listen", "127.0.0.1:0")
	work := start(t, env, "work", "http", "--until-done", "r1")
	if _, errs, code := invoke(t, "", env, "dispatch", "--run", "r1", "http://"+target.addr()+"/?q={0}", "-n",
		"20"); code != 0 {
		t.Fatalf("dispatch: exit %d: %s", code, errs)
	}
	work.wait()
	if _, errs, code := invoke(t, "", env, "get", "--queue", "results.r1"); code != 0 {
		t.Fatalf("get a result: exit %d: %s", code, errs)
	}
	_, errs, code := invoke(t, "", env, "output", "--run", "r1")
	if code != exitUnbalanced || !strings.Contains(errs, "missing 1   duplicate 0") {
		t.Errorf("output of 19 results of 20: exit %d: %s; want 5 and missing 1", code, errs)
	}
}

// The demo runs, with both kills.
func TestDemo(t *testing.T) {
	t.Parallel()
	out, errs, code := invoke(t, "", nil, "demo", "--chaos", "-n", "5000")
	if code != 0 || !strings.Contains(out, "the books balance") || strings.Count(errs, "SIGKILL") != 2 {
		t.Errorf("demo --chaos: exit %d\n%s%s", code, errs, out)
	}
}
