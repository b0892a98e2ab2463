// Command bench measures Glassq against the tools it is compared with, both sides in one run on the
// same machine, and prints ratios: absolute figures drift, and shared machines are noisy.
//
//	go run ./bench                  all suites
//	go run ./bench -rounds 5 run    one of them
//	go run ./bench -h               which there are
//
// It builds glassq, fetches what it compares with through the Go module proxy or names the package
// that has it, starts servers as processes of their own on loopback, and ends everything that it
// started.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/wal"
)

var (
	n      = flag.Int("n", 200_000, "URLs per run")
	c      = flag.Int("c", 64, "concurrency of every tool")
	rounds = flag.Int("rounds", 3, "rounds; the median counts")
	syncs  = flag.String("sync", "always", "sync mode of glassq")
)

// A suite is one comparison, by the name that the command line knows.
type suite struct {
	name, what string
	run        func(*bench) error
}

// single are rows of suite watch that can be asked for alone.
var single = []suite{
	{"redrive", "dead tasks made ready, beside tasks that pass: a row of watch", redriveSuite},
	{"many", "pages of 100,000 queues: a row of watch", manySuite},
	{"counting", "what internal/live costs a task: the last row of watch", countSuite},
}

// suites is what there is to measure, in the order in which all of them run.
var suites = []suite{
	{"run", "glassq run, and the four programs as processes, beside hey, vegeta and wrk", runSuite},
	{"work", "work pipe with a Python child; work exec beside xargs and GNU parallel", workSuite},
	{"engine", "the embedded engine: speed; memory, start, disk space", engineRows},
	{"compaction", "puts while the log is compacted and while it is not, in turn", func(b *bench) error {
		return engineCompaction(b.ctx, filepath.Join(b.dir, "compaction"))
	}},
	{"memcached", "the memcached door beside Redis, beanstalkd and memcached", memcachedSuite},
	{"http", "dispatch, and reserve + ack, over HTTP", queueRows},
	{"output", "output of results that wait in a server: rate and memory", outputSuite},
	{"watch", "pages, events, metrics, redrive and counting, beside tasks that pass", watchSuite},
	{"manager", "the Python manager door beside a manager of Python's own", managerSuite},
	{"ranges", "a range of a billion tasks; run of URLs as a range beside one by one", rangeRows},
	{"keys", "limits of 10,000 and of a million keys; a tenant's backlog beside quiet tenants; memory", keysSuite},
	{"cluster", "a store on three NATS servers beside plain JetStream on the same; pauses, memory", clusterSuite},
	{"rate", "a rate of 5,000/s over two workers for 20 s", rateSuite},
}

// A bench is what every suite gets: a folder of its own, the binary, and the disk's bare sync time.
type bench struct {
	ctx    context.Context
	dir    string // removed at the end
	glassq string // the binary, built from this tree
	bare   time.Duration
}

func main() {
	flag.Usage = func() {
		out := flag.CommandLine.Output()
		fmt.Fprintf(out, "usage: go run ./bench [flags] [suite ...]\n\nsuites (none: all but the rows):\n")
		for _, s := range append(suites, single...) {
			fmt.Fprintf(out, "  %-10s %s\n", s.name, s.what)
		}
		fmt.Fprintln(out, "\nflags:")
		flag.PrintDefaults()
	}
	flag.Parse()
	do := run
	if flag.Arg(0) == child {
		do = runChild // a process of its own for a memory figure
	}
	if err := do(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	todo := suites
	if len(names) > 0 {
		todo = append(todo, single...)
	}
	for _, name := range names {
		if !slices.ContainsFunc(todo, func(s suite) bool { return s.name == name }) {
			return fmt.Errorf("no suite %q; go run ./bench -h lists them", name)
		}
	}
	dir, err := os.MkdirTemp("", "glassq-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	b := &bench{ctx: ctx, dir: dir, glassq: filepath.Join(dir, "glassq")}
	if err := command(dir, nil, "go", "build", "-o", b.glassq, "./cmd/glassq"); err != nil {
		return err
	}
	if b.bare, err = wal.BareSync(dir); err != nil {
		return err
	}
	fmt.Printf("%s, %d CPUs, %s/%s; bare sync p50 %v (pwrite + fdatasync of 4 KiB, preallocated)\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, b.bare)
	for _, s := range todo {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		fmt.Printf("\n== %s: %s\n", s.name, s.what)
		if err := s.run(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// A row is one tool's figure per second, one for each round.
type row struct {
	name  string
	rates []float64
	note  string
}

func (r *row) median() float64 {
	s := slices.Sorted(slices.Values(r.rates))
	return s[len(s)/2]
}

func command(dir string, env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	if env != nil {
		cmd.Dir = dir
	}
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func timed(name string, args ...string) (string, time.Duration, error) {
	cmd := exec.Command(name, args...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w: %s", filepath.Base(name), err, out)
	}
	return string(out), time.Since(began), nil
}

func find(text, pattern string) float64 {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	v, _ := strconv.ParseFloat(m[1], 64)
	return v
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// A process is one that this program started and will stop.
type process struct {
	cmd  *exec.Cmd
	addr string
}

var address = regexp.MustCompile(`127\.0\.0\.1:[1-9][0-9]*`)

// start runs glassq and waits for the line that says where it listens.
func start(ctx context.Context, glassq string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, glassq, args...)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	in := bufio.NewScanner(pipe)
	for in.Scan() {
		if a := address.FindString(in.Text()); a != "" {
			go func() {
				for in.Scan() {
				}
			}()
			return &process{cmd, a}, nil
		}
	}
	return nil, fmt.Errorf("glassq %s ended without saying where it listens", args[0])
}

func (p *process) stop() {
	p.cmd.Process.Signal(os.Interrupt)
	p.cmd.Wait()
}
