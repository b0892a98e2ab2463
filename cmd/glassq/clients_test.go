package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/check"
)

// A stock is a client library for memcached, with programs that use it. $DIR is testdata/clients,
// $EXAMPLES is examples, $NPM is where npm packages are.
type stock struct {
	name    string
	install string
	probe   []string
	env     []string
	verbs   []string // goes through all verbs and prints "ok CASE" or "fail CASE: why" for each
	put     []string // with a number, puts that many tasks into the queue tasks
	work    []string // works on the queue tasks, with the job of the kit, until it is killed
	example bool     // the worker is one that TestExamples holds to the kit
	cannot  []string // cases, of the verbs and of the kit, that it fails, as docs/clients.md says
}

func stocks() []stock {
	self := os.Args[0]
	script := func(command ...string) func(mode string) []string {
		return func(mode string) []string { return append(slices.Clone(command), mode) }
	}
	pymemcache := script("/usr/bin/python3", "-B", "$DIR/pymemcache_client.py")
	pylibmc := script("/usr/bin/python3", "-B", "$DIR/pylibmc_client.py")
	node := script("node", "$DIR/node_client.js")
	gomemcache := script(self, "gomemcache")
	return []stock{
		{name: "pymemcache", install: "apt-get install python3-pymemcache",
			probe: []string{"/usr/bin/python3", "-c", "import pymemcache"},
			verbs: pymemcache("verbs"), put: pymemcache("put"), work: pymemcache("work")},
		{name: "pylibmc", install: "apt-get install python3-pylibmc",
			probe: []string{"/usr/bin/python3", "-c", "import pylibmc"},
			verbs: pylibmc("verbs"), put: pylibmc("put"), work: pylibmc("work")},
		{name: "php", install: "apt-get install php-cli php-memcached",
			probe: []string{"php", "-r", "new Memcached();"},
			verbs: []string{"php", "$DIR/php_client.php"}, put: []string{"php", "$EXAMPLES/php/producer.php"},
			work: []string{"php", "$EXAMPLES/php/worker.php"}, example: true},
		{name: "perl", install: "apt-get install libcache-memcached-fast-perl",
			probe: []string{"perl", "-MCache::Memcached::Fast", "-MJSON::PP", "-e1"},
			verbs: []string{"perl", "$DIR/perl_client.pl"}, put: []string{"perl", "$EXAMPLES/perl/producer.pl"},
			work: []string{"perl", "$EXAMPLES/perl/worker.pl"}, example: true},
		{name: "gomemcache", probe: []string{"go", "version"}, install: "https://go.dev/dl",
			verbs: gomemcache("verbs"), put: gomemcache("put"), work: gomemcache("work")},
		{name: "node-memcached", install: "apt-get install nodejs npm, and npm install in .ci/npm",
			probe: []string{"node", "-e", "require('memcached')"}, env: []string{"NODE_PATH=$NPM"},
			verbs: node("verbs"), put: node("put"), work: node("work"), cannot: []string{"bytes", "text", "unicode", "octets"}},
	}
}

// verbCases are what a whole client can do.
var verbCases = []string{"bytes", "duplicate", "empty", "extend", "large", "lease-lost", "nack", "put", "reserve-ack",
	"result-cas", "result-set", "text", "wait", "wait-ends"}

// doorText and everyByte are what goes through another door to each client, and from it.
const doorText = "käse\r\n値 \\"

func everyByte() []byte {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	return every
}

// drained is how many tasks a client puts and works off.
const drained = 10_000

// TestMemcachedClients: each stock client goes through all verbs against a server of its own, puts
// 10,000 tasks and works them off with three workers, nothing lost and nothing doubled, and is a
// worker of the kit.
func TestMemcachedClients(t *testing.T) {
	for _, s := range stocks() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.locate(t)
			probe := s.command(t, s.probe)
			if err := probe.Run(); err != nil {
				t.Skipf("needs %s: %s", s.name, s.install)
			}
			t.Run("verbs", s.testVerbs)
			t.Run("drain", s.testDrain)
			if !s.example {
				t.Run("kit", s.testKit)
			}
		})
	}
}

// locate puts absolute paths into the commands.
func (s *stock) locate(t *testing.T) {
	t.Helper()
	var pairs []string
	for name, dir := range map[string]string{"$DIR": "testdata/clients", "$EXAMPLES": "../../examples",
		"$NPM": "../../.ci/npm/node_modules"} {
		path, err := filepath.Abs(filepath.FromSlash(dir))
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, name, path)
	}
	r := strings.NewReplacer(pairs...)
	for _, list := range [][]string{s.probe, s.env, s.verbs, s.put, s.work} {
		for i := range list {
			list[i] = r.Replace(list[i])
		}
	}
}

