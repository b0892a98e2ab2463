package main

import (
	"context"
	"time"
)

// A setting is a server as it is set up, and how it is spoken to. The rows of the report are settings.
type setting struct {
	about

	depth     int           // how many tasks a pipelined put has under way
	stride    int           // a put of this many is one at a time anyhow, since its client does so; 0 is 1
	slowStart time.Duration // what a start takes beyond a moment
	atMost    int           // connections, where each is a program of its own; works with more are left out. 0 is any

	// start runs the server in dir, and again after a kill.
	start func(e *env, dir string) (*server, error)
	// prepare makes queues, streams or tables of a server that has none. nil: they are made by use.
	prepare func(ctx context.Context, s *server) error
	// dial makes one connection. keep says that the results of its tasks are to be stored.
	dial func(ctx context.Context, s *server, queue string, keep bool) (conn, error)
	// drain replaces turns of connections where the client library hands tasks to a handler. It tells how many
	// were done, from several goroutines, and returns soon after ctx is done.
	drain func(ctx context.Context, s *server, queue string, conns, batch int, result bool, did func(int)) error
}

// about is what the report says of a setting.
type about struct {
	Name    string // of the row
	Peer    string // what it is a setting of
	Version string // as the program says itself
	Client  string // what speaks to it
	Set     string // what is set other than by default
	Stored  string // what is on stable storage when a put is answered
	Synced  bool   // the task is on stable storage then
	Kept    string // how a result is stored, beside the ack
}

// A conn is one connection. One goroutine uses it.
type conn interface {
	// Put puts bodies into the queue and returns when all are answered.
	Put(ctx context.Context, bodies [][]byte) error
	// Turn takes up to max tasks and ends each, with a result that is stored where that is wanted. It waits a moment for
	// the first one; 0 means that there was none.
	Turn(ctx context.Context, max int, result bool) (int, error)
	Close()
}

// The queues of a server: one for puts and takes, one for the way from put to done, one for latency, one for results.
const (
	queue, through, paced, results = "q", "d", "l", "results"

	moment = 100 * time.Millisecond // that a turn waits for its first task
)

var queues = []string{queue, through, paced, results}

// Bodies are alike: 32 bytes, as large as a short URL.
const (
	body   = "http://localhost:8888/?q=1234567"
	answer = `{"o":{"ok":1,"rt":0.012345678}}.` // also 32
)

var many = func() [][]byte {
	b := make([][]byte, 1<<14)
	for i := range b {
		b[i] = []byte(body)
	}
	return b
}()
