package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/output"
)

// finish acks the tasks of a queue in their order with the given results, "" for none.
func (f *testbed) finish(queue string, results ...string) {
	f.t.Helper()
	leases, err := f.q.Reserve(f.t.Context(), glassq.Reserve{Queue: queue, Max: len(results)})
	if err != nil || len(leases) != len(results) {
		f.t.Fatalf("reserve %d from %s: %d, %v", len(results), queue, len(leases), err)
	}
	acks := make([]glassq.Ack, len(leases))
	for i := range leases {
		acks[i].Token = leases[i].Token()
		if results[i] != "" {
			acks[i].Result = &glassq.Task{Body: []byte(results[i]), Type: glassq.TypeJSON}
		}
		if !json.Valid([]byte(results[i])) {
			acks[i].Result.Type = glassq.TypeText
		}
	}
	errs, err := f.q.Ack(f.t.Context(), acks)
	for _, e := range errs {
		if err == nil {
			err = e
		}
	}
	if err != nil {
		f.t.Fatalf("ack: %v", err)
	}
}

// someResults are those of a run with 6 tasks.
var someResults = []string{
	`{"i":"http://a/1","o":{"ok":1,"rt":0.010,"code":200,"t":1790000000.1,"w":"w1","team":"x"}}`,
	`{"i":"http://a/2","o":{"ok":1,"rt":0.020,"code":200,"t":1790000000.2,"w":"w1","team":"x"}}`,
	`{"i":"http://b/3","o":{"ok":1,"rt":0.030,"code":200,"t":1790000000.3,"w":"w2","team":"y"}}`,
	`{"i":"http://b/4","o":{"ok":0,"rt":0.500,"code":503,"err":"status","t":1790000000.4,"w":"w2","team":"y"}}`,
	`{"i":"http://b/5","o":{"ok":0,"rt":0.001,"err":"refused","msg":"connection refused","t":1790000000.5,"w":"w2"}}`,
	`this is no JSON`,
}

// made is a run with those results, ready to be taken.
func (f *testbed) made(run string) {
	f.t.Helper()
	f.do(0, "dispatch", "http://h/{0}", "-n", "6", "--run", run, "--queue", run, "--quiet")
	f.finish(run, someResults...)
}

func TestOutputFormats(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	for i, tt := range []struct {
		args []string
		want []string // parts of standard output
	}{
		{[]string{"--json"}, []string{`{"id":"f0/0","run":"f0","i":"http://a/1","o":{"ok":1,"rt":0.010,`,
			`{"id":"f0/5","run":"f0","o":{"ok":1,"a":1},"raw":"this is no JSON"}`}},
		{[]string{"--format", "csv"}, []string{"id,run,ok,rt,lag,code,err", "f1/3,f1,0,0.500000,", "503,status"}},
		{nil, []string{"f2/3\tfailed\t503\t0.500000\tstatus\n", "f2/0\tok\t200\t0.010000"}},
		{[]string{"--template", "{{.ID}} {{.Code}} {{.Host}} {{.Err}}"}, []string{"f3/4 0 b refused\n", "f3/0 200 a \n"}},
		{[]string{"--format", "none"}, []string{""}},
	} {
		run := fmt.Sprint("f", i)
		f.made(run)
		out, errs := f.do(0, append([]string{"output", "--run", run}, tt.args...)...)
		for _, want := range tt.want {
			if !strings.Contains(out, want) || want == "" && out != "" {
				t.Errorf("output %q printed %s; want %q in it", tt.args, out, want)
			}
		}
		for _, want := range []string{"put 6 = ok 4 + failed 2 + dead 0 + pending 0    missing 0   duplicate 0",
			"1 result is no JSON object", "failed: 1  refused", "failed: 1  status 503"} {
			if !strings.Contains(errs, want) {
				t.Errorf("output %q said %s; want %q in it", tt.args, errs, want)
			}
		}
	}
}

