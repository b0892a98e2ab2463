package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/worker"
)

// execMain is what the tests of Exec run.
func execMain(args []string) int {
	switch args[0] {
	case "cat":
		io.Copy(os.Stdout, os.Stdin)
	case "args":
		fmt.Printf("%q", args[1:])
	case "env":
		for _, name := range args[1:] {
			fmt.Printf("%s=%s;", name, os.Getenv(name))
		}
	case "say": // appends each argument as a line, and then prints the checkpoint that it was given
		f, _ := os.OpenFile(os.Getenv("GLASSQ_TASK_PROGRESS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		f.WriteString(strings.Join(args[1:], "\n"))
		f.Close()
		b, _ := os.ReadFile(os.Getenv("GLASSQ_TASK_CHECKPOINT"))
		os.Stdout.Write(b)
	case "exit":
		fmt.Fprint(os.Stderr, "bad luck")
		n, _ := strconv.Atoi(args[1])
		return n
	case "flood":
		os.Stdout.WriteString(strings.Repeat("é", 100_000))
	case "abort":
		p, _ := os.FindProcess(os.Getpid())
		p.Kill()
		hang()
	case "hang":
		hang()
	case "octets":
		os.Stdout.Write([]byte{0xff, 0})
	case "family": // a child of its own that outlives it, with its standard output
		exe, _ := os.Executable()
		cmd := exec.Command(exe, "child", "exec", "hang")
		cmd.Stdout = os.Stdout
		cmd.Start()
		fmt.Print(cmd.Process.Pid)
		if len(args) > 1 {
			hang()
		}
	}
	return 0
}

func newExec(t testing.TB, opt ExecOptions, args ...string) *Exec {
	t.Helper()
	opt.Command = childCommand(t, append([]string{"exec"}, args...)...)
	e, err := NewExec(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

type execOut struct {
	OK        int
	RT        float64
	Code, N   int
	Exit      *int
	Err, Msg  string
	Signal    string
	Stdout    string
	StdoutB64 string `json:"stdout_b64"`
	StdoutCut int    `json:"stdout_cut"`
	Stderr    string
	RU        *struct{ User, Sys, RSS float64 }
}

func parseOut(t testing.TB, record string) execOut {
	t.Helper()
	var r struct{ O execOut }
	if err := json.Unmarshal([]byte(record), &r); err != nil {
		t.Fatalf("record %s: %v", record, err)
	}
	return r.O
}

func TestExec(t *testing.T) {
	tests := []struct {
		name string
		opt  ExecOptions
		args []string
		body string
		ok   func(o execOut) bool
	}{
		{"standard input", ExecOptions{}, []string{"cat"}, "hello\n", func(o execOut) bool {
			return o.OK == 1 && o.Stdout == "hello\n" && o.N == 6 && *o.Exit == 0 && o.RT > 0 && o.RU != nil
		}},
		{"no input", ExecOptions{}, []string{"cat"}, "",
			func(o execOut) bool { return o.OK == 1 && o.Stdout == "" && o.N == 0 }},
		{"long input and output", ExecOptions{}, []string{"cat"}, strings.Repeat("x", 1<<20), func(o execOut) bool {
			return o.OK == 1 && o.N == 1<<20 && len(o.Stdout) == defaultCapture && o.StdoutCut == 1<<20-defaultCapture
		}},
		{"input that nobody reads", ExecOptions{}, []string{"args"}, strings.Repeat("x", 1<<20),
			func(o execOut) bool { return o.OK == 1 }},
		{"argument", ExecOptions{}, []string{"args", "{}", "-a={}.gz"}, `a "b" $(c); d`, func(o execOut) bool {
			return o.Stdout == `["a \"b\" $(c); d" "-a=a \"b\" $(c); d.gz"]`
		}},
		{"environment", ExecOptions{}, []string{"env", "GLASSQ_TASK_ID", "GLASSQ_TASK_RUN", "GLASSQ_TASK_N",
			"GLASSQ_TASK_ATTEMPT", "GLASSQ_TASK_BODY", "TRACEPARENT"}, "b",
			func(o execOut) bool {
				return o.Stdout == "GLASSQ_TASK_ID=r1/7;GLASSQ_TASK_RUN=r1;GLASSQ_TASK_N=7;GLASSQ_TASK_ATTEMPT=2;GLASSQ_TASK_BODY=b;TRACEPARENT=00-1-2-01;"
			}},
		{"exit status", ExecOptions{}, []string{"exit", "7"}, "", func(o execOut) bool {
			return o.OK == 0 && o.Code == 7 && *o.Exit == 7 && o.Err == "exit" && o.Msg == "exit status 7" &&
				o.Stderr == "bad luck"
		}},
		{"whole characters", ExecOptions{Capture: 9}, []string{"flood"}, "",
			func(o execOut) bool { return o.Stdout == "éééé" && o.StdoutCut == 200_000-8 }},
		{"no capture", ExecOptions{Capture: -1}, []string{"flood"}, "",
			func(o execOut) bool { return o.Stdout == "" && o.N == 200_000 && o.OK == 1 }},
		{"octets", ExecOptions{}, []string{"octets"}, "",
			func(o execOut) bool { return o.StdoutB64 == "/wA=" && o.Stdout == "" }},
		{"zero byte in an argument", ExecOptions{}, []string{"args", "{}"}, "a\x00b",
			func(o execOut) bool { return o.OK == 0 && o.Err == "bad_task" }},
		{"time-out", ExecOptions{Timeout: 50 * time.Millisecond}, []string{"hang"}, "", func(o execOut) bool {
			return o.OK == 0 && o.Err == "timeout" && o.Msg == "not done within 50ms"
		}},
	}
	if runtime.GOOS != "windows" {
		tests = append(tests, tests[0])
		tests[len(tests)-1].name, tests[len(tests)-1].args = "signal", []string{"abort"}
		tests[len(tests)-1].ok = func(o execOut) bool {
			return o.OK == 0 && o.Signal == "SIGKILL" && o.Err == "signal" && o.Exit == nil && o.Msg == "ended by SIGKILL"
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newExec(t, tt.opt, tt.args...)
			var r worker.Reply
			l := glassq.Lease{Task: glassq.Task{Queue: "q", Body: []byte(tt.body), Type: glassq.TypeText, Run: "r1",
				Position: 7, Dense: true,
				Headers: map[string]string{"traceparent": "00-1-2-01"}}, Number: 3, Attempt: 2}
			if err := e.Handler(0).Handle(t.Context(), &l, &r); err != nil {
				t.Fatal(err)
			}
			if !tt.ok(parseOut(t, string(r.Body))) {
				t.Errorf("got %.500s", r.Body)
			}
		})
	}
}

func TestExecRetries(t *testing.T) {
	e := newExec(t, ExecOptions{Retries: 1}, "exit", "1")
	if got, err := give(t.Context(), e.Handler(0), "", 1); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("first of two tries = %s, %v; want a nack that says why", got, err)
	}
	if got, err := give(t.Context(), e.Handler(0), "", 2); err != nil || parseOut(t, got).Err != "exit" {
		t.Errorf("second of two tries = %s, %v; want a result", got, err)
	}
}

func TestExecCancel(t *testing.T) {
	e := newExec(t, ExecOptions{}, "hang")
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	go func() {
		_, err := give(ctx, e.Handler(0), "", 1)
		errs <- err
	}()
	for e.count() == 0 {
	}
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("Handle with its context ended = %v", err)
	}
	go func() {
		_, err := give(t.Context(), e.Handler(0), "", 1)
		errs <- err
	}()
	for e.count() == 0 {
	}
	e.Kill()
	if nack, ok := errors.AsType[*worker.NackError](<-errs); !ok || !nack.Undone {
		t.Errorf("Handle after Kill = %v, want undone", nack)
	}
}

func (e *Exec) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.running)
}

