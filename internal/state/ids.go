package state

import (
	"crypto/sha256"
	"sort"

	"github.com/glassq/glassq"
)

// A hash is 128 bits of SHA-256 of an id.
type hash [16]byte

func hashID(id []byte) hash {
	sum := sha256.Sum256(id)
	return hash(sum[:16])
}

// An idWindow remembers the ids of one queue that others chose. An id is remembered for
// glassq.DedupWindow from its put, and no longer than until its task ended without an ack. With
// held set it is remembered for as long as its task is there as well. Beside those whose tasks are
// there, the newest glassq.DedupCount are remembered.
//
// Task numbers and times grow, so the list is in the order of both: a task finds its id by a binary
// search.
type idWindow struct {
	seen   map[hash]struct{}
	all    *int // counts those of all queues; nil counts nothing
	blocks []*idBlock
	head   int // the list is what lies from head up to end, counted from the first block on
	next   int // those before it are past their window: only their tasks hold them
	end    int
	gone   int // in the list, and no longer remembered

	held func(task uint64) bool // tells whether a task is there; nil when tasks do not hold their ids
	live int                    // ids whose tasks are there; 0 when held is nil
}

const idBlockLen = 256

// An idBlock is a piece of the list. One that an Image holds is copied before it is changed.
type idBlock struct {
	shared bool
	ids    [idBlockLen]seenID
}

type seenID struct {
	id   hash
	task uint64
	at   int64 // ms of the put; idGone when it is no longer remembered
}

const idGone = -1

func (w *idWindow) at(i int) *seenID { return &w.blocks[i/idBlockLen].ids[i%idBlockLen] }

// has tells whether a put of id is a duplicate.
func (w *idWindow) has(id hash, now int64) bool {
	if w.seen == nil {
		return false
	}
	w.prune(now)
	_, ok := w.seen[id]
	return ok
}

// number is the task that id was put with, as far as the id is remembered. It looks through all that
// are, so it is for people.
func (w *idWindow) number(id hash) (task uint64, ok bool) {
	if _, ok := w.seen[id]; !ok {
		return 0, false
	}
	for i := w.end - 1; i >= w.head; i-- {
		if x := w.at(i); x.id == id && x.at != idGone {
			return x.task, true
		}
	}
	return 0, false
}

// add remembers an id that task was put with.
func (w *idWindow) add(id hash, task uint64, now int64) {
	w.prune(now) // before: an earlier put of the same id must not take this one with it
	w.push(seenID{id, task, now})
	if w.held != nil {
		w.live++
	}
	w.prune(now)
}

func (w *idWindow) push(x seenID) {
	if w.seen == nil {
		w.seen = map[hash]struct{}{}
	}
	before := len(w.seen)
	w.seen[x.id] = struct{}{}
	w.tell(before)
	if w.end == len(w.blocks)*idBlockLen {
		w.blocks = append(w.blocks, &idBlock{})
	}
	w.own(w.end)[w.end%idBlockLen] = x
	w.end++
}

// tell adds what is remembered more than before to that of all queues.
func (w *idWindow) tell(before int) {
	if w.all != nil {
		*w.all += len(w.seen) - before
	}
}

// own returns the block of i, to be changed.
func (w *idWindow) own(i int) *[idBlockLen]seenID {
	b := w.blocks[i/idBlockLen]
	if b.shared {
		b = &idBlock{ids: b.ids}
		w.blocks[i/idBlockLen] = b
	}
	return &b.ids
}

// ended notes that task is gone: by an ack, or in another way, which gives its id free.
func (w *idWindow) ended(task uint64, acked bool) {
	i := w.head + sort.Search(w.end-w.head, func(i int) bool { return w.at(w.head+i).task >= task })
	if i == w.end || w.at(i).task != task || w.at(i).at == idGone {
		return
	}
	if w.held != nil {
		w.live--
	}
	if !acked || i < w.next {
		w.forget(i)
		w.sweep()
	}
}

func (w *idWindow) forget(i int) {
	before := len(w.seen)
	delete(w.seen, w.at(i).id)
	w.tell(before)
	w.own(i)[i%idBlockLen].at = idGone
	w.gone++
}

// prune forgets what is past its window, and what is too much.
func (w *idWindow) prune(now int64) {
	moved := false
	for ; w.next < w.end; w.next++ {
		x := w.at(w.next)
		if x.at != idGone {
			if now-x.at < glassq.DedupWindow.Milliseconds() && len(w.seen)-w.live <= glassq.DedupCount {
				break
			}
			if w.held == nil || !w.held(x.task) {
				w.forget(w.next)
			}
		}
		moved = true
	}
	if moved {
		w.sweep()
	}
}

// sweep lets go of the list's front, and of what is no longer remembered when that is the most of
// it.
func (w *idWindow) sweep() {
	for w.head < w.next && w.at(w.head).at == idGone {
		w.head++
		w.gone--
	}
	if w.gone >= 1024 && w.gone > (w.end-w.head)/2 {
		old := *w
		w.blocks, w.head, w.next, w.end, w.gone = nil, 0, 0, 0, 0
		for i := old.head; i < old.end; i++ {
			if i == old.next {
				w.next = w.end
			}
			if x := old.at(i); x.at != idGone {
				w.push(*x)
			}
		}
		if old.next == old.end {
			w.next = w.end
		}
	}
	if w.head == w.end {
		*w = idWindow{held: w.held, all: w.all}
		return
	}
	if k := w.head / idBlockLen; k > 0 {
		w.blocks = append([]*idBlock(nil), w.blocks[k:]...)
		w.head, w.next, w.end = w.head-k*idBlockLen, w.next-k*idBlockLen, w.end-k*idBlockLen
	}
}

// hold says whether tasks hold their ids from now on: there tells which are there, or is nil.
func (w *idWindow) hold(there func(task uint64) bool) {
	w.held, w.live = there, 0
	for i := w.head; i < w.end; i++ {
		switch x := w.at(i); {
		case x.at == idGone:
		case there == nil && i < w.next:
			w.forget(i)
		case there != nil && there(x.task):
			w.live++
		}
	}
	w.sweep()
}

// An idImage is the list of an idWindow as it was.
type idImage struct {
	blocks          []*idBlock
	head, next, end int
}

// share returns the ids as they are now, for somebody else to read.
func (w *idWindow) share() idImage {
	for _, b := range w.blocks {
		b.shared = true
	}
	return idImage{append([]*idBlock(nil), w.blocks...), w.head, w.next, w.end}
}

// write writes how many ids there are, how many of them are past their window, and the ids.
func (im *idImage) write(e *encoder) {
	each := func(fn func(i int, x *seenID)) {
		for i := im.head; i < im.end; i++ {
			if x := &im.blocks[i/idBlockLen].ids[i%idBlockLen]; x.at != idGone {
				fn(i, x)
			}
		}
	}
	var all, past uint64
	each(func(i int, _ *seenID) {
		if all++; i < im.next {
			past++
		}
	})
	e.num(all, past)
	each(func(_ int, x *seenID) {
		e.raw(x.id[:])
		e.num(x.task, uint64(x.at))
	})
}

// restore reads what write wrote.
func (w *idWindow) restore(d *decoder) {
	all, past := d.num(), d.num()
	task := uint64(0)
	for k := uint64(0); k < all && d.err == nil; k++ {
		var x seenID
		d.raw(x.id[:])
		x.task, x.at = d.num(), int64(d.num())
		if x.at < 0 || x.task < task {
			d.fail("id")
		}
		task = x.task
		if k == past {
			w.next = w.end
		}
		w.push(x)
	}
	if past >= all {
		w.next = w.end
	}
}
