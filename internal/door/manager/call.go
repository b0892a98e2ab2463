package manager

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/door/manager/pickle"
	"github.com/glassq/glassq/internal/rights"
	"github.com/glassq/glassq/internal/room"
)

const forEver = time.Duration(-1)

// call serves a method of a queue. Every call confirms the item that the connection got before,
// unless the queue's Delivery is OnTaskDone.
func (c *conn) call(queue string, r request) error {
	verb, ok := rights.Method(r.method)
	if !ok {
		return c.traceback("a queue has no method " + r.method)
	}
	if verb == rights.VerbPut {
		verb = rights.VerbResult // as it may be; c.store knows better
	}
	if err := c.store.May(c.ctx, verb, queue); err != nil {
		return c.fault(err)
	}
	a, e := r.aside()
	if e != nil {
		return c.raise(e)
	}
	if err := c.resume(a.of, r.ident); err != nil {
		return c.fault(err)
	}
	if strings.HasPrefix(r.method, "put") && !c.s.mayPut(queue, r.ident) {
		return c.raise(c.isShut(queue))
	}
	switch r.method {
	case "put":
		var v []*pickle.Value
		if v, e = bind(r, "put", "item", "block", "timeout"); e == nil {
			return c.put(queue, a.id, v[0], v[1], v[2])
		}
	case "put_nowait":
		var v []*pickle.Value
		if v, e = bind(r, "put_nowait", "item"); e == nil {
			return c.put(queue, a.id, v[0], &pickle.Value{Kind: pickle.Bool}, nil)
		}
	case "get":
		var v []*pickle.Value
		if v, e = bind(r, "get", "block", "timeout"); e == nil {
			return c.get(queue, r.ident, a.asks, v[0], v[1])
		}
	case "get_nowait":
		if _, e = bind(r, "get_nowait"); e == nil {
			return c.get(queue, r.ident, a.asks, &pickle.Value{Kind: pickle.Bool}, nil)
		}
	case "shutdown":
		var v []*pickle.Value
		if v, e = bind(r, "shutdown", "immediate"); e == nil {
			return c.shutdown(queue, v[0])
		}
	case "hold":
		if _, e = bind(r, "hold"); e == nil {
			return c.hold(a.of)
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
	if err := c.confirm(); err != nil {
		return c.fault(err)
	}
	switch method {
	case "empty", "full", "qsize":
		all, err := c.store.Held(c.ctx, queue)
		if err != nil {
			return c.fault(err)
		}
		held := &all[0]
		switch method {
		case "qsize":
			return c.reply(func(b []byte) []byte { return appendInt(b, held.Ready) })
		case "empty":
			return c.reply(appendBool(held.Ready == 0))
		}
		max := held.Settings.MaxTasks
		return c.reply(appendBool(max > 0 && held.Ready+held.Delayed+held.Leased+held.Dead >= max))
	case "task_done":
		if !c.s.taskDone(queue) {
			return c.raise(&exception{"ValueError", "task_done() called too many times"})
		}
		if err := c.taskDone(queue); err != nil {
			return c.fault(err)
		}
	case "join":
		gone, err := c.watched(func(ctx context.Context) error { return c.join(ctx, queue) })
		if gone != nil {
			return c.left(gone)
		}
		if err != nil {
			return c.failed(err)
		}
	}
	return c.reply(appendNone)
}

// join waits until a queue has nothing left to do and every item that was got was told done.
func (c *conn) join(ctx context.Context, queue string) error {
	for {
		if _, err := c.store.AwaitIdle(ctx, queue, forEver); err != nil {
			return err
		}
		if even := c.s.allDone(queue); even != nil {
			select {
			case <-even:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		// Both at once; if not, something was put or got meanwhile.
		if idle, err := c.store.AwaitIdle(ctx, queue, 0); err != nil || idle && c.s.allDone(queue) == nil {
			return err
		}
	}
}

// put stores an item under an id, "" for none. What the call confirms is acked in the same commit,
// so that a crash does not end an item whose follow-up it takes; not so an item of a run, whose
// books are not for what programs put beside it. The result of the item that the connection got
// before is stored with its ack, or not at all: when the lease was lost, somebody else's result is
// the one that counts, and the put raises.
func (c *conn) put(queue, id string, item, block, timeout *pickle.Value) error {
	wait, e := waitOf(block, timeout)
	if e != nil {
		return c.raise(e)
	}
	task, e := c.toTask(item, queue)
	if e != nil {
		return c.raise(e)
	}
	// Programs know one queue of results. An item of a run may have another one, and its result
	// belongs there.
	of := c.only()
	if of == nil {
		of = c.late
	}
	isResult := of != nil && (queue == glassq.DefaultResults || queue == of.ResultQueue) && item.Member("i") != nil &&
		item.Member("o") != nil
	together := !isResult && c.held != nil && c.held.Run == ""
	var token glassq.Token
	switch {
	case isResult:
		token = of.Token()
	case together:
		token = c.held.Token()
	default:
		if err := c.confirm(); err != nil {
			return c.fault(err)
		}
	}
	if !isResult {
		task.ID = id
		if k, ok := c.s.opt.Keys[queue]; ok {
			task.Key = k.Of(task.Body)
		}
	}
	store := func(ctx context.Context, wait time.Duration) (err error) {
		t := task // a store fills in what is not said
		ack := glassq.Ack{Token: token}
		if isResult {
			t.Queue = "" // the item's own
			ack.Result = &t
		} else {
			ack.Put = []glassq.Task{t}
		}
		switch acks := isResult || together; {
		case acks && wait == 0:
			var errs []error
			if errs, err = c.store.Ack(ctx, []glassq.Ack{ack}); err == nil {
				err = errs[0]
			}
		case acks:
			err = c.store.AckWait(ctx, ack, wait)
		case wait == 0:
			_, err = c.store.Put(ctx, []glassq.Task{t})
		default:
			_, err = c.store.PutWait(ctx, []glassq.Task{t}, wait)
		}
		return err
	}
	err := store(c.ctx, 0)
	if wait != 0 && door.WorthWaiting(err) {
		size := int64(0)
		if c.taken != nil {
			size = int64(len(c.in))
		}
		if !c.s.frame.Parked.TryTake(size) {
			return c.raise(&exception{"RuntimeError", "queue " + queue +
				" is full, and too many large values wait for room already; try again later"})
		}
		defer c.s.frame.Parked.Give(size)
		c.giveBudget()
		var gone error
		gone, err = c.watched(func(ctx context.Context) error {
			return c.s.untilShut(ctx, queue, func(ctx context.Context) error { return store(ctx, wait) })
		})
		if gone != nil {
			if (isResult || together) && err == nil {
				c.letGo(token)
			}
			return c.left(gone)
		}
	}
	lost := errors.Is(err, glassq.ErrLeaseLost)
	if (isResult || together) && (err == nil || lost) {
		c.letGo(token)
	}
	switch {
	case together && lost: // what is done with the item is for somebody else to say; this is stored by itself
		return c.put(queue, id, item, block, timeout)
	case isResult && lost:
		return c.raise(&exception{"RuntimeError", "lease lost: the item was handed to somebody else meanwhile, and this result of it is not stored"})
	case errors.Is(err, context.Canceled) && c.ctx.Err() == nil:
		return c.raise(c.isShut(queue))
	case err != nil:
		return c.failed(err)
	}
	return c.reply(appendNone)
}

// get hands out an item. With asks the reply says how the item is named, and the lease is a short
// one until the client says that it has it.
func (c *conn) get(queue, id string, asks bool, block, timeout *pickle.Value) error {
	wait, e := waitOf(block, timeout)
	if e != nil {
		return c.raise(e)
	}
	if err := c.confirm(); err != nil {
		return c.fault(err)
	}
	if e := c.tooMany(); e != nil {
		return c.raise(e)
	}
	down, now := c.s.isDown(queue)
	if now {
		return c.raise(c.isShut(queue))
	}
	r := glassq.Reserve{Queue: queue, Max: 1, Lease: leaseLength}
	if asks {
		r.Lease = receiptTime
	}
	c.answer = c.s.frame.Answers.Begin(c.nc.RemoteAddr(), heldTwice, c.nc.Cut)
	defer c.doneAnswering()
	leases, err := c.store.Reserve(room.With(c.ctx, c.answer), r)
	if err == nil && len(leases) == 0 && wait != 0 && !down {
		r.Wait = wait
		var gone error
		gone, err = c.watched(func(ctx context.Context) error {
			return c.s.untilShut(ctx, queue, func(ctx context.Context) (err error) {
				leases, err = c.store.Reserve(room.With(ctx, c.answer), r)
				return err
			})
		})
		down = errors.Is(err, context.Canceled) && c.ctx.Err() == nil
		if gone != nil {
			if len(leases) == 1 {
				c.untake(&leases[0])
			}
			return c.left(gone)
		}
	}
	switch {
	case down && len(leases) == 0:
		return c.raise(c.isShut(queue))
	case err != nil:
		return c.failed(err)
	case len(leases) == 0:
		return c.raise(&exception{"Empty", ""})
	}
	c.takeLease(&leases[0], id, !asks)
	c.s.took(queue)
	if asks {
		return c.replyItem(&leases[0])
	}
	return c.replyValue(&leases[0].Task)
}

// heldTwice: a body, and the reply that is made of it.
const heldTwice = 2

func (c *conn) doneAnswering() {
	c.answer.Done()
	c.answer = nil
}

// failed answers an error of a call that may have waited; the end of the server ends the
// connection.
func (c *conn) failed(err error) error {
	if c.ctx.Err() != nil || c.reset {
		return err
	}
	return c.fault(err)
}

// errGivenUp is the end of a wait whose client has sent something else meanwhile: one that waits
// for a reply says nothing, so that its program has left the call, by Ctrl-C as a rule.
var errGivenUp = errors.New("the client waits for this reply no more")

// left ends a call whose client has gone, or has given it up. In the latter case there is no reply:
// the client would take it for that of its next call.
func (c *conn) left(gone error) error {
	if gone == errGivenUp {
		return nil
	}
	c.reset = true
	return gone
}

// watched runs f and has an eye on the client meanwhile: when it goes away or sends something, f's
// context ends and gone says why. Bytes that the client sends stay in the buffer.
func (c *conn) watched(f func(context.Context) error) (gone, err error) {
	return door.Watched(c.ctx, c.nc, func() error {
		switch _, err := c.r.Peek(1); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err == nil:
			return errGivenUp
		default:
			return err
		}
	}, f)
}

// bind puts arguments in the order of names. Missing ones are nil; item is needed, and is also
// called obj.
func bind(r request, method string, names ...string) ([]*pickle.Value, *exception) {
	out := make([]*pickle.Value, len(names))
	if len(r.args) > len(names) {
		return nil, &exception{"TypeError",
			fmt.Sprintf("%s() takes at most %d arguments (%d given)", method, len(names), len(r.args))}
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
