package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

const demoRun = "demo"

func (a *app) demoCmd() *cobra.Command {
	var count uint32
	var chaos bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run all programs as processes of their own, with a web server to aim at",
		Long: `Run a queue server, a target web server, two workers, a dispatcher and an output as real processes on
free ports, send URLs through them, and check the books against what the target saw. With --chaos a worker
and the server are killed with SIGKILL on the way, and started again.`,
		Example: `  glassq demo --chaos`,
		Args:    arguments(0, 0),
	}
	cmd.Flags().Uint32VarP(&count, "count", "n", 100_000, "URLs")
	cmd.Flags().BoolVar(&chaos, "chaos", false, "kill a worker and the server on the way")
	cmd.RunE = func(*cobra.Command, []string) error {
		if count == 0 {
			return usagef("-n 0: there is nothing to show without a URL")
		}
		ctx, stop := a.interruptible("glassq demo", "stopping all that it started")
		defer stop()
		return a.demo(ctx, uint64(count), chaos)
	}
	return cmd
}

// A show is one demo: the processes that it started, and where they write.
type show struct {
	a       *app
	exe     string
	dir     string
	server  string // its URL, the same after a restart
	running []*part
	ending  atomic.Bool // what the parts say while they stop is no part of the show
}

// A part is one process.
type part struct {
	name string
	cmd  *exec.Cmd
	addr string        // where it listens, for those that say so
	done chan struct{} // closed when it has ended
	err  error         // of Wait; set before done is closed
}

func (a *app) demo(ctx context.Context, count uint64, chaos bool) (err error) {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "glassq-demo-")
	if err != nil {
		return err
	}
	s := &show{a: a, exe: exe, dir: dir}
	defer func() {
		s.stopAll()
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			a.console.Say("glassq demo: what it wrote is kept in %s", dir)
		}
	}()
	if err := s.cast(ctx, count); err != nil {
		return err
	}
	began := time.Now()
	results := filepath.Join(dir, "results.ndjson")
	out, err := s.start(ctx, "output", false, "output", "--run", demoRun, "--out", results, "--quiet")
	if err != nil {
		return err
	}
	if chaos {
		if err := s.chaos(ctx, count); err != nil {
			return err
		}
	}
	select {
	case <-out.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if out.err != nil {
		return &exitError{exitUnbalanced, fmt.Errorf("the output ended with %w", out.err)}
	}
	return s.check(ctx, count, results, time.Since(began))
}

