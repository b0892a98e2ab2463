// Package store opens the embedded queue inside a program: the same engine, durability and rules as the
// server's, without a server.
//
// What it returns has the verbs of a client and of a server at once: put, reserve, ack, and package
// worker runs handlers on it.
package store

import (
	"context"
	"log/slog"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/schema"
)

// Memory is a dir that keeps everything in memory and nothing on a disk.
const Memory = "mem:"

// Options tunes Open. The zero value is ready for production.
type Options struct {
	Sync     string        // when an answer may leave: "always" (the default), "interval" or "never"
	Interval time.Duration // longest time unsynced with "interval"; 0 means 100 ms
	MaxBody  int           // most bytes of one body; 0 means glassq.DefaultMaxBody
	Logger   *slog.Logger  // nil discards
}

// A Store is an open queue: the verbs and the operator's calls of glassq.Store, calls that wait for what others
// do, and a copy while it is used. Names, sizes and schemas are checked as the server checks them.
// It is safe for concurrent use.
type Store interface {
	glassq.Store
	glassq.Waits
	glassq.Copier

	// Limits are the limits in force.
	Limits() glassq.Limits
}

// Open opens or creates the store in dir, which it locks against other processes, and replays its log.
// The caller must Close the store, which makes everything durable.
//
// Errors: code damaged with the file, the offset and what to do; storage_failed for what the disk
// refuses; unavailable when another process has the directory; bad_request for a bad option.
func Open(ctx context.Context, dir string, opt Options) (Store, error) {
	e, err := disk.Open(dir, disk.Options{Sync: opt.Sync, Interval: opt.Interval, Logger: opt.Logger})
	if err != nil {
		return nil, err
	}
	b := broker.New(e, glassq.Limits{MaxBody: opt.MaxBody})
	if err := b.UseSchemas(ctx, schema.Compile); err != nil {
		e.Close()
		return nil, err
	}
	return b, nil
}
