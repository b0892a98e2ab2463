// Package history judges what the clients of a queue saw: which tasks were put, handed out and
// acked, and whether that fits the promises P1 to P7 of docs/design.md.
//
// Clients note every call with its start, its end and what came of it, in a process that outlives
// the server. A call without an answer is Unknown: it may have happened or not, and both are
// accepted, but never half of it. The package knows nothing of servers, files or doors. Check takes
// time in proportion to the number of calls, but for sorting.
package history

import (
	"cmp"
	"fmt"
	"slices"
)

// A Kind is what a call did.
type Kind uint8

const (
	Put   Kind = 1 + iota // of one task
	Lease                 // a hand-out of one task, as it was received
	Ack                   // of one lease
	Nack                  // of one lease
	Crash                 // the server was killed, or its power cut
	Blind                 // a reserve without an answer: whatever it was given is not known
)

// An Outcome is what a caller knows of its call.
type Outcome uint8

const (
	OK      Outcome = iota
	Refused         // it has not happened
	Unknown         // no answer came
)

// An Op is one call. Times are ns on one clock.
type Op struct {
	Kind       Kind
	Outcome    Outcome
	Start, End int64  // End is when the answer came, or when the caller gave up
	Task       string // what tells the task from all others
	Lane       string // Put: its queue and priority; "" when its order is not to be checked
	Number     uint64 // Put: the receipt's. Lease, Ack, Nack: the lease number
	Attempt    int    // Lease
	Until      int64  // Lease: the deadline, with extensions that were answered
	Undone     bool   // Nack: the attempt is not counted
	Gives      []string
	Sum        uint64 // Put, Lease: a checksum of the body
}

// Options tells what may be expected.
type Options struct {
	Slack   int64 // ns by which the clocks of server and clients may differ
	Drained bool  // at the end everything was taken and acked
}

// A Report counts and names what was wrong. Each list holds tasks, at most a hundred of them.
type Report struct {
	Puts, Leases, Acks, Crashes, Unknown int
	Duplicates                           int // hand-outs beyond the first of a task, all explained or listed

	Lost        []string // answered OK, and not there
	Resurrected []string // handed out after an ack answered OK
	TwoLeases   []string // handed out while another lease of it lived: nothing explains the duplicate
	Unexpected  []string // handed out and never put, or put by a call that was refused
	Changed     []string // the body is not the one that was put
	Reused      []string // a lease number was handed out twice
	Torn        []string // of an ack, its result and its follow-ups, some happened and some did not
	Order       []string // handed out first although another of its lane was put before it and waited
}

// Faults is how many things were wrong.
func (r *Report) Faults() int {
	n := 0
	for _, l := range r.lists() {
		n += len(l.tasks)
	}
	return n
}

type list struct {
	name  string
	tasks []string
}

func (r *Report) lists() []list {
	return []list{{"lost", r.Lost}, {"resurrected", r.Resurrected}, {"two live leases", r.TwoLeases},
		{"unexpected", r.Unexpected},
		{"changed", r.Changed}, {"number used twice", r.Reused}, {"torn", r.Torn}, {"out of order", r.Order}}
}

func (r *Report) String() string {
	s := fmt.Sprintf("%d puts, %d hand-outs (%d duplicates), %d acks, %d unknown outcomes, %d crashes: ",
		r.Puts, r.Leases, r.Duplicates, r.Acks, r.Unknown, r.Crashes)
	if r.Faults() == 0 {
		return s + "nothing wrong"
	}
	for _, l := range r.lists() {
		if len(l.tasks) > 0 {
			s += fmt.Sprintf("%d %s (%.200q) ", len(l.tasks), l.name, l.tasks[:min(3, len(l.tasks))])
		}
	}
	return s[:len(s)-1]
}

// A life is all that happened to one task.
type life struct {
	put    []*Op // calls that put it, acks that gave it included
	leases []*Op // by number
	acks   []*Op
	nacks  []*Op
}

