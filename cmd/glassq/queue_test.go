package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// Tasks are looked at, exported, ended for good, imported and redriven; each keeps what it was.
func TestQueueTasks(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	f.do(0, "dispatch", "http://h/{0}", "-n", "3", "--run", "r", "--queue", "q", "--priority", "7", "--attempts", "3",
		"--quiet")
	f.do(0, "put", "--queue", "q", "--id", "mine", "--delay", "1h", "--ttl", "2h", "--type", "application/json", `{"a":1}`)
	f.do(0, "put", "--queue", "q", "no id\n\x01")
	out, _ := f.do(0, "queue", "peek", "q")
	if !strings.HasPrefix(out, "ID ") || !strings.Contains(out, "r/2 ") || !strings.Contains(out, "no id??") ||
		strings.Contains(out, "mine") {
		t.Errorf("queue peek printed %s", out)
	}
	if out, _ := f.do(0, "queue", "peek", "q", "--state", "delayed", "--json"); !strings.Contains(out,
		`"state":"delayed"`) || strings.Count(out, "\n") != 1 {
		t.Errorf("queue peek --state delayed --json printed %s", out)
	}
	if out, _ := f.do(0, "queue", "peek", "q", "-n", "2", "--json"); strings.Count(out, "\n") != 2 {
		t.Errorf("queue peek -n 2 printed %s", out)
	}
	file := filepath.Join(f.dir, "tasks")
	if _, errs := f.do(0, "queue", "export", "q", "--out", file); !strings.Contains(errs, "5 tasks of queue q") {
		t.Errorf("queue export said %s", errs)
	}
	first, _ := f.do(0, "queue", "export", "q")

	if _, errs := f.do(exitUsage, "queue", "purge", "q"); !strings.Contains(errs,
		"5 tasks of queue q (delayed, ready) would be ended for good") || !strings.Contains(errs, "--force") {
		t.Errorf("queue purge without a person said %s", errs)
	}
	if n := f.queue("q"); n.Ready+n.Delayed != 5 {
		t.Errorf("after a purge that was refused the queue is %+v", n)
	}
	if out, _ := f.do(0, "queue", "purge", "q", "--force"); out != "q: 5 tasks purged\n" {
		t.Errorf("queue purge printed %s", out)
	}

	// Another server, as when a queue moves.
	g := newServerBed(t)
	if out, _ := g.do(0, "queue", "import", "p", "--file", file); out != "p: 5 tasks put\n" {
		t.Errorf("queue import printed %s", out)
	}
	if out, _ := g.do(0, "queue", "import", "p", "--file", file,
		"--json"); out != `{"duplicates":5,"empty":0,"put":0,"queue":"p"}`+"\n" {
		t.Errorf("queue import again printed %s", out)
	}
	second, _ := g.do(0, "queue", "export", "p")
	a, b := withoutTimes(first), withoutTimes(second)
	if !slices.Equal(a, b) || len(a) != 5 {
		t.Errorf("exported\n%s\nimported and exported\n%s", first, second)
	}
	leases, err := g.q.Reserve(t.Context(), glassq.Reserve{Queue: "p", Max: 1})
	if err != nil || len(leases) != 1 || leases[0].TaskID() != "r/0" || leases[0].Priority.Level() != 7 ||
		leases[0].Attempts != 3 {
		t.Fatalf("first of the imported: %+v, %v; want r/0 with its options", leases, err)
	}
	if out, errs := g.do(0, "queue", "export", "p"); strings.Count(out, "\n") != 5 ||
		!strings.Contains(errs, "1 of them are leased") {
		t.Errorf("queue export with a leased task: %s%s", out, errs)
	}
	if _, err := g.q.Nack(t.Context(), []glassq.Nack{{Token: leases[0].Token(), Dead: true,
		Reason: "no good"}}); err != nil {
		t.Fatal(err)
	}
	if out, _ := g.do(0, "queue", "peek", "p", "--state", "dead"); !strings.Contains(out, "r/0") ||
		!strings.Contains(out, "no good") {
		t.Errorf("queue peek --state dead printed %s", out)
	}
	if out, _ := g.do(0, "queue", "redrive", "p", "--json"); out != `{"queue":"p","redriven":1}`+"\n" {
		t.Errorf("queue redrive printed %s", out)
	}
	if n := g.queue("p"); n.Dead != 0 || n.Ready != 4 {
		t.Errorf("after the redrive the queue is %+v", n)
	}
}

