package cluster

import (
	"context"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/engine"
)

// What the verbs take and give, where that is more than one value.
type (
	queueArgs struct {
		Queue  string                `json:"queue"`
		Change glassq.SettingsChange `json:"change,omitzero"`
		States []glassq.State        `json:"states,omitempty"`
		Most   int                   `json:"most,omitempty"`
		Wait   time.Duration         `json:"wait,omitempty"`
	}
	peekArgs struct {
		Queue  string       `json:"queue"`
		State  glassq.State `json:"state"`
		Cursor uint64       `json:"cursor,omitempty"`
		Most   int          `json:"most"`
	}
	someArgs struct {
		Queue  string            `json:"queue"`
		Filter glassq.DeadFilter `json:"filter"`
	}
	runArgs struct {
		Run    string           `json:"run"`
		Change glassq.RunChange `json:"change,omitzero"`
		Set    glassq.IDSet     `json:"set,omitempty"`
		From   uint32           `json:"from,omitempty"`
		Most   int              `json:"most,omitempty"`
		Phase  glassq.Phase     `json:"phase,omitempty"`
		Wait   time.Duration    `json:"wait,omitempty"`
	}
	runGives struct { // a run that comes with an error is told too
		Run glassq.Run `json:"run"`
	}
	keysArgs struct {
		Queue string `json:"queue"`
		Key   string `json:"key"`
		Most  int    `json:"most,omitempty"`
	}
	scheduleArgs struct {
		Schedule string                `json:"schedule"`
		Change   glassq.ScheduleChange `json:"change"`
	}
)

