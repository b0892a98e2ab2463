package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq/internal/wal"
)

// A rival is a server that the same load client drives.
type rival struct {
	name    string
	program string // on PATH; "" means glassq itself
	args    func(dir, port string) []string
	addr    string
	cmd     *exec.Cmd
}

// memcachedSuite drives the memcached door, Redis, beanstalkd and memcached with one load client:
// raw sockets, requests made beforehand, answers counted by their lines.
func memcachedSuite(b *bench) error {
	serve := func(sync string) func(dir, port string) []string {
		return func(dir, port string) []string {
			return []string{"serve", "--data", dir, "--sync", sync, "--http", "off", "--manager", "off", "--memcached",
				"127.0.0.1:" + port}
		}
	}
	redis := func(policy string) func(dir, port string) []string {
		return func(dir, port string) []string {
			return []string{"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--appendonly", "yes", "--appendfsync",
				policy, "--save", ""}
		}
	}
	always, interval := &rival{name: "glassq always", args: serve("always")}, &rival{name: "glassq interval",
		args: serve("interval")}
	never := &rival{name: "glassq never", args: serve("never")}
	everysec, redisAlways := &rival{name: "redis everysec", program: "redis-server",
		args: redis("everysec")}, &rival{name: "redis always", program: "redis-server", args: redis("always")}
	beanstalkd := &rival{name: "beanstalkd -b", program: "beanstalkd", args: func(dir, port string) []string {
		return []string{"-l", "127.0.0.1", "-p", port, "-b", dir}
	}}
	memcached := &rival{name: "memcached", program: "memcached", args: func(_, port string) []string {
		return []string{"-l", "127.0.0.1", "-p", port, "-u", "root", "-m", "64"}
	}}
	for _, v := range [][]string{{"redis-server", "--version"}, {"memcached", "-V"}, {"beanstalkd", "-v"}} {
		out, err := exec.Command(v[0], v[1:]...).Output()
		if err != nil {
			return fmt.Errorf("%s is not here: apt-get install redis-server beanstalkd memcached (%w)", v[0], err)
		}
		fmt.Print(string(out))
	}
	body := strings.Repeat("x", 32)
	set := []byte("set q 0 0 32\r\n" + body + "\r\n")
	lpush := []byte("*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$32\r\n" + body + "\r\n")
	put := []byte("put 0 0 60 32\r\n" + body + "\r\n")
	sets := func(conns, depth, n int) func(*rival) (float64, error) {
		return func(r *rival) (float64, error) {
			switch r.program {
			case "redis-server":
				return pipelined(r.addr, lpush, 1, conns, depth, n)
			case "beanstalkd":
				return pipelined(r.addr, put, 1, conns, depth, n)
			}
			return pipelined(r.addr, set, 1, conns, depth, n)
		}
	}
	for _, row := range []struct {
		what   string
		rivals []*rival
		load   func(*rival) (float64, error)
		single int // clients that put one at a time: what the disk allows them is printed
	}{
		{"set, 1 connection, depth 2,048", []*rival{always, interval, everysec, redisAlways, beanstalkd},
			sets(1, 2048, 400_000), 0},
		{"set, 8 connections, depth 256", []*rival{always, everysec}, sets(8, 256, 400_000), 0},
		{"set, 1 connection, depth 256", []*rival{always}, sets(1, 256, 200_000), 0},
		{"set, 16 connections, one at a time", []*rival{always, never, interval}, sets(16, 1, 60_000), 16},
		{"set, 64 connections, one at a time", []*rival{always, never, interval}, sets(64, 1, 60_000), 64},
		{"get, 16 connections, one at a time", []*rival{always, memcached}, func(r *rival) (float64, error) {
			const n = 100_000
			if _, err := pipelined(r.addr, set, 1, 1, 1000, n); err != nil {
				return 0, err
			}
			return pipelined(r.addr, []byte("get q\r\n"), 3, 16, 1, n)
		}, 0},
		{"reserve + delete, 16 connections", []*rival{always, beanstalkd}, func(r *rival) (float64, error) {
			const n = 40_000
			if r == beanstalkd {
				if _, err := pipelined(r.addr, put, 1, 1, 1000, n); err != nil {
					return 0, err
				}
				return pairs(r.addr, 16, n, "reserve\r\n", 2, 1, "delete %s\r\n")
			}
			if _, err := pipelined(r.addr, set, 1, 1, 1000, n); err != nil {
				return 0, err
			}
			return pairs(r.addr, 16, n, "gets q/open\r\n", 3, 4, "delete q/%s\r\n")
		}, 0},
	} {
		fmt.Printf("\n%s\n", row.what)
		rates := make([][]float64, len(row.rivals))
		var bare []time.Duration // of each round, measured beside it
		for range *rounds {
			p50, err := wal.BareSync(b.dir)
			if err != nil {
				return err
			}
			bare = append(bare, p50)
			for i, r := range row.rivals {
				rate, err := r.round(b, row.load)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", row.what, r.name, err)
				}
				rates[i] = append(rates[i], rate)
			}
		}
		for i, r := range row.rivals {
			fmt.Printf("  %-16s %s/s\n", r.name, spreadOf(rates[i])) // which sorts them
		}
		if row.single > 0 {
			slices.Sort(bare)
			sync := bare[len(bare)/2]
			disk, cpus := float64(row.single)/(2*sync.Seconds()), rates[1][len(rates[1])/2]
			fmt.Printf("  the disk allows  %.0f/s: %d clients ÷ (2 × bare sync of %v); the processors %.0f/s: never\n",
				disk, row.single, sync, cpus)
			fmt.Printf("  always           %.2f of the smaller; asked: 0.9\n",
				rates[0][len(rates[0])/2]/min(disk, cpus))
		}
	}
	return idleConnections(b, always)
}

