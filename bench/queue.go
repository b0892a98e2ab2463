package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/result"
)

// queueRows measures the queue over HTTP from another process: dispatch, and reserve + ack with
// results.
func queueRows(b *bench) error {
	ctx, dir, bin := b.ctx, b.dir, b.glassq
	server, err := start(ctx, bin, "serve", "--data", filepath.Join(dir, "serve"), "--http", "127.0.0.1:0",
		"--memcached", "off", "--sync", *syncs)
	if err != nil {
		return err
	}
	defer server.stop()
	url := "http://" + server.addr
	put, ack, both := &row{name: "dispatch"}, &row{name: "reserve+ack"}, &row{name: "the two"}
	const tasks = 500_000
	for i := range *rounds {
		run := fmt.Sprint("bench", i)
		_, took, err := timed(bin, "dispatch", "--server", url, "--run", run, "--quiet", "http://h/?q={0}", "-n",
			strconv.Itoa(tasks))
		if err != nil {
			return err
		}
		put.rates = append(put.rates, tasks/took.Seconds())
		acked, err := drain(ctx, url)
		if err != nil {
			return err
		}
		ack.rates = append(ack.rates, tasks/acked.Seconds())
		both.rates = append(both.rates, tasks/(took+acked).Seconds())
		c, err := client.New(url, client.Options{})
		if err != nil {
			return err
		}
		r, err := c.Run(ctx, run)
		if err != nil || r.Pending != 0 || r.Books.OK != tasks {
			return fmt.Errorf("books of %s: %+v, %v", run, r.Books, err)
		}
		if _, err := c.Purge(ctx, r.Results); err != nil {
			return err
		}
	}
	fmt.Printf("over HTTP, server a process of its own, sync %s, %d tasks, least and most of %d rounds\n", *syncs, tasks,
		*rounds)
	for _, r := range []*row{put, ack, both} {
		fmt.Printf("%-12s %12.0f/s %10.0f %10.0f\n", r.name, r.median(), slices.Min(r.rates), slices.Max(r.rates))
	}
	return nil
}

// drain reserves and acks everything with a result each, in batches of 100 from 16 callers.
func drain(ctx context.Context, url string) (time.Duration, error) {
	c, err := client.New(url, client.Options{})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	errs := make(chan error, 16)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				leases, err := c.Reserve(ctx, glassq.Reserve{Queue: glassq.DefaultQueue, Max: 100})
				if err != nil || len(leases) == 0 {
					errs <- err
					return
				}
				acks := make([]glassq.Ack, len(leases))
				for i := range leases {
					acks[i] = glassq.Ack{Token: leases[i].Token(), Result: &glassq.Task{Type: glassq.TypeJSON,
						Body: result.Append(nil, leases[i].Body, leases[i].Type,
							&result.Record{OK: true, Took: time.Millisecond, Code: 200})}}
				}
				answers, err := c.Ack(ctx, acks)
				for _, e := range answers {
					if e != nil && err == nil {
						err = e
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
