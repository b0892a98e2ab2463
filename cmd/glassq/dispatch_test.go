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
	"github.com/glassq/glassq/client"
)

// A testbed is a server, a target, and a client of the server.
type testbed struct {
	t        *testing.T
	env      []string // names the server to commands
	url      string   // of the target, with {0}
	q        *client.Client
	dir      string
	serverAt string
}

func newTestbed(t *testing.T, target ...string) *testbed {
	t.Helper()
	f := newServerBed(t)
	aim := start(t, nil, append([]string{"target", "--listen", "127.0.0.1:0"}, target...)...)
	f.url = "http://" + aim.addr() + "/?q={0}"
	return f
}

// newServerBed is a testbed without a target.
func newServerBed(t *testing.T) *testbed {
	t.Helper()
	server := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0")
	f := &testbed{t: t, serverAt: "http://" + server.addr(), dir: t.TempDir()}
	f.env = []string{"GLASSQ_SERVER=" + f.serverAt}
	q, err := client.New(f.serverAt, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	f.q = q
	return f
}

// of is the testbed for a part of the test.
func (f *testbed) of(t *testing.T) *testbed {
	part := *f
	part.t, part.dir = t, t.TempDir()
	return &part
}

// do runs a command that must end with code, and returns what it printed and said.
func (f *testbed) do(code int, args ...string) (stdout, stderr string) {
	f.t.Helper()
	out, errs, got := invoke(f.t, "", f.env, args...)
	if got != code {
		f.t.Fatalf("glassq %q: exit %d, want %d: %s%s", args, got, code, out, errs)
	}
	return out, errs
}

// queue is what the server says about a queue.
func (f *testbed) queue(name string) glassq.QueueInfo {
	f.t.Helper()
	info, err := f.q.Queues(f.t.Context(), name)
	if err != nil || len(info) != 1 {
		f.t.Fatalf("queue %s: %v, %v", name, info, err)
	}
	return info[0]
}

// await asks the server until ok, or the test's time is over.
func (f *testbed) await(what string, ok func() bool) {
	f.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(tooLong); !ok(); {
		select {
		case <-tick.C:
		case <-limit:
			f.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// positionsIn are the numbers that tasks of a run have in a file of results.
func positionsIn(t *testing.T, path, run string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		id := idOf(t, line)
		n, ok := strings.CutPrefix(id, run+"/")
		if !ok || all[n] {
			t.Errorf("%s: id %s is of another run, or there twice", path, id)
		}
		all[n] = true
	}
	return all
}

func TestDispatchWait(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	start(t, f.env, "work", "http", "-c", "4")
	_, errs := f.do(0, "dispatch", f.url, "-n", "200", "--run", "r1", "--wait", "--strict", "--quiet")
	if want := "put 200 = ok 200 + failed 0 + dead 0 + pending 0"; !strings.Contains(errs, want) {
		t.Errorf("dispatch --wait said %s; want %q", errs, want)
	}
	out := filepath.Join(f.dir, "r2.ndjson")
	_, errs = f.do(0, "dispatch", f.url, "-n", "200", "--run", "r2", "--wait", "--out", out, "--quiet")
	if n := len(positionsIn(t, out, "r2")); n != 200 || !strings.Contains(errs, "missing 0   duplicate 0") {
		t.Errorf("dispatch --wait --out wrote %d results and said %s; want 200, none missing", n, errs)
	}
	nobody := "http://" + freeAddress(t) + "/?q={0}"
	f.do(exitNotWell, "dispatch", nobody, "-n", "5", "--run", "r3", "--wait", "--quiet")
	f.do(exitNotWell, "dispatch", nobody, "-n", "5", "--run", "r4", "--wait", "--strict", "--quiet")
	f.do(exitNotWell, "dispatch", nobody, "-n", "5", "--run", "r5", "--wait", "--strict", "--quiet", "--out",
		filepath.Join(f.dir, "r5"))
}

// Results are taken while tasks are still being put: a line that is typed has its result before the
// next.
func TestDispatchTakesMeanwhile(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	start(t, f.env, "work", "http", "-c", "2")
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer typed.Close()
	out := filepath.Join(f.dir, "r.ndjson")
	p := startWith(t, in, f.env, "dispatch", "--run", "r", "--batch", "1", "--wait", "--out", out)
	in.Close()
	for i := range 3 {
		fmt.Fprintln(typed, strings.ReplaceAll(f.url, "{0}", fmt.Sprint(i)))
		f.await("a result of each line so far", func() bool {
			text, err := os.ReadFile(out)
			return err == nil && strings.Count(string(text), "\n") == i+1
		})
	}
	typed.Close()
	if code := p.wait(); code != 0 || !strings.Contains(p.said(),
		"put 3 = ok 3 + failed 0 + dead 0 + pending 0    missing 0   duplicate 0") {
		t.Errorf("dispatch --wait --out: exit %d, said %s", code, p.said())
	}
}

// Results that cannot be written end the dispatch, and stay in their queue for the same command
// again.
func TestDispatchOutFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("left out: linux only (it has /dev/full)")
	}
	t.Parallel()
	f := newTestbed(t)
	start(t, f.env, "work", "http", "-c", "2")
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer typed.Close()
	p := startWith(t, in, f.env, "dispatch", "--run", "r", "--batch", "1", "--wait", "--out", "/dev/full", "--quiet")
	in.Close()
	url := strings.ReplaceAll(f.url, "{0}", "1") + "\n"
	for over := false; !over; { // lines without end
		typed.WriteString(url) // an error: it has ended
		select {
		case <-p.done:
			over = true
		case line, ok := <-p.lines:
			if ok {
				t.Errorf("dispatch --out printed %s", line)
			}
			over = !ok
		default:
		}
	}
	if code := p.wait(); code != exitStorage || !strings.Contains(p.said(), "no space left") ||
		!strings.Contains(p.said(), "stays in queue results.r") ||
		!strings.Contains(p.said(), "is not sealed") {
		t.Errorf("dispatch --out /dev/full: exit %d, said %s; want 8, and what to do", code, p.said())
	}
	r, err := f.q.Run(t.Context(), "r")
	if err != nil || r.Sealed || r.Waiting == 0 {
		t.Errorf("the run is %+v, %v; want it open, its results waiting", r, err)
	}
}

func TestDispatchRate(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	start(t, f.env, "work", "http", "--queue", "q")
	f.do(0, "queue", "set", "q", "--rate", "7")
	_, errs := f.do(0, "dispatch", f.url, "-n", "20", "--run", "r1", "--queue", "q", "--rate", "4000", "--quiet")
	if got := f.queue("q").Settings.Rate; got != 7 ||
		!strings.Contains(errs, "hands out 4000 a second until the run ends") ||
		!strings.Contains(errs, "the rate of queue q is cleared: 7") {
		t.Errorf("after dispatch --rate the rate is %v and it said %s; want 7, as before", got, errs)
	}
	_, errs = f.do(0, "dispatch", f.url, "-n", "20", "--run", "r2", "--queue", "q", "--stages", "0..5000/100ms,5000/1m",
		"--quiet")
	if s := f.queue("q").Settings; s.Rate != 7 || s.Stages != "" ||
		!strings.Contains(errs, "hands out stages 0..5000/100ms,5000/1m") {
		t.Errorf("after dispatch --stages the settings are %+v and it said %s; want rate 7, no stages", s, errs)
	}
}

// A dispatcher that is interrupted leaves the rate and says so; the same command again clears it.
func TestDispatchRateInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted by another here")
	}
	t.Parallel()
	f := newTestbed(t)
	args := []string{"dispatch", f.url, "-n", "20", "--run", "r1", "--queue", "q", "--rate", "3000", "--quiet"}
	first := start(t, f.env, args...)
	f.await("run r1 sealed", func() bool {
		r, err := f.q.Run(t.Context(), "r1")
		return err == nil && r.Sealed
	})
	if err := first.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := first.wait(); code != exitInterrupted ||
		!strings.Contains(first.said(), "glassq queue set q --rate 0 clears it") {
		t.Errorf("dispatch --rate, interrupted: exit %d, said %s; want 7, and how to clear the rate", code, first.said())
	}
	if got := f.queue("q").Settings.Rate; got != 3000 {
		t.Errorf("after the interrupt the rate is %v, want 3000", got)
	}
	start(t, f.env, "work", "http", "--queue", "q")
	f.do(0, args...)
	if got := f.queue("q").Settings.Rate; got != 0 {
		t.Errorf("after the same command the rate is %v, want none", got)
	}
	// Somebody else's rate is left alone.
	other := start(t, f.env, "dispatch", f.url, "-n", "20", "--run", "r2", "--queue", "slow", "--rate", "0.001", "--quiet")
	f.await("run r2 sealed", func() bool {
		r, err := f.q.Run(t.Context(), "r2")
		return err == nil && r.Sealed
	})
	f.do(0, "queue", "set", "slow", "--rate", "2500")
	start(t, f.env, "work", "http", "--queue", "slow")
	if code := other.wait(); code != 0 || !strings.Contains(other.said(), "was changed meanwhile and stays: 2500") {
		t.Errorf("dispatch whose rate was changed: exit %d, said %s", code, other.said())
	}
}

