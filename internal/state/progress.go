package state

import (
	"fmt"
	"maps"
	"math"

	"github.com/glassq/glassq"
)

// Workers say how far they are with a task: its progress, a note, a checkpoint to go on from. What
// they said stays with the task until it is gone, and goes with the next hand-out. A checkpoint is
// bytes that lie in the log as a body does, in the record that said it or in a later move of it.

// The kinds of an opProgress record.
const (
	progressSaid   byte = iota // lease number, sequence number, length in ms, bits, what they name
	progressMoved              // task, checkpoint: it lies here now
	progressForget             // task: its checkpoint does not read, and is forgotten
)

// Members of a progressSaid record.
const (
	saidDone = 1 << iota
	saidNote
	saidCheckpoint
)

const (
	millionths = 1_000_000      // the whole of a task
	noDone     = math.MaxUint32 // nobody said how much is done
)

// A mark is what was said of a task, and never changed. Tasks of which nothing was said have none.
type mark struct {
	lease, seq uint64 // the last saying, and whose it was
	frame      uint64 // with size: where the checkpoint lies
	offset     uint32
	size       uint32 // bytes of the checkpoint, 0 for none
	done       uint32 // in millionths, or noDone
	note       string
}

// held is what the mark counts in its queue's bytes.
func (m *mark) held() int64 { return int64(m.size) + int64(len(m.note)) }

// kept is about how many bytes of the log the checkpoint keeps from being freed.
func (m *mark) kept() int64 { return int64(m.size) + recordWeight }

// A going is how far the tasks of a queue or a run are that are not dead.
type going struct{ tasks, done int64 } // those that said so, and the sum of what they said

func (g *going) info() glassq.Going {
	if g.tasks == 0 {
		return glassq.Going{}
	}
	return glassq.Going{Tasks: g.tasks, Done: float64(g.done) / float64(g.tasks) / millionths}
}

// AppendProgress appends what x says, under its lease, which lasts length ms from now. The puts of
// its partial results come right after it.
func AppendProgress(dst []byte, x *glassq.Extend, length int64) []byte {
	dst = appendNums(append(dst, byte(opProgress), progressSaid), x.Token.Number, x.Seq, uint64(length))
	at := len(dst)
	dst = append(dst, 0)
	p := x.Progress
	if p == nil {
		return dst
	}
	if p.Done >= 0 {
		dst[at] |= saidDone
		dst = appendNums(dst, uint64(math.Round(min(p.Done, 1)*millionths)))
	}
	if p.Note != "" {
		dst[at] |= saidNote
		dst = appendString(dst, p.Note)
	}
	if p.Checkpoint != nil {
		dst[at] |= saidCheckpoint
		dst = append(appendNums(dst, uint64(len(p.Checkpoint))), p.Checkpoint...)
	}
	return dst
}

// AppendForget appends that the checkpoint of task n is forgotten.
func AppendForget(dst []byte, n uint64) []byte {
	return appendNums(append(dst, byte(opProgress), progressForget), n)
}

// A saying is an opProgress record taken apart. What it says of bytes aliases the record.
type saying struct {
	kind       byte
	number     uint64 // of the lease, or else of the task
	seq        uint64
	length     int64
	bits       byte
	done       uint32
	note       []byte
	checkpoint []byte
	size       int // bytes of the record
}

func decodeProgress(b []byte) (d saying, err error) {
	if len(b) < 2 || op(b[0]) != opProgress {
		return d, recordErr("progress")
	}
	r := reader{b: b[1:]}
	d.kind, d.number = r.most(progressForget), r.uvarint()
	switch d.kind {
	case progressSaid:
		d.seq, d.length, d.bits = r.uvarint(), int64(r.small()), r.most(saidCheckpoint<<1-1)
		if d.bits&saidDone != 0 {
			done := r.uvarint()
			r.bad = r.bad || done > millionths
			d.done = uint32(done)
		}
		if d.bits&saidNote != 0 {
			d.note = r.bytes(r.uvarint())
		}
		if d.bits&saidCheckpoint != 0 {
			d.checkpoint = r.bytes(r.uvarint())
		}
	case progressMoved:
		d.checkpoint = r.bytes(r.uvarint())
		r.bad = r.bad || len(d.checkpoint) == 0
	}
	d.size = len(b) - len(r.b)
	r.bad = r.bad || len(d.checkpoint) > maxSize
	return d, r.err("progress")
}

// Checkpoint returns the checkpoint in the record at the start of rec, which it aliases.
func Checkpoint(rec []byte) ([]byte, error) {
	d, err := decodeProgress(rec)
	if err == nil && len(d.checkpoint) == 0 {
		err = recordErr("checkpoint")
	}
	return d.checkpoint, err
}

