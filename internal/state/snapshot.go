package state

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/glassq/glassq"
)

// snapshotFormat is the version of what Write writes. Restore reads it and the one before, which has
// no sections.
const snapshotFormat = 4

// The sections of a snapshot, behind what every state has. Each begins with its tag and is there only
// where there is something to say, so equal states still write equal bytes.
const (
	sectionEnd uint64 = iota // no more sections

	sectionKeys     uint64 = 1 // what is remembered of keys, and what tasks cost
	sectionProgress uint64 = 4 // what was said of tasks
	sectionHalts    uint64 = 5 // endings that rules of queues count
	sectionRanges   uint64 = 6 // ranges of positions
	sectionKeyHalts uint64 = 7 // endings that rules of queues count key by key
)

// Snapshot writes the whole state as it is now, for those who need no Image in between.
func (s *State) Snapshot(w io.Writer) error { return s.Image().Write(w) }

// Write writes the image so that State.Restore makes an equal state. Lanes and lease timers are not
// written: they follow from the tasks and leases. Equal states write equal bytes.
func (im *Image) Write(w io.Writer) error {
	b := bufio.NewWriterSize(w, 64<<10)
	e := encoder{w: b}
	e.num(snapshotFormat)
	e.num(uint64(im.now), im.task, im.next, im.limit, zigzag(im.ahead))
	e.num(uint64(len(im.queues)))
	for i := range im.queues {
		q := &im.queues[i]
		e.str(q.name)
		e.json(queueRecord{q.settings, q.pace, q.keyed})
		e.json(q.books)
		q.ids.write(&e)
	}
	e.num(uint64(len(im.runs)))
	for i := range im.runs {
		r := &im.runs[i]
		e.str(r.name)
		e.json(r.rec)
		for _, set := range r.sets {
			set.RunOptimize() // a clone of our own
			var buf bytes.Buffer
			if _, err := set.WriteTo(&buf); err != nil {
				return err
			}
			e.bytes(buf.Bytes())
		}
	}
	e.num(uint64(len(im.classes)))
	for _, key := range im.classes {
		e.str(key)
	}
	im.writeTasks(&e)
	im.writeLeases(&e)
	im.writeAcked(&e)
	im.writeKeys(&e)
	im.writeSchedules(&e)
	im.writeProgress(&e)
	im.writeHalts(&e)
	im.writeRanges(&e)
	im.writeKeyHalts(&e)
	e.num(sectionEnd)
	if e.err != nil {
		return e.err
	}
	return b.Flush()
}

type queueRecord struct {
	glassq.Settings
	Pace  paceImage `json:"pace,omitzero"`
	Keyed bool      `json:"keyed,omitempty"`
}

type runRecord struct {
	Source, Queue, Results string
	Sealed                 bool
	Total                  uint64
	Books                  glassq.Books
	Created, Ended         int64
	Rate                   float64
	Stages                 string
	GivenUp                uint64
	RetryOf                string
	Retries, Readers       []string

	OnEnd    hookRecord `json:",omitzero"`
	OnFailed hookRecord `json:",omitzero"`
	Ends     uint64     `json:",omitempty"`
	After    string     `json:",omitempty"`
	AfterAny bool       `json:",omitempty"`
	Waits    bool       `json:",omitempty"`
	HeldIn   string     `json:",omitempty"` // not of older programs

	Whole *[4][]glassq.Interval `json:",omitempty"` // stretches of put, done, failed, dead
}

// wholeOf returns the stretches of sets, or nil when there are none.
func wholeOf(sets ...*positionSet) *[4][]glassq.Interval {
	var all [4][]glassq.Interval
	some := false
	for i, p := range sets {
		all[i], some = p.whole, some || len(p.whole) > 0
	}
	if !some {
		return nil
	}
	return &all
}

type hookRecord struct {
	Text string
	Put  []byte
}