// A checker holds the history by tasks.
type checker struct {
	opt     Options
	r       Report
	tasks   map[string]*life
	names   []string // of tasks, as they were first named
	crashes []*Op    // by start
	blinds  []*Op    // by start
}

// Check judges ops, which may come in any order.
func Check(ops []Op, opt Options) *Report {
	c := &checker{opt: opt, tasks: map[string]*life{}}
	c.sortOut(ops)
	for _, name := range c.names {
		c.life(name, c.tasks[name])
	}
	for i := range ops {
		if ops[i].Kind == Ack && len(ops[i].Gives) > 0 {
			c.atomic(&ops[i])
		}
	}
	c.order()
	return &c.r
}

func add(list *[]string, what string) {
	if len(*list) < 100 {
		*list = append(*list, what)
	}
}

func (c *checker) of(name string) *life {
	l := c.tasks[name]
	if l == nil {
		l = &life{}
		c.tasks[name] = l
		c.names = append(c.names, name)
	}
	return l
}

func (c *checker) sortOut(ops []Op) {
	numbers := map[uint64]string{}
	for i := range ops {
		op := &ops[i]
		if op.Outcome == Unknown {
			c.r.Unknown++
		}
		switch op.Kind {
		case Put:
			c.r.Puts++
			l := c.of(op.Task)
			l.put = append(l.put, op)
		case Lease:
			c.r.Leases++
			l := c.of(op.Task)
			l.leases = append(l.leases, op)
			if other, ok := numbers[op.Number]; ok {
				add(&c.r.Reused, fmt.Sprintf("%d: %s and %s", op.Number, other, op.Task))
			}
			numbers[op.Number] = op.Task
		case Ack:
			c.r.Acks++
			l := c.of(op.Task)
			l.acks = append(l.acks, op)
			for _, name := range op.Gives {
				g := c.of(name)
				g.put = append(g.put, op)
			}
		case Nack:
			l := c.of(op.Task)
			l.nacks = append(l.nacks, op)
		case Crash:
			c.r.Crashes++
			c.crashes = append(c.crashes, op)
		case Blind:
			c.blinds = append(c.blinds, op)
		}
	}
	byStart := func(a, b *Op) int { return cmp.Compare(a.Start, b.Start) }
	slices.SortFunc(c.crashes, byStart)
	slices.SortFunc(c.blinds, byStart)
	for _, l := range c.tasks {
		slices.SortFunc(l.leases, func(a, b *Op) int { return cmp.Compare(a.Number, b.Number) })
	}
}

// within tells whether one of ops, which are sorted, was under way between two moments.
func within(ops []*Op, from, to int64) bool {
	i, _ := slices.BinarySearchFunc(ops, from, func(op *Op, at int64) int { return cmp.Compare(op.Start, at) })
	return i < len(ops) && ops[i].Start <= to || i > 0 && ops[i-1].End >= from
}

// life judges one task.
func (c *checker) life(name string, l *life) {
	stored, mayBe := false, false
	var sum uint64
	summed := false
	for _, p := range l.put {
		stored = stored || p.Outcome == OK
		mayBe = mayBe || p.Outcome != Refused
		if p.Kind == Put {
			sum, summed = p.Sum, true
		}
	}
	if !mayBe && len(l.leases) > 0 {
		add(&c.r.Unexpected, name)
	}
	ended, maybeEnded := uint64(0), false
	for _, a := range l.acks {
		switch a.Outcome {
		case OK:
			if ended == 0 || a.Number < ended {
				ended = a.Number
			}
		case Unknown:
			maybeEnded = true
		}
	}
	switch {
	case !stored || !c.opt.Drained:
	case len(l.leases) == 0 && maybeEnded: // by an ack of a hand-out that nobody is known to have heard of
	case len(l.leases) == 0:
		add(&c.r.Lost, name)
	case ended == 0 && !maybeEnded:
		add(&c.r.Lost, name+" (handed out and never acked)")
	}
	for i, h := range l.leases {
		if summed && h.Sum != sum {
			add(&c.r.Changed, name)
		}
		// An ack answered OK ended the task: it was of a live lease, so no number can come after
		// it.
		if ended > 0 && h.Number > ended {
			add(&c.r.Resurrected, name)
		}
		if i > 0 {
			c.r.Duplicates++
			if !c.explained(l, l.leases[i-1], h) {
				add(&c.r.TwoLeases, name)
			}
		}
	}
}

