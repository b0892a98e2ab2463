package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// newFarm is a testbed without a target, for commands of a POSIX shell.
func newFarm(t *testing.T) *testbed {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("left out: unix only (the commands are those of a POSIX shell)")
	}
	return newServerBed(t)
}

// A farmed result is a result record as work exec and work pipe make it.
type farmed struct {
	ID string `json:"id"`
	I  any    `json:"i"`
	O  struct {
		OK        int     `json:"ok"`
		RT        float64 `json:"rt"`
		Code      int     `json:"code"`
		Err       string  `json:"err"`
		Msg       string  `json:"msg"`
		N         int     `json:"n"`
		A         int     `json:"a"`
		W         string  `json:"w"`
		Exit      *int    `json:"exit"`
		Signal    string  `json:"signal"`
		Stdout    string  `json:"stdout"`
		StdoutB64 string  `json:"stdout_b64"`
		StdoutCut int     `json:"stdout_cut"`
		Stderr    string  `json:"stderr"`
		Own       string  `json:"own"`
		RU        *struct {
			User, Sys *float64
			RSS       int64
		} `json:"ru"`
	} `json:"o"`
}

// put dispatches lines as the tasks of a run.
func (f *testbed) put(run string, lines ...string) {
	f.t.Helper()
	_, errs, code := invoke(f.t, strings.Join(lines, "\n")+"\n", f.env, "dispatch", "--run", run, "--queue", run,
		"--quiet")
	if code != 0 {
		f.t.Fatalf("dispatch: exit %d: %s", code, errs)
	}
}

// results takes the results of a run, by position.
func (f *testbed) results(run string) map[string]farmed {
	f.t.Helper()
	out, errs, code := invoke(f.t, "", f.env, "output", "--run", run, "--json", "--quiet")
	if code != 0 && code != exitNotWell { // all of them may have failed
		f.t.Fatalf("output of %s: exit %d: %s", run, code, errs)
	}
	all := map[string]farmed{}
	for line := range strings.Lines(out) {
		var r farmed
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			f.t.Fatalf("result %s: %v", line, err)
		}
		all[strings.TrimPrefix(r.ID, run+"/")] = r
	}
	return all
}

// workOn is a command line of work on the queue and until the end of a run, both named run.
func workOn(run, kind string, args ...string) []string {
	return append([]string{"work", kind, "--queue", run, "--until-done", run, "--quiet"}, args...)
}

