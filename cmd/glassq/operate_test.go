package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Data is put, backed up, restored, checked and served again; what is in use is refused.
func TestBackupRestoreDoctor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, copied, back := filepath.Join(dir, "d"), filepath.Join(dir, "copy"), filepath.Join(dir, "back")
	s := start(t, nil, "serve", "--data", data, "--http", "127.0.0.1:0")
	env := []string{"GLASSQ_SERVER=http://" + s.addr()}
	if _, errs, code := invoke(t, "", env, "put", "precious"); code != 0 {
		t.Fatalf("put: exit %d: %s", code, errs)
	}
	if _, errs, code := invoke(t, "", nil, "backup", "--data", data, copied); code != exitServer {
		t.Errorf("backup of a store in use: exit %d: %s; want 6", code, errs)
	}
	out, errs, code := invoke(t, "", nil, "doctor", "--data", data, "--server", "http://"+s.addr())
	if code != 0 || !strings.Contains(out, "sync") || !strings.Contains(out, "server") {
		t.Errorf("doctor: exit %d: %s%s", code, out, errs)
	}
	s.kill()
	for _, args := range [][]string{{"backup", "--data", data, copied}, {"restore", copied, "--data", back}, {"repair", "--data", back}} {
		if out, errs, code := invoke(t, "", nil, args...); code != 0 {
			t.Fatalf("%v: exit %d: %s%s", args, code, out, errs)
		}
	}
	if _, _, code := invoke(t, "", nil, "restore", copied, "--data", back); code != exitUsage {
		t.Errorf("restore over data: exit %d, want 2", code)
	}
	if _, _, code := invoke(t, "", nil, "doctor", "--data", filepath.Join(dir, "none")); code != exitUnexpected {
		t.Errorf("doctor without data: exit %d, want 1", code)
	}
	s = start(t, nil, "serve", "--data", back, "--http", "127.0.0.1:0")
	if out, errs, code := invoke(t, "", []string{"GLASSQ_SERVER=http://" + s.addr()}, "get"); code != 0 || !strings.Contains(out, "precious") {
		t.Errorf("get from the restored data: exit %d: %s%s", code, out, errs)
	}
}
