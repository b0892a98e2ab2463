package live

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// Kinds of events.
const (
	KindTick    = "tick"    // once a second in which something changed: the server, queues and runs
	KindDead    = "dead"    // tasks of a queue came to be dead
	KindHalt    = "halt"    // hand-outs of a queue, or of keys of it, pause since too many tasks failed, or go on
	KindStorage = "storage" // the storage is ok, low or full from now on
	KindAction  = "action"  // somebody did, or was refused, what is audited
)

// An Event is something that happened. It is not changed any more once it was told.
type Event struct {
	ID      uint64     `json:"id"` // grows, over a restart too, unless the clock went back
	Time    time.Time  `json:"time"`
	Kind    string     `json:"kind"`
	Queue   string     `json:"queue,omitempty"`   // of KindDead, KindHalt and KindAction; "" is of none in particular
	Run     string     `json:"run,omitempty"`     // of KindAction
	Count   int64      `json:"count,omitempty"`   // tasks that it is about; of KindHalt: keys that are halted
	Action  string     `json:"action,omitempty"`  // of KindAction: the word of the audit
	Worker  string     `json:"worker,omitempty"`  // of KindAction: how the client calls itself
	Door    string     `json:"door,omitempty"`    // of KindAction: through which door
	Who     string     `json:"who,omitempty"`     // of KindAction: whose token, or key, guest, unknown, system
	From    string     `json:"from,omitempty"`    // of KindAction: address
	What    string     `json:"what,omitempty"`    // of KindAction: settings, states, or the name of a token. Of KindHalt: why, "" where they go on
	Outcome string     `json:"outcome,omitempty"` // of KindAction: ok, or the code of the error
	Storage string     `json:"storage,omitempty"` // of KindStorage
	Queues  []QueueNow `json:"queues,omitempty"`  // of KindTick: the queues that changed, up to 1,000
	Runs    []RunNow   `json:"runs,omitempty"`    // of KindTick: the runs that changed, up to 100
	Server  *Now       `json:"server,omitempty"`  // of KindTick

	Text []byte `json:"-"` // the event as JSON
}

// Now is what happened in one second, and what is there at its end.
type Now struct {
	Put     uint32 `json:"put"`
	Out     uint32 `json:"out"`
	OK      uint32 `json:"ok"`
	Failed  uint32 `json:"failed"`
	Back    uint32 `json:"back"`
	Expired uint32 `json:"expired"`
	Died    uint32 `json:"died"`
	Delayed int64  `json:"delayed"`
	Ready   int64  `json:"ready"`
	Leased  int64  `json:"leased"`
	Dead    int64  `json:"dead"`
}

// QueueNow is Now of a queue.
type QueueNow struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused,omitempty"`
	Now
}

// RunNow is a run as it is now: the part of it that changes.
type RunNow struct {
	Name     string       `json:"run"`
	Queue    string       `json:"queue,omitempty"`
	Books    glassq.Books `json:"books"`
	Pending  uint64       `json:"pending"`
	Waiting  uint64       `json:"waiting_results"`
	Sealed   bool         `json:"sealed"`
	Complete bool         `json:"complete"`
}

// About tells whether e is about the queue and the run, "" for any.
func (e *Event) About(queue, run string) bool {
	if queue == "" && run == "" || e.Kind == KindStorage {
		return true
	}
	isQueue := func(q QueueNow) bool { return q.Name == queue }
	isRun := func(r RunNow) bool { return r.Name == run }
	return queue != "" && (e.Queue == queue || slices.ContainsFunc(e.Queues, isQueue)) ||
		run != "" && (e.Run == run || slices.ContainsFunc(e.Runs, isRun))
}

// Only is e with the queues and runs of a tick that are asked for, "" for any. Only those who hear
// everything are told who did something, and from where: a reader of one queue, whom a token of
// small rights lets in, is not told.
func (e *Event) Only(queue, run string) (o Event) {
	o = *e
	if queue != "" || run != "" {
		o.Queues, o.Runs, o.Who, o.From = nil, nil, "", ""
		defer func() { o.Text, _ = json.Marshal(&o) }() // numbers and strings cannot fail
		for _, q := range e.Queues {
			if q.Name == queue {
				o.Queues = append(o.Queues, q)
			}
		}
		for _, r := range e.Runs {
			if r.Name == run {
				o.Runs = append(o.Runs, r)
			}
		}
	}
	return o
}

// size is about how many bytes e takes.
func (e *Event) size() int { return 300 + 120*len(e.Queues) + 250*len(e.Runs) + len(e.Text) }

// maxEventBytes is about how much memory the events take that may still be asked for.
const maxEventBytes = 4 << 20

// events are the newest ones. Readers remember where they are; a slow one holds up nobody.
type events struct {
	mu    sync.Mutex
	list  []*Event      // oldest first
	bytes int           // of list
	last  uint64        // the newest id that was given
	gone  uint64        // the newest id that was given up, or the one before the first
	news  chan struct{} // closed by the next event
}

func (v *events) begin(now time.Time) {
	v.last = uint64(now.UnixMicro())
	v.gone = v.last
	v.news = make(chan struct{})
}

func (v *events) tell(e *Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last++
	e.ID = v.last
	e.Text, _ = json.Marshal(e) // numbers and strings cannot fail
	v.list = append(v.list, e)
	v.bytes += e.size()
	for v.bytes > maxEventBytes && len(v.list) > 1 {
		v.bytes -= v.list[0].size()
		v.gone = v.list[0].ID
		v.list[0] = nil
		v.list = v.list[1:]
	}
	close(v.news)
	v.news = make(chan struct{})
}

// LastEvent is the id after which a reader begins who wants nothing of the past.
func (l *Live) LastEvent() uint64 {
	l.events.mu.Lock()
	defer l.events.mu.Unlock()
	return l.events.last
}

// Events returns the events after id after, oldest first and up to most of them, and waits for the
// first one until ctx is done, whose error it then returns. lost tells that there were others
// between after and the first one, which are given up: about 4 MB are kept, and none over a
// restart. An id that is not given yet is one of another start, at which the clock was ahead: what
// is kept is new to its reader. Readers are not known to the server, so a slow one costs nothing.
// The events are shared: they must not be changed.
func (l *Live) Events(ctx context.Context, after uint64, most int) (list []*Event, lost bool, err error) {
	v := &l.events
	for {
		v.mu.Lock()
		if lost = after < v.gone || after > v.last; after > v.last {
			after = v.gone
		}
		i, _ := slices.BinarySearchFunc(v.list, after+1, func(e *Event, id uint64) int { return cmp.Compare(e.ID, id) })
		list = slices.Clone(v.list[i:min(len(v.list), i+most)])
		news := v.news
		v.mu.Unlock()
		if len(list) > 0 || lost {
			return list, lost, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}
