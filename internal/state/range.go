package state

import (
	"math"
	"slices"
	"sort"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/template"
)

// A taskRange is positions of a run that were put by one record. It has a block of consecutive task
// numbers, one for each position that was not put before, so its tasks have the numbers that they
// would have had one by one. A position gets an entry in the table when it is handed out, with
// frame 0: its body is made of the range's template. The range goes with its last position.
type taskRange struct {
	first, end uint64       // numbers; end is excluded
	rest       []stretch    // not handed out yet, in order
	own        bool         // rest is held by no Image, and may be changed
	left       uint64       // how many these are
	held       int64        // positions that have an entry
	state      glassq.State // of those left: Delayed or Ready
	class      uint32
	frame      uint64 // where its record lies
	offset     uint32
	size       int64 // as its queue counts it
	body       int64 // most bytes of one position's body and what is carried with it
	due        int64 // ms, when those that are delayed are ready; 0 when their run waits for another
	expires    int64 // ms, when those left end; 0 never
}

// A stretch is consecutive positions under consecutive numbers.
type stretch struct {
	first uint64 // the number of from
	from  uint32
	count uint64
}

// next is the number that is handed out next.
func (r *taskRange) next() uint64 { return r.rest[0].first }

// position returns the position with number n, if it was not handed out yet.
func (r *taskRange) position(n uint64) (uint32, bool) {
	i := sort.Search(len(r.rest), func(i int) bool { return r.rest[i].first > n }) - 1
	if i < 0 || n-r.rest[i].first >= r.rest[i].count {
		return 0, false
	}
	return r.rest[i].from + uint32(n-r.rest[i].first), true
}

// entry is what the table keeps of a position.
func (r *taskRange) entry(position uint32) entry {
	flags := uint64(flagDense)
	if r.expires > 0 {
		flags |= flagTTL
	}
	e := makeEntry(0, 0, 0, r.class, position, flags)
	e.setState(r.state)
	return e
}

// rangeAt returns the range that has number n, or nil.
func (s *State) rangeAt(n uint64) *taskRange {
	if len(s.ranges) == 0 {
		return nil
	}
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].first > n }) - 1
	if i < 0 || n >= s.ranges[i].end {
		return nil
	}
	return s.ranges[i]
}

// rangeOf returns the range whose first number is n, or nil: so it is named in moves and timers.
func (s *State) rangeOf(n uint64) *taskRange {
	if r := s.rangeAt(n); r != nil && r.first == n {
		return r
	}
	return nil
}

// rangesOf returns the ranges that have something left, and whose class want says yes to.
func (s *State) rangesOf(want func(c *class) bool) (found []*taskRange) {
	for _, r := range s.ranges {
		if r.left > 0 && want(&s.class[r.class]) {
			found = append(found, r)
		}
	}
	return found
}

// NewOf is how many of the positions of t, which has a range, were not put before.
func (s *State) NewOf(t *glassq.Task) uint64 {
	last := uint32(uint64(t.Position) + t.Range.Count - 1)
	if r := s.runs[t.Run]; r != nil {
		return t.Range.Count - r.put.count(t.Position, last)
	}
	return t.Range.Count
}

// checkNumbers refuses a range for which there are no task numbers any more.
func (s *State) checkNumbers(t *glassq.Task) error {
	if s.tasks.next+t.Range.Count >= maxTask {
		return glassq.Errorf(glassq.CodeTooLarge, "a range of %d tasks: this store has given out %d task numbers, and there are %d",
			t.Range.Count, s.tasks.next, uint64(maxTask))
	}
	return nil
}