// command is a program of the client, for a door at addr.
func (s *stock) command(t *testing.T, args []string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = environment(t, append(slices.Clone(s.env), env...)...)
	return cmd
}

// serveMemcached starts a server on a disk, and returns the variable that tells clients where it
// is, and a view of it through another door.
func serveMemcached(t *testing.T) (env string, c *client.Client) {
	t.Helper()
	addr := freeAddress(t)
	server := start(t, nil, "serve", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--memcached", addr)
	c, err := client.New("http://"+server.addr(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return "GLASSQ_MEMCACHED=" + addr, c
}

func (s *stock) testVerbs(t *testing.T) {
	env, c := serveMemcached(t)
	across := []glassq.Task{
		{Queue: "own-bytes-in", Type: glassq.TypeOctets, Body: everyByte()},
		{Queue: "own-text-in", Type: glassq.TypeText, Body: []byte(doorText)},
	}
	if _, err := c.Put(t.Context(), across); err != nil {
		t.Fatal(err)
	}
	cmd := s.command(t, s.verbs, env)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %v\n%s", s.verbs, err, errs.String())
	}
	failed := map[string]string{}
	var passed []string
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "ok "); ok {
			passed = append(passed, name)
		} else {
			name, why, _ := strings.Cut(strings.TrimPrefix(line, "fail "), ": ")
			failed[name] = why
		}
	}
	for _, task := range across {
		name := strings.TrimSuffix(strings.TrimPrefix(task.Queue, "own-"), "-in")
		leases, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "own-" + name + "-out", Max: 1, Take: true})
		if err != nil || len(leases) != 1 || !bytes.Equal(leases[0].Body, task.Body) {
			failed[name] += fmt.Sprintf("what it put another door reads as %q", bodies(leases))
			passed = slices.DeleteFunc(passed, func(p string) bool { return p == name })
		}
	}
	want := slices.DeleteFunc(slices.Clone(verbCases), func(v string) bool { return slices.Contains(s.cannot, v) })
	if !slices.Equal(passed, want) {
		t.Errorf("%s passed %v, failed %v; docs/clients.md says it passes %v", s.name, passed, failed, want)
	}
}

func bodies(leases []glassq.Lease) (list [][]byte) {
	for i := range leases {
		list = append(list, leases[i].Body)
	}
	return list
}

func (s *stock) testDrain(t *testing.T) {
	env, c := serveMemcached(t)
	put := append(slices.Clone(s.put), fmt.Sprint(drained))
	if out, err := s.command(t, put, env).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", put, err, out)
	}
	workers := make([]*exec.Cmd, 3)
	for i := range workers {
		workers[i] = s.command(t, s.work, env)
		if err := workers[i].Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			workers[i].Process.Kill()
			workers[i].Wait()
		}()
	}
	wantDrained(t, c, drained)
}

// wantDrained takes results until there are n, and looks whether that is all.
func wantDrained(t *testing.T, c *client.Client, n int) {
	t.Helper()
	ids := map[string]bool{}
	for taken := 0; taken < n; {
		leases, err := c.Reserve(t.Context(), glassq.Reserve{Queue: glassq.DefaultResults, Max: 1000, Wait: tooLong,
			Take: true})
		if err != nil || len(leases) == 0 {
			t.Fatalf("Reserve = %d results, %v, after %d; want %d", len(leases), err, taken, n)
		}
		for i := range leases {
			ids[leases[i].ID] = true
		}
		taken += len(leases)
	}
	queues, err := c.Queues(t.Context(), glassq.DefaultQueue, glassq.DefaultResults)
	if err != nil {
		t.Fatal(err)
	}
	if b := queues[0].Books; b.Put != uint64(n) || b.OK != uint64(n) || len(ids) != n {
		t.Errorf("books = %+v, results of %d tasks; want put %d, ok %d", b, len(ids), n, n)
	}
	if left := queues[1].Ready + queues[1].Leased; left != 0 {
		t.Errorf("%d results too many", left)
	}
}

func (s *stock) testKit(t *testing.T) {
	args := []string{"--door", check.DoorMemcache, "--patience", tooLong.String()}
	var want []string
	for _, name := range check.Cases(check.DoorMemcache, nil) {
		if !slices.Contains(s.cannot, name) { // those that fail wait for the whole patience
			want = append(want, name)
			args = append(args, "--case", name)
		}
	}
	failed, passed := verdictsIn(t, s.env, append(append(args, "--"), s.work...)...)
	if !slices.Equal(passed, want) {
		t.Errorf("%s: passed %v, failed %v; docs/clients.md says it passes %v", s.name, passed, failed, want)
	}
}
