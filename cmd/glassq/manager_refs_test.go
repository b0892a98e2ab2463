//go:build unix

package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
)

var (
	managerSeed      = flag.Uint64("manager.seed", 0, "seed of the first family of Python programs; 0 draws one")
	managerSchedules = flag.Int("manager.schedules", 1, "families of each Python and start method")
)

// TestManagerReferences: what is let go of beside the work is no end of the work.
func TestManagerReferences(t *testing.T) {
	t.Parallel()
	all := pythons(t)
	addr, c := managerServer(t)
	for _, path := range all {
		for _, how := range []string{"copied", "pickled", "siblings", "pool", "daemon", "own"} {
			t.Run(filepath.Base(filepath.Dir(filepath.Dir(path)))+"/"+how, func(t *testing.T) {
				putText(t, c, how)
				p := mode(t, path, addr, how)
				p.says(how)
				p.cmd.Wait()
				if how != "own" {
					next(t, c, how, 2)
				}
				settled(t, c, "tasks", gone)
			})
		}
	}
}

// TestManagerFamilies: programs that fork, copy, exit and are killed at random. An item is done
// only if its last holder had finished it; every other one is there again, each hand-out counted.
func TestManagerFamilies(t *testing.T) {
	t.Parallel()
	all := pythons(t)
	addr, c := managerServer(t)
	seed := *managerSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	n := 0
	for _, path := range all {
		methods := "import sys; print('fork spawn' if sys.version_info[0] > 2 else 'fork')"
		for _, method := range strings.Fields(mustPython(t, path, addr, "-c", methods)) {
			for range *managerSchedules {
				queue := fmt.Sprint("family", n)
				n++
				name := fmt.Sprintf("%s/%s/seed %d", filepath.Base(filepath.Dir(filepath.Dir(path))), method, seed)
				run := python(t, path, addr, "testdata/manager_refs.py", method, strconv.FormatUint(seed, 10))
				run.Env = append(run.Env, "QUEUE="+queue, "PYTHONWARNINGS=ignore")
				t.Run(name, func(t *testing.T) { judgeFamily(t, c, queue, run) })
				seed++
			}
		}
	}
}

// judgeFamily runs a family to the end of its last program and compares what it says with what the
// queue has.
func judgeFamily(t *testing.T, c *client.Client, queue string, run *exec.Cmd) {
	const items = 60
	tasks := make([]glassq.Task, items)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: queue, Type: glassq.TypeText, Body: []byte(strconv.Itoa(i))}
	}
	if _, err := c.Put(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
	out, err := run.StdoutPipe() // every program of the family writes to it; it ends with the last one
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	run.Stderr = &complaints
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	handouts := map[string][]string{} // by item, in order
	finished := map[string]bool{}     // by hand-out
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		switch word := strings.Fields(lines.Text()); {
		case len(word) == 3 && word[0] == "got":
			handouts[word[2]] = append(handouts[word[2]], word[1])
		case len(word) == 2 && word[0] == "finish":
			finished[word[1]] = true
		default:
			t.Errorf("a program said %q", lines.Text())
		}
	}
	run.Wait() // it may have killed itself
	if strings.Contains(complaints.String(), "Traceback") {
		t.Errorf("a program failed:\n%s", complaints.String())
	}
	settled(t, c, queue, func(q glassq.QueueInfo) bool { return q.Leased == 0 && q.Delayed == 0 })
	info, err := c.Queues(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	left, err := c.Reserve(t.Context(), glassq.Reserve{Queue: queue, Max: items})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]int{} // attempt of the next hand-out, by item
	for _, l := range left {
		there[string(l.Body)] = l.Attempt
	}
	done, again := 0, 0
	for i := range items {
		item := strconv.Itoa(i)
		of := handouts[item]
		again += max(len(of)-1, 0)
		attempt, waits := there[item]
		switch {
		case waits && attempt != len(of)+1:
			t.Errorf("item %s was handed out %d times, and is at attempt %d; want %d", item, len(of), attempt, len(of)+1)
		case !waits && len(of) == 0:
			t.Errorf("item %s is gone, and nobody got it", item)
		case !waits && !finished[of[len(of)-1]]:
			t.Errorf("item %s is done, and its last holder had not finished it", item)
		}
		if !waits {
			done++
		}
	}
	if want := (glassq.Books{Put: items, OK: uint64(done)}); info[0].Books != want {
		t.Errorf("books %+v; want %+v", info[0].Books, want)
	}
	t.Logf("%d items got, %d done, %d handed out again", len(handouts), done, again)
	if t.Failed() {
		t.Logf("what the family said:\n%s%s", said.String(), complaints.String())
	}
}
