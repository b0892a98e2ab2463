package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/glassq/glassq"
)

// TestMemcachedTools: libmemcached's command line tools put 10,000 files, two of them at a time
// take them all and none twice, and a lease from another door is extended and acked.
func TestMemcachedTools(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"memcping", "memccp", "memccat", "memcrm", "memctouch", "memcstat"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: apt-get install libmemcached-tools", name)
		}
	}
	env, c := serveMemcached(t)
	dir := t.TempDir()
	tool := func(want int, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, append([]string{"--servers=" +
			strings.TrimPrefix(env, "GLASSQ_MEMCACHED=")}, args...)...)
		cmd.Dir = dir
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended || cmd.ProcessState.ExitCode() != want {
			t.Fatalf("%s %.80q: %v, want exit %d\n%s", name, args, err, want, errs.String())
		}
		return string(out)
	}
	tool(0, "memcping")

	// The key is the path of the file: the id makes it safe to run again.
	if err := os.Mkdir(filepath.Join(dir, "tasks"), 0o700); err != nil {
		t.Fatal(err)
	}
	var files, keys, want []string
	for i := range drained {
		body := fmt.Sprintf("task %d", i)
		files = append(files, write(t, filepath.Join(dir, "tasks", fmt.Sprintf("id=%d", i)), body))
		files[i] = strings.TrimPrefix(files[i], dir+string(filepath.Separator))
		keys, want = append(keys, "tasks"), append(want, body)
	}
	tool(0, "memccp", append([]string{"--relative"}, files...)...)
	tool(0, "memccp", append([]string{"--relative"}, files[:10]...)...)
	tool(1, "memccp", "--add", "--relative", files[0])
	if stats := tool(0, "memcstat"); !strings.Contains(stats, fmt.Sprintf("set_cmds: %d", drained+11)) {
		t.Errorf("memcstat = %s; want %d sets", stats, drained+11)
	}

	if peeked := tool(0, "memccat", "tasks/peek"); peeked != "task 0\n" {
		t.Errorf("memccat tasks/peek = %q; want the first task", peeked)
	}
	var taken [2]string
	var wg sync.WaitGroup
	for i := range taken {
		wg.Go(func() { taken[i] = tool(0, "memccat", keys[:drained/2]...) })
	}
	wg.Wait()
	got := strings.Split(strings.TrimSpace(taken[0]+taken[1]), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("two memccat took %d bodies, %d distinct; want %d", len(got), len(slices.Compact(slices.Clone(got))),
			drained)
	}
	tool(1, "memccat", "tasks")
	tool(1, "memccat", "tasks/t=200")

	if _, err := c.Put(t.Context(), []glassq.Task{{Queue: "tasks", Body: []byte("leased")}}); err != nil {
		t.Fatal(err)
	}
	leases, err := c.Reserve(t.Context(), glassq.Reserve{Queue: "tasks", Max: 1})
	if err != nil || len(leases) != 1 {
		t.Fatalf("Reserve = %d leases, %v; want 1", len(leases), err)
	}
	lease := fmt.Sprintf("tasks/%d", leases[0].Number)
	tool(0, "memctouch", "--expire=30", lease)
	tool(0, "memcrm", lease)
	tool(0, "memcrm", lease)
	tool(1, "memcrm", lease+"9")
	tool(1, "memctouch", "--expire=30", lease)
	queues, err := c.Queues(t.Context(), "tasks")
	if b := (glassq.Books{Put: drained + 1, OK: drained + 1}); err != nil || queues[0].Books != b {
		t.Errorf("books = %+v, %v; want %+v", queues[0].Books, err, b)
	}
}
