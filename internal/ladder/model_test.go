package ladder

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// A model is what a store ought to hold, in plain slices and maps, and as slow as it likes. Times
// are ms since 1970.
type model struct {
	now    int64
	tasks  []mtask // those that are held, by number
	next   uint64  // the number of the next put
	queues map[string]mqueue
	runs   map[string]mrun
	ids    map[[2]string]mid // by queue and id: those that are taken, or were until their window passed
	acked  map[glassq.Token]int64
	lost   []glassq.Token     // ended without an ack
	keys   map[[2]string]mkey // by queue and key
	high   uint64             // the highest lease number handed out
	owing  []string           // runs that have come to their ends, which are to be written

	schedules map[string]mschedule
	ahead     int64 // of the wall clock before now
	deaf      int64 // until then, of the wall clock, no store is open; 0 for now
}

type mtask struct {
	glassq.Task
	num     uint64
	state   glassq.State
	attempt int
	at      int64 // Delayed: when it is ready. Leased: the deadline
	ttl     int64 // when it ends; 0 for never
	lease   uint64
	length  int64
	reason  string
	nacked  bool             // Dead because it was nacked
	said    *glassq.Progress // what was said of it, never changed; nil for nothing
	sayer   uint64           // the lease of the last saying, and its number
	seq     uint64
	of      uint64 // the first number of the range that it was put with; 0 for none
	size    int64  // that the range counts once, for as long as one of its tasks is there
	taken   bool   // it was handed out
	held    bool   // Delayed: its run waits for another
}

// A mid is an id that a task was put with.
type mid struct {
	at  int64
	num uint64
}

type mqueue struct {
	set   glassq.Settings
	books glassq.Books
	halt  mhalt
	keyed bool // it may have looked at keys: whose turn it is nobody promises
}

func newModel() *model {
	return &model{next: 1, queues: map[string]mqueue{}, runs: map[string]mrun{}, ids: map[[2]string]mid{},
		acked: map[glassq.Token]int64{}, keys: map[[2]string]mkey{}}
}

func (m *model) clone() *model {
	c := *m
	c.tasks, c.lost, c.owing = slices.Clone(m.tasks), slices.Clone(m.lost), slices.Clone(m.owing)
	c.queues, c.ids, c.acked = maps.Clone(m.queues), maps.Clone(m.ids), maps.Clone(m.acked)
	c.runs, c.keys, c.schedules = maps.Clone(m.runs), maps.Clone(m.keys), maps.Clone(m.schedules)
	for name, r := range c.runs {
		r.put, r.done, r.failed = maps.Clone(r.put), maps.Clone(r.done), maps.Clone(r.failed)
		r.dead, r.ok = maps.Clone(r.dead), maps.Clone(r.ok)
		c.runs[name] = r
	}
	return &c
}

func (m *model) find(num uint64) *mtask {
	i, ok := slices.BinarySearchFunc(m.tasks, num, func(t mtask, n uint64) int { return cmp.Compare(t.num, n) })
	if !ok {
		return nil
	}
	return &m.tasks[i]
}

func (m *model) forget(num uint64) {
	m.tasks = slices.DeleteFunc(m.tasks, func(t mtask) bool { return t.num == num })
}

// book changes the books that count t: its queue's, and its run's unless it is a result.
func (m *model) book(t *mtask, fn func(*glassq.Books)) {
	q := m.queues[t.Queue]
	fn(&q.books)
	m.queues[t.Queue] = q
	if t.Run != "" && t.OfAttempt == 0 {
		r := m.run(t.Run)
		fn(&r.books)
		m.runs[t.Run] = r
	}
}

func (m *model) duplicate(t *glassq.Task) bool {
	switch {
	case t.OfAttempt > 0:
		return false
	case t.Dense:
		r, ok := m.runs[t.Run]
		return ok && r.put[t.Position]
	case t.ID != "":
		id, ok := m.ids[[2]string{t.Queue, t.ID}]
		return ok && m.takes(t.Queue, id)
	}
	return false
}

// takes tells whether an id that was put in queue is still taken.
func (m *model) takes(queue string, id mid) bool {
	return m.now-id.at < glassq.DedupWindow.Milliseconds() ||
		m.queues[queue].set.Unique == glassq.UniquePending && m.find(id.num) != nil
}

