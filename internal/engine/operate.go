package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/room"
	"github.com/glassq/glassq/internal/state"
)

// change appends the record that decide returns, if it returns one, and waits for its commit.
// decide runs under the lock, and so does then, which may be nil, when the record is applied.
func (e *Engine) change(decide func() ([]byte, error), then func()) error {
	if err := e.begin(); err != nil {
		return err
	}
	var rec []byte
	err := e.roomOn(Shrinks, 4<<10)
	if err == nil {
		rec, err = decide()
	}
	if err != nil || rec == nil {
		return e.refuse(err)
	}
	e.append(rec)
	f := e.join()
	if then != nil {
		then()
	}
	e.end()
	return e.wait(f)
}

// waitReadable returns when the bodies up to the frame newest can be read, and told may be told.
func (e *Engine) waitReadable(newest, told uint64) error {
	if err := e.wait(told); err != nil {
		return err
	}
	return e.waitWritten(newest)
}

// Queues lists queues in the order of their names.
func (e *Engine) Queues(_ context.Context, names ...string) ([]glassq.QueueInfo, error) {
	if err := e.begin(); err != nil {
		return nil, err
	}
	var queues []*state.Queue
	for _, name := range names {
		q := e.st.Queue(name)
		if q == nil {
			return nil, e.refuse(state.NoQueue(name))
		}
		queues = append(queues, q)
	}
	if len(names) == 0 {
		queues = e.st.Queues()
	}
	return e.describe(queues)
}

// describe says all of queues. The caller has begun to read, which it ends.
func (e *Engine) describe(queues []*state.Queue) ([]glassq.QueueInfo, error) {
	infos := make([]glassq.QueueInfo, len(queues))
	heads := make([]state.Place, len(queues)) // of the next tasks; Frame 0 is none
	for i, q := range queues {
		infos[i] = q.Info()
		infos[i].Rate = q.Pace.Now(e.nanos())
		if n := infos[i].Ready; n > 0 {
			_, _, wait := q.Pace.Ask(e.nanos(), 1, n)
			infos[i].Due = wait.Seconds()
		}
		if w, ok := q.Waiters.(*waitList); ok {
			infos[i].Waiters = len(w.list)
		}
		e.st.Eldest(q, &heads[i])
	}
	f, told := e.newest(), e.told()
	now := e.st.Now()
	defer e.unpin(e.pin())
	e.end()
	if err := e.waitReadable(f, told); err != nil {
		return nil, err
	}
	r := reading{c: e.cache}
	var t glassq.Task
	for i := range heads {
		if h := &heads[i]; h.Frame != 0 {
			if put, err := r.task(&t, h); err == nil {
				infos[i].Oldest = float64(max(0, now-put)) / 1000
			}
		}
	}
	return infos, nil
}

// Configure changes settings of a queue.
func (e *Engine) Configure(_ context.Context, queue string, c glassq.SettingsChange) (set glassq.Settings, err error) {
	err = e.change(func() (rec []byte, _ error) {
		if err := e.mayMakeQueue(queue); err != nil {
			return nil, err
		}
		rec, set = e.st.DecideSettings(queue, c)
		return rec, nil
	}, func() {
		if c.Paused != nil && !*c.Paused { // a person has looked at it
			if rec := e.st.DecideResume(queue); rec != nil {
				e.append(rec)
			}
		}
		e.lowered(e.st.Queue(queue)) // a limit may be higher
	})
	return set, err
}

// Peek shows tasks of one state, oldest first. The room of ctx bounds their bodies, see package
// room.
func (e *Engine) Peek(ctx context.Context, queue string, want glassq.State, cursor uint64, most int) ([]glassq.Peeked,
	uint64, error) {
	for bodies := room.Of(ctx); ; {
		tasks, next, lacks, err := e.peek(queue, want, cursor, most, bodies)
		if err != nil || lacks == 0 {
			return tasks, next, err
		}
		if err := bodies.Take(ctx, lacks); err != nil {
			return nil, 0, err
		}
	}
}

