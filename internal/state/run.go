package state

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

// A Run is one run of a State.
type Run struct {
	name                    string
	source, queue, resultsQ string
	sealed                  bool
	total                   uint64
	books                   glassq.Books
	results                 int64   // results of it that were not taken and are not dead
	created, ended          int64   // ms; ended 0: not complete
	rate                    float64 // of the queue at its last hand-out under a rate, and its stages; 0 and "" for never
	stages                  string
	givenUp                 uint64 // moments of the schedule
	retryOf                 string
	retries                 []*Run // in their order; of the first run of a job
	readers                 []string
	going                   going
	put, done, failed, dead *positionSet

	hooks     [2]hook // by their kind
	ends      uint64  // that were recorded
	owed      bool    // it has come to its end, and that is not recorded yet: it is in State.owing
	reserves  bool    // places of its hooks are in State.places
	after     string  // the run that it comes after
	afterAny  bool
	waits     bool   // for the end of that
	heldIn    string // while it waits: the queue under which heldRuns has it, "" for none
	followers []*Run // that wait for the end of this one, the oldest first
}

// over tells that nothing is left to do.
func (r *Run) over() bool { return r.sealed && r.books.Pending() == 0 && !r.waits }

func (r *Run) complete() bool { return r.over() && !r.owed }

// ResultsQueue is where the results of the run go.
func (r *Run) ResultsQueue() string {
	if r.resultsQ != "" {
		return r.resultsQ
	}
	return glassq.DefaultResults
}

// Reached tells whether the run is in a phase.
func (r *Run) Reached(p glassq.Phase) bool {
	switch p {
	case glassq.PhaseExists:
		return true
	case glassq.PhaseComplete:
		return r.complete()
	}
	return r.complete() && r.results == 0
}

// beyond returns a position of t that may not be put any more: the run is sealed with fewer, and it
// was not put before.
func (r *Run) beyond(t *glassq.Task) (n uint32, is bool) {
	last := uint64(t.Position)
	if t.Range != nil {
		last += t.Range.Count - 1
	}
	if !r.sealed || r.total == 0 || last < r.total {
		return 0, false
	}
	missing := r.put.missing(uint32(max(uint64(t.Position), r.total)), uint32(last))
	if len(missing) == 0 {
		return 0, false
	}
	return missing[0].First, true
}

// RunInfo describes a run.
func (s *State) RunInfo(r *Run) glassq.Run {
	info := glassq.Run{
		Name: r.name, Source: r.source, Queue: r.queue, Results: r.ResultsQueue(),
		Sealed: r.sealed, Total: r.total, Books: r.books, Pending: r.books.Pending(),
		Waiting: uint64(max(0, r.results)), Complete: r.complete(), Created: time.UnixMilli(r.created),
		Rate: r.rate, Stages: r.stages, GivenUp: r.givenUp,
		RetryOf: r.retryOf, Job: s.job(r), Readers: slices.Clone(r.readers),
		Progress: r.going.info(),
		OnEnd:    r.hooks[hookEnd].text, OnFailed: r.hooks[hookFailed].text, Ends: r.ends,
		After: r.after, AfterAny: r.afterAny, Held: r.waits,
	}
	if r.ended != 0 {
		info.Ended = time.UnixMilli(r.ended)
	}
	return info
}

// IDs returns up to most intervals of a set, from position from on.
func (r *Run) IDs(set glassq.IDSet, from uint32, most int) []glassq.Interval {
	p := map[glassq.IDSet]*positionSet{glassq.IDsPut: r.put, glassq.IDsDone: r.done,
		glassq.IDsFailed: r.failed, glassq.IDsDead: r.dead}[set]
	if p == nil {
		return nil
	}
	return p.intervals(from, most)
}

// Run returns the run of that name, or nil.
func (s *State) Run(name string) *Run { return s.runs[name] }

// RunCount is how many runs there are.
func (s *State) RunCount() int { return len(s.runs) }

// Runs returns all runs, newest first.
func (s *State) Runs() []*Run {
	all := make([]*Run, 0, len(s.runs))
	for _, r := range s.runs {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Run) int {
		return cmp.Or(cmp.Compare(b.created, a.created), strings.Compare(a.name, b.name))
	})
	return all
}

func (s *State) run(name string) *Run {
	r := s.runs[name]
	if r == nil {
		s.forgetRuns()
		r = &Run{name: name, created: s.now, put: newPositions(), done: newPositions(), failed: newPositions(),
			dead: newPositions()}
		s.runs[name] = r
		s.hooks.RunChanged()
	}
	return r
}

