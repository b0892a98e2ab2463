package state

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/glassq/glassq"
)

// Restore fills an empty state from a snapshot. An error means that the snapshot is damaged or of
// another format.
func (s *State) Restore(in io.Reader) error {
	s.bulk = true
	defer func() { s.bulk = false }()
	d := decoder{r: bufio.NewReaderSize(in, 64<<10)}
	format := d.num()
	if d.err == nil && (format > snapshotFormat || format < snapshotFormat-1) {
		err := fmt.Errorf("snapshot has format %d; this program reads %d and %d", format, snapshotFormat-1, snapshotFormat)
		if format > snapshotFormat {
			err = newerErr(err.Error())
		}
		return err
	}
	s.now = int64(d.num())
	next := d.num()
	s.next, s.limit = d.num(), d.num()
	s.ahead = unzigzag(d.num())
	for k := d.num(); k > 0 && d.err == nil; k-- {
		q := s.queue(d.str())
		var rec queueRecord
		d.json(&rec)
		d.json(&q.books)
		q.settings = rec.Settings
		s.setHalt(q)
		q.Pace.Set(schedule(q.settings), s.nanos())
		q.Pace.restore(rec.Pace)
		if rules := newKeyRules(&q.settings); rules.on || rec.Keyed {
			s.keysOn(q, rules)
		}
		q.ids.restore(&d)
	}
	retries := map[*Run][]string{}
	for k := d.num(); k > 0 && d.err == nil; k-- {
		var rec runRecord
		name := d.str()
		d.json(&rec)
		r := &Run{name: name, source: rec.Source, queue: rec.Queue, resultsQ: rec.Results, sealed: rec.Sealed,
			total: rec.Total, books: rec.Books, created: rec.Created, ended: rec.Ended,
			rate: rec.Rate, stages: rec.Stages, givenUp: rec.GivenUp, retryOf: rec.RetryOf,
			readers: rec.Readers,
			hooks:   [2]hook{d.hook(rec.OnEnd), d.hook(rec.OnFailed)}, ends: rec.Ends,
			after: rec.After, afterAny: rec.AfterAny, waits: rec.Waits}
		retries[r] = rec.Retries
		for i, set := range []**positionSet{&r.put, &r.done, &r.failed, &r.dead} {
			*set = newPositions()
			if err := (*set).bits.UnmarshalBinary([]byte(d.str())); err != nil && d.err == nil {
				d.err = fmt.Errorf("positions of run %s: %w", name, err)
			}
			(*set).bits.SetCopyOnWrite(true) // reading it has reset that
			if rec.Whole != nil {
				(*set).whole = rec.Whole[i]
			}
		}
		s.runs[name] = r
		s.noteHeld(r, cmp.Or(rec.HeldIn, r.queue))
	}
	for first, names := range retries {
		for _, name := range names {
			r := s.runs[name]
			if r == nil {
				d.fail("retry of a run")
				break
			}
			first.retries = append(first.retries, r)
		}
	}
	s.restoreWaits()
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
	if next > maxTask {
		d.fail("task number")
	}
	s.tasks.next = max(next, s.tasks.next)
	for _, q := range s.queues {
		s.holdIDs(q)
	}
	for k := d.num(); k > 0 && d.err == nil; k-- {
		number := d.num()
		l := lease{task: d.num(), deadline: int64(d.num()), length: int64(d.num())}
		if e := s.tasks.look(l.task); e == nil || e.state() != glassq.Leased {
			d.fail("lease")
			break
		}
		s.leases.set(number, l)
		s.leaseTimers.push(l.deadline, number)
	}
	s.restoreAcked(&d)
	if format > 3 {
		s.restoreSections(&d)
	}
	s.checkRanges(&d)
	s.placeKeys()
	return d.err
}

func (s *State) restoreSections(d *decoder) {
	for d.err == nil {
		switch tag := d.num(); tag {
		case sectionEnd:
			return
		case sectionKeys:
			s.restoreKeys(d)
		case sectionSchedules:
			s.restoreSchedules(d)
		case sectionProgress:
			s.restoreProgress(d)
		case sectionHalts:
			s.restoreHalts(d)
		case sectionRanges:
			s.restoreRanges(d)
		case sectionKeyHalts:
			s.restoreKeyHalts(d)
		default:
			d.err = cmp.Or(d.err, newerErr(fmt.Sprintf("snapshot: section %d", tag)))
		}
	}
}

const maxTask = 1 << 56

