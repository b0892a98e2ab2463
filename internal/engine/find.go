package engine

import (
	"context"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// Find finds one task by what is indexed; see glassq.Finder.
func (e *Engine) Find(_ context.Context, f glassq.Find) (found glassq.Found, err error) {
	if err := e.begin(); err != nil {
		return found, err
	}
	n, due, where, err := e.st.Find(&f)
	found.Where = where
	if err != nil || n == 0 {
		return found, e.refuse(err)
	}
	place, _ := e.st.Place(n)
	found.Number, found.State, found.Attempt, found.Reason = n, e.st.StateOf(n), place.Attempt, e.st.Reason(n)
	newest, told, now := e.newest(), e.told(), e.st.Now()
	defer e.unpin(e.pin())
	e.end()
	if err := e.waitReadable(newest, told); err != nil {
		return found, err
	}
	if due > 0 {
		found.Due = time.Duration(max(0, due-now)) * time.Millisecond
	}
	r := reading{c: e.cache}
	put, err := r.task(&found.Task, &place)
	if err != nil {
		return found, err
	}
	found.Body, found.Extra = slices.Clone(found.Body), slices.Clone(found.Extra)
	if found.Progress, err = r.said(&place); err != nil {
		return found, err
	}
	if found.ID == "" && !found.Dense {
		found.ID = glassq.AssignedID(n)
	}
	found.Age = time.Duration(max(0, now-put)) * time.Millisecond
	return found, nil
}

// NextDelayed tells what the delayed tasks of a queue wait for; see glassq.Finder.
func (e *Engine) NextDelayed(_ context.Context, queue string) (d glassq.Delays, err error) {
	err = e.read(func() error {
		q := e.st.Queue(queue)
		if q == nil {
			return state.NoQueue(queue)
		}
		if at, ok := e.st.NextDelayed(q); ok {
			d.In, d.Timed = time.Duration(max(0, at-e.st.Now()))*time.Millisecond, true
		}
		d.Runs, d.More = e.st.HeldRuns(q)
		return nil
	})
	return d, err
}