// forgetIDs forgets the ids of queue that are not taken, for good.
func (m *model) forgetIDs(queue string) {
	maps.DeleteFunc(m.ids, func(k [2]string, id mid) bool { return k[0] == queue && !m.takes(queue, id) })
}

// free gives the id of a task free that ended without an ack.
func (m *model) free(t *mtask) {
	if k := [2]string{t.Queue, t.ID}; m.ids[k].num == t.num {
		delete(m.ids, k)
	}
}

// unique counts the ids in queue of tasks that are there.
func (m *model) unique(queue string) (n int64) {
	for k, id := range m.ids {
		if k[0] == queue && m.find(id.num) != nil {
			n++
		}
	}
	return n
}

// configure changes the settings of queue.
func (m *model) configure(queue string, c glassq.SettingsChange) glassq.Settings {
	m.forgetIDs(queue)
	q := m.queues[queue]
	was := q.set
	q.set = c.Apply(q.set)
	before := m.queues[queue]
	m.queues[queue] = q
	m.changeHalts(queue, was, &c)
	m.changeKeys(queue, before)
	m.forgetIDs(queue)
	return q.set
}

func (m *model) held(queue string, states ...glassq.State) (n int64) {
	for i := range m.tasks {
		if t := &m.tasks[i]; t.Queue == queue && (len(states) == 0 || slices.Contains(states, t.state)) {
			n++
		}
	}
	return n
}

func (m *model) bytes(queue string) (n int64) {
	last := uint64(0)
	for i := range m.tasks {
		t := &m.tasks[i]
		switch {
		case t.Queue != queue:
		case t.of == 0:
			n += state.Size(&t.Task)
		case t.of != last: // the tasks of a range have numbers in a row
			last = t.of
			n += t.size
		}
		if t.Queue == queue && t.said != nil {
			n += int64(len(t.said.Note) + t.said.Size)
		}
	}
	return n
}

// positions are the tasks that a put of t is: one, or those of its range.
func positions(t *glassq.Task) []glassq.Task {
	if t.Range == nil {
		return []glassq.Task{*t}
	}
	var all []glassq.Task
	for i := range t.Range.Count {
		x := *t
		x.Range, x.Position = nil, t.Position+uint32(i)
		x.Body = bytes.ReplaceAll(t.Body, []byte("{0:03}"), fmt.Appendf(nil, "%03d", uint64(x.Position)+t.Range.Add))
		all = append(all, x)
	}
	return all
}

// refuses is the code by which a put is to be refused, or nothing.
func (m *model) refuses(ts []glassq.Task) glassq.Code {
	add, size, ids := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for i := range ts {
		whole := state.Size(&ts[i])
		for _, t := range positions(&ts[i]) {
			if r, ok := m.runs[t.Run]; t.Dense && ok && r.change.Sealed && r.change.Total > 0 &&
				uint64(t.Position) >= r.change.Total && !r.put[t.Position] {
				return glassq.CodeRunConflict
			}
			if m.duplicate(&t) {
				continue
			}
			add[t.Queue]++
			size[t.Queue] += whole
			if ts[i].Range != nil {
				whole = 0
			}
			if t.ID != "" && !t.Dense && t.OfAttempt == 0 {
				ids[t.Queue]++
			}
		}
	}
	for name, n := range add {
		set := m.queues[name].set
		if set.MaxTasks > 0 && m.held(name)+m.places(name)+n > set.MaxTasks ||
			set.MaxBytes > 0 && m.bytes(name)+size[name] > set.MaxBytes {
			return glassq.CodeQueueFull
		}
		if set.Unique == glassq.UniquePending && ids[name] > 0 && m.unique(name)+ids[name] > set.MostUnique() {
			return glassq.CodeQueueFull
		}
	}
	return ""
}

// put stores a task, or those of a range, and returns its receipt.
func (m *model) put(p glassq.Task) glassq.Receipt {
	if p.Range == nil {
		return m.putOne(p, 0, 0)
	}
	out := glassq.Receipt{Duplicate: true}
	first, size := m.next, state.Size(&p)
	for _, t := range positions(&p) {
		if r := m.putOne(t, first, size); !r.Duplicate {
			out = glassq.Receipt{Number: first, Put: out.Put + 1}
		}
	}
	return out
}

