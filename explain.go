package glassq

import (
	"context"
	"time"
)

// An Explanation says why something is as it is, for people and for programs.
type Explanation struct {
	Of     string  `json:"of"`     // queue, run or task, and its name
	Text   string  `json:"text"`   // one sentence for all of it
	Causes []Cause `json:"causes"` // what holds it up or what it waits for, the most important first
}

// A Cause is one thing that holds tasks up, or says that nothing does.
type Cause struct {
	Cause string `json:"cause"`        // the word for programs, as docs/watching.md lists them
	Text  string `json:"text"`         // the sentence for people
	Do    string `json:"do,omitempty"` // a command that cures it, where there is one
}

// Whereabouts say where one task is.
type Whereabouts struct {
	Where string `json:"where"` // one of the words Found…
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // a command that finds more
}

// A Find names one task by one of: Lease; Run and Position with Dense; or Queue and ID.
type Find struct {
	Queue    string
	ID       string // "~<number>" is one that the engine named, "<run>/<n>" a position
	Run      string
	Position uint32
	Dense    bool
	Lease    uint64 // a lease number
}

// Values of Found.Where and Whereabouts.Where.
const (
	FoundHeld    = "held"        // it is there, Found.Peeked says how
	FoundPending = "pending"     // it has no outcome yet; where it is among the others is not indexed
	FoundOK      = "ok"          // acked with a result, booked as ok
	FoundFailed  = "failed"      // acked, booked as failed
	FoundDead    = "dead"        // ended without an ack
	FoundAcked   = "acked"       // the lease was acked
	FoundGone    = "gone"        // it was there, and is no more: acked, expired, purged or cancelled
	FoundWindow  = "not_indexed" // an id of a producer's own, put within the dedup window
	FoundNever   = "unknown"     // not put, as far as is known: an id of a producer's own is known for a time only
)

// Found is where a task is.
type Found struct {
	Where  string
	Peeked // of FoundHeld
}

// A Finder is the part of an engine that finds single tasks without looking through queues. An
// engine may lack it; a [Broker] before such a one answers unsupported.
type Finder interface {
	// Find finds a task by what is indexed. A queue or run that is not there is not_found.
	Find(ctx context.Context, f Find) (Found, error)
	// NextDelayed tells what the delayed tasks of a queue wait for.
	NextDelayed(ctx context.Context, queue string) (Delays, error)
}

// Delays are what the delayed tasks of a queue wait for.
type Delays struct {
	In    time.Duration `json:"in"`             // until the next of them is ready
	Timed bool          `json:"timed"`          // false where there is none, or not among the next hundred of all queues
	Runs  []string      `json:"runs,omitempty"` // whose tasks wait for the end of another run, up to three
	More  int           `json:"more,omitempty"` // such runs beside them, about
}
