package glassq

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Content types that the doors give to bodies by themselves.
const (
	TypeText   = "text/plain; charset=utf-8"
	TypeJSON   = "application/json"
	TypeOctets = "application/octet-stream"
)

// TraceHeader is the header of a task that names its trace (W3C trace context). An ack hands it on
// to the result and the follow-ups that have none of their own.
const TraceHeader = "traceparent"

// A Task is one unit of work. Only Queue and Body are needed; the zero value of every other field
// means its default.
type Task struct {
	Queue string // the queue that holds it: 1..200 bytes, see CheckName
	Body  []byte // any bytes, at most Limits.MaxBody
	Type  string // content type of Body; "" means octets

	// ID names the task and is its dedup key within Queue: a second put of the same id within
	// DedupWindow is a duplicate and stores nothing, unless the task was purged, expired, cancelled
	// or deleted since; see Settings.Unique. "" lets the engine name it. A task with Dense set has
	// the id "<Run>/<Position>" and needs none.
	ID       string
	Run      string // the run whose books count the task; "" books it on its queue alone
	Position uint32 // in Run, from 0; only with Dense
	Dense    bool   // Position is meant, and the run's interval sets remember it for ever

	// Range makes many tasks of this one: the positions from Position on, put as one record. nil
	// puts one task.
	Range *Range

	Priority    Priority      // 1 to 9 (highest), or Lowest; 0 means PriorityDefault
	Delay       time.Duration // not handed out before this has passed
	TTL         time.Duration // goes dead (expired) when not leased by then; 0 never
	Attempts    int           // most tries, 1..MaxAttempts; 0 means the queue's setting, then DefaultAttempts
	Lease       time.Duration // lease length when the reserve names none; 0 means DefaultLease
	ResultQueue string        // queue for its result; "" means the run's, then DefaultResults

	Key     string            // host, tenant or account, at most MaxKey bytes; see Settings.Fair
	Cost    uint32            // against the cost_rate of its key, 1 to MaxCost; 0 means 1
	Flags   uint32            // memcached flags, kept and given back
	Headers map[string]string // passed through; see TraceHeader
	Extra   []byte            // unknown envelope members as a JSON object, passed through; nil for none

	// OfAttempt is set on results by the engine: the attempt of the task that this is the result
	// of. A task with OfAttempt > 0 is a result: it is not a put in the books of its run.
	OfAttempt int
}

// A Range is tasks that are put as one: Count positions of a run, of which each becomes a task of
// its own when it is handed out. Their bodies are made of one template, which is the Body of the
// put: {0} in it is the number of the position, and {0:06} the same with at least six digits, zeros
// in front. All other braces stand for themselves.
//
// Everything else of the task holds for each position. Only the caller of Put sees a difference
// from single tasks: books, ids, deduplication and limits are those of Count tasks.
// Settings.MaxBytes counts the template once, as it is stored.
type Range struct {
	Count uint64 // from 1 to MaxPositions less the first position
	Add   uint64 // what is added to a position to make its number
}

// TaskID returns the task's id: ID, or "<Run>/<Position>" for a dense one, or "" if the engine is
// to name it.
func (t *Task) TaskID() string {
	if t.ID == "" && t.Dense {
		return DenseID(t.Run, t.Position)
	}
	return t.ID
}

// Tasks is how many tasks t is: the positions of its range, or one.
func (t *Task) Tasks() uint64 {
	if t.Range != nil {
		return t.Range.Count
	}
	return 1
}

// Halves returns the two halves of a task with a range of more than one position.
func (t *Task) Halves() [2]Task {
	a, b := *t, *t
	n := t.Range.Count / 2
	a.Range = &Range{Count: n, Add: t.Range.Add}
	b.Range = &Range{Count: t.Range.Count - n, Add: t.Range.Add}
	b.Position += uint32(n)
	return [2]Task{a, b}
}

// DenseID is the id of a position in a run: "<run>/<position>".
func DenseID(run string, position uint32) string {
	return run + "/" + strconv.FormatUint(uint64(position), 10)
}

