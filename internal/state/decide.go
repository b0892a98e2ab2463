package state

import (
	"cmp"
	"time"

	"github.com/glassq/glassq"
)

// A Lookup answers what became of a lease number.
type Lookup uint8

const (
	Lost  Lookup = iota // unknown, expired, or of another queue
	Live                // the lease holds
	Acked               // it was acked, and repeating that changes nothing
)

// Lease looks up a lease number, of any queue or of the one it was named with.
func (s *State) Lease(t glassq.Token) Lookup {
	var q *Queue
	if t.Queue == "" {
		q = s.QueueOfLease(t.Number)
	} else {
		q = s.Queue(t.Queue)
	}
	if q == nil {
		return Lost
	}
	s.tasks.trim()
	if l, ok := s.leases.get(t.Number); ok {
		if e := s.tasks.get(l.task); e != nil && s.class[e.class].queue == q {
			return Live
		}
		return Lost
	}
	if s.acked.has(t.Number, q.num, s.now) {
		return Acked
	}
	return Lost
}

// QueueOfLease is the queue of a live or acked lease; nil when it is neither, or its queue was
// dropped.
func (s *State) QueueOfLease(number uint64) *Queue {
	if l, ok := s.leases.get(number); ok {
		if e := s.tasks.get(l.task); e != nil {
			return s.class[e.class].queue
		}
		return nil
	}
	if num, ok := s.acked.queueOf(number); ok {
		return s.byNum[num]
	}
	return nil
}

// A Leased describes the task of a live lease, without its body.
type Leased struct {
	Task     uint64
	Queue    *Queue // of the task
	Place    Place
	Attempt  int
	Run      string
	N        uint32
	Dense    bool
	Result   string // the queue for its result
	IsResult bool
	Length   int64 // ms, as granted
	Headers  bool  // the task may have headers; false is certain, so that its record need not be read for them
}

// Stamp says of a result what its lease knows; ID stays empty for one that is not a position of a
// run.
func (d *Leased) Stamp(t *glassq.Task) {
	t.Queue = cmp.Or(t.Queue, d.Result)
	t.Run, t.Position, t.Dense, t.ID, t.OfAttempt = d.Run, d.N, d.Dense, "", d.Attempt
}

// CheckResult tells, with a *glassq.UncheckedError, that the result of a live lease was not checked
// against the schema that its queue has now.
func (d *Leased) CheckResult(checked glassq.Schema) error {
	if want := d.Queue.settings.ResultSchema; checked != want {
		return &glassq.UncheckedError{Queue: d.Queue.Name, Schema: want}
	}
	return nil
}

// Leased describes the task of a live lease.
func (s *State) Leased(number uint64) Leased {
	l, _ := s.leases.get(number)
	e := s.tasks.get(l.task)
	c := &s.class[e.class]
	d := Leased{Task: l.task, Queue: c.queue, Attempt: e.attempts(),
		N: e.n, Dense: e.has(flagDense), Result: c.resultQueue(), IsResult: e.has(flagResult), Length: l.length,
		Headers: c.queue.headers}
	s.locate(&d.Place, l.task, e)
	if c.run != nil {
		d.Run = c.run.name
		if d.Result == "" {
			d.Result = c.run.ResultsQueue()
		}
	}
	if d.Result == "" {
		d.Result = glassq.DefaultResults
	}
	return d
}

// A Place is where the body of a task lies, and what a hand-out needs beside it.
type Place struct {
	Frame   uint64
	Offset  uint32
	Size    int64 // bytes of the body and what is carried with it, the checkpoint included
	Attempt int   // hand-outs so far
	Lease   int64 // ms the task asks for; 0 for none
	Waits   bool  // its key has a limit: a hand-out is told when it is durable

	Position uint32 // in its run; what of a range's record it is

	said *mark
}

// Said is what was said of the task, without the bytes of its checkpoint; nil for nothing.
func (p *Place) Said() *glassq.Progress { return p.said.progress() }

