package state

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// active are the marks of the keys that a class names, where there is something to remember.
func (r *keyring) active(now int64) (list []keyMark) {
	for _, k := range r.keys {
		if m := k.mark(); m.stands(now) {
			list = append(list, m)
		}
	}
	return list
}

// A markPlace is where a mark of a queueImage lies: among those of keys with tasks, and behind these
// among the others.
type markPlace struct {
	hash  uint64 // of its name
	place int
}

func (q *queueImage) markAt(place int) *keyMark {
	if place < len(q.active) {
		return &q.active[place]
	}
	return q.idle.at(place - len(q.active))
}

// inOrder lists the marks in which there is something to remember, in an order that only their names
// make. A million names take a second of processor time to sort, and their hashes a tenth of that.
func (q *queueImage) inOrder(now int64) []markPlace {
	list := make([]markPlace, 0, len(q.active)+q.idle.n)
	for i := range len(q.active) + q.idle.n {
		if m := q.markAt(i); m.stands(now) {
			h := uint64(14695981039346656037) // FNV-1a: the same in each process
			for k := range len(m.name) {
				h = (h ^ uint64(m.name[k])) * 1099511628211
			}
			list = append(list, markPlace{h, i})
		}
	}
	slices.SortFunc(list, func(a, b markPlace) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return strings.Compare(q.markAt(a.place).name, q.markAt(b.place).name)
	})
	return list
}

// writeKeys writes what queues remember of keys, and then what tasks cost, chunk by chunk.
func (im *Image) writeKeys(e *encoder) {
	tagged := false
	tag := func() {
		if !tagged {
			e.num(sectionKeys)
		}
		tagged = true
	}
	for i := range im.queues {
		q := &im.queues[i]
		list := q.inOrder(im.now)
		if len(list) == 0 {
			continue
		}
		tag()
		e.str(q.name)
		e.num(uint64(len(list)))
		for _, x := range list {
			m := q.markAt(x.place)
			why := ""
			if m.held > im.now && m.why != nil {
				why = *m.why
			}
			e.str(m.name)
			e.num(uint64(max(m.rate-im.now*1e6, 0)), uint64(max(m.cost-im.now*1e6, 0)), uint64(max(m.held-im.now, 0)))
			e.str(why)
		}
	}
	for i := range im.chunks {
		if len(im.chunks[i].costs) > 0 {
			tag()
		}
	}
	if len(im.rangeCosts) > 0 {
		tag()
	}
	if !tagged {
		return
	}
	e.str("") // no more queues
	for i := range im.chunks {
		if c := &im.chunks[i]; len(c.costs) > 0 {
			e.num(1+c.ci, uint64(len(c.costs)))
			for _, cost := range c.costs {
				e.num(uint64(cost))
			}
		}
	}
	e.num(0) // no more chunks
	e.num(uint64(len(im.rangeCosts)))
	for _, first := range slices.Sorted(maps.Keys(im.rangeCosts)) {
		e.num(first, uint64(im.rangeCosts[first]))
	}
}

// restoreKeys reads what writeKeys wrote behind its tag.
func (s *State) restoreKeys(d *decoder) {
	for name := d.str(); name != "" && d.err == nil; name = d.str() {
		q := s.queues[name]
		if q == nil || q.ring == nil {
			d.fail("keys of a queue")
			return
		}
		for k := d.num(); k > 0 && d.err == nil; k-- {
			m := keyMark{name: d.str()}
			m.rate, m.cost, m.held = ahead(s.nanos(), d.num()), ahead(s.nanos(), d.num()), ahead(s.now, d.num())
			if why := d.str(); why != "" {
				m.why = &why
			}
			if k := q.ring.keys[m.name]; k != nil {
				k.setMark(m)
			} else if q.ring.marks.get(m.name) != nil {
				d.fail("key")
			} else {
				q.ring.marks.put(m)
				s.sweepLater(q)
			}
		}
	}
	for ci := d.num(); ci != 0 && d.err == nil; ci = d.num() {
		c := s.tasks.chunk(ci - 1)
		n := d.num()
		if c == nil || n > chunkLen || c.costs != nil {
			d.fail("costs")
			return
		}
		c.costs = make([]uint32, n)
		for i := range c.costs {
			c.costs[i] = uint32(d.num())
		}
	}
	for k := d.num(); k > 0 && d.err == nil; k-- {
		first := d.num()
		s.rangeCosts[first] = uint32(d.num())
	}
}

// ahead is a moment that is so far ahead of now; 0 when it is not.
func ahead(now int64, by uint64) int64 {
	if by == 0 {
		return 0
	}
	return now + int64(min(by, uint64(fullMost)))
}

// placeKeys has all keys stand where they belong, when all is known of them.
func (s *State) placeKeys() {
	for _, k := range s.byKey {
		if k.q != nil {
			s.placeKey(k)
		}
	}
	for _, q := range s.queues {
		if q.ring != nil {
			s.orderRings(q.ring)
		}
	}
}