func TestRunsRetry(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	// Failed ones: against a port where nobody is, until somebody is.
	addr := freeAddress(t)
	url := "http://" + addr + "/?q={0}"
	f.do(0, "dispatch", url, "--range", "100..109", "--run", "r1", "--quiet")
	f.do(exitNotWell, "work", "http", "--until-done", "r1", "--quiet")
	aim := start(t, nil, "target", "--listen", addr)
	aim.addr()
	start(t, f.env, "work", "http")
	_, errs := f.do(0, "runs", "retry", "r1", "--failed", "--wait", "--strict", "--quiet")
	if r, err := f.q.Run(t.Context(), "r1.2"); err != nil || r.Books.OK != 10 || r.Total != 10 {
		t.Errorf("runs retry --failed made %+v, %v and said %s; want r1.2 with 10 good results", r, err, errs)
	}
	out := filepath.Join(f.dir, "r1.2")
	f.do(0, "output", "--run", "r1.2", "--out", out, "--quiet")
	if have := positionsIn(t, out, "r1.2"); !have["0"] || !have["9"] || len(have) != 10 {
		t.Errorf("results of r1.2 are at %v; want 0 to 9, as in r1", have)
	}
	// Run and retry are one job, wherever it is asked for.
	job := "r1 with r1.2: put 10 = ok 10 + failed 0 + dead 0 + pending 0"
	page := filepath.Join(f.dir, "job.html")
	_, outErrs := f.do(0, "output", "--run", "r1", "--format", "none", "--report", page)
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	shown, _ := f.do(0, "runs", "show", "r1")
	for where, said := range map[string]string{"runs retry --wait": errs, "output": outErrs, "runs show": shown,
		"the report": strings.ReplaceAll(string(text), "&#43;", "+")} {
		if !strings.Contains(said, job) {
			t.Errorf("%s said %s; want %q", where, said, job)
		}
	}
	f.do(0, "runs", "retry", "r1", "--ids", write(t, filepath.Join(f.dir, "one"), "r1/3\n"), "--as", "r1.one", "--wait", "--quiet")
	if _, errs := f.do(0, "output", "--run", "r1.2", "--out", filepath.Join(f.dir, "r1.2"),
		"--quiet"); !strings.Contains(errs, "run r1.one has 1 result waiting: glassq output --run r1.one --out ") {
		t.Errorf("output of r1.2 said %s; want that a result of r1.one waits", errs)
	}
	if _, errs := f.do(0, "runs", "retry", "r1"); !strings.Contains(errs, "nothing of that kind") {
		t.Errorf("a second retry of r1, whose tasks are all well by now, said %s", errs)
	}
	if _, errs := f.do(0, "runs", "retry", "r1.2"); !strings.Contains(errs, "nothing of that kind") {
		t.Errorf("runs retry of a good run said %s", errs)
	}

	// Missing ones: a file that lacks two of the results.
	f.do(0, "dispatch", f.url, "-n", "6", "--run", "m", "--wait", "--quiet")
	lines := write(t, filepath.Join(f.dir, "m.ndjson"), "")
	f.do(0, "output", "--run", "m", "--out", lines, "--quiet")
	data, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(data)) {
		if id := idOf(t, line); id != "m/1" && id != "m/4" {
			kept.WriteString(line)
		}
	}
	write(t, lines, kept.String())
	did, _ := f.do(0, "runs", "retry", "m", "--missing", lines, "--as", "mm", "--wait", "--json", "--quiet")
	var said struct{ Put, Total uint64 }
	if err := json.Unmarshal([]byte(did), &said); err != nil || said.Put != 2 {
		t.Errorf("runs retry --missing --json printed %s, %v; want 2 put", did, err)
	}
	out = filepath.Join(f.dir, "mm")
	f.do(0, "output", "--run", "mm", "--out", out, "--quiet")
	if have := positionsIn(t, out, "mm"); !have["1"] || !have["4"] || len(have) != 2 {
		t.Errorf("results of mm are at %v; want 1 and 4", have)
	}

	// Those of a list, which dispatch takes too.
	ids := write(t, filepath.Join(f.dir, "ids"), "m/5\nm/0\n")
	f.do(0, "runs", "retry", "m", "--ids", ids, "--as", "mi", "--wait", "--quiet")
	f.do(0, "dispatch", f.url, "-n", "6", "--ids", ids, "--run", "md", "--wait", "--quiet")
	for _, run := range []string{"mi", "md"} {
		out = filepath.Join(f.dir, run)
		f.do(0, "output", "--run", run, "--out", out, "--quiet")
		if have := positionsIn(t, out, run); !have["0"] || !have["5"] || len(have) != 2 {
			t.Errorf("results of %s are at %v; want 0 and 5", run, have)
		}
	}

	// A run of a file must be given the file again, the same one.
	urls := write(t, filepath.Join(f.dir, "urls"), strings.ReplaceAll(f.url, "{0}", "1")+"\n"+strings.ReplaceAll(f.url,
		"{0}", "2")+"\n")
	otherURLs := write(t, filepath.Join(f.dir, "others"), "http://127.0.0.1:1/\nhttp://127.0.0.1:1/2\n")
	f.do(0, "dispatch", "--file", urls, "--run", "u", "--wait", "--quiet")
	second := write(t, filepath.Join(f.dir, "second"), "u/1\n")
	if _, errs := f.do(exitUsage, "runs", "retry", "u", "--ids", second); !strings.Contains(errs, "give the same --file") {
		t.Errorf("runs retry of a file's run said %s", errs)
	}
	if _, errs := f.do(exitUsage, "runs", "retry", "u", "--ids", second, "--file", otherURLs); !strings.Contains(errs,
		"from another source") {
		t.Errorf("runs retry with another file said %s", errs)
	}
	f.do(0, "runs", "retry", "u", "--ids", second, "--file", urls, "--wait", "--strict", "--quiet")
	if r, err := f.q.Run(t.Context(), "u.2"); err != nil || r.Books.OK != 1 {
		t.Errorf("u.2 = %+v, %v; want one good result", r, err)
	}
}

