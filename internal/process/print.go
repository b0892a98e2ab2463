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
	fail func(error) // nil for nothing
	tag  bool
	keep bool // in the order of the hand-outs

	mu    sync.Mutex // guards the fields below
	room  sync.Cond  // held has shrunk
	order []uint64   // lease numbers that are out, as handed out; with keep only
	ready map[uint64]printed
	ended map[uint64]bool
	held  int    // bytes in ready
	buf   []byte // lines with their tags, up to printStep
	err   error  // the first one of w
}

// A printed is the output of a task, and what its lines begin with.
type printed struct{ tag, out []byte }

const (
	maxHeld   = 64 << 20 // bytes of output that wait for an earlier task at most; whoever has more waits too
	maxTag    = 1000     // bytes of a body that stand before each line
	printStep = 64 << 10 // bytes of lines with their tags that are written at once
)

// NewPrinter writes to w. With tag each line begins with the task's body, or its first 1,000 bytes,
// whose line ends and tabs are written as \n, \r and \t, and a tab. With keepOrder output comes in
// the order of the hand-outs, which Taken must be told of. When w fails nothing more is written and
// fail, unless nil, is called once with the error; it must not block.
func NewPrinter(w io.Writer, tag, keepOrder bool, fail func(error)) *Printer {
	p := &Printer{w: w, fail: fail, tag: tag, keep: keepOrder, ready: map[uint64]printed{}, ended: map[uint64]bool{}}
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
	o := printed{out: out}
	if p.tag {
		o.tag = []byte(oneLine(string(body[:min(len(body), maxTag)])))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.keep {
		p.print(o)
		return
	}
	for p.held > 0 && p.held+o.size() > maxHeld && len(p.order) > 0 && p.order[0] != number && p.err == nil {
		p.room.Wait()
	}
	o.out = slices.Clone(out)
	p.ready[number] = o
	p.held += o.size()
}

func (o printed) size() int { return len(o.tag) + len(o.out) }

// print writes o, with its tag in pieces: many short lines are much longer with it. The caller
// holds mu.
func (p *Printer) print(o printed) {
	if !p.tag {
		p.write(o.out)
		return
	}
	p.buf = p.buf[:0]
	for line := range bytes.Lines(o.out) {
		p.buf = append(append(append(p.buf, o.tag...), '\t'), line...)
		if line[len(line)-1] != '\n' {
			p.buf = append(p.buf, '\n')
		}
		if len(p.buf) >= printStep {
			p.write(p.buf)
			p.buf = p.buf[:0]
		}
	}
	p.write(p.buf)
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
		p.print(p.ready[n])
		p.held -= p.ready[n].size()
		delete(p.ready, n)
		delete(p.ended, n)
	}
	p.room.Broadcast()
}

func (p *Printer) write(b []byte) {
	if p.err == nil && len(b) > 0 {
		if _, p.err = p.w.Write(b); p.err != nil && p.fail != nil {
			p.fail(p.err)
		}
	}
}

// Err returns the first error of writing.
func (p *Printer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
