//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/client"
)

// inFlight is how many requests a setup has on the way at most.
const inFlight = 32

// python is that of the system, which Debian's packages are for.
const python = "/usr/bin/python3"

// settled is how long nothing is asked before a set-up that cannot tell its end is done.
const settled = 3 * time.Second

// setups are in the order of the table.
var setups = []setup{
	{name: "Glassq", fast: true, cast: castGlassq(), lines: lines(serveLine, workLine, dispatchLines)},
	{name: "Glassq, work --prefetch 32", fast: true, cast: castGlassq("--prefetch", "32"), lines: lines(serveLine, workLine, dispatchLines)},
	{name: "GNU parallel + curl", needs: []string{"parallel", "curl"}, cast: castParallel, lines: []string{parallelLine}},
	{name: "Celery + Redis", needs: []string{"redis-server"}, modules: "celery, redis",
		cast: castCelery(tasksPy), lines: lines(tasksPy, putPy, celeryLines)},
	{name: "Celery + Redis, acks_late", needs: []string{"redis-server"}, modules: "celery, redis",
		cast: castCelery(tasksPy + late), lines: lines(tasksPy, late, putPy, celeryLines)},
}

const (
	serveLine     = "glassq serve --data d"
	workLine      = "glassq work http"
	dispatchLines = "glassq dispatch --run c 'URL?q={0}' -n N\nglassq output --run c --out results.ndjson"
)

const parallelLine = "seq 0 LAST | parallel -j 32 --joblog joblog --resume curl -s -o /dev/null 'URL{}'"

const tasksPy = `import urllib.request
from celery import Celery
app = Celery('tasks', broker='redis://ADDRESS/0', backend='redis://ADDRESS/1')
app.conf.broker_transport_options = {'visibility_timeout': 60}
@app.task
def fetch(url):
    return len(urllib.request.urlopen(url, timeout=10).read())
`

const late = `app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True
`

// putPy goes on where it was killed, give or take one URL.
const putPy = `import sys, redis
from tasks import fetch
r = redis.Redis(port=PORT)
for i in range(int(r.get('put') or 0), int(sys.argv[2])):
    fetch.delay(sys.argv[1] + str(i))
    r.set('put', i + 1)
`

const celeryLines = `redis-server --appendonly yes --appendfsync everysec
python3 -m celery -A tasks worker
python3 put.py URL N
`

func lines(texts ...string) (all []string) {
	for _, text := range texts {
		all = append(all, strings.Split(strings.TrimSpace(text), "\n")...)
	}
	return all
}

// castGlassq: a server, two workers with more flags, a dispatcher and an output.
func castGlassq(work ...string) func(*arena) error {
	return func(a *arena) error { return glassq(a, work) }
}

func glassq(a *arena, work []string) error {
	addr := free()
	server := "http://" + addr
	a.part("server", a.glassq, "serve", "--data", "data", "--http", addr, "--memcached", "off", "--manager", "off")
	for range 2 {
		a.part("worker", append([]string{a.glassq, "work", "http", "--server", server, "-c", strconv.Itoa(inFlight / 2), "--quiet"},
			work...)...)
	}
	// One by one: a range is put in a moment, in which nobody can be killed.
	dispatch := a.part("dispatcher", a.glassq, "dispatch", "--server", server, "--run", "c", a.url+"{0}", "-n", strconv.Itoa(a.urls), "--single", "--quiet")
	dispatch.puts, dispatch.ends = true, true
	output := a.part("output", a.glassq, "output", "--server", server, "--run", "c", "--out", "results.ndjson", "--quiet")
	output.ends = true
	c, err := client.New(server, client.Options{})
	if err != nil {
		return err
	}
	put, next := 0, time.Time{}
	a.put = func() int {
		if dispatch.isOver() || time.Now().Before(next) {
			return put
		}
		next = time.Now().Add(4 * look)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if run, err := c.Run(ctx, "c"); err == nil { // else the server is away, or has not heard of it
			put = int(run.Books.Put)
		}
		return put
	}
	a.done = output.isOver
	a.said = func() string {
		text, _ := os.ReadFile(filepath.Join(a.dir, "output.out"))
		for _, line := range strings.Split(string(text), "\n") {
			if at := strings.Index(line, "put "); at >= 0 && strings.Contains(line, "missing") {
				return strings.TrimSpace(line[at:])
			}
		}
		return ""
	}
	return nil
}

// castParallel: GNU parallel, which is killed itself, and so are jobs of it.
func castParallel(a *arena) error {
	line := strings.NewReplacer("LAST", strconv.Itoa(a.urls-1), "URL", a.url).Replace(parallelLine)
	// The same, with the process that is killed being the parallel of the pipe.
	p := a.part("parallel", "bash", "-c", fmt.Sprintf("exec %s < <(seq 0 %d)", line[strings.Index(line, "parallel"):], a.urls-1))
	p.ends, p.anyCode = true, true // its code is how many jobs failed
	a.extra = map[string]func() int{"curl": func() int {
		if pid := p.pid(); pid > 0 {
			return below(pid, "curl")
		}
		return 0
	}}
	a.done = p.isOver
	return nil
}

// below is a process of a name below another one, 0 for none.
func below(pid int, name string) int {
	for _, child := range children(pid) {
		if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child)); strings.TrimSpace(string(text)) == name {
			return child
		}
		if found := below(child, name); found > 0 {
			return found
		}
	}
	return 0
}

// castCelery: Redis, two workers, and a program that puts.
func castCelery(tasks string) func(*arena) error {
	return func(a *arena) error {
		addr := free()
		_, port, _ := net.SplitHostPort(addr)
		text := strings.NewReplacer("ADDRESS", addr, "PORT", port)
		for file, code := range map[string]string{"tasks.py": tasks, "put.py": putPy} {
			if err := os.WriteFile(filepath.Join(a.dir, file), []byte(text.Replace(code)), 0o600); err != nil {
				return err
			}
		}
		a.part("redis", "redis-server", "--port", port, "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync",
			"everysec", "--save", "")
		for i := range 2 {
			a.part("worker", python, "-m", "celery", "-A", "tasks", "worker", "-n", fmt.Sprint("w", i), "--loglevel", "ERROR")
		}
		p := a.part("producer", python, "put.py", a.url, strconv.Itoa(a.urls))
		p.puts, p.ends = true, true
		put, next := 0, time.Time{}
		a.put = func() int {
			if time.Now().After(next) {
				next = time.Now().Add(4 * look)
				if text := ask(addr, "GET put"); text != "" {
					put, _ = strconv.Atoi(text)
				}
			}
			return put
		}
		empty := time.Time{}
		a.done = func() bool {
			// What was taken and acked may still be at work.
			if !p.isOver() || time.Since(a.changed) < settled || time.Since(empty) < time.Second {
				return false
			}
			empty = time.Now()
			return ask(addr, "LLEN celery") == "0" && ask(addr, "HLEN unacked") == "0"
		}
		return nil
	}
}
