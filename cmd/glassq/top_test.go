package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cli/term"
)

// queueOf is a queue with that many tasks put and done.
func queueOf(name string, put, done uint64) glassq.QueueInfo {
	return glassq.QueueInfo{Name: name, Ready: int64(put - done), Oldest: 1.5,
		Books: glassq.Books{Put: put, OK: done / 2, Failed: done - done/2}}
}

func TestTopRates(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	last := look{at: at, queues: []glassq.QueueInfo{queueOf("kept", 1000, 500), queueOf("again", 9000, 9000),
		queueOf("gone", 5, 5)}}
	now := look{at: at.Add(2 * time.Second), queues: []glassq.QueueInfo{queueOf("new", 60, 1),
		queueOf("kept", 4000, 501), queueOf("again", 80, 40)}}
	for _, tt := range []struct {
		name string
		last *look
		want string
	}{
		{"rates", &last, "again 40 20, kept 1500 0.5, new 30 0.5"},
		{"the first look", nil, "again, kept, new"},
		{"two looks at one moment", &look{at: now.at}, "again, kept, new"},
	} {
		var got []string
		for _, r := range now.rows(tt.last) {
			text := r.Name
			if r.Rates != nil {
				text += fmt.Sprintf(" %g %g", r.Rates.Put, r.Rates.Done)
			}
			got = append(got, text)
		}
		if got := strings.Join(got, ", "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestTopFrame(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	last := look{at: at}
	now := look{at: at.Add(time.Second), stats: glassq.Stats{Tasks: 12345, Leases: 6, Waiters: 7, Storage: "low",
		Disk: &glassq.DiskStats{Sync: "always", LastSync: 1234567}}}
	for i := range 8 {
		now.queues = append(now.queues, queueOf(fmt.Sprint("q", i), uint64(1000*i), 0))
	}
	now.queues[2].Settings.Paused = true
	now.queues[3].Rate = 250
	rows := now.rows(&last)
	all := frame(rows, &now, "http://h:1", "", 200, 100, &view{})
	if want := "03:04:06  http://h:1  8 queues, 12,345 tasks, 6 leased, 7 waiting; sync always 1.23ms; storage low"; all[0] != want || len(all) != 2+8 {
		t.Errorf("%d lines below %q; want 9 below %q", len(all)-1, all[0], want)
	}
	for i, want := range map[int]string{1: "READY DELAYED LEASED DEAD PUT/s DONE/s OLDEST WAITERS QUEUE",
		2: "0 0 0 0 0 0 1.5s 0 q0",
		4: "2,000 0 0 0 2,000 0 1.5s 0 q2 (paused)", 5: "3,000 0 0 0 3,000 0 1.5s 0 q3 (at most 250/s)"} {
		if got := strings.Join(strings.Fields(all[i]), " "); got != want {
			t.Errorf("line %d is %q, want %q", i, got, want)
		}
	}
	for want, c := range map[string]glassq.ClusterStats{
		"; at the owner (epoch 3, as of 0s ago), 3 of 3 replicas in step": {Role: glassq.RoleOwner, Owner: "a", Epoch: 3, Replicas: 3,
			InStep: 3, AsOf: now.at},
		"; owner a (epoch 3, as of 1s ago), 2 of 3 replicas in step, 1,234 behind": {Role: glassq.RoleGateway, Owner: "a", Epoch: 3,
			Replicas: 3, InStep: 2, Lag: 1234, AsOf: at},
		"; no gateway owns the store (epoch 3), 0 of 0 replicas in step": {Role: glassq.RoleGateway, Epoch: 3},
	} {
		gateway := look{at: now.at, stats: glassq.Stats{Cluster: &c}}
		if got := frame(nil, &gateway, "http://h:1", "", 200, 9, &view{})[0]; !strings.HasSuffix(got, "0 waiting"+want) {
			t.Errorf("of %+v it says %q; want %q", c, got, want)
		}
	}
	few := frame(rows, &now, "http://h:1", "no answer", 20, 6, &view{})
	if len(few) != 6 || few[1] != "no answer" || few[5] != "and 6 less busy queu" ||
		slices.ContainsFunc(few, func(l string) bool { return len(l) > 20 }) {
		t.Errorf("on 20 columns and 6 lines: %q", few)
	}
	few = frame(rows, &now, "http://h:1", "", 200, 6, &view{})
	if len(few) != 6 || !strings.HasSuffix(few[2], "q5") || !strings.HasSuffix(few[4], "q7") ||
		few[5] != "and 5 less busy queues" {
		t.Errorf("on 6 lines: %q; want the three busiest queues by name", few)
	}
	for height := range 5 {
		if got := frame(rows, &now, "http://h:1", "no answer", 10, height, &view{}); len(got) > max(height, 1) {
			t.Errorf("on %d lines: %q", height, got)
		}
	}
}

// TestTopNarrow: a narrow terminal has fewer figures, and names that can be told apart.
func TestTopNarrow(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	now := look{at: at}
	for _, name := range []string{"orders-eu-1", "orders-eu-2", "results.orders-of-the-week-a", "results.orders-of-the-week-b"} {
		now.queues = append(now.queues, queueOf(name, 12345, 0))
		now.runs = append(now.runs, glassq.Run{Name: name})
	}
	now.queues[0].Settings.Paused = true
	rows := now.rows(&look{at: at.Add(-time.Second)})
	for _, tt := range []struct {
		width int
		want  []string // the table
	}{
		{20, []string{"  READY  QUEUE", " 12,345  orders-eu-1", " 12,345  orders-eu-2", " 12,345  resul…week-a", " 12,345  resul…week-b"}},
		{40, []string{" READY  LEASED  DONE/s  QUEUE", "12,345       0       0  orders-eu-1 (pau",
			"12,345       0       0  orders-eu-2", "12,345       0       0  results…e-week-a",
			"12,345       0       0  results…e-week-b"}},
		{200, []string{" READY  DELAYED  LEASED  DEAD   PUT/s  DONE/s  OLDEST  WAITERS  QUEUE",
			"12,345        0       0     0  12,345       0    1.5s        0  orders-eu-1 (paused)"}},
	} {
		got := frame(rows, &now, "http://h:1", "", tt.width, 100, &view{})[1:]
		for i, want := range tt.want {
			if strings.TrimSpace(got[i]) != strings.TrimSpace(want) {
				t.Errorf("in %d columns line %d is %q, want %q", tt.width, i, got[i], want)
			}
		}
		for _, v := range []view{{}, {runs: true}} {
			seen := map[string]bool{}
			for _, line := range frame(rows, &now, "http://h:1", "", tt.width, 100, &v) {
				if n := len([]rune(line)); n > tt.width || seen[line] && line != "" {
					t.Errorf("in %d columns (runs %v) there is %q, twice or %d wide", tt.width, v.runs, line, n)
				}
				seen[line] = true
			}
		}
	}
}

// TestTopView: keys move through queues and runs, and never beyond their ends.
func TestTopView(t *testing.T) {
	now := look{at: time.Now()}
	for i := range 9 {
		now.queues = append(now.queues, queueOf(fmt.Sprint("q", i), 10, 0))
		now.runs = append(now.runs, glassq.Run{Name: fmt.Sprint("run", i), Complete: i > 0})
	}
	rows := now.rows(nil)
	for _, tt := range []struct {
		name, keys string
		height     int
		has, lacks string
	}{
		{"open runs below", "", 14, "run0  open", "run1"},
		{"no room for runs", "", 10, "and 2 less busy queues", "run0"},
		{"down", "j", 6, "queues 2 to 4 of 9", "q0"},
		{"far down", "jjjjjjjjjjjj", 6, "queues 7 to 9 of 9", "q5"},
		{"page and back", " kkkkkk", 6, "less busy queues", "queues 2"},
		{"runs", "r", 6, "runs 1 to 3 of 9", "READY"},
		{"runs, a page", "\t ", 6, "runs 4 to 6 of 9", "run0"},
		{"queues again", "rr", 6, "READY", "BOOKS"},
		{"help", "?", 10, "q, Ctrl-C", "READY"},
		{"help and back", "??", 10, "READY", "q, Ctrl-C"},
	} {
		v := &view{}
		lines := frame(rows, &now, "http://h:1", "", 200, tt.height, v)
		for _, key := range tt.keys {
			if !v.press(term.Key(key)) {
				t.Errorf("%s: key %q ends top", tt.name, key)
			}
			lines = frame(rows, &now, "http://h:1", "", 200, tt.height, v)
		}
		if text := strings.Join(lines, "\n"); !strings.Contains(text, tt.has) || strings.Contains(text, tt.lacks) ||
			len(lines) > tt.height {
			t.Errorf("%s: %d lines with %q and without %q wanted:\n%s", tt.name, tt.height, tt.has, tt.lacks, text)
		}
	}
	for _, key := range []term.Key{'q', term.KeyCtrlC} {
		if new(view).press(key) {
			t.Errorf("key %q does not end top", key)
		}
	}
}

func TestTop(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	serve := func() *process {
		p := start(t, nil, "serve", "--store", "mem:", "--http", address)
		p.addr()
		return p
	}
	server := serve()
	f := &testbed{t: t, serverAt: "http://" + address, dir: t.TempDir(), env: []string{"GLASSQ_SERVER=http://" + address}}
	f.do(0, "put", "--queue", "a", "x")
	f.do(0, "put", "--queue", "b", "y")

	out, _ := f.do(0, "top", "--once", "--every", "100ms")
	if lines := strings.Split(out, "\n"); len(lines) != 4 || !strings.Contains(lines[0], "READY") ||
		!strings.HasSuffix(lines[1], " a") || !strings.HasSuffix(lines[2], " b") {
		t.Errorf("top --once printed %s", out)
	}
	out, _ = f.do(0, "top", "--once", "--json", "--every", "100ms", "b", "none-yet")
	var got struct {
		Seconds float64
		Stats   struct{ Tasks int }
		Queues  []struct {
			Name  string
			Ready int
			Rates *struct{ Put, Done *float64 }
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Seconds <= 0 || got.Stats.Tasks != 2 ||
		len(got.Queues) != 1 ||
		got.Queues[0].Name != "b" || got.Queues[0].Ready != 1 || got.Queues[0].Rates.Put == nil ||
		got.Queues[0].Rates.Done == nil {
		t.Errorf("top --once --json printed %s, %v", out, err)
	}
	f.do(exitUsage, "top", "--every", "1ms")
	f.do(exitUsage, "top", "a/b")

	// A line for each queue that changed, through an end of the server and its return.
	p := start(t, f.env, "top", "--every", "100ms", "a", "c")
	if line := <-p.lines; !strings.Contains(line, "  a: ready 1, delayed 0, leased 0, dead 0, put 0/s, done 0/s, waiters 0") {
		t.Errorf("top printed %s", line)
	}
	server.kill()
	f.await("top saying that the server is away", func() bool { return strings.Contains(p.said(), "no answer since") })
	serve()
	f.do(0, "put", "--queue", "c", "z")
	if line := <-p.lines; !strings.Contains(line, "  c: ready 1,") || strings.Count(p.said(), "no answer since") != 1 {
		t.Errorf("after the server's return top printed %s and said %s", line, p.said())
	}
	if runtime.GOOS == "windows" {
		return // there is no signal to send
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.ends(); code != 0 {
		t.Errorf("top ended with %d when it was stopped, want 0", code)
	}
}
