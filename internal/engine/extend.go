package engine

import (
	"context"
	"slices"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// Extend moves deadlines, and keeps what is said of tasks. It waits for the commit of what is said;
// for that of a deadline alone only where the policy says so.
func (e *Engine) Extend(_ context.Context, extends []glassq.Extend) ([]error, error) {
	errs := make([]error, len(extends))
	s := scratches.Get().(*state.Records)
	defer release(s)
	leased, err := e.preparePartials(extends, s)
	if err != nil {
		return nil, err
	}
	if err := e.begin(); err != nil {
		return nil, err
	}
	var rec []byte
	before, said, k := e.open.Count, false, 0
	for i := range extends {
		x := &extends[i]
		first := k
		if leased != nil && len(x.Put) > 0 {
			if leased[i].Task == 0 {
				errs[i] = glassq.ErrLeaseLost
				continue
			}
			k += len(x.Put)
		}
		if errs[i] = e.roomFor(x, s.Bytes(first, k)); errs[i] != nil {
			continue
		}
		if rec, errs[i] = e.st.DecideExtend(rec[:0], x); errs[i] != nil {
			continue
		}
		said = said || x.Seq > 0
		if len(rec) == 0 {
			continue // it was said before, perhaps in a frame that is under way
		}
		if len(x.Put) > 0 {
			if errs[i] = e.mayMake(x.Put, leased[i].Run); errs[i] != nil {
				continue
			}
		}
		e.append(rec)
		for j := range x.Put {
			if !e.st.IsDuplicate(&x.Put[j]) {
				e.append(s.At(first + j))
			}
		}
	}
	var f uint64
	if e.policy.ExtendsWait && e.open.Count > before {
		f = e.join()
	} else if said {
		if f = e.newest(); f == e.open.number {
			e.join()
		}
	}
	e.end()
	if err := e.waitLive(f); err != nil {
		return nil, err
	}
	return errs, e.toldOf(errs, f)
}

// roomFor refuses an extend for which the log has no room. partials is how many bytes the records of
// its partial results take. The caller holds mu.
func (e *Engine) roomFor(x *glassq.Extend, partials int) error {
	if x.Progress != nil {
		partials += len(x.Progress.Note) + len(x.Progress.Checkpoint)
	}
	if partials > 0 {
		return e.roomOn(Grows, partials)
	}
	return e.roomOn(Shrinks, 0)
}

// preparePartials makes the records of partial results; see prepare. It returns nil when there are
// none.
func (e *Engine) preparePartials(extends []glassq.Extend, s *state.Records) ([]state.Leased, error) {
	if !slices.ContainsFunc(extends, func(x glassq.Extend) bool { return len(x.Put) > 0 }) {
		return nil, nil
	}
	acks := make([]glassq.Ack, len(extends))
	for i := range extends {
		if x := &extends[i]; len(x.Put) > 0 {
			acks[i] = glassq.Ack{Token: x.Token, Put: x.Put}
		}
	}
	return e.prepare(acks, s)
}