// What a result says of a process, and how the task reaches it.
func TestWorkExecResults(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	for i, tt := range []struct {
		name, body string
		args       []string
		wrong      func(r *farmed) bool
	}{
		{"standard input and environment", "hello", []string{"sh", "-c",
			`cat; echo "$GLASSQ_TASK_RUN $GLASSQ_TASK_N $GLASSQ_TASK_ID $GLASSQ_TASK_ATTEMPT $GLASSQ_TASK_BODY" >&2`},
			func(r *farmed) bool {
				return r.O.OK != 1 || r.O.Stdout != "hello" || r.O.N != 5 || r.O.Stderr != "x0 0 x0/0 1 hello\n" || r.I != "hello"
			}},
		{"argument", "a b;$(id) `id` '", []string{"printf", "<%s>", "{}", "-{}-"},
			func(r *farmed) bool { return r.O.Stdout != "<a b;$(id) `id` '><-a b;$(id) `id` '->" }},
		{"shell", "a b;$(id)", []string{"--shell", `printf %s {} | tr a-z A-Z`},
			func(r *farmed) bool { return r.O.Stdout != "A B;$(ID)" }},
		{"exit status", "x", []string{"sh", "-c", "echo why >&2; exit 3"},
			func(r *farmed) bool {
				return r.O.OK != 0 || r.O.Exit == nil || *r.O.Exit != 3 || r.O.Code != 3 || r.O.Err != "exit" ||
					r.O.Stderr != "why\n" || r.O.Signal != ""
			}},
		{"signal", "x", []string{"sh", "-c", "kill -9 $$"},
			func(r *farmed) bool {
				return r.O.OK != 0 || r.O.Exit != nil || r.O.Signal != "SIGKILL" || r.O.Err != "signal"
			}},
		{"time and memory", "x", []string{"sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"},
			func(r *farmed) bool {
				return r.O.OK != 1 || r.O.RU == nil || r.O.RU.User == nil || r.O.RU.Sys == nil || *r.O.RU.User+*r.O.RU.Sys <= 0 ||
					*r.O.RU.User > r.O.RT+0.1 || r.O.RU.RSS != 0 || r.O.W == ""
			}},
		{"memory above our own", "x", []string{"sh", "-c", "head -c 300000000 /dev/zero | tail -n 1 >/dev/null"},
			func(r *farmed) bool { return r.O.OK != 1 || r.O.RU == nil || r.O.RU.RSS < 290_000_000 }},
		{"capped output", "x", []string{"--capture", "4", "printf", "123456789"},
			func(r *farmed) bool { return r.O.Stdout != "1234" || r.O.StdoutCut != 5 || r.O.N != 9 }},
		{"no output kept", "x", []string{"--capture", "0", "printf", "123456789"},
			func(r *farmed) bool { return r.O.Stdout != "" || r.O.StdoutCut != 9 || r.O.N != 9 }},
		{"output that is no text", "x", []string{"printf", `\377\376`},
			func(r *farmed) bool { return r.O.StdoutB64 != "//4=" || r.O.Stdout != "" }},
		{"second try", "x", []string{"--retries", "1", "sh", "-c", `test "$GLASSQ_TASK_ATTEMPT" = 2`},
			func(r *farmed) bool { return r.O.OK != 1 || r.O.A != 2 }},
		{"tries used up", "x", []string{"--retries", "1", "false"},
			func(r *farmed) bool { return r.O.OK != 0 || r.O.A != 2 || r.O.Err != "exit" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := f.of(t)
			run := fmt.Sprint("x", i)
			f.put(run, tt.body)
			_, errs, code := invoke(t, "", f.env, workOn(run, "exec", tt.args...)...)
			all := f.results(run)
			if want := map[int]int{0: exitNotWell}[all["0"].O.OK]; code != want {
				t.Errorf("exit %d: %s", code, errs)
			}
			if r, ok := all["0"]; !ok || len(all) != 1 || tt.wrong(&r) {
				text, _ := json.Marshal(all)
				t.Errorf("work exec %q on %q: result %s", tt.args, tt.body, text)
			}
		})
	}
}

// A time-out ends the command and what it has started.
func TestWorkExecTimeout(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	if _, err := exec.LookPath("ps"); err != nil {
		t.Skip("needs ps: Debian package procps")
	}
	file := filepath.Join(f.dir, "pid")
	var pid []byte
	for timeout := time.Second; len(pid) == 0; timeout *= 2 { // until the command has come so far as to say who its child is
		run := "r" + timeout.String()
		f.put(run, "x")
		f.do(exitNotWell, workOn(run, "exec", "--timeout", timeout.String(), "sh", "-c", "sleep 1000 & echo $! > "+file+"; wait")...)
		if r := f.results(run)["0"]; r.O.OK != 0 || r.O.Err != "timeout" || !strings.Contains(r.O.Msg, timeout.String()) {
			t.Fatalf("a process that is too slow has the result %+v", r)
		}
		pid, _ = os.ReadFile(file)
	}
	f.await("the end of what the command started", func() bool {
		out, err := exec.Command("ps", "-o", "stat=", "-p", strings.TrimSpace(string(pid))).Output()
		return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "Z") // nobody may reap it here
	})
}

