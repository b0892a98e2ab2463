package state

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/glassq/glassq"
)

// A deadSet is which tasks of a queue are dead: none that left is in it, so that the next one is found
// at once, however many were redriven before it. The zero value is empty.
type deadSet struct{ set *roaring64.Bitmap }

func (d *deadSet) add(n uint64) {
	if d.set == nil {
		d.set = roaring64.New()
	}
	d.set.Add(n)
}

func (d *deadSet) remove(n uint64) {
	if d.set.Remove(n); d.set.IsEmpty() {
		d.set = nil
	}
}

// first is the lowest number, of at least one.
func (d *deadSet) first() uint64 { return d.set.Minimum() }

// all are all numbers, in ascending order.
func (d *deadSet) all() []uint64 {
	if d.set == nil {
		return nil
	}
	return d.set.ToArray()
}

// from are the numbers >= n in ascending order; the set must not change meanwhile.
func (d *deadSet) from(n uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		if d.set == nil {
			return
		}
		it := d.set.Iterator()
		for it.AdvanceIfNeeded(n); it.HasNext() && yield(it.Next()); {
		}
	}
}

// A DeadPick goes through those dead tasks of a queue that a filter means, some at a time: each
// piece is one record, which names the tasks that it touches. It belongs to the owner of the State.
type DeadPick struct {
	purge   bool
	queue   string
	filter  glassq.DeadFilter
	numbers []uint64               // of the tasks that are named so, in ascending order
	dense   map[denseName]struct{} // of those that are named by run and position
	cursor  uint64                 // where the next piece begins
	done    int                    // picked so far
}

type denseName struct {
	run string
	n   uint32
}

const (
	deadLooked = 8192 // dead tasks that one piece looks at, at most
	deadPicked = 500  // and that it touches: the owner is busy with that for a few 100 µs
)

// PickDead begins to redrive, or to purge, the dead tasks of queue that f means. An id that does not
// say where its task is has code not_found.
func (s *State) PickDead(queue string, f glassq.DeadFilter, purge bool) (*DeadPick, error) {
	q := s.Queue(queue)
	if q == nil {
		return nil, NoQueue(queue)
	}
	p := &DeadPick{purge: purge, queue: queue, filter: f, dense: map[denseName]struct{}{}}
	for _, id := range f.Tasks {
		if digits, ok := strings.CutPrefix(id, "~"); ok {
			if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
				p.numbers = append(p.numbers, n)
				continue
			}
		}
		if n, ok := q.ids.number(hashID([]byte(id))); ok {
			p.numbers = append(p.numbers, n)
		} else if run, n, ok := glassq.ParseDenseID(id); ok {
			p.dense[denseName{run, n}] = struct{}{}
		} else {
			return nil, glassq.Errorf(glassq.CodeNotFound,
				"queue %s does not find a task by the id %.80q any more; glassq queue peek %s --state dead --json tells its number, and ~NUMBER names it",
				queue, id, queue)
		}
	}
	slices.Sort(p.numbers)
	p.numbers = slices.Compact(p.numbers)
	return p, nil
}

// means tells whether the filter means task n, which is dead.
func (p *DeadPick) means(s *State, n uint64, e *entry) bool {
	f := &p.filter
	run := ""
	if r := s.class[e.class].run; r != nil {
		run = r.name
	}
	if len(f.Tasks) > 0 {
		_, named := slices.BinarySearch(p.numbers, n)
		if !named && e.has(flagDense) {
			_, named = p.dense[denseName{run, e.n}]
		}
		if !named {
			return false
		}
	}
	return (f.Run == "" || f.Run == run) &&
		(f.Why == "" || (f.Why == glassq.DeadNacked) == e.has(flagDeadNacked)) &&
		(f.Reason == "" || strings.Contains(s.Reason(n), f.Reason))
}

