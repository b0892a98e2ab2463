package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/check"
)

// An example is a folder of examples/ with a worker and a producer.
type example struct {
	dir, door        string
	needs            string   // a command that must be there
	probe            []string // more that must work, beside needs
	build            [][]string
	worker, producer []string // $OUT is where builds go
	install          string   // how to get what it needs; "" where no package of the fuller tests has it
}

var examples = []example{
	{dir: "shell", door: check.DoorHTTP, needs: "jq", probe: []string{"curl", "--version"},
		worker: []string{"sh", "worker.sh"}, producer: []string{"sh", "producer.sh"}, install: "apt-get install curl jq"},
	{dir: "python", door: check.DoorHTTP, needs: "python3",
		worker: []string{"python3", "worker.py"}, producer: []string{"python3",
			"producer.py"}, install: "apt-get install python3"},
	{dir: "python", door: check.DoorManager, needs: "python3",
		worker: []string{"python3", "managed.py"}, install: "apt-get install python3"},
	{dir: "node", door: check.DoorHTTP, needs: "node",
		worker: []string{"node", "worker.mjs"}, producer: []string{"node",
			"producer.mjs"}, install: "apt-get install nodejs"},
	{dir: "ruby", door: check.DoorHTTP, needs: "ruby",
		worker: []string{"ruby", "worker.rb"}, producer: []string{"ruby", "producer.rb"}, install: "apt-get install ruby"},
	{dir: "php", door: check.DoorMemcache, needs: "php", probe: []string{"php", "-r", "new Memcached();"},
		worker: []string{"php", "worker.php"}, producer: []string{"php",
			"producer.php"}, install: "apt-get install php-cli php-memcached"},
	{dir: "perl", door: check.DoorMemcache, needs: "perl",
		probe:  []string{"perl", "-MCache::Memcached::Fast", "-MJSON::PP", "-e1"},
		worker: []string{"perl", "worker.pl"}, producer: []string{"perl",
			"producer.pl"}, install: "apt-get install libcache-memcached-fast-perl"},
	{dir: "lua", door: check.DoorPipe, needs: "lua5.4", probe: []string{"curl", "--version"},
		worker: []string{"lua5.4", "worker.lua"}, producer: []string{"lua5.4",
			"producer.lua"}, install: "apt-get install lua5.4 curl"},
	{dir: "c", door: check.DoorPipe, needs: "gcc",
		build: [][]string{{"gcc", "-Wall", "-Werror", "-o", "$OUT/worker", "worker.c"},
			{"gcc", "-Wall", "-Werror", "-o", "$OUT/producer", "producer.c"}},
		worker: []string{"$OUT/worker"}, producer: []string{"$OUT/producer"}, install: "apt-get install gcc"},
	{dir: "java", door: check.DoorPipe, needs: "javac",
		build:  [][]string{{"javac", "-d", "$OUT", "Worker.java", "Producer.java"}},
		worker: []string{"java", "-Xshare:auto", "-cp", "$OUT", "Worker"}, producer: []string{"java", "-cp", "$OUT",
			"Producer"}},
	{dir: "rust", door: check.DoorPipe, needs: "rustc",
		build: [][]string{{"rustc", "-O", "-o", "$OUT/worker", "worker.rs"},
			{"rustc", "-O", "-o", "$OUT/producer", "producer.rs"}},
		worker: []string{"$OUT/worker"}, producer: []string{"$OUT/producer"}},
	{dir: "go/worker", door: check.DoorHTTP, needs: "go",
		build:  [][]string{{"go", "build", "-o", "$OUT/worker", "."}},
		worker: []string{"$OUT/worker"}},
}

// least is how many examples must have run where everything was installed.
const least = 8

