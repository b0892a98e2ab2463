package state

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

// forgetRuns makes room for a new run: those that ended long ago go, and the oldest ended ones
// beyond glassq.RunsKept. A run whose results are not all taken stays, and so does one whose
// retries are there, or that others wait for.
func (s *State) forgetRuns() {
	for _, r := range s.pastRuns() {
		s.forgetRun(r)
	}
}

// PastRuns is how many runs go when there is a new one. It looks at all runs.
func (s *State) PastRuns() int { return len(s.pastRuns()) }

// pastRuns are those runs, the oldest first.
func (s *State) pastRuns() (past []*Run) {
	over := len(s.runs) - glassq.RunsKept + 1
	var ended []*Run
	for _, r := range s.runs {
		if r.ended != 0 && (over > 0 || s.now-r.ended >= glassq.RunKeptFor.Milliseconds()) && r.results <= 0 &&
			len(r.retries) == 0 && len(r.followers) == 0 && !s.inUse(r) {
			ended = append(ended, r)
		}
	}
	slices.SortFunc(ended, func(a, b *Run) int {
		return cmp.Or(cmp.Compare(a.ended, b.ended), strings.Compare(a.name, b.name))
	})
	for _, r := range ended {
		if s.now-r.ended >= glassq.RunKeptFor.Milliseconds() || over > 0 {
			past = append(past, r)
			over--
		}
	}
	return past
}

// checkPast refuses to name runs, "" for none, with a new run that has them forgotten.
func (s *State) checkPast(names ...string) error {
	if strings.Join(names, "") == "" {
		return nil
	}
	for _, r := range s.pastRuns() {
		if slices.Contains(names, r.name) {
			ago := (time.Duration(s.now-r.ended) * time.Millisecond).Round(time.Hour)
			return glassq.Errorf(glassq.CodeNotFound,
				"run %s ended %s ago, and its time is over: runs are kept for %d days, and up to %d", r.name, ago,
				glassq.RunKeptFor/(24*time.Hour), glassq.RunsKept)
		}
	}
	return nil
}

// inUse tells whether tasks of the run, dead ones for instance, are still held.
func (s *State) inUse(r *Run) bool {
	for i := range s.class {
		if c := &s.class[i]; c.run == r && c.refs > 0 {
			return true
		}
	}
	return false
}

// forgetRun drops a run, and takes it off its job.
func (s *State) forgetRun(r *Run) {
	s.forgetLast(noClass) // the class of the last put may be of it
	s.unfollow(r)
	s.unreserve(r)
	s.disown(r)
	delete(s.runs, r.name)
	if first := s.firstOf(r); first != r {
		first.retries = slices.DeleteFunc(first.retries, func(x *Run) bool { return x == r })
	}
}

// DecideRunDrop forgets a run that is over. The refusal says what is still there, and what ends it.
func (s *State) DecideRunDrop(name string) (rec []byte, err error) {
	r := s.runs[name]
	if r == nil {
		return nil, NoRun(name)
	}
	if is := s.holdsRun(r); is != "" {
		return nil, glassq.Errorf(glassq.CodeRunConflict, "run %s is not over: %s", name, is)
	}
	return AppendRunDrop(nil, name), nil
}

// holdsRun says why a run is not to be forgotten; "" when nothing speaks against it.
func (s *State) holdsRun(r *Run) string {
	pending := r.books.Pending()
	switch {
	case pending > 0:
		return fmt.Sprintf("it has %s; glassq runs wait %s waits for the end, glassq runs cancel %[2]s ends what nobody works on",
			plain.Plural(pending, "pending task", "pending tasks"), r.name)
	case !r.sealed:
		return fmt.Sprintf("it is not sealed, so more may be put to it; glassq runs seal %s says that nothing more comes", r.name)
	case r.waits:
		return fmt.Sprintf("it waits for the end of run %s; glassq runs cancel %s ends that", r.after, r.name)
	case !r.complete():
		return "its end is being written; try again"
	case r.results > 0:
		return fmt.Sprintf("%s of it in queue %s; glassq output --run %s takes them",
			plain.Plural(uint64(r.results), "result", "results"), r.ResultsQueue(), r.name)
	case len(r.retries) > 0:
		again := strings.Join(names(r.retries), " ")
		return fmt.Sprintf("it was retried as %s; glassq runs rm %s %[1]s removes the whole job", again, r.name)
	}
	if len(r.followers) > 0 {
		return fmt.Sprintf("runs %s come after it; glassq runs cancel ends them", strings.Join(names(r.followers), " "))
	}
	var dead uint64
	var queues []string
	for i := range s.class {
		if c := &s.class[i]; c.run == r && c.refs > 0 {
			dead += uint64(c.refs)
			if !slices.Contains(queues, c.queue.Name) {
				queues = append(queues, c.queue.Name)
			}
		}
	}
	for _, x := range s.ranges { // each is a reference beside those of its tasks
		if s.class[x.class].run == r {
			dead--
		}
	}
	if dead == 0 {
		return ""
	}
	slices.Sort(queues)
	return fmt.Sprintf("%s of it in queue %s; glassq queue redrive %s makes them ready, glassq queue purge %[3]s --state dead ends them",
		plain.Plural(dead, "dead task", "dead tasks"), strings.Join(queues, ", "), queues[0])
}

func (s *State) applyRunDrop(name string) {
	if r := s.runs[name]; r != nil {
		s.forgetRun(r)
	}
}