// Rules end the program with 3 when they hold, and a rule on what was not measured is broken.
func TestOutputRules(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	for i, tt := range []struct {
		rules []string
		code  int
	}{
		{[]string{"p99>250ms"}, exitThreshold},
		{[]string{"p50>250ms"}, 0},
		{[]string{"max>501ms", "ok<50%", "dead>0", "missing>0", "duplicate>0", "err:dns>0"}, 0},
		{[]string{"ok<99.9%"}, exitThreshold},
		{[]string{"p50>250ms", "err:refused>0"}, exitThreshold},
		{[]string{"err:status 503>=1"}, exitThreshold},
		{[]string{"failed>=2"}, exitThreshold},
		{[]string{"rate<20000"}, exitThreshold},
		{[]string{"results<6"}, 0},
	} {
		run := fmt.Sprint("r", i)
		f.made(run)
		args := []string{"output", "--run", run, "--format", "none", "--quiet"}
		for _, r := range tt.rules {
			args = append(args, "--fail-if", r)
		}
		_, errs := f.do(tt.code, args...)
		if broken := strings.Contains(errs, "broken: "); broken != (tt.code != 0) {
			t.Errorf("--fail-if %q: said %s", tt.rules, errs)
		}
	}
	f.made("strict")
	f.do(exitNotWell, "output", "--run", "strict", "--format", "none", "--strict")
	for _, rule := range []string{"p99", "p99>250", "ok<101%", "speed>1", "p0>1s"} {
		if _, errs := f.do(exitUsage, "output", "--run", "x", "--fail-if", rule); !strings.Contains(errs,
			"a rule is like p99>250ms") && !strings.Contains(errs, "nothing that is measured") {
			t.Errorf("--fail-if %q said %s; want what a rule is like", rule, errs)
		}
	}
}