// DecideRun decides a change of a run, whose hooks are parsed, nil for none: it returns the records
// of it, in their order, or why it is refused.
func (s *State) DecideRun(name string, c glassq.RunChange, hooks [2]*Hooked) ([][]byte, error) {
	if err := s.checkRun(name, c); err != nil {
		return nil, err
	}
	if err := s.checkHooks(name, &hooks); err != nil {
		return nil, err
	}
	var recs [][]byte
	r := s.runs[name]
	for kind, h := range hooks { // first, since the change may seal what has nothing to do
		if h != nil && (r == nil || r.hooks[kind].text != h.Text) {
			recs = append(recs, appendHook(nil, name, byte(kind), h))
		}
	}
	c.OnEnd, c.OnFailed, c.Hooks = "", "", false
	return append(recs, AppendRun(nil, name, c)), nil
}

// Hooks are the hooks of a run as texts.
func (s *State) Hooks(run string) (onEnd, onFailed glassq.Hook) {
	if r := s.runs[run]; r != nil {
		onEnd, onFailed = r.hooks[hookEnd].text, r.hooks[hookFailed].text
	}
	return onEnd, onFailed
}

func (s *State) checkRun(name string, c glassq.RunChange) error {
	if c.After != "" {
		if err := s.checkAfter(name, c.After, c.AfterAny); err != nil {
			return err
		}
	}
	if c.RetryOf != "" {
		if err := s.checkRetry(name, c.RetryOf); err != nil {
			return err
		}
	}
	r := s.runs[name]
	if r == nil {
		return s.checkPast(c.After, c.RetryOf)
	}
	differs := func(what, have, want string) error {
		if want == "" || have == "" || have == want {
			return nil
		}
		return glassq.Errorf(glassq.CodeRunConflict, "run %s has another %s: %q, not %q; use another run name", name, what,
			have, want)
	}
	if err := differs("source", r.source, c.Source); err != nil {
		return err
	}
	if err := differs("queue", r.queue, c.Queue); err != nil {
		return err
	}
	if err := differs("results queue", r.resultsQ, c.Results); err != nil {
		return err
	}
	if c.Sealed && r.sealed && c.Total != r.total {
		return glassq.Errorf(glassq.CodeRunConflict, "run %s was sealed with %s, not %d; use another run name", name,
			plain.Plural(r.total, "task", "tasks"), c.Total)
	}
	return nil
}

func (s *State) applyRun(name string, c glassq.RunChange) {
	r := s.run(name)
	for _, f := range []struct {
		dst *string
		v   string
	}{{&r.source, c.Source}, {&r.queue, c.Queue}, {&r.resultsQ, c.Results}} {
		if f.v != "" {
			*f.dst = f.v
		}
	}
	if c.After != "" && r.after == "" {
		s.follow(r, c.After, c.AfterAny)
	}
	s.noteHeld(r, r.queue)
	if c.Sealed && !r.sealed {
		r.sealed, r.total = true, c.Total
	}
	if c.RetryOf != "" {
		s.retried(r, c.RetryOf)
	}
	if c.Reader != "" && !slices.Contains(r.readers, c.Reader) {
		r.readers = append(r.readers[max(0, len(r.readers)-readersKept+1):], c.Reader)
	}
	s.settled(r)
	s.hooks.RunChanged()
}

func (s *State) applyCancel(name string) {
	r := s.runs[name]
	if r == nil {
		return
	}
	s.unfollow(r)
	for _, x := range s.rangesOf(func(c *class) bool { return c.run == r }) {
		s.endRest(x, func(d *glassq.DeadCounts, n uint64) { d.Cancelled += n })
	}
	s.pick(func(e *entry) bool {
		return s.booked(e) == r && (e.state() == glassq.Ready || e.state() == glassq.Delayed)
	}, func(n uint64, e *entry) bool {
		delayed := e.state() == glassq.Delayed
		s.end(n, e, func(d *glassq.DeadCounts) { d.Cancelled++ })
		if delayed {
			s.delays.drop(s.delayValid)
		}
		return true
	})
	if !r.sealed {
		r.sealed, r.total = true, r.books.Put
	}
	s.settled(r)
	s.hooks.RunChanged()
}

// NextRun is the run of the task that q hands out next; "" for none.
func (s *State) NextRun(q *Queue) string {
	n, ok := s.Head(q, nil)
	if !ok {
		return ""
	}
	if run := s.booked(s.view(n)); run != nil {
		return run.name
	}
	return ""
}