// Checkpoint is where the checkpoint of the task lies, in a record that Checkpoint reads; ok is
// false when it has none.
func (p *Place) Checkpoint() (frame uint64, offset uint32, ok bool) {
	if p.said == nil || p.said.size == 0 {
		return 0, 0, false
	}
	return p.said.frame, p.said.offset, true
}

// Last is the newest frame that a hand-out reads.
func (p *Place) Last() uint64 {
	frame, _, _ := p.Checkpoint()
	return max(p.Frame, frame)
}

// Length is how long a lease of the task lasts, in ms: as asked, else as the task says, else the
// default.
func (p *Place) Length(asked time.Duration) int64 {
	return cmp.Or(asked.Milliseconds(), p.Lease, glassq.DefaultLease.Milliseconds())
}

// Place returns the place of task n; ok is false when it is gone.
func (s *State) Place(n uint64) (p Place, ok bool) {
	s.tasks.trim()
	e := s.tasks.get(n)
	if e == nil {
		e = s.untaken(n)
	}
	if e == nil {
		return p, false
	}
	s.locate(&p, n, e)
	return p, true
}

// Tasks is how many tasks there are, dead ones included.
func (s *State) Tasks() int64 { return s.tasks.live + int64(s.untouched) }

// locate fills in the place of task n.
func (s *State) locate(p *Place, n uint64, e *entry) {
	c := &s.class[e.class]
	p.Frame, p.Offset, p.Size, p.Attempt = e.frame(), e.offset(), e.size(), e.attempts()
	p.Lease, p.Waits, p.Position, p.said = int64(c.lease), c.key != nil && c.key.lim.bounded(), e.n, s.tasks.mark(n)
	if p.Frame == 0 {
		r := s.rangeAt(n)
		p.Frame, p.Offset, p.Size = r.frame, r.offset, r.body
	}
	if p.said != nil {
		p.Size += p.said.held()
	}
}

// Reason is why task n was nacked, as the worker said.
func (s *State) Reason(n uint64) string { return s.tasks.reason(n) }

// NextLease returns the number of the next lease, and how many from it on are reserved in the log.
func (s *State) NextLease() (number uint64, left uint64) {
	return s.next, s.limit - min(s.next, s.limit)
}

// Limit is the bound below which lease numbers are reserved in the log.
func (s *State) Limit() uint64 { return s.limit }

// IsDuplicate tells whether t was put before: its position of its run, or its id in its queue.
func (s *State) IsDuplicate(t *glassq.Task) bool {
	switch {
	case t.OfAttempt > 0:
		return false
	case t.Range != nil:
		return s.NewOf(t) == 0
	case t.Dense:
		r := s.runs[t.Run]
		return r != nil && r.put.Contains(t.Position)
	case t.ID != "":
		q := s.Queue(t.Queue)
		return q != nil && q.ids.has(hashID([]byte(t.ID)), s.now)
	}
	return false
}

// NextTask is the number that the next put gets.
func (s *State) NextTask() uint64 { return s.tasks.next }

// Figures fills in what the state knows of the engine's figures.
func (s *State) Figures(f *glassq.Stats) {
	f.Tasks, f.Leases, f.Acked, f.Dedup = s.Tasks(), int64(s.leases.live), int64(s.acked.count), int64(s.idCount)
}

// DueAt tells when tasks in a state are due, in ms: delayed ones are ready then, leased ones are
// handed out again. It looks through all timers, so it is for people, not for every hand-out.
func (s *State) DueAt(in glassq.State) map[uint64]int64 {
	due := map[uint64]int64{}
	switch in {
	case glassq.Delayed:
		for i := range s.delays.n {
			t := s.delays.get(i)
			if s.delayValid(t) {
				due[t.ref] = t.at
			}
		}
	case glassq.Leased:
		s.leases.each(func(_ uint64, l lease) { due[l.task] = l.deadline })
	}
	return due
}
