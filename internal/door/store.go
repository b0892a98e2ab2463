package door

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/rights"
)

// A Store is a broker as one client may use it: every verb asks Who.May first, and what the client
// may not do has code forbidden. Lists show what the client may see. It is safe for concurrent use.
type Store struct {
	broker *broker.Broker // never handed out: a verb that is no method of Store is no client's
	Who    Who
	by     Client
}

// A Client is how the actions of a client are audited.
type Client struct {
	Frame *Frame // of the door
	Door  string // http, memcached or manager
	From  string // address without the port, see Peer
}

// NewStore is b as who may use it.
func NewStore(b *broker.Broker, who Who, by Client) Store { return Store{b, who, by} }

// MayPut tells whether the client may put tasks: into their queues, into their runs, with results
// in the queues that they name. It allocates nothing where the client may.
func (w Who) MayPut(tasks []glassq.Task) error {
	for i := range tasks {
		t := &tasks[i]
		if i > 0 {
			last := &tasks[i-1]
			if t.Queue == last.Queue && t.Run == last.Run && t.ResultQueue == last.ResultQueue {
				continue
			}
		}
		if err := w.MayPutTask(t); err != nil {
			return err
		}
	}
	return nil
}

// MayPutTask is MayPut for one of them.
func (w Who) MayPutTask(t *glassq.Task) error {
	if err := w.May(rights.VerbPut, t.Queue); err != nil {
		return err
	}
	if t.Run != "" {
		if err := w.May(rights.VerbPutRun, t.Run); err != nil {
			return err
		}
	}
	if t.ResultQueue != "" {
		return w.May(rights.VerbResult, t.ResultQueue)
	}
	return nil
}

// MayAck tells whether the client may ack so. Of a lease that is named by its number alone the
// engine knows the queue, and asks.
func (w Who) MayAck(a *glassq.Ack) error {
	err := w.MayAtAll(rights.VerbAck)
	if a.Token.Queue != "" {
		err = w.May(rights.VerbAck, a.Token.Queue)
	} else if !w.Whole() {
		a.Within = func(queue string) bool { return w.May(rights.VerbAck, queue) == nil }
	}
	if err != nil {
		return err
	}
	if r := a.Result; r != nil && r.Queue != "" {
		if err := w.May(rights.VerbResult, r.Queue); err != nil {
			return err
		}
	}
	return w.MayPut(a.Put)
}

// Put is Broker.Put, within the rates of the client's token.
func (s Store) Put(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	if err := s.Who.MayPut(tasks); err != nil {
		return nil, err
	}
	if err := s.Who.Spend(tasks); err != nil {
		return nil, err
	}
	receipts, err := s.broker.Put(ctx, tasks)
	if err != nil {
		s.Who.Unspend(tasks)
	}
	return receipts, err
}

// Import is Put of tasks of one queue that were exported, and is audited with how many were stored.
func (s Store) Import(ctx context.Context, queue string, tasks []glassq.Task) (receipts []glassq.Receipt, err error) {
	_, err = s.Do(ctx, rights.VerbImport, queue, func() (n int, err error) {
		receipts, err = s.Put(ctx, tasks)
		for i := range receipts {
			switch r := &receipts[i]; {
			case tasks[i].Range != nil:
				n += int(r.Put)
			case !r.Duplicate:
				n++
			}
		}
		return n, err
	})
	return receipts, err
}

// PutWait is Broker.PutWait, which waits for the rates of the client's token, too.
func (s Store) PutWait(ctx context.Context, tasks []glassq.Task, wait time.Duration) ([]glassq.Receipt, error) {
	if err := s.Who.MayPut(tasks); err != nil {
		return nil, err
	}
	wait, err := s.Who.await(ctx, tasks, wait)
	if err != nil {
		return nil, err
	}
	receipts, err := s.broker.PutWait(ctx, tasks, wait)
	if err != nil {
		s.Who.Unspend(tasks)
	}
	return receipts, err
}

// Reserve is Broker.Reserve.
func (s Store) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	verb := rights.VerbReserve
	if r.Look {
		verb = rights.VerbPeek
	}
	if err := s.Who.May(verb, r.Queue); err != nil {
		return nil, err
	}
	return s.broker.Reserve(ctx, r)
}

