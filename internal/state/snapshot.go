package state

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/glassq/glassq"
)

// Snapshot writes the whole state, so that Restore makes an equal one. Lanes and lease timers are not
// written: they follow from the tasks and leases.
func (s *State) Snapshot(w io.Writer) error {
	b := bufio.NewWriterSize(w, 256<<10)
	e := encoder{w: b}
	e.num(Format)
	e.num(uint64(s.now), s.tasks.next, s.next, s.limit)

	queues := s.Queues()
	e.num(uint64(len(queues)))
	for _, q := range queues {
		q.ids.prune(s.now)
		e.str(q.Name)
		e.json(q.settings)
		e.json(q.books)
		e.num(uint64(len(q.ids.log) - q.ids.head))
		for _, x := range q.ids.log[q.ids.head:] {
			e.raw(x.id[:])
			e.num(uint64(x.at))
		}
	}
	e.num(uint64(len(s.runs)))
	for _, name := range slices.Sorted(maps.Keys(s.runs)) {
		r := s.runs[name]
		e.str(name)
		e.json(runRecord{r.source, r.queue, r.resultsQ, r.sealed, r.total, r.books, r.created, r.ended})
		for _, set := range []*roaring.Bitmap{r.put, r.done, r.failed, r.dead} {
			set.RunOptimize()
			var buf bytes.Buffer
			if _, err := set.WriteTo(&buf); err != nil {
				return err
			}
			e.str(buf.String())
		}
	}
	e.num(uint64(len(s.class)))
	for i := range s.class {
		if s.class[i].refs == 0 {
			e.str("") // unused, or at hand only for the next put of its kind
			continue
		}
		e.str(s.class[i].key)
	}
	e.num(uint64(s.tasks.live))
	last := uint64(0)
	s.tasks.all(func(n uint64, x *entry) bool {
		e.num(n - last)
		last = n
		e.raw(binary.LittleEndian.AppendUint64(e.tmp[:0], x.w0))
		e.raw(binary.LittleEndian.AppendUint64(e.tmp[:0], x.w1))
		e.num(uint64(x.class), uint64(x.n))
		return e.err == nil
	})
	e.num(uint64(len(s.leases)))
	for _, number := range slices.Sorted(maps.Keys(s.leases)) {
		l := s.leases[number]
		e.num(number, l.task, uint64(l.deadline), uint64(l.length))
	}
	e.num(uint64(len(s.ttlAt)))
	for _, n := range slices.Sorted(maps.Keys(s.ttlAt)) {
		e.num(n, uint64(s.ttlAt[n]))
	}
	var delays []timer
	for _, t := range s.delays.heap {
		if s.delayValid(t) {
			delays = append(delays, t)
		}
	}
	slices.SortFunc(delays, func(a, b timer) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.ref, b.ref))
	})
	e.num(uint64(len(delays)))
	for _, t := range delays {
		e.num(uint64(t.at), t.ref)
	}
	e.num(uint64(len(s.reasons)))
	for _, n := range slices.Sorted(maps.Keys(s.reasons)) {
		e.num(n)
		e.str(s.reasons[n])
	}
	e.num(uint64(len(s.acked.order)))
	for _, k := range s.acked.order {
		blk := s.acked.blocks[k]
		e.num(k, uint64(blk.last))
		known := func(q uint32) bool { return q != 0 && s.byNum[q-1] != nil }
		count := 0
		for _, q := range blk.queue {
			if known(q) {
				count++
			}
		}
		e.num(uint64(count))
		for i, q := range blk.queue {
			if known(q) {
				e.num(uint64(i))
				e.str(s.byNum[q-1].Name)
			}
		}
	}
	if e.err != nil {
		return e.err
	}
	return b.Flush()
}

type runRecord struct {
	Source, Queue, Results string
	Sealed                 bool
	Total                  uint64
	Books                  glassq.Books
	Created, Ended         int64
}

