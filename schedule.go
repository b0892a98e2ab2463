package glassq

import (
	"context"
	"time"
)

// Limits of schedules.
const (
	MaxSchedules   = 1000        // of one store
	MaxScheduled   = 16 << 10    // bytes of the envelope of a schedule's task
	MaxMissed      = 1000        // tasks that are put at once for missed moments, with MissedAll
	ScheduleOnTime = time.Minute // a due moment that is later than this was missed
)

// Values of Schedule.Missed, about moments that were missed because no server ran, a queue was
// full, or a clock jumped.
const (
	MissedOnce = "once" // of all that are due, the last one has its task; the default
	MissedAll  = "all"  // a task for each, the last MaxMissed at most
	MissedNone = "none" // they are counted, and nothing is put
)

// An Envelope is the text of a task's envelope, as a put takes it. In JSON it stands as itself.
type Envelope string

// MarshalJSON returns the envelope itself.
func (e Envelope) MarshalJSON() ([]byte, error) { return Schema(e).MarshalJSON() }

// UnmarshalJSON keeps the text as it came, without the white space between its tokens.
func (e *Envelope) UnmarshalJSON(b []byte) error { return (*Schema)(e).UnmarshalJSON(b) }

// A Schedule puts one task per due moment, exactly once over restarts. The wall clock of whoever
// serves decides what is due. The task of a moment has the id "<schedule>/<moment in UTC>".
type Schedule struct {
	Name    string    `json:"schedule"`
	Cron    string    `json:"cron"` // minute, hour, day of month, month, day of week
	Zone    string    `json:"zone"` // such as Europe/Berlin
	Task    Envelope  `json:"task"`
	Missed  string    `json:"missed"` // one of the words Missed…
	Paused  bool      `json:"paused"`
	Created time.Time `json:"created"`
	Last    time.Time `json:"last,omitzero"`   // the last due moment that is done with
	Next    time.Time `json:"next,omitzero"`   // the next due moment; zero while it is paused
	Puts    uint64    `json:"puts"`            // tasks put
	Lost    uint64    `json:"missed_moments"`  // due moments that no task was put for
	Waits   string    `json:"waits,omitempty"` // why the task of a due moment is not put yet
}

// ScheduleChange makes or changes a schedule; zero fields change nothing. A new one needs Cron and
// Task. A change that names Cron, or Paused as false, begins now: moments before it are not due.
type ScheduleChange struct {
	Cron   string   `json:"cron,omitempty"`
	Zone   string   `json:"zone,omitempty"` // "" of a new schedule is UTC
	Task   Envelope `json:"task,omitzero"`  // with a queue and a body, without id, n
	Missed string   `json:"missed,omitempty"`
	Paused *bool    `json:"paused,omitempty"`
}

// Schedules is the part of an engine that keeps schedules. An engine may lack it; a [Broker] before
// such a one answers unsupported.
type Schedules interface {
	// Schedules lists all schedules in the order of their names.
	Schedules(ctx context.Context) ([]Schedule, error)
	// SetSchedule makes a schedule or changes it. A change of one that is not there, without Cron and
	// Task, is not_found; one too many is quota.
	SetSchedule(ctx context.Context, name string, change ScheduleChange) (Schedule, error)
	// DropSchedule forgets a schedule. Tasks that it has put stay. One that is not there is not_found.
	DropSchedule(ctx context.Context, name string) error
}
