package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interruptible returns a context that the first Ctrl-C (or SIGTERM) ends, with cause errInterrupted;
// the second ends the program. The caller must call stop.
func (a *app) interruptible(name, drains string) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-signals:
		case <-over:
			return
		}
		a.console.say("%s: %s; Ctrl-C again leaves at once", name, drains)
		cancel(errInterrupted)
		select {
		case <-signals:
			os.Exit(exitLeft)
		case <-over:
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		wg.Wait()
		cancel(nil)
	}
}
