package state

import (
	"slices"

	"github.com/glassq/glassq"
)

// ackedLen is how many consecutive lease numbers one block of an ackedWindow covers.
const ackedLen = 1024

// An ackedWindow remembers which lease numbers were acked, and of which queue, for
// glassq.AckedWindow and up to glassq.AckedCount (a block of ackedLen more at most). Numbers grow,
// so they are kept by blocks, and the block acked longest ago is dropped first.
type ackedWindow struct {
	blocks map[uint64]*ackedBlock
	order  []uint64 // blocks in the order in which they were begun
	count  int

	last  *ackedBlock // the block last added to, and its number
	lastK uint64
}

type ackedBlock struct {
	last  int64 // ms of the newest ack in it
	count int
	queue [ackedLen]uint32 // queue number + 1; 0: not acked

	shared bool // an Image holds it: it is copied before it is changed
}

func (w *ackedWindow) add(number uint64, queue uint32, now int64) {
	k := number / ackedLen
	b := w.last
	if b == nil || w.lastK != k {
		b = w.blocks[k]
	}
	if b == nil {
		if w.blocks == nil {
			w.blocks = map[uint64]*ackedBlock{}
		}
		b = &ackedBlock{}
		w.blocks[k] = b
		w.order = append(w.order, k)
		w.prune(now)
	}
	b = w.own(k, b)
	w.last, w.lastK = b, k
	if b.queue[number%ackedLen] == 0 {
		b.count++
		w.count++
	}
	b.queue[number%ackedLen] = queue + 1
	b.last = now
}

// own returns block k, which is b, to be changed.
func (w *ackedWindow) own(k uint64, b *ackedBlock) *ackedBlock {
	if b.shared {
		own := *b
		own.shared = false
		b = &own
		w.blocks[k] = b
	}
	return b
}

// forget forgets what was acked in a queue that was dropped.
func (w *ackedWindow) forget(queue uint32) {
	w.last = nil
	w.order = slices.DeleteFunc(w.order, func(k uint64) bool {
		b := w.blocks[k]
		for i, in := range b.queue {
			if in == queue+1 {
				b = w.own(k, b)
				b.queue[i] = 0
				b.count--
				w.count--
			}
		}
		if b.count == 0 {
			delete(w.blocks, k)
		}
		return b.count == 0
	})
}

// prune drops blocks that are over age, and the oldest while the rest still hold AckedCount.
func (w *ackedWindow) prune(now int64) {
	for len(w.order) > 0 {
		b := w.blocks[w.order[0]]
		old := now-b.last >= glassq.AckedWindow.Milliseconds() && b.count > 0
		if !old && w.count-b.count < glassq.AckedCount {
			return
		}
		delete(w.blocks, w.order[0])
		if w.lastK == w.order[0] {
			w.last = nil
		}
		w.order = w.order[1:]
		w.count -= b.count
	}
}

// queueOf is the number of the queue that number was acked in, however long ago.
func (w *ackedWindow) queueOf(number uint64) (queue uint32, ok bool) {
	b := w.blocks[number/ackedLen]
	if b == nil || b.queue[number%ackedLen] == 0 {
		return 0, false
	}
	return b.queue[number%ackedLen] - 1, true
}

// has tells whether number was acked as one of queue.
func (w *ackedWindow) has(number uint64, queue uint32, now int64) bool {
	b := w.blocks[number/ackedLen]
	return b != nil && b.queue[number%ackedLen] == queue+1 &&
		now-b.last < glassq.AckedWindow.Milliseconds()
}