// A run without any result: figures of nothing, a report that says so, and rules that cannot hold
// good.
func TestOutputOfNothing(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	for _, run := range []string{"plain", "ruled"} {
		f.do(0, "dispatch", "http://h/{0}", "-n", "3", "--run", run, "--queue", run, "--quiet")
		f.do(0, "runs", "cancel", run)
	}
	report, hgrm := filepath.Join(f.dir, "r.html"), filepath.Join(f.dir, "h")
	out, errs := f.do(exitNotWell, "output", "--run", "plain", "--format", "none", "--summary", "json", "--report", report,
		"--hgrm", hgrm)
	var s struct {
		Results  int
		Balanced bool
		Dead     int
		Service  struct{ Count int }
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Results != 0 || !s.Balanced || s.Dead != 3 ||
		s.Service.Count != 0 {
		t.Errorf("summary of nothing: %s, %v", out, err)
	}
	if !strings.Contains(errs, "put 3 = ok 0 + failed 0 + dead 3 + pending 0    missing 0   duplicate 0") {
		t.Errorf("output of nothing said %s", errs)
	}
	if page, err := os.ReadFile(report); err != nil || !strings.Contains(string(page), "</html>") ||
		!strings.Contains(strings.ToLower(string(page)), "no results") {
		t.Errorf("report of nothing: %d bytes, %v; want it to say that there are no results", len(page), err)
	}
	if text, err := os.ReadFile(hgrm); err != nil || strings.Contains(string(text), "NaN") {
		t.Errorf("hgrm of nothing: %s, %v", text, err)
	}
	if _, errs := f.do(exitThreshold, "output", "--run", "ruled", "--format", "none", "--fail-if",
		"p99>250ms"); !strings.Contains(errs, "p99>250ms") {
		t.Errorf("a rule on nothing said %s", errs)
	}
}

func TestOutputGroups(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	f.made("g")
	out, _ := f.do(0, "output", "--run", "g", "--format", "none", "--summary", "json", "--by", "code,err,worker", "--by",
		"label:team")
	var s struct {
		Groups []struct {
			By     string
			Groups []struct {
				Key           string
				Count, Failed int
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, by := range s.Groups {
		var keys []string
		for _, g := range by.Groups {
			keys = append(keys, fmt.Sprintf("%s %d/%d", g.Key, g.Failed, g.Count))
		}
		slices.Sort(keys)
		got[by.By] = strings.Join(keys, ", ")
	}
	for by, want := range map[string]string{
		"host":       "(none) 0/1, a 0/2, b 2/3",
		"code":       "(none) 1/2, 200 0/3, 503 1/1",
		"err":        "ok 0/4, refused 1/1, status 503 1/1",
		"worker":     "(none) 0/1, w1 0/2, w2 2/3",
		"label:team": "(none) 1/2, x 0/2, y 1/2",
	} {
		if got[by] != want {
			t.Errorf("by %s: %s; want %s", by, got[by], want)
		}
	}
}

// The lists of failed, missing and duplicate ids, each of which dispatch takes again.
func TestOutputLists(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	f.made("r")
	// Somebody takes one result away; another one is in the file already and comes again.
	if out, _ := f.do(0, "get", "--queue", "results.r"); !strings.Contains(out, "http://a/1") {
		t.Fatalf("get printed %s", out)
	}
	file := write(t, filepath.Join(f.dir, "r.ndjson"),
		`{"id":"r/2","run":"r",`+someResults[2][1:]+"\n")
	var wrote output.Options
	introduce(&wrote, f.q, file)
	if err := wrote.Found(t.Context(), glassq.Run{Name: "r"}); err != nil {
		t.Fatal(err)
	}
	list := func(name string) string { return filepath.Join(f.dir, name) }
	_, errs := f.do(exitUnbalanced, "output", "--run", "r", "--out", file, "--missing-out", list("missing"),
		"--failed-out", list("failed"), "--duplicate-out", list("duplicate"))
	if !strings.Contains(errs, "missing 1   duplicate 1") {
		t.Errorf("output said %s; want one missing, one duplicate", errs)
	}
	for name, want := range map[string]string{"missing": "r/0\n", "failed": "r/3\nr/4\n", "duplicate": "r/2\n"} {
		text, err := os.ReadFile(list(name))
		if err != nil || string(text) != want && name != "failed" {
			t.Errorf("list of %s ids: %q, %v; want %q", name, text, err, want)
		}
		f.do(0, "dispatch", "http://h/{0}", "-n", "6", "--ids", list(name), "--run", name, "--queue", name, "--quiet")
		leases, err := f.q.Reserve(t.Context(), glassq.Reserve{Queue: name, Max: 10, Wait: tooLong})
		if err != nil {
			t.Fatal(err)
		}
		again := ""
		for i := range leases {
			again += fmt.Sprintf("r/%d\n", leases[i].Position)
		}
		if again != want {
			t.Errorf("dispatch --ids of the %s put %q; want %q", name, again, want)
		}
	}
	// The failed ones can be put without their source as well.
	if !strings.Contains(errs, "glassq dispatch --file "+list("failed")+" --format ndjson puts them") {
		t.Errorf("output said %s; want how the failed tasks are put again", errs)
	}
	f.do(0, "dispatch", "--file", list("failed"), "--format", "ndjson", "--run", "anew", "--queue", "anew", "--quiet")
	leases, err := f.q.Reserve(t.Context(), glassq.Reserve{Queue: "anew", Max: 10, Wait: tooLong})
	if err != nil || len(leases) != 2 || string(leases[0].Body) != "http://b/4" ||
		!strings.Contains(string(leases[1].Extra), "refused") {
		t.Errorf("dispatch --file of the failed put %v, %v; want the inputs with their errors", leases, err)
	}
}

// CSV has a column for what the run was asked to record, whatever the first results were, and no
// cell does anything to a spreadsheet unless it is asked for.
func TestRunCSV(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := write(t, filepath.Join(dir, "list"), "=1+1\n-1.5\n")
	for name, tt := range map[string]struct {
		args  []string
		cells []string
	}{
		"safe.csv": {nil, []string{",'=1+1,", ",-1.5,"}},
		"raw.csv":  {[]string{"--csv-raw"}, []string{",=1+1,", ",-1.5,"}},
	} {
		out := filepath.Join(dir, name)
		for range 2 { // the second call reads what the first has written
			_, errs, code := invoke(t, "", nil, append([]string{"run", "--file", list, "--profile", "fetch", "--save", "text", "--out",
				out, "--data", filepath.Join(dir, name+".d")}, tt.args...)...)
			if code != exitNotWell || !strings.Contains(errs, "missing 0   duplicate 0") { // they are no URLs
				t.Fatalf("run: exit %d: %s", code, errs)
			}
		}
		text, err := os.ReadFile(out)
		head, rest, _ := strings.Cut(string(text), "\n")
		if err != nil || !strings.HasSuffix(head, ",input,tries,hops,url,size,body,body_b64,body_cut,more") {
			t.Errorf("%s begins with %s, %v; want a column for all that fetch may record", name, head, err)
		}
		for _, cell := range tt.cells {
			if !strings.Contains(rest, cell) {
				t.Errorf("%s has %s; want a cell %s", name, rest, cell)
			}
		}
	}
}

// --only writes what meets its conditions, and counts all.
func TestOutputOnly(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	f.made("r")
	file := filepath.Join(f.dir, "only.ndjson")
	_, errs := f.do(0, "output", "--run", "r", "--only", "failed,err=status", "--out", file)
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"code":503`) {
		t.Errorf("--only wrote %s, %v; want the one with status 503", text, err)
	}
	for _, want := range []string{"6 results  ok 4  failed 2", "1 of them was written: --only failed,err=status", "missing 0"} {
		if !strings.Contains(errs, want) {
			t.Errorf("output said %s; want %q", errs, want)
		}
	}
	for _, args := range [][]string{{"--only", "failed", "--out", file}, {"--only", "what"}, {"--only", "ok", "--format", "none"}} {
		f.do(exitUsage, append([]string{"output", "--run", "r"}, args...)...)
	}
}

// Results are read once. A second output says who has them, and goes on with that file when it is
// told to.
func TestOutputOfWhatWasRead(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	f.made("r")
	file := filepath.Join(f.dir, "first.ndjson")
	f.do(0, "output", "--run", "r", "--out", file)
	for _, args := range [][]string{{"--json"}, {"--out", filepath.Join(f.dir, "second.ndjson")}} {
		_, errs := f.do(exitUnbalanced, append([]string{"output", "--run", "r"}, args...)...)
		for _, want := range []string{"read before into " + file + " on ", "missing 0   duplicate 0   read before 6",
			"not here: 6 results of run r, read before"} {
			if !strings.Contains(errs, want) {
				t.Errorf("output %q said %s; want %q", args, errs, want)
			}
		}
		if strings.Contains(errs, "missing: ") {
			t.Errorf("output %q said %s; want nothing of missing ones", args, errs)
		}
	}
	if _, errs := f.do(0, "output", "--run", "r", "--out", file); !strings.Contains(errs, "6 results") ||
		strings.Contains(errs, "read before") {
		t.Errorf("the first file again: %s", errs)
	}
	if out, _ := f.do(0, "runs", "show", "r"); !strings.Contains(out, file+" on ") || !strings.Contains(out,
		"standard output of process ") {
		t.Errorf("runs show said %s; want who read the results", out)
	}
}

// A file of results is not gone on with for a run of the same name on another server: its results
// would be taken for repeats, and lost.
func TestOutputOfAnotherRun(t *testing.T) {
	t.Parallel()
	first, second := newServerBed(t), newServerBed(t)
	first.made("r")
	second.made("r")
	file := filepath.Join(first.dir, "r.ndjson")
	first.do(0, "output", "--run", "r", "--out", file)
	if _, errs := second.do(exitUsage, "output", "--run", "r", "--out", file); !strings.Contains(errs, file+" has 6 results of another run named r") {
		t.Errorf("output said %s; want whose results are in the file", errs)
	}
	if _, errs := second.do(0, "output", "--run", "r", "--out", filepath.Join(second.dir, "r.ndjson")); !strings.Contains(errs, "6 results") {
		t.Errorf("output to a new file said %s; want all 6", errs)
	}
	table := filepath.Join(first.dir, "r.csv")
	first.made("s")
	first.do(0, "output", "--run", "s", "--format", "csv", "--out", table)
	third := newServerBed(t)
	for _, run := range []string{"r", "s"} { // done a second later
		third.do(0, "dispatch", "http://h/{0}", "-n", "6", "--run", run, "--queue", run, "--quiet")
		var later []string
		for _, text := range someResults {
			later = append(later, strings.Replace(text, "1790000000.", "1790000001.", 1))
		}
		third.finish(run, later...)
	}
	if _, err := third.q.SetRun(t.Context(), "r", glassq.RunChange{Reader: "somebody"}); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"a run that somebody read before": {"--run", "r", "--out", file},
		"all that comes":                  {"--results", "results.r", "--out", file},
		"all that comes, as CSV":          {"--results", "results.s", "--format", "csv", "--out", table},
	} {
		if _, errs := third.do(exitUsage, append([]string{"output"}, args...)...); !strings.Contains(errs, "of another run named ") {
			t.Errorf("output of %s said %s; want whose results are in the file", name, errs)
		}
	}
	for _, run := range []string{"r", "s"} { // nothing was lost
		if _, errs := third.do(0, "output", "--run", run, "--out", filepath.Join(third.dir, run)); !strings.Contains(errs, "6 results") {
			t.Errorf("output of run %s afterwards said %s; want all 6", run, errs)
		}
	}
	moved := filepath.Join(second.dir, "moved.ndjson")
	if err := os.Rename(file, moved); err != nil {
		t.Fatal(err)
	}
	if _, errs := first.do(0, "output", "--run", "r", "--out", moved); !strings.Contains(errs, "6 results") {
		t.Errorf("the file under another name: %s", errs)
	}
}

// A target that nobody listens at is one class of error with one message, however many requests
// fail.
func TestUnreachableTarget(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	start(t, f.env, "work", "http", "-c", "8")
	out := filepath.Join(f.dir, "r.ndjson")
	_, errs := f.do(exitNotWell, "dispatch", "http://"+freeAddress(t)+"/?q={0}", "-n", "300", "--run", "r", "--wait", "--out", out,
		"--quiet")
	if !strings.Contains(errs, "failed: 300  refused\n") || strings.Count(errs, "failed: ") != 1 {
		t.Errorf("300 requests to nobody: said %s; want one class", errs)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var r farmed
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		messages[r.O.Err+": "+r.O.Msg]++
	}
	if len(messages) != 1 {
		t.Errorf("300 requests to nobody have the messages %v; want one", messages)
	}
}

// Files beside the results that cannot be written: exit 8 and which one, and the results are safe.
func TestOutputFilesFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("left out: linux only (it has /dev/full)")
	}
	t.Parallel()
	f := newServerBed(t)
	for i, flag := range []string{"--report", "--summary-out", "--hgrm", "--junit", "--failed-out", "--missing-out"} {
		run := fmt.Sprint("r", i)
		f.made(run)
		if flag == "--missing-out" {
			f.do(0, "get", "--queue", "results."+run)
		}
		out := filepath.Join(f.dir, run)
		_, errs := f.do(exitStorage, "output", "--run", run, "--out", out, flag, "/dev/full", "--quiet")
		if !strings.Contains(errs, "no space left") {
			t.Errorf("output %s /dev/full said %s", flag, errs)
		}
		if have := positionsIn(t, out, run); flag != "--missing-out" && len(have) != 6 {
			t.Errorf("output %s /dev/full: %d results in the file; want 6", flag, len(have))
		}
	}
	// Printed results, too, are acked only when they are written.
	f.made("p")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"get", "--queue", "results.p"}, {"output", "--run", "p", "--json", "--lease", "1s"},
		{"queue", "ls"}, {"queue", "ls", "--json"}, {"runs", "show", "p"}} {
		errs, code := invokeTo(t, full, f.env, args...)
		if code != exitStorage || !strings.Contains(errs, "no space left") {
			t.Errorf("glassq %q to a full disk: exit %d, said %s; want 8", args, code, errs)
		}
	}
	f.await("the leases of the output run out", func() bool { return f.queue("results.p").Leased == 0 })
	if n := f.queue("results.p"); n.Ready+n.Delayed != 6 {
		t.Errorf("after that the results are %+v; want all 6 there", n)
	}
}

// Results in the order of the tasks, whatever the order in which they were done.
func TestOutputKeepOrder(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	f.do(0, "dispatch", "http://h/{0}", "-n", "1000", "--run", "r", "--queue", "r", "--quiet")
	leases, err := f.q.Reserve(t.Context(), glassq.Reserve{Queue: "r", Max: 1000})
	if err != nil || len(leases) != 1000 {
		t.Fatalf("reserve: %d, %v", len(leases), err)
	}
	slices.Reverse(leases)
	for part := range slices.Chunk(leases, 100) {
		acks := make([]glassq.Ack, len(part))
		for i := range part {
			acks[i] = glassq.Ack{Token: part[i].Token(), Result: &glassq.Task{Body: []byte(`{"o":{"ok":1}}`),
				Type: glassq.TypeJSON}}
		}
		if part[0].Position == 499 { // one of them is dead
			if _, err := f.q.Nack(t.Context(), []glassq.Nack{{Token: part[0].Token(), Dead: true}}); err != nil {
				t.Fatal(err)
			}
			acks = acks[1:]
		}
		if _, err := f.q.Ack(t.Context(), acks); err != nil {
			t.Fatal(err)
		}
	}
	out, _ := f.do(0, "output", "--run", "r", "--keep-order", "--batch", "70", "--template", "{{.ID}}", "--quiet")
	var want strings.Builder
	for n := range 1000 {
		if n != 499 {
			fmt.Fprintf(&want, "r/%d\n", n)
		}
	}
	if out != want.String() {
		t.Errorf("output --keep-order printed %.200s…, %d lines; want 999 in order", out, strings.Count(out, "\n"))
	}
	f.do(exitUsage, "output", "--keep-order")
}
