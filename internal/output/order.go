package output

import (
	"bytes"
	"context"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

const (
	maxHeldBytes   = 32 << 20 // of results that wait for an earlier one
	maxHeldResults = 50_000
	stallEvery     = 500 * time.Millisecond // how often it is asked why an earlier one does not come
)

// An order is the step between taking and writing that hands results on in the order of their
// positions. Those that came before an earlier one wait here, leased, so that a crash loses none;
// the window that they may fill is bounded, and beyond it order yields: the earlier one is written
// where it comes. It is for one goroutine.
type order struct {
	o    *output
	next uint64          // no position below it is waited for
	past *roaring.Bitmap // positions that are written, handed on, or will never have a result

	most  int                       // results in held
	held  map[uint32][]glassq.Lease // by position; those after the first came again, and have no body
	queue *roaring.Bitmap           // positions in held
	bytes int                       // of bodies in held

	late uint64 // handed on after a later one
	said bool   // that the window is full
	last uint64 // next when it was last asked what is missing
}

func newOrder(o *output) *order {
	most := o.opt.window
	if most == 0 {
		most = maxHeldResults
	}
	return &order{o: o, most: most, past: o.seen.of(o.opt.Run).Clone(), held: map[uint32][]glassq.Lease{},
		queue: roaring.New()}
}

// run passes results from in to out, in order, until in is closed; what still waits then goes back.
func (d *order) run(ctx context.Context, in <-chan []glassq.Lease, out chan<- []glassq.Lease) {
	extend := time.NewTicker(d.o.opt.Lease / 3)
	defer extend.Stop()
	stall := time.NewTicker(stallEvery)
	defer stall.Stop()
	for {
		select {
		case leases, ok := <-in:
			if !ok {
				d.giveBack(ctx)
				return
			}
			if now := d.add(leases); len(now) > 0 {
				out <- now
			}
		case <-extend.C:
			d.extend(ctx)
			continue
		case <-stall.C:
			if len(d.held) == 0 || d.next != d.last {
				d.last = d.next
				continue
			}
			d.resolve(ctx)
		}
		d.emit(out)
	}
}

// add takes leases in and returns those that have no place to wait for.
func (d *order) add(leases []glassq.Lease) (now []glassq.Lease) {
	for i := range leases {
		l := &leases[i]
		n, ok := position(l)
		if !ok || l.Run != d.o.opt.Run || d.past.Contains(n) {
			now = append(now, *l) // a duplicate is for the writer to count
			continue
		}
		l.Extra = nil
		if all, again := d.held[n]; again {
			l.Body = nil // the writer counts it, and acks it with the first
			d.held[n] = append(all, *l)
			continue
		}
		l.Body = bytes.Clone(l.Body) // else it would hold on to all that came with it
		d.held[n] = []glassq.Lease{*l}
		d.bytes += len(l.Body)
		d.queue.Add(n)
	}
	return now
}

// emit hands on what is next, and more when the window is full.
func (d *order) emit(out chan<- []glassq.Lease) {
	var batch []glassq.Lease
	yield := false // until there is some room again
	for !d.queue.IsEmpty() {
		n := d.queue.Minimum()
		all := d.held[n]
		if d.bytes > maxHeldBytes || len(d.held) > d.most {
			yield = true
		} else if d.bytes < maxHeldBytes*3/4 && len(d.held) < d.most*3/4 {
			yield = false
		}
		if !d.isNext(n) {
			if !yield {
				break
			}
			if !d.said {
				d.said = true
				d.o.say("the result of %s is not here yet, and %d later ones fill the window of --keep-order: going on without it; it is written where it comes",
					glassq.DenseID(d.o.opt.Run, uint32(d.next)), len(d.held))
			}
		}
		d.queue.Remove(n)
		delete(d.held, n)
		d.bytes -= len(all[0].Body)
		d.past.Add(n)
		if uint64(n) < d.next {
			d.late++
		}
		d.next = max(d.next, uint64(n)+1)
		if batch = append(batch, all...); len(batch) >= d.o.opt.Batch {
			out <- batch
			batch = nil
		}
	}
	if len(batch) > 0 {
		out <- batch
	}
}

// isNext reports whether no position before n is waited for.
func (d *order) isNext(n uint32) bool {
	if uint64(n) <= d.next {
		return true
	}
	passed := d.past.Rank(n - 1)
	if d.next > 0 {
		passed -= d.past.Rank(uint32(d.next - 1))
	}
	return passed == uint64(n)-d.next
}

// resolve finds positions from next on that will never have a result: those that are dead, those
// that were never put, and, once the run is complete and only what waits here is left, all others.
// A question that fails now is asked again.
func (d *order) resolve(ctx context.Context) {
	name := d.o.opt.Run
	rec, err := d.o.q.Run(ctx, name)
	if err != nil {
		return
	}
	waiting := uint64(0)
	for _, leases := range d.held {
		waiting += uint64(len(leases))
	}
	if rec.Complete && rec.Waiting <= waiting {
		last := uint32(0)
		for n := range d.held {
			last = max(last, n)
		}
		d.past.AddRange(d.next, uint64(last))
		for n := range d.held {
			d.past.Remove(n)
		}
		return
	}
	from := uint32(d.next)
	dead, err := d.o.q.RunIDs(ctx, name, glassq.IDsDead, from, intervalPage)
	if err != nil {
		return
	}
	for _, iv := range dead {
		d.past.AddRange(uint64(iv.First), uint64(iv.Last)+1)
	}
	if !rec.Sealed {
		return
	}
	put, err := d.o.q.RunIDs(ctx, name, glassq.IDsPut, from, intervalPage)
	if err != nil {
		return
	}
	for _, iv := range put {
		if iv.First > from {
			d.past.AddRange(uint64(from), uint64(iv.First))
		}
		from = iv.Last + 1
	}
}

// extend makes the leases of what waits longer. One that is lost comes again: then its first
// result, which is written in its place, is acked in vain, and the next one is a duplicate.
func (d *order) extend(ctx context.Context) {
	all := make([]glassq.Extend, 0, glassq.MaxBatch)
	for _, leases := range d.held {
		for i := range leases {
			if all = append(all, glassq.Extend{Token: leases[i].Token(), Lease: d.o.opt.Lease}); len(all) == cap(all) {
				d.o.q.Extend(ctx, all) // see above
				all = all[:0]
			}
		}
	}
	if len(all) > 0 {
		d.o.q.Extend(ctx, all)
	}
}

// giveBack ends the order: what waits goes back to its queue, so that a file stays in order that is
// continued. A task that cannot go back now does when its lease ends.
func (d *order) giveBack(ctx context.Context) {
	if d.late > 0 {
		d.o.say("%s came too late to be in order", plain.Plural(d.late, "result", "results"))
	}
	var list []glassq.Token
	for _, leases := range d.held {
		list = append(list, tokens(leases)...)
	}
	d.o.giveBack(ctx, list)
}