// putRange puts the positions of p that were not put before.
func (s *State) putRange(p *put, ci uint32, frame uint64, offset uint32) error {
	c := &s.class[ci]
	q, run := c.queue, c.run
	if run == nil {
		return recordErr("range without run")
	}
	var t glassq.Task
	if err := new(Decoder).unpack(&t, p); err != nil {
		return err
	}
	tmpl, add, ok := template.Read(t.Body)
	last := p.n + uint32(p.count-1)
	if !ok || add+uint64(last) < add {
		return recordErr("template of a range")
	}
	r := &taskRange{first: s.tasks.next, state: glassq.Ready, class: ci, frame: frame, offset: offset,
		size: int64(min(len(p.rest), maxSize)),
		body: int64(min(len(p.rest)-len(t.Body)+tmpl.Size(add+uint64(last)), maxSize))}
	for _, x := range run.put.missing(p.n, last) {
		count := uint64(x.Last-x.First) + 1
		r.rest = append(r.rest, stretch{r.first + r.left, x.First, count})
		r.left += count
	}
	if r.end = r.first + r.left; r.left == 0 || r.end > maxTask {
		return recordErr("range without positions or numbers")
	}
	for _, x := range r.rest {
		run.put.AddAll(x.from, x.from+uint32(x.count-1))
	}
	s.tasks.pass(r.left)
	s.ranges = append(s.ranges, r)
	s.untouched += r.left
	if p.cost > 0 {
		s.rangeCosts[r.first] = p.cost
	}
	c.refs++
	s.hooks.Live(frame, s.rangeWeight(r), int64(p.size))
	q.books.Put += r.left
	q.bytes += r.size
	run.books.Put += r.left
	s.reopened(run)
	s.noteHeld(run, q.Name)
	if p.ttl > 0 {
		r.expires = s.now + int64(p.ttl)
		s.rangeTTLs.push(r.expires, r.first)
	}
	if p.delay > 0 {
		r.state, r.due = glassq.Delayed, s.now+int64(p.delay)
		q.count[glassq.Delayed] += int64(r.left)
		s.rangeDelays.push(r.due, r.first)
		return nil
	}
	s.rangeReady(r)
	return nil
}

// begins has the ranges of a run handed out that waited for nothing but another run.
func (s *State) begins(run *Run) {
	for _, r := range s.rangesOf(func(c *class) bool { return c.run == run }) {
		if r.state == glassq.Delayed && r.due == 0 {
			s.class[r.class].queue.count[glassq.Delayed] -= int64(r.left)
			s.rangeReady(r)
		}
	}
}

func (s *State) rangeWeight(r *taskRange) int64 {
	return r.size + int64(len(s.class[r.class].enc)) + recordWeight
}

// rangeReady has what is left of r handed out, which counts nowhere yet, or keeps it delayed while its
// run waits for another.
func (s *State) rangeReady(r *taskRange) {
	c := &s.class[r.class]
	q := c.queue
	if r.due = 0; c.run.waits {
		r.state = glassq.Delayed
		q.count[glassq.Delayed] += int64(r.left)
		return
	}
	r.state = glassq.Ready
	s.oneReady(q)
	q.count[glassq.Ready] += int64(r.left) - 1
	s.restInLane(r)
	s.hooks.Ready(q)
}

// restInLane puts what is left of r, which is ready and new to its key, into its lane.
func (s *State) restInLane(r *taskRange) {
	c := &s.class[r.class]
	s.laneOf(c).insert(span{r.next(), r.end}) // what is left has consecutive numbers
	c.queue.filled |= 1 << c.priority
	s.keyCounts(c, r.next(), int64(r.left))
}

// rangeDue does what is due with what is left of a range: its delay, or its ttl, has passed. It
// returns false for a timer whose cause went away.
func (s *State) rangeDue(t timer, ttl bool) bool {
	if ttl && !s.rangeTTLValid(t) || !ttl && !s.rangeDelayValid(t) {
		return false
	}
	r := s.rangeOf(t.ref)
	if ttl {
		s.endRest(r, func(d *glassq.DeadCounts, n uint64) { d.Expired += n })
	} else {
		s.class[r.class].queue.count[glassq.Delayed] -= int64(r.left)
		s.rangeReady(r)
	}
	return true
}

// taken returns the entry of task n, which is to be handed out; a position of a range gets one. It
// returns nil when the task is gone.
func (s *State) taken(n uint64) *entry {
	if e := s.tasks.get(n); e != nil {
		return e
	}
	return s.unfold(n)
}

// unfold makes an entry of task n, if it is the next position of a range that is ready; else it
// returns nil.
func (s *State) unfold(n uint64) *entry {
	r := s.rangeAt(n)
	if r == nil || r.left == 0 || r.state != glassq.Ready || r.next() != n {
		return nil
	}
	at := &r.rest[0]
	if !r.own {
		r.rest = slices.Clone(r.rest)
		r.own, at = true, &r.rest[0]
	}
	e := r.entry(at.from)
	at.first, at.from, at.count = at.first+1, at.from+1, at.count-1
	if at.count == 0 {
		r.rest = r.rest[1:]
	}
	r.left--
	r.held++
	s.untouched--
	s.class[r.class].refs++
	if r.expires > 0 {
		s.ttls.push(r.expires, n)
	}
	entry := s.tasks.set(n, e)
	if ci := n / chunkLen; r.left > 0 && r.next()/chunkLen == ci {
		s.tasks.chunk(ci).open = true
	} else {
		s.tasks.shut(ci)
	}
	return entry
}

