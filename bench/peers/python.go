package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

const pythonServer = `
import sys, queue
from multiprocessing.managers import BaseManager
class M(BaseManager): pass
for name in ('q', 'd', 'l', 'results'):
    M.register(name, callable=lambda q=queue.Queue(): q)
M(address=('127.0.0.1', int(sys.argv[1])), authkey=b'secret').get_server().serve_forever()
`

// pythonClient does what it reads: so many puts, or so many takes. Calls go one by one, as the library has it.
const pythonClient = `
import sys, queue
from multiprocessing.managers import BaseManager
class M(BaseManager): pass
for name in ('q', 'd', 'l', 'results'):
    M.register(name)
port, name, body, answer = sys.argv[1:]
m = M(address=('127.0.0.1', int(port)), authkey=b'secret'); m.connect()
q, r = getattr(m, name)(), m.results()
print('ready', flush=True)
for line in sys.stdin:
    verb, n = line.split()
    did = 0
    for i in range(int(n)):
        if verb == 'put':
            q.put(body)
        else:
            try:
                q.get(True, 0.1)
            except queue.Empty:
                break
            if verb == 'result':
                r.put(answer)
        did += 1
    print(did, flush=True)
`

// A python is a Python program that does what it is told through a pipe.
type python struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func dialPython(ctx context.Context, s *server, queue string, _ bool) (conn, error) {
	p := &python{cmd: exec.CommandContext(ctx, "python3", "-c", pythonClient, port(s.addr), queue, body, answer)}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	said := &tail{}
	p.cmd.Stderr, p.out, p.cmd.WaitDelay = said, bufio.NewReader(out), time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if text, err := p.out.ReadString('\n'); strings.TrimSpace(text) != "ready" {
		p.Close()
		return nil, fmt.Errorf("the Python client ended: %w%s", err, said)
	}
	return p, nil
}

func (p *python) do(verb string, n int) (did int, err error) {
	if _, err := fmt.Fprintln(p.in, verb, n); err != nil {
		return 0, err
	}
	text, err := p.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(text, &did)
	return did, err
}

func (p *python) Put(_ context.Context, bodies [][]byte) error {
	_, err := p.do("put", len(bodies))
	return err
}

func (p *python) Turn(_ context.Context, max int, result bool) (int, error) {
	if result {
		return p.do("result", max)
	}
	return p.do("take", max)
}

func (p *python) Close() {
	p.in.Close()
	p.cmd.Process.Kill()
	p.cmd.Wait()
}
