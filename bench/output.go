package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/result"
)

var results = flag.Int("results", 2_000_000, "results that output takes")

// outputSuite measures how fast output takes results that wait in a server, and how much memory it
// needs for it: once counted only, once into a file of NDJSON, once into CSV.
func outputSuite(b *bench) error {
	server, err := start(b.ctx, b.glassq, "serve", "--data", filepath.Join(b.dir, "output"), "--http", "127.0.0.1:0", "--memcached", "off", "--sync", *syncs)
	if err != nil {
		return err
	}
	defer server.stop()
	url := "http://" + server.addr
	fmt.Printf("%d results, server a process of its own, sync %s\n", *results, *syncs)
	for i, row := range []struct {
		name string
		args []string
	}{
		{"--out FILE.ndjson", []string{"--out", filepath.Join(b.dir, "r.ndjson")}},
		{"--out FILE.csv", []string{"--out", filepath.Join(b.dir, "r.csv")}},
		{"--format none", []string{"--format", "none"}},
	} {
		run := fmt.Sprint("output", i)
		if err := fillResults(b, url, run, *results); err != nil {
			return err
		}
		if err := takeResults(b, url, run, row.name, row.args); err != nil {
			return err
		}
	}
	return nil
}

// takeResults runs output on a run whose results wait, and prints one row.
func takeResults(b *bench, url, run, name string, args []string) error {
	summary := filepath.Join(b.dir, "summary.json")
	cmd := exec.CommandContext(b.ctx, b.glassq,
		append([]string{"output", "--server", url, "--run", run, "--quiet", "--summary-out", summary}, args...)...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("output %s: %w: %s", name, err, out)
	}
	took := time.Since(began)
	text, err := os.ReadFile(summary)
	if err != nil {
		return err
	}
	var s struct {
		Results  int  `json:"results"`
		Balanced bool `json:"balanced"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if s.Results != *results || !s.Balanced {
		return fmt.Errorf("output %s took %d results of %d, balanced %v", name, s.Results, *results, s.Balanced)
	}
	fmt.Printf("%-26s %10.0f/s  %6.1f s  %s resident at most\n", name, float64(*results)/took.Seconds(), took.Seconds(), residentMost(cmd.ProcessState))
	return nil
}

// fillResults dispatches a run and does its tasks with results like those of work http.
func fillResults(b *bench, url, run string, count int) error {
	if err := command(b.dir, nil, b.glassq, "dispatch", "--server", url, "--run", run, "--quiet",
		"http://127.0.0.1:8888/?q={0}", "-n", strconv.Itoa(count)); err != nil {
		return err
	}
	c, err := client.New(url, client.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	errs := make(chan error, 8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := doTasks(b, c); err != io.EOF {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// doTasks acks tasks with results until there are none, and returns io.EOF then.
func doTasks(b *bench, c *client.Client) error {
	acks := make([]glassq.Ack, 0, 1000)
	for {
		leases, err := c.Reserve(b.ctx, glassq.Reserve{Queue: glassq.DefaultQueue, Max: 1000})
		if err != nil {
			return err
		}
		if len(leases) == 0 {
			return io.EOF
		}
		acks = acks[:0]
		now := time.Now()
		for i := range leases {
			l := &leases[i]
			r := result.Record{OK: l.Position%1000 != 0, Took: time.Duration(500+l.Position%10_000) * time.Microsecond, Code: 200,
				Bytes: 512, Began: now, Lag: time.Duration(l.Position%300) * time.Microsecond, Worker: "bench-1", Attempt: l.Attempt}
			if !r.OK {
				r.Code, r.Class = 503, result.ClassStatus
			}
			acks = append(acks, glassq.Ack{Token: l.Token(), Result: &glassq.Task{Type: glassq.TypeJSON,
				Body: result.Append(nil, l.Body, l.Type, &r)}})
		}
		answers, err := c.Ack(b.ctx, acks)
		for _, e := range answers {
			if err == nil {
				err = e
			}
		}
		if err != nil {
			return err
		}
	}
}
