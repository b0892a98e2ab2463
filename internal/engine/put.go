package engine

import (
	"context"
	"sync"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// scratches hold encoded records until they go into a frame.
var scratches = sync.Pool{New: func() any { return new(state.Records) }}

func release(s *state.Records) {
	if s.Reset() <= frameKept {
		scratches.Put(s)
	}
}

// Put stores tasks, all or none.
func (e *Engine) Put(_ context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	s := scratches.Get().(*state.Records)
	defer release(s)
	s.PutAll(tasks)
	receipts := make([]glassq.Receipt, len(tasks))
	if err := e.begin(); err != nil {
		return nil, err
	}
	f, _, err := e.putNow(tasks, s, receipts)
	if err != nil {
		return nil, e.refuse(err)
	}
	e.end()
	return receipts, e.wait(f)
}

// putNow decides a put whose records are in s, and fills in receipts. It returns what is to be
// waited for, or the queue that is full, if it may ever have room. The caller holds mu.
func (e *Engine) putNow(tasks []glassq.Task, s *state.Records, receipts []glassq.Receipt) (uint64, *state.Queue,
	error) {
	if err := e.roomOn(Grows, s.Size()); err != nil {
		return 0, nil, err
	}
	if err := e.mayMake(tasks, ""); err != nil {
		return 0, nil, err
	}
	if full, err := e.st.RoomFor(tasks); err != nil {
		return 0, full, err
	}
	stored := false
	for i := range tasks {
		if e.st.IsDuplicate(&tasks[i]) {
			receipts[i].Duplicate = true
			continue
		}
		if tasks[i].Range != nil {
			receipts[i].Put = e.st.NewOf(&tasks[i])
		}
		receipts[i].Number = e.st.NextTask()
		e.append(s.At(i))
		stored = true
	}
	f := e.newest() // a duplicate's first put may be under way as well
	if stored {
		e.join()
	}
	return f, nil, nil
}

// Move takes the body of a task from a move record of another log: that task's body in this one may
// be lost. is tells whether the task is here. It does not wait for the commit.
func (e *Engine) Move(rec []byte) (is bool, err error) {
	if err := e.begin(); err != nil {
		return false, err
	}
	defer e.end()
	if err := e.roomOn(Shrinks, len(rec)); err != nil {
		return false, err
	}
	if e.st.CheckMove(rec) != nil {
		return false, nil
	}
	e.append(rec)
	return true, nil
}
