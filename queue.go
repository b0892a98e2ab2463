package glassq

import (
	"bytes"
	"cmp"
	"encoding/json"
	"time"
)

// A State says where a task is in its life.
type State uint8

const (
	Gone    State = iota // acked, or ended without being kept
	Delayed              // waits for its delay
	Ready                // waits for a worker
	Leased               // is being worked on
	Dead                 // ended without an ack, waits for a person
)

var stateNames = [...]string{"gone", "delayed", "ready", "leased", "dead"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "state?"
}

// ParseState reads delayed, ready, leased or dead. The error has code bad_request.
func ParseState(s string) (State, error) {
	for i, name := range stateNames[1:] {
		if s == name {
			return State(i + 1), nil
		}
	}
	return Gone, Errorf(CodeBadRequest, "state %.40q is not one of delayed, ready, leased, dead", s)
}

// Books are counters that balance: Put = OK + Failed + Dead.Sum() + Pending().
type Books struct {
	Put    uint64     `json:"put"`
	OK     uint64     `json:"ok"`
	Failed uint64     `json:"failed"`
	Dead   DeadCounts `json:"dead_by"`
}

// DeadCounts says why tasks ended without an ack. Tasks that are dead for the first two reasons are
// kept and can be redriven.
type DeadCounts struct {
	Attempts  uint64 `json:"attempts"`  // the last try ended without an ack
	Nacked    uint64 `json:"nacked"`    // a worker said so
	Expired   uint64 `json:"expired"`   // its ttl passed
	Purged    uint64 `json:"purged"`    // by a person
	Cancelled uint64 `json:"cancelled"` // with its run
}

// Sum adds up all reasons.
func (d DeadCounts) Sum() uint64 {
	return d.Attempts + d.Nacked + d.Expired + d.Purged + d.Cancelled
}

// Pending counts the tasks without an outcome: those delayed, ready or leased.
func (b Books) Pending() uint64 { return b.Put - b.OK - b.Failed - b.Dead.Sum() }

// QueueInfo is what a queue holds now and has held. A results queue counts its results as puts
// here; the books of a run never do.
type QueueInfo struct {
	Name    string `json:"name"`
	Delayed int64  `json:"delayed"`
	Ready   int64  `json:"ready"`
	Leased  int64  `json:"leased"`
	Dead    int64  `json:"dead"`
	// Bytes are those of bodies and what is carried with them (type, key, headers, note, checkpoint),
	// in all states; of a range those of its template, once.
	Bytes    int64    `json:"bytes"`
	Waiters  int      `json:"waiters"` // reserves that wait for it
	Oldest   float64  `json:"oldest"`  // seconds since the oldest ready task was put; 0 when none
	Books    Books    `json:"books"`
	Pending  uint64   `json:"pending"`
	Progress Going    `json:"progress,omitzero"`
	Halted   Halted   `json:"halted,omitzero"`
	Rate     float64  `json:"rate"`         // hand-outs per second that its settings allow at the moment; 0 means no limit
	Due      float64  `json:"due,omitzero"` // seconds until its rate lets a ready task go, at most 3600; 0 when one may go, or none is ready
	Settings Settings `json:"settings"`

	HaltedKeys HaltedKeys `json:"halted_keys,omitzero"` // with HaltPer: those that are

	// Keys is nil for a queue that does not look at keys: one without Fair, limits of keys and a rule
	// that halts keys, where no key was held.
	Keys *KeyCounts `json:"keys,omitempty"`
}

// Settings of a queue. The zero value is the default.
type Settings struct {
	Paused   bool    `json:"paused"`    // nothing is handed out
	Rate     float64 `json:"rate"`      // most hand-outs per second; 0 means no limit, unless there are Stages
	Attempts int     `json:"attempts"`  // for tasks that name none; 0 means DefaultAttempts
	MaxTasks int64   `json:"max_tasks"` // puts beyond are refused; 0 means no limit
	MaxBytes int64   `json:"max_bytes"` // puts beyond are refused; 0 means no limit

	// Unique says how long an id of a task without a position is taken: "" for DedupWindow from its
	// put, UniquePending also for as long as its task is delayed, ready, leased or kept dead. Both
	// end early when the task is purged, expired, cancelled or deleted. MaxUnique is how many ids
	// of such tasks a queue with UniquePending holds: puts beyond are refused; 0 means DedupCount.
	Unique    string `json:"unique,omitempty"`
	MaxUnique int64  `json:"max_unique,omitempty"`

	// Stages is a schedule of rates that stands instead of Rate: "0..5000/30s,5000/1m" climbs to
	// 5,000 a second in 30 s and stays there for a minute; the last stage's rate goes on after it.
	// "" means none. StagesAt is when it began, in ms since 1970: the engine fills it in.
	Stages   string `json:"stages,omitempty"`
	StagesAt int64  `json:"stages_at,omitempty"`

	// Catchup is how many seconds of its schedule a queue catches up with in one burst when workers
	// did not ask in time; what they missed beyond is not made good. 0 means next to nothing.
	Catchup float64 `json:"catchup,omitempty"`

	// Fair has hand-outs go round among the keys of the tasks, by weight, and Keys says more of
	// them. With either, first deliveries follow the puts within one key. Tasks without a key are
	// one key, without limits.
	Fair bool      `json:"fair,omitempty"`
	Keys *KeyRules `json:"keys,omitempty"` // never changed in place
	// Halt pauses hand-outs when too many tasks fail: "failed>30% of 200" when more than 30 % of the
	// last 200 endings did, as soon as there are so many; "" never does. Acks that are booked as
	// failed, nacks that count an attempt, and leases that run out are endings that failed. Leases
	// that are out go on. HaltResume is how many seconds later one task goes out as a probe: when
	// it succeeds hand-outs go on, else they pause for as long again. 0 waits for a person, who
	// sets Paused to false.
	Halt       string  `json:"halt,omitempty"`
	HaltResume float64 `json:"halt_resume,omitempty"`
	// HaltPer says whose endings count together: "" those of the queue, HaltPerKey those of each key,
	// which is then halted alone. Tasks without a key are not. A key is counted anew a day after its
	// last ending, and when 100,000 others had one since.
	HaltPer string `json:"halt_per,omitempty"`

	// Opaque lets Python programs put instances of classes of their own, which only Python getters
	// see.
	Opaque bool `json:"opaque,omitempty"`

	// TaskSchema and ResultSchema are JSON Schemas (2020-12) that bodies put here, and results of
	// tasks of this queue, must agree with; "" means anything goes.
	TaskSchema   Schema `json:"task_schema,omitzero"`
	ResultSchema Schema `json:"result_schema,omitzero"`
}