// Ack is Broker.Ack; what the client may not ack is answered for itself.
func (s Store) Ack(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	return broker.Batch(acks, s.Who.MayAck, func(some []glassq.Ack) ([]error, error) {
		errs, err := s.broker.Ack(ctx, some)
		for i := range errs {
			if errs[i] == nil {
				s.Who.Owe(&some[i])
			}
		}
		return errs, err
	})
}

// AckWait is Broker.AckWait.
func (s Store) AckWait(ctx context.Context, ack glassq.Ack, wait time.Duration) error {
	if err := s.Who.MayAck(&ack); err != nil {
		return err
	}
	err := s.broker.AckWait(ctx, ack, wait)
	if err == nil {
		s.Who.Owe(&ack)
	}
	return err
}

// Nack is Broker.Nack, as Ack.
func (s Store) Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error) {
	may := func(n *glassq.Nack) error { return s.Who.May(rights.VerbNack, n.Token.Queue) }
	return broker.Batch(nacks, may, func(some []glassq.Nack) ([]error, error) { return s.broker.Nack(ctx, some) })
}

// Extend is Broker.Extend, as Ack. Partial results are within the rates of the client's token: the
// work is not done, so they can be refused and said again.
func (s Store) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	may := func(x *glassq.Extend) error {
		if err := s.Who.May(rights.VerbExtend, x.Token.Queue); err != nil {
			return err
		}
		if err := s.Who.MayPut(x.Put); err != nil || len(x.Put) == 0 {
			return err
		}
		return s.Who.Spend(x.Put)
	}
	return broker.Batch(extends, may, func(some []glassq.Extend) ([]error, error) {
		errs, err := s.broker.Extend(ctx, some)
		for i := range some {
			if x := &some[i]; len(x.Put) > 0 && (err != nil || errs[i] != nil) {
				s.Who.Unspend(x.Put)
			}
		}
		return errs, err
	})
}

// Queues is Broker.Queues, of those queues that the client may see.
func (s Store) Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error) {
	for _, name := range names {
		if err := s.Who.May(rights.VerbQueues, name); err != nil {
			return nil, err
		}
	}
	if err := s.Who.MayAtAll(rights.VerbQueues); err != nil {
		return nil, err
	}
	list, err := s.broker.Queues(ctx, names...)
	if s.Who.Whole() {
		return list, err
	}
	return slices.DeleteFunc(list, func(q glassq.QueueInfo) bool { return !s.Who.sees(rights.VerbQueues, q.Name) }), err
}

// List is Broker.List, of those queues that the client may see.
func (s Store) List(ctx context.Context, q glassq.QueueQuery) (glassq.QueueList, error) {
	if err := s.Who.MayAtAll(rights.VerbQueues); err != nil {
		return glassq.QueueList{}, err
	}
	if !s.Who.Whole() {
		q.Only = s.Who.names
	}
	return s.broker.List(ctx, q)
}

// Held is Broker.Held.
func (s Store) Held(ctx context.Context, queues ...string) ([]glassq.Held, error) {
	for _, queue := range queues {
		if err := s.Who.May(rights.VerbQueue, queue); err != nil {
			return nil, err
		}
	}
	return s.broker.Held(ctx, queues...)
}

// AwaitIdle is Broker.AwaitIdle.
func (s Store) AwaitIdle(ctx context.Context, queue string, wait time.Duration) (bool, error) {
	if err := s.Who.May(rights.VerbQueue, queue); err != nil {
		return false, err
	}
	return s.broker.AwaitIdle(ctx, queue, wait)
}

// Find is Broker.Find. What a lease number, or an id that is one of a run, names may be of another
// queue or run: it is found only where the client may look at that, too.
func (s Store) Find(ctx context.Context, f glassq.Find) (glassq.Found, error) {
	var err error
	if f.Dense {
		err = s.Who.May(rights.VerbRunTask, f.Run)
	} else if err = s.Who.May(rights.VerbPeek, f.Queue); err == nil && f.Lease == 0 {
		if run, _, ok := glassq.ParseDenseID(f.ID); ok {
			err = s.Who.May(rights.VerbRunTask, run)
		}
	}
	if err != nil {
		return glassq.Found{}, err
	}
	found, err := s.broker.Find(ctx, f)
	if err == nil && f.Lease != 0 && found.Where == glassq.FoundHeld && found.Queue != f.Queue {
		return glassq.Found{Where: glassq.FoundGone}, nil // as a number that was
	}
	return found, err
}