func (m *model) putOne(p glassq.Task, of uint64, size int64) glassq.Receipt {
	if m.duplicate(&p) {
		return glassq.Receipt{Duplicate: true}
	}
	t := mtask{Task: p, num: m.next, state: glassq.Ready, of: of, size: size}
	m.next++
	switch {
	case p.OfAttempt > 0:
	case p.Dense:
		m.run(p.Run).put[p.Position] = true
	case p.ID != "":
		m.ids[[2]string{p.Queue, p.ID}] = mid{m.now, t.num}
	}
	if p.TTL > 0 {
		t.ttl = m.now + p.TTL.Milliseconds()
	}
	if p.Delay > 0 {
		t.state, t.at = glassq.Delayed, m.now+p.Delay.Milliseconds()
	}
	if p.Run != "" {
		m.run(p.Run)
		if p.OfAttempt == 0 {
			m.reopen(p.Run)
		}
	}
	if t.state == glassq.Ready {
		m.keepBack(&t)
	}
	m.book(&t, func(b *glassq.Books) { b.Put++ })
	m.tasks = append(m.tasks, t)
	return glassq.Receipt{Number: t.num}
}

// heads are the tasks that a reserve hands out, in order, where no keys count.
func (m *model) heads(queue string, most int) []uint64 { return m.first(queue, m.may(queue, most)) }

// may is how many of most tasks a queue hands out, for all it is paused or halted.
func (m *model) may(queue string, most int) int {
	q := m.queues[queue]
	if q.set.Paused {
		return 0
	}
	if q.halt.stops(m.now) {
		return 0
	}
	if q.halt.halted {
		most = min(most, 1)
	}
	return most
}

// first are the ready tasks in the order in which they are handed out.
func (m *model) first(queue string, most int) []uint64 {
	var ready []*mtask
	for i := range m.tasks {
		if t := &m.tasks[i]; t.Queue == queue && t.state == glassq.Ready {
			ready = append(ready, t)
		}
	}
	slices.SortStableFunc(ready, func(a, b *mtask) int { return b.Priority.Level() - a.Priority.Level() })
	var out []uint64
	for _, t := range ready[:min(most, len(ready))] {
		out = append(out, t.num)
	}
	return out
}

func (m *model) leased(tok glassq.Token) *mtask {
	for i := range m.tasks {
		if t := &m.tasks[i]; t.state == glassq.Leased && t.lease == tok.Number && t.Queue == tok.Queue {
			return t
		}
	}
	return nil
}

func (m *model) handOut(num, lease uint64, length int64) {
	t := m.find(num)
	t.state, t.lease, t.length, t.at, t.taken = glassq.Leased, lease, length, m.now+length, true
	t.attempt++
	m.probed(t, lease)
	m.high = max(m.high, lease)
}

func (t *mtask) token() glassq.Token { return glassq.Token{Queue: t.Queue, Number: t.lease} }

// done books an acked task and forgets it.
func (m *model) done(t mtask, outcome glassq.Outcome, result bool) {
	m.ended(&t, t.lease, outcome == glassq.Failed)
	m.book(&t, func(b *glassq.Books) {
		if outcome == glassq.Failed {
			b.Failed++
		} else {
			b.OK++
		}
	})
	if t.Dense && t.OfAttempt == 0 {
		r := m.run(t.Run)
		if result {
			r.done[t.Position] = true
		}
		if outcome == glassq.Failed {
			r.failed[t.Position] = true
		} else {
			r.ok[t.Position] = true
		}
	}
	m.forget(t.num)
	m.forgetIDs(t.Queue)
	m.settleOf(&t)
}

// ack ends a lease; it returns the code of the refusal, or nothing.
func (m *model) ack(a *glassq.Ack) glassq.Code {
	p := m.leased(a.Token)
	if p == nil {
		if at, ok := m.acked[a.Token]; ok && m.now-at < glassq.AckedWindow.Milliseconds() {
			return ""
		}
		return glassq.CodeLeaseLost
	}
	if code := m.refuses(a.Put); code != "" {
		return code
	}
	t := *p
	m.acked[a.Token] = m.now
	if a.Cost != nil {
		m.settleCost(&t, int64(*a.Cost))
	}
	m.done(t, a.Outcome, a.Result != nil)
	if a.Result != nil {
		r := *a.Result
		r.Queue = cmp.Or(r.Queue, t.ResultQueue, m.runs[t.Run].change.Results, glassq.DefaultResults)
		r.Run, r.Position, r.Dense, r.ID, r.OfAttempt = t.Run, t.Position, t.Dense, "", t.attempt
		if !t.Dense {
			if r.ID = t.ID; r.ID == "" {
				r.ID = glassq.AssignedID(t.num)
			}
		}
		trace(&r, &t.Task)
		m.put(r)
	}
	for _, f := range a.Put {
		if f.Run == "" && t.OfAttempt == 0 {
			f.Run = t.Run
		}
		trace(&f, &t.Task)
		m.put(f)
	}
	return ""
}