// UniquePending is a value of Settings.Unique: a task holds its id for as long as it is there.
const UniquePending = "pending"

// MostUnique is how many ids of tasks that are there the queue holds at most, with UniquePending.
func (s *Settings) MostUnique() int64 { return cmp.Or(s.MaxUnique, DedupCount) }

// A Schema is the text of a JSON Schema. In JSON it stands as the schema itself, and none as "".
type Schema string

// MarshalJSON returns the schema itself.
func (s Schema) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte(`""`), nil
	}
	return []byte(s), nil
}

// UnmarshalJSON keeps the text as it came, without the white space between its tokens.
func (s *Schema) UnmarshalJSON(b []byte) error {
	if string(b) == "null" || string(b) == `""` {
		*s = ""
		return nil
	}
	var text bytes.Buffer
	if err := json.Compact(&text, b); err != nil {
		return err
	}
	*s = Schema(text.String())
	return nil
}

// SettingsChange changes the settings whose pointers are not nil. A rate ends stages, and stages a
// rate.
type SettingsChange struct {
	Paused   *bool    `json:"paused,omitempty"`
	Rate     *float64 `json:"rate,omitempty"`
	Attempts *int     `json:"attempts,omitempty"`
	MaxTasks *int64   `json:"max_tasks,omitempty"`
	MaxBytes *int64   `json:"max_bytes,omitempty"`
	Unique   *string  `json:"unique,omitempty"`
	Stages   *string  `json:"stages,omitempty"`
	Catchup  *float64 `json:"catchup,omitempty"`
	Opaque   *bool    `json:"opaque,omitempty"`
	Halt     *string  `json:"halt,omitempty"`
	HaltPer  *string  `json:"halt_per,omitempty"` // HaltPerKey, or HaltPerQueue, which is kept as ""

	Fair         *bool     `json:"fair,omitempty"`
	Keys         *KeyRules `json:"keys,omitempty"` // see KeyRules.Merge
	HaltResume   *float64  `json:"halt_resume,omitempty"`
	MaxUnique    *int64    `json:"max_unique,omitempty"`
	TaskSchema   *Schema   `json:"task_schema,omitempty"`
	ResultSchema *Schema   `json:"result_schema,omitempty"`
}

// Apply returns s changed by c.
func (c SettingsChange) Apply(s Settings) Settings {
	set(&s.Paused, c.Paused)
	set(&s.Rate, c.Rate)
	set(&s.Attempts, c.Attempts)
	set(&s.MaxTasks, c.MaxTasks)
	set(&s.MaxBytes, c.MaxBytes)
	set(&s.Unique, c.Unique)
	set(&s.MaxUnique, c.MaxUnique)
	set(&s.Stages, c.Stages)
	set(&s.Catchup, c.Catchup)
	set(&s.Opaque, c.Opaque)
	set(&s.Fair, c.Fair)
	s.Keys = s.Keys.Merge(c.Keys)
	set(&s.Halt, c.Halt)
	set(&s.HaltResume, c.HaltResume)
	if c.HaltPer != nil {
		if s.HaltPer = *c.HaltPer; s.HaltPer == HaltPerQueue {
			s.HaltPer = ""
		}
	}
	set(&s.TaskSchema, c.TaskSchema)
	set(&s.ResultSchema, c.ResultSchema)
	switch {
	case c.Stages != nil && *c.Stages != "":
		s.Rate = 0
	case c.Rate != nil || c.Stages != nil:
		s.Stages, s.StagesAt = "", 0
	}
	return s
}

func set[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

// Values of DeadFilter.Why.
const (
	DeadAttempts = "attempts" // the last try ended without an ack
	DeadNacked   = "nacked"   // a worker said so
)

// A DeadFilter says which dead tasks of a queue are meant: those that agree with all that is set;
// the zero value means all of them.
type DeadFilter struct {
	// Tasks are ids: ~ and the number of a task, RUN/N, or another id for as long as it is taken,
	// see Settings.Unique. At most MaxBatch; none means any.
	Tasks  []string
	Why    string // DeadAttempts or DeadNacked; "" means either
	Reason string // a part of what the last nack said; "" means any
	Run    string // that the task, or the result, is of; "" means any
	Max    int    // most tasks, the oldest first; 0 means no limit
}

// A Peeked task is shown, not handed out.
type Peeked struct {
	Task
	Number  uint64
	State   State
	Attempt int           // hand-outs so far
	Age     time.Duration // since it was put
	Due     time.Duration // Delayed: until ready. Leased: until the deadline
	Reason  string        // Dead: why

	Progress *Progress // what workers said of it; nil for nothing
}
