package state

import (
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/glassq/glassq"
)

// An Image is a State as it was at one moment. Taking it copies almost nothing: it shares with the
// State what neither changes any more, and the State copies a shared piece before its first change.
// So its owner pauses for as long as it takes to note where the pieces are, and an image costs the
// memory of the pieces that change while it is held.
//
// An Image is never changed; any goroutine may write it.
type Image struct {
	now, ahead        int64
	task, next, limit uint64
	queues            []queueImage
	runs              []runImage
	classes           []string
	chunks            []chunkImage
	leases            leaseTable
	delays, ttls      timers
	marks             int64
	acked             []ackedImage
	rangeCosts        map[uint64]uint32
	ranges            []taskRange
	schedules         []Timed
	names             []string // of queues, by number; "" where one was dropped
}

type queueImage struct {
	name     string
	settings glassq.Settings
	pace     paceImage
	books    glassq.Books
	ids      idImage
	keyed    bool // it looks at keys for the sake of a hold
	idle     keyMarks
	active   []keyMark
	breaker  *breaker    // a copy
	halts    []haltImage // of its keys
}

type runImage struct {
	name string
	rec  runRecord
	sets [4]*roaring.Bitmap // beside what the record says of them
}

type chunkImage struct {
	ci      uint64
	all     *[chunkLen]entry // nil: see packed
	packed  []byte
	reasons map[uint16]string
	costs   []uint32
	marks   map[uint16]*mark
}

type ackedImage struct {
	k uint64
	b *ackedBlock
}

func names(runs []*Run) []string {
	var list []string
	for _, r := range runs {
		list = append(list, r.name)
	}
	return list
}

// Image returns the state as it is now. Only the owner of the State may call it.
func (s *State) Image() *Image {
	im := &Image{now: s.now, ahead: s.ahead, task: s.tasks.next, next: s.next, limit: s.limit,
		queues:  make([]queueImage, 0, len(s.queues)),
		runs:    make([]runImage, 0, len(s.runs)),
		classes: make([]string, len(s.class)),
		chunks:  make([]chunkImage, 0, s.tasks.chunks),
		names:   make([]string, len(s.byNum)),
		marks:   s.tasks.marks,
	}
	for _, q := range s.Queues() {
		q.ids.prune(s.now)
		qi := queueImage{name: q.Name, settings: q.settings, pace: q.Pace.image(), books: q.books, ids: q.ids.share()}
		if q.ring != nil {
			qi.keyed, qi.idle, qi.active = !q.ring.rules.on, q.ring.marks.share(), q.ring.active(s.now)
		}
		switch h := q.halting; {
		case h == nil:
		case h.keys != nil:
			qi.halts = h.keys.image()
		default:
			b := h.breaker
			qi.breaker = &b
		}
		im.queues = append(im.queues, qi)
		im.names[q.num] = q.Name
	}
	for _, name := range slices.Sorted(maps.Keys(s.runs)) {
		r := s.runs[name]
		im.runs = append(im.runs, runImage{name,
			runRecord{r.source, r.queue, r.resultsQ, r.sealed, r.total, r.books, r.created, r.ended,
				r.rate, r.stages, r.givenUp, r.retryOf, names(r.retries), slices.Clone(r.readers),
				r.hooks[hookEnd].record(), r.hooks[hookFailed].record(), r.ends, r.after, r.afterAny, r.waits, r.heldIn,
				wholeOf(r.put, r.done, r.failed, r.dead)},
			[4]*roaring.Bitmap{r.put.bits.Clone(), r.done.bits.Clone(), r.failed.bits.Clone(), r.dead.bits.Clone()}})
	}
	for i := range s.class {
		if s.class[i].refs > 0 { // else unused, or at hand only for the next put of its kind
			im.classes[i] = s.class[i].enc
		}
	}
	for ci, c := s.tasks.from(0); c != nil; ci, c = s.tasks.from(ci + 1) {
		if c.live == 0 {
			continue
		}
		c.shared = c.all != nil
		c.oldReasons, c.oldMarks = c.reasons != nil, c.marks != nil
		im.chunks = append(im.chunks, chunkImage{ci, c.all, c.packed, c.reasons, c.costs, c.marks})
	}
	im.ranges, im.rangeCosts = s.shareRanges(), maps.Clone(s.rangeCosts)
	im.leases, im.delays, im.ttls = s.leases.share(), s.delays.share(), s.ttls.share()
	for _, k := range s.acked.order {
		b := s.acked.blocks[k]
		b.shared = true
		im.acked = append(im.acked, ackedImage{k, b})
	}
	for _, x := range s.Schedules() {
		im.schedules = append(im.schedules, *x)
	}
	return im
}