// endRest ends what is left of r without an ack.
func (s *State) endRest(r *taskRange, bump func(d *glassq.DeadCounts, n uint64)) {
	c := &s.class[r.class]
	q, run := c.queue, c.run
	bump(&q.books.Dead, r.left)
	bump(&run.books.Dead, r.left)
	for _, x := range r.rest {
		run.dead.AddAll(x.from, x.from+uint32(x.count-1))
	}
	q.count[r.state] -= int64(r.left)
	s.untouched -= r.left
	ci := r.next() / chunkLen
	gone, left := r.rest[0], r.left
	r.left, r.rest = 0, nil
	s.tasks.shut(ci)
	if r.state == glassq.Ready {
		s.keyCounts(c, gone.first, -int64(left))
	}
	if r.due > 0 {
		s.rangeDelays.drop(s.rangeDelayValid)
	}
	if r.expires > 0 {
		s.rangeTTLs.drop(s.rangeTTLValid)
	}
	s.hooks.Lowered(q)
	s.rangeOver(r)
	s.settled(run)
}

// bodyGone notes that nobody wants the body of task n any more, which lay in frame; in 0 it is that of
// its range.
func (s *State) bodyGone(n, frame uint64, weight int64) {
	if frame != 0 {
		s.hooks.Dropped(frame, weight)
		return
	}
	r := s.rangeAt(n)
	r.held--
	s.rangeOver(r)
}

// rangeOver forgets r when nothing of it is there any more.
func (s *State) rangeOver(r *taskRange) {
	if r.left > 0 || r.held > 0 {
		return
	}
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].first >= r.first })
	s.ranges = slices.Delete(s.ranges, i, i+1)
	delete(s.rangeCosts, r.first)
	q := s.class[r.class].queue
	q.bytes -= r.size
	s.hooks.Dropped(r.frame, s.rangeWeight(r))
	s.hooks.Lowered(q)
	s.unref(r.class)
}

func (s *State) rangeDelayValid(t timer) bool {
	r := s.rangeOf(t.ref)
	return r != nil && r.left > 0 && r.state == glassq.Delayed && r.due == t.at
}

func (s *State) rangeTTLValid(t timer) bool {
	r := s.rangeOf(t.ref)
	return r != nil && r.left > 0
}

// view returns what is known of task n, to be read until the next call of any method; nil when it is
// gone.
func (s *State) view(n uint64) *entry {
	if e := s.tasks.look(n); e != nil {
		return e
	}
	return s.untaken(n)
}

// untaken is view of a position of a range that was not handed out yet.
func (s *State) untaken(n uint64) *entry {
	r := s.rangeAt(n)
	if r == nil {
		return nil
	}
	position, ok := r.position(n)
	if !ok {
		return nil
	}
	s.shown = r.entry(position)
	return &s.shown
}

// after is the first number behind n that a task may have. It leaps where there is neither a chunk
// nor a range.
func (s *State) after(n uint64) uint64 {
	if s.tasks.chunk(n/chunkLen) != nil {
		return n + 1
	}
	next := uint64(math.MaxUint64)
	if ci, c := s.tasks.from(n/chunkLen + 1); c != nil {
		next = ci * chunkLen
	}
	for i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].end > n+1 }); i < len(s.ranges); i++ {
		if r := s.ranges[i]; r.left > 0 {
			next = min(next, max(r.next(), n+1))
			break
		}
	}
	return next
}

// restIn appends the numbers of up to most positions of q that are in a state and were not handed
// out yet, from cursor on, range by range.
func (s *State) restIn(dst []uint64, q *Queue, want glassq.State, cursor uint64, most int) []uint64 {
	for _, r := range s.rangesOf(func(c *class) bool { return c.queue == q }) {
		if r.state != want {
			continue
		}
		for _, x := range r.rest {
			for n := max(x.first, cursor); n < x.first+x.count && most > 0; n++ {
				dst = append(dst, n)
				most--
			}
		}
		if most == 0 {
			break
		}
	}
	return dst
}

