// Package live knows what goes on in a store: counters, series of the last seconds to the last
// month, latencies, who works, and events. It decorates a store, so that every door and every
// program before it is seen alike.
//
// It is for those who watch: metrics, events, explanations, pages. They read it by the methods of
// [Live], and never cost the store more than a look at counters. What is durable, the books above
// all, is told by the store itself.
//
// The package does its work with each call, in memory of a fixed size, and allocates nothing for a
// task. It never looks at tasks that nobody has in hand: once a second it asks the store for the
// counters of those queues and runs where something happened. It decides nothing and refuses
// nothing.
package live

import (
	"container/list"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
)

const (
	maxQueues    = 10_000   // queues that are known; the rest is counted in the server's figures only
	maxRuns      = 1_000    // runs likewise
	maxWorkers   = 10_000   // workers likewise; those beyond are counted
	maxActive    = 100      // queues with a series by the second
	maxRingBytes = 20 << 20 // of all series
	forgetAfter  = 10 * time.Minute
)

// Options tunes New. The zero value keeps everything in memory.
type Options struct {
	File   string       // where series are kept over a restart; "" keeps none
	Logger *slog.Logger // nil discards
}

// store has its name as a field of Live, which no other room sees.
type store = broker.Store

// A Live watches the store that Over is given, and has its verbs: what it has no method for passes
// through. It is safe for concurrent use.
type Live struct {
	store
	opt    Options
	start  time.Time
	events events
	known  bool // know was answered; of Over, and then of Keep

	mu     sync.Mutex    // guards the rest; held for moments only
	queues slots[*queue] // nil where one was forgotten
	byName map[string]*queue
	byAge  list.List // of queues: in front the one whose last call is longest ago

	oldestRings *list.Element // the oldest queue with rings; those before it have none
	knowsAll    bool          // a queue that is not known holds nothing, or held nothing until now

	active  []*queue
	bytes   int // of all rings
	runs    slots[*run]
	byRun   map[string]uint16
	courses map[string]*course
	workers slots[*Worker] // 0 is all those beyond maxWorkers
	byWork  map[workerKey]uint16
	held    leases
	touched []*queue // where something happened since the last tick
	moved   []*run
	busy    []*queue // hold tasks that may move without a call
	going   []*run   // have pending tasks, which may end without a call
	lastQ   *queue   // the queue last looked up

	total   Counts
	before  Counts // total at the last tick
	depth   levels // of all queues that are known
	server  []*ring
	dur     Durations
	durThen Durations // at the last tick
	answers map[answerKey]*uint64
	answer  answerKey // the one counted last
	answerN *uint64   // how many there are of it
	ending  ending    // leases that end in the call under way
	storage string
}

// Counts are what happened since the server began.
type Counts struct {
	Put, Out, OK, Failed, Back, Expired, Died uint64

	Age, Lag time.Duration // of all that were handed out, summed: since ready, and since due by the queue's rate
}

// Durations are how long calls took, and tasks waited, since the server began. A reserve counts
// when a task was there before it asked; waiting for one is no work of the server.
type Durations struct {
	Put, Reserve, Ack Histogram // of calls, with their commit
	Sync              Histogram // of the log's syncs of the disk
	Age, Lag          Histogram // at hand-out: since the task was first ready; since it was due by the queue's rate
}

type answerKey struct {
	door string
	code glassq.Code
}

type levels struct{ delayed, ready, leased, dead int64 }

// A queue is what is known of one.
type queue struct {
	name       string
	index      uint16
	place      *list.Element // in Live.byAge
	n, before  Counts
	at         uint32 // when the last call was, as leases keep it
	levels     levels
	paused     bool
	halted     string // why
	haltedKeys glassq.HaltedKeys
	polled     bool // levels have been asked for
	touched    bool
	busy       bool
	asked      time.Time      // of the last reserve
	asker      string         // who that was
	age, lag   time.Duration  // means of the last second in which tasks were handed out
	holders    map[uint16]int // leases by worker
	results    string         // the queue that the last task handed out names for its result
	active     []*ring        // nil but for active queues
	rest       []*ring
}

type run struct {
	name  string
	index uint16
	held  int // leases
	moved bool
	going bool   // it has pending tasks
	told  RunNow // by the last event about it
	at    uint32 // when the last call was, as leases keep it

	results string // its results queue, "" until it is known

	course  *course // nil until a task of it is acked, or where it is not kept
	refused uint32  // when it was last not to be kept, as leases keep it
}

// slots have indexes for what leases name by two bytes, which are used again.
type slots[T any] struct {
	all  []T
	free []uint16
}

func (s *slots[T]) add(v T) (i uint16) {
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
		s.all[i] = v
		return i
	}
	s.all = append(s.all, v)
	return uint16(len(s.all) - 1)
}

func (s *slots[T]) drop(i uint16) {
	var none T
	s.all[i] = none
	s.free = append(s.free, i)
}

type workerKey struct{ door, name string }

var _ broker.Store = (*Live)(nil)

// New makes a Live that watches nothing yet: Over gives it a store, Keep keeps it going.
func New(opt Options) *Live {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Live{opt: opt, start: time.Now(), byName: map[string]*queue{},
		byRun: map[string]uint16{}, courses: map[string]*course{}, byWork: map[workerKey]uint16{},
		answers: map[answerKey]*uint64{}}
	l.queues.add(nil)
	l.runs.add(nil) // 0 is none
	l.workers.add(&Worker{Name: "others"})
	for _, r := range serverRings {
		n := newRing(r, true)
		l.server, l.bytes = append(l.server, n), l.bytes+n.bytes()
	}
	l.events.begin(l.start)
	l.load()
	return l
}

// Over has l watch the store under it, and returns what doors and rules go before. It is called
// once, before any verb, and asks the store which queues hold tasks.
func (l *Live) Over(under glassq.Store) glassq.Store {
	l.store = broker.Full(under)
	l.know(context.Background())
	return l
}
