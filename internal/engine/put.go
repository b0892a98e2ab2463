package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/state"
)

// A scratch holds encoded records until they go into a frame.
type scratch struct {
	buf  []byte
	ends []int
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) free() {
	if cap(s.buf) <= 4<<20 {
		s.buf, s.ends = s.buf[:0], s.ends[:0]
		scratches.Put(s)
	}
}

// ready makes room for about that many tasks: a new scratch would come to its size by many small steps.
func (s *scratch) ready(tasks []glassq.Task) {
	size := 0
	for i := range tasks {
		size += len(tasks[i].Body) + len(tasks[i].Extra) + 64
	}
	s.buf, s.ends = slices.Grow(s.buf, size), slices.Grow(s.ends, len(tasks))
}

func (s *scratch) put(t *glassq.Task) {
	s.buf = state.AppendPut(s.buf, t)
	s.ends = append(s.ends, len(s.buf))
}

func (s *scratch) rec(i int) []byte {
	start := 0
	if i > 0 {
		start = s.ends[i-1]
	}
	return s.buf[start:s.ends[i]]
}

// Put stores tasks, all or none.
func (e *Engine) Put(_ context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	s.ready(tasks)
	for i := range tasks {
		s.put(&tasks[i])
	}
	receipts := make([]glassq.Receipt, len(tasks))
	if err := e.begin(); err != nil {
		return nil, err
	}
	f, _, err := e.putNow(tasks, s, receipts)
	e.end()
	if err != nil {
		return nil, err
	}
	return receipts, e.wait(f)
}

// putNow decides a put whose records are in s, and fills in receipts. It returns what is to be waited
// for, or the queue that is full, if it may ever have room. The caller holds mu.
func (e *Engine) putNow(tasks []glassq.Task, s *scratch, receipts []glassq.Receipt) (uint64, *state.Queue, error) {
	if err := e.roomOn(Grows, len(s.buf)); err != nil {
		return 0, nil, err
	}
	if full, err := e.roomFor(tasks); err != nil {
		return 0, full, err
	}
	stored := false
	for i := range tasks {
		if e.st.IsDuplicate(&tasks[i]) {
			receipts[i].Duplicate = true
			continue
		}
		receipts[i].Number = e.st.NextTask()
		e.append(s.rec(i))
		stored = true
	}
	f := e.newest() // a duplicate's first put may be under way as well
	if stored {
		e.open.Waited = true
	}
	return f, nil, nil
}

// roomFor refuses tasks that a limited queue has no room for, or that a sealed run does not have. It
// returns the queue that is full, if waiting for room makes sense. The caller holds mu.
func (e *Engine) roomFor(tasks []glassq.Task) (full *state.Queue, err error) {
	type asked struct{ n, size int64 }
	var limited map[*state.Queue]*asked
	var q *state.Queue // nil when it has no limit
	last := ""
	for i := range tasks {
		t := &tasks[i]
		if t.Dense {
			if r := e.st.Run(t.Run); r != nil && r.Beyond(t.N) && !r.HasPut(t.N) {
				return nil, glassq.Errorf(glassq.CodeRunConflict, "run %s is sealed with %d tasks, and has no position %d", t.Run, r.Info().Total, t.N)
			}
		}
		if t.Queue != last {
			last, q = t.Queue, e.st.Queue(t.Queue)
			if q != nil {
				if s := q.Settings(); s.MaxTasks == 0 && s.MaxBytes == 0 {
					q = nil
				}
			}
		}
		if q == nil || e.st.IsDuplicate(t) {
			continue
		}
		if limited == nil {
			limited = map[*state.Queue]*asked{}
		}
		a := limited[q]
		if a == nil {
			a = &asked{}
			limited[q] = a
		}
		a.n++
		a.size += state.Size(t)
		if err := roomIn(q, a.n, a.size); err != nil {
			if s := q.Settings(); s.MaxTasks > 0 && a.n > s.MaxTasks || s.MaxBytes > 0 && a.size > s.MaxBytes {
				return nil, err // not even if it were empty
			}
			return q, err
		}
	}
	return nil, nil
}

// roomIn refuses n tasks of size bytes together that q has no room for.
func roomIn(q *state.Queue, n, size int64) error {
	s, held := q.Settings(), q.Info()
	all := held.Delayed + held.Ready + held.Leased + held.Dead
	switch {
	case s.MaxTasks > 0 && all+n > s.MaxTasks:
		return glassq.Errorf(glassq.CodeQueueFull, "queue %s holds %d tasks and may hold %d (max_tasks); try again when some are done", q.Name, all, s.MaxTasks)
	case s.MaxBytes > 0 && held.Bytes+size > s.MaxBytes:
		return glassq.Errorf(glassq.CodeQueueFull, "queue %s holds %d bytes and may hold %d (max_bytes); try again when some are done", q.Name, held.Bytes, s.MaxBytes)
	}
	return nil
}
