package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// sameSignal is how long after the first signal another one is the same: a shell and a wrapper such
// as timeout may both send it.
const sameSignal = 250 * time.Millisecond

// interruptible returns a context that the first Ctrl-C ends, or SIGTERM, or the end of the
// terminal, with cause errInterrupted; a.hangup, if it is set, is what the end of the terminal
// (SIGHUP) does instead. The second ends the program, after a.leave. Until stop, which the caller
// must call, a reader of standard output or error that goes away ends no more than the write, which
// fails.
func (a *app) interruptible(name, drains string) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup has it ignored
		ends = append(ends, syscall.SIGHUP)
	}
	signal.Notify(signals, ends...)
	pipes := make(chan os.Signal, 1) // nobody reads it: that SIGPIPE is asked for is what keeps it from ending the program
	signal.Notify(pipes, syscall.SIGPIPE)
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for ended := false; !ended; {
			select {
			case s := <-signals:
				if ended = s != syscall.SIGHUP || a.hangup == nil; !ended {
					a.hangup()
				}
			case <-over:
				return
			}
		}
		a.console.Note(slog.LevelInfo, fmt.Sprintf("%s: %s; Ctrl-C again leaves at once", name, drains), "stopping")
		cancel(errInterrupted)
		for first := time.Now(); ; {
			select {
			case s := <-signals:
				if s == syscall.SIGHUP && a.hangup != nil {
					continue
				}
				if time.Since(first) > sameSignal {
					if a.leave != nil {
						a.leave()
					}
					os.Exit(exitLeft)
				}
			case <-over:
				return
			}
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(pipes)
		close(over)
		wg.Wait()
		cancel(nil)
	}
}
