package worker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// A sayQueue is a memQueue that notes what is said, as an engine does: once for each number.
type sayQueue struct {
	*memQueue
	answers []error // to the next extends that say something; nil is OK
	unheard []bool  // whether they are done where the call fails
	said    []string
	seq     uint64
	asked   []uint64
}

func (q *sayQueue) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	x := extends[0]
	if x.Seq == 0 {
		return q.memQueue.Extend(ctx, extends)
	}
	q.asked = append(q.asked, x.Seq)
	var answer error
	done := true
	if len(q.answers) > 0 {
		answer, done = q.answers[0], q.answers[0] == nil || q.unheard[0]
		q.answers, q.unheard = q.answers[1:], q.unheard[1:]
	}
	if done && x.Seq == q.seq+1 {
		q.seq = x.Seq
		q.said = append(q.said, string(x.Progress.Checkpoint))
	}
	if glassq.CodeOf(answer) == glassq.CodeUnknown {
		return nil, answer
	}
	return []error{answer}, nil
}

// TestSays: what a handler says is said once and in order, whatever the calls come to.
func TestSays(t *testing.T) {
	unknown, full := error(glassq.ErrUnknown), error(glassq.ErrQueueFull)
	for _, tt := range []struct {
		name    string
		answers []error
		unheard []bool
		errs    []error // of the four times that the handler says something
		said    []string
		asked   []uint64
	}{
		{"fine", nil, nil, []error{nil, nil, nil, nil}, []string{"a", "b", "c", "d"}, []uint64{1, 2, 3, 4}},
		{"done, and not heard of", []error{nil, unknown}, []bool{true, true}, []error{nil, unknown, nil, nil},
			[]string{"a", "b", "c", "d"}, []uint64{1, 2, 2, 3, 4}},
		{"not done, and not heard of", []error{unknown}, []bool{false}, []error{unknown, nil, nil, nil},
			[]string{"a", "b", "c", "d"}, []uint64{1, 1, 2, 3, 4}},
		{"not heard of twice", []error{unknown, unknown}, []bool{false, true}, []error{unknown, unknown, nil, nil},
			[]string{"a", "c", "d"}, []uint64{1, 1, 1, 2, 3}},
		{"no room", []error{nil, full}, []bool{true, false}, []error{nil, full, nil, nil},
			[]string{"a", "c", "d"}, []uint64{1, 2, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &sayQueue{memQueue: newMemQueue(1), answers: tt.answers, unheard: tt.unheard}
				done := make(chan struct{})
				var errs []error
				_, err := Run(t.Context(), q, Options{Concurrency: 1, Done: done}, each(func(ctx context.Context, l *glassq.Lease,
					r *Reply) error {
					defer close(done)
					said := []byte{'a'}
					for range 4 {
						errs = append(errs, r.Extend(ctx, &glassq.Progress{Done: -1, Checkpoint: said}))
						said[0]++ // it may be used again
					}
					return nil
				}))
				if err != nil || !slices.Equal(q.said, tt.said) || !slices.Equal(q.asked, tt.asked) {
					t.Errorf("Run = %v; said %q by numbers %d; want %q by %d", err, q.said, q.asked, tt.said, tt.asked)
				}
				for i, want := range tt.errs {
					if !errors.Is(errs[i], want) {
						t.Errorf("Extend %d = %v; want %v", i, errs[i], want)
					}
				}
			})
		})
	}
}

// TestSaysOfALostLease: it is told, and the work's context is done.
func TestSaysOfALostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &sayQueue{memQueue: newMemQueue(1), answers: []error{glassq.ErrLeaseLost}, unheard: []bool{false}}
		done := make(chan struct{})
		stats, err := Run(t.Context(), q, Options{Concurrency: 1, Done: done}, each(func(ctx context.Context, l *glassq.Lease,
			r *Reply) error {
			defer close(done)
			err := r.Extend(ctx, &glassq.Progress{Done: 0.5})
			if !errors.Is(err, glassq.ErrLeaseLost) || ctx.Err() == nil {
				t.Errorf("Extend = %v, and the context is done: %t; want lease_lost, true", err, ctx.Err() != nil)
			}
			return err
		}))
		if err != nil || stats != (Stats{Lost: 1}) {
			t.Errorf("Run = %+v, %v; want one lost", stats, err)
		}
	})
	if err := new(Reply).Extend(t.Context(), nil); glassq.CodeOf(err) != glassq.CodeUnsupported {
		t.Errorf("Extend of a reply without a worker = %v; want unsupported", err)
	}
}

// TestSayingExtends: who says something often enough needs no other extends.
func TestSayingExtends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &sayQueue{memQueue: newMemQueue(1)}
		done := make(chan struct{})
		_, err := Run(t.Context(), q, Options{Concurrency: 1, Lease: 30 * time.Second, Done: done},
			each(func(ctx context.Context, l *glassq.Lease, r *Reply) error {
				defer close(done)
				for range 20 {
					time.Sleep(3 * time.Second)
					if err := r.Extend(ctx, &glassq.Progress{Done: 0.5}); err != nil {
						t.Errorf("Extend = %v", err)
					}
				}
				return nil
			}))
		if err != nil || q.extends != 0 {
			t.Errorf("Run = %v with %d extends that say nothing; want none", err, q.extends)
		}
	})
}
