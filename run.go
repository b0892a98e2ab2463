package glassq

import "time"

// A Run is one dispatch: a label on its tasks, with books that must add up.
type Run struct {
	Name     string    `json:"run"`
	Source   string    `json:"source,omitempty"` // fingerprint of what it was dispatched from
	Queue    string    `json:"queue,omitempty"`  // the queue its tasks are dispatched to, as SetRun was told
	Results  string    `json:"results"`          // the queue its results go to
	Sealed   bool      `json:"sealed"`           // nothing more will be dispatched
	Total    uint64    `json:"total"`            // tasks dispatched, said with the seal
	Books    Books     `json:"books"`
	Pending  uint64    `json:"pending"`
	Waiting  uint64    `json:"waiting_results"` // tasks in its results queue, leased ones included
	Complete bool      `json:"complete"`        // sealed, and pending is 0
	Progress Going     `json:"progress,omitzero"`
	Created  time.Time `json:"created"`
	Ended    time.Time `json:"ended,omitzero"` // when it was first complete

	// The rate, or the stages, of the queue when a task of the run was last handed out; 0 and ""
	// when there was none.
	Rate   float64 `json:"rate,omitempty"`
	Stages string  `json:"stages,omitempty"`
	// GivenUp counts the moments of that schedule for which a task was ready and no worker asked in
	// time, and with which the queue did not catch up.
	GivenUp uint64 `json:"given_up,omitempty"`

	RetryOf string   `json:"retry_of,omitempty"` // the run whose tasks it puts again, at their old positions
	Job     *Job     `json:"job,omitempty"`      // of a run that was retried, and of its retries
	Readers []string `json:"readers,omitempty"`  // who took its results, as SetRun was told: the last 8

	OnEnd    Hook   `json:"on_end,omitzero"`
	OnFailed Hook   `json:"on_failed,omitzero"`
	Ends     uint64 `json:"ends,omitempty"` // how often it ended since it has hooks, or another run waits for it

	After    string `json:"after,omitempty"`     // the run that it comes after, as SetRun was told
	AfterAny bool   `json:"after_any,omitempty"` // and whether that may end in any way
	Held     bool   `json:"held,omitempty"`      // it waits for that: its tasks are delayed
}

// A Hook is a task that the engine puts when a run ends, in the commit that ends it: the JSON
// envelope of a task without a body, such as {"queue":"nightly"}. "" is none. The task has the id
// "<run>/end.<k>", k counts the ends from 1, and its body is a RunEnd. In JSON a Hook stands as the
// envelope itself.
type Hook string

// MarshalJSON returns the envelope itself.
func (h Hook) MarshalJSON() ([]byte, error) { return Schema(h).MarshalJSON() }

// UnmarshalJSON keeps the text as it came, without the white space between its tokens.
func (h *Hook) UnmarshalJSON(b []byte) error { return (*Schema)(h).UnmarshalJSON(b) }

// A RunEnd is the body of a hook's task: the books of the run as of its end.
type RunEnd struct {
	Run     string    `json:"run"`
	End     uint64    `json:"end"` // counts from 1; a run that is redriven ends again
	OK      bool      `json:"ok"`  // nothing of it failed or is dead
	Books   Books     `json:"books"`
	Total   uint64    `json:"total"`
	Results string    `json:"results"` // the queue of its results
	RetryOf string    `json:"retry_of,omitempty"`
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended"`
}

// A Job is a run and its retries as one: each task counts once, with its last outcome.
type Job struct {
	Runs    []string `json:"runs"` // the first one, and its retries in their order
	Put     uint64   `json:"put"`
	OK      uint64   `json:"ok"`
	Failed  uint64   `json:"failed"`
	Dead    uint64   `json:"dead"`
	Pending uint64   `json:"pending"`
}

// RunChange makes or changes a run; zero fields change nothing. Source, Queue and Results can be
// set once, another value is run_conflict. Sealed with Total says that nothing more is dispatched;
// sealing again with another Total is run_conflict, and a Total without Sealed is bad_request.
type RunChange struct {
	Source  string `json:"source,omitempty"`
	Queue   string `json:"queue,omitempty"`
	Results string `json:"results,omitempty"`
	Sealed  bool   `json:"sealed,omitempty"`
	Total   uint64 `json:"total,omitempty"`

	// RetryOf says that the run puts tasks of another again; a retry of a retry is one of the
	// first. It can be set once, before there are tasks. A run that is not there is not_found.
	RetryOf string `json:"retry_of,omitempty"`
	// OnEnd is put each time that the run ends, and OnFailed instead of it where tasks of the run
	// failed or are dead. A later value stands instead of an earlier one. A hook names a queue, and
	// may name another run that its task joins, but not one whose own hook leads back to this run
	// (run_conflict). Its place in the queue is reserved from now on; a queue that is full refuses
	// the change (queue_full), and no end. A run that has ended already refuses a hook (run_conflict).
	OnEnd    Hook `json:"on_end,omitzero"`
	OnFailed Hook `json:"on_failed,omitzero"`
	// Hooks gives a retry the hooks of the run that it is a retry of; only with RetryOf.
	Hooks bool `json:"hooks,omitempty"`

	// After keeps the tasks of the run delayed until another run has ended with nothing failed or
	// dead, retries included, or with AfterAny has ended in any way. It can be set once, before
	// there are tasks. A run that is not there is not_found, and one that waits for this one
	// run_conflict. Nothing that the other run does later changes that.
	After    string `json:"after,omitempty"`
	AfterAny bool   `json:"after_any,omitempty"`

	// Reader says who takes the results of the run, for those who come later and find none: text
	// for people, at most MaxReason bytes.
	Reader string `json:"reader,omitempty"`
}

// An IDSet names a set of positions of a run.
type IDSet string

const (
	IDsPut    IDSet = "put"    // were put
	IDsDone   IDSet = "done"   // were acked with a result, ok or failed
	IDsFailed IDSet = "failed" // were acked as failed
	IDsDead   IDSet = "dead"   // ended without an ack, and were not redriven
)

// An Interval is the positions First to Last, both included.
type Interval struct {
	First, Last uint32
}

// A Phase is a point in a run's life to wait for.
type Phase string

const (
	PhaseExists   Phase = "exists"   // it was made
	PhaseComplete Phase = "complete" // sealed, and every task has an outcome
	PhaseDrained  Phase = "drained"  // complete, and its results queue is empty, with no leases
)
