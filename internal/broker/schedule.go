package broker

import (
	"context"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cron"
	"github.com/glassq/glassq/internal/envelope"
)

// Schedules passes through.
func (b *Broker) Schedules(ctx context.Context) ([]glassq.Schedule, error) {
	return b.store.Schedules(ctx)
}

// SetSchedule checks the times and the task, which is a put of its own at each due moment.
func (b *Broker) SetSchedule(ctx context.Context, name string, c glassq.ScheduleChange) (glassq.Schedule, error) {
	none := glassq.Schedule{}
	if err := glassq.CheckName(name); err != nil {
		return none, err
	}
	switch c.Missed {
	case "", glassq.MissedOnce, glassq.MissedAll, glassq.MissedNone:
	default:
		return none, glassq.Errorf(glassq.CodeBadRequest, "missed is %.40q; it is once, all or none", c.Missed)
	}
	if c.Cron != "" {
		if _, err := cron.Parse(c.Cron, c.Zone, time.Now()); err != nil {
			return none, err
		}
	}
	if c.Task != "" {
		t, err := ScheduleTask(c.Task)
		if err != nil {
			return none, err
		}
		if err := b.checkTasks(ctx, []glassq.Task{t}); err != nil {
			return none, err
		}
		if t.ID != "" || t.Dense {
			return none, glassq.Errorf(glassq.CodeBadRequest, "the task of a schedule gets its id from the due moment; leave id and n out")
		}
		c.Task = glassq.Envelope(envelope.AppendTask(nil, &t))
		if len(c.Task) > glassq.MaxScheduled {
			return none, glassq.Errorf(glassq.CodeTooLarge, "the task of a schedule has %d bytes; the limit is %d", len(c.Task),
				glassq.MaxScheduled)
		}
	}
	return b.store.SetSchedule(ctx, name, c)
}

// DropSchedule forgets a schedule.
func (b *Broker) DropSchedule(ctx context.Context, name string) error {
	if err := glassq.CheckName(name); err != nil {
		return err
	}
	return b.store.DropSchedule(ctx, name)
}

// ScheduleTask is the task of an envelope.
func ScheduleTask(e glassq.Envelope) (t glassq.Task, err error) {
	err = envelope.ParseTask([]byte(e), &t)
	return t, err
}