// IsCheckpoint tells whether the record at the start of rec moves a checkpoint, not a body.
func IsCheckpoint(rec []byte) bool { return len(rec) > 0 && op(rec[0]) == opProgress }

// appendMoved appends the move of the checkpoint of task n from rec, which holds it.
func appendMoved(dst []byte, n uint64, rec []byte) (out []byte, ok bool) {
	c, err := Checkpoint(rec)
	if err != nil {
		return dst, false
	}
	dst = appendNums(append(dst, byte(opProgress), progressMoved), n, uint64(len(c)))
	return append(dst, c...), true
}

func (s *State) applyProgress(b []byte, frame uint64, offset uint32) (int, error) {
	d, err := decodeProgress(b)
	if err != nil {
		return 0, err
	}
	if d.kind == progressSaid {
		return d.size, s.applySaid(&d, frame, offset)
	}
	m, err := s.movingCheckpoint(&d)
	if err != nil {
		return 0, err
	}
	now := *m
	if now.frame, now.offset = frame, offset; d.kind == progressForget {
		now.noCheckpoint()
	}
	s.remark(d.number, s.tasks.get(d.number), &now)
	return d.size, nil
}

// movingCheckpoint returns the mark whose checkpoint a record moves or forgets.
func (s *State) movingCheckpoint(d *saying) (*mark, error) {
	m := s.tasks.mark(d.number)
	if m == nil || m.size == 0 || d.kind == progressMoved && int(m.size) != len(d.checkpoint) {
		return nil, recordErr(fmt.Sprintf("move of the checkpoint of task %d, which has another", d.number))
	}
	return m, nil
}

func (s *State) applySaid(d *saying, frame uint64, offset uint32) error {
	l, ok := s.leases.get(d.number)
	if last := s.lastSaid(d.number, l.task); !ok || d.seq != last+1 {
		return recordErr(fmt.Sprintf("progress %d of lease %d, which is not live or is at %d", d.seq, d.number, last))
	}
	now := mark{done: noDone}
	if m := s.tasks.mark(l.task); m != nil {
		now = *m
	}
	now.lease, now.seq = d.number, d.seq
	if d.bits&saidDone != 0 {
		now.done = d.done
	}
	if d.bits&saidNote != 0 {
		now.note = string(d.note)
	}
	if d.bits&saidCheckpoint != 0 {
		if now.frame, now.offset, now.size = frame, offset, uint32(len(d.checkpoint)); now.size == 0 {
			now.noCheckpoint()
		}
	}
	s.remark(l.task, s.tasks.get(l.task), &now)
	return s.applyExtend(d.number, d.length)
}

// noCheckpoint forgets the checkpoint, and where it lay: an empty one lies nowhere.
func (m *mark) noCheckpoint() { m.frame, m.offset, m.size = 0, 0, 0 }

// lastSaid is the sequence number of the last saying under a lease of task n; 0 for none.
func (s *State) lastSaid(number, n uint64) uint64 {
	if m := s.tasks.mark(n); m != nil && m.lease == number {
		return m.seq
	}
	return 0
}

// remark replaces what was said of task n, whose entry is e; nil forgets it.
func (s *State) remark(n uint64, e *entry, now *mark) {
	was := s.tasks.mark(n)
	if was == now {
		return // both nil
	}
	q := s.class[e.class].queue
	held := q.bytes
	if now != nil {
		s.marked(e, now, 1)
		if now.size > 0 {
			s.hooks.Live(now.frame, now.kept(), 0)
		}
	}
	if was != nil {
		s.marked(e, was, -1)
		if was.size > 0 {
			s.hooks.Dropped(was.frame, was.kept())
		}
	}
	s.tasks.setMark(n, now)
	if q.bytes < held {
		s.hooks.Lowered(q)
	}
}

// marked counts a mark of a task, or with -1 takes that back.
func (s *State) marked(e *entry, m *mark, by int64) {
	s.class[e.class].queue.bytes += by * m.held()
	if m.size > 0 {
		s.checkpoints += by
	}
	s.goes(e, m, by)
}

// goes counts how far a task is, unless it is dead.
func (s *State) goes(e *entry, m *mark, by int64) {
	if m == nil || m.done == noDone || e.state() == glassq.Dead {
		return
	}
	add := func(g *going) {
		g.tasks += by
		g.done += by * int64(m.done)
	}
	add(&s.class[e.class].queue.going)
	if run := s.booked(e); run != nil {
		add(&run.going)
	}
}