// cast starts everything but the output.
func (s *show) cast(ctx context.Context, count uint64) error {
	target, err := s.start(ctx, "target", true, "target", "--listen", "127.0.0.1:0", "--log",
		filepath.Join(s.dir, "target.log"))
	if err != nil {
		return err
	}
	if err := s.serve(ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	for i := range 2 {
		if _, err := s.work(ctx, i+1); err != nil {
			return err
		}
	}
	_, err = s.start(ctx, "dispatch", false, "dispatch", "--run", demoRun, "--quiet",
		"http://"+target.addr+"/?q={0}", "-n", strconv.FormatUint(count, 10))
	return err
}

func (s *show) serve(ctx context.Context, addr string) error {
	p, err := s.start(ctx, "serve", true, "serve", "--data", filepath.Join(s.dir, "data"), "--http", addr, "--memcached",
		closedDoor)
	if err != nil {
		return err
	}
	s.server = "http://" + p.addr
	return nil
}

func (s *show) work(ctx context.Context, n int) (*part, error) {
	return s.start(ctx, fmt.Sprintf("work %d", n), false, "work", "http", "--quiet")
}

var listening = regexp.MustCompile(`127\.0\.0\.1:[1-9][0-9]*`)

// start runs glassq with args. With listens it waits for the line that says where.
func (s *show) start(ctx context.Context, name string, listens bool, args ...string) (*part, error) {
	p := &part{name: name, cmd: exec.Command(s.exe, args...), done: make(chan struct{})}
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GLASSQ_") }),
		"GLASSQ_SERVER="+s.server) // settings of the shell are not for the show
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.running = append(s.running, p)
	where := make(chan string, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		in := bufio.NewScanner(pipe)
		for in.Scan() {
			if addr := listening.FindString(in.Text()); addr != "" {
				select {
				case where <- addr:
				default:
				}
			}
			if !s.ending.Load() {
				s.a.console.Say("  [%s] %s", name, in.Text())
			}
		}
		io.Copy(io.Discard, pipe) // a line too long to show
	})
	go func() { // ends with the process, which stopAll ends
		wg.Wait()
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	s.a.console.Say("%-9s process %d: glassq %s", name, p.cmd.Process.Pid, args[0])
	if !listens {
		return p, nil
	}
	select {
	case p.addr = <-where:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("%s ended before it listened: %v", name, p.err)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// kill ends a part as a power cut would, and forgets it.
func (s *show) kill(p *part, why string) error {
	s.a.console.Say("SIGKILL   process %d (%s), %s", p.cmd.Process.Pid, p.name, why)
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

func (s *show) find(name string) *part {
	for i := len(s.running) - 1; i >= 0; i-- {
		if s.running[i].name == name {
			return s.running[i]
		}
	}
	return nil
}

// chaos kills a worker when a quarter is done, and the server at half, and starts both again.
func (s *show) chaos(ctx context.Context, count uint64) error {
	if err := s.until(ctx, count/4); err != nil {
		return err
	}
	if err := s.kill(s.find("work 1"), "with tasks in its hands"); err != nil {
		return err
	}
	if _, err := s.work(ctx, 3); err != nil {
		return err
	}
	if err := s.until(ctx, count/2); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.find("serve").addr)
	if err != nil {
		return err
	}
	if err := s.kill(s.find("serve"), "in mid-run"); err != nil {
		return err
	}
	return s.serve(ctx, "127.0.0.1:"+port)
}

// until waits until at least n tasks have an outcome.
func (s *show) until(ctx context.Context, n uint64) error {
	c, err := client.New(s.server, client.Options{Retry: time.Minute})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.AwaitRun(ctx, demoRun, glassq.PhaseExists, time.Minute); err != nil {
		return err
	}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		r, err := c.Run(ctx, demoRun)
		if err != nil {
			return err
		}
		if r.Books.OK+r.Books.Failed >= n {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// check compares the books, the results and what the target saw.
func (s *show) check(ctx context.Context, count uint64, results string, took time.Duration) error {
	c, err := client.New(s.server, client.Options{Retry: 10 * time.Second})
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Run(ctx, demoRun)
	if err != nil {
		return err
	}
	s.stopAll() // the target writes the rest of its log
	ids, lines, err := distinct(results, regexp.MustCompile(`^\{"id":"demo/(\d+)"`))
	if err != nil {
		return err
	}
	asked, requests, err := distinct(filepath.Join(s.dir, "target.log"), regexp.MustCompile(`^(\d+)$`))
	if err != nil {
		return err
	}
	if err := s.a.printf("%s results of %s tasks in %v: %s lines in the file, %s distinct ids\n",
		plain.Comma(r.Books.OK+r.Books.Failed), plain.Comma(r.Books.Put), took.Round(10*time.Millisecond),
		plain.Comma(lines), plain.Comma(ids)); err != nil {
		return err
	}
	if err := s.a.printf("the target answered %s requests for %s distinct URLs: a task in the hands of a killed process is done again\n",
		plain.Comma(requests), plain.Comma(asked)); err != nil {
		return err
	}
	if !r.Complete || r.Books.Put != count || r.Pending != 0 || ids != count || lines != count || asked != count {
		return &exitError{exitUnbalanced, errors.New("the books do not balance")}
	}
	return s.a.printf("put %s = ok %s + failed %s + dead %s + pending %s: the books balance\n", plain.Comma(r.Books.Put),
		plain.Comma(r.Books.OK), plain.Comma(r.Books.Failed), plain.Comma(r.Books.Dead.Sum()), plain.Comma(r.Pending))
}

// distinct counts the lines of a file and the different numbers that pattern finds in them.
func distinct(path string, pattern *regexp.Regexp) (different, lines uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	seen := map[string]struct{}{}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		lines++
		if m := pattern.FindSubmatch(in.Bytes()); m != nil {
			seen[string(m[1])] = struct{}{}
		}
	}
	return uint64(len(seen)), lines, in.Err()
}

// stopAll asks what still runs to stop, the server and the target last, and waits for it.
func (s *show) stopAll() {
	s.ending.Store(true)
	rank := func(p *part) int {
		switch p.name {
		case "serve":
			return 1
		case "target":
			return 2
		}
		return 0
	}
	slices.SortStableFunc(s.running, func(a, b *part) int { return rank(a) - rank(b) })
	for _, p := range s.running {
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
			p.cmd.Process.Kill() // where there is no interrupt
		}
		<-p.done
	}
	s.running = nil
}
