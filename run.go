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
	// GivenUp is how many tasks were due by that schedule while they were ready, were not asked for
	// in time, and were not made good.
	GivenUp uint64 `json:"given_up,omitempty"`

	RetryOf string   `json:"retry_of,omitempty"` // the run whose tasks it puts again, at their old positions
	Job     *Job     `json:"job,omitempty"`      // of a run that was retried, and of its retries
	Readers []string `json:"readers,omitempty"`  // who took its results, as SetRun was told: the last 8
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
// sealing again with another Total is run_conflict.
type RunChange struct {
	Source  string `json:"source,omitempty"`
	Queue   string `json:"queue,omitempty"`
	Results string `json:"results,omitempty"`
	Sealed  bool   `json:"sealed,omitempty"`
	Total   uint64 `json:"total,omitempty"`

	// RetryOf says that the run puts tasks of another again; a retry of a retry is one of the
	// first. It can be set once, before there are tasks. A run that is not there is not_found.
	RetryOf string `json:"retry_of,omitempty"`
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
