package output

import "github.com/glassq/glassq"

// verdictOf reads what a result says about its task. The outcome is what the books have.
func verdictOf(l *glassq.Lease, r *glassq.Result) {
	glassq.ParseResultOut(l.Body, r) // no record: a Result that is OK
	if !r.OK {
		r.OK = glassq.OutcomeOf(l.Body, l.Type) == glassq.OK
	}
}

// position returns the run and the position in it that a result is of; ok is false for a result of a
// task that has none.
func position(l *glassq.Lease) (n uint32, ok bool) {
	if l.Dense {
		return l.N, true
	}
	if l.Run == "" {
		return 0, false
	}
	run, n, ok := glassq.ParseDenseID(l.ID)
	return n, ok && run == l.Run
}