// Restore fills an empty state from a snapshot. An error means that the snapshot is damaged or newer.
func (s *State) Restore(in io.Reader) error {
	d := decoder{r: bufio.NewReaderSize(in, 256<<10)}
	if f := d.num(); d.err == nil && f != Format {
		return fmt.Errorf("snapshot has format %d; this program reads %d", f, Format)
	}
	s.now = int64(d.num())
	next := d.num()
	s.next, s.limit = d.num(), d.num()
	for k := d.num(); k > 0 && d.err == nil; k-- {
		q := s.queue(d.str())
		d.json(&q.settings)
		d.json(&q.books)
		q.Pace.Set(schedule(q.settings), s.now*int64(time.Millisecond))
		for k := d.num(); k > 0 && d.err == nil; k-- {
			var id hash
			d.raw(id[:])
			at := int64(d.num())
			q.ids.add(id, at)
		}
	}
	for k := d.num(); k > 0 && d.err == nil; k-- {
		var rec runRecord
		name := d.str()
		d.json(&rec)
		r := &Run{name: name, source: rec.Source, queue: rec.Queue, resultsQ: rec.Results, sealed: rec.Sealed,
			total: rec.Total, books: rec.Books, created: rec.Created, ended: rec.Ended}
		for _, set := range []**roaring.Bitmap{&r.put, &r.done, &r.failed, &r.dead} {
			*set = roaring.New()
			if err := (*set).UnmarshalBinary([]byte(d.str())); err != nil && d.err == nil {
				d.err = fmt.Errorf("positions of run %s: %w", name, err)
			}
		}
		s.runs[name] = r
	}
	classes := d.num()
	for i := uint64(0); i < classes && d.err == nil; i++ {
		key := d.str()
		if key == "" {
			s.class = append(s.class, class{})
			s.free = append(s.free, uint32(i))
			continue
		}
		free := s.free
		s.free = nil
		if ci, err := s.intern([]byte(key)); err != nil || uint64(ci) != i {
			d.fail("class")
		}
		s.free, s.lastNum = free, noClass
	}
	s.restoreTasks(&d)
	s.tasks.next = max(next, s.tasks.next)
	for k := d.num(); k > 0 && d.err == nil; k-- {
		number := d.num()
		l := lease{task: d.num(), deadline: int64(d.num()), length: int64(d.num())}
		if e := s.tasks.get(l.task); e == nil || e.state() != glassq.Leased {
			d.fail("lease")
			break
		}
		s.leases[number] = l
		s.leaseTimers.push(l.deadline, number)
	}
	for k := d.num(); k > 0 && d.err == nil; k-- {
		n, at := d.num(), int64(d.num())
		s.ttlAt[n] = at
		s.ttls.push(at, n)
	}
	for k := d.num(); k > 0 && d.err == nil; k-- {
		at, n := int64(d.num()), d.num()
		s.delays.push(at, n)
	}
	for k := d.num(); k > 0 && d.err == nil; k-- {
		n := d.num()
		s.reasons[n] = d.str()
	}
	s.restoreAcked(&d)
	if d.err != nil {
		return d.err
	}
	return nil
}

func (s *State) restoreTasks(d *decoder) {
	n := uint64(0)
	for k := d.num(); k > 0 && d.err == nil; k-- {
		n += d.num()
		var x entry
		x.w0, x.w1 = d.fixed(), d.fixed()
		x.class, x.n = uint32(d.num()), uint32(d.num())
		if d.err != nil || x.class >= uint32(len(s.class)) || s.class[x.class].queue == nil ||
			x.state() < glassq.Delayed || x.state() > glassq.Dead || n == 0 || n > 1<<56 ||
			len(s.tasks.chunks) > 0 && n < s.tasks.next {
			d.fail("task")
			return
		}
		s.tasks.place(n, x)
		s.tasks.next = n + 1
		c := &s.class[x.class]
		c.refs++
		q := c.queue
		q.count[x.state()]++
		q.bytes += x.size()
		s.hooks.Live(x.frame())
		if x.has(flagResult) && c.run != nil && x.state() != glassq.Dead {
			c.run.results++
		}
		switch x.state() {
		case glassq.Ready:
			q.lanes[c.priority].push(n)
			q.filled |= 1 << c.priority
		case glassq.Dead:
			q.dead.push(n)
		}
	}
	for i, c := range s.tasks.chunks {
		if c != nil && c.live <= sparseAt && i < len(s.tasks.chunks)-1 {
			c.thin()
		}
	}
}

func (s *State) restoreAcked(d *decoder) {
	for k := d.num(); k > 0 && d.err == nil; k-- {
		num, last := d.num(), int64(d.num())
		count := d.num()
		if count > ackedLen {
			d.fail("acked numbers")
			return
		}
		b := &ackedBlock{last: last, count: int(count)}
		for ; count > 0 && d.err == nil; count-- {
			i := d.num()
			name := d.str()
			if i >= ackedLen {
				d.fail("acked number")
				return
			}
			if q := s.queues[name]; q != nil {
				b.queue[i] = q.num + 1
			}
		}
		if s.acked.blocks == nil {
			s.acked.blocks = map[uint64]*ackedBlock{}
		}
		s.acked.blocks[num] = b
		s.acked.order = append(s.acked.order, num)
		s.acked.count += b.count
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
	e.raw([]byte(s))
}

func (e *encoder) json(v any) {
	js, err := json.Marshal(v)
	if err != nil && e.err == nil {
		e.err = err
	}
	e.str(string(js))
}

type decoder struct {
	r   *bufio.Reader
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("snapshot: %s: %w", what, ErrRecord)
	}
}

func (d *decoder) num() uint64 {
	if d.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(d.r)
	if err != nil {
		d.fail("number")
		return 0
	}
	return v
}

func (d *decoder) fixed() uint64 {
	var b [8]byte
	d.raw(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

func (d *decoder) raw(b []byte) {
	if d.err != nil {
		return
	}
	if _, err := io.ReadFull(d.r, b); err != nil {
		d.fail("bytes")
	}
}

// str reads a string in steps, so that a damaged length does not allocate what it says.
func (d *decoder) str() string {
	n := d.num()
	if d.err != nil || n == 0 {
		return ""
	}
	var buf bytes.Buffer
	if m, err := io.CopyN(&buf, d.r, int64(min(n, 1<<40))); err != nil || uint64(m) != n {
		d.fail("string")
		return ""
	}
	return buf.String()
}

func (d *decoder) json(v any) {
	if s := d.str(); d.err == nil && json.Unmarshal([]byte(s), v) != nil {
		d.fail("settings or books")
	}
}