// What a command has started and left behind does not hold the worker up, and a time-out ends it
// too.
func TestExecFamily(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("process groups are of unix")
	}
	got, err := give(t.Context(), newExec(t, ExecOptions{}, "family").Handler(0), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(parseOut(t, got).Stdout)
	if err != nil {
		t.Fatal(got)
	}
	p, _ := os.FindProcess(pid)
	if err := p.Kill(); err != nil {
		t.Errorf("the grandchild was ended without a time-out: %v", err)
	}
	for timeout := time.Second / 2; ; timeout *= 2 { // until the command has come so far as to say who its child is
		got, err = give(t.Context(), newExec(t, ExecOptions{Timeout: timeout}, "family", "stay").Handler(0), "", 1)
		if err != nil {
			t.Fatal(err)
		}
		o := parseOut(t, got)
		if o.Err != "timeout" {
			t.Fatal(got)
		}
		if pid, err = strconv.Atoi(o.Stdout); err == nil {
			break
		}
	}
	for alive(pid) { // the whole group was told; nobody reaps the grandchild but init
		time.Sleep(time.Millisecond)
	}
}

// alive reports whether the process runs; a dead one that nobody has waited for does not.
func alive(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func TestExecShell(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs sh: a POSIX shell")
	}
	tests := []struct{ name, text, body, want string }{
		{"input", "tr a-z A-Z", "hello", "HELLO"},
		{"words", "printf '<%s>' {} x", "a b; echo $HOME `id` \"'", "<a b; echo $HOME `id` \"'><x>"},
		{"in quotes nothing runs", `printf '<%s>' "{}"`, "$(echo bad)", "<$(echo bad)>"},
		{"environment", `printf '<%s>' "$GLASSQ_TASK_BODY"`, "a  b", "<a  b>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := NewExec(ExecOptions{Command: []string{tt.text}, Shell: true})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			got, err := give(t.Context(), e.Handler(0), tt.body, 1)
			if o := parseOut(t, got); err != nil || o.Stdout != tt.want {
				t.Errorf("sh -c %q with %q printed %q, %v; want %q", tt.text, tt.body, o.Stdout, err, tt.want)
			}
		})
	}
}

