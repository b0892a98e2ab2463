package engine

import (
	"cmp"
	"context"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
	"github.com/glassq/glassq/internal/state"
)

// endRuns writes down the ends of runs that have come to them, with the puts of their hooks, in the
// open frame: that of the ack that ended the run, or the next one where a ttl did. It tells whether
// it wrote any. Without room on the log a run is not complete until there is some, and while an
// archive is read until all of it is: what a hook puts is not in that. The caller holds mu.
func (e *Engine) endRuns() (wrote bool) {
	for e.err == nil && !e.adopting {
		end, task, ok := e.st.DecideEnd()
		if !ok {
			break
		}
		var put []byte
		if task != nil {
			put = state.AppendPut(nil, task)
		}
		if e.roomOn(Shrinks, len(end)+len(put)) != nil {
			break
		}
		e.append(end)
		if put != nil {
			e.append(put)
			e.putItself(task)
		}
		wrote = true
	}
	return wrote
}

// showRun is what is told of a run. The end of one that is a record is told when that is committed:
// read waits for e.open then. The caller holds mu.
func (e *Engine) showRun(r *state.Run, read *uint64) glassq.Run {
	info := e.st.RunInfo(r)
	if info.Complete && info.Ends > 0 {
		*read = e.newest()
	}
	return info
}

// Runs lists all runs, newest first.
func (e *Engine) Runs(context.Context) (out []glassq.Run, err error) {
	var ends uint64
	err = e.read(func() error {
		for _, r := range e.st.Runs() {
			out = append(out, e.showRun(r, &ends))
		}
		return nil
	})
	if err == nil {
		err = e.wait(ends)
	}
	return out, err
}

// Run shows one run.
func (e *Engine) Run(_ context.Context, name string) (info glassq.Run, err error) {
	var end uint64
	err = e.readRun(name, func(r *state.Run) { info = e.showRun(r, &end) })
	if err == nil {
		err = e.wait(end)
	}
	return info, err
}

// SetRun makes a run or changes it.
func (e *Engine) SetRun(_ context.Context, name string, c glassq.RunChange) (info glassq.Run, err error) {
	var more [][]byte
	err = e.change(func() ([]byte, error) {
		if c.Hooks {
			onEnd, onFailed := e.st.Hooks(c.RetryOf)
			c.OnEnd, c.OnFailed = cmp.Or(c.OnEnd, onEnd), cmp.Or(c.OnFailed, onFailed)
		}
		hooks, err := parseHooks(&c)
		if err != nil {
			return nil, err
		}
		makes := []glassq.Task{{Run: name}}
		for _, h := range hooks {
			if h != nil {
				makes = append(makes, glassq.Task{Queue: h.Task.Queue, Run: h.Task.Run})
			}
		}
		if err := e.mayMake(makes, ""); err != nil {
			return nil, err
		}
		recs, err := e.st.DecideRun(name, c, hooks)
		if err != nil {
			return nil, err
		}
		more = recs[1:]
		return recs[0], nil
	}, func() {
		for _, rec := range more {
			e.append(rec)
		}
	})
	if err != nil {
		return info, err
	}
	return e.Run(context.Background(), name)
}

// parseHooks reads the hooks of a change; one that is not in it is nil.
func parseHooks(c *glassq.RunChange) (hooks [2]*state.Hooked, err error) {
	for i, text := range []glassq.Hook{c.OnEnd, c.OnFailed} {
		if text == "" {
			continue
		}
		hooks[i] = &state.Hooked{Text: text}
		if err := envelope.ParseHook(text, &hooks[i].Task); err != nil {
			return hooks, err
		}
	}
	return hooks, nil
}

// readRun is read of one run.
func (e *Engine) readRun(name string, look func(r *state.Run)) error {
	return e.read(func() error {
		r := e.st.Run(name)
		if r == nil {
			return state.NoRun(name)
		}
		look(r)
		return nil
	})
}

// RunIDs returns positions of a run as intervals.
func (e *Engine) RunIDs(_ context.Context, name string, set glassq.IDSet, from uint32,
	most int) (ids []glassq.Interval, err error) {
	err = e.readRun(name, func(r *state.Run) { ids = r.IDs(set, from, most) })
	return ids, err
}

// CancelRun ends the tasks of a run that nobody works on, and seals it.
func (e *Engine) CancelRun(_ context.Context, name string) (n int, err error) {
	cancelled := func() int { return int(e.st.RunInfo(e.st.Run(name)).Books.Dead.Cancelled) }
	err = e.change(func() ([]byte, error) {
		if e.st.Run(name) == nil {
			return nil, state.NoRun(name)
		}
		n = -cancelled()
		return state.AppendCancel(nil, name), nil
	}, func() { n += cancelled() })
	return n, err
}

// DropRun forgets a run that is over.
func (e *Engine) DropRun(_ context.Context, name string) error {
	return e.change(func() ([]byte, error) { return e.st.DecideRunDrop(name) }, nil)
}

// A runWaiter waits for a run to reach a phase.
type runWaiter struct {
	name  string
	phase glassq.Phase
	done  chan struct{}
}

// wakeRuns wakes those whose run has reached its phase. The caller holds mu.
func (e *Engine) wakeRuns() {
	for w := range e.runWait {
		if r := e.st.Run(w.name); r != nil && r.Reached(w.phase) {
			delete(e.runWait, w)
			close(w.done)
		}
	}
}

// AwaitRun waits until the run has reached phase. The answer is durable.
func (e *Engine) AwaitRun(ctx context.Context, name string, phase glassq.Phase, wait time.Duration) (glassq.Run,
	error) {
	if err := e.begin(); err != nil {
		return glassq.Run{}, err
	}
	w := &runWaiter{name: name, phase: phase, done: make(chan struct{})}
	if r := e.st.Run(name); (r == nil || !r.Reached(phase)) && wait != 0 {
		e.runWait[w] = struct{}{}
		e.end()
		await(ctx, w.done, wait)
		if err := e.begin(); err != nil {
			return glassq.Run{}, err
		}
		delete(e.runWait, w)
	}
	var info glassq.Run
	r := e.st.Run(name)
	if r != nil {
		info = e.st.RunInfo(r)
	}
	f := e.newest()
	e.end()
	switch {
	case ctx.Err() != nil:
		return info, ctx.Err()
	case r == nil:
		return info, e.refused(f, state.NoRun(name))
	}
	return info, e.wait(f)
}
