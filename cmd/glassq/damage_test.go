package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// ask sends a request with a JSON body, if there is one, and returns the answer.
func ask(t *testing.T, method, url, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s = %s %s, %v", method, url, resp.Status, b, err)
	}
	return string(b)
}

// damage flips a bit of text in one of the segments in dir and returns the file's name and new
// content.
func damage(t *testing.T, dir, text string) (name string, data []byte) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "segment-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range segments {
		if data, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(data, []byte(text)); i >= 0 {
			data[i] ^= 4
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return filepath.Base(path), data
		}
	}
	t.Fatalf("no segment of %q has %q", segments, text)
	return "", nil
}

// TestRepairDamaged is what a person lives through whose disk has lost a bit: the server refuses to
// start and says where and what to do, repair shows what can be kept, --salvage makes a folder of
// it beside the untouched original, the server starts there, and the books of the run lack what was
// lost, which the same dispatch puts again.
func TestRepairDamaged(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "d")
	s := start(t, nil, "serve", "--data", data, "--http", "127.0.0.1:0")
	base := "http://" + s.addr()
	ask(t, "POST", base+"/v1/runs/r1", `{"sealed":true,"total":10}`)
	for n := range 10 { // a frame for each
		ask(t, "POST", base+"/v1/queues/q/tasks", fmt.Sprintf(`{"run":"r1","n":%d,"body":"body-%d of ten"}`, n, n))
	}
	s.kill() // no checkpoint: the next start has to read all of it
	file, damaged := damage(t, data, "body-4 of ten")

	serve := []string{"serve", "--data", data, "--http", "127.0.0.1:0"}
	_, errs, code := invoke(t, "", nil, serve...)
	if code != exitStorage {
		t.Errorf("serve on damaged data: exit %d: %s; want 8", code, errs)
	}
	for _, part := range []string{data, file, "byte ", "positions ", " to ", "queues that may be affected: q",
		"nothing was changed", "glassq repair"} {
		if !strings.Contains(errs, part) {
			t.Errorf("serve on damaged data says %q; lacks %q", errs, part)
		}
	}
	out, errs, code := invoke(t, "", nil, "repair", "--data", data)
	if code != exitStorage || !strings.Contains(out, "lost     "+file) ||
		!strings.Contains(out, "kept     queue q: 4 tasks") ||
		!strings.Contains(out, "again    queue q: 5 tasks") || !strings.Contains(out, "undone   what was done after the damage") || !strings.Contains(out, "run r1: put 4") ||
		!strings.Contains(errs, "--salvage") {
		t.Errorf("repair: exit %d: %s%s; want 8, 4 kept and 5 again", code, out, errs)
	}
	if now, err := os.ReadFile(filepath.Join(data, file)); err != nil || !bytes.Equal(now, damaged) {
		t.Errorf("repair changed %s, %v", file, err)
	}
	out, errs, code = invoke(t, "", nil, "repair", "--data", data, "--salvage")
	if code != 0 || !strings.Contains(out, "salvaged into "+data) {
		t.Fatalf("repair --salvage: exit %d: %s%s", code, out, errs)
	}
	kept, _ := filepath.Glob(data + ".damaged-*")
	if len(kept) != 1 || !strings.Contains(out, kept[0]) {
		t.Fatalf("repair --salvage said %q; the original is %q", out, kept)
	}
	if now, err := os.ReadFile(filepath.Join(kept[0], file)); err != nil || !bytes.Equal(now, damaged) {
		t.Errorf("the original is not as it was: %v", err)
	}
	if out, errs, code := invoke(t, "", nil, "repair", "--data", data); code != 0 ||
		!strings.Contains(out, "nothing is damaged: 9 tasks in 1 queue") {
		t.Errorf("repair of what was salvaged: exit %d: %s%s", code, out, errs)
	}

	s = start(t, nil, serve...)
	base = "http://" + s.addr()
	if got := ask(t, "GET", base+"/v1/runs/r1/ids?state=put", ""); !strings.Contains(got, "[[0,3],[5,9]]") {
		t.Errorf("put positions after the salvage: %s; want all but 4", got)
	}
	if got := ask(t, "GET", base+"/v1/runs/r1", ""); !strings.Contains(got, `"total":10`) ||
		!strings.Contains(got, `"put":9`) {
		t.Errorf("books after the salvage: %s; want 9 of 10", got)
	}
	for n := range 10 {
		ask(t, "POST", base+"/v1/queues/q/tasks", fmt.Sprintf(`{"run":"r1","n":%d,"body":"body-%d of ten"}`, n, n))
	}
	seen := map[string]bool{}
	env := []string{"GLASSQ_SERVER=" + base}
	for range 10 {
		out, errs, code := invoke(t, "", env, "get", "--queue", "q")
		if code != 0 {
			t.Fatalf("get: exit %d: %s", code, errs)
		}
		seen[strings.TrimSpace(out)] = true
	}
	if len(seen) != 10 {
		t.Errorf("after the lost one was put again: %v; want each of ten once", seen)
	}
}

