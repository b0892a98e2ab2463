package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
)

// tenants measures how long tasks of quiet tenants wait, without and beside one whose backlog stays.
func (k *keysBench) tenants() error {
	empty, _, err := k.quietTenants(0)
	if err != nil {
		return err
	}
	beside, passed, err := k.quietTenants(k.backlog)
	if err != nil {
		return err
	}
	if len(empty) == 0 || len(beside) == 0 {
		return errors.New("-tenant-seconds is too short for a task")
	}
	p := func(all []time.Duration, percent int) time.Duration {
		return all[len(all)*percent/100].Round(time.Microsecond)
	}
	fmt.Printf("%d tenants with a task a second each, %v, %d workers x %d, sync %s, from put to lease:\n", k.quiet, k.span,
		k.workers, k.atOnce, *syncs)
	fmt.Printf("    empty queue: p50 %v p99 %v (%d samples)\n", p(empty, 50), p(empty, 99), len(empty))
	fmt.Printf("    backlog of %d of one tenant, %.0f/s of it pass: p50 %v p99 %v (%d samples)\n", k.backlog,
		float64(passed)/k.span.Seconds(), p(beside, 50), p(beside, 99), len(beside))
	fmt.Printf("    p99 %.2f times; asked: 2\n", float64(p(beside, 99))/float64(p(empty, 99)))
	return nil
}

// quietTenants returns what the tasks of quiet tenants waited, sorted, and how many tasks of the
// backlog passed.
func (k *keysBench) quietTenants(backlog int) (waits []time.Duration, passed int64, err error) {
	dir := filepath.Join(k.dir, "tenants")
	defer os.RemoveAll(dir)
	e, err := keySide{settings: glassq.SettingsChange{Fair: new(true)}}.open(k.ctx, dir, *syncs)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = cmp.Or(err, e.Close()) }()
	big := make([]glassq.Task, 1000)
	for i := range big {
		big[i] = glassq.Task{Queue: "q", Key: "big", Body: make([]byte, 32)}
	}
	for n := 0; n < backlog; n += len(big) {
		if _, err := e.Put(k.ctx, big[:min(len(big), backlog-n)]); err != nil {
			return nil, 0, err
		}
	}
	putting, end := context.WithTimeout(k.ctx, k.span)
	defer end()
	taking, enough := context.WithCancel(k.ctx)
	defer enough()
	var puts, took, gone atomic.Int64 // of quiet tenants; of these, taken; of the backlog, acked
	room := make(chan struct{}, 1)
	began := time.Now()
	errs := make(chan error, k.quiet+k.workers+1) // one each
	var putters, takers sync.WaitGroup
	var mu sync.Mutex
	for tenant := range k.quiet {
		putters.Go(func() {
			key := fmt.Sprint("quiet-", tenant)
			for due := time.Second * time.Duration(tenant) / time.Duration(k.quiet); due < k.span; due += time.Second {
				select {
				case <-putting.Done():
					return
				case <-time.After(time.Until(began.Add(due))):
				}
				puts.Add(1)
				body := binary.BigEndian.AppendUint64(nil, uint64(time.Since(began)))
				if _, err := e.Put(k.ctx, []glassq.Task{{Queue: "q", Key: key, Body: body}}); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	putters.Go(func() { // keeps the backlog
		for put := int64(0); backlog > 0; {
			select {
			case <-putting.Done():
				return
			case <-room:
			}
			for putting.Err() == nil {
				n := min(gone.Load()-put, int64(len(big)))
				if n <= 0 {
					break
				}
				if _, err := e.Put(k.ctx, big[:n]); err != nil {
					errs <- err
					return
				}
				put += n
			}
		}
	})
	for range k.workers {
		takers.Go(func() {
			for taking.Err() == nil {
				leases, err := e.Reserve(taking, glassq.Reserve{Queue: "q", Max: k.atOnce, Wait: -1})
				now := time.Since(began)
				if err == nil {
					err = ackAll(k.ctx, e, leases)
				}
				if err != nil {
					if taking.Err() == nil {
						errs <- err
					}
					return
				}
				for i := range leases {
					if leases[i].Key == "big" {
						gone.Add(1)
						continue
					}
					mu.Lock()
					waits = append(waits, now-time.Duration(binary.BigEndian.Uint64(leases[i].Body)))
					mu.Unlock()
					took.Add(1)
				}
				select {
				case room <- struct{}{}:
				default:
				}
			}
		})
	}
	putters.Wait()
	for took.Load() < puts.Load() && len(errs) == 0 && k.ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	enough()
	takers.Wait()
	close(errs)
	if err := cmp.Or(<-errs, k.ctx.Err()); err != nil {
		return nil, 0, err
	}
	slices.Sort(waits)
	return waits, gone.Load(), nil
}
