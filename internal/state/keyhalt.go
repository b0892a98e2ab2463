package state

import (
	"container/list"
	"iter"
	"strings"

	"github.com/glassq/glassq"
)

const (
	// haltKeep is how long, in ms, the endings of a key count when no other comes.
	haltKeep = 24 * 3600_000
	// haltKeys is of how many keys a queue counts endings at most, and how many it halts. Beyond
	// that those go that came first: they begin anew.
	haltKeys = 100_000
)

// A keyBreaker is the breaker of one key. It stands apart from the key, which is forgotten with its
// last task.
type keyBreaker struct {
	breaker
	name string
	last int64         // ms: of its last ending
	at   *list.Element // in its list
}

// keyHalts are the breakers of the keys of a queue: those that count, by their last ending, and those
// that halt, by when they began to.
type keyHalts struct {
	by             map[string]*keyBreaker
	counts, halted list.List
}

func newKeyHalts() *keyHalts { return &keyHalts{by: map[string]*keyBreaker{}} }

// breakers are those of a list; the one at hand may be removed.
func breakers(l *list.List) iter.Seq[*keyBreaker] {
	return func(yield func(*keyBreaker) bool) {
		for e := l.Front(); e != nil; {
			b := e.Value.(*keyBreaker)
			if e = e.Next(); !yield(b) {
				return
			}
		}
	}
}

func (h *keyHalts) list(b *keyBreaker) *list.List {
	if b.halted {
		return &h.halted
	}
	return &h.counts
}

// push puts b behind all others of its list.
func (h *keyHalts) push(b *keyBreaker) { b.at = h.list(b).PushBack(b) }

// keyEnded counts an ending of a task of a key. Tasks without one are never halted.
func (s *State) keyEnded(c *class, number uint64, failed bool) {
	q, k := c.queue, c.key
	if k == nil || k.name == "" {
		return
	}
	h := q.halting.keys
	for b := range breakers(&h.counts) {
		if b.last+haltKeep > s.now {
			break
		}
		s.forgetHalt(q, b)
	}
	b := k.halt
	if b == nil {
		b = &keyBreaker{name: strings.Clone(k.name)}
		k.halt, h.by[b.name] = b, b
		h.push(b)
	}
	from := h.list(b)
	switch b.count(q.halting.rule, number, failed) {
	case halts:
		b.since = s.now
		b.wait(q.halting.resume, s.now)
	case haltsOn:
		b.wait(q.halting.resume, s.now)
	case goesOn:
		s.forgetHalt(q, b)
		return
	}
	b.last = s.now
	if to := h.list(b); to != from || !b.halted {
		from.Remove(b.at)
		if h.push(b); to.Len() > haltKeys {
			s.forgetHalt(q, to.Front().Value.(*keyBreaker))
		}
	}
}

// forgetHalt forgets what is counted of a key, and its halt.
func (s *State) forgetHalt(q *Queue, b *keyBreaker) {
	h := q.halting.keys
	h.list(b).Remove(b.at)
	delete(h.by, b.name)
	if k := q.ring.keys[b.name]; k != nil {
		k.halt = nil
		s.placeKey(k)
	}
}

// placeHalted has the key of a breaker stand where it belongs.
func (s *State) placeHalted(q *Queue, b *keyBreaker) {
	if k := q.ring.keys[b.name]; k != nil {
		s.placeKey(k)
	}
}

// keyHalted says why the key of that name halts, if it does.
func (q *Queue) keyHalted(name string) (h glassq.Halted) {
	if q.halting == nil || q.halting.keys == nil {
		return h
	}
	if b := q.halting.keys.by[name]; b != nil {
		return b.why(q)
	}
	return h
}

// HaltedKeys says which keys of q are halted; a queue that is nil has none.
func (q *Queue) HaltedKeys() (h glassq.HaltedKeys) {
	if q == nil || q.halting == nil || q.halting.keys == nil {
		return h
	}
	if l := &q.halting.keys.halted; l.Len() > 0 {
		last := l.Back().Value.(*keyBreaker)
		h = glassq.HaltedKeys{Count: int64(l.Len()), Last: strings.Clone(last.name), Halted: last.why(q)}
	}
	return h
}

// A haltImage is a keyBreaker as it was.
type haltImage struct {
	breaker
	name string
	last int64
}

// image returns those that count, and behind them those that halt.
func (h *keyHalts) image() []haltImage {
	out := make([]haltImage, 0, h.counts.Len()+h.halted.Len())
	for _, l := range []*list.List{&h.counts, &h.halted} {
		for b := range breakers(l) {
			out = append(out, haltImage{b.breaker, b.name, b.last})
		}
	}
	return out
}

// writeKeyHalts writes the section of what queues count of their keys.
func (im *Image) writeKeyHalts(e *encoder) {
	n := 0
	for i := range im.queues {
		if len(im.queues[i].halts) > 0 {
			n++
		}
	}
	if n == 0 {
		return
	}
	e.num(sectionKeyHalts, uint64(n))
	for i := range im.queues {
		q := &im.queues[i]
		if len(q.halts) == 0 {
			continue
		}
		e.str(q.name)
		e.num(uint64(len(q.halts)))
		for k := range q.halts {
			b := &q.halts[k]
			e.str(b.name)
			e.num(uint64(b.last))
			e.breaker(&b.breaker)
		}
	}
}

func (s *State) restoreKeyHalts(d *decoder) {
	for n := d.num(); n > 0 && d.err == nil; n-- {
		q := s.queues[d.str()]
		if q == nil || q.ring == nil || q.halting == nil || q.halting.keys == nil {
			d.fail("halts of keys")
			return
		}
		h := q.halting.keys
		for k := d.num(); k > 0 && d.err == nil; k-- {
			b := &keyBreaker{name: d.str(), last: int64(d.num())}
			if b.breaker = d.breaker(q.halting.rule); h.by[b.name] != nil {
				d.fail("halt of a key")
				return
			}
			h.by[b.name] = b
			h.push(b)
			if k := q.ring.keys[b.name]; k != nil {
				k.halt = b
			}
		}
	}
}