// NextDelayed is Broker.NextDelayed, with those runs named that the client may see.
func (s Store) NextDelayed(ctx context.Context, queue string) (glassq.Delays, error) {
	if err := s.Who.May(rights.VerbQueue, queue); err != nil {
		return glassq.Delays{}, err
	}
	d, err := s.broker.NextDelayed(ctx, queue)
	d.Runs = slices.DeleteFunc(d.Runs, func(run string) bool { return !s.Who.sees(rights.VerbRuns, run) })
	return d, err
}

// Configure is Broker.Configure.
func (s Store) Configure(ctx context.Context, queue string, c glassq.SettingsChange) (set glassq.Settings, err error) {
	action, what := "", settingsOf(c)
	if c.Paused != nil {
		action = map[bool]string{true: actionPause, false: actionResume}[*c.Paused]
	}
	_, err = s.act(ctx, rights.VerbConfigure, action, queue, what, func() (_ int, err error) {
		set, err = s.broker.Configure(ctx, queue, c)
		return 0, err
	})
	return set, err
}

// Peek is Broker.Peek.
func (s Store) Peek(ctx context.Context, queue string, state glassq.State, cursor uint64, max int) ([]glassq.Peeked,
	uint64, error) {
	if err := s.Who.May(rights.VerbPeek, queue); err != nil {
		return nil, 0, err
	}
	return s.broker.Peek(ctx, queue, state, cursor, max)
}

// Purge is Broker.Purge.
func (s Store) Purge(ctx context.Context, queue string, states ...glassq.State) (int, error) {
	return s.act(ctx, rights.VerbPurge, "", queue, statesOf(states), func() (int, error) {
		return s.broker.Purge(ctx, queue, states...)
	})
}

// PurgeAll purges every queue, and says how many tasks that were. A queue that is dropped meanwhile
// has none.
func (s Store) PurgeAll(ctx context.Context) (int, error) {
	return s.Do(ctx, rights.VerbPurgeAll, "", func() (n int, err error) {
		queues, err := s.broker.Queues(ctx)
		for i := 0; i < len(queues) && err == nil; i++ {
			var some int
			some, err = s.broker.Purge(ctx, queues[i].Name)
			if n += some; err != nil && glassq.CodeOf(err) == glassq.CodeNotFound {
				err = nil
			}
		}
		return n, err
	})
}

// Redrive is Broker.Redrive.
func (s Store) Redrive(ctx context.Context, queue string, max int) (int, error) {
	return s.Do(ctx, rights.VerbRedrive, queue, func() (int, error) { return s.broker.Redrive(ctx, queue, max) })
}

// Keys is Broker.Keys.
func (s Store) Keys(ctx context.Context, queue, after string, max int) ([]glassq.KeyInfo, error) {
	if err := s.Who.May(rights.VerbKeys, queue); err != nil {
		return nil, err
	}
	return s.broker.Keys(ctx, queue, after, max)
}

// ReleaseKey is Broker.ReleaseKey.
func (s Store) ReleaseKey(ctx context.Context, queue, key string) error {
	_, err := s.act(ctx, rights.VerbReleaseKey, "", queue, key, func() (int, error) {
		return 0, s.broker.ReleaseKey(ctx, queue, key)
	})
	return err
}

// RedriveSome is Broker.RedriveSome.
func (s Store) RedriveSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	return s.act(ctx, rights.VerbRedrive, "", queue, filterOf(f), func() (int, error) {
		return s.broker.RedriveSome(ctx, queue, f)
	})
}

// PurgeSome is Broker.PurgeSome.
func (s Store) PurgeSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	return s.act(ctx, rights.VerbPurge, "", queue, filterOf(f), func() (int, error) {
		return s.broker.PurgeSome(ctx, queue, f)
	})
}

// Drop is Broker.Drop.
func (s Store) Drop(ctx context.Context, queue string) error {
	_, err := s.Do(ctx, rights.VerbDrop, queue, func() (int, error) { return 0, s.broker.Drop(ctx, queue) })
	return err
}

// Runs is Broker.Runs, of those runs that the client may see.
func (s Store) Runs(ctx context.Context) ([]glassq.Run, error) {
	if err := s.Who.MayAtAll(rights.VerbRuns); err != nil {
		return nil, err
	}
	list, err := s.broker.Runs(ctx)
	if s.Who.Whole() {
		return list, err
	}
	return slices.DeleteFunc(list, func(r glassq.Run) bool { return !s.Who.sees(rights.VerbRuns, r.Name) }), err
}

