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
	for _, args := range [][]string{{"backup", "--data", data, copied}, {"restore", copied, "--data", back},
		{"repair", "--data", back}} {
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
	if out, errs, code := invoke(t, "", []string{"GLASSQ_SERVER=http://" + s.addr()}, "get"); code != 0 ||
		!strings.Contains(out, "precious") {
		t.Errorf("get from the restored data: exit %d: %s%s", code, out, errs)
	}
}

// doctor finds what is wrong with settings before a server does, and says what a sync mode gives
// up.
func TestDoctorSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "d")
	never := write(t, filepath.Join(dir, "never.toml"),
		"[serve]\ndata = \""+filepath.ToSlash(data)+"\"\nsync = \"never\"\n")
	s := start(t, nil, "serve", "--config", never, "--http", "127.0.0.1:0")
	server := "http://" + s.addr()
	tests := []struct {
		name  string
		env   []string
		args  []string
		code  int
		parts []string
	}{
		{"fine", nil, []string{"--data", data}, 0, []string{"ok    config   no file"}},
		{"sync never", nil, []string{"--config", never}, 0,
			[]string{"ok    config   " + never, "warn  sync     serve is set to --sync never", "only --sync always"}},
		{"sync interval", []string{"GLASSQ_SYNC=interval"}, []string{"--data", data}, 0,
			[]string{"warn  sync     serve is set to --sync interval"}},
		{"a variable that is misspelt", []string{"GLASSQ_SYNK=never", "GLASSQ_PORT=tcp://10.0.0.1:5080", "GLASSQ_TASK_ID=r/1"},
			[]string{"--data", data}, 0, []string{"warn  config   the environment has GLASSQ_SYNK, which is no setting; did you mean"}},
		{"a server with sync never", nil, []string{"--data", data, "--server", server}, 0,
			[]string{"the server runs with --sync never"}},
		{"no such setting", nil, []string{"--data", data, "--config",
			write(t, filepath.Join(dir, "bad.toml"), "[serve]\nsink = \"never\"\n")}, exitUnexpected,
			[]string{"FAIL  config", "bad.toml: line 2", "did you mean sync?"}},
		{"no such mode", []string{"GLASSQ_SYNC=sometimes"}, []string{"--data", data}, exitUnexpected,
			[]string{"FAIL  config   serve would refuse to start", "always, interval, never"}},
		{"a public door without a key", []string{"GLASSQ_HTTP=0.0.0.0:5080"}, []string{"--data", data}, exitUnexpected,
			[]string{"FAIL  config", "--key-file"}},
		{"no key file", []string{"GLASSQ_KEY_FILE=" + filepath.Join(dir, "none")}, []string{"--data", data}, exitUnexpected,
			[]string{"FAIL  config", "none"}},
	}
	for _, tt := range tests {
		out, errs, code := invoke(t, "", tt.env, append([]string{"doctor"}, tt.args...)...)
		if code != tt.code {
			t.Errorf("%s: exit %d: %s%s; want %d", tt.name, code, out, errs, tt.code)
		}
		for _, part := range tt.parts {
			if !strings.Contains(out, part) {
				t.Errorf("%s: %s; lacks %q", tt.name, out, part)
			}
		}
	}
}
