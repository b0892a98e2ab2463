//go:build unix

package main

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// smallFiles starts the program where no file may grow beyond about 6 MB: then a write of the log
// fails.
func smallFiles(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, nil, args[0], exec.Command("sh",
		append([]string{"-c", `ulimit -f 12000; exec "$0" "$@"`, binary}, args...)...))
}

// TestServeWriteFails: after a write that fails the server ends with exit code 8 by itself, though
// a client waits in a long poll, and the next one has what was answered OK.
func TestServeWriteFails(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "d")
	s := smallFiles(t, "serve", "--data", data, "--http", "127.0.0.1:0")
	base := "http://" + s.addr()
	ctx, cancel := context.WithCancel(t.Context())
	polled := make(chan struct{})
	go func() { // waited for below
		defer close(polled)
		r, _ := http.NewRequestWithContext(ctx, "POST", base+"/v1/queues/nothing/reserve?wait=10m", nil)
		if resp, err := http.DefaultClient.Do(r); err == nil {
			resp.Body.Close()
		}
	}()
	defer func() { cancel(); <-polled }()
	body := strings.Repeat("x", 1<<20)
	kept := 0
	for ; kept < 20; kept++ {
		resp, err := http.Post(base+"/v1/queues/q/tasks", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatalf("put %d: %v", kept, err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 300 {
			if resp.StatusCode != http.StatusInternalServerError {
				t.Errorf("the put that could not be written = %s; want 500", resp.Status)
			}
			break
		}
	}
	if code := s.ends(); code != exitStorage || !strings.Contains(s.said(), "mend the disk") || kept == 0 || kept == 20 {
		t.Fatalf("serve after %d puts: exit %d: %s; want 8, and what to do", kept, code, s.said())
	}
	s = start(t, nil, "serve", "--data", data, "--http", "127.0.0.1:0")
	if q := ask(t, "GET", "http://"+s.addr()+"/v1/queues/q",
		""); strings.Count(ask(t, "POST", "http://"+s.addr()+"/v1/queues/q/reserve?max=100", ""), "\n") < kept {
		t.Errorf("after the restart %s; want the %d tasks that were answered OK", q, kept)
	}
}

// TestRunWriteFails: run leaves with exit code 8 when its queue fails, though its requests hang,
// and says how to go on; with room it does.
func TestRunWriteFails(t *testing.T) {
	t.Parallel()
	target := start(t, nil, "target", "--listen", "127.0.0.1:0", "--latency", "1h")
	data := filepath.Join(t.TempDir(), "d")
	s := smallFiles(t, "run", "http://"+target.addr()+"/?q={0}", "-n", "300000", "--single", "-c", "4", "--timeout", "1h",
		"--data", data, "--quiet")
	if code := s.ends(); code != exitStorage || !strings.Contains(s.said(), "--data "+data) {
		t.Errorf("run whose queue fails: exit %d: %s; want 8, and how to go on", code, s.said())
	}
}