// shareRanges returns the ranges as they are now, for somebody else to read.
func (s *State) shareRanges() []taskRange {
	all := make([]taskRange, len(s.ranges))
	for i, r := range s.ranges {
		r.own = false
		all[i] = *r
	}
	return all
}

// writeRanges writes the section of the ranges, if there are any.
func (im *Image) writeRanges(e *encoder) {
	if len(im.ranges) == 0 {
		return
	}
	e.num(sectionRanges, uint64(len(im.ranges)))
	for i := range im.ranges {
		r := &im.ranges[i]
		e.num(r.first, r.end-r.first, uint64(r.class), r.frame, uint64(r.offset), uint64(r.size), uint64(r.body),
			uint64(r.state), uint64(r.due), uint64(r.expires), uint64(len(r.rest)))
		n := r.first
		for _, x := range r.rest {
			e.num(x.first-n, uint64(x.from), x.count)
			n = x.first + x.count
		}
	}
}

// restoreRanges reads what writeRanges wrote.
func (s *State) restoreRanges(d *decoder) {
	least := uint64(1)
	var some []uint64
	for k := d.num(); k > 0 && d.err == nil; k-- {
		r := &taskRange{first: d.num()}
		r.end = r.first + min(d.num(), glassq.MaxPositions)
		r.class = uint32(min(d.num(), math.MaxUint32))
		r.frame, r.offset = d.num(), uint32(min(d.num(), maxOffset))
		r.size, r.body = int64(min(d.num(), maxSize)), int64(min(d.num(), maxSize))
		r.state = glassq.State(min(d.num(), 255))
		r.due, r.expires = int64(d.num()), int64(d.num())
		if r.first < least || r.end <= r.first || r.end > s.tasks.next || r.frame == 0 || r.frame > maxFrame ||
			r.state != glassq.Ready && r.state != glassq.Delayed ||
			r.class >= uint32(len(s.class)) || s.class[r.class].queue == nil || s.class[r.class].run == nil {
			d.fail("range")
			return
		}
		least = r.end
		n := r.first
		for k := d.num(); k > 0 && d.err == nil; k-- {
			x := stretch{first: n + min(d.num(), glassq.MaxPositions)}
			x.from, x.count = uint32(min(d.num(), math.MaxUint32)), d.num()
			if x.first < n || x.count == 0 || x.count > r.end-r.first || x.first+x.count > r.end ||
				uint64(x.from)+x.count > glassq.MaxPositions {
				d.fail("positions of a range")
				return
			}
			r.rest = append(r.rest, x)
			r.left += x.count
			n = x.first + x.count
		}
		if d.err != nil {
			return
		}
		for ci, c := s.tasks.from(r.first / chunkLen); c != nil && ci*chunkLen < r.end; ci, c = s.tasks.from(ci + 1) {
			some = s.tasks.numbers(some[:0], ci, func(e *entry) bool { return e.frame() == 0 && e.class == r.class })
			for _, n := range some {
				if _, left := r.position(n); n >= r.first && n < r.end && !left {
					r.held++
				}
			}
		}
		s.restoreRange(r)
	}
}

// restoreRange books a restored range.
func (s *State) restoreRange(r *taskRange) {
	c := &s.class[r.class]
	c.refs++
	q := c.queue
	s.ranges = append(s.ranges, r)
	s.untouched += r.left
	q.bytes += r.size
	q.headers = true
	s.hooks.Live(r.frame, s.rangeWeight(r), 0)
	if r.left == 0 {
		return
	}
	if r.expires > 0 {
		s.rangeTTLs.push(r.expires, r.first)
	}
	if r.state == glassq.Delayed {
		q.count[glassq.Delayed] += int64(r.left)
		if r.due > 0 {
			s.rangeDelays.push(r.due, r.first)
		}
		return
	}
	q.count[glassq.Ready] += int64(r.left)
	s.restInLane(r)
}

// checkRanges refuses a snapshot with tasks of ranges that it does not have, or the reverse.
func (s *State) checkRanges(d *decoder) {
	if d.err != nil {
		return
	}
	for _, r := range s.ranges {
		s.strays -= r.held
		if r.left == 0 && r.held == 0 {
			d.fail("a range without positions")
		}
	}
	if s.strays != 0 {
		d.fail("a task of no range")
	}
}