// writeTasks writes chunk by chunk: the entries, why they were nacked, and when they are due or
// end.
func (im *Image) writeTasks(e *encoder) {
	delays, ttls := im.delays.byRef(), im.ttls.byRef()
	var buf []byte
	var own [chunkLen]entry
	e.num(uint64(len(im.chunks)))
	for i := range im.chunks {
		c := &im.chunks[i]
		all := c.all
		if all != nil {
			buf = pack(buf[:0], all)
		} else {
			buf = append(buf[:0], c.packed...)
		}
		e.num(c.ci)
		e.bytes(buf)
		e.num(uint64(len(c.reasons)))
		if len(c.reasons) > 0 {
			for _, k := range slices.Sorted(maps.Keys(c.reasons)) {
				e.num(uint64(k))
				e.str(c.reasons[k])
			}
		}
		end := (c.ci + 1) * chunkLen
		for _, t := range []struct {
			list  *[]timer
			valid func(*entry) bool
		}{
			{&delays, func(e *entry) bool { return e.state() == glassq.Delayed && !e.has(flagHeld) }},
			{&ttls, func(e *entry) bool { return e.has(flagTTL) && e.state() != glassq.Gone }},
		} {
			for len(*t.list) > 0 && (*t.list)[0].ref < c.ci*chunkLen {
				*t.list = (*t.list)[1:] // of tasks that are gone
			}
			k := 0
			for k < len(*t.list) && (*t.list)[k].ref < end {
				k++
			}
			mine := (*t.list)[:k]
			*t.list = (*t.list)[k:]
			if k > 0 && all == nil {
				own = [chunkLen]entry{}
				unpack(c.packed, &own)
				all = &own
			}
			mine = slices.DeleteFunc(mine, func(x timer) bool { return !t.valid(&all[x.ref%chunkLen]) })
			e.num(uint64(len(mine)))
			for _, x := range mine {
				e.num(x.ref%chunkLen, uint64(x.at))
			}
		}
		if e.err != nil {
			return
		}
	}
}

// byRef returns the timers ordered by what they are for.
func (t *timers) byRef() []timer {
	all := make([]timer, t.n)
	for i := range all {
		all[i] = t.get(i)
	}
	slices.SortFunc(all, func(a, b timer) int { return cmp.Or(cmp.Compare(a.ref, b.ref), cmp.Compare(a.at, b.at)) })
	return all
}

func (im *Image) writeLeases(e *encoder) {
	e.num(uint64(im.leases.live))
	for _, k := range slices.Sorted(maps.Keys(im.leases.blocks)) {
		for i, l := range im.leases.blocks[k].l {
			if l.task != 0 {
				e.num(k*leaseBlockLen+uint64(i), l.task, uint64(l.deadline), uint64(l.length))
			}
		}
	}
}

func (im *Image) writeAcked(e *encoder) {
	e.num(uint64(len(im.acked)))
	for _, a := range im.acked {
		e.num(a.k, uint64(a.b.last))
		e.num(uint64(a.b.count))
		for i, q := range a.b.queue {
			if q != 0 {
				e.num(uint64(i))
				e.str(im.names[q-1])
			}
		}
	}
}

type encoder struct {
	w   *bufio.Writer
	tmp [32]byte
	err error
}

func (e *encoder) raw(b []byte) {
	if _, err := e.w.Write(b); err != nil && e.err == nil {
		e.err = err
	}
}

func (e *encoder) num(vs ...uint64) {
	for _, v := range vs {
		e.raw(binary.AppendUvarint(e.tmp[:0], v))
	}
}

func (e *encoder) str(s string) {
	e.num(uint64(len(s)))
	if _, err := e.w.WriteString(s); err != nil && e.err == nil {
		e.err = err
	}
}

func (e *encoder) bytes(b []byte) {
	e.num(uint64(len(b)))
	e.raw(b)
}

func (e *encoder) json(v any) {
	js, err := json.Marshal(v)
	if err != nil && e.err == nil {
		e.err = err
	}
	e.bytes(js)
}