func (m *model) nack(n *glassq.Nack) glassq.Code {
	t := m.leased(n.Token)
	if t == nil {
		return glassq.CodeLeaseLost
	}
	m.lost = append(m.lost, n.Token)
	if n.Hold > 0 {
		m.hold(t, n.Hold, n.Reason)
	}
	if n.Reason != "" {
		t.reason = n.Reason
	}
	if n.Undone {
		m.settleCost(t, 0)
		m.probeBack(t)
	} else {
		m.ended(t, t.lease, true)
	}
	switch {
	case n.Undone:
		t.attempt--
		m.back(t, 0)
	case n.Dead:
		m.die(t, true)
	default:
		delay := max(n.Delay, 0).Milliseconds()
		if n.Delay == 0 {
			delay = state.Backoff(t.num, t.attempt)
		}
		m.retry(t, delay)
	}
	return ""
}

func (m *model) retry(t *mtask, delay int64) {
	most := t.Attempts
	if most == 0 {
		most = m.queues[t.Queue].set.Attempts
	}
	if most == 0 {
		most = glassq.DefaultAttempts
	}
	if t.attempt >= most {
		m.die(t, false)
		return
	}
	m.back(t, delay)
}

func (m *model) back(t *mtask, delay int64) {
	switch {
	case t.ttl != 0 && t.ttl <= m.now:
		m.end(t, func(d *glassq.DeadCounts) { d.Expired++ })
	case delay > 0:
		t.state, t.at = glassq.Delayed, m.now+delay
	default:
		t.state = glassq.Ready
		m.keepBack(t)
	}
}

func (m *model) markDead(t *mtask, in bool) {
	if t.Dense && t.OfAttempt == 0 {
		if in {
			m.run(t.Run).dead[t.Position] = true
		} else {
			delete(m.run(t.Run).dead, t.Position)
		}
	}
}

func (m *model) die(t *mtask, nacked bool) {
	m.book(t, func(b *glassq.Books) {
		if nacked {
			b.Dead.Nacked++
		} else {
			b.Dead.Attempts++
		}
	})
	m.markDead(t, true)
	t.state, t.nacked = glassq.Dead, nacked
	m.settleOf(t)
}

// end ends a task that is not kept.
func (m *model) end(p *mtask, why func(*glassq.DeadCounts)) {
	t := *p
	m.book(&t, func(b *glassq.Books) { why(&b.Dead) })
	m.markDead(&t, true)
	m.free(&t)
	m.forget(t.num)
	m.settleOf(&t)
}

// advance lets what is due by now happen, one thing after the other.
func (m *model) advance(now int64) {
	for {
		first, at := m.due(now)
		if (first == nil || at > m.now && at+m.ahead > m.deaf) && m.endRuns() {
			continue // that may have let tasks go
		}
		if due, ok := m.moment(); ok && due <= now && (first == nil || at > due) {
			m.now = max(m.now, due)
			m.putDue()
			continue
		}
		if first == nil {
			break
		}
		m.now = max(m.now, at)
		switch {
		case first.state == glassq.Leased:
			m.lost = append(m.lost, first.token())
			m.ended(first, first.lease, true)
			m.retry(first, state.Backoff(first.num, first.attempt-1))
		case first.ttl == at:
			m.end(first, func(d *glassq.DeadCounts) { d.Expired++ })
		default:
			m.back(first, 0)
		}
	}
	m.now = max(m.now, now)
}