// withoutTimes are the lines of an export in order, without what is left of delays and times to
// live.
func withoutTimes(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		for _, name := range []string{`"delay":`, `"ttl":`} {
			if i := strings.Index(line, name); i >= 0 {
				end := i + strings.IndexAny(line[i:], ",}")
				line = line[:i] + line[end:]
			}
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

// More than a page, and large bodies.
func TestQueueExportPages(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	f.do(0, "dispatch", "http://h/{0}", "-n", "5000", "--run", "r", "--queue", "q", "--quiet")
	for i := range 3 {
		if _, err := f.q.Put(t.Context(), []glassq.Task{{Queue: "q", ID: fmt.Sprint(i), Body: make([]byte, 4<<20),
			Type: "application/octet-stream"}}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(f.dir, "tasks")
	f.do(0, "queue", "export", "q", "--out", file)
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "\n") != 5003 {
		t.Fatalf("export: %d lines, %v; want 5,003", strings.Count(string(text), "\n"), err)
	}
	g := newServerBed(t)
	g.do(0, "queue", "import", "q", "--file", file)
	if r, err := g.q.Run(t.Context(), "r"); err != nil || r.Books.Put != 5000 {
		t.Errorf("the imported run is %+v, %v", r, err)
	}
	if n := g.queue("q"); n.Ready != 5003 || n.Bytes < 12<<20 {
		t.Errorf("the imported queue is %+v", n)
	}
}

func TestBadQueueInput(t *testing.T) {
	t.Parallel()
	f := newServerBed(t)
	file := func(text string) string {
		return write(t, filepath.Join(f.dir, fmt.Sprint(time.Now().UnixNano())), text)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"queue", "peek", "none"}, exitUnexpected, "none"},
		{[]string{"queue", "peek", "q", "--state", "gone"}, exitUsage, "not one of delayed, ready, leased, dead"},
		{[]string{"queue", "purge", "none"}, exitUnexpected, "there is no queue none"},
		{[]string{"queue", "purge", "q", "--state", "leased"}, exitUsage, "a leased task finishes"},
		{[]string{"queue", "export", "none"}, exitUnexpected, "none"},
		{[]string{"queue", "export", "none", "--out", filepath.Join(f.dir, "x")}, exitUnexpected, "none"},
		{[]string{"queue", "import", "a/b", "--file", file("")}, exitUsage, "bad name"},
		{[]string{"queue", "import", "q", "--file", file("{\"body\":\"a\"}\n{\"body\":}\n")}, exitUsage, "line 2: "},
		{[]string{"queue", "import", "q", "--file", file("\n\nno task\n")}, exitUsage, "line 3: "},
		{[]string{"queue", "import", "q", "--file", file(`{"n":1,"body":"x"}`)}, exitUsage, "line 1: "},
		{[]string{"queue", "import", "q", "--file", file(`{"priority":11,"body":"x"}`)}, exitUsage, "line 1: "},
		{[]string{"queue", "import", "q", "--file", filepath.Join(f.dir, "none")}, exitUsage, "no such file"},
	} {
		if _, errs := f.do(tt.code, tt.args...); !strings.Contains(errs, tt.want) {
			t.Errorf("glassq %q said %s; want %q", tt.args, errs, tt.want)
		}
	}
	if _, err := os.Stat(filepath.Join(f.dir, "x")); err == nil {
		t.Error("an export that failed left a file")
	}
}
