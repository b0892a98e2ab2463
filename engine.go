package glassq

import (
	"context"
	"maps"
	"slices"
	"time"
)

// An Engine stores tasks and hands them out. It keeps the promises P1 to P9 of docs/design.md,
// which package enginetest states as laws.
//
// All verbs take batches. A batch costs one commit, shared with whatever else is committed at that
// moment, and the verb returns when that commit is durable (by the engine's sync mode). A verb that
// has begun its commit is not cancelled by ctx. Arguments have been checked by a [Broker]: an
// engine may panic on names or sizes out of bounds. Slices passed in are not kept.
//
// All methods are safe for concurrent use. After Close they return an error with code closed, after
// a failed write storage_failed, or unavailable for what was surely not done and outcome_unknown
// for what may be.
type Engine interface {
	// Put stores tasks, all or none, in order. Receipts correspond to tasks by index.
	// Errors: queue_full, storage_full, run_conflict (a dense task of a sealed run beyond its
	// total).
	Put(ctx context.Context, tasks []Task) ([]Receipt, error)

	// Reserve leases up to r.Max ready tasks, or fewer that make MaxAnswer bytes, highest priority
	// first, then oldest put first: fewer than r.Max does not say that there are no more. It waits
	// up to r.Wait for the first one, and returns none, without error, when there is none. Callers
	// that wait are served in order of arrival. A cancelled Reserve leases nothing and counts no
	// attempt.
	Reserve(ctx context.Context, r Reserve) ([]Lease, error)

	// Ack ends leases; errs correspond to acks by index and are nil, an UncheckedError, or have
	// code lease_lost, queue_full or storage_full. Each ack is all or nothing. The second error is
	// of the call as a whole: nothing is known of any ack then.
	Ack(ctx context.Context, acks []Ack) (errs []error, err error)

	// Nack gives leases back. errs as in Ack.
	Nack(ctx context.Context, nacks []Nack) (errs []error, err error)

	// Extend moves deadlines. On a disk it does not wait for a sync; an engine of several machines
	// waits until they agree. An extend with a Seq is durable when it is answered, all of it or
	// nothing. errs as in Ack.
	Extend(ctx context.Context, extends []Extend) (errs []error, err error)

	// Stats tells what the engine has done since it was opened.
	Stats(ctx context.Context) (Stats, error)

	// Close stops the engine: waiting reserves end with code closed, everything accepted is made
	// durable. A second Close is a no-op.
	Close() error
}

// An Operator is what people and dashboards need of an engine's queues.
type Operator interface {
	// Queues lists queues in the order of their names; names none means all of them. An unknown
	// name is not_found.
	Queues(ctx context.Context, names ...string) ([]QueueInfo, error)
	// Configure changes settings of a queue, which is made if need be.
	Configure(ctx context.Context, queue string, change SettingsChange) (Settings, error)
	// Peek shows up to max tasks of one state, or fewer that make MaxAnswer bytes, oldest first,
	// after the cursor of an earlier page (0 for the first). The next cursor is 0 when there is no
	// more.
	Peek(ctx context.Context, queue string, state State, cursor uint64, max int) (tasks []Peeked, next uint64, err error)
	// Purge ends the delayed and ready (or, with state Dead, drops the dead) tasks of a queue and
	// returns how many. Zero states means delayed and ready.
	Purge(ctx context.Context, queue string, states ...State) (int, error)
	// Redrive makes up to max dead tasks of a queue ready again, their attempts counted anew; max 0
	// means all. It goes on in pieces as RedriveSome does.
	Redrive(ctx context.Context, queue string, max int) (int, error)
	// RedriveSome is Redrive, and PurgeSome the purge, of those dead tasks that f means. They go on
	// in pieces, each of which is one commit, so that other calls get their turn: after an error,
	// which may come between two of them, the number says how many were done. An id by which a task
	// cannot be found is not_found; one whose task is not dead is passed over.
	RedriveSome(ctx context.Context, queue string, f DeadFilter) (int, error)
	PurgeSome(ctx context.Context, queue string, f DeadFilter) (int, error)
	// Drop purges a queue and forgets it and its settings; it is refused with code bad_request
	// while a task of it is leased.
	Drop(ctx context.Context, queue string) error
}

// Runs is the part of an engine that keeps runs and their books.
type Runs interface {
	// Runs lists all runs, newest first.
	Runs(ctx context.Context) ([]Run, error)
	// Run shows one run, or not_found.
	Run(ctx context.Context, name string) (Run, error)
	// SetRun makes a run or changes it. See RunChange for the rules.
	SetRun(ctx context.Context, name string, change RunChange) (Run, error)
	// RunIDs returns which positions of a run are in a set, as intervals in ascending order,
	// starting at position from, at most max of them.
	RunIDs(ctx context.Context, name string, set IDSet, from uint32, max int) ([]Interval, error)
	// AwaitRun waits until the run exists and has reached phase, or until wait has passed; it
	// returns the run as it is then. A run that does not exist by then is not_found.
	AwaitRun(ctx context.Context, name string, phase Phase, wait time.Duration) (Run, error)
	// CancelRun ends the delayed and ready tasks of a run and seals it; it returns how many ended.
	CancelRun(ctx context.Context, name string) (int, error)
	// DropRun forgets a run and its books; one of its name begins anew. It is refused with code
	// run_conflict unless the run is complete, its results are taken, none of its tasks is kept as
	// dead, and it has no retries.
	DropRun(ctx context.Context, name string) error
}

// A Store is an engine with everything that operators and runs need. The embedded engine is one.
type Store interface {
	Engine
	Operator
	Runs
}