// TestExamples holds every example to the kit, with all cases that its door allows, and lets its
// producer fill a queue. An example is at most 30 lines.
func TestExamples(t *testing.T) {
	var mu sync.Mutex
	var ran []string
	t.Run("each", func(t *testing.T) {
		for _, e := range examples {
			t.Run(strings.ReplaceAll(e.dir, "/", "-")+"-"+e.door, func(t *testing.T) {
				t.Parallel()
				e.run(t)
				mu.Lock()
				defer mu.Unlock()
				ran = append(ran, e.dir+" "+e.door)
			})
		}
	})
	slices.Sort(ran)
	t.Logf("%d examples ran: %s", len(ran), strings.Join(ran, ", "))
	if os.Getenv("CI") == "true" && len(ran) < least && !t.Failed() {
		t.Errorf("%d examples ran (%s), want at least %d", len(ran), strings.Join(ran, ", "), least)
	}
}

func (e *example) run(t *testing.T) {
	dir := filepath.Join("..", "..", "examples", filepath.FromSlash(e.dir))
	e.short(t, dir)
	_, err := exec.LookPath(e.needs)
	if err == nil && e.probe != nil {
		err = exec.Command(e.probe[0], e.probe[1:]...).Run()
	}
	if err != nil && e.install == "" {
		t.Skipf("%s is not here; the example in %s was not run", e.needs, e.dir)
	}
	if err != nil {
		t.Skipf("needs %s: %s", e.needs, e.install)
	}
	out := t.TempDir()
	for _, b := range e.build {
		cmd := exec.Command(b[0], e.expand(t, dir, out, b[1:])...)
		cmd.Dir = dir
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", b, err, text)
		}
	}
	if e.producer != nil {
		e.produce(t, dir, out)
	}
	worker := e.expand(t, dir, out, e.worker)
	failed, passed := verdicts(t, append([]string{"--door", e.door, "--patience", tooLong.String(), "--"}, worker...)...)
	if len(failed) > 0 || !slices.Equal(passed, check.Cases(e.door, nil)) {
		t.Errorf("%s: passed %v, failed %v", e.dir, passed, failed)
	}
}

// expand puts the place of builds, and the absolute paths of files, into a command.
func (e *example) expand(t *testing.T, dir, out string, command []string) []string {
	t.Helper()
	list := make([]string, len(command))
	for i, arg := range command {
		list[i] = strings.ReplaceAll(arg, "$OUT", out)
		if _, err := os.Stat(filepath.Join(dir, arg)); err == nil && arg != "." {
			path, err := filepath.Abs(filepath.Join(dir, arg))
			if err != nil {
				t.Fatal(err)
			}
			list[i] = path
		}
	}
	return list
}

// produce lets the producer put 25 tasks, twice: the second time they are known.
func (e *example) produce(t *testing.T, dir, out string) {
	t.Helper()
	rig := &checkRig{dir: t.TempDir(), door: e.door}
	if err := rig.Start(same); err != nil {
		t.Fatal(err)
	}
	defer rig.Stop()
	for range 2 {
		command := append(e.expand(t, dir, out, e.producer), "25")
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Env = environment(t, rig.Env()...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, text)
		}
	}
	queues, err := rig.store.Queues(t.Context(), "tasks")
	if err != nil || queues[0].Ready != 25 {
		t.Errorf("the producer of %s put %+v, %v; want 25 ready tasks", e.dir, queues, err)
	}
}

// same watches nothing.
func same(s glassq.Store) glassq.Store { return s }

const exampleLines = 30

func (e *example) short(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > exampleLines {
			t.Errorf("%s/%s has %d lines, want at most %d", e.dir, f.Name(), n, exampleLines)
		}
	}
}

// TestEmbedTwice: the example with the queue inside ends each time, though the second time its task
// is done.
func TestEmbedTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "embed")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "..", "examples", "go", "embed")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, want := range []string{"1 done, <nil>\n", "0 done, <nil>\n"} {
		ctx, cancel := context.WithTimeout(t.Context(), tooLong)
		defer cancel()
		cmd := exec.CommandContext(ctx, program)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("embed says %q, %v; want %q", out, err, want)
		}
	}
}
