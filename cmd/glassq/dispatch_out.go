package main

import (
	"context"
	"sync/atomic"

	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/output"
	"github.com/spf13/cobra"
)

// A taker is the output of dispatch --out: it takes the results of a run into a file while the
// tasks are still being put, so that they need no room in the server.
type taker struct {
	a      *app
	path   string
	strict bool
	file   *resultFile
	q      *client.Client // waits for a server that is away, however long
	opt    output.Options
	meter  atomic.Pointer[term.Meter] // shows what is taken; nil while another part has it
	cancel context.CancelFunc

	done chan struct{} // closed when it has ended; nil before begin
	rep  output.Report // read after done
	err  error
}

// openTaker opens the file and reads what it has, before anything is put. The caller must close it.
func (a *app) openTaker(cmd *cobra.Command, f *dispatchFlags) (*taker, error) {
	format := fileFormat(f.out)
	file, err := openResults(f.out, output.LoadOptions{Run: f.opt.Run, Format: format})
	if err != nil {
		return nil, err
	}
	q, err := a.dial(cmd, &f.remote, -1)
	if err != nil {
		file.f.Close()
		return nil, err
	}
	t := &taker{a: a, path: f.out, strict: f.strict, file: file, q: q}
	t.opt = output.Options{W: file, Sync: file.syncer(), Format: format, Seen: file.seen, Batch: outputBatch,
		Notify: func(s string) { a.console.Say("%s: %s", f.name, s) },
		Progress: func(s output.Summary) {
			if m := t.meter.Load(); m != nil {
				m.Summary(s)
			}
		},
	}
	introduce(&t.opt, q, f.out)
	return t, nil
}

// begin starts to take the results of run. When that fails, fail is told. It is called once.
func (t *taker) begin(ctx context.Context, run string, fail func(error)) {
	ctx, t.cancel = context.WithCancel(ctx)
	t.opt.Run = run
	t.done = make(chan struct{})
	go func() { // stop waits for it
		defer close(t.done)
		t.rep, t.err = output.Run(ctx, t.q, t.opt)
		if t.err = notWritten(t.err, t.path, &t.rep); t.err != nil {
			fail(t.err)
		}
	}()
}

// stop ends the taking; what was taken is written.
func (t *taker) stop() {
	if t.done != nil {
		t.cancel()
		<-t.done
	}
}

// close stops and lets go of the file.
func (t *taker) close() {
	t.stop()
	t.q.Close()
	t.file.f.Close() // what counts was synced
}

// end waits for the last result, says what there was, and returns how the run ended.
func (t *taker) end() error {
	<-t.done
	t.meter.Load().Close()
	t.a.sayResults(&t.rep, nil)
	return t.a.finish(&summaryFlags{strict: t.strict}, &t.rep, t.err)
}
