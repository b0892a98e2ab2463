package glassq

import (
	"context"
	"strings"
)

// Values of QueueQuery.Has and QueueQuery.Sort.
const (
	HasReady   = "ready"
	HasDelayed = "delayed"
	HasLeased  = "leased"
	HasDead    = "dead"
	HasPaused  = "paused" // the queue is

	SortName   = ""
	SortReady  = "ready"  // most ready tasks first
	SortDead   = "dead"   // most dead tasks first
	SortOldest = "oldest" // the one first whose ready task was put before all others; those without any last
	// SortUrgent has those that hold tasks alone: first those that are paused with ready tasks, then
	// those with dead tasks, then by SortOldest.
	SortUrgent = "urgent"
)

// MaxListed is the most queues that a QueueQuery may skip, and show.
const MaxListed = 1_000_000

// A QueueQuery says which queues a list is to have, in which order, and which part of it is shown.
type QueueQuery struct {
	Only  []string `json:"only,omitempty"`  // patterns that names fit, as Covers says; nil for any name
	After string   `json:"after,omitempty"` // names behind this one
	Name  string   `json:"name,omitempty"`  // names that have it in them
	Has   string   `json:"has,omitempty"`   // what the queue has, "" for anything
	Sort  string   `json:"sort,omitempty"`  // those that it holds equal are in the order of their names
	Skip  int      `json:"skip,omitempty"`
	Max   int      `json:"max"` // 0 shows none: the totals alone
}

// A QueueList is a part of a list of queues, and the totals of the whole of it.
type QueueList struct {
	Queues []QueueInfo `json:"queues"`
	Totals QueueTotals `json:"totals"`
}

// QueueTotals add up queues.
type QueueTotals struct {
	Queues  int        `json:"queues"`
	Holding int        `json:"holding"` // those that hold tasks
	Paused  int        `json:"paused"`
	Halted  int        `json:"halted"`
	Delayed int64      `json:"delayed"`
	Ready   int64      `json:"ready"`
	Leased  int64      `json:"leased"`
	Dead    int64      `json:"dead"`
	Bytes   int64      `json:"bytes"`
	Waiters int        `json:"waiters"`
	Pending uint64     `json:"pending"`
	Books   Books      `json:"books"`
	Keys    *KeyCounts `json:"keys,omitempty"` // nil where no queue looks at keys
}

// A Lister is the part of an engine that lists queues without telling all of each. An engine may lack
// it; a [Broker] before such a one answers unsupported.
type Lister interface {
	// List lists queues. It takes a moment for each queue that there is, holds no other call up for
	// longer than for some hundred of them, and makes a QueueInfo only for those that are shown: what
	// changes meanwhile may be in the list or not.
	List(ctx context.Context, q QueueQuery) (QueueList, error)
}

// Covers tells whether a name fits one of some patterns: a name, the beginning of one with a * behind
// it, or *. A queue of the results of a run goes with the run.
func Covers(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if fits(pattern, name) {
			return true
		}
	}
	if run, ok := strings.CutPrefix(name, DefaultResults+"."); ok {
		for _, pattern := range patterns {
			if fits(pattern, run) {
				return true
			}
		}
	}
	return false
}

func fits(pattern, name string) bool {
	if begin, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, begin)
	}
	return pattern == name
}
