//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
)

// A pythonClient is manager_modes.py in one mode.
type pythonClient struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Reader
	in  io.Closer
}

func mode(t *testing.T, path, addr, mode string) *pythonClient {
	t.Helper()
	p := &pythonClient{t: t, cmd: python(t, path, addr, "testdata/manager_modes.py", mode)}
	p.start()
	return p
}

func (p *pythonClient) start() {
	t := p.t
	t.Helper()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
}

// says reads a line.
func (p *pythonClient) says(want string) {
	p.t.Helper()
	if line, err := p.out.ReadString('\n'); strings.TrimSpace(line) != want {
		p.t.Fatalf("%s printed %q, %v; want %q", p.cmd.Args, line, err, want)
	}
}

func (p *pythonClient) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func putText(t *testing.T, c *client.Client, body string) {
	t.Helper()
	if _, err := c.Put(t.Context(), []glassq.Task{{Queue: "tasks", Type: glassq.TypeText,
		Body: []byte(body)}}); err != nil {
		t.Error(err)
	}
}

// next takes the next task, which must be body; attempt 0 is any.
func next(t *testing.T, c *client.Client, body string, attempt int) {
	t.Helper()
	l, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "tasks", Wait: tooLong})
	if err != nil || len(l) != 1 || string(l[0].Body) != body || attempt != 0 && l[0].Attempt != attempt {
		t.Fatalf("next task = %+v, %v; want %s at attempt %d", l, err, body, attempt)
	}
	if errs, err := c.Ack(t.Context(), []glassq.Ack{{Token: l[0].Token()}}); err != nil || errs[0] != nil {
		t.Fatal(errs, err)
	}
}

func waits(q glassq.QueueInfo) bool { return q.Waiters == 1 }
func gone(q glassq.QueueInfo) bool  { return q.Ready+q.Leased == 0 && q.Waiters == 0 }

// TestManagerEnds: the ways in which a client can end, in every Python found.
func TestManagerEnds(t *testing.T) {
	t.Parallel()
	all := pythons(t)
	addr, c := managerServer(t)
	for _, path := range all {
		name := filepath.Base(filepath.Dir(filepath.Dir(path)))
		t.Run(name, func(t *testing.T) {
			// Killed while it waits in get: what comes then is there for others.
			p := mode(t, path, addr, "wait")
			p.says("ready")
			settled(t, c, "tasks", waits)
			p.kill()
			settled(t, c, "tasks", gone)
			putText(t, c, "a")
			next(t, c, "a", 1)

			// Killed with the reply in its socket, unread.
			p = mode(t, path, addr, "wait")
			p.says("ready")
			settled(t, c, "tasks", waits)
			if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			putText(t, c, "b")
			settled(t, c, "tasks", func(q glassq.QueueInfo) bool { return q.Leased == 1 })
			p.kill()
			next(t, c, "b", 1)

			// At work, by os._exit: it had read the item.
			putText(t, c, "c")
			p = mode(t, path, addr, "die")
			p.says("c")
			p.cmd.Wait()
			next(t, c, "c", 2)

			// A normal exit, an exception, and proxies that are dropped release the item.
			for _, how := range []string{"exit", "raise", "drop"} {
				putText(t, c, how)
				p = mode(t, path, addr, how)
				p.says(how)
				settled(t, c, "tasks", gone)
				p.in.Close()
				p.cmd.Wait()
			}

			// A child that ends well lets go of one reference of several: nobody can tell whose.
			putText(t, c, "child")
			p = mode(t, path, addr, "fork")
			p.says("child")
			p.says("child")
			p.cmd.Wait()
			next(t, c, "child", 3)
			settled(t, c, "tasks", gone)

			// A wrong key, and the door goes on.
			wrong := python(t, path, addr, "testdata/manager_modes.py", "wrong")
			wrong.Env = append(wrong.Env, "MANAGER_KEY=other")
			if out, err := wrong.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "refused" {
				t.Errorf("with a wrong key: %s, %v; want refused", out, err)
			}
			if out := mustPython(t, path, addr, "testdata/manager_modes.py", "threads"); strings.TrimSpace(out) != "80" {
				t.Errorf("4 threads with 20 connections each: qsize %s; want 80", out)
			}
			if n, err := c.Purge(t.Context(), "tasks"); n != 80 || err != nil {
				t.Errorf("purged %d, %v; want 80", n, err)
			}
		})
	}
}