// Dead tasks of a run are redriven in place, and those of another one stay; one of them by its id.
func TestRunsRetryDead(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	kill := func(run string) {
		t.Helper()
		f.do(0, "dispatch", f.url, "-n", "3", "--run", run, "--queue", "q", "--attempts", "1", "--quiet")
		for range 3 {
			l, err := f.q.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 1, Lease: time.Minute})
			if err != nil || len(l) != 1 {
				t.Fatalf("reserve: %v, %v", l, err)
			}
			if errs, err := f.q.Nack(t.Context(), []glassq.Nack{{Token: l[0].Token(), Dead: true}}); err != nil ||
				errs[0] != nil {
				t.Fatalf("nack: %v, %v", errs, err)
			}
		}
	}
	kill("a")
	if out, _ := f.do(0, "runs", "retry", "a", "--dead"); !strings.Contains(out, "a: 3 tasks redriven") {
		t.Errorf("runs retry --dead printed %s", out)
	}
	if n := f.queue("q").Ready; n != 3 {
		t.Errorf("after the redrive %d tasks are ready, want 3", n)
	}
	w := start(t, f.env, "work", "http", "--queue", "q")
	f.do(0, "runs", "wait", "a", "--strict")
	w.kill()
	kill("b")
	kill("c")
	f.do(0, "queue", "pause", "q")
	for _, tt := range []struct {
		name string
		code int
		args []string
		want string // on either output
	}{
		{"a wrong word", exitUsage, []string{"queue", "redrive", "q", "--why", "expired"}, "not one of attempts, nacked"},
		{"not among the dead", exitUsage, []string{"queue", "purge", "q", "--state", "ready", "--run", "b", "--force"}, "among dead tasks"},
		{"nobody to ask", exitUsage, []string{"queue", "purge", "q", "--task", "b/1"}, "those of 6 tasks of queue q (dead) that are meant"},
		{"by id", 0, []string{"queue", "purge", "q", "--task", "b/1", "--force"}, "q: 1 task purged"},
		{"by why and run", 0, []string{"queue", "redrive", "q", "--why", "nacked", "--run", "b", "-n", "1"}, "q: 1 task redriven"},
		{"by reason", 0, []string{"queue", "redrive", "q", "--reason", "no such"}, "q: 0 tasks redriven"},
		{"a run's", 0, []string{"runs", "retry", "b", "--dead"}, "b: 1 task redriven"},
	} {
		if out, errs := f.do(tt.code, tt.args...); !strings.Contains(out+errs, tt.want) {
			t.Errorf("%s: %q said %s%s; want %s", tt.name, tt.args, out, errs, tt.want)
		}
	}
	if n := f.queue("q").Dead; n != 3 {
		t.Errorf("%d tasks are dead; want the 3 of run c", n)
	}
	f.do(0, "queue", "resume", "q")
	start(t, f.env, "work", "http", "--queue", "q")
	if out, _ := f.do(0, "runs", "retry", "c", "--dead", "--wait", "--json", "--quiet"); !strings.Contains(out, `"complete":true`) ||
		!strings.Contains(out, `"redriven":3`) || !strings.Contains(out, `"ok":3`) {
		t.Errorf("runs retry --dead --wait --json printed %s", out)
	}
}

