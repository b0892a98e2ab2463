package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountAt mounts a file system of its own for the test, which only root may.
func mountAt(t *testing.T, args ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("left out: root only (it mounts a file system)")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		t.Skipf("left out: this system does not let root mount: %s", bytes.TrimSpace(out))
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	return dir
}

func post(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	r, err := http.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	var b bytes.Buffer
	b.ReadFrom(r.Body)
	return r.StatusCode, b.String()
}

// TestSmallDisk: on a real disk of 64 MiB puts are refused with 507 when it is nearly full, tasks
// are reserved and acked on, and puts are taken again by the same process.
func TestSmallDisk(t *testing.T) {
	t.Parallel()
	dir := mountAt(t, "-t", "tmpfs", "-o", "size=64m", "tmpfs")
	s := start(t, nil, "serve", "--data", filepath.Join(dir, "d"), "--http", "127.0.0.1:0")
	base := "http://" + s.addr()
	body := strings.Repeat("x", 256<<10)
	n := 0
	status, answer := 0, ""
	for ; n < 400; n++ {
		if status, answer = post(t, base+"/v1/queues/q/tasks", body); status != http.StatusOK &&
			status != http.StatusCreated {
			break
		}
	}
	if status != http.StatusInsufficientStorage || !strings.Contains(answer, `"storage_full"`) || n < 20 {
		t.Fatalf("put %d = %d %s; want 507 storage_full", n, status, answer)
	}
	env := []string{"GLASSQ_SERVER=" + base}
	for i := range n {
		if _, errs, code := invoke(t, "", env, "get", "--queue", "q"); code != 0 {
			t.Fatalf("get %d of %d: exit %d: %s", i, n, code, errs)
		}
	}
	for until := time.Now().Add(tooLong); ; <-time.After(100 * time.Millisecond) {
		if status, answer = post(t, base+"/v1/queues/q/tasks", "small"); status < 300 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("put long after the drain = %d %s", status, answer)
		}
	}
	if !strings.Contains(s.said(), "puts are refused") || !strings.Contains(s.said(), "puts are taken") {
		t.Errorf("the server said %s; want both changes", s.said())
	}
}

// TestOutOfInodes: a file system that has bytes and no inodes is told apart from one that is full,
// by the server that runs there, by a start, and by doctor; puts are taken again when there are
// some.
func TestOutOfInodes(t *testing.T) {
	t.Parallel()
	dir := mountAt(t, "-t", "tmpfs", "-o", "size=256m,nr_inodes=64", "tmpfs")
	s := start(t, nil, "serve", "--data", filepath.Join(dir, "d"), "--min-free", "0", "--http", "127.0.0.1:0")
	base := "http://" + s.addr()
	if status, answer := post(t, base+"/v1/queues/q/tasks", "one"); status >= 300 {
		t.Fatalf("put = %d %s", status, answer)
	}
	var made []string
	for i := range 100 {
		name := filepath.Join(dir, fmt.Sprint("other", i))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			break
		}
		made = append(made, name)
	}
	until := func(what string, ok func(status int, answer string) bool) {
		t.Helper()
		for end := time.Now().Add(tooLong); ; <-time.After(100 * time.Millisecond) {
			status, answer := post(t, base+"/v1/queues/q/tasks", "more")
			if ok(status, answer) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: put = %d %s", what, status, answer)
			}
		}
	}
	until("no inode is left", func(status int, answer string) bool {
		return status == http.StatusInsufficientStorage && strings.Contains(answer, "inodes")
	})
	env := []string{"GLASSQ_SERVER=" + base}
	if out, errs, code := invoke(t, "", env, "get", "--queue", "q"); code != 0 || !strings.Contains(out, "one") {
		t.Errorf("get: exit %d: %s%s", code, out, errs)
	}
	if _, errs, code := invoke(t, "", nil, "serve", "--data", filepath.Join(dir, "new"), "--http", "127.0.0.1:0"); code != exitStorage ||
		!strings.Contains(errs, "inodes") {
		t.Errorf("serve without an inode: exit %d: %s; want 8, and inodes", code, errs)
	}
	if out, _, _ := invoke(t, "", nil, "doctor", "--data", filepath.Join(dir, "d")); !strings.Contains(out, "inodes") {
		t.Errorf("doctor says %s; want inodes", out)
	}
	for _, name := range made {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	until("inodes are free again", func(status int, _ string) bool { return status < 300 })
	if !strings.Contains(s.said(), "out of inodes") {
		t.Errorf("the server said %s; want inodes", s.said())
	}
}

// TestDiskDies: the disk refuses everything from one moment on. The caller hears that the outcome
// is unknown, and the server ends with exit code 8.
func TestDiskDies(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 96<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", image).CombinedOutput(); err != nil {
		t.Skipf("needs mkfs.ext4: apt-get install e2fsprogs (%v %s)", err, out)
	}
	dir := mountAt(t, "-o", "loop", image)
	s := start(t, nil, "serve", "--data", filepath.Join(dir, "d"), "--http", "127.0.0.1:0")
	base := "http://" + s.addr()
	if status, answer := post(t, base+"/v1/queues/q/tasks", "kept"); status >= 300 {
		t.Fatalf("put = %d %s", status, answer)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	// Puts are under way all the time, or the server may see it first in a write of its own.
	failures := make(chan string, 4)
	for range cap(failures) {
		go func() { // ends with the first refusal
			for {
				if status, answer := post(t, base+"/v1/queues/q/tasks", "perhaps"); status >= 300 || status == 0 {
					failures <- fmt.Sprint(status, " ", answer)
					return
				}
			}
		}()
	}
	const shutdown, noFlush = 0x8004587d, 2
	err = unix.IoctlSetPointerInt(int(d.Fd()), shutdown, noFlush)
	d.Close()
	if err != nil {
		t.Skipf("left out: the file system cannot be shut down: %v", err)
	}
	told, all := false, ""
	for range cap(failures) {
		answer := <-failures
		all += answer + "\n"
		told = told || strings.HasPrefix(answer, "500 ") && strings.Contains(answer, "storage_failed") &&
			strings.Contains(answer, "outcome is unknown")
	}
	if !told {
		t.Errorf("puts on a dead disk = %s; want one with storage_failed, outcome unknown", all)
	}
	if code := s.ends(); code != exitStorage {
		t.Errorf("serve on a dead disk: exit %d, want 8: %s", code, s.said())
	}
	for _, do := range [][]string{{"umount", "-l", dir}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(do[0], do[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", do, err, out)
		}
	}
	s = start(t, nil, "serve", "--data", filepath.Join(dir, "d"), "--http", "127.0.0.1:0")
	out, errs, code := invoke(t, "", []string{"GLASSQ_SERVER=http://" + s.addr()}, "get", "--queue", "q")
	if code != 0 || !strings.Contains(out, "kept") {
		t.Errorf("after the disk is back: %q, exit %d: %s; want what was answered OK", out, code, errs)
	}
	s.kill()
}
