package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNewcomer: what people type first does what they mean, or says what to type.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	f.do(0, "put", "open", "a", "--run", "open")
	for _, tt := range []struct {
		name, args string
		code       int
		want       string // in standard output, or standard error when the code is not 0
	}{
		{"version", "--version", 0, "glassq "},
		{"put to a queue", "put mine x", 0, ""},
		{"peek", "queue peek mine", 0, "x"},
		{"put to two queues", "put mine x --queue other", exitUsage, `--queue other and the argument "mine" name two queues`},
		{"get from a queue", "get mine", 0, "x\n"},
		{"get from none", "get mine", exitUnexpected, "queue mine has no task ready"},
		{"remove one without tasks", "queue rm mine", 0, "mine: removed\n"},
		{"removed", "queue show mine", exitUnexpected, "mine"},
		{"remove one with tasks", "queue rm open", exitUsage, "1 task of queue open (delayed, ready, dead) would be ended for good, and there is nobody to ask: give --force"},
		{"remove by force", "queue rm open --force --json", 0, `{"queue":"open","removed":true}`},
		{"remove none", "queue rm none", exitUnexpected, "there is no queue none"},
		{"seal", "runs seal open --total 0", 0, "open, drained"},
		{"seal what is not there", "runs seal none", exitUnexpected, "none"},
	} {
		out, errs := f.do(tt.code, strings.Fields(tt.args)...)
		if said := map[bool]string{true: out, false: errs}[tt.code == 0]; !strings.Contains(said, tt.want) {
			t.Errorf("%s: glassq %s says %q; want %q", tt.name, tt.args, said, tt.want)
		}
	}
}

// TestUnsetVariables: a variable of a shell that is not set chooses nothing, and never something else.
func TestUnsetVariables(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want string // and exit code 2; "" for the server, which is not there
	}{
		{"dead tasks of a run", []string{"queue", "redrive", "q", "--run", ""}, "--run is empty"},
		{"one of many ids", []string{"queue", "purge", "q", "--task", "b/1", "--task", "", "--force"}, "--task is empty"},
		{"the hold of a key", []string{"keys", "q", "--release", ""}, "--release is empty"},
		{"a key to forget", []string{"queue", "set", "q", "--key-reset", ""}, "--key-reset is empty"},
		{"a limit", []string{"queue", "set", "q", "--key-rate", ""}, "--key-rate is empty"},
		{"the limit of a key", []string{"queue", "set", "q", "--key-rate", "a="}, "--key-rate a=: "},
		{"a limit in days", []string{"queue", "set", "q", "--key-rate", "1/d"}, "--key-rate 1/d: want a value like 10/s, 60/m or 1000/h, or KEY=VALUE"},
		{"the key of a limit", []string{"queue", "set", "q", "--key-concurrency", "=5"}, "--key-concurrency =5: "},
		{"the amount of a rate", []string{"queue", "set", "q", "--key-cost-rate", "/m"}, "--key-cost-rate /m: "},
		{"a run to continue", []string{"dispatch", "x{0}", "-n", "1", "--run", ""}, "--run is empty"},
		{"a run to wait for", []string{"dispatch", "x{0}", "-n", "1", "--after", ""}, "--after is empty"},
		{"a hook", []string{"dispatch", "x{0}", "-n", "1", "--on-failed", ""}, "--on-failed is empty"},
		{"a key of tasks", []string{"dispatch", "x{0}", "-n", "1", "--key", ""}, "--key is empty"},
		{"a list of ids", []string{"dispatch", "x{0}", "-n", "1", "--ids", ""}, "--ids is empty"},
		{"a queue", []string{"dispatch", "x{0}", "-n", "1", "--queue", ""}, "--queue is empty"},
		{"an end", []string{"work", "http", "--until-done", ""}, "--until-done is empty"},
		{"the results of a run", []string{"output", "--run", ""}, "--run is empty"},
		{"results that are there", []string{"runs", "retry", "r", "--missing", ""}, "--missing is empty"},
		{"the key of a task", []string{"put", "q", "x", "--key", ""}, "--key is empty"},
		{"an id", []string{"put", "q", "x", "--id", ""}, "--id is empty"},
		{"moments", []string{"schedule", "set", "s", "", "x"}, "CRON is empty"},
		{"a queue to take from", []string{"get", ""}, "QUEUE is empty"},
		{"a rule that is taken away", []string{"queue", "set", "q", "--halt", ""}, ""},
		{"a body of nothing", []string{"put", "q", "", "--retry", "0"}, ""},
	} {
		code, want := exitUsage, tt.want
		if want == "" {
			code, want = exitServer, "no answer from a server"
		}
		if _, errs, got := invoke(t, "", nil, append(tt.args, "--server", "http://127.0.0.1:1")...); got != code || !strings.Contains(errs, want) {
			t.Errorf("%s: glassq %q: exit %d, %q; want %d, %q", tt.name, tt.args, got, errs, code, want)
		}
	}
}

// TestManualPages: what stands in angle brackets is taken for a tag by the renderer of the pages,
// and vanishes.
func TestManualPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, errs, code := invoke(t, "", nil, "man", dir); code != 0 {
		t.Fatalf("man: exit %d: %s", code, errs)
	}
	page, err := os.ReadFile(filepath.Join(dir, "glassq-serve.1"))
	if err != nil || !strings.Contains(string(page), "get_QUEUE_queue") {
		t.Errorf("glassq-serve.1 does not name get_QUEUE_queue, %v", err)
	}
	tag := regexp.MustCompile(`[^'\s]<[a-z]+>|<[a-z]+>[^'\s]`)
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range sources {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "Var(") && tag.MatchString(line) {
				t.Errorf("%s: %s: name it in capitals", path, strings.TrimSpace(line))
			}
		}
	}
}

