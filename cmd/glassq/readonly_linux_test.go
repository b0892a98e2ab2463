package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadOnlyDisk: a data folder on a disk that is mounted read-only is refused with what to do.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	disk := mountAt(t, "-t", "tmpfs", "-o", "size=64m", "tmpfs")
	dir := filepath.Join(disk, "d")
	s := start(t, nil, "serve", "--data", dir, "--http", "127.0.0.1:0")
	ask(t, "POST", "http://"+s.addr()+"/v1/queues/q/tasks", `{"body":"one"}`)
	s.kill()
	if out, err := exec.Command("mount", "-o", "remount,ro", disk).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v %s", err, out)
	}
	for _, d := range []string{dir, filepath.Join(disk, "new")} {
		_, errs, code := invoke(t, "", nil, "serve", "--data", d, "--http", "127.0.0.1:0")
		if code != exitStorage || !strings.Contains(errs, "mounted read-only") || !strings.Contains(errs, d) ||
			!strings.Contains(errs, "name another --data") {
			t.Errorf("serve on a read-only disk: exit %d: %s; want 8, the folder, and what to do", code, errs)
		}
	}
	if out, errs, code := invoke(t, "", nil, "doctor", "--data", dir); code != exitUnexpected ||
		!strings.Contains(out, "FAIL") {
		t.Errorf("doctor on a read-only disk: exit %d: %s%s; want a FAIL", code, out, errs)
	}
}
