package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that is full while results are written: nothing is acked that was not written, and with
// room the same command ends the run with each result once.
func TestOutputDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("left out: root only (it mounts a small tmpfs)")
	}
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("left out: root only, who may mount a tmpfs here (%v)", err)
	}
	t.Cleanup(func() { syscall.Unmount(small, syscall.MNT_DETACH) })
	const n = 5000
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0")
	env := []string{"GLASSQ_SERVER=http://" + s.addr()}
	target := start(t, nil, "target", "--listen", "127.0.0.1:0")
	work := start(t, env, "work", "http", "--until-done", "r1")
	if _, errs, code := invoke(t, "", env, "dispatch", "--run", "r1", "http://"+target.addr()+"/?q={0}", "-n",
		fmt.Sprint(n)); code != 0 {
		t.Fatalf("dispatch: exit %d: %s", code, errs)
	}
	work.wait()
	file := filepath.Join(small, "r.ndjson")
	args := []string{"output", "--run", "r1", "--out", file, "--batch", "500", "--lease", "1s", "--quiet"}
	_, errs, code := invoke(t, "", env, args...)
	if code != exitStorage || !strings.Contains(errs, "no space left") || !strings.Contains(errs, "results.r1") {
		t.Fatalf("output on a full disk: exit %d: %s; want 8, and where the rest is", code, errs)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := invoke(t, "", env, args...); code != 0 ||
		!strings.Contains(errs, "put 5,000 = ok 5,000 + failed 0 + dead 0 + pending 0    missing 0") {
		t.Fatalf("output again, with room: exit %d: %s", code, errs)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for line := range bytes.Lines(data) {
		ids[idOf(t, string(line))] = true
	}
	if lines := bytes.Count(data, []byte("\n")); lines != n || len(ids) != n {
		t.Errorf("%d lines, %d distinct ids; want %d", lines, len(ids), n)
	}
}

// A report that cannot be written is told with its flag, and nothing of the results is lost for it.
func TestReportOnFullDisk(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	f.do(0, "dispatch", f.url, "-n", "20", "--run", "r", "--quiet")
	f.do(0, "work", "http", "--until-done", "r", "--quiet")
	out := filepath.Join(f.dir, "r.ndjson")
	_, errs := f.do(exitStorage, "output", "--run", "r", "--out", out, "--report", "/dev/full", "--quiet")
	if !strings.Contains(errs, "the results are taken, but --report was not written: write /dev/full: no space left") {
		t.Errorf("output with a report on a full disk said %s", errs)
	}
	report := filepath.Join(f.dir, "r.html")
	f.do(0, "output", "--run", "r", "--out", out, "--report", report, "--quiet")
	if page, err := os.ReadFile(report); err != nil || !strings.Contains(string(page), "put 20 = ok 20") {
		t.Errorf("the same command with room: %d bytes, %v; want the books of 20", len(page), err)
	}
}
