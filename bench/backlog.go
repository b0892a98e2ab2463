package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

var backlog = flag.String("backlog", "1000000,10000000,30000000",
	"tasks that suite engine keeps ready, one backlog after the other")

// child is the first argument of a process of this program that is measured from outside.
const child = "child"

// engineBacklogs shows the memory, the start and the disk space of backlogs, each in processes of
// its own.
func engineBacklogs(b *bench) error {
	for _, s := range strings.Split(*backlog, ",") {
		tasks, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || tasks < 1 {
			return fmt.Errorf("-backlog %q: %q is not a count", *backlog, s)
		}
		if err := engineBacklog(b, tasks); err != nil {
			return fmt.Errorf("backlog of %d: %w", tasks, err)
		}
	}
	return nil
}

// engineBacklog fills a store in one process, kills it, and starts another on what it left.
func engineBacklog(b *bench, tasks int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "backlog")
	defer os.RemoveAll(dir)
	fill := exec.CommandContext(b.ctx, self, child, "fill", dir, strconv.Itoa(tasks))
	fill.Stderr = os.Stderr
	fill.WaitDelay = time.Second
	in, err := fill.StdinPipe()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := fill.StdoutPipe()
	if err != nil {
		return err
	}
	if err := fill.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	killed := fill.Process.Kill()
	if werr := fill.Wait(); err != nil {
		return errors.Join(err, werr)
	}
	if killed != nil {
		return killed
	}
	fmt.Print(line)
	use := exec.CommandContext(b.ctx, self, child, "use", dir, strconv.Itoa(tasks))
	use.Stdout, use.Stderr = os.Stdout, os.Stderr
	return use.Run()
}

// runChild is what a child does: fill a store and wait for the end, start on what is there, or fill one
// with tasks of many keys.
func runChild(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%s fill|use|keys DIR TASKS", child)
	}
	tasks, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	switch args[1] {
	case "use":
		return useBacklog(context.Background(), args[2], tasks)
	case "keys":
		return keysFill(context.Background(), args[2], tasks)
	}
	e, err := disk.Open(args[2], disk.Options{Sync: disk.SyncInterval})
	if err != nil {
		return err
	}
	began := time.Now()
	if err := engineFill(context.Background(), e, tasks); err != nil {
		return err
	}
	took := time.Since(began)
	fmt.Printf("%d ready, put in %.1f s: resident %d MB, at most %d MB; asked for 10 million: below 400\n", tasks,
		took.Seconds(), status(os.Getpid(), "VmRSS:"), status(os.Getpid(), "VmHWM:"))
	_, err = io.Copy(io.Discard, os.Stdin) // killed meanwhile
	return err
}

// useBacklog starts on what a kill left, and acks half at random.
func useBacklog(ctx context.Context, dir string, tasks int) error {
	began := time.Now()
	e, err := disk.Open(dir, disk.Options{Sync: disk.SyncInterval})
	if err != nil {
		return err
	}
	took := time.Since(began)
	infos, err := e.Queues(ctx, "q")
	if err != nil {
		return err
	}
	if infos[0].Ready != int64(tasks) {
		return fmt.Errorf("%d of %d tasks are ready after the start", infos[0].Ready, tasks)
	}
	fmt.Printf("    start after kill -9: %.2f s, resident %d MB; asked for 10 million: below 5 s\n", took.Seconds(),
		status(os.Getpid(), "VmRSS:"))

	rnd := rand.New(rand.NewPCG(1, 2))
	var back []glassq.Nack
	began = time.Now()
	for {
		leases, err := e.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 10_000, Lease: 12 * time.Hour})
		if err != nil {
			return err
		}
		if len(leases) == 0 {
			break
		}
		var acks []glassq.Ack
		for i := range leases {
			if rnd.IntN(2) == 0 {
				acks = append(acks, glassq.Ack{Token: leases[i].Token()})
			} else {
				back = append(back, glassq.Nack{Token: leases[i].Token(), Undone: true})
			}
		}
		if _, err := e.Ack(ctx, acks); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(back, 10_000) {
		if _, err := e.Nack(ctx, part); err != nil {
			return err
		}
	}
	took = time.Since(began)
	began = time.Now()
	for {
		s, err := e.Stats(ctx)
		if err != nil {
			return err
		}
		ratio := float64(s.Disk.Bytes) / float64(max(s.LiveBytes, 1))
		if ratio < 2 || time.Since(began) > time.Minute {
			fmt.Printf("    half acked at random in %.1f s; %.1f s later disk %d MB, live %d MB: %.2f; asked: below 2 within a minute\n", took.Seconds(),
				time.Since(began).Seconds(), s.Disk.Bytes>>20, s.LiveBytes>>20, ratio)
			return e.Close()
		}
		time.Sleep(200 * time.Millisecond)
	}
}