// peek is Peek, unless it lacks room for the first task.
func (e *Engine) peek(queue string, want glassq.State, cursor uint64, most int, bodies room.Taker) (
	_ []glassq.Peeked, next uint64, lacks int64, _ error) {
	if err := e.begin(); err != nil {
		return nil, 0, 0, err
	}
	q := e.st.Queue(queue)
	if q == nil {
		return nil, 0, 0, e.refuse(state.NoQueue(queue))
	}
	found, places := e.st.Show(q, want, cursor, most+1)
	f, told, now := e.newest(), e.told(), e.st.Now()
	var size int64
	for i, p := range places {
		if i == most {
			break
		}
		size += p.Size
		full := bodies != nil && !bodies.Try(p.Size)
		if full && i == 0 {
			e.end()
			return nil, 0, p.Size, nil
		}
		if full || size > glassq.MaxAnswer && i > 0 {
			most = i // this one begins the next page
			break
		}
	}
	defer e.unpin(e.pin())
	e.end()
	if err := e.waitReadable(f, told); err != nil {
		return nil, 0, 0, err
	}
	if len(found) > most {
		next = found[most].Number
		found = found[:most]
	}
	out := make([]glassq.Peeked, 0, len(found))
	r := reading{c: e.cache}
	for i, p := range found {
		var t glassq.Task
		put, err := r.task(&t, &places[i])
		if err != nil {
			if want != glassq.Dead {
				return nil, 0, 0, err
			}
			t, put = glassq.Task{Queue: queue}, now // its reason says where the damage is
			if where := err.Error(); p.Reason == "" {
				p.Reason = where
			} else if !strings.HasPrefix(where, p.Reason) { // it rotted after it died of something else
				p.Reason += "; " + where
			}
		}
		t.Body = slices.Clone(t.Body)
		t.Extra = slices.Clone(t.Extra)
		if t.ID == "" && !t.Dense {
			t.ID = glassq.AssignedID(p.Number)
		}
		p.Task, p.Age = t, time.Duration(max(0, now-put))*time.Millisecond
		out = append(out, p)
	}
	return out, next, 0, nil
}

// Purge ends tasks of a queue that nobody works on.
func (e *Engine) Purge(_ context.Context, queue string, states ...glassq.State) (n int, err error) {
	if len(states) == 0 {
		states = []glassq.State{glassq.Delayed, glassq.Ready}
	}
	err = e.change(func() (rec []byte, err error) {
		rec, n, err = e.st.DecidePurge(queue, states)
		return rec, err
	}, nil)
	return n, err
}

// Redrive makes dead tasks ready again.
func (e *Engine) Redrive(ctx context.Context, queue string, most int) (int, error) {
	return e.RedriveSome(ctx, queue, glassq.DeadFilter{Max: most})
}

// RedriveSome makes those dead tasks ready again that f means.
func (e *Engine) RedriveSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	return e.someDead(ctx, queue, f, false)
}

// PurgeSome drops those dead tasks that f means.
func (e *Engine) PurgeSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	return e.someDead(ctx, queue, f, true)
}

// someDead goes through the dead tasks of a queue in pieces, and waits for the commit of each.
func (e *Engine) someDead(ctx context.Context, queue string, f glassq.DeadFilter, purge bool) (done int, err error) {
	var pick *state.DeadPick
	for last := false; !last; {
		n := 0
		err := e.change(func() (rec []byte, err error) {
			if pick == nil {
				if pick, err = e.st.PickDead(queue, f, purge); err != nil {
					return nil, err
				}
			}
			rec, n, last, err = pick.Next(e.st)
			return rec, err
		}, nil)
		if err != nil {
			return done, err
		}
		if done += n; ctx.Err() != nil && !last {
			return done, ctx.Err()
		}
	}
	return done, nil
}

// Drop forgets a queue. Calls that wait for it go on waiting for the new one of its name.
func (e *Engine) Drop(_ context.Context, queue string) error {
	var old *state.Queue
	var w *waitList
	return e.change(func() ([]byte, error) {
		if old = e.st.Queue(queue); old != nil {
			w, _ = old.Waiters.(*waitList)
		}
		return e.st.DecideDrop(queue)
	}, func() {
		if w == nil || w.empty() {
			return
		}
		now := e.st.Touch(queue)
		now.Waiters = w
		for _, p := range w.room {
			p.queue = now
		}
		for _, list := range [][]*state.Queue{e.woken, e.later, e.paced} {
			for i := range list {
				if list[i] == old {
					list[i] = now
				}
			}
		}
		e.lowered(now)
	})
}

// read calls look under the lock, and waits for what it has seen to be done where reads wait.
func (e *Engine) read(look func() error) error {
	if err := e.begin(); err != nil {
		return err
	}
	return e.refuse(look())
}
