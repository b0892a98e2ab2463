//go:build unix

package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReload: SIGHUP and glassq reload read the settings again; neither ends the server, nor does a fault in the file.
func TestReload(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "c.toml")
	write(t, file, "[serve]\nlog-level = \"warn\"\n")
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0", "--config", file)
	env := []string{"GLASSQ_SERVER=http://" + s.addr()}
	for _, tt := range []struct {
		name, text string
		code       int
		want       string
	}{
		{"nothing", "[serve]\nlog-level = \"warn\"\n", 0, "nothing has changed\n"},
		{"level", "[serve]\nlog-level = \"error\"\n", 0, "changed: log-level\n"},
		{"again", "[serve]\nlog-level = \"error\"\n", 0, "nothing has changed\n"},
		{"needs a restart", "[serve]\nlog-level = \"info\"\nmax-body = \"1MiB\"\n", 0,
			"changed: log-level; only a restart changes max-body\n"},
		{"a flag wins", "[serve]\nlog-level = \"info\"\nstore = \"nats:\"\n", 0, "nothing has changed\n"},
		{"no such level", "[serve]\nlog-level = \"loud\"\n", exitUsage, "the settings stay as they are: --log-level loud is not one of"},
		{"misspelt", "[serve]\nlog-levl = \"warn\"\n", exitUsage, "line 2: there is no setting log-levl in [serve]"},
	} {
		write(t, file, tt.text)
		out, errs, code := invoke(t, "", env, "reload")
		if said := out + errs; code != tt.code || !strings.Contains(said, tt.want) {
			t.Errorf("%s: exit %d, %q; want %d, %q", tt.name, code, said, tt.code, tt.want)
		}
	}
	write(t, file, "[serve]\nlog-level = \"debug\"\n")
	s.cmd.Process.Signal(syscall.SIGHUP)
	for !strings.Contains(s.said(), "glassq serve: reload: changed: log-level\n") {
		select {
		case <-s.done:
			t.Fatalf("serve ended by SIGHUP: %s", s.said())
		case <-time.After(10 * time.Millisecond):
		}
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.wait(); code != 0 {
		t.Errorf("SIGTERM: exit %d, want 0", code)
	}
}
