//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/glassq/glassq/internal/freeport"
)

const (
	look      = 5 * time.Millisecond // how often it is looked whether somebody is to be killed
	weigh     = 500 * time.Millisecond
	restPause = 200 * time.Millisecond // before a part that ended by itself is started again
	quiet     = 120 * time.Second      // after that long without a request nothing more is to be hoped for
)

// An arena is one setup at work.
type arena struct {
	dir, glassq string
	urls        int
	random      *rand.Rand
	url         string // of the target, to which a number is added
	target      *exec.Cmd
	parts       []*part
	extra       map[string]func() int // who is killed besides parts, by name: a process, 0 for none
	changed     time.Time             // when the target was asked last
	put         func() int            // how many URLs were put, for parts that put; nil where nobody does
	done        func() bool
	said        func() string // its own last word; nil for none
}

// A part is one process that is started again whenever it was killed.
type part struct {
	name    string // one of the parts of a name is killed, at random
	argv    []string
	puts    bool // its progress is what was put, not what was asked for
	ends    bool // it ends by itself with code 0, and is done then
	anyCode bool // any other code is its end, too

	mu      sync.Mutex
	cmd     *exec.Cmd // guarded by mu
	stopped bool      // guarded by mu
	over    chan struct{}
}

func (a *arena) part(name string, argv ...string) *part {
	p := &part{name: name, argv: argv, over: make(chan struct{})}
	a.parts = append(a.parts, p)
	return p
}

// play runs a setup to its end and judges it.
func (a *arena) play(ctx context.Context, o *outcome) (err error) {
	log := filepath.Join(a.dir, "target.log")
	addr := free()
	a.url = "http://" + addr + "/?q="
	a.target = exec.Command(a.glassq, "target", "--listen", addr, "--log", log)
	if err := a.target.Start(); err != nil {
		return err
	}
	defer func() {
		a.target.Process.Signal(os.Interrupt) // it writes the rest of its log
		a.target.Wait()
		if err == nil {
			err = judge(log, o)
		}
	}()
	for a.asked() < 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := o.cast(a); err != nil {
		return err
	}
	began := time.Now()
	var running sync.WaitGroup
	defer running.Wait()
	defer func() {
		for _, p := range a.parts {
			p.stop()
		}
	}()
	for _, p := range a.parts {
		if err := p.start(a); err != nil {
			return err
		}
		running.Go(func() { p.keep(a) })
	}
	o.killed = map[string]int{}
	moments := a.moments()
	tick := time.NewTicker(look)
	defer tick.Stop()
	asked, weighed := 0, time.Time{}
	a.changed = began
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if now := a.asked(); now != asked {
			asked, a.changed = now, time.Now()
		}
		if time.Since(weighed) > weigh {
			o.memory, weighed = max(o.memory, a.weight()), time.Now()
		}
		for name, list := range moments {
			if len(list) > 0 && a.progress(name, asked) >= list[0] && a.kill(name) {
				moments[name] = list[1:]
				o.killed[name]++
			}
		}
		if finished := a.done(); finished || time.Since(a.changed) > quiet {
			o.took = time.Since(began)
			if o.stood = !finished; o.stood {
				o.took = a.changed.Sub(began)
			}
			if a.said != nil {
				o.said = a.said()
			}
			return nil
		}
	}
}

// moments are when a part of each name is killed: how far it has to be, in growing order.
func (a *arena) moments() map[string][]int {
	all := map[string][]int{}
	for _, p := range a.parts {
		all[p.name] = nil
	}
	for name := range a.extra {
		all[name] = nil
	}
	for _, name := range slices.Sorted(maps.Keys(all)) { // in one order, for the seed
		if *parts != "" && !slices.Contains(strings.Split(*parts, ","), name) {
			continue
		}
		for range *kills {
			all[name] = append(all[name], 1+a.random.IntN(a.urls*9/10))
		}
		slices.Sort(all[name])
	}
	return all
}

func (a *arena) progress(name string, asked int) int {
	for _, p := range a.parts {
		if p.name == name && p.puts {
			return a.put()
		}
	}
	return asked
}

// kill ends one of the parts of a name, if it runs.
func (a *arena) kill(name string) bool {
	if f := a.extra[name]; f != nil {
		pid := f()
		return pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
	}
	var some []*part
	for _, p := range a.parts {
		if p.name == name {
			some = append(some, p)
		}
	}
	pid := some[a.random.IntN(len(some))].pid()
	return pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// pid is the process of a part, 0 while there is none.
func (p *part) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.stopped {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *part) start(a *arena) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return errors.New("stopped")
	}
	out, err := os.OpenFile(filepath.Join(a.dir, p.name+".out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = a.dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	return nil
}

// keep starts a part again whenever it has ended, until it is stopped or done.
func (p *part) keep(a *arena) {
	defer close(p.over)
	for {
		err := p.cmd.Wait()
		p.mu.Lock()
		p.cmd = nil
		stopped := p.stopped
		p.mu.Unlock()
		ended, byCode := errors.AsType[*exec.ExitError](err)
		killed := byCode && ended.ExitCode() < 0
		if stopped || p.ends && !killed && (err == nil || p.anyCode) {
			return
		}
		if !killed {
			time.Sleep(restPause)
		}
		if p.start(a) != nil {
			return
		}
	}
}

// stop ends a part, and what it has left behind.
func (p *part) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.cmd != nil {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

func (p *part) isOver() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// asked is how many requests the target has seen; -1 when it does not answer.
func (a *arena) asked() int {
	resp, err := http.Get(strings.TrimSuffix(a.url, "?q=") + "count")
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	var c struct{ Count int }
	if json.NewDecoder(resp.Body).Decode(&c) != nil {
		return -1
	}
	return c.Count
}

// weight is what all parts and their children take of the memory, in bytes.
func (a *arena) weight() (sum uint64) {
	var pids []int
	for _, p := range a.parts {
		if pid := p.pid(); pid > 0 {
			pids = append(pids, pid)
		}
	}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children(pids[i])...)
		sum += share(pids[i])
	}
	return sum
}

// children are those of a process.
func children(pid int) (list []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		text, _ := os.ReadFile(file) // a process that has gone has none
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				list = append(list, child)
			}
		}
	}
	return list
}

// share is the memory of a process, in bytes, with what it shares by its share.
func share(pid int) uint64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			kb, _ := strconv.ParseUint(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// free is an address that nobody listens on.
func free() string {
	addrs, err := freeport.Addresses(1)
	if err != nil {
		return "127.0.0.1:0"
	}
	return addrs[0]
}

// ask says a command to Redis and reads its first line, and the second of a text; "" when it is away.
func ask(addr, command string) string {
	nc, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(nc, command+"\r\n"); err != nil {
		return ""
	}
	in := bufio.NewReader(nc)
	line, err := in.ReadString('\n')
	if err == nil && line[0] == '$' {
		line, err = in.ReadString('\n')
	}
	if err != nil {
		return ""
	}
	return strings.TrimLeft(strings.TrimSpace(line), ":")
}