// Next is the record of the next piece, nil for one in which there is nothing, how many tasks it
// touches, and whether it is the last.
func (p *DeadPick) Next(s *State) (rec []byte, n int, last bool, err error) {
	q := s.Queue(p.queue)
	if q == nil { // dropped meanwhile
		return nil, 0, true, NoQueue(p.queue)
	}
	most := deadPicked
	if p.filter.Max > 0 {
		most = min(most, p.filter.Max-p.done)
	}
	var found []uint64
	look := func(k uint64) bool {
		if len(found) == most {
			return false
		}
		p.cursor = k + 1
		e := s.tasks.look(k)
		if e != nil && e.state() == glassq.Dead && s.class[e.class].queue == q && p.means(s, k, e) {
			found = append(found, k)
		}
		return true
	}
	last = true
	if len(p.numbers) > 0 && len(p.dense) == 0 { // no need to look at others
		i, _ := slices.BinarySearch(p.numbers, p.cursor)
		for _, k := range p.numbers[i:] {
			if last = look(k); !last {
				break
			}
		}
	} else {
		looked := 0
		for k := range q.dead.from(p.cursor) {
			if looked++; looked > deadLooked || !look(k) {
				last = false
				break
			}
		}
	}
	n = len(found)
	if p.done += n; p.filter.Max > 0 && p.done >= p.filter.Max {
		last = true
	}
	if n == 0 {
		return nil, 0, last, nil
	}
	return appendSome(nil, p.purge, p.queue, found), n, last, nil
}

// appendSome appends that dead tasks of a queue, in ascending order, are redriven or purged.
func appendSome(dst []byte, purge bool, queue string, tasks []uint64) []byte {
	kind := byte(0)
	if purge {
		kind = 1
	}
	dst = appendString(append(dst, byte(opRedriveSome), kind), queue)
	var spans []span
	for _, n := range tasks {
		if k := len(spans) - 1; k >= 0 && spans[k].end == n {
			spans[k].end++
		} else {
			spans = append(spans, span{n, n + 1})
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(spans)))
	at := uint64(0)
	for _, x := range spans {
		dst = binary.AppendUvarint(dst, x.first-at)
		dst = binary.AppendUvarint(dst, x.end-x.first)
		at = x.end
	}
	return dst
}

// someOf reads the rest of such a record, and calls fn for each task until that returns false.
func someOf(r *reader, fn func(queue string, purge bool, n uint64) bool) {
	kind, queue := r.most(1), r.str()
	at := uint64(0)
	for k := r.uvarint(); k > 0 && !r.bad && !r.newer; k-- {
		first := at + r.uvarint()
		end := first + r.uvarint()
		if r.bad = r.bad || end <= first || first < at || end > maxTask; r.bad {
			return
		}
		for n := first; n < end && fn != nil; n++ {
			if !fn(queue, kind == 1, n) {
				return
			}
		}
		at = end
	}
}

func (s *State) applySome(r *reader) (err error) {
	var q *Queue
	someOf(r, func(queue string, purge bool, n uint64) bool {
		q = s.queues[queue]
		e := s.tasks.get(n)
		if q == nil || e == nil || e.state() != glassq.Dead || s.class[e.class].queue != q {
			err = recordErr(fmt.Sprintf("redrive or purge of task %d of queue %s, which is not dead there", n, queue))
			return false
		}
		if purge {
			s.drop(n, e, false) // booked when it died
		} else {
			s.revive(q, n, e)
		}
		return true
	})
	return err
}

// revive makes a dead task ready again, its attempts counted anew.
func (s *State) revive(q *Queue, n uint64, e *entry) {
	unbook := func(d *glassq.DeadCounts) {
		if e.has(flagDeadNacked) {
			d.Nacked--
		} else {
			d.Attempts--
		}
	}
	unbook(&q.books.Dead)
	c := &s.class[e.class]
	if run := s.booked(e); run != nil {
		unbook(&run.books.Dead)
		s.reopened(run)
		if e.has(flagDense) {
			run.dead.Remove(e.n)
		}
	} else if c.run != nil {
		c.run.results++
	}
	e.w0 &^= flagDeadNacked
	e.setAttempts(0)
	s.tasks.setReason(n, "")
	q.dead.remove(n)
	q.count[glassq.Dead]--
	q.count[glassq.Leased]++
	e.setState(glassq.Leased) // as if its last try were given back
	s.goes(e, s.tasks.mark(n), 1)
	if c.key != nil {
		c.key.leased++ // its place comes with that of the task
	}
	s.back(n, e, 0)
}