func TestRunsCancel(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	f.do(0, "dispatch", f.url, "-n", "9", "--run", "r", "--quiet")
	if out, _ := f.do(0, "runs", "cancel", "r"); !strings.Contains(out, "r: 9 tasks cancelled") {
		t.Errorf("runs cancel printed %s", out)
	}
	if out, _ := f.do(0, "runs", "cancel", "r", "--json"); out != `{"cancelled":0,"run":"r"}`+"\n" {
		t.Errorf("runs cancel again printed %s", out)
	}
	f.do(exitNotWell, "runs", "wait", "r", "--strict")
	if b := f.queue("tasks").Books; b.Dead.Cancelled != 9 {
		t.Errorf("the books say %+v; want 9 cancelled", b)
	}
	// They were not lost: they are dead by cancellation, and can be put again.
	f.do(0, "runs", "retry", "r", "--dead", "--as", "again", "--quiet")
	if r, err := f.q.Run(t.Context(), "again"); err != nil || r.Total != 9 {
		t.Errorf("the cancelled, put again, are %+v, %v; want 9", r, err)
	}
	f.do(exitUnexpected, "runs", "cancel", "none")
}

// A run goes when nothing of it is left, with its retries; what is still there is said.
func TestRunsRm(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	f.do(0, "dispatch", f.url, "-n", "1", "--run", "r", "--quiet")
	if _, errs := f.do(exitUsage, "runs", "rm", "r"); !strings.Contains(errs, "1 pending task; glassq runs wait r") {
		t.Errorf("runs rm of a run that is not over said %s", errs)
	}
	f.do(0, "runs", "cancel", "r")
	f.do(0, "runs", "retry", "r", "--as", "again", "--quiet")
	f.do(0, "runs", "cancel", "again")
	f.do(exitUnexpected, "runs", "rm", "again", "r", "none") // all or, of those that are not there, none
	if _, errs := f.do(exitUsage, "runs", "rm", "r"); !strings.Contains(errs, "glassq runs rm r again removes the whole job") {
		t.Errorf("runs rm of a retried run said %s", errs)
	}
	if out, _ := f.do(0, "runs", "rm", "r", "again", "r"); out != "again: removed\nr: removed\n" {
		t.Errorf("runs rm printed %s", out)
	}
	if out, _ := f.do(0, "runs", "ls", "--json"); out != "" {
		t.Errorf("runs ls after it printed %s", out)
	}
	f.do(0, "dispatch", "http://other/{0}", "-n", "1", "--run", "r", "--quiet") // another source: it is another run
}

