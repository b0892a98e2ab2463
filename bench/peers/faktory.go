package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	faktory "github.com/contribsys/faktory/client"
)

func faktorySetting(program string) *setting {
	return &setting{about: about{Name: "Faktory", Peer: "Faktory",
		Client:  "its own package client",
		Version: moduleVersion("github.com/contribsys/faktory") + " with " + said("redis-server", "--version"),
		Set:     "defaults; a take is of one task, whatever the batch",
		Stored:  "what is in its last snapshot: 30 s to 2 minutes old",
		Kept:    "pushed to another queue, then the ack: two steps"}, depth: 1000, dial: dialFaktory, slowStart: time.Second,
		start: func(_ *env, dir string) (*server, error) {
			r := &server{addr: freeAddr()}
			return r, r.run(dir, nil, program, "-b", r.addr, "-w", freeAddr(), "-d", filepath.Join(dir, "db"),
				"-c", filepath.Join(dir, "conf"), "-l", "error")
		}}
}

type faktoryQueue struct {
	*faktory.Client
	queue string
	alive time.Time // when the server last heard that this worker lives
}

func dialFaktory(_ context.Context, s *server, queue string, _ bool) (conn, error) {
	srv := &faktory.Server{Network: "tcp", Address: s.addr, Timeout: 10 * time.Second}
	c, err := srv.Open()
	if err != nil {
		return nil, err
	}
	return &faktoryQueue{Client: c, queue: queue}, nil
}

func (f *faktoryQueue) Close() { f.Client.Close() }

func (f *faktoryQueue) Put(_ context.Context, bodies [][]byte) error {
	return f.push(f.queue, len(bodies), func(i int) string { return string(bodies[i]) })
}

func (f *faktoryQueue) push(queue string, n int, body func(int) string) error {
	jobs := make([]*faktory.Job, n)
	for i := range jobs {
		jobs[i] = faktory.NewJob("t", body(i))
		jobs[i].Queue = queue
	}
	if n == 1 {
		return f.Push(jobs[0])
	}
	refused, err := f.PushBulk(jobs)
	if err == nil && len(refused) > 0 {
		err = fmt.Errorf("%d jobs were refused", len(refused))
	}
	return err
}

func (f *faktoryQueue) Turn(_ context.Context, max int, result bool) (int, error) {
	if time.Since(f.alive) > 10*time.Second {
		if _, err := f.Beat(); err != nil {
			return 0, err
		}
		f.alive = time.Now()
	}
	for n := range max {
		job, err := f.Fetch(f.queue)
		if err != nil {
			return n, err
		}
		if job == nil { // after two seconds
			return n, nil
		}
		if result {
			if err := f.push(results, 1, func(int) string { return answer }); err != nil {
				return n, err
			}
		}
		if err := f.Ack(job.Jid); err != nil {
			return n, err
		}
	}
	return max, nil
}

func init() {
	faktory.RandomProcessWid = strconv.FormatInt(time.Now().UnixNano(), 36) // a client without one may not fetch
}