// TestManagerRaces: a put and the end of the getter at the same moment, 20 times: nothing is lost.
func TestManagerRaces(t *testing.T) {
	t.Parallel()
	all := pythons(t)
	addr, c := managerServer(t)
	for i := range 20 {
		p := mode(t, all[i%len(all)], addr, "wait")
		p.says("ready")
		if i%2 == 0 {
			settled(t, c, "tasks", waits) // else it may not have called yet
		}
		body := fmt.Sprint("task ", i)
		var both sync.WaitGroup
		both.Go(func() { putText(t, c, body) })
		both.Go(p.kill)
		both.Wait()
		next(t, c, body, 0)
	}
	settled(t, c, "tasks", gone)
}

// TestManagerDelivery: when an item is done is what serve --manager-delivery says.
func TestManagerDelivery(t *testing.T) {
	t.Parallel()
	all := pythons(t)
	for _, tt := range []struct {
		policy, mode string
		items        []string
		back         string // the item that is handed out again; "" for none
	}{
		{"on_read", "die", []string{"a"}, ""},
		{"strict", "exit", []string{"a"}, "a"},
		{"on_task_done", "exit", []string{"a"}, "a"},
		{"tasks=on_task_done,strict", "done", []string{"a", "b"}, "b"},
	} {
		addr := freeAddress(t)
		c, _ := serveManager(t, addr, "--manager-delivery", tt.policy)
		for _, path := range all {
			for _, item := range tt.items {
				putText(t, c, item)
			}
			if out := mustPython(t, path, addr, "testdata/manager_modes.py", tt.mode); strings.Fields(out)[0] != tt.items[0] {
				t.Fatalf("%s, %s, %s: got %s; want %v", path, tt.policy, tt.mode, out, tt.items)
			}
			if tt.back != "" {
				next(t, c, tt.back, 2)
			}
			settled(t, c, "tasks", gone)
		}
	}
}

// TestManagerOpaque: instances of a program's own classes pass in a queue that allows it.
func TestManagerOpaque(t *testing.T) {
	t.Parallel()
	all := pythons(t)
	addr := freeAddress(t)
	_, env := serveManager(t, addr)
	out, errs, code := invoke(t, "", env, "queue", "set", "tasks", "--opaque")
	if code != 0 || !strings.HasSuffix(out, ", opaque\n") {
		t.Fatalf("queue set --opaque: %q, exit %d (%s); want the settings with opaque", out, code, errs)
	}
	for _, path := range all {
		if out := mustPython(t, path, addr, "testdata/manager_modes.py", "opaque"); strings.TrimSpace(out) != "same" {
			t.Errorf("%s: %s", path, out)
		}
	}
}

// TestManagerSocket: the door on a Unix socket, which outlives a killed server.
func TestManagerSocket(t *testing.T) {
	t.Parallel()
	all := pythons(t)
	path := filepath.Join(t.TempDir(), "s")
	for range 2 {
		dir := t.TempDir()
		s := start(t, nil, "serve", "--data", filepath.Join(dir, "d"), "--sync", "interval", "--http", "127.0.0.1:0",
			"--manager", path, "--key-file", write(t, filepath.Join(dir, "key"), "secret"))
		s.addr()
		for _, p := range all {
			if out := mustPython(t, p, path, "testdata/manager_modes.py", "once"); strings.TrimSpace(out) != "same" {
				t.Errorf("%s: %s", p, out)
			}
		}
		_, errs, code := invoke(t, "", nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0", "--manager", path,
			"--key-file", filepath.Join(dir, "key"))
		if code != exitUnexpected || !strings.Contains(errs, "another program listens there") {
			t.Errorf("a second server on the socket: exit %d: %s", code, errs)
		}
		s.kill() // and the socket is left behind
	}
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "file"), "mine")
	_, errs, code := invoke(t, "", nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0", "--manager", file,
		"--key-file", file)
	if code != exitUnexpected || !strings.Contains(errs, "is not a socket") {
		t.Errorf("a file instead of a socket: exit %d: %s", code, errs)
	}
}
