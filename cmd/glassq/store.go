package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/stores"
)

// openStore opens a store, and waits a moment for a folder that another process has.
func openStore(ctx context.Context, where string, opt stores.Options) (*stores.Store, error) {
	opt.Patience = releaseTime
	s, err := stores.Open(ctx, where, opt)
	if err != nil && !stores.Remote(where) { // what went wrong there names the store by itself
		err = fmt.Errorf("%s: %w", where, err)
	}
	return s, err
}

// failedGrace is how long a program whose store failed goes on, so that those who wait can hear of
// it.
const failedGrace = 700 * time.Millisecond

// watch ends the work of program with ErrStorage when the store fails, and the program itself soon
// after, saying what to do next, though a client, a request under way or the disk keeps it. The
// caller must call over.
func (a *app) watch(s *stores.Store, program, next string, fail context.CancelCauseFunc) (over func()) {
	return s.Watch(func() {
		time.AfterFunc(failedGrace, func() {
			err := s.Failure(next)
			a.console.Note(slog.LevelError, fmt.Sprintf("%s: %v", program, err), "the storage failed", "err", err)
			os.Exit(exitStorage)
		})
		fail(glassq.ErrStorage)
	})
}
