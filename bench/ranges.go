package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/dispatch"
)

// rangeRows measures a range of a billion tasks, and a run of URLs as a range beside the same one by
// one.
func rangeRows(b *bench) error {
	if err := rangeOfABillion(b); err != nil {
		return err
	}
	if err := rangeDispatch(b); err != nil {
		return err
	}
	return rangeRun(b)
}

// heap is what the program holds, after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// rangeOfABillion puts ranges of a billion tasks. What a put takes of memory and disk is the growth by many
// of them, each of a run of its own: one is too small to be seen.
func rangeOfABillion(b *bench) error {
	const puts, count = 50, 1_000_000_000
	dir := filepath.Join(b.dir, "billion")
	e, err := disk.Open(dir, disk.Options{})
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer e.Close()
	put := func(run string) (time.Duration, error) {
		began := time.Now()
		_, err := e.Put(b.ctx, []glassq.Task{{Queue: "q", Run: run, Dense: true, Type: glassq.TypeText,
			Body: []byte("http://127.0.0.1:8888/?q={0}"), Range: &glassq.Range{Count: count}}})
		return time.Since(began), err
	}
	if _, err := put("first"); err != nil {
		return err
	}
	before, err := e.Stats(b.ctx)
	if err != nil {
		return err
	}
	held := heap()
	var worst, all time.Duration
	for i := range puts {
		took, err := put(fmt.Sprint("r", i))
		if err != nil {
			return err
		}
		worst, all = max(worst, took), all+took
	}
	memory := (heap() - min(held, heap())) / puts
	after, err := e.Stats(b.ctx)
	if err != nil {
		return err
	}
	fmt.Printf("put of a range of %d tasks: mean %v, slowest of %d %v; %d bytes of the log, %d bytes of memory; bare sync %v\n",
		count, all/puts, puts, worst, (after.Bytes-before.Bytes)/puts, memory, b.bare)
	fmt.Printf("    asked: 5 ms, 1,000 bytes, 10,000 bytes\n")
	began := time.Now()
	if _, _, err := e.Peek(b.ctx, "q", glassq.Ready, count*7+5, 100); err != nil {
		return err
	}
	peeked := time.Since(began)
	began = time.Now()
	if _, err := e.CancelRun(b.ctx, "r1"); err != nil {
		return err
	}
	fmt.Printf("peek of 100 in the middle %v, cancel of a billion %v\n", peeked, time.Since(began))
	return nil
}

// rangeDispatch measures what dispatch and put take of the processor, by task.
func rangeDispatch(b *bench) error {
	for _, single := range []bool{false, true} {
		dir := filepath.Join(b.dir, fmt.Sprint("dispatch", single))
		e, err := disk.Open(dir, disk.Options{})
		if err != nil {
			return err
		}
		t, err := dispatch.ParseTemplate("http://127.0.0.1:8888/?q={0}")
		if err != nil {
			return err
		}
		src, err := dispatch.NewCounter(t, nil, 0, uint64(*n))
		if err != nil {
			return err
		}
		began, cpu := time.Now(), processor()
		if _, err := dispatch.Run(b.ctx, e, dispatch.Options{Source: src, Single: single}); err != nil {
			return err
		}
		took, used := time.Since(began), processor()-cpu
		fmt.Printf("dispatch and put of %d, single %v: %v, %.4f µs of processor time a task\n", *n, single, took,
			used.Seconds()*1e6/float64(*n))
		if err := e.Close(); err != nil {
			return err
		}
		os.RemoveAll(dir)
	}
	fmt.Printf("    asked: under 0.1 µs as a range\n")
	return nil
}

// rangeRun runs URLs against a target of its own, as a range and one by one in turn.
func rangeRun(b *bench) error {
	target, err := start(b.ctx, b.glassq, "target", "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer target.stop()
	rows := []row{{name: "as a range"}, {name: "one by one"}}
	for range *rounds {
		for i, more := range [][]string{nil, {"--single"}} {
			args := append([]string{"run", "http://" + target.addr + "/?q={0}", "-n", strconv.Itoa(*n), "-c", strconv.Itoa(*c), "--quiet",
				"--sync", *syncs}, more...)
			_, took, err := timed(b.glassq, args...)
			if err != nil {
				return err
			}
			rows[i].rates = append(rows[i].rates, float64(*n)/took.Seconds())
		}
	}
	for _, r := range rows {
		fmt.Printf("run of %d URLs, %-10s %9.0f/s  %.0f\n", *n, r.name, r.median(), r.rates)
	}
	fmt.Printf("    ratio %.2f; asked: not below 1 but for the spread\n", rows[0].median()/rows[1].median())
	return rangeStart(b.ctx, filepath.Join(b.dir, "start"))
}

// rangeStart measures a start on a range of which half was handed out and acked, as a kill leaves it.
func rangeStart(ctx context.Context, dir string) error {
	e, err := disk.Open(dir, disk.Options{Sync: disk.SyncInterval})
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	_, err = e.Put(ctx, []glassq.Task{{Queue: "q", Run: "r", Dense: true, Body: []byte("{0}"),
		Range: &glassq.Range{Count: uint64(*n)}}})
	for done := 0; done < *n/2 && err == nil; {
		var leases []glassq.Lease
		if leases, err = e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 1000}); err != nil || len(leases) == 0 {
			break
		}
		acks := make([]glassq.Ack, len(leases))
		for i := range leases {
			acks[i] = glassq.Ack{Token: leases[i].Token()}
		}
		_, err = e.Ack(ctx, acks)
		done += len(leases)
	}
	if err != nil {
		return err
	}
	copied := dir + ".copy" // what a kill leaves: a copy of the files without a clean stop
	defer os.RemoveAll(copied)
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		return err
	}
	if err := e.Close(); err != nil {
		return err
	}
	began := time.Now()
	again, err := disk.Open(copied, disk.Options{})
	if err != nil {
		return err
	}
	fmt.Printf("start after a kill half-way through %d: %v; asked: 0.3 s\n", *n, time.Since(began))
	return again.Close()
}