// due is the task to which something happens first, and when; nil when nothing does by now. Of one moment
// leases come first, by their numbers, then ends of delays, then those of ttls; ranges are behind single tasks.
func (m *model) due(now int64) (first *mtask, at int64) {
	var before [2]uint64
	for i := range m.tasks {
		t := &m.tasks[i]
		due, turn := int64(0), [2]uint64{4, t.num}
		switch {
		case t.state == glassq.Leased:
			due, turn = t.at, [2]uint64{0, t.lease}
		case t.state == glassq.Delayed && !t.held:
			due, turn[0] = t.at, 2
		}
		if t.ttl != 0 && (t.state == glassq.Ready || t.state == glassq.Delayed) && (due == 0 || t.ttl < due) {
			due, turn[0] = t.ttl, 4
		}
		if turn[0] > 0 && t.of != 0 && !t.taken {
			turn[0]++
		}
		if due != 0 && due <= now && (first == nil || due < at || due == at && slices.Compare(turn[:], before[:]) < 0) {
			first, at, before = t, due, turn
		}
	}
	return first, at
}

func (m *model) numbers(queue string, states ...glassq.State) []uint64 {
	var out []uint64
	for i := range m.tasks {
		if t := &m.tasks[i]; t.Queue == queue && slices.Contains(states, t.state) {
			out = append(out, t.num)
		}
	}
	return out
}

func (m *model) purge(queue string, states ...glassq.State) int {
	all := m.numbers(queue, states...)
	rank := func(num uint64) int { // delayed ones first, and of each state what is left of ranges
		t := m.find(num)
		n := map[glassq.State]int{glassq.Delayed: 0, glassq.Ready: 2, glassq.Dead: 4}[t.state]
		if t.of == 0 || t.taken {
			n++
		}
		return n
	}
	slices.SortStableFunc(all, func(a, b uint64) int { return rank(a) - rank(b) })
	return m.bury(all)
}

// bury ends tasks for good.
func (m *model) bury(all []uint64) int {
	for _, num := range all {
		if t := m.find(num); t.state == glassq.Dead {
			m.free(t)
			m.forget(num)
		} else {
			m.end(t, func(d *glassq.DeadCounts) { d.Purged++ })
		}
	}
	return len(all)
}

// meant are the dead tasks that a filter means.
func (m *model) meant(queue string, f glassq.DeadFilter) (all []uint64) {
	for _, num := range m.numbers(queue, glassq.Dead) {
		t := m.find(num)
		if (len(f.Tasks) == 0 || slices.Contains(f.Tasks, glassq.AssignedID(num))) && (f.Run == "" || t.Run == f.Run) &&
			(f.Why == "" || t.nacked == (f.Why == glassq.DeadNacked)) && strings.Contains(t.reason, f.Reason) {
			all = append(all, num)
		}
	}
	if f.Max > 0 {
		all = all[:min(f.Max, len(all))]
	}
	return all
}

func (m *model) redrive(queue string, most int) int {
	return m.revive(m.meant(queue, glassq.DeadFilter{Max: most}))
}

// revive makes dead tasks ready.
func (m *model) revive(all []uint64) int {
	for _, num := range all {
		t := m.find(num)
		m.book(t, func(b *glassq.Books) {
			if t.nacked {
				b.Dead.Nacked--
			} else {
				b.Dead.Attempts--
			}
		})
		if t.OfAttempt == 0 {
			m.reopen(t.Run)
		}
		m.markDead(t, false)
		t.nacked, t.attempt, t.reason = false, 0, ""
		m.back(t, 0)
	}
	return len(all)
}

func (m *model) drop(queue string) {
	m.purge(queue, glassq.Delayed, glassq.Ready, glassq.Dead)
	delete(m.queues, queue)
	maps.DeleteFunc(m.ids, func(k [2]string, _ mid) bool { return k[0] == queue })
	maps.DeleteFunc(m.keys, func(k [2]string, _ mkey) bool { return k[0] == queue })
	maps.DeleteFunc(m.acked, func(t glassq.Token, _ int64) bool { return t.Queue == queue })
}

// trace has t go on with the trace of the task that it comes of. Tasks of the ladder have room for
// it.
func trace(t, of *glassq.Task) {
	id := of.Headers[glassq.TraceHeader]
	if id == "" || t.Headers[glassq.TraceHeader] != "" {
		return
	}
	t.Headers = maps.Clone(t.Headers)
	if t.Headers == nil {
		t.Headers = map[string]string{}
	}
	t.Headers[glassq.TraceHeader] = id
}
