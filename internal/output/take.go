package output

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

// errDrained ends the reserves: nothing more will come.
var errDrained = errors.New("drained")

// takeResults moves results from the queue to the writer in three steps that overlap: reserve, by
// two callers; write and flush; sync and ack. With KeepOrder there is one more between the first
// two. A step ends when the one before it has, so what was taken is seen through.
func (o *output) takeResults(ctx context.Context) error {
	var (
		taken   = make(chan []glassq.Lease, 1)
		written = make(chan []glassq.Ack, 4)
		wg      sync.WaitGroup

		reserveErr, writeErr, ackErr error // of the goroutines; read after wg.Wait
	)
	reserving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// Acks outlive ctx, but not for ever.
	acking, stopAcking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAcking()
	done := make(chan struct{})

	wg.Go(func() {
		defer close(taken)
		if reserveErr = o.reserveAll(reserving, taken); reserveErr != nil {
			stop(reserveErr)
		}
	})
	ordered := taken
	if o.opt.KeepOrder {
		ordered = make(chan []glassq.Lease, 1)
		wg.Go(func() {
			defer close(ordered)
			newOrder(o).run(acking, taken, ordered)
		})
	}
	wg.Go(func() {
		defer close(written)
		var left []glassq.Token
		if left, writeErr = o.write(ordered, written); writeErr != nil {
			stop(writeErr)
			for leases := range ordered { // not written, not acked
				left = append(left, tokens(leases)...)
			}
			o.giveBack(ctx, left)
		}
	})
	wg.Go(func() {
		defer close(done)
		var left []glassq.Ack
		if left, ackErr = o.ack(acking, written); ackErr != nil {
			stop(ackErr)
			for acks := range written {
				left = append(left, acks...)
			}
			back := make([]glassq.Token, len(left))
			for i := range left {
				back[i] = left[i].Token
			}
			if acking.Err() == nil && !away(ackErr) {
				o.giveBack(ctx, back)
			}
		}
	})
	var watchErr error
	wg.Go(func() {
		if o.opt.Run == "" {
			return
		}
		_, watchErr = o.await(reserving, glassq.PhaseDrained)
		if watchErr == nil {
			watchErr = errDrained
		}
		stop(watchErr)
	})
	wg.Go(func() { o.tell(done) })
	wg.Go(func() { o.watch(reserving) })
	wg.Go(func() {
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		t := time.NewTimer(graceTime)
		defer t.Stop()
		select {
		case <-done:
		case <-t.C:
			stopAcking()
		}
	})
	wg.Wait()

	drained := errors.Is(context.Cause(reserving), errDrained)
	switch {
	case writeErr != nil:
		return writeErr
	case ackErr != nil:
		return ackErr
	case drained:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case reserveErr != nil:
		return reserveErr
	}
	return watchErr
}

// reserves is how many calls of reserve are under way at once: while the answer of one is read the
// server makes that of the other.
const reserves = 2