// Output is printed task by task, and with the body before each line and in the order of the tasks,
// although the last one ends first.
func TestWorkExecPrint(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	// Each waits for the mark of the next one, and the last for none.
	script := `n=$1; [ "$n" = 3 ] || while [ ! -e ` + f.dir +
		`/$((n+1)) ]; do sleep 0.01; done; echo "one $n"; echo two; : > ` + f.dir + `/$n`
	f.put("r", "0", "1", "2", "3")
	out, _ := f.do(0, workOn("r", "exec", "-j", "4", "--keep-order", "--tag", "sh", "-c", script, "sh", "{}")...)
	if want := "0\tone 0\n0\ttwo\n1\tone 1\n1\ttwo\n2\tone 2\n2\ttwo\n3\tone 3\n3\ttwo\n"; out != want {
		t.Errorf("work exec --keep-order --tag printed %q; want %q", out, want)
	}
	for n := range 4 {
		os.Remove(filepath.Join(f.dir, fmt.Sprint(n)))
	}
	f.put("s", "0", "1", "2", "3")
	out, _ = f.do(0, workOn("s", "exec", "-j", "4", "--print", "sh", "-c", script, "sh", "{}")...)
	blocks := strings.SplitAfter(out, "two\n")
	slices.Sort(blocks)
	if want := []string{"", "one 0\ntwo\n", "one 1\ntwo\n", "one 2\ntwo\n", "one 3\ntwo\n"}; !slices.Equal(blocks, want) {
		t.Errorf("work exec --print printed %q; want %q, each as a whole", out, want)
	}
}

func TestWorkExecJoblog(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	log := filepath.Join(f.dir, "log")
	f.put("r", "ab", "c", "dead")
	f.do(0, workOn("r", "exec", "-c", "1", "--joblog", log, "sh", "-c",
		`printf 12345; case $1 in ab) exit 7;; dead) kill -15 $$;; esac`, "sh", "{}")...)
	f.put("s", "four")
	f.do(0, workOn("s", "exec", "--joblog", log, "cat")...) // goes on
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if lines[0] != "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand" || len(lines) != 5 {
		t.Fatalf("job log %s; want a head and 4 lines", text)
	}
	for i, want := range [][]string{{"1", "0", "5", "7", "0"}, {"2", "0", "5", "0", "0"}, {"3", "0", "5", "0", "15"},
		{"1", "4", "4", "0", "0"}} {
		c := strings.Split(lines[i+1], "\t")
		if len(c) != 9 || !slices.Equal([]string{c[0], c[4], c[5], c[6], c[7]}, want) || !strings.Contains(c[2], ".") {
			t.Errorf("job log line %q; want sequence, sent, received, exit and signal %q", lines[i+1], want)
		}
	}
	if !strings.HasSuffix(lines[1], "sh ab") {
		t.Errorf("job log line %q; want the command with its argument", lines[1])
	}
}

// A rule of --halt ends the worker; what was not begun stays in the queue, and what is ended goes
// back.
func TestWorkHalt(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	bodies := []string{"bad", "1", "2", "3", "4", "5", "6", "7"}
	for _, tt := range []struct {
		run  string
		code int
		args []string
	}{
		{"soon", exitThreshold, []string{"exec", "-c", "1", "--halt", "soon,fail=1", "sh", "-c",
			`test "$GLASSQ_TASK_BODY" != bad`}},
		{"success", 0, []string{"exec", "-c", "1", "--halt", "soon,success=1", "sh", "-c",
			`test "$GLASSQ_TASK_BODY" != bad`}},
		{"now", exitThreshold, []string{"exec", "-c", "2", "--halt", "now,fail=1", "sh", "-c",
			`test "$GLASSQ_TASK_BODY" != bad && sleep 1000`}},
		{"pipe", exitThreshold, []string{"pipe", "-c", "1", "--halt", "soon,fail=1", "sh", "-c",
			`while read -r l; do echo '{"o":{"ok":0}}'; done`}},
	} {
		f.put(tt.run, bodies...)
		_, errs := f.do(tt.code, workOn(tt.run, tt.args[0], tt.args[1:]...)...)
		r, err := f.q.Run(t.Context(), tt.run)
		if err != nil || r.Books.Failed != 1 || r.Pending == 0 || !strings.Contains(errs, "halted by --halt") {
			t.Errorf("work %q: books %+v, %v, said %s; want one failed, and others left", tt.args, r.Books, err, errs)
		}
	}
}