// TestUnfitFolders: folders that no server can or may use end with one sentence that says what to
// do.
func TestUnfitFolders(t *testing.T) {
	t.Parallel()
	whole := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "d")
		s := start(t, nil, "serve", "--data", dir, "--http", "127.0.0.1:0")
		ask(t, "POST", "http://"+s.addr()+"/v1/queues/q/tasks", `{"body":"one"}`)
		s.kill()
		return dir
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		code  int
		parts []string
	}{
		{"a newer format", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "format"), "glassq-wal 9 something newer\n")
		}, exitStorage, []string{"newer server", "format is 9", "use the newer program", "nothing was changed"}},
		{"a format file that is none", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "format"), "not a log\n")
		}, exitStorage, []string{"format", "damaged", "nothing was changed", "backup"}},
		{"a folder that may not be written", func(t *testing.T, dir string) {
			if os.Geteuid() == 0 || runtime.GOOS == "windows" {
				t.Skip("left out: not as root, who may write anywhere")
			}
			if err := os.Chmod(dir, 0o500); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(dir, 0o700) })
		}, exitUsage, []string{"permission denied", "name another --data"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := whole(t)
			tt.spoil(t, dir)
			before := listing(t, dir)
			_, errs, code := invoke(t, "", nil, "serve", "--data", dir, "--http", "127.0.0.1:0")
			if code != tt.code {
				t.Errorf("serve: exit %d: %s; want %d", code, errs, tt.code)
			}
			for _, part := range append(tt.parts, dir) {
				if !strings.Contains(errs, part) {
					t.Errorf("serve says %q; lacks %q", errs, part)
				}
			}
			if after := listing(t, dir); after != before {
				t.Errorf("a refused start changed the folder from %s to %s", before, after)
			}
		})
	}
}

// listing is the names and sizes of what is in a folder.
func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %d, ", e.Name(), info.Size())
	}
	return b.String()
}

// TestRepairUnread: a start takes a store whose rotten bodies lie before its checkpoint, and repair
// says what is lost of it all the same.
func TestRepairUnread(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "d")
	s := start(t, nil, "serve", "--data", data, "--http", "127.0.0.1:0")
	for n := range 3 {
		ask(t, "POST", "http://"+s.addr()+"/v1/queues/q/tasks", fmt.Sprintf(`{"body":"body-%d of three"}`, n))
	}
	s.cmd.Process.Signal(os.Interrupt)
	if code := s.ends(); code != 0 {
		t.Fatalf("serve ended with %d: %s", code, s.said())
	}
	file, damaged := damage(t, data, "body-1 of three")
	for _, args := range [][]string{{"repair", "--data", data}, {"repair", "--data", data, "--salvage"}} {
		out, errs, code := invoke(t, "", nil, args...)
		if code != exitStorage || !strings.Contains(out, "takes it: 3 tasks in 1 queue") ||
			!strings.Contains(out, "lost     the bodies of 1 task: "+file) || !strings.Contains(errs, "goes dead") {
			t.Errorf("%q: exit %d: %s%s; want 8, and that one body is lost", args, code, out, errs)
		}
	}
	if now, err := os.ReadFile(filepath.Join(data, file)); err != nil || !bytes.Equal(now, damaged) {
		t.Errorf("repair changed %s, %v", file, err)
	}
	if out, _, code := invoke(t, "", nil, "repair", "--data", data, "--json"); code != exitStorage ||
		!strings.Contains(out, `"damaged":true`) || !strings.Contains(out, `"bodies_lost":1`) {
		t.Errorf("repair --json: exit %d: %s", code, out)
	}
}