// Run is Broker.Run.
func (s Store) Run(ctx context.Context, name string) (glassq.Run, error) {
	if err := s.Who.May(rights.VerbRun, name); err != nil {
		return glassq.Run{}, err
	}
	return s.broker.Run(ctx, name)
}

// AwaitRun is Broker.AwaitRun.
func (s Store) AwaitRun(ctx context.Context, name string, phase glassq.Phase, wait time.Duration) (glassq.Run, error) {
	if err := s.Who.May(rights.VerbRun, name); err != nil {
		return glassq.Run{}, err
	}
	return s.broker.AwaitRun(ctx, name, phase, wait)
}

// RunIDs is Broker.RunIDs.
func (s Store) RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32, max int) ([]glassq.Interval,
	error) {
	if err := s.Who.May(rights.VerbRun, name); err != nil {
		return nil, err
	}
	return s.broker.RunIDs(ctx, name, set, from, max)
}

// SetRun is Broker.SetRun. The queues that a run and its hooks name, and the runs that it retries,
// waits for or has hooks put into, must be the client's, too. A client that may see a run may say
// who reads it.
func (s Store) SetRun(ctx context.Context, name string, c glassq.RunChange) (run glassq.Run, err error) {
	if c.Reader != "" && c == (glassq.RunChange{Reader: c.Reader}) && s.Who.May(rights.VerbSetRun, name) != nil {
		if err = s.Who.May(rights.VerbReadRun, name); err == nil {
			_, err = s.broker.Run(ctx, name) // it is not made so
		}
		if err != nil {
			return glassq.Run{}, err
		}
		return s.broker.SetRun(ctx, name, c)
	}
	action := ""
	if c.Sealed {
		action = actionSeal
	}
	_, err = s.act(ctx, rights.VerbSetRun, action, name, "", func() (_ int, err error) {
		if c.Queue != "" {
			err = s.Who.May(rights.VerbPut, c.Queue)
		}
		if err == nil && c.Results != "" {
			err = s.Who.May(rights.VerbResult, c.Results)
		}
		if err == nil && c.RetryOf != "" {
			err = s.Who.May(rights.VerbSetRun, c.RetryOf)
		}
		if err == nil && c.After != "" {
			err = s.Who.May(rights.VerbRun, c.After)
		}
		if err == nil {
			err = s.mayHook(ctx, &c)
		}
		if err == nil {
			run, err = s.broker.SetRun(ctx, name, c)
		}
		return 0, err
	})
	return run, err
}

// mayHook tells whether the client may have the hooks of a change put: it may put such tasks itself.
func (s Store) mayHook(ctx context.Context, c *glassq.RunChange) error {
	hooks := []glassq.Hook{c.OnEnd, c.OnFailed}
	if c.Hooks && c.RetryOf != "" {
		of, err := s.broker.Run(ctx, c.RetryOf)
		if err != nil {
			return err
		}
		hooks = append(hooks, of.OnEnd, of.OnFailed)
	}
	for _, hook := range hooks {
		if hook == "" {
			continue
		}
		t, err := broker.HookTask(hook)
		if err == nil {
			err = s.Who.MayPutTask(&t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CancelRun is Broker.CancelRun.
func (s Store) CancelRun(ctx context.Context, name string) (int, error) {
	return s.Do(ctx, rights.VerbCancelRun, name, func() (int, error) { return s.broker.CancelRun(ctx, name) })
}

// DropRun is Broker.DropRun.
func (s Store) DropRun(ctx context.Context, name string) error {
	_, err := s.Do(ctx, rights.VerbDropRun, name, func() (int, error) { return 0, s.broker.DropRun(ctx, name) })
	return err
}

// Stats is Broker.Stats.
func (s Store) Stats(ctx context.Context) (glassq.Stats, error) {
	if err := s.Who.May(rights.VerbStats, ""); err != nil {
		return glassq.Stats{}, err
	}
	return s.broker.Stats(ctx)
}

// Archive is Broker.Archive.
func (s Store) Archive(ctx context.Context, w io.Writer) error {
	_, err := s.Do(ctx, rights.VerbBackup, "", func() (int, error) { return 0, s.broker.Archive(ctx, w) })
	return err
}

// Copy is Broker.Copy.
func (s Store) Copy(ctx context.Context, file func(name string, size int64, r io.Reader) error) error {
	_, err := s.Do(ctx, rights.VerbBackup, "", func() (int, error) { return 0, s.broker.Copy(ctx, file) })
	return err
}
