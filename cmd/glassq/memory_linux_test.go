package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/glassq/glassq/internal/door"
)

// inCgroup makes a cgroup whose processes have limit bytes, and returns the file that takes them
// in; "" where the machine does not allow that. It goes with the test, when they have ended.
func inCgroup(t *testing.T, limit int64) (procs string) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(own)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		var dir, file string
		switch {
		case len(part) == 3 && part[1] == "memory":
			dir, file = filepath.Join("/sys/fs/cgroup/memory", part[2]), "memory.limit_in_bytes"
		case len(part) == 3 && part[0] == "0":
			dir, file = filepath.Join("/sys/fs/cgroup", part[2]), "memory.max"
		default:
			continue
		}
		dir = filepath.Join(dir, fmt.Sprint("glassq-test-", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		if os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(limit, 10)), 0o644) == nil {
			return filepath.Join(dir, "cgroup.procs")
		}
	}
	return ""
}

// peak is the most memory that a process has had, in bytes.
func peak(t *testing.T, pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// TestLittleMemory: with the least memory a server takes eight puts of 15 MB at once, and serves
// others while ten clients of two doors do not read what they have asked for; what was handed out
// to them is given back.
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	const limit = door.LeastMemory
	args := []string{binary, "serve", "--data", filepath.Join(t.TempDir(), "d"), "--http", "127.0.0.1:0",
		"--memcached", "127.0.0.1:0", "--sync", "never"}
	cmd := exec.Command("env", append([]string{"GOMEMLIMIT=" + strconv.Itoa(limit/100*ofCgroup) + "B"}, args...)...)
	if procs := inCgroup(t, limit); procs != "" {
		cmd = exec.Command("sh", append([]string{"-c", `echo $$ >"$0" && exec "$@"`, procs}, args...)...)
	} else {
		t.Log("this machine lets the test make no cgroup; GOMEMLIMIT has to do")
	}
	s := startCommand(t, nil, "serve", cmd)
	base := "http://" + s.addr()
	body := bytes.Repeat([]byte("0123456789abcde"), 1<<20)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			resp, err := http.Post(base+"/v1/queues/q/tasks", "application/octet-stream", bytes.NewReader(body))
			if err != nil {
				t.Errorf("put %d: %v; the server said %s", i, err, s.said())
				return
			}
			said, _ := io.ReadAll(resp.Body)
			if resp.Body.Close(); resp.StatusCode != http.StatusOK {
				t.Errorf("put %d: %s: %s", i, resp.Status, said)
			}
		})
	}
	all.Wait()
	lines := memcachedAddress.FindStringSubmatch(s.said())
	if lines == nil {
		t.Fatal("no memcached door")
	}
	asks := []struct{ addr, text string }{
		{s.addr(), "GET /v1/queues/q/peek?max=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{lines[1], "gets q/open/lease=3600000\r\n"},
	}
	var deaf []net.Conn
	for i := range 10 {
		nc, err := net.Dial("tcp", asks[i%2].addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		io.WriteString(nc, asks[i%2].text)
		deaf = append(deaf, nc)
	}
	for i := range 8 {
		if i == 6 { // the room for large answers is that of two: the last of them need not go for the sake of others
			for _, nc := range deaf {
				nc.Close()
			}
		}
		if got := ask(t, "POST", base+"/v1/queues/q/reserve?take=true&wait=1m", ""); len(got) < len(body) {
			t.Fatalf("reserve %d has %d bytes", i, len(got))
		}
	}
	if !strings.Contains(s.said(), "read its answer too slowly") {
		t.Errorf("of the readers that were cut the server said nothing: %s", s.said())
	}
	if most := peak(t, s.cmd.Process.Pid); most > limit/4*5 {
		t.Errorf("the server had %d MiB at most; want at most about %d", most>>20, limit>>20)
	} else {
		t.Logf("the server had %d MiB at most", most>>20)
	}
}

var memcachedAddress = regexp.MustCompile(`memcached on (127\.0\.0\.1:[0-9]+)`)

// TestTooLittleMemory: a server that has less than the least says so.
func TestTooLittleMemory(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"GOMEMLIMIT=100MiB"}, "serve", "--store", "mem:", "--http", "127.0.0.1:0")
	s.addr()
	if want := "GOMEMLIMIT lets this process have 100MiB of memory, and it needs 256MiB"; !strings.Contains(s.said(), want) {
		t.Errorf("serve said %s; want %s", s.said(), want)
	}
}
