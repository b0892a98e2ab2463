package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq/internal/freeport"
)

// tooLong is how long nothing takes that comes to its end, on whatever machine: only what hangs is
// waited for so long.
const tooLong = 5 * time.Minute

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if len(os.Args) > 1 && os.Args[1] == "gomemcache" {
		return gomemcacheClient(os.Args[2:])
	}
	dir, err := os.MkdirTemp("", "glassq-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "glassq")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// environment is that of a process under test: nothing of whoever runs the tests, but env.
func environment(t *testing.T, env ...string) []string {
	var list []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GLASSQ_") && !strings.HasPrefix(v, "XDG_STATE_HOME=") &&
			!strings.HasPrefix(v, "XDG_CONFIG_HOME=") {
			list = append(list, v)
		}
	}
	// Servers of several tests run side by side, and only those that say so have this door.
	return append(append(list, "XDG_STATE_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "GLASSQ_MEMCACHED=off",
		"GLASSQ_MANAGER=off"), env...)
}

// invoke runs the program to its end.
func invoke(t *testing.T, stdin string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = environment(t, env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("glassq %q: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// invokeTo runs the program to its end with standard output to a file.
func invokeTo(t *testing.T, stdout *os.File, env []string, args ...string) (stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = environment(t, env...)
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("glassq %q: %v", args, err)
	}
	return errs.String(), cmd.ProcessState.ExitCode()
}

// A process runs until it ends or the test does.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	lines chan string // of standard output
	done  chan struct{}

	mu     sync.Mutex
	stderr strings.Builder
	found  chan struct{} // closed when first is set
	first  string        // first address on standard error
}

// start starts the program. Its standard output is read from lines, and must be.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startCommand(t, env, args[0], exec.Command(binary, args...))
}

// startWith is start with a standard input.
func startWith(t *testing.T, stdin *os.File, env []string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(binary, args...)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	return startCommand(t, env, args[0], cmd)
}

func startCommand(t *testing.T, env []string, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, lines: make(chan string),
		done: make(chan struct{}), found: make(chan struct{})}
	p.cmd.Env = environment(t, env...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pipes sync.WaitGroup
	pipes.Go(func() {
		defer close(p.lines)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			p.lines <- in.Text()
		}
	})
	pipes.Go(func() {
		for in := bufio.NewScanner(stderr); in.Scan(); {
			p.mu.Lock()
			fmt.Fprintln(&p.stderr, in.Text())
			p.mu.Unlock()
			if addr := localAddress.FindString(in.Text()); addr != "" && p.first == "" {
				p.first = addr
				close(p.found)
			}
		}
	})
	go func() { // ends with the process, which the cleanup ends
		pipes.Wait()
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, p.said())
		}
	})
	return p
}

var localAddress = regexp.MustCompile(`127\.0\.0\.1:[1-9][0-9]*`)

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// addr waits for the line that says where the process listens.
func (p *process) addr() string {
	p.t.Helper()
	select {
	case <-p.found:
		return p.first
	case <-p.done:
		p.t.Fatalf("%s ended before it listened: %s", p.name, p.said())
	case <-p.t.Context().Done():
		p.t.Fatal("no address")
	}
	return ""
}

// wait reads what is left of the output and returns the exit code.
func (p *process) wait() int {
	for range p.lines {
	}
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// ends waits for a process that is to end by itself soon, and returns the exit code.
func (p *process) ends() int {
	p.t.Helper()
	stuck := time.AfterFunc(tooLong, func() {
		p.t.Errorf("%s is still there after %v", p.name, tooLong)
		p.cmd.Process.Kill()
	})
	defer stuck.Stop()
	return p.wait()
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.wait()
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	addrs, err := freeport.Addresses(1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

// idOf is the id of a result line.
func idOf(t *testing.T, line string) string {
	t.Helper()
	id, _, ok := strings.Cut(strings.TrimPrefix(line, `{"id":"`), `"`)
	if !ok || !strings.HasPrefix(line, `{"id":"`) {
		t.Fatalf("line %q is no result", line)
	}
	return id
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