// round starts the server on an empty folder, loads it, and stops it.
func (r *rival) round(b *bench, load func(*rival) (float64, error)) (float64, error) {
	stop, err := r.start(b)
	if err != nil {
		return 0, err
	}
	defer stop()
	return load(r)
}

func (r *rival) start(b *bench) (stop func(), err error) {
	dir, err := os.MkdirTemp(b.dir, "rival-")
	if err != nil {
		return nil, err
	}
	if r.addr, err = unusedAddress(); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(r.addr)
	program := r.program
	if program == "" {
		program = b.glassq
	}
	r.cmd = exec.CommandContext(b.ctx, program, r.args(filepath.Clean(dir), port)...)
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		r.cmd.Process.Kill()
		r.cmd.Wait()
		os.RemoveAll(dir)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			c.Close()
			return stop, nil
		}
		if time.Since(began) > 20*time.Second {
			stop()
			return nil, fmt.Errorf("%s does not listen: %w", program, err)
		}
	}
}

// pipelined sends n requests over conns connections, depth at a time, and returns answers per
// second. An answer has so many lines.
func pipelined(addr string, request []byte, lines, conns, depth, n int) (float64, error) {
	burst := bytes.Repeat(request, depth)
	return each(addr, conns, n, func(c net.Conn, n int) error {
		buf := make([]byte, 64<<10)
		for ; n > 0; n -= depth {
			k := min(n, depth)
			if _, err := c.Write(burst[:k*len(request)]); err != nil {
				return err
			}
			for want := k * lines; want > 0; {
				m, err := c.Read(buf)
				if err != nil {
					return err
				}
				want -= bytes.Count(buf[:m], []byte{'\n'})
				if bytes.Contains(buf[:m], []byte("ERROR")) || want < 0 {
					return fmt.Errorf("answered %.80q", buf[:m])
				}
			}
		}
		return nil
	})
}

// pairs takes a task, whose first line of answer has the key of the second request in a field, and
// deletes it.
func pairs(addr string, conns, n int, take string, lines, field int, end string) (float64, error) {
	return each(addr, conns, n, func(c net.Conn, n int) error {
		in := bufio.NewReader(c)
		for range n {
			if _, err := io.WriteString(c, take); err != nil {
				return err
			}
			var key string
			for i := range lines {
				line, err := in.ReadString('\n')
				if err != nil {
					return err
				}
				if i == 0 {
					f := strings.Fields(line)
					if len(f) <= field {
						return fmt.Errorf("take answered %q", line)
					}
					key = f[field]
				}
			}
			if _, err := fmt.Fprintf(c, end, key); err != nil {
				return err
			}
			if line, err := in.ReadString('\n'); err != nil || line != "DELETED\r\n" {
				return fmt.Errorf("delete %s answered %q, %v", key, line, err)
			}
		}
		return nil
	})
}

// each runs do over conns connections with a share of n each, and returns n per second.
func each(addr string, conns, n int, do func(c net.Conn, n int) error) (float64, error) {
	open := make([]net.Conn, conns)
	for i := range open {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		open[i] = c
	}
	errs := make([]error, conns)
	began := time.Now()
	var wg sync.WaitGroup
	for i, c := range open {
		wg.Go(func() { errs[i] = do(c, n/conns) })
	}
	wg.Wait()
	return float64(n/conns*conns) / time.Since(began).Seconds(), errors.Join(errs...)
}

// idleConnections opens 10,000 connections, each of which has put one task, and prints what they
// cost.
func idleConnections(b *bench, r *rival) error {
	const conns = 10_000
	stop, err := r.start(b)
	if err != nil {
		return err
	}
	defer stop()
	before := resident(r.cmd.Process.Pid)
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range conns {
		c, err := (&net.Dialer{}).DialContext(context.WithoutCancel(b.ctx), "tcp", r.addr)
		if err != nil {
			fmt.Printf("\nidle connections: only %d could be opened: %v\n", len(open), err)
			break
		}
		open = append(open, c)
		if _, err := io.WriteString(c, "version\r\n"); err != nil {
			return err
		}
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			return err
		}
	}
	fmt.Printf("\n%d idle connections: %d MB resident, %d MB before\n", len(open), resident(r.cmd.Process.Pid)>>20,
		before>>20)
	return nil
}

// resident is the resident memory of a process in bytes, 0 where the system does not tell.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}