// Children answer lines; what they do wrong costs no task.
func TestWorkPipe(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	answer := `echo '{"o":{"ok":1,"own":"mine"}}'`
	first := func(what string) string { // what a child does with a task that comes for the first time
		return `while read -r l; do case $l in *'"attempt":1,'*) ` + what + `;; esac; ` + answer + `; done`
	}
	for i, tt := range []struct {
		name, script string
		args         []string
		tries        int    // that each task has had
		ok           int    // of the result
		err, said    string // class of the result, and part of standard error
	}{
		{"answers", `while read -r l; do ` + answer + `; done`, nil, 1, 1, "", ""},
		{"answers ahead", `while read -r l; do ` + answer + `; done`, []string{"--window", "4"}, 1, 1, "", ""},
		{"failure", `while read -r l; do echo '{"o":{"ok":0,"err":"exit","msg":"no such user"}}'; done`, nil, 1, 0, "exit",
			""},
		{"failure, second try", first(`echo '{"o":{"ok":0}}'; continue`), []string{"--retries", "1"}, 2, 1, "", ""},
		{"nack", first(`echo '{"nack":{"delay":0,"reason":"busy"}}'; continue`), nil, 2, 1, "", ""},
		{"dies", first(`exit 3`), nil, 2, 1, "", "exit status 3"},
		{"garbage", first(`echo 'Traceback (most recent call last):'`), nil, 2, 1, "", "neither a result nor a nack"},
		{"JSON that is no answer", first(`echo '{"result":1}'`), nil, 2, 1, "", "neither a result nor a nack"},
		{"half a line", first(`printf '{"o":'; exit 0`), nil, 2, 1, "", "in the middle of a line"},
		{"says nothing", `while read -r l; do :; done`, []string{"--timeout", "100ms"}, 1, 0, "timeout",
			"no answer within 100ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := f.of(t)
			run := fmt.Sprint("p", i)
			f.put(run, "a", "b")
			args := slices.Concat(tt.args, []string{"-c", "1", "sh", "-c", tt.script})
			_, errs := f.do(map[int]int{0: exitNotWell}[tt.ok], workOn(run, "pipe", args...)...)
			all := f.results(run)
			if len(all) != 2 || !strings.Contains(errs, tt.said) {
				t.Errorf("%d results, said %s; want 2, %q", len(all), errs, tt.said)
			}
			for n, r := range all {
				if r.O.OK != tt.ok || r.O.Err != tt.err || r.O.A != tt.tries || r.O.OK == 1 && r.O.Own != "mine" || r.I == nil {
					text, _ := json.Marshal(r)
					t.Errorf("result %s: %s; want ok %d, %q, after %d tries", n, text, tt.ok, tt.err, tt.tries)
				}
			}
		})
	}
}

// Every death of a child costs the task that it was at one attempt, however many lines it had
// ahead.
func TestWorkPipeDeaths(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	var bodies []string
	for i := range 400 {
		bodies = append(bodies, fmt.Sprint(i))
	}
	for run, window := range map[string]string{"adaptive": "0", "fixed": "8"} {
		file := filepath.Join(f.dir, run)
		f.put(run, bodies...)
		f.do(0, workOn(run, "pipe", "-c", "2", "--window", window, "sh", "-c",
			`n=0; while read -r l; do n=$((n+1)); if [ $n -gt 60 ]; then echo >> `+file+`; exit 3; fi; echo '{"o":{"ok":1}}'; done`)...)
		deaths, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all, counted := f.results(run), 0
		for n, r := range all {
			counted += r.O.A - 1
			if r.O.OK != 1 {
				t.Errorf("%s window: result %s is %+v", run, n, r.O)
			}
		}
		if len(all) != len(bodies) || counted != len(deaths) {
			t.Errorf("%s window: %d results of %d; %d attempts counted for %d deaths", run, len(all), len(bodies), counted,
				len(deaths))
		}
	}
}

