package store

import (
	"context"
	"log/slog"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/stores"
)

// Memory is a dir that keeps everything in memory and nothing on a disk.
const Memory = stores.Memory

// A Sync says when an answer may leave; "" is SyncAlways.
type Sync string

const (
	SyncAlways   Sync = disk.SyncAlways   // after what it rests on is on stable storage
	SyncInterval Sync = disk.SyncInterval // after it was written; stable within Options.Interval
	SyncNever    Sync = disk.SyncNever    // after it was written; stable when the system likes
)

// Options tunes Open. The zero value is ready for production.
type Options struct {
	Sync     Sync          // when an answer may leave; "" means SyncAlways
	Interval time.Duration // longest time unsynced with SyncInterval; 0 means 100 ms
	MaxBody  int           // most bytes of one body; 0 means glassq.DefaultMaxBody
	Logger   *slog.Logger  // nil discards
}

// A Store is an open queue: the verbs and the operator's calls of glassq.Store, calls that wait for
// what others do, and a copy while it is used. Names, sizes and schemas are checked as the server
// checks them. It is safe for concurrent use.
type Store interface {
	glassq.Store
	glassq.Waits
	glassq.Copier

	// Limits are the limits in force.
	Limits() glassq.Limits

	// Failed is closed when a write to the disk or a sync failed. Every call is refused from then
	// on; what was answered before is there. The program should Close the store and end, or open it
	// again when the disk is mended.
	Failed() <-chan struct{}
}

// Open opens or creates the store in dir, which it locks against other processes, and replays its
// log. The caller must Close the store, which makes everything durable.
//
// Errors: code damaged with the file, the offset and what to do; storage_failed for what the disk
// refuses; unavailable when another process has the directory; bad_request for a bad option.
func Open(ctx context.Context, dir string, opt Options) (Store, error) {
	if stores.Remote(dir) {
		return nil, glassq.Errorf(glassq.CodeBadRequest,
			"%s is a store of several machines: run glassq serve --store, and let the program be its client", stores.Show(dir))
	}
	s, err := stores.Open(ctx, dir, stores.Options{
		Sync: string(opt.Sync), Interval: opt.Interval, MaxBody: opt.MaxBody, Logger: opt.Logger,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}
