//go:build unix

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A worker that leaves at once, at the second Ctrl-C, ends what it runs: its tasks are handed out
// again, and must not be at work twice.
func TestLeavingEndsCommands(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	for name, work := range map[string][]string{
		"exec": {"exec", "sh", "-c", `exec 3>"$UP"; echo up >&3; sleep 1000; true`},
		"pipe": {"pipe", "sh", "-c", `exec 3>"$UP"; echo up >&3; read line; sleep 1000; true`},
	} {
		t.Run(name, func(t *testing.T) {
			f := f.of(t)
			up := filepath.Join(t.TempDir(), "up")
			if err := syscall.Mkfifo(up, 0o600); err != nil {
				t.Fatal(err)
			}
			f.do(0, "put", "--queue", name, "x")
			args := append([]string{"work", work[0], "--queue", name, "-j", "1"}, work[1:]...)
			p := start(t, append([]string{"UP=" + up}, f.env...), args...)
			// It ends when no process has it open for writing any more.
			alive, err := os.Open(up)
			if err != nil {
				t.Fatal(err)
			}
			defer alive.Close()
			in := bufio.NewReader(alive)
			if line, err := in.ReadString('\n'); line != "up\n" {
				t.Fatalf("the command says %q, %v", line, err)
			}
			tick := time.NewTicker(50 * time.Millisecond) // signals that come close together are one
			defer tick.Stop()
			for running := true; running; {
				p.cmd.Process.Signal(os.Interrupt)
				select {
				case <-p.done:
					running = false
				case <-tick.C:
				}
			}
			if code := p.wait(); code != exitLeft {
				t.Errorf("exit %d, want %d", code, exitLeft)
			}
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("the command, which is over: %q, %v", rest, err)
			}
		})
	}
}

// A terminal that goes away is a first Ctrl-C: a worker gives back what it has.
func TestHangupDrains(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("left out: hangups are ignored here, as under nohup")
	}
	t.Parallel()
	f := newServerBed(t)
	f.do(0, "dispatch", "x{0}", "-n", "1", "--queue", "q", "--run", "h", "--quiet")
	p := start(t, f.env, "work", "exec", "--queue", "q", "-j", "1", "cat")
	f.do(0, "runs", "wait", "h")
	p.cmd.Process.Signal(syscall.SIGHUP)
	if code := p.wait(); code != 0 || !strings.Contains(p.said(), "draining") || !strings.Contains(p.said(), "done 1") {
		t.Errorf("exit %d after %s; want 0, drained", code, p.said())
	}
}

// Behind | head, a reader that has what it wanted, work is drained: no command runs twice, no
// result is lost.
func TestReaderGone(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	gone := func(t *testing.T, args ...string) string {
		t.Helper()
		said, code := invokeTo(t, w, f.env, args...)
		if code != exitInterrupted || !strings.Contains(said, "whoever read the output has closed it") {
			t.Errorf("glassq %q: exit %d, said %s; want 7 and why", args, code, said)
		}
		return said
	}
	t.Run("work exec", func(t *testing.T) {
		ran := filepath.Join(t.TempDir(), "ran")
		work := []string{"work", "exec", "--queue", "e", "-j", "2", "--until-done", "e", "--print", "sh", "-c",
			"echo out; echo $GLASSQ_TASK_ID >>" + ran}
		f.do(0, "dispatch", "x{0}", "-n", "200", "--queue", "e", "--run", "e", "--quiet")
		gone(t, work...)
		if q := f.queue("e"); q.Leased != 0 || q.Books.OK == 0 || q.Books.OK == 200 {
			t.Errorf("the queue has %d leased and %d done; want none leased, and some but not all done", q.Leased, q.Books.OK)
		}
		f.do(0, work...)
		text, err := os.ReadFile(ran)
		ids := strings.Fields(string(text))
		slices.Sort(ids)
		if n := len(ids); err != nil || n != 200 || len(slices.Compact(ids)) != 200 {
			t.Errorf("200 tasks ran %d times, %v", n, err)
		}
	})
	t.Run("output", func(t *testing.T) {
		gone(t, "output", "--run", "e", "--json")
		if out, _ := f.do(0, "output", "--run", "e", "--json"); strings.Count(out, "\n") != 200 {
			t.Errorf("a second output has %d results, want 200", strings.Count(out, "\n"))
		}
	})
	t.Run("run", func(t *testing.T) {
		target := start(t, nil, "target", "--listen", "127.0.0.1:0")
		said := gone(t, "run", "http://"+target.addr()+"/?q={0}", "-n", "300", "-c", "2", "--json")
		if !strings.Contains(said, "the queue is kept; go on with the same command and --data") {
			t.Errorf("run said %s; want which folder it left", said)
		}
	})
}

// TestFolderRemovedUnderServer: the data folder is removed while clients put through two doors.
// Nothing that is sent two seconds later is answered OK, the server says why and ends with exit
// code 8, and the folder is not made anew.
func TestFolderRemovedUnderServer(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "d")
	s := start(t, nil, "serve", "--data", data, "--http", "127.0.0.1:0", "--memcached", "127.0.0.1:0")
	on := func(door string) string { // each says so when it is open
		named := regexp.MustCompile(door + ` on (127\.0\.0\.1:\d+)`)
		for end := time.Now().Add(tooLong); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
			if m := named.FindStringSubmatch(s.said()); m != nil {
				return m[1]
			}
		}
		t.Fatalf("serve said %s; want where %s is", s.said(), door)
		return ""
	}
	base, door := "http://"+on("http"), on("memcached")
	var removed atomic.Int64 // ms; 0: not yet
	late := func(began time.Time) bool {
		at := removed.Load()
		return at > 0 && began.UnixMilli() > at+2000
	}
	begun := make(chan struct{}, 2)
	var clients sync.WaitGroup
	defer clients.Wait()
	clients.Go(func() {
		for n := 0; ; n++ {
			began := time.Now()
			r, err := http.Post(base+"/v1/queues/q/tasks", "text/plain", strings.NewReader(strings.Repeat("x", 64<<10)))
			if err != nil {
				return
			}
			r.Body.Close()
			if n == 0 {
				begun <- struct{}{}
			}
			if r.StatusCode < 300 && late(began) {
				t.Errorf("a put over HTTP is answered %s, %v after the folder was removed", r.Status,
					time.Duration(began.UnixMilli()-removed.Load())*time.Millisecond)
				return
			}
		}
	})
	clients.Go(func() {
		c, err := net.Dial("tcp", door)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		for n := 0; ; n++ {
			began := time.Now()
			if _, err := io.WriteString(c, "set q 0 0 5\r\nhello\r\n"); err != nil {
				return
			}
			answer, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if n == 0 {
				begun <- struct{}{}
			}
			if strings.HasPrefix(answer, "STORED") && late(began) {
				t.Error("a set is answered STORED after the folder was removed")
				return
			}
		}
	})
	<-begun
	<-begun
	for os.RemoveAll(data) != nil { // the server made a file in between
	}
	removed.Store(time.Now().UnixMilli())
	if code := s.ends(); code != exitStorage || !strings.Contains(s.said(), "removed") {
		t.Errorf("serve: exit %d: %s; want 8, and that its folder was removed", code, s.said())
	}
	clients.Wait()
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the folder is there again: %v", err)
	}
}