// A nack may be for good, and a command that never answers ends the worker; no task is lost by it.
func TestWorkPipeGivesUp(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.put("dead", "a")
	f.do(exitNotWell, workOn("dead", "pipe", "-c", "1", "sh", "-c",
		`read -r l; echo '{"nack":{"reason":"never","dead":true}}'; read -r l`)...)
	if r, err := f.q.Run(t.Context(), "dead"); err != nil || r.Books.Dead.Nacked != 1 {
		t.Errorf("after a nack for good the books are %+v, %v", r.Books, err)
	}
	if tasks, _, err := f.q.Peek(t.Context(), "dead", glassq.Dead, 0, 10); err != nil || len(tasks) != 1 ||
		!strings.Contains(tasks[0].Reason, "never") {
		t.Errorf("the dead task is %+v, %v; want the reason", tasks, err)
	}
	bodies := strings.Fields("a b c d e f g h i j k l")
	f.put("mute", bodies...)
	_, errs := f.do(exitUnexpected, workOn("mute", "pipe", "-c", "12", "sh", "-c", "exit 4")...)
	if !strings.Contains(errs, "before any of them answered") || !strings.Contains(errs, "exit status 4") {
		t.Errorf("work pipe with a command that ends at once said %s", errs)
	}
	if n := f.queue("mute"); n.Pending != uint64(len(bodies)) {
		t.Errorf("then the queue is %+v; want all tasks pending", n)
	}
	f.do(exitUsage, workOn("mute", "pipe", "glassq-no-such-program")...)
	f.do(exitUsage, workOn("mute", "exec", "glassq-no-such-program")...)
}

// A script without an interpreter's line runs as a shell runs it; what does not start at all is
// said, and ends the worker after ten times.
func TestCommandThatDoesNotStart(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	script := func(name, text string) string {
		path := write(t, filepath.Join(f.dir, name), text)
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f.put("e", "a b")
	f.do(0, workOn("e", "exec", script("bare", `printf '<%s>' "$@"`), "-c", "{}")...)
	if r := f.results("e")["0"]; r.O.Stdout != "<-c><a b>" {
		t.Errorf("a script without an interpreter: %+v", r)
	}
	f.put("p", "a b")
	f.do(0, workOn("p", "pipe", "-c", "1", script("loop",
		`while read -r l; do echo '{"o":{"ok":1,"own":"'$1'"}}'; done`), "x")...)
	if r := f.results("p")["0"]; r.O.Own != "x" {
		t.Errorf("a script without an interpreter, by lines: %+v", r)
	}
	broken := script("broken", "#!/nowhere/interpreter\n")
	bodies := strings.Fields("a b c d e f g h i j k l")
	for _, kind := range []string{"exec", "pipe"} {
		f.put("broken-"+kind, bodies...)
		_, errs := f.do(exitUnexpected, workOn("broken-"+kind, kind, "-c", "12", broken)...)
		if !strings.Contains(errs, "not done, goes back") || !strings.Contains(errs, "broken") ||
			!strings.Contains(errs, "the last one: start") {
			t.Errorf("work %s of what does not start said %s", kind, errs)
		}
		if n := f.queue("broken-" + kind); n.Pending != uint64(len(bodies)) || n.Leased != 0 {
			t.Errorf("then the queue is %+v; want all tasks pending", n)
		}
	}
}

// The job log of work pipe, and standard error of its children.
func TestWorkPipeJoblog(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	log := filepath.Join(f.dir, "log")
	f.put("r", "a", "bb")
	_, errs := f.do(0, workOn("r", "pipe", "-c", "1", "--joblog", log, "sh", "-c",
		`echo "child $GLASSQ_CHILD" >&2; read -r l; echo '{"o":{"ok":1}}'; read -r l; echo '{"o":{"ok":0}}'`)...)
	if !strings.Contains(errs, "[1] child 1\n") {
		t.Errorf("work pipe said %s; want the child's standard error", errs)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], "\t1\t14\t0\t0\tsh -c") ||
		!strings.Contains(lines[2], "\t2\t14\t1\t0\tsh -c") {
		t.Errorf("job log %s; want a head and two lines, the second failed", text)
	}
}
