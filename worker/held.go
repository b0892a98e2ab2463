package worker

import (
	"context"
	"time"

	"github.com/glassq/glassq"
)

// An ending is what the queue is told of a lease.
type ending uint8

const (
	endAck    ending = iota
	endNack          // given back by the handler
	endUndone        // given back unbegun, or by the drain
)

// A held is a lease in the worker's hands, from Reserve until the queue has been told of its end.
// Its handler owns what stands before since; the rest is guarded by worker.mu.
type held struct {
	lease  glassq.Lease
	reply  Reply
	taken  time.Time // when the worker got the lease
	end    ending
	failed bool // with endAck: booked as failed
	nack   glassq.Nack
	lack   string // what the worker lacked, "" for nothing
	w      *worker
	seq    uint64         // of what was said last
	unsure *glassq.Extend // said, and not known to be done

	since      time.Time          // when the lease was granted or last extended
	cancel     context.CancelFunc // ends the work; nil when no handler is at it
	ended      bool               // with the settler
	lost       bool               // taken away before its end
	busy       bool               // in an Extend that is under way; not to be used again before its end
	next, prev *held
}

// push puts h at the end of the ring that o is the root of.
func (o *held) push(h *held) {
	h.next, h.prev = o, o.prev
	o.prev.next = h
	o.prev = h
}

// unlink takes h out of its ring, if it is in one.
func (h *held) unlink() {
	if h.next != nil {
		h.prev.next, h.next.prev = h.next, h.prev
		h.next, h.prev = nil, nil
	}
}

// maxFree bounds how many helds, with their buffers, are kept for use again, and keepBody how large
// a buffer is.
const (
	maxFree  = 4096
	keepBody = 16 << 10
)

// newHeld returns an empty held. w.mu is held.
func (w *worker) newHeld() *held {
	n := len(w.free)
	if n == 0 {
		return new(held)
	}
	h := w.free[n-1]
	w.free = w.free[:n-1]
	return h
}

// drop forgets a lease, whatever became of it. w.mu is held.
func (w *worker) drop(h *held) {
	h.unlink()
	if h.busy || len(w.free) >= maxFree {
		return // an Extend still looks at it: leave it to the garbage collector
	}
	body := h.reply.Body
	if cap(body) > keepBody {
		body = nil
	}
	*h = held{reply: Reply{Body: body[:0]}}
	w.free = append(w.free, h)
}

// A fifo is a queue of helds in a ring buffer.
type fifo struct {
	buf  []*held
	head int
	n    int
}

func (f *fifo) push(h *held) {
	if f.n == len(f.buf) {
		buf := make([]*held, max(2*len(f.buf), 64))
		k := copy(buf, f.buf[f.head:])
		copy(buf[k:], f.buf[:f.head])
		f.buf, f.head = buf, 0
	}
	f.buf[(f.head+f.n)%len(f.buf)] = h
	f.n++
}

// any drops helds that are lost from the front and tells whether one is there that is not.
func (f *fifo) any() bool {
	for f.n > 0 && f.buf[f.head].lost {
		f.drop()
	}
	return f.n > 0
}

// first is the oldest one; there is one.
func (f *fifo) first() *held { return f.buf[f.head] }

// drop takes the first away.
func (f *fifo) drop() {
	f.buf[f.head] = nil
	f.head = (f.head + 1) % len(f.buf)
	f.n--
}

// pop returns the oldest held that is not lost, or nil.
func (f *fifo) pop() *held {
	if !f.any() {
		return nil
	}
	h := f.buf[f.head]
	f.drop()
	return h
}