func TestExecOptions(t *testing.T) {
	for _, opt := range []ExecOptions{
		{}, {Command: []string{"no-such-command-anywhere"}}, {Command: []string{"{}"}}, {Shell: true, Command: []string{" "}},
		{Command: []string{os.Args[0]}, Timeout: -1}, {Command: []string{os.Args[0]}, Capture: 1 << 30},
	} {
		if _, err := NewExec(opt); err == nil {
			t.Errorf("NewExec(%+v) is fine, want an error", opt)
		}
	}
}

func TestJoblog(t *testing.T) {
	var b bytes.Buffer
	log := NewJoblog(&b, false)
	e := newExec(t, ExecOptions{Joblog: log, Worker: "w"}, "exit", "7")
	if _, err := give(t.Context(), e.Handler(0), "body", 1); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	fields := strings.Split(lines[1], "\t")
	if lines[0] != "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand" || len(fields) != 9 ||
		fields[0] != "1" || fields[1] != "w" || fields[4] != "4" || fields[6] != "7" || fields[7] != "0" ||
		!strings.HasSuffix(fields[8], "exec exit 7") {
		t.Errorf("job log %q", b.String())
	}
}

// TestLateOutput: what a process wrote is in its result, though the worker comes to it after the time
// that it waits for what others hold open.
func TestLateOutput(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("pipes have no deadlines there")
	}
	out, w, err := outPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer w.Close() // held open, as by what the process left behind
	for _, size := range []int{0, 10, 10_000} {
		if _, err := w.WriteString(strings.Repeat("x", size)); err != nil {
			t.Fatal(err)
		}
		if err := out.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		var c capture
		c.reset(100)
		c.read(out)
		if c.n != int64(size) || len(c.kept) != min(size, 100) {
			t.Errorf("of %d bytes %d were counted and %d kept", size, c.n, len(c.kept))
		}
	}
}

// TestJoblogShared: a line is one write, however long, so that two workers may append to one file.
func TestJoblogShared(t *testing.T) {
	var w writes
	log := NewJoblog(&w, false)
	for range 2 {
		log.add(jobLine{lease: &glassq.Lease{}, command: []string{"echo", strings.Repeat("x", 100_000)}})
	}
	if err := log.Close(); err != nil || len(w) != 3 ||
		slices.ContainsFunc(w, func(s string) bool { return !strings.HasSuffix(s, "\n") }) {
		t.Errorf("a head and two lines are %d writes, %v; want 3 that end a line", len(w), err)
	}
}

