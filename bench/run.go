package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

const (
	heyVersion    = "github.com/rakyll/hey@v0.1.4"
	vegetaVersion = "github.com/tsenart/vegeta/v12@v12.12.0"
)

// A tool sends requests to a target and tells how many a second were answered, and a note.
type tool struct {
	row
	run func(round int) (rate float64, note string, err error)
}

// runSuite has every tool send requests with the same concurrency to the same target, one after the
// other, as many rounds as were asked for.
func runSuite(b *bench) error {
	for _, m := range []string{heyVersion, vegetaVersion} {
		if err := command(b.dir, []string{"GOBIN=" + b.dir, "GOFLAGS=-mod=mod"}, "go", "install", m); err != nil {
			return err
		}
	}
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		return fmt.Errorf("wrk is not here: apt-get install wrk (%w)", err)
	}
	target, err := start(b.ctx, b.glassq, "target", "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer target.stop()
	url := "http://" + target.addr + "/"
	targets := filepath.Join(b.dir, "targets")
	if err := os.WriteFile(targets, []byte("GET "+url+"?q=1\n"), 0o600); err != nil {
		return err
	}
	fmt.Printf("target: a process of its own at %s; %d URLs, concurrency %d, sync %s\n\n", target.addr, *n, *c, *syncs)
	seconds := 5 // of those tools that take a time and no count; as long as glassq needed, once that is known
	tools := []*tool{
		{row{name: "glassq run"}, func(round int) (float64, string, error) {
			out, took, err := timed(b.glassq, "run", url+"?q={0}", "-n", strconv.Itoa(*n), "-c", strconv.Itoa(*c),
				"--sync", *syncs, "--quiet", "--data", filepath.Join(b.dir, fmt.Sprint("d", round)))
			seconds = min(max(int(took.Seconds()+0.5), 1), 30)
			return float64(*n) / took.Seconds(), lastLine(out), err
		}},
		{row{name: "four processes"}, func(round int) (float64, string, error) {
			took, err := fourProcesses(b, url, round)
			return float64(*n) / took.Seconds(), "from the start of dispatch to the end of output", err
		}},
		{row{name: "hey"}, func(int) (float64, string, error) {
			out, _, err := timed(filepath.Join(b.dir, "hey"), "-n", strconv.Itoa(*n), "-c", strconv.Itoa(*c), url+"?q=1")
			return find(out, `Requests/sec:\s+([0-9.]+)`), "", err
		}},
		{row{name: "vegeta"}, func(int) (float64, string, error) {
			rate, err := vegeta(b.dir, targets, seconds)
			return rate, "", err
		}},
		{row{name: "wrk"}, func(int) (float64, string, error) {
			out, _, err := timed(wrk, "-t2", "-c", strconv.Itoa(*c), "-d", fmt.Sprint(seconds, "s"), url+"?q=1")
			return find(out, `Requests/sec:\s+([0-9.]+)`), "2 threads", err
		}},
	}
	for round := range *rounds {
		for _, t := range tools {
			rate, note, err := t.run(round)
			if err != nil {
				return err
			}
			if rate == 0 {
				return fmt.Errorf("%s told no rate", t.name)
			}
			t.rates, t.note = append(t.rates, rate), note
		}
	}
	one := tools[0].median()
	fmt.Printf("%-14s %12s %12s %12s  %-9s it/glassq run\n", "", "requests/s", "least", "most", "glassq run/it")
	for _, t := range tools {
		fmt.Printf("%-14s %12.0f %12.0f %12.0f  %-13.2f %.2f   %s\n", t.name, t.median(), slices.Min(t.rates),
			slices.Max(t.rates),
			one/t.median(), t.median()/one, t.note)
	}
	return nil
}

// fourProcesses sends the same requests with a server, a worker and an output that run already, and
// a dispatcher. It is timed from the dispatcher's start to the output's end.
func fourProcesses(b *bench, target string, round int) (time.Duration, error) {
	server, err := start(b.ctx, b.glassq, "serve", "--data", filepath.Join(b.dir, fmt.Sprint("four", round)), "--http",
		"127.0.0.1:0",
		"--memcached", "off", "--manager", "off", "--sync", *syncs)
	if err != nil {
		return 0, err
	}
	defer server.stop()
	url := "http://" + server.addr
	worker, err := start(b.ctx, b.glassq, "work", "http", "--server", url, "-c", strconv.Itoa(*c))
	if err != nil {
		return 0, err
	}
	defer worker.stop()
	output := exec.CommandContext(b.ctx, b.glassq, "output", "--server", url, "--run", "four", "--quiet",
		"--out", filepath.Join(b.dir, fmt.Sprintf("four%d.ndjson", round)))
	var said bytes.Buffer
	output.Stderr = &said
	if err := output.Start(); err != nil {
		return 0, err
	}
	began := time.Now()
	_, _, err = timed(b.glassq, "dispatch", "--server", url, "--run", "four", "--quiet", target+"?q={0}", "-n",
		strconv.Itoa(*n))
	if err != nil {
		output.Process.Kill() // it would wait for the run
	}
	werr := output.Wait()
	took := time.Since(began)
	switch {
	case err != nil:
		return 0, err
	case werr != nil:
		return 0, fmt.Errorf("output: %w: %s", werr, said.Bytes())
	}
	return took, nil
}

// vegeta sends as fast as it can (rate 0) for some seconds.
func vegeta(dir, targets string, seconds int) (float64, error) {
	bin := filepath.Join(dir, "vegeta")
	out, _, err := timed("sh", "-c", fmt.Sprintf("%s attack -targets %s -rate 0 -max-workers %d -workers %d -keepalive -duration %ds | %s report",
		bin, targets, *c, *c, seconds, bin))
	if err != nil {
		return 0, err
	}
	return find(out, `Requests\s+\[total, rate, throughput\]\s+\d+, [0-9.]+, ([0-9.]+)`), nil
}