// explained tells whether something ended the lease before, or may have, when the next was handed
// out.
func (c *checker) explained(l *life, before, next *Op) bool {
	if before.Until-c.opt.Slack <= next.End {
		return true // it had run out
	}
	for _, n := range l.nacks {
		if n.Number == before.Number && n.Outcome != Refused && n.Start <= next.End {
			return true
		}
	}
	// A crash repeats what was in flight: the hand-out before need not have been durable.
	return within(c.crashes, before.Start, next.End)
}

// atomic judges an ack that gave tasks: all of it happened, or nothing did.
func (c *checker) atomic(a *Op) {
	// A gift that was handed out was there. One of which only acks are known may have been: its
	// hand-out was not heard, and may be lost with it.
	seen, possible := 0, 0
	for _, g := range a.Gives {
		switch l := c.tasks[g]; {
		case len(l.leases) > 0:
			seen++
			possible++
		case len(l.acks) > 0:
			possible++
		}
	}
	switch {
	case a.Outcome == Refused, !c.opt.Drained:
		return // what is there all the same was found unexpected; without a drain nothing can be said
	case a.Outcome == OK: // what is missing was found lost
		return
	}
	if seen > 0 && possible < len(a.Gives) {
		add(&c.r.Torn, a.Task)
		return
	}
	l := c.tasks[a.Task]
	later := false // the task went on after this ack
	for _, h := range l.leases {
		later = later || h.Number > a.Number
	}
	// A task that nobody is known to have had, and whose put is not known either, may never have
	// been.
	was := len(l.leases) > 0 || slices.ContainsFunc(l.put, func(p *Op) bool { return p.Outcome == OK })
	endedElse := false
	for _, b := range l.acks {
		endedElse = endedElse || b != a && b.Outcome != Refused
	}
	if seen > 0 && later || possible == 0 && was && !later && !endedElse {
		add(&c.r.Torn, a.Task)
	}
}

// order judges the first hand-outs of every lane. Between two crashes, and where no reserve went
// unanswered, they follow the numbers of the puts.
func (c *checker) order() {
	type first struct {
		lease, put *Op
		name       string
		epoch      int
	}
	lanes := map[string][]first{}
	for _, name := range c.names {
		l := c.tasks[name]
		if len(l.leases) == 0 || len(l.put) != 1 || l.put[0].Kind != Put || l.put[0].Lane == "" || l.put[0].Outcome != OK {
			continue
		}
		h := l.leases[0]
		if h.Attempt != 1 || slices.ContainsFunc(l.nacks, func(n *Op) bool { return n.Undone }) {
			continue
		}
		epoch, _ := slices.BinarySearchFunc(c.crashes, h.End, func(op *Op, at int64) int { return cmp.Compare(op.Start, at) })
		lane := l.put[0].Lane
		lanes[lane] = append(lanes[lane], first{h, l.put[0], name, epoch})
	}
	for _, all := range lanes {
		slices.SortFunc(all, func(a, b first) int { return cmp.Compare(a.lease.Number, b.lease.Number) })
		for i := 1; i < len(all); i++ {
			a, b := &all[i-1], &all[i]
			if a.epoch != b.epoch || a.put.Number < b.put.Number {
				continue
			}
			// b was put before a and waited, yet a was handed out before it. A hand-out that nobody
			// received, or one that a crash took back, may have been b's first.
			if b.put.End < a.lease.Start && !c.troubled(b.put.Start, b.lease.End) {
				add(&c.r.Order, a.name)
			}
		}
	}
}

func (c *checker) troubled(from, to int64) bool {
	return within(c.crashes, from, to) || within(c.blinds, from, to)
}
