package manager

import (
	"context"
	"errors"
	"math"
	"os"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/wire/manager/pickle"
)

// Room in a bounded queue, and the end of a join, are looked for at growing intervals.
const (
	lookFirst = 2 * time.Millisecond
	lookLast  = 200 * time.Millisecond
)

const forEver = time.Duration(-1)

// call serves a method of a queue. Every call confirms the item that the connection got before.
func (c *conn) call(queue string, r request) error {
	var e *exception
	switch r.method {
	case "put":
		var a []*pickle.Value
		if a, e = bind(r, "put", "item", "block", "timeout"); e == nil {
			return c.put(queue, a[0], a[1], a[2])
		}
	case "put_nowait":
		var a []*pickle.Value
		if a, e = bind(r, "put_nowait", "item"); e == nil {
			return c.put(queue, a[0], &pickle.Value{Kind: pickle.Bool}, nil)
		}
	case "get":
		var a []*pickle.Value
		if a, e = bind(r, "get", "block", "timeout"); e == nil {
			return c.get(queue, r.ident, a[0], a[1])
		}
	case "get_nowait":
		if _, e = bind(r, "get_nowait"); e == nil {
			return c.get(queue, r.ident, &pickle.Value{Kind: pickle.Bool}, nil)
		}
	case "#GETVALUE":
		return c.text(headUns, "a queue cannot be copied")
	case "__str__", "__repr__":
		return c.reply(func(b []byte) []byte { return pickle.AppendText(b, "<glassq queue "+queue+">", pickle.Python2) })
	case "empty", "full", "qsize", "task_done", "join", "close", "join_thread", "cancel_join_thread":
		if _, e = bind(r, r.method); e == nil {
			return c.simple(queue, r.method)
		}
	default:
		return c.traceback("a queue has no method " + r.method)
	}
	return c.raise(e)
}

// simple serves what has no arguments.
func (c *conn) simple(queue, method string) error {
	if err := c.confirm(nil); err != nil {
		return c.fault(err)
	}
	switch method {
	case "empty", "full", "qsize":
		info, err := c.info(queue)
		switch {
		case err != nil:
			return c.fault(err)
		case method == "qsize":
			return c.reply(func(b []byte) []byte { return appendInt(b, info.Ready) })
		case method == "empty":
			return c.reply(appendBool(info.Ready == 0))
		}
		max := info.Settings.MaxTasks
		return c.reply(appendBool(max > 0 && info.Ready+info.Delayed+info.Leased+info.Dead >= max))
	case "task_done":
		if !c.s.counted(queue, func(n *count) bool { n.done++; ok := n.done <= n.taken; n.done = min(n.done, n.taken); return ok }) {
			return c.raise(&exception{"ValueError", "task_done() called too many times"})
		}
	case "join":
		ok, err := c.wait(forEver, func(ctx context.Context) (bool, error) {
			info, err := c.info(queue)
			return info.Ready+info.Delayed+info.Leased == 0 && c.s.counted(queue, func(n *count) bool { return n.done >= n.taken }), err
		})
		if err != nil {
			return c.failed(err)
		}
		if !ok {
			return glassq.ErrClosed
		}
	}
	return c.reply(appendNone)
}

// info is about a queue, which need not be there yet.
func (c *conn) info(queue string) (glassq.QueueInfo, error) {
	all, err := c.s.store.Queues(c.ctx, queue)
	if glassq.CodeOf(err) == glassq.CodeNotFound && err != nil || err == nil && len(all) == 0 {
		return glassq.QueueInfo{}, nil
	}
	if err != nil {
		return glassq.QueueInfo{}, err
	}
	return all[0], nil
}

// confirm acks the item that the connection got before, with a result if there is one. An item that was
// given to somebody else meanwhile is no error without a result.
func (c *conn) confirm(result *glassq.Task) error {
	l := c.held
	if l == nil {
		return nil
	}
	errs, err := c.s.store.Ack(c.ctx, []glassq.Ack{{Token: l.Token(), Result: result}})
	if err == nil {
		err = errs[0]
	}
	lost := errors.Is(err, glassq.ErrLeaseLost)
	if err == nil || lost {
		c.held = nil
		c.s.drop(l.Token())
	}
	if lost && result == nil {
		return nil
	}
	return err
}

func (c *conn) put(queue string, item, block, timeout *pickle.Value) error {
	wait, e := waitOf(block, timeout)
	if e != nil {
		return c.raise(e)
	}
	task, e := c.toTask(item, queue)
	if e != nil {
		return c.raise(e)
	}
	result := c.held != nil && queue == resultsOf(c.held) && item.Member("i") != nil && item.Member("o") != nil
	if !result {
		if err := c.confirm(nil); err != nil {
			return c.fault(err)
		}
	}
	try := func(ctx context.Context) (bool, error) {
		if result {
			t := task
			err := c.confirm(&t)
			if !errors.Is(err, glassq.ErrLeaseLost) {
				return done(err)
			}
			result = false // somebody else works on it too; what this one found is kept all the same
		}
		_, err := c.s.store.Put(ctx, []glassq.Task{task})
		return done(err)
	}
	ok, err := try(c.ctx)
	if !ok && err == nil && wait != 0 {
		ok, err = c.wait(wait, try)
	}
	switch {
	case err != nil:
		return c.failed(err)
	case !ok:
		return c.raise(&exception{"Full", ""})
	}
	return c.reply(appendNone)
}

