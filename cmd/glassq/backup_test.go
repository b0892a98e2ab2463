package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestBackupRunning: a server is copied while clients put and ack; the copy is restored, a server
// starts on it, and it has all that was answered before the copy began and was not over.
func TestBackupRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "d")
	s := start(t, nil, "serve", "--data", data, "--http", "127.0.0.1:0")
	base := "http://" + s.addr()
	env := []string{"GLASSQ_SERVER=" + base}
	const before = 60
	for n := range before {
		ask(t, "POST", base+"/v1/queues/q/tasks", fmt.Sprintf(`{"run":"r1","n":%d,"body":"task %d"}`, n, n))
	}
	// What is acked before, is over.
	for range 10 {
		if _, errs, code := invoke(t, "", env, "get", "--queue", "q"); code != 0 {
			t.Fatalf("get: exit %d: %s", code, errs)
		}
	}
	stop := make(chan struct{})
	put := make(chan struct{}) // closed when the load has begun
	var once sync.Once
	var load sync.WaitGroup
	for w := range 2 {
		load.Go(func() {
			for n := before + w; ; n += 2 {
				body := fmt.Sprintf(`{"run":"r1","n":%d,"body":"task %d"}`, n, n)
				r, err := http.Post(base+"/v1/queues/q/tasks", "application/json", strings.NewReader(body))
				if err != nil {
					t.Errorf("put %d: %v", n, err)
					once.Do(func() { close(put) })
					return
				}
				r.Body.Close()
				once.Do(func() { close(put) })
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	<-put
	out, errs, code := invoke(t, "", nil, "backup", "--server", base, filepath.Join(dir, "copy"))
	close(stop)
	load.Wait()
	if code != 0 || !strings.Contains(out, "checked") {
		t.Fatalf("backup --server: exit %d: %s%s", code, out, errs)
	}
	if _, errs, code := invoke(t, "", nil, "backup", "--data", data, filepath.Join(dir, "other")); code != exitServer ||
		!strings.Contains(errs, "--server") {
		t.Errorf("backup of a folder in use: exit %d: %s; want 6, and that a running server can be copied", code, errs)
	}
	if _, errs, code := invoke(t, "", nil, "backup", "--server", base, filepath.Join(dir, "copy")); code != exitUsage ||
		!strings.Contains(errs, "not empty") {
		t.Errorf("backup into a folder with something: exit %d: %s", code, errs)
	}
	s.kill()
	if _, errs, code := invoke(t, "", nil, "backup", "--server", base, filepath.Join(dir, "late")); code != exitServer {
		t.Errorf("backup of a server that is gone: exit %d: %s; want 6", code, errs)
	}

	restored := filepath.Join(dir, "restored")
	if out, errs, code := invoke(t, "", nil, "restore", filepath.Join(dir, "copy"), "--data", restored); code != 0 ||
		!strings.Contains(out, "checked") {
		t.Fatalf("restore: exit %d: %s%s", code, out, errs)
	}
	s = start(t, nil, "serve", "--data", restored, "--http", "127.0.0.1:0")
	base = "http://" + s.addr()
	if run := ask(t, "GET", base+"/v1/runs/r1", ""); !strings.Contains(run, `"ok":10`) {
		t.Errorf("the books of the copy: %s; want ok 10", run)
	}
	lines := strings.Split(strings.TrimSpace(ask(t, "POST", base+"/v1/queues/q/reserve?max=10000", "")), "\n")
	if len(lines) < before-10 {
		t.Fatalf("the copy hands out %d tasks; want at least the %d that were put before and not taken", len(lines),
			before-10)
	}
	for i, line := range lines { // with one writer at a time they would be in order; up to before they are
		if n := 10 + i; n < before && !strings.Contains(line, fmt.Sprintf(`"id":"r1/%d"`, n)) {
			t.Fatalf("hand-out %d is %s; want r1/%d", i, line, n)
		}
	}
}

// TestBackupArchive: an archive of a running server and one of its folder, stopped, are restored,
// by their names and from standard input; what is none is refused, and a file that is there is
// never replaced.
func TestBackupArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	s := start(t, nil, "serve", "--data", in("d"), "--http", "127.0.0.1:0")
	base := "http://" + s.addr()
	for n := range 20 {
		ask(t, "POST", base+"/v1/queues/q/tasks", fmt.Sprintf(`{"run":"r1","n":%d,"body":"task %d"}`, n, n))
	}
	run := func(stdin string, want int, parts string, args ...string) string {
		t.Helper()
		out, errs, code := invoke(t, stdin, nil, args...)
		if code != want || !strings.Contains(out+errs, parts) {
			t.Fatalf("%v: exit %d: %.300s%s; want %d and %q", args, code, out, errs, want, parts)
		}
		return out
	}
	run("", 0, "20 tasks in 1 queue, checked", "backup", "--server", base, "--archive", in("running.gqa"))
	run("", exitUsage, "there already", "backup", "--server", base, "--archive", in("running.gqa"))
	run("", exitServer, "--server", "backup", "--data", in("d"), "--archive", in("used.gqa"))
	books := ask(t, "GET", base+"/v1/runs/r1", "")
	s.kill()
	run("", 0, `"tasks":20`, "backup", "--data", in("d"), "--archive", in("stopped.gqa"), "--json")
	bytes := run("", 0, "GQARCHIV", "backup", "--data", in("d"), "--archive", "-")

	run("", 0, "20 tasks in 1 queue", "restore", in("running.gqa"), "--data", in("one"))
	run("", 0, "20 tasks in 1 queue", "restore", in("stopped.gqa"), "--data", in("two"))
	run(bytes, 0, "20 tasks in 1 queue", "restore", "-", "--data", in("three"))
	run(bytes[:len(bytes)-1], exitStorage, "cut short", "restore", "-", "--data", in("four"))
	run("a text", exitUsage, "no archive", "restore", "-", "--data", in("four"))
	run("", exitUsage, "not empty", "restore", in("stopped.gqa"), "--data", in("two"))
	run("", exitUsage, "not a directory", "restore", in("stopped.gqa"), "--data", in("stopped.gqa"))
	run("", exitUsage, "not a directory", "restore", in("stopped.gqa"), "--data", in("stopped.gqa/d"))
	run("", exitUsage, "not a directory", "backup", "--data", in("d"), "--archive", in("stopped.gqa/a"))
	if _, err := os.Stat(in("four")); !os.IsNotExist(err) {
		t.Errorf("a refused restore leaves a folder: %v", err)
	}
	// What a restore leaves that is killed: no start takes it, and the next restore does.
	if err := os.WriteFile(in("three/unfinished"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run("", exitStorage, "cut off", "serve", "--data", in("three"), "--http", "127.0.0.1:0")
	run("", exitStorage, "cut off", "repair", "--data", in("three"), "--salvage")
	run("", 0, "20 tasks", "restore", in("stopped.gqa"), "--data", in("three"))

	s = start(t, nil, "serve", "--data", in("three"), "--http", "127.0.0.1:0")
	base = "http://" + s.addr()
	if again := ask(t, "GET", base+"/v1/runs/r1", ""); again != books {
		t.Errorf("the run of the restored store: %s; want %s", again, books)
	}
	if got := ask(t, "POST", base+"/v1/queues/q/reserve?max=100", ""); strings.Count(got, "\n") != 20 {
		t.Errorf("the restored store hands out %s; want 20 tasks", got)
	}
}
