package check

import (
	"context"
	"sync"

	"github.com/glassq/glassq"
)

// A spy stands between the broker and the engine, notes what the worker does, and plays tricks on
// it.
type spy struct {
	glassq.Store // the engine of the present start

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every note
	events   []event
	accepted map[string]bool          // ids of tasks with an accepted ack
	reserves int                      // calls of Reserve
	trick    func(*event) (lie error) // may answer for the engine after it has acted; nil never
	skip     func(*glassq.Lease) bool // a delivery that the worker never sees; nil none
}

type kind uint8

const (
	reserved kind = iota
	acked
	nacked
	extended
	put // straight into the results queue, without a lease
)

// An event is one thing that happened to one task.
type event struct {
	kind    kind
	id      string
	number  uint64 // of the lease; 0 when it was taken without one
	attempt int
	result  *glassq.Task
	outcome glassq.Outcome
	err     error // of the engine
}

func newSpy() *spy { return &spy{changed: make(chan struct{}), accepted: map[string]bool{}} }

// watch puts the spy before s.
func (s *spy) watch(store glassq.Store) glassq.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Store = store
	return s
}

// note adds events; mu is held.
func (s *spy) note(e ...event) {
	for i := range e {
		if e[i].kind == acked && e[i].err == nil {
			s.accepted[e[i].id] = true
		}
	}
	s.events = append(s.events, e...)
	close(s.changed)
	s.changed = make(chan struct{})
}

// reset forgets events and tricks.
func (s *spy) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events, s.reserves, s.trick, s.skip = nil, 0, nil, nil
	clear(s.accepted)
}

func (s *spy) store() glassq.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store
}

// idOf finds the task of a lease number; mu is held.
func (s *spy) idOf(number uint64) (string, int) {
	for i := range s.events {
		if e := &s.events[i]; e.kind == reserved && e.number == number {
			return e.id, e.attempt
		}
	}
	return "", 0
}

// Reserve notes what was handed out.
func (s *spy) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	if r.Queue != glassq.DefaultQueue {
		return s.store().Reserve(ctx, r)
	}
	s.mu.Lock()
	s.reserves++
	s.mu.Unlock()
	for {
		leases, err := s.store().Reserve(ctx, r)
		if err != nil || len(leases) == 0 {
			return leases, err
		}
		s.mu.Lock()
		kept := leases[:0:0]
		var hidden []glassq.Nack
		for _, l := range leases {
			if s.skip != nil && s.skip(&l) {
				hidden = append(hidden, glassq.Nack{Token: l.Token(), Delay: glassq.AtOnce})
				continue
			}
			kept = append(kept, l)
			s.note(event{kind: reserved, id: l.TaskID(), number: l.Number, attempt: l.Attempt})
		}
		s.mu.Unlock()
		if len(hidden) > 0 {
			if _, err := s.store().Nack(ctx, hidden); err != nil {
				return nil, err
			}
		}
		if len(kept) > 0 {
			return kept, nil
		}
	}
}

// Ack notes what was accepted and what was refused.
func (s *spy) Ack(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	errs, err := s.store().Ack(ctx, acks)
	if err != nil {
		return errs, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range acks {
		if acks[i].Token.Queue != "" && acks[i].Token.Queue != glassq.DefaultQueue {
			continue
		}
		e := event{kind: acked, number: acks[i].Token.Number, outcome: acks[i].Outcome, err: errs[i]}
		if r := acks[i].Result; r != nil {
			kept := *r
			kept.Body = append([]byte(nil), r.Body...)
			e.result = &kept
		}
		e.id, e.attempt = s.idOf(e.number)
		s.note(e)
		if s.trick != nil {
			if lie := s.trick(&e); lie != nil {
				errs[i] = lie
			}
		}
	}
	return errs, nil
}

// Nack notes what came back.
func (s *spy) Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error) {
	errs, err := s.store().Nack(ctx, nacks)
	s.settled(nacked, errs, func(i int) uint64 { return nacks[i].Token.Number })
	return errs, err
}

// settled notes the answers about leases, whose numbers number tells.
func (s *spy) settled(kind kind, errs []error, number func(i int) uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, err := range errs {
		e := event{kind: kind, number: number(i), err: err}
		e.id, e.attempt = s.idOf(e.number)
		s.note(e)
	}
}

// Extend notes which leases were extended.
func (s *spy) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	errs, err := s.store().Extend(ctx, extends)
	s.settled(extended, errs, func(i int) uint64 { return extends[i].Token.Number })
	return errs, err
}

// Put notes results that come without a lease.
func (s *spy) Put(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	receipts, err := s.store().Put(ctx, tasks)
	if err == nil && len(tasks) > 0 && tasks[0].Queue == glassq.DefaultResults {
		s.mu.Lock()
		defer s.mu.Unlock()
		for range tasks {
			s.note(event{kind: put})
		}
	}
	return receipts, err
}
