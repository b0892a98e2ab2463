package state

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/glassq/glassq"
)

// readersKept is how many readers of its results a run remembers, the last ones.
const readersKept = 8

// firstOf returns the run that r is a retry of, or r itself.
func (s *State) firstOf(r *Run) *Run {
	if of := s.runs[r.retryOf]; of != nil {
		return of
	}
	return r
}

// retried notes that r puts tasks of another run again. A retry of a retry is one of the first run.
func (s *State) retried(r *Run, of string) {
	first := s.runs[of]
	if first == nil || first == r || r.retryOf != "" {
		return
	}
	first = s.firstOf(first)
	r.retryOf = first.name
	first.retries = append(first.retries, r)
}

// checkRetry decides whether a run may be a retry of another.
func (s *State) checkRetry(name, of string) error {
	first := s.runs[of]
	if first == nil {
		return NoRun(of)
	}
	if first = s.firstOf(first); first.name == name {
		return glassq.Errorf(glassq.CodeRunConflict, "run %s cannot be a retry of itself", name)
	}
	r := s.runs[name]
	switch {
	case r == nil || r.retryOf == first.name:
		return nil
	case r.retryOf != "":
		return glassq.Errorf(glassq.CodeRunConflict, "run %s is a retry of %s, not of %s; use another run name", name, r.retryOf,
			first.name)
	case len(r.retries) > 0 || r.books.Put > 0:
		return glassq.Errorf(glassq.CodeRunConflict, "run %s has tasks of its own and cannot become a retry of %s; use another run name",
			name, first.name)
	}
	return nil
}

// job is the books of a run and its retries as one, in which each position has the outcome of the
// last run that it was put in; nil for a run without retries.
func (s *State) job(r *Run) *glassq.Job {
	first := s.firstOf(r)
	if len(first.retries) == 0 {
		return nil
	}
	runs := append([]*Run{first}, first.retries...)
	j := &glassq.Job{Runs: make([]string, len(runs))}
	later := roaring.New() // positions that were put again
	for i, r := range slices.Backward(runs) {
		j.Runs[i] = r.name
		put := r.put.all()
		again := roaring.And(put, later)
		failed := again.AndCardinality(r.failed.all())
		dead := again.AndCardinality(r.dead.all())
		done := roaring.And(again, r.done.all())
		if r.books.Pending() == 0 { // also what was done without a result
			done = roaring.AndNot(again, r.dead.all())
		}
		done.Or(roaring.And(again, r.failed.all()))
		j.Put += r.books.Put - again.GetCardinality()
		j.OK += r.books.OK - min(done.GetCardinality()-failed, r.books.OK)
		j.Failed += r.books.Failed - min(failed, r.books.Failed)
		j.Dead += r.books.Dead.Sum() - min(dead, r.books.Dead.Sum())
		later.Or(put)
	}
	j.Pending = j.Put - min(j.OK+j.Failed+j.Dead, j.Put)
	return j
}