// ParseDenseID is the inverse of DenseID. It accepts exactly what DenseID prints.
func ParseDenseID(id string) (run string, position uint32, ok bool) {
	i := strings.LastIndexByte(id, '/')
	if i <= 0 {
		return "", 0, false
	}
	v, err := strconv.ParseUint(id[i+1:], 10, 32)
	if err != nil || strconv.FormatUint(v, 10) != id[i+1:] {
		return "", 0, false
	}
	return id[:i], uint32(v), true
}

// A Priority is a level from 1 to 9 (highest), or Lowest for level 0; zero means PriorityDefault.
// Levels are strict: a queue hands out nothing of a level while a higher one has a ready task.
type Priority int8

const (
	PriorityDefault Priority = 4  // what zero means
	Lowest          Priority = -1 // level 0, below level 1
)

// Level makes the Priority of level 0 (lowest) to 9 (highest). A Broker refuses any other level.
func Level(level int) Priority {
	if level == 0 {
		return Lowest
	}
	return Priority(max(-2, min(level, 10))) // what is out of bounds stays so
}

// Level returns 0 to 9.
func (p Priority) Level() int {
	switch p {
	case 0:
		return int(PriorityDefault)
	case Lowest:
		return 0
	}
	return int(p)
}

// A Receipt answers one task of a put.
type Receipt struct {
	Number    uint64 // the engine's own number of the task, of a range of its first; grows with every put; 0 for a duplicate
	Duplicate bool   // the id was put before, or all positions of the range; nothing was stored
	Put       uint64 // of a range: how many of its positions were stored; the rest were put before
	Warning   string // a member of Extra that is close to an option, "" for none; the task is stored all the same
}

// AssignedID is the id of a task that was put without one: "~" and its number.
func AssignedID(number uint64) string { return "~" + strconv.FormatUint(number, 10) }

// A Token proves one hand-out of one task. Its text is "<number>.<queue>".
type Token struct {
	// Queue is the queue of the task; a token with another queue is not found. "" names the lease
	// by its number alone, for protocols that carry nothing else; such a token has no text.
	Queue  string
	Number uint64 // the lease number: below 2^53, grows, never used twice
}

func (t Token) String() string { return strconv.FormatUint(t.Number, 10) + "." + t.Queue }

// ParseToken reads what String prints. The error has code bad_request.
func ParseToken(s string) (Token, error) {
	num, queue, ok := strings.Cut(s, ".")
	n, err := strconv.ParseUint(num, 10, 64)
	if !ok || err != nil || n == 0 || n >= 1<<53 || CheckName(queue) != nil || num[0] == '0' {
		return Token{}, Errorf(CodeBadRequest, "token %.60q is not <number>.<queue>; send the token of the lease as it came", s)
	}
	return Token{Queue: queue, Number: n}, nil
}

// A Lease is a task handed out: work on it, then ack, nack or extend by its token before Deadline.
type Lease struct {
	Task                   // as it was put; Delay and TTL are zero. Body belongs to the caller
	Number   uint64        // the lease number; Token holds it with the queue
	Attempt  int           // 1 for the first hand-out
	Deadline time.Time     // when the task is handed out again unless extended
	Length   time.Duration // the granted length
	Age      time.Duration // time spent in the queue since it was first ready
	Late     time.Duration // how long after the pacer's release moment; 0 without a rate
	Progress *Progress     // what was said of the task under earlier leases; nil for nothing
}

// Token returns what ack, nack and extend need.
func (l *Lease) Token() Token { return Token{Queue: l.Queue, Number: l.Number} }

// A Reserve asks for leases.
type Reserve struct {
	Queue string
	Max   int           // most leases, 1..MaxBatch; 0 means 1
	Wait  time.Duration // longest wait for the first task: 0 answers at once, negative waits for ever
	Lease time.Duration // 1s to 12h; 0 means each task's own, then DefaultLease

	// Take acks the tasks as they are handed out, without waiting for the sync: delivery at most
	// once, for clients whose protocol has no ack.
	Take bool

	// Look shows the task that would be handed out next, and leaves it where it is: the lease has
	// no number, and its attempt is that of the last hand-out. Max is then 1, and a paused queue
	// shows its tasks too. It excludes Take.
	Look bool
}

// An Outcome is how an acked task is booked.
type Outcome uint8

const (
	OK     Outcome = iota // booked as ok
	Failed                // booked as failed
)

