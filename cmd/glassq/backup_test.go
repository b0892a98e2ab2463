package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestBackupRunning: a server is copied while clients put and ack; the copy is restored, a server starts on it,
// and it has all that was answered before the copy began and was not over.
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