// done makes a full queue a reason to wait.
func done(err error) (bool, error) {
	if errors.Is(err, glassq.ErrQueueFull) {
		return false, nil
	}
	return err == nil, err
}

func resultsOf(l *glassq.Lease) string {
	if l.Result != "" {
		return l.Result
	}
	return glassq.DefaultResults
}

func (c *conn) get(queue, id string, block, timeout *pickle.Value) error {
	wait, e := waitOf(block, timeout)
	if e != nil {
		return c.raise(e)
	}
	if err := c.confirm(nil); err != nil {
		return c.fault(err)
	}
	r := glassq.Reserve{Queue: queue, Max: 1, Lease: leaseLength}
	leases, err := c.s.store.Reserve(c.ctx, r)
	if err == nil && len(leases) == 0 && wait != 0 {
		r.Wait = wait
		var gone error
		gone, err = c.watched(func(ctx context.Context) (err error) {
			leases, err = c.s.store.Reserve(ctx, r)
			return err
		})
		if gone != nil {
			if len(leases) == 1 {
				c.take(&leases[0], id)
			}
			c.reset = true
			return gone
		}
	}
	switch {
	case err != nil:
		return c.failed(err)
	case len(leases) == 0:
		return c.raise(&exception{"Empty", ""})
	}
	c.take(&leases[0], id)
	c.s.counted(queue, func(n *count) bool { n.taken++; return true })
	return c.replyValue(&leases[0].Task)
}

func (c *conn) take(l *glassq.Lease, id string) {
	c.held, c.heldBy = l, id
	c.s.hold(l.Token())
}

// failed answers an error of a call that may have waited; the end of the server ends the connection.
func (c *conn) failed(err error) error {
	if c.ctx.Err() != nil || c.reset {
		return err
	}
	return c.fault(err)
}

// watched runs f and has an eye on the client meanwhile: when it goes away, f's context ends and gone says
// why. What the client sends stays in the buffer.
func (c *conn) watched(f func(context.Context) error) (gone, err error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	over := make(chan error, 1)
	go func() { // ends by the deadline below, at the latest
		_, err := c.r.Peek(1)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel()
			over <- err
			return
		}
		over <- nil
	}()
	err = f(ctx)
	c.nc.SetReadDeadline(longAgo)
	gone = <-over
	c.within(0)
	return gone, err
}

// wait tries again and again until try is done, time is over (then ok is false), or the client goes away.
func (c *conn) wait(limit time.Duration, try func(context.Context) (bool, error)) (ok bool, err error) {
	gone, err := c.watched(func(ctx context.Context) error {
		if limit > 0 {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, limit)
			defer stop()
		}
		for pause := lookFirst; ; pause = min(2*pause, lookLast) {
			var err error
			if ok, err = try(ctx); ok || err != nil {
				return err
			}
			rest(ctx, pause)
			switch err := ctx.Err(); {
			case errors.Is(err, context.DeadlineExceeded):
				return nil
			case err != nil:
				return err
			}
		}
	})
	if gone != nil {
		c.reset = true
		return ok, gone
	}
	return ok, err
}

// bind puts arguments in the order of names. Missing ones are nil; item is needed, and is also called obj.
func bind(r request, method string, names ...string) ([]*pickle.Value, *exception) {
	out := make([]*pickle.Value, len(names))
	if len(r.args) > len(names) {
		return nil, &exception{"TypeError", method + "() takes fewer arguments"}
	}
	copy(out, r.args)
next:
	for i := 0; i < len(r.kwds.Items); i += 2 {
		key := string(r.kwds.Items[i].Raw)
		for k, name := range names {
			if key == name || name == "item" && key == "obj" {
				if out[k] != nil {
					return nil, &exception{"TypeError", method + "() got two values for argument " + key}
				}
				out[k] = r.kwds.Items[i+1]
				continue next
			}
		}
		return nil, &exception{"TypeError", method + "() got an unknown keyword argument " + key}
	}
	if len(names) > 0 && names[0] == "item" && out[0] == nil {
		return nil, &exception{"TypeError", method + "() needs an item"}
	}
	return out, nil
}

// waitOf reads block and timeout as queue.Queue does: 0 for no wait.
func waitOf(block, timeout *pickle.Value) (time.Duration, *exception) {
	if block != nil && !block.True() {
		return 0, nil
	}
	if timeout == nil || timeout.Kind == pickle.None {
		return forEver, nil
	}
	var s float64
	switch timeout.Kind {
	case pickle.Int, pickle.Bool:
		s = float64(int64(timeout.Num))
	case pickle.Float:
		s = timeout.Float()
	default:
		return 0, &exception{"TypeError", "timeout is not a number of seconds"}
	}
	switch {
	case math.IsNaN(s) || s < 0:
		return 0, &exception{"ValueError", "'timeout' must be a non-negative number"}
	case s > 1e9:
		return forEver, nil
	}
	return time.Duration(s * float64(time.Second)), nil
}
