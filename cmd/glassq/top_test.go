package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/vbauerster/cupwriter"
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
	all := frame(rows, &now, "http://h:1", "", 200, 100)
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
	few := frame(rows, &now, "http://h:1", "no answer", 20, 6)
	if len(few) != 6 || few[1] != "no answer" || few[5] != "and 6 less busy queu" ||
		slices.ContainsFunc(few, func(l string) bool { return len(l) > 20 }) {
		t.Errorf("on 20 columns and 6 lines: %q", few)
	}
	few = frame(rows, &now, "http://h:1", "", 200, 6)
	if len(few) != 6 || !strings.HasSuffix(few[2], "q5") || !strings.HasSuffix(few[4], "q7") ||
		few[5] != "and 5 less busy queues" {
		t.Errorf("on 6 lines: %q; want the three busiest queues by name", few)
	}
	for height := range 5 {
		if got := frame(rows, &now, "http://h:1", "no answer", 10, height); len(got) > max(height, 1) {
			t.Errorf("on %d lines: %q", height, got)
		}
	}
}

// On a screen each frame takes the place of the one before, and a server that is away is said on it.
func TestTopScreen(t *testing.T) {
	var b bytes.Buffer
	top := top{screen: cupwriter.New(&b, true), server: "http://h:1"}
	l := look{at: time.Now(), queues: []glassq.QueueInfo{queueOf("q", 2, 1)}}
	if err := top.draw(l.rows(nil), &l, ""); err != nil {
		t.Fatal(err)
	}
	if err := top.absent(&l, errors.New("gone"), true); err != nil {
		t.Fatal(err)
	}
	if out := b.String(); strings.Count(out, "READY") != 2 || !strings.Contains(out, "no answer since ") ||
		!strings.Contains(out, "\x1b[3A") {
		t.Errorf("the screen got %q", out)
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