// TestClientSection: server, key and CA stand once in the file for all commands that speak to a
// server.
func TestClientSection(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	dir := t.TempDir()
	server := f.serverAt
	file := write(t, filepath.Join(dir, "c.toml"), "[client]\nserver = \""+server+"\"\n")
	for _, tt := range []struct {
		name, text, args string
		code             int
		want             string
	}{
		{"all clients", "", "put a b --config " + file, 0, ""},
		{"a section of its own wins", "[client]\nserver = \"http://127.0.0.1:1\"\n[queue.ls]\nserver = \"" + server + "\"\n",
			"queue ls", 0, "a"},
		{"no other setting", "[client]\nqueue = \"x\"\n", "queue ls", exitUsage, "line 2: there is no setting queue in [client]"},
		{"misspelt", "[client]\nsever = \"x\"\n", "queue ls", exitUsage, "there is no setting sever in [client]; did you mean server?"},
		{"a certificate", "[client]\nclient-cert = \"c.pem\"\nclient-key = \"k.pem\"\n", "config work http", 0, `client-cert c.pem file`},
		{"a tunnel", "[client]\nserver = \"https://queue.example\"\n", "config tunnel", 0, `server https://queue.example file`},
		{"not of serve", "[client]\nkey-file = \"none\"\n", "config serve", 0, `key-file "" default`},
	} {
		args := strings.Fields(tt.args)
		if tt.text != "" {
			args = append(args, "--config", write(t, filepath.Join(dir, "d.toml"), tt.text))
		}
		out, errs, code := invoke(t, "", nil, args...)
		if said := strings.Join(strings.Fields(out+errs), " "); code != tt.code || !strings.Contains(said, tt.want) {
			t.Errorf("%s: glassq %q: exit %d, %q; want %d, %q", tt.name, args, code, said, tt.code, tt.want)
		}
	}
}

// TestDoctorOfAClient: a machine on which no server has run has nothing wrong with its data.
func TestDoctorOfAClient(t *testing.T) {
	t.Parallel()
	out, errs, code := invoke(t, "", nil, "doctor")
	if code != 0 || !strings.Contains(out, "no server has run on this machine") {
		t.Errorf("doctor: exit %d: %s%s; want 0, and that there is no server", code, out, errs)
	}
}

// TestSentences: what the programs say helps the one who sees it, where it is seen.
func TestSentences(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	large := write(t, filepath.Join(f.dir, "large"), strings.Repeat("x", 17<<20))
	nobody := "http://" + freeAddress(t) + "/{0}"
	for _, tt := range []struct {
		name     string
		args     []string
		code     int
		has      string
		hasNot   string // besides "1 columns" and the like
		failures string // member msg of the results
	}{
		{name: "its own run is not waited for", args: []string{"run", nobody, "-n", "1"}, code: exitNotWell,
			has: "this call took ", hasNot: "does not exist yet"},
		{name: "one rate", args: []string{"run", nobody, "-n", "1"}, code: exitNotWell, hasNot: "requests/s"},
		{name: "run has no server", args: []string{"run", "--file", large, "--data", "mem:"}, code: exitUsage,
			has: "the limit is 16777216", hasNot: "serve --max-body"},
		{name: "dispatch has one", args: []string{"dispatch", "--file", large}, code: exitUsage,
			has: "serve --max-body is the limit of a server"},
		{name: "no socket", args: []string{"run", "http://host/{0}", "-n", "1", "--json", "--unix-socket",
			filepath.Join(f.dir, "none")}, code: exitNotWell, failures: `"err":"refused","msg":"there is no socket at the path of --unix-socket"`},
		{name: "unix as a host", args: []string{"run", "http://unix/{0}", "-n", "1", "--json"}, code: exitNotWell,
			failures: "--unix-socket PATH connects to a socket of this machine"},
		{name: "escape in a host", args: []string{"run", "http://%6c/{0}", "-n", "1", "--json"}, code: exitNotWell,
			failures: `"err":"bad_task","msg":"the host of the url has \"%6c\" in it`},
		{name: "port", args: []string{"run", "http://127.0.0.1:99999/{0}", "-n", "1", "--json"}, code: exitNotWell,
			failures: `"err":"bad_task","msg":"port 99999 is not between 1 and 65535"`},
		{name: "vegeta", args: []string{"dispatch", "--format", "vegeta", "--file",
			write(t, filepath.Join(f.dir, "g"), "G\n")}, code: exitUsage, has: "neither a method and a URL, like 'GET http://host/'",
			hasNot: "invalid character"},
		{name: "columns", args: []string{"dispatch", "{col:a}", "--file", write(t, filepath.Join(f.dir, "u.csv"), "a\n1,2\n")},
			code: exitUsage, has: "columns in the first row: 1, in this one: 2"},
	} {
		out, errs := f.do(tt.code, tt.args...)
		if !strings.Contains(errs, tt.has) || tt.hasNot != "" && strings.Contains(errs, tt.hasNot) ||
			!strings.Contains(out, tt.failures) || regexp.MustCompile(`\b1 (columns|tasks|queues|results)\b`).MatchString(errs) {
			t.Errorf("%s: glassq %q says %s%s; want %q and %q, not %q", tt.name, tt.args, out, errs, tt.has, tt.failures, tt.hasNot)
		}
	}
}
