package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/freeport"
)

// managerScript puts and works as Python programs with a manager do, and prints calls per second.
const managerScript = `
import sys, time, threading, multiprocessing
from multiprocessing.managers import BaseManager
class M(BaseManager): pass
M.register('get_task_queue'); M.register('get_result_queue')
def client(port, n, out):
    m = M(address=('127.0.0.1', port), authkey=b'secret'); m.connect()
    t, r = m.get_task_queue(), m.get_result_queue()
    t.qsize(); a = time.time()
    for i in range(n): t.put('http://localhost:8888/?q=%d' % i)
    b = time.time()
    for i in range(n):
        t.empty(); u = t.get(); r.put({'i': u, 'o': {'ok': 1, 'rt': 0.001}})
    t.qsize(); c = time.time()
    out.put((a, b, c))
if __name__ == '__main__':
    port, n, k = map(int, sys.argv[1:])
    out = multiprocessing.Queue()
    ps = [multiprocessing.Process(target=client, args=(port, n, out)) for _ in range(k)]
    for p in ps: p.start()
    all = [out.get() for _ in ps]
    for p in ps: p.join()
    print(n*k / (max(x[1] for x in all) - min(x[0] for x in all)), n*k / (max(x[2] for x in all) - min(x[1] for x in all)))
`

// managerSuite compares the Python manager door with a manager of Python's own, and both with one
// that does nothing, by the same script.
func managerSuite(b *bench) error {
	python, err := exec.LookPath("python3")
	if err != nil {
		return fmt.Errorf("needs python3: %w", err)
	}
	ver, err := exec.Command(python, "--version").Output()
	if err != nil {
		return err
	}
	script, key := filepath.Join(b.dir, "manager.py"), filepath.Join(b.dir, "manager.key")
	if err := os.WriteFile(script, []byte(managerScript), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(key, []byte("secret"), 0o600); err != nil {
		return err
	}
	fmt.Printf("%s; bare sync %v; per second, median of %d (lowest to highest)\n", strings.TrimSpace(string(ver)),
		b.bare, *rounds)
	for _, clients := range []int{1, 8} {
		var python0 [2]float64
		for _, side := range []string{"python", "interval", "always", "echo"} {
			var puts, loops []float64
			for round := range *rounds {
				addr, err := unusedAddress()
				if err != nil {
					return err
				}
				server := exec.CommandContext(b.ctx, b.glassq, "serve", "--data",
					filepath.Join(b.dir, fmt.Sprintf("manager-%d-%s-%d", clients, side, round)),
					"--sync", side, "--http", "127.0.0.1:0", "--memcached", "off", "--manager", addr, "--key-file", key)
				if side == "python" {
					server = exec.CommandContext(b.ctx, python, "examples/python-manager/server.py")
					server.Env = append(os.Environ(), "MANAGER="+addr, "MANAGER_KEY=secret", "PYTHONDONTWRITEBYTECODE=1")
				}
				if side == "echo" {
					server = nil
				}
				p, l, err := managerRound(b, server, python, script, addr, clients)
				if err != nil {
					return err
				}
				puts, loops = append(puts, p), append(loops, l)
			}
			line := fmt.Sprintf("%d clients  %-9s put %s  loop %s", clients, side, spreadOf(puts), spreadOf(loops))
			p, l := puts[len(puts)/2], loops[len(loops)/2] // sorted by now
			if side == "python" {
				python0 = [2]float64{p, l}
			} else {
				line += fmt.Sprintf("  of python's: put %.2f, loop %.2f", p/python0[0], l/python0[1])
			}
			fmt.Println(line)
		}
		fmt.Println("echo does nothing: it is what the clients themselves allow")
	}
	return nil
}

func spreadOf(x []float64) string {
	slices.Sort(x)
	return fmt.Sprintf("%.0f (%.0f to %.0f)", x[len(x)/2], x[0], x[len(x)-1])
}

func unusedAddress() (string, error) {
	addrs, err := freeport.Addresses(1)
	if err != nil {
		return "", err
	}
	return addrs[0], nil
}

// managerRound runs the script once against server, or against one that does nothing.
func managerRound(b *bench, server *exec.Cmd, python, script, addr string, clients int) (puts, loops float64,
	err error) {
	if server == nil {
		e, err := startEcho(b.ctx, addr)
		if err != nil {
			return 0, 0, err
		}
		defer e.stop()
	} else {
		if err := server.Start(); err != nil {
			return 0, 0, err
		}
		defer func() { server.Process.Kill(); server.Wait() }()
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
			break
		}
		if time.Since(began) > 20*time.Second {
			return 0, 0, err
		}
	}
	_, port, _ := net.SplitHostPort(addr)
	out, err := exec.CommandContext(b.ctx, python, script, port, strconv.Itoa(4000/clients),
		strconv.Itoa(clients)).Output()
	if err != nil {
		return 0, 0, fmt.Errorf("the script: %w", err)
	}
	_, err = fmt.Sscan(string(out), &puts, &loops)
	return puts, loops, err
}
