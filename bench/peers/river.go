package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

func riverSetting(bin string) *setting {
	s := postgresSetting(bin)
	s.Name, s.Peer, s.Client = "PostgreSQL, River", "River", "river "+moduleVersion("github.com/riverqueue/river")
	s.Set = "defaults of initdb, 200 connections; FetchCooldown 1 ms, FetchPollInterval 100 ms, MaxWorkers connections × batch; " +
		"a task counts when its handler returns"
	s.Kept = "RecordOutput, with the row of the job"
	s.dial, s.drain = dialRiver, drainRiver
	s.prepare = func(ctx context.Context, s *server) error {
		p, err := pool(ctx, s)
		if err != nil {
			return err
		}
		m, err := rivermigrate.New(riverpgxv5.New(p), &rivermigrate.Config{Logger: silent})
		if err != nil {
			return err
		}
		_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	}
	return s
}

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// riverArgs is the task, as River has it: JSON.
type riverArgs struct {
	URL string `json:"url"`
}

func (riverArgs) Kind() string { return "task" }

type riverQueue struct {
	client *river.Client[pgx.Tx]
	queue  *river.InsertOpts
}

func dialRiver(ctx context.Context, s *server, queue string, _ bool) (conn, error) {
	p, err := pool(ctx, s)
	if err != nil {
		return nil, err
	}
	c, err := river.NewClient(riverpgxv5.New(p), &river.Config{Logger: silent})
	return &riverQueue{c, &river.InsertOpts{Queue: queue}}, err
}

func (r *riverQueue) Put(ctx context.Context, bodies [][]byte) error {
	if len(bodies) == 1 {
		_, err := r.client.Insert(ctx, riverArgs{string(bodies[0])}, r.queue)
		return err
	}
	all := make([]river.InsertManyParams, len(bodies))
	for i, b := range bodies {
		all[i] = river.InsertManyParams{Args: riverArgs{string(b)}, InsertOpts: r.queue}
	}
	_, err := r.client.InsertManyFast(ctx, all)
	return err
}

// Turn is never called: drain takes its place.
func (r *riverQueue) Turn(context.Context, int, bool) (int, error) {
	panic("peers: River hands tasks to a handler")
}

func (r *riverQueue) Close() {}

type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	result bool
	did    func(int)
}

func (w *riverWorker) Work(ctx context.Context, _ *river.Job[riverArgs]) error {
	if w.result {
		if err := river.RecordOutput(ctx, answer); err != nil {
			return err
		}
	}
	w.did(1)
	return nil
}

func drainRiver(ctx context.Context, s *server, queue string, conns, batch int, result bool, did func(int)) error {
	alive := context.WithoutCancel(ctx)
	p, err := pool(alive, s)
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{result: result, did: did})
	c, err := river.NewClient(riverpgxv5.New(p), &river.Config{Logger: silent, Workers: workers,
		FetchCooldown: time.Millisecond, FetchPollInterval: moment,
		Queues: map[string]river.QueueConfig{queue: {MaxWorkers: conns * batch}}})
	if err != nil {
		return err
	}
	if err := c.Start(alive); err != nil {
		return err
	}
	<-ctx.Done()
	return c.Stop(alive)
}