// An Ack ends a lease: the task is done. Result and Put are stored in the same commit, or nothing
// is.
type Ack struct {
	Token   Token
	Outcome Outcome // set by the Broker from Result
	// Result is the result to store, nil for none. Its Queue "" means the task's results queue; its
	// ID, Run, Position and OfAttempt are set by the engine from the lease.
	Result *Task
	Put    []Task // follow-ups; a Run of "" joins the run of the task that is acked
	// Cost is the real cost of the task, 0 to MaxCost, by which the bucket of its key is settled;
	// nil means the Cost of the task.
	Cost *uint32
	// Checked is the result schema that Result agrees with, set by the Broker. An engine stores a
	// result only when that is the schema of the lease's queue as it is now, see UncheckedError.
	Checked Schema
	// Within is asked about the queue of a lease that Token names by its number alone; where it
	// says no, the lease is not found. nil is any queue. It must be quick, and call nothing of the
	// engine.
	Within func(queue string) bool
}

// AtOnce is the Delay of a Nack whose task is ready again without one.
const AtOnce time.Duration = -1

// A Nack ends a lease without the work done. One that is both Dead and Undone is bad_request.
type Nack struct {
	Token  Token
	Delay  time.Duration // until it is ready again; 0 means the queue's backoff by attempt, AtOnce none
	Reason string        // for people; kept with a dead task, at most MaxReason bytes
	Dead   bool          // straight to dead (nacked)
	Undone bool          // back to its old place, the attempt not counted: at once, or after a Delay above 0
	// Hold stops the key of the task for every worker, for this long from now, at most MaxHold; 0
	// holds nothing. An earlier hold that ends later stays. Reason is shown with the hold.
	Hold time.Duration
}

// An Extend moves the deadline of a lease to Lease from now. An Extend with a Seq also says how far
// the work is; that is durable when the call is answered, as an ack is.
type Extend struct {
	Token Token
	Lease time.Duration // 1s to 12h; 0 means the length it was granted with

	// Seq numbers the reports under a lease: 1, then one more each time. A report is kept with the
	// task and goes with its next hand-out; the same Seq again changes nothing. A Seq that leaves
	// one out is bad_request. 0 reports nothing: Progress and Put are empty then.
	Seq      uint64
	Progress *Progress // nil says nothing of it
	Put      []Task    // partial results, in the same commit: tasks like the follow-ups of an ack
}

// A Progress is what workers say of a task on the way.
type Progress struct {
	Done float64 // share of the work that is done, 0 to 1, kept to a millionth; negative where that was not said
	Note string  // for people, at most MaxNote bytes; "" where none was said
	// Checkpoint is what the next worker needs to go on, at most MaxCheckpoint bytes. In an Extend
	// nil keeps the one before, and one that is empty forgets it. It is nil in lists of tasks.
	Checkpoint []byte
	Size       int // bytes of the checkpoint that is kept; not looked at in an Extend
}

// String says it for people, such as "40% done, page 40, checkpoint of 812 bytes".
func (p *Progress) String() string {
	if p == nil {
		return ""
	}
	var parts []string
	if p.Done >= 0 {
		parts = append(parts, percent(p.Done)+" done")
	}
	if p.Note != "" {
		parts = append(parts, p.Note)
	}
	if p.Size > 0 {
		parts = append(parts, fmt.Sprintf("checkpoint of %d bytes", p.Size))
	}
	return strings.Join(parts, ", ")
}

// percent never says that all is done, or nothing, before that is so.
func percent(share float64) string {
	n := math.Floor(share * 100)
	if n == 0 && share > 0 {
		return "<1%"
	}
	return strconv.Itoa(int(n)) + "%"
}

// String says it for people, such as "45% done, the mean of 3 tasks"; "" when there is none.
func (g Going) String() string {
	switch g.Tasks {
	case 0:
		return ""
	case 1:
		return percent(g.Done) + " done, of 1 task"
	}
	return fmt.Sprintf("%s done, the mean of %d tasks", percent(g.Done), g.Tasks)
}

// A Going says how far the work of a queue or a run is. It counts the tasks that reported progress
// and are not dead.
type Going struct {
	Tasks int64   `json:"tasks"`
	Done  float64 `json:"done"` // their mean, 0 to 1
}