// restoreTasks reads the chunks and keeps them packed.
func (s *State) restoreTasks(d *decoder) {
	all := new([chunkLen]entry)
	least := uint64(0) // the next chunk
	for k := d.num(); k > 0 && d.err == nil; k-- {
		ci := d.num()
		c := s.tasks.newChunk()
		c.packed = s.tasks.keep(d.chunk(&s.tasks))
		*all = [chunkLen]entry{}
		live, first, last, ok := unpack(c.packed, all)
		if d.err != nil || !ok || live == 0 || ci > maxTask/chunkLen || ci == 0 && all[0].state() != glassq.Gone ||
			ci < least {
			d.fail("tasks")
			return
		}
		least = ci + 1
		c.live, c.first, c.last = int32(live), first, last
		s.tasks.place(ci, c)
		s.tasks.live += int64(live)
		for i := range all {
			if e := &all[i]; e.state() != glassq.Gone && !s.restoreTask(ci*chunkLen+uint64(i), e) {
				d.fail("task")
				return
			}
		}
		for k := d.num(); k > 0 && d.err == nil; k-- {
			at := d.num()
			if at >= chunkLen || all[at].state() == glassq.Gone {
				d.fail("reason")
				return
			}
			s.tasks.setReason(ci*chunkLen+at, d.str())
		}
		for _, t := range []*timers{&s.delays, &s.ttls} {
			for k := d.num(); k > 0 && d.err == nil; k-- {
				at, due := d.num(), int64(d.num())
				if at >= chunkLen || t == &s.delays && all[at].state() != glassq.Delayed || t == &s.ttls && !all[at].has(flagTTL) {
					d.fail("timer")
					return
				}
				t.push(due, ci*chunkLen+at)
			}
		}
	}
}

// restoreTask books one entry of a restored chunk.
func (s *State) restoreTask(n uint64, e *entry) bool {
	if e.class >= uint32(len(s.class)) || s.class[e.class].queue == nil {
		return false
	}
	s.tasks.next = n + 1
	c := &s.class[e.class]
	c.refs++
	q := c.queue
	q.count[e.state()]++
	q.headers = true // which of them have some, a checkpoint does not say
	q.bytes += e.size()
	if e.frame() != 0 { // else its body is that of its range
		s.hooks.Live(e.frame(), s.weight(e), 0)
	} else {
		s.strays++
	}
	if e.has(flagResult) && c.run != nil && e.state() != glassq.Dead {
		c.run.results++
	}
	if s.inLane(n, e); e.state() == glassq.Dead {
		q.dead.add(n)
	}
	return true
}

func (s *State) restoreAcked(d *decoder) {
	for k := d.num(); k > 0 && d.err == nil; k-- {
		num, last := d.num(), int64(d.num())
		count := d.num()
		if count > ackedLen || s.acked.blocks[num] != nil {
			d.fail("acked numbers")
			return
		}
		b := &ackedBlock{last: last}
		for ; count > 0 && d.err == nil; count-- {
			i := d.num()
			name := d.str()
			if i >= ackedLen {
				d.fail("acked number")
				return
			}
			if q := s.queues[name]; q != nil && b.queue[i] == 0 {
				b.queue[i] = q.num + 1
				b.count++
			}
		}
		if b.count == 0 {
			continue // all of queues that were dropped, as programs wrote them that did not forget those
		}
		if s.acked.blocks == nil {
			s.acked.blocks = map[uint64]*ackedBlock{}
		}
		s.acked.blocks[num] = b
		s.acked.order = append(s.acked.order, num)
		s.acked.count += b.count
	}
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

func (d *decoder) raw(b []byte) {
	if d.err != nil {
		return
	}
	if _, err := io.ReadFull(d.r, b); err != nil {
		d.fail("bytes")
	}
}

// str reads a string. A long one is read in steps, so that a damaged length does not allocate what
// it says.
func (d *decoder) str() string {
	n := d.num()
	if d.err != nil || n == 0 {
		return ""
	}
	if n <= 64<<10 {
		b := make([]byte, n)
		d.raw(b)
		return string(b)
	}
	var buf bytes.Buffer
	if m, err := io.CopyN(&buf, d.r, int64(min(n, 1<<40))); err != nil || uint64(m) != n {
		d.fail("string")
		return ""
	}
	return buf.String()
}

// chunk reads a packed chunk, which is good until t packs another.
func (d *decoder) chunk(t *table) []byte {
	n := d.num()
	if n > packedMost {
		d.fail("tasks")
	}
	if d.err != nil {
		return nil
	}
	t.buf = slices.Grow(t.buf[:0], int(n))[:n]
	d.raw(t.buf)
	return t.buf
}

func (d *decoder) json(v any) {
	if s := d.str(); d.err == nil && json.Unmarshal([]byte(s), v) != nil {
		d.fail("settings or books")
	}
}
