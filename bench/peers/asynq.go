package main

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
)

// asynqSetting is asynq on a Redis of its own. Each task is several keys there, and Lua moves it.
func asynqSetting() *setting {
	return &setting{about: about{Name: "asynq, Redis everysec", Peer: "asynq",
		Client:  "asynq " + moduleVersion("github.com/hibiken/asynq"),
		Version: said("redis-server", "--version"),
		Set: "appendonly yes, appendfsync everysec; Concurrency connections × batch, at most 200; it has no puts of many; " +
			"a task counts when its handler returns",
		Stored: "what is older than a second, two at most",
		Kept:   "ResultWriter, before the ack, with Retention: two steps"},
		depth: 100, start: redisServer("everysec"), dial: dialAsynq, drain: drainAsynq}
}

type asynqQueue struct {
	client  *asynq.Client
	options []asynq.Option
}

func dialAsynq(_ context.Context, s *server, queue string, keep bool) (conn, error) {
	q := &asynqQueue{client: asynq.NewClient(asynq.RedisClientOpt{Addr: s.addr, PoolSize: 1}),
		options: []asynq.Option{asynq.Queue(queue)}}
	if keep {
		q.options = append(q.options, asynq.Retention(time.Hour))
	}
	err := q.client.Ping()
	if err != nil {
		q.Close()
	}
	return q, err
}

func (q *asynqQueue) Put(ctx context.Context, bodies [][]byte) error {
	for _, b := range bodies {
		if _, err := q.client.EnqueueContext(ctx, asynq.NewTask("t", b), q.options...); err != nil {
			return err
		}
	}
	return nil
}

// Turn is never called: drain takes its place.
func (q *asynqQueue) Turn(context.Context, int, bool) (int, error) {
	panic("peers: asynq hands tasks to a handler")
}

func (q *asynqQueue) Close() { q.client.Close() }

// quiet drops what asynq would print.
type quiet struct{}

func (quiet) Debug(...any) {}
func (quiet) Info(...any)  {}
func (quiet) Warn(...any)  {}
func (quiet) Error(...any) {}
func (quiet) Fatal(...any) {}

func drainAsynq(ctx context.Context, s *server, queue string, conns, batch int, result bool, did func(int)) error {
	workers := min(200, conns*batch) // more cost it more than they bring
	srv := asynq.NewServer(asynq.RedisClientOpt{Addr: s.addr, PoolSize: workers + 10}, asynq.Config{
		Concurrency: workers, Queues: map[string]int{queue: 1}, Logger: quiet{}, TaskCheckInterval: 10 * time.Millisecond,
		ShutdownTimeout: 2 * time.Second})
	err := srv.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		if result {
			if _, err := t.ResultWriter().Write([]byte(answer)); err != nil {
				return err
			}
		}
		did(1)
		return nil
	}))
	if err != nil {
		return err
	}
	<-ctx.Done()
	srv.Shutdown()
	return nil
}
