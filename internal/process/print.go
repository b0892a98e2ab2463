package process

import (
	"bytes"
	"io"
	"slices"
	"sync"

	"github.com/glassq/glassq"
)

// A Printer writes the output of tasks, each task's as a whole, so that no two are mixed. Safe for
// concurrent use.
type Printer struct {
	w    io.Writer
	tag  bool
	keep bool // in the order of the hand-outs

	mu    sync.Mutex // guards the fields below
	room  sync.Cond  // held has shrunk
	order []uint64   // lease numbers that are out, as handed out; with keep only
	ready map[uint64][]byte
	ended map[uint64]bool
	held  int // bytes in ready
	buf   []byte
	err   error // the first one of w
}

// maxHeld is how many bytes of output wait for an earlier task at most; whoever has more waits too.
const maxHeld = 64 << 20

// NewPrinter writes to w. With tag each line begins with the task's body, whose line ends and tabs are written
// as \n, \r and \t, and a tab. With keepOrder output comes in the order of the hand-outs, which Taken must be
// told of.
func NewPrinter(w io.Writer, tag, keepOrder bool) *Printer {
	p := &Printer{w: w, tag: tag, keep: keepOrder, ready: map[uint64][]byte{}, ended: map[uint64]bool{}}
	p.room.L = &p.mu
	return p
}

// Taken notes leases in the order of their hand-out.
func (p *Printer) Taken(leases []glassq.Lease) {
	if !p.keep {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range leases {
		p.order = append(p.order, leases[i].Number)
	}
}

// Given notes leases that go back or are lost: nothing will be printed for them.
func (p *Printer) Given(number uint64) { p.release(number) }

// set gives the output of a task whose body was body.
func (p *Printer) set(number uint64, body, out []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buf = p.buf[:0]
	if !p.tag {
		p.buf = append(p.buf, out...)
	} else {
		tag := oneLine.Replace(string(body))
		for line := range bytes.Lines(out) {
			p.buf = append(append(append(p.buf, tag...), '\t'), line...)
		}
		if n := len(p.buf); n > 0 && p.buf[n-1] != '\n' {
			p.buf = append(p.buf, '\n')
		}
	}
	if !p.keep {
		p.write(p.buf)
		return
	}
	for p.held > 0 && p.held+len(p.buf) > maxHeld && len(p.order) > 0 && p.order[0] != number && p.err == nil {
		own := slices.Clone(p.buf)
		p.room.Wait()
		p.buf = append(p.buf[:0], own...)
	}
	p.ready[number] = slices.Clone(p.buf)
	p.held += len(p.buf)
}

// release says that the task has no more output, and prints what is next.
func (p *Printer) release(number uint64) {
	if !p.keep {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.order, number) {
		return
	}
	p.ended[number] = true
	for len(p.order) > 0 && p.ended[p.order[0]] {
		n := p.order[0]
		p.order = p.order[1:]
		p.write(p.ready[n])
		p.held -= len(p.ready[n])
		delete(p.ready, n)
		delete(p.ended, n)
	}
	p.room.Broadcast()
}

func (p *Printer) write(b []byte) {
	if p.err == nil && len(b) > 0 {
		_, p.err = p.w.Write(b)
	}
}

// Err returns the first error of writing.
func (p *Printer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