// What a shell asks for to complete a word.
func TestComplete(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	f.do(0, "dispatch", f.url, "-n", "1", "--run", "night", "--queue", "urls", "--quiet")
	gone := []string{"GLASSQ_SERVER=http://" + freeAddress(t)}
	for _, tt := range []struct {
		env  []string
		args string
		want string // a line; "" for none but the directive
	}{
		{f.env, "queue show ", "urls"},
		{f.env, "queue set ", "urls"},
		{f.env, "dispatch --queue ", "urls"},
		{f.env, "work http --queue ", "urls"},
		{f.env, "runs show ", "night"},
		{f.env, "runs retry ", "night"},
		{f.env, "output --run ", "night"},
		{f.env, "work http --until-done ", "night"},
		{f.env, "runs show night ", ""},
		{gone, "output --format ", "text"},
		{gone, "dispatch --format v", "text"},
		{gone, "run --sync ", "always"},
		{gone, "work http --profile ", "measure"},
		{gone, "queue peek q --state ", "ready"},
		{gone, "runs wait r --until ", "exists"},
		{gone, "queue show ", ""},
	} {
		args := append([]string{"__complete"}, strings.Split(tt.args, " ")...)
		out, errs, code := invoke(t, "", tt.env, args...)
		lines := strings.Split(out, "\n")
		want := tt.want
		if want == "" {
			want = ":4" // no file names
		}
		if code != 0 || lines[0] != want {
			t.Errorf("completion of %q = %q, exit %d (%s); want %q", tt.args, out, code, errs, want)
		}
	}
}