// reserveAll runs the callers of reserve until each has ended, and returns their first error.
func (o *output) reserveAll(ctx context.Context, taken chan<- []glassq.Lease) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	errs := make(chan error, reserves)
	for range reserves {
		wg.Go(func() {
			if err := o.reserve(ctx, o.queue, taken); err != nil {
				errs <- err
				stop(err)
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// reserve sends leases to taken until ctx is done. Those it has when ctx ends are sent too.
func (o *output) reserve(ctx context.Context, queue string, taken chan<- []glassq.Lease) error {
	r := glassq.Reserve{Queue: queue, Max: o.opt.Batch, Wait: longWait, Lease: o.opt.Lease}
	for {
		leases, err := o.q.Reserve(ctx, r)
		if len(leases) > 0 {
			r.Max = o.fitting(leases)
			taken <- leases
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("reserve from %s: %w", queue, err)
		}
	}
}

// batchBytes is how many bytes of results one reserve is to bring, judged by those that came last.
const batchBytes = 16 << 20

// fitting is how many results to reserve next, so that large ones do not fill the memory.
func (o *output) fitting(leases []glassq.Lease) int {
	size := 1
	for i := range leases {
		size += len(leases[i].Body)
	}
	return min(o.opt.Batch, max(1, batchBytes*len(leases)/size))
}

// write writes the lines of each batch and passes on its acks. With an error come the leases of the
// batch that it is about.
func (o *output) write(taken <-chan []glassq.Lease, written chan<- []glassq.Ack) ([]glassq.Token, error) {
	w := batchWriter{o: o}
	for leases := range taken {
		if err := w.write(leases); err != nil {
			return tokens(leases), err
		}
		acks := make([]glassq.Ack, len(leases))
		for i := range leases {
			acks[i].Token = leases[i].Token()
		}
		written <- acks
	}
	return nil, nil
}

func tokens(leases []glassq.Lease) []glassq.Token {
	list := make([]glassq.Token, len(leases))
	for i := range leases {
		list[i] = leases[i].Token()
	}
	return list
}

// giveBack returns results to their queue at once, uncounted, also when ctx is done: they were not
// written, and whoever comes next need not wait for leases to end. Tasks that cannot go back now do
// then.
func (o *output) giveBack(ctx context.Context, list []glassq.Token) {
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
	defer cancel()
	nacks := make([]glassq.Nack, 0, min(len(list), glassq.MaxBatch))
	for part := range slices.Chunk(list, glassq.MaxBatch) {
		nacks = nacks[:0]
		for _, t := range part {
			nacks = append(nacks, glassq.Nack{Token: t, Undone: true})
		}
		if _, err := o.q.Nack(ctx, nacks); err != nil {
			o.say("%s results that were not written come back when their leases end: %v", plain.Comma(len(list)), err)
			return
		}
	}
}

// A batchWriter writes batches and counts them. Its slices are used again for each.
type batchWriter struct {
	o       *output
	buf     []byte
	records []record        // of the results that are written
	objects []object        // room for their parts
	key     []byte          // room for Options.Only
	noted   []*glassq.Lease // those of them whose positions were noted
}

const flushSize = 4 << 20 // a large batch is written in parts of about this size

// write returns when all of the batch is written, or with an error when it is not to be acked; then
// none of its positions counts as seen.
func (w *batchWriter) write(leases []glassq.Lease) error {
	o := w.o
	if len(w.objects) < len(leases) {
		w.objects = make([]object, len(leases))
		w.records = make([]record, 0, len(leases))
	}
	if err := o.seen.repeats(leases); err != nil {
		return err
	}
	if err := o.head(leases); err != nil {
		return err
	}
	now, passed := time.Now(), uint64(0)
	w.buf, w.records, w.noted = w.buf[:0], w.records[:0], w.noted[:0]
	for i := range leases {
		l := &leases[i]
		if n, ok := position(l); ok {
			if !o.seen.add(l.Run, n) {
				o.duplicate.add(l)
				continue
			}
			w.noted = append(w.noted, l)
		}
		w.records = append(w.records, record{})
		r := &w.records[len(w.records)-1]
		r.read(l, &w.objects[i], now)
		var pass bool
		if pass, w.key = o.opt.Only.passes(r, w.key); !pass {
			continue
		}
		passed++
		if err := w.line(r); err != nil {
			return w.undo(err)
		}
		if len(w.buf) >= flushSize {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if cap(w.buf) > 2*flushSize {
		w.buf = nil
	}
	o.tally.mu.Lock()
	defer o.tally.mu.Unlock()
	o.tally.duplicates += uint64(len(leases) - len(w.records))
	o.passed += passed
	for i := range w.records {
		r := &w.records[i]
		o.tally.record(r)
		if !r.out.OK {
			o.failed.add(r)
		}
	}
	clear(w.records) // they hold on to bodies
	return nil
}

func (w *batchWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.o.opt.W.Write(w.buf)
	w.buf = w.buf[:0]
	if err == nil {
		return nil
	}
	return w.undo(&WriteError{err})
}

// undo takes back what was noted of a batch that is not acked.
func (w *batchWriter) undo(err error) error {
	for _, l := range w.noted {
		n, _ := position(l)
		w.o.seen.remove(l.Run, n)
	}
	return err
}

// line appends the line of one result.
func (w *batchWriter) line(r *record) (err error) {
	switch w.o.opt.Format {
	case NDJSON:
		w.buf = appendLine(w.buf, r.lease, r.body, r.obj)
	case Text:
		w.buf = appendText(w.buf, r.lease, &r.out)
	case CSV:
		w.buf = appendCSV(w.buf, r, w.o.columns)
	case Custom:
		if w.buf, err = w.o.opt.Template.append(w.buf, r); err != nil {
			err = glassq.Errorf(glassq.CodeBadRequest, "result %s: %w", r.lease.TaskID(), err)
		}
	}
	return err
}

// syncGap is the least time between the beginnings of two syncs. Lines are written before it, so
// nobody who reads them waits; what comes meanwhile shares the sync and the ack.
const syncGap = 5 * time.Millisecond

// ack syncs and acks what was written. Results that piled up meanwhile share a sync and a call.
// With an error come the acks that it is about.
func (o *output) ack(ctx context.Context, written <-chan []glassq.Ack) ([]glassq.Ack, error) {
	gap := time.NewTimer(0)
	defer gap.Stop()
	for acks := range written {
		for due, open := false, true; open && len(acks)+o.opt.Batch <= glassq.MaxBatch; {
			var next []glassq.Ack
			select {
			case next, open = <-written:
				acks = append(acks, next...)
				continue
			default:
			}
			if due {
				break
			}
			select {
			case next, open = <-written:
				acks = append(acks, next...)
			case <-gap.C:
				due = true
			}
		}
		gap.Reset(syncGap)
		if o.opt.Sync != nil {
			if err := o.opt.Sync(); err != nil {
				return acks, &WriteError{fmt.Errorf("sync: %w", err)}
			}
		}
		errs, err := o.q.Ack(ctx, acks)
		if err != nil {
			return acks, fmt.Errorf("ack %d results: %w", len(acks), err)
		}
		for i, err := range errs {
			// A lost lease: the result comes again, and is then a duplicate.
			if err != nil && !errors.Is(err, glassq.ErrLeaseLost) {
				return acks, fmt.Errorf("ack %s: %w", acks[i].Token, err)
			}
		}
	}
	return nil, nil
}

// away tells that the queue may answer the same call later.
func away(err error) bool {
	code := glassq.CodeOf(err)
	return code == glassq.CodeUnavailable || code == glassq.CodeUnknown
}