// Waits is the part of an engine that has calls wait for what other callers do: they are parked and
// woken, and do not ask again and again. An engine may lack it; a [Broker] before such a one
// answers unsupported.
type Waits interface {
	// PutWait is Put, but waits up to wait (negative is for ever) for room in a full queue. Callers
	// that wait are served in order of arrival. A PutWait is refused with queue_full when the time
	// is up, and at once when its tasks could never find room. A cancelled PutWait puts nothing,
	// unless the put was decided before.
	PutWait(ctx context.Context, tasks []Task, wait time.Duration) ([]Receipt, error)
	// AckWait is Ack of one lease, and waits in the same way for room for its result and
	// follow-ups. The caller extends the lease meanwhile; when the lease has ended by the time that
	// there is room, the answer is lease_lost.
	AckWait(ctx context.Context, ack Ack, wait time.Duration) error
	// Held tells how much queues hold, in the order of the names. On a disk it never waits, and what
	// is not durable yet counts; an engine of several machines waits until they agree, once for all
	// names. A queue that is not there holds nothing.
	Held(ctx context.Context, queues ...string) ([]Held, error)
	// AwaitIdle waits up to wait (negative is for ever) until nothing in the queue is delayed,
	// ready or leased, and returns whether that is so. The answer is durable.
	AwaitIdle(ctx context.Context, queue string, wait time.Duration) (idle bool, err error)
}

// Held is how much a queue holds.
type Held struct {
	Delayed, Ready, Leased, Dead int64
	Settings                     Settings
	Halted                       Halted
	HaltedKeys                   HaltedKeys
}

// Values of Stats.Storage.
const (
	StorageOK   = "ok"
	StorageLow  = "low"  // puts are refused with storage_full until there is room
	StorageFull = "full" // the same, and what goes on is written into a reserve
)

// Stats are an engine's figures since it was opened.
type Stats struct {
	Frames    uint64 `json:"frames"`     // group commits written
	Bytes     uint64 `json:"bytes"`      // bytes of them
	LiveBytes int64  `json:"live_bytes"` // about how many bytes of the log are records of tasks held
	Storage   string `json:"storage"`    // ok, low or full
	Tasks     int64  `json:"tasks"`      // tasks held, dead ones included
	Leases    int64  `json:"leases"`     // live leases
	Waiters   int64  `json:"waiters"`    // reserves that wait
	Acked     int64  `json:"acked"`      // acked numbers remembered
	Dedup     int64  `json:"dedup"`      // ids remembered
	// AnswersWait: an answer waits for stable storage, so that calls made together share one wait.
	AnswersWait bool       `json:"answers_wait"`
	Disk        *DiskStats `json:"disk,omitempty"` // nil for an engine that keeps nothing on a disk of its own
	// Cluster is nil for an engine of one machine. At a gateway that does not own the store all
	// figures are the owner's, as of Cluster.AsOf.
	Cluster *ClusterStats `json:"cluster,omitempty"`
}

// Values of ClusterStats.Role.
const (
	RoleOwner   = "owner"   // this gateway decides and writes
	RoleGateway = "gateway" // this gateway hands calls to the owner
)

// ClusterStats are the figures of a store that several machines keep.
type ClusterStats struct {
	Role     string    `json:"role"`     // owner or gateway
	Gateway  string    `json:"gateway"`  // the name of this one, another with each start
	Owner    string    `json:"owner"`    // the name of the gateway that owns the store; "" while there is none
	Epoch    uint64    `json:"epoch"`    // grows with each owner
	Message  uint64    `json:"message"`  // of the log, the newest that is known to be stored
	Replicas int       `json:"replicas"` // machines that keep the log
	InStep   int       `json:"in_step"`  // those of them that are not behind
	Lag      uint64    `json:"lag"`      // messages that the last of them is behind, as far as the leader knows
	Leader   string    `json:"leader"`   // the machine that orders the log
	AsOf     time.Time `json:"as_of"`    // when the owner told its figures

	// Gateways are those that this one has heard of lately, itself too, by their hosts.
	Gateways []GatewaySettings `json:"gateways,omitempty"`
}

// GatewaySettings are what one gateway is set to of what should be the same at all gateways of a store.
type GatewaySettings struct {
	Gateway  string            `json:"gateway"`  // its name, another with each start
	Host     string            `json:"host"`     // the machine it runs on, as it says itself
	Settings map[string]string `json:"settings"` // by flag; of tokens a digest, of a key whether there is one
}

// DifferentSettings names the settings that are not the same at all of these gateways, in order.
func DifferentSettings(list []GatewaySettings) (names []string) {
	differ := map[string]bool{}
	for i := range list {
		for name, value := range list[i].Settings {
			other := func(g GatewaySettings) bool { return g.Settings[name] != value }
			differ[name] = differ[name] || slices.ContainsFunc(list, other)
		}
	}
	maps.DeleteFunc(differ, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(differ))
}

// DiskStats are the figures of an engine's disk.
type DiskStats struct {
	Sync      string        `json:"sync"`         // always, interval or never; "memory" for a store without a disk
	Syncs     uint64        `json:"syncs"`        // syncs that the log asked the disk for
	Segments  int           `json:"segments"`     // files of the log
	Bytes     int64         `json:"bytes"`        // bytes in them
	Unsynced  uint64        `json:"unsynced"`     // bytes written and not yet synced
	LastSync  time.Duration `json:"last_sync_ns"` // how long the last sync took
	Free      int64         `json:"free"`         // bytes that the disk has left; 0 where that is not known
	MinFree   int64         `json:"min_free"`     // bytes of it that are to stay free
	TornBytes int64         `json:"torn_bytes"`   // bytes of an unfinished write that the last start cut off
}