type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestHalt(t *testing.T) {
	tests := []struct {
		rule string
		seen string // o and f
		at   int    // reached after that many, 0 never
		now  bool
	}{
		{"never", "ffff", 0, false}, {"", "ffff", 0, false},
		{"soon,fail=1", "oof", 3, false}, {"now,fail=2", "fof", 3, true},
		{"soon,success=2", "ofo", 3, false}, {"now,done=3", "ofo", 3, true},
		{"soon,fail=50%", "ffo", 3, false}, {"soon,fail=40%", "ooooff", 0, false}, {"soon,fail=30%", "ooof", 0,
			false}, {"soon,fail=25%", "ooof", 4, false},
	}
	for _, tt := range tests {
		h, err := ParseHalt(tt.rule)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for i, c := range tt.seen {
			h.note(c == 'o')
			select {
			case <-h.Reached():
				if at == 0 {
					at = i + 1
				}
			default:
			}
		}
		if at != tt.at || h.Now() != tt.now {
			t.Errorf("--halt %q with %s: reached after %d, now %v; want %d, %v", tt.rule, tt.seen, at, h.Now(), tt.at, tt.now)
		}
	}
	for _, bad := range []string{"x", "soon", "soon,fail", "soon,fail=0", "soon,fail=101%", "later,fail=1",
		"soon,lost=1", "now,fail=x"} {
		if _, err := ParseHalt(bad); err == nil {
			t.Errorf("ParseHalt(%q) is fine", bad)
		}
	}
}

func TestPrinter(t *testing.T) {
	leases := func(n ...uint64) (l []glassq.Lease) {
		for _, n := range n {
			l = append(l, glassq.Lease{Number: n})
		}
		return
	}
	var b bytes.Buffer
	p := NewPrinter(&b, true, true, nil)
	p.Taken(leases(1, 2, 3))
	p.Taken(leases(4, 5))
	p.set(3, []byte("c"), []byte("3"))
	p.release(3)
	p.set(2, []byte("b\nb\t"), []byte("2\n22\n"))
	p.release(2)
	if b.Len() != 0 {
		t.Errorf("%q printed before the first task ended", b.String())
	}
	p.set(1, []byte("a"), []byte("1\n"))
	p.release(1)
	p.set(5, []byte("e"), []byte("5\n"))
	p.release(5)
	p.Given(4)
	p.Given(99)
	if got, want := b.String(), "a\t1\nb\\nb\\t\t2\nb\\nb\\t\t22\nc\t3\ne\t5\n"; got != want || p.Err() != nil ||
		len(p.order)+len(p.ready)+len(p.ended)+p.held != 0 {
		t.Errorf("printed %q, want %q; %+v", got, want, p)
	}
}

// TestPrinterBounds: the tag of many short lines costs no memory, however long the task's body is.
func TestPrinterBounds(t *testing.T) {
	body, out := bytes.Repeat([]byte("b"), 4<<20), bytes.Repeat([]byte("\n"), 100_000)
	for _, keep := range []bool{false, true} {
		var n counted
		p := NewPrinter(&n, true, keep, nil)
		p.Taken([]glassq.Lease{{Number: 1}})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p.set(1, body, out)
		p.release(1)
		runtime.ReadMemStats(&after)
		if want := 100_000 * (maxTag + 2); int(n) != want || p.Err() != nil {
			t.Errorf("keep %v: %d bytes printed, %v; want %d", keep, n, p.Err(), want)
		}
		if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 8 {
			t.Errorf("keep %v: %d MiB allocated", keep, used)
		}
	}
}

type counted int

func (c *counted) Write(b []byte) (int, error) {
	*c += counted(len(b))
	return len(b), nil
}

// TestManyHoles: a command that names the body many times is refused before it is made.
func TestManyHoles(t *testing.T) {
	e, err := NewExec(ExecOptions{Command: []string{"true", strings.Repeat("{}", 10_000)}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	body := strings.Repeat("x", 1<<20)
	var r worker.Reply
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = e.Handler(0).Handle(t.Context(), &glassq.Lease{Task: glassq.Task{Body: []byte(body), Type: glassq.TypeText}}, &r)
	runtime.ReadMemStats(&after)
	if err != nil || !bytes.Contains(r.Body, []byte("too long for an argument")) {
		t.Errorf("%.300s, %v; want a bad task", r.Body[max(0, len(r.Body)-300):], err)
	}
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 32 {
		t.Errorf("%d MiB allocated", used)
	}
}