// Checkpoints is how many tasks have one.
func (s *State) Checkpoints() int64 { return s.checkpoints }

func (m *mark) progress() *glassq.Progress {
	if m == nil {
		return nil
	}
	p := &glassq.Progress{Done: -1, Note: m.note, Size: int(m.size)}
	if m.done != noDone {
		p.Done = float64(m.done) / millionths
	}
	return p
}

// Lies tells whether the body of its task or range, or its checkpoint, is still where x says.
func (s *State) Lies(x Lying) bool {
	s.tasks.trim()
	if r := s.rangeOf(x.Task); r != nil && r.frame == x.Frame && r.offset == x.Offset {
		return true
	}
	e := s.tasks.get(x.Task)
	if e == nil {
		return false
	}
	m := s.tasks.mark(x.Task)
	return e.frame() == x.Frame && e.offset() == x.Offset ||
		m != nil && m.size > 0 && m.frame == x.Frame && m.offset == x.Offset
}

// RoomForPartials refuses what x says for which its queue, or that of a partial result, has no room.
func (s *State) RoomForPartials(x *glassq.Extend) error {
	if _, err := s.RoomFor(x.Put); err != nil {
		return err
	}
	l, _ := s.leases.get(x.Token.Number)
	q := s.class[s.tasks.get(l.task).class].queue
	if x.Progress == nil || q.settings.MaxBytes == 0 {
		return nil
	}
	more := int64(len(x.Progress.Note) + len(x.Progress.Checkpoint))
	if m := s.tasks.mark(l.task); m != nil && x.Progress.Note != "" {
		more -= int64(len(m.note))
	}
	if m := s.tasks.mark(l.task); m != nil && x.Progress.Checkpoint != nil {
		more -= int64(m.size)
	}
	if more <= 0 {
		return nil
	}
	for i := range x.Put {
		if t := &x.Put[i]; t.Queue == q.Name && !s.IsDuplicate(t) {
			more += Size(t)
		}
	}
	if q.bytes+more > q.settings.MaxBytes {
		return glassq.Errorf(glassq.CodeQueueFull,
			"queue %s holds %d bytes and may hold %d (max_bytes), which leaves no room for the checkpoint; the one before stays, so try again when some tasks are done",
			q.Name, q.bytes, q.settings.MaxBytes)
	}
	return nil
}

// mark is what was said of task n, or nil.
func (t *table) mark(n uint64) *mark {
	if t.marks == 0 {
		return nil
	}
	if c := t.chunk(n / chunkLen); c != nil {
		return c.marks[uint16(n%chunkLen)]
	}
	return nil
}

// setMark keeps or, with nil, forgets what was said of task n.
func (t *table) setMark(n uint64, m *mark) {
	c, k := t.chunk(n/chunkLen), uint16(n%chunkLen)
	if c.oldMarks || c.marks == nil {
		c.marks, c.oldMarks = maps.Clone(c.marks), false
		if c.marks == nil {
			c.marks = map[uint16]*mark{}
		}
	}
	t.marks -= int64(len(c.marks))
	if c.marks[k] = m; m == nil {
		delete(c.marks, k)
	}
	if t.marks += int64(len(c.marks)); len(c.marks) == 0 {
		c.marks = nil
	}
}

// writeProgress writes the section of what was said of tasks, if anything was.
func (im *Image) writeProgress(e *encoder) {
	if im.marks == 0 {
		return
	}
	e.num(sectionProgress, uint64(im.marks))
	for i := range im.chunks {
		c := &im.chunks[i]
		for k := range uint16(chunkLen) {
			m := c.marks[k]
			if m == nil {
				continue
			}
			e.num(c.ci*chunkLen+uint64(k), m.lease, m.seq, uint64(m.done))
			e.str(m.note)
			if e.num(uint64(m.size)); m.size > 0 {
				e.num(m.frame, uint64(m.offset))
			}
		}
	}
}

func (s *State) restoreProgress(d *decoder) {
	for k := d.num(); k > 0 && d.err == nil; k-- {
		n := d.num()
		m := &mark{lease: d.num(), seq: d.num(), done: uint32(min(d.num(), noDone)), note: d.str()}
		size := d.num()
		if size > 0 {
			frame, offset := d.num(), d.num()
			m.frame, m.offset, m.size = min(frame, maxFrame), uint32(min(offset, maxOffset)), uint32(min(size, maxSize))
		}
		e := s.tasks.look(n)
		if e == nil || s.tasks.mark(n) != nil || m.done > millionths && m.done != noDone || size > maxSize {
			d.fail("progress")
			return
		}
		s.remark(n, e, m)
	}
}
