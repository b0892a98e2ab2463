// Command bench measures Glassq against the tools it is compared with, both sides in one run on the
// same machine, and prints ratios: absolute figures drift, and shared machines are noisy.
//
//	go run ./bench              all suites
//	go run ./bench -rounds 5 run    one of them
//
// It builds glassq, fetches what it compares with through the Go module proxy or names the package that
// has it, starts servers as processes of their own on loopback, and ends everything that it started.
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

const (
	heyVersion    = "github.com/rakyll/hey@v0.1.4"
	vegetaVersion = "github.com/tsenart/vegeta/v12@v12.12.0"
)

// A suite is one comparison, by the name that the command line knows.
type suite struct {
	name, what string
	run        func(*bench) error
}

// suites is what there is to measure, in the order in which "all" runs.
var suites = []suite{
	{"run", "glassq run beside hey and vegeta", compareRun},
	{"engine", "the embedded engine: speed, put during compaction; memory, start, disk space", engineRows},
	{"memcached", "the memcached door beside Redis, beanstalkd and memcached", memcachedSuite},
	{"http", "dispatch, and reserve + ack, over HTTP", queueRows},
	{"output", "output of results that wait in a server: rate and memory", outputSuite},
	{"manager", "the Python manager door beside a manager of Python's own", managerSuite},
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
		fmt.Fprintf(out, "usage: go run ./bench [flags] [suite ...]\n\nsuites (none: all of them):\n")
		for _, s := range suites {
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
	for _, name := range names {
		if !slices.ContainsFunc(suites, func(s suite) bool { return s.name == name }) {
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
	for _, s := range suites {
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

// A row is one tool's requests per second, a figure per round.
type row struct {
	name  string
	rates []float64
	note  string
}

func (r *row) median() float64 {
	s := slices.Sorted(slices.Values(r.rates))
	return s[len(s)/2]
}

func compareRun(b *bench) error {
	dir, glassq := b.dir, b.glassq
	for _, m := range []string{heyVersion, vegetaVersion} {
		if err := command(dir, []string{"GOBIN=" + dir, "GOFLAGS=-mod=mod"}, "go", "install", m); err != nil {
			return err
		}
	}
	target, err := start(b.ctx, glassq, "target", "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer target.stop()
	url := "http://" + target.addr + "/"
	fmt.Printf("target: a process of its own at %s; %d URLs, concurrency %d, sync %s\n\n", target.addr, *n, *c, *syncs)
	rows := []*row{{name: "glassq run"}, {name: "hey"}, {name: "vegeta"}}
	targets := filepath.Join(dir, "targets")
	if err := os.WriteFile(targets, []byte("GET "+url+"?q=1\n"), 0o600); err != nil {
		return err
	}
	for range *rounds {
		out, took, err := timed(glassq, "run", url+"?q={0}", "-n", strconv.Itoa(*n), "-c", strconv.Itoa(*c),
			"--sync", *syncs, "--quiet", "--data", filepath.Join(dir, fmt.Sprint("d", len(rows[0].rates))))
		if err != nil {
			return err
		}
		rows[0].rates = append(rows[0].rates, float64(*n)/took.Seconds())
		rows[0].note = lastLine(out)

		out, _, err = timed(filepath.Join(dir, "hey"), "-n", strconv.Itoa(*n), "-c", strconv.Itoa(*c), url+"?q=1")
		if err != nil {
			return err
		}
		rows[1].rates = append(rows[1].rates, find(out, `Requests/sec:\s+([0-9.]+)`))

		took, err = vegeta(dir, targets)
		if err != nil {
			return err
		}
		rows[2].rates = append(rows[2].rates, float64(*n)/took.Seconds())
	}
	fmt.Printf("%-12s %12s %12s %12s  ratio of glassq to it\n", "", "requests/s", "least", "most")
	for _, r := range rows {
		fmt.Printf("%-12s %12.0f %12.0f %12.0f  %.2f   %s\n", r.name, r.median(), slices.Min(r.rates), slices.Max(r.rates),
			rows[0].median()/r.median(), r.note)
	}
	fmt.Println()
	return nil
}

// vegeta sends as fast as it can (rate 0), for as long as it takes to reach n.
func vegeta(dir, targets string) (time.Duration, error) {
	const seconds = 5
	cmd := exec.Command("sh", "-c", fmt.Sprintf("%s attack -targets %s -rate 0 -max-workers %d -workers %d -keepalive -duration %ds | %s report",
		filepath.Join(dir, "vegeta"), targets, *c, *c, seconds, filepath.Join(dir, "vegeta")))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("vegeta: %w: %s", err, out)
	}
	rate := find(string(out), `Requests\s+\[total, rate, throughput\]\s+\d+, [0-9.]+, ([0-9.]+)`)
	if rate == 0 {
		return 0, fmt.Errorf("vegeta: no rate in %q", out)
	}
	return time.Duration(float64(*n) / rate * float64(time.Second)), nil
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