var (
	putVerb = verb[putArgs, []glassq.Receipt]{name: "put", waits: true,
		do: func(ctx context.Context, e *engine.Engine, a putArgs) ([]glassq.Receipt, error) {
			if a.wait == nil {
				return e.Put(ctx, a.tasks)
			}
			return e.PutWait(ctx, a.tasks, *a.wait)
		},
		after: func(a putArgs, passed time.Duration) putArgs {
			if a.wait != nil {
				a.wait = new(sooner(*a.wait, passed))
			}
			return a
		}}
	reserveVerb = verb[glassq.Reserve, leases]{name: "reserve", waits: true,
		do: func(ctx context.Context, e *engine.Engine, r glassq.Reserve) (leases, error) {
			return e.Reserve(ctx, r)
		},
		after: func(r glassq.Reserve, passed time.Duration) glassq.Reserve {
			r.Wait = sooner(r.Wait, passed)
			return r
		},
		away: func(r glassq.Reserve) glassq.Reserve {
			r.Take = false // a task is not gone before it is here
			return r
		},
		undo: func(s *Store, ls leases) { s.undo(context.Background(), ls) }}
	ackVerb = verb[ackArgs, errorList]{name: "ack", waits: true,
		do: func(ctx context.Context, e *engine.Engine, a ackArgs) (errorList, error) {
			if a.wait == nil {
				return e.Ack(ctx, a.acks)
			}
			err := e.AckWait(ctx, a.acks[0], *a.wait)
			switch glassq.CodeOf(err) {
			case glassq.CodeUnavailable, glassq.CodeUnknown, glassq.CodeClosed: // of the owner, not of the ack
				return nil, err
			}
			return errorList{err}, nil
		},
		after: func(a ackArgs, passed time.Duration) ackArgs {
			if a.wait != nil {
				a.wait = new(sooner(*a.wait, passed))
			}
			return a
		}}
	nackVerb = verb[[]glassq.Nack, errorList]{name: "nack",
		do: func(ctx context.Context, e *engine.Engine, n []glassq.Nack) (errorList, error) { return e.Nack(ctx, n) }}
	extendVerb = verb[[]glassq.Extend, errorList]{name: "extend",
		do: func(ctx context.Context, e *engine.Engine, x []glassq.Extend) (errorList, error) {
			return e.Extend(ctx, x)
		}}
	leasedVerb = verb[[]uint64, []string]{name: "leased",
		do: func(_ context.Context, e *engine.Engine, numbers []uint64) ([]string, error) {
			return e.QueuesOf(numbers)
		}}

	statsVerb = verb[struct{}, glassq.Stats]{name: "stats",
		do: func(ctx context.Context, e *engine.Engine, _ struct{}) (glassq.Stats, error) { return e.Stats(ctx) }}
	queuesVerb = verb[[]string, []glassq.QueueInfo]{name: "queues",
		do: func(ctx context.Context, e *engine.Engine, names []string) ([]glassq.QueueInfo, error) {
			return e.Queues(ctx, names...)
		}}
	listVerb = verb[glassq.QueueQuery, glassq.QueueList]{name: "list",
		do: func(ctx context.Context, e *engine.Engine, q glassq.QueueQuery) (glassq.QueueList, error) {
			return e.List(ctx, q)
		}}
	configureVerb = verb[queueArgs, glassq.Settings]{name: "configure",
		do: func(ctx context.Context, e *engine.Engine, a queueArgs) (glassq.Settings, error) {
			return e.Configure(ctx, a.Queue, a.Change)
		}}
	peekVerb = verb[peekArgs, shown]{name: "peek",
		do: func(ctx context.Context, e *engine.Engine, a peekArgs) (g shown, err error) {
			g.tasks, g.next, err = e.Peek(ctx, a.Queue, a.State, a.Cursor, a.Most)
			return g, err
		}}
	purgeVerb = verb[queueArgs, int]{name: "purge",
		do: func(ctx context.Context, e *engine.Engine, a queueArgs) (int, error) {
			return e.Purge(ctx, a.Queue, a.States...)
		}}
	redriveVerb = verb[queueArgs, int]{name: "redrive",
		do: func(ctx context.Context, e *engine.Engine, a queueArgs) (int, error) {
			return e.Redrive(ctx, a.Queue, a.Most)
		}}
	redriveSomeVerb = verb[someArgs, int]{name: "redrive-some",
		do: func(ctx context.Context, e *engine.Engine, a someArgs) (int, error) {
			return e.RedriveSome(ctx, a.Queue, a.Filter)
		}}
	purgeSomeVerb = verb[someArgs, int]{name: "purge-some",
		do: func(ctx context.Context, e *engine.Engine, a someArgs) (int, error) {
			return e.PurgeSome(ctx, a.Queue, a.Filter)
		}}
	keysVerb = verb[keysArgs, []glassq.KeyInfo]{name: "keys",
		do: func(ctx context.Context, e *engine.Engine, a keysArgs) ([]glassq.KeyInfo, error) {
			return e.Keys(ctx, a.Queue, a.Key, a.Most)
		}}
	releaseKeyVerb = verb[keysArgs, struct{}]{name: "release-key",
		do: func(ctx context.Context, e *engine.Engine, a keysArgs) (struct{}, error) {
			return struct{}{}, e.ReleaseKey(ctx, a.Queue, a.Key)
		}}
	dropRunVerb = verb[runArgs, struct{}]{name: "drop-run",
		do: func(ctx context.Context, e *engine.Engine, a runArgs) (struct{}, error) {
			return struct{}{}, e.DropRun(ctx, a.Run)
		}}
	dropVerb = verb[queueArgs, struct{}]{name: "drop",
		do: func(ctx context.Context, e *engine.Engine, a queueArgs) (struct{}, error) {
			return struct{}{}, e.Drop(ctx, a.Queue)
		}}
	heldVerb = verb[[]string, []glassq.Held]{name: "held",
		do: func(ctx context.Context, e *engine.Engine, names []string) ([]glassq.Held, error) {
			return e.Held(ctx, names...)
		}}
	idleVerb = verb[queueArgs, bool]{name: "idle", waits: true,
		do: func(ctx context.Context, e *engine.Engine, a queueArgs) (bool, error) {
			return e.AwaitIdle(ctx, a.Queue, a.Wait)
		},
		after: func(a queueArgs, passed time.Duration) queueArgs {
			a.Wait = sooner(a.Wait, passed)
			return a
		}}
	delayedVerb = verb[queueArgs, glassq.Delays]{name: "delayed",
		do: func(ctx context.Context, e *engine.Engine, a queueArgs) (glassq.Delays, error) {
			return e.NextDelayed(ctx, a.Queue)
		}}

	runsVerb = verb[struct{}, []glassq.Run]{name: "runs",
		do: func(ctx context.Context, e *engine.Engine, _ struct{}) ([]glassq.Run, error) { return e.Runs(ctx) }}
	runVerb = verb[runArgs, runGives]{name: "run",
		do: func(ctx context.Context, e *engine.Engine, a runArgs) (g runGives, err error) {
			g.Run, err = e.Run(ctx, a.Run)
			return g, err
		}}
	setRunVerb = verb[runArgs, runGives]{name: "set-run",
		do: func(ctx context.Context, e *engine.Engine, a runArgs) (g runGives, err error) {
			g.Run, err = e.SetRun(ctx, a.Run, a.Change)
			return g, err
		}}
	runIDsVerb = verb[runArgs, []glassq.Interval]{name: "run-ids",
		do: func(ctx context.Context, e *engine.Engine, a runArgs) ([]glassq.Interval, error) {
			return e.RunIDs(ctx, a.Run, a.Set, a.From, a.Most)
		}}
	awaitRunVerb = verb[runArgs, runGives]{name: "await-run", waits: true,
		do: func(ctx context.Context, e *engine.Engine, a runArgs) (g runGives, err error) {
			g.Run, err = e.AwaitRun(ctx, a.Run, a.Phase, a.Wait)
			return g, err
		},
		after: func(a runArgs, passed time.Duration) runArgs {
			a.Wait = sooner(a.Wait, passed)
			return a
		}}
	cancelRunVerb = verb[runArgs, int]{name: "cancel-run",
		do: func(ctx context.Context, e *engine.Engine, a runArgs) (int, error) { return e.CancelRun(ctx, a.Run) }}
	schedulesVerb = verb[struct{}, []glassq.Schedule]{name: "schedules",
		do: func(ctx context.Context, e *engine.Engine, _ struct{}) ([]glassq.Schedule, error) {
			return e.Schedules(ctx)
		}}
	setScheduleVerb = verb[scheduleArgs, glassq.Schedule]{name: "set-schedule",
		do: func(ctx context.Context, e *engine.Engine, a scheduleArgs) (glassq.Schedule, error) {
			return e.SetSchedule(ctx, a.Schedule, a.Change)
		}}
	dropScheduleVerb = verb[scheduleArgs, struct{}]{name: "drop-schedule",
		do: func(ctx context.Context, e *engine.Engine, a scheduleArgs) (struct{}, error) {
			return struct{}{}, e.DropSchedule(ctx, a.Schedule)
		}}
	findVerb = verb[glassq.Find, shown]{name: "find",
		do: func(ctx context.Context, e *engine.Engine, f glassq.Find) (shown, error) {
			found, err := e.Find(ctx, f)
			if found.Where != glassq.FoundHeld {
				return shown{where: found.Where}, err
			}
			return shown{tasks: []glassq.Peeked{found.Peeked}, where: found.Where}, err
		}}
)

