package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// env is what every setting gets: a folder of its own, and what was built or found.
type env struct {
	ctx context.Context
	dir string // removed at the end
}

// A server is what runs of a setting: a process with its children, and maybe one that it needs beside it.
type server struct {
	addr   string // that clients connect to
	procs  []*exec.Cmd
	output *tail
	pool   any // of a client library that has one for all connections
	close  func()
}

// run starts a program as part of the server. Its output is kept for when it fails.
func (s *server) run(dir string, extra []string, name string, args ...string) error {
	return s.as(nil, dir, extra, name, args...)
}

func (s *server) as(user *syscall.Credential, dir string, extra []string, name string, args ...string) error {
	if s.output == nil {
		s.output = &tail{}
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, s.output, s.output
	cmd.Env = append(os.Environ(), extra...)
	cmd.WaitDelay = 2 * time.Second // a child may hold the output longer
	// A server ends with this program even if that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: user}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.procs = append(s.procs, cmd)
	return nil
}

// kill ends the server and its children at once, as a crash does, and waits until they are gone.
func (s *server) kill() {
	if s.close != nil {
		s.close()
		s.close = nil
	}
	var pids []int
	for _, cmd := range s.procs {
		pids = append(pids, tree(cmd.Process.Pid)...)
	}
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, cmd := range s.procs {
		cmd.Wait()
	}
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		if !slices.ContainsFunc(pids, alive) {
			break
		}
	}
	s.procs = nil
}

// said is the end of what the server printed, for an error.
func (s *server) said() string {
	if s == nil || s.output == nil {
		return ""
	}
	return s.output.String()
}

// tree is a process and all below it.
func tree(pid int) []int {
	children := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range dirs {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		at := bytes.LastIndexByte(text, ')') // the name before it may have spaces
		f := strings.Fields(string(text[at+1:]))
		if at < 0 || len(f) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(f[1])
		child, _ := strconv.Atoi(strings.Split(path, "/")[2])
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	at := bytes.LastIndexByte(text, ')')
	return at < 0 || !bytes.HasPrefix(text[at+1:], []byte(" Z")) // one that is dead and not waited for
}

// memory is what the server and its children hold, in bytes: what they share counts once (PSS).
func (s *server) memory() (sum int64) {
	for _, cmd := range s.procs {
		for _, pid := range tree(cmd.Process.Pid) {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(text)) {
				if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
					kb, _ := strconv.ParseInt(f[1], 10, 64)
					sum += kb << 10
				}
			}
		}
	}
	return sum
}

func blocks(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// freeAddr is an address on loopback that nothing listens on.
func freeAddr() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("peers: loopback has no free port: " + err.Error())
	}
	defer ln.Close()
	return ln.Addr().String()
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// A tail keeps the last few KiB of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte // under mu
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > 2<<10 {
		t.text = append(t.text[:0], t.text[len(t.text)-1<<10:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.text) == 0 {
		return ""
	}
	return "\n    it said: " + strings.ReplaceAll(strings.TrimSpace(string(t.text)), "\n", "\n    ")
}

// busy is the share of the processors that other programs use, over a second in which this one does nothing.
func busy(ctx context.Context) (float64, error) {
	read := func() (used, all float64, err error) {
		text, err := os.ReadFile("/proc/stat")
		if err != nil {
			return 0, 0, fmt.Errorf("these rows need Linux: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		for i, f := range strings.Fields(line)[1:9] {
			v, _ := strconv.ParseFloat(f, 64)
			all += v
			if i != 3 && i != 4 { // idle, waiting for a disk
				used += v
			}
		}
		return used, all, nil
	}
	used, all, err := read()
	if err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(time.Second):
	}
	used2, all2, err := read()
	return (used2 - used) / max(1, all2-all), err
}

// bareSync is the time of pwrite + fdatasync of 4 KiB in a preallocated file.
func (e *env) bareSync() (p50, p99 time.Duration, err error) {
	f, err := os.CreateTemp(e.dir, "bare")
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const times = 500
	block := make([]byte, 4096)
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, times*4096); err != nil {
		return 0, 0, err
	}
	took := make([]time.Duration, times)
	for i := range took {
		began := time.Now()
		if _, err := f.WriteAt(block, int64(i)*4096); err != nil {
			return 0, 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[times/2], took[times*99/100], nil
}
