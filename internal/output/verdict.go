package output

import (
	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
)

// verdict notes what a result says about its task. The outcome is what the books have.
func (r *record) verdict() {
	if r.obj == nil || !r.obj.o.isObject(r.body) {
		r.out = result.Record{OK: true}
		return
	}
	r.out = r.obj.out
	if !r.out.OK {
		r.out.OK = result.OutcomeOf(r.lease.Body, r.lease.Type) == glassq.OK
	}
}

// position returns the run and the position in it that a result is of; ok is false for a result of
// a task that has none.
func position(l *glassq.Lease) (n uint32, ok bool) {
	if l.Dense {
		return l.Position, true
	}
	if l.Run == "" {
		return 0, false
	}
	run, n, ok := glassq.ParseDenseID(l.ID)
	return n, ok && run == l.Run
}