// Bash itself completes with the script that completion prints.
func TestCompleteInBash(t *testing.T) {
	const functions = "/usr/share/bash-completion/bash_completion"
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash: Debian package bash")
	}
	if _, err := os.Stat(functions); err != nil {
		t.Skip("needs bash-completion: Debian package bash-completion")
	}
	t.Parallel()
	f := newServerBed(t)
	f.do(0, "dispatch", "x{0}", "-n", "1", "--run", "night-1", "--queue", "urls", "--quiet")
	f.do(0, "dispatch", "x{0}", "-n", "1", "--run", "night-2", "--queue", "mails", "--quiet")
	for _, tt := range []struct{ words, want string }{
		{"queue sh", "show"},
		{"queue peek ", "mails urls"},
		{"queue peek u", "urls"},
		{"output --run night", "night-1 night-2"},
		{"work http --until-done night-2", "night-2"},
		{"dispatch --stag", "--stages"},
		{"runs ", "cancel ls retry rm seal show wait"},
	} {
		script := "source " + functions + `; source <(glassq completion bash --no-descriptions)
line="glassq $1"; COMP_LINE=$line; COMP_POINT=${#line}; COMP_TYPE=9; COMP_KEY=9
read -ra COMP_WORDS <<< "$line"; case $line in *' ') COMP_WORDS+=('');; esac
COMP_CWORD=$((${#COMP_WORDS[@]}-1)); compopt() { :; }; __start_glassq; echo "${COMPREPLY[@]}"`
		cmd := exec.CommandContext(t.Context(), bash, "--norc", "-c", script, "bash", tt.words)
		cmd.Env = environment(t, append(f.env, "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))...)
		out, err := cmd.CombinedOutput()
		words := strings.Fields(string(out))
		slices.Sort(words)
		if got := strings.Join(words, " "); err != nil || got != tt.want {
			t.Errorf("glassq %s, and the tab key: %s, %v; want %s", tt.words, out, err, tt.want)
		}
	}
}

// Input of dispatch, rates and lists that is refused, with what is wrong and where.
func TestBadDispatch(t *testing.T) {
	t.Parallel()
	f := newTestbed(t)
	file := func(name, text string) string { return write(t, filepath.Join(f.dir, name), text) }
	f.do(0, "dispatch", f.url, "-n", "3", "--run", "r", "--quiet")
	csv := file("bad.csv", "id,url\n1,a\n2\n")
	badIDs := file("bad.ids", "r/1\nr/x\n")
	mixed := file("mixed.ids", "r/1\ns/2\n")
	none := file("none.ids", "")
	elsewhere := file("else.ids", "z/1\n")
	for _, tt := range []struct{ args, want string }{
		{"dispatch {col:url} --format csv --file " + csv, "line 3"},
		{"dispatch {col:uri} --format csv --file " + csv, "uri"},
		{"dispatch x{0} -n 3 --ids " + badIDs, "line 2"},
		{"dispatch x{0} -n 3 --ids " + mixed, "line 2"},
		{"dispatch x{0} -n 3 --ids " + none, "there is no id in it"},
		{"dispatch x{0} -n 3 --run r9 --ids D/absent", "read the ids"},
		{"runs retry r --ids " + elsewhere, "are of run z, not r"},
		{"runs retry r --missing D/absent", "read the results"},
		{"dispatch x{0} -n 3 --rate 5 --stages 5/1s", "leave one out"},
		{"dispatch x{0} -n 3 --rate -5", "--rate -5"},
		{"dispatch x{0} -n 3 --stages 0..5000", "stage"},
		{"dispatch x{0} -n 3 --catchup 1s", "give --rate or --stages"},
		{"dispatch x{0} -n 3 --out D/x", "give --wait too"},
		{"dispatch x{0} -n 3 --header novalue", "novalue"},
		{"dispatch x{0} -n 3 --method G@T", "G@T"},
		{"dispatch x{0} -n 3 --timeout -1s", "is negative"},
		{"dispatch --format parquet --file " + csv, "parquet"},
	} {
		args := strings.Fields(strings.ReplaceAll(tt.args, "D/", f.dir+"/"))
		_, errs, code := invoke(t, "", f.env, args...)
		if code != exitUsage || !strings.Contains(errs, tt.want) {
			t.Errorf("glassq %s: exit %d, %q; want exit 2, %q", tt.args, code, errs, tt.want)
		}
	}
	lines := file("skip.ndjson", "{\"body\":\"a\"}\nnonsense\n{\"body\":\"b\"}\n")
	// So is a task that the queue refuses: here by its schema.
	f.do(0, "queue", "set", "strict", "--task-schema", write(t, filepath.Join(f.dir, "s.json"), `{"type":"object"}`))
	typed := write(t, filepath.Join(f.dir, "mixed.ndjson"),
		`{"body":{"a":1}}`+"\n"+`{"body":[2]}`+"\n"+`{"body":{"a":3}}`+"\n")
	if _, errs := f.do(exitUsage, "dispatch", "--file", typed, "--run", "q", "--queue", "strict",
		"--quiet"); !strings.Contains(errs, `line 2: task q/1, "[2]"`) || !strings.Contains(errs, "--skip-bad") {
		t.Errorf("a task against the schema: %s; want which one, and what to do", errs)
	}
	_, said := f.do(0, "dispatch", "--file", typed, "--run", "q", "--queue", "strict", "--quiet", "--skip-bad")
	if r, err := f.q.Run(t.Context(), "q"); err != nil || !r.Sealed || r.Total != 2 || r.Books.Put != 2 ||
		!strings.Contains(said, "passed over "+typed+", line 2: task q/1") {
		t.Errorf("with --skip-bad: %+v, %v, %s; want sealed with 2", r, err, said)
	}
	_, errs := f.do(0, "dispatch", "--file", lines, "--skip-bad", "--run", "s", "--quiet")
	if r, err := f.q.Run(t.Context(), "s"); err != nil || r.Total != 2 || !strings.Contains(errs, "line 2") ||
		!strings.Contains(errs, "1 bad task was passed over") {
		t.Errorf("dispatch --skip-bad made %+v, %v and said %s; want 2 tasks, and line 2 named and counted", r, err,
			fmt.Sprint(errs))
	}
}

// TestEmptyLinesAreCounted: the summary says how many were passed over, and the books know nothing
// of them.
func TestEmptyLinesAreCounted(t *testing.T) {
	f := newTestbed(t)
	const want = "skipped 2 empty lines"
	text := write(t, filepath.Join(f.dir, "list"), "a\n\nb\n\n")
	if _, errs := f.do(0, "dispatch", "--file", text, "--run", "a", "--quiet"); !strings.Contains(errs, "put 2 tasks") ||
		!strings.Contains(errs, want+"; run a is sealed with 2") {
		t.Errorf("dispatch said %s; want 2 tasks, %s", errs, want)
	}
	if out, _ := f.do(0, "dispatch", "--file", text, "--run", "b", "--quiet", "--json"); !strings.Contains(out, `"empty":2`) {
		t.Errorf("dispatch --json printed %s; want 2 empty", out)
	}
	urls := write(t, filepath.Join(f.dir, "urls"), "\n"+strings.ReplaceAll(f.url, "{0}", "1")+"\n\n")
	if _, errs := f.do(0, "run", "--file", urls, "--quiet"); !strings.Contains(errs, want) {
		t.Errorf("run said %s; want %s", errs, want)
	}
	tasks := write(t, filepath.Join(f.dir, "tasks"), "{\"body\":1}\n\n \n")
	if out, _ := f.do(0, "queue", "import", "q", "--file", tasks); out != "q: 1 task put, "+want+"\n" {
		t.Errorf("queue import printed %q; want %s", out, want)
	}
}