// servers are the verbs by their names.
func servers() map[string]server {
	return map[string]server{
		putVerb.name:          &putVerb,
		reserveVerb.name:      &reserveVerb,
		ackVerb.name:          &ackVerb,
		nackVerb.name:         &nackVerb,
		extendVerb.name:       &extendVerb,
		leasedVerb.name:       &leasedVerb,
		statsVerb.name:        &statsVerb,
		queuesVerb.name:       &queuesVerb,
		listVerb.name:         &listVerb,
		configureVerb.name:    &configureVerb,
		peekVerb.name:         &peekVerb,
		purgeVerb.name:        &purgeVerb,
		redriveVerb.name:      &redriveVerb,
		redriveSomeVerb.name:  &redriveSomeVerb,
		purgeSomeVerb.name:    &purgeSomeVerb,
		keysVerb.name:         &keysVerb,
		releaseKeyVerb.name:   &releaseKeyVerb,
		dropRunVerb.name:      &dropRunVerb,
		dropVerb.name:         &dropVerb,
		heldVerb.name:         &heldVerb,
		idleVerb.name:         &idleVerb,
		delayedVerb.name:      &delayedVerb,
		runsVerb.name:         &runsVerb,
		runVerb.name:          &runVerb,
		setRunVerb.name:       &setRunVerb,
		runIDsVerb.name:       &runIDsVerb,
		awaitRunVerb.name:     &awaitRunVerb,
		cancelRunVerb.name:    &cancelRunVerb,
		findVerb.name:         &findVerb,
		schedulesVerb.name:    &schedulesVerb,
		setScheduleVerb.name:  &setScheduleVerb,
		dropScheduleVerb.name: &dropScheduleVerb,
	}
}
