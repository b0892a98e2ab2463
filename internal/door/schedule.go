package door

import (
	"cmp"
	"context"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/rights"
)

// Schedules is Broker.Schedules, of those that put into queues which the client may look into.
func (s Store) Schedules(ctx context.Context) ([]glassq.Schedule, error) {
	if err := s.Who.MayAtAll(rights.VerbSchedules); err != nil {
		return nil, err
	}
	list, err := s.broker.Schedules(ctx)
	if s.Who.Whole() {
		return list, err
	}
	var seen []glassq.Schedule
	for i := range list {
		if t, err := broker.ScheduleTask(list[i].Task); err == nil && s.Who.sees(rights.VerbSchedules, t.Queue) {
			seen = append(seen, list[i])
		}
	}
	return seen, err
}

// SetSchedule is Broker.SetSchedule. The queue that the schedule puts into, and the one that it is to
// put into, must be the client's.
func (s Store) SetSchedule(ctx context.Context, name string, c glassq.ScheduleChange) (x glassq.Schedule, err error) {
	was, err := s.scheduled(ctx, rights.VerbSetSchedule, name)
	if err != nil {
		return x, err
	}
	t := glassq.Task{Queue: was}
	if c.Task != "" {
		if t, err = broker.ScheduleTask(c.Task); err != nil {
			return x, err
		}
	}
	_, err = s.act(ctx, rights.VerbSetSchedule, "", cmp.Or(was, t.Queue), "schedule "+name, func() (_ int, err error) {
		if c.Task != "" {
			err = s.Who.MayPutTask(&t)
		}
		if err == nil {
			x, err = s.broker.SetSchedule(ctx, name, c)
		}
		return 0, err
	})
	return x, err
}

// DropSchedule is Broker.DropSchedule.
func (s Store) DropSchedule(ctx context.Context, name string) error {
	was, err := s.scheduled(ctx, rights.VerbDropSchedule, name)
	if err == nil {
		_, err = s.act(ctx, rights.VerbDropSchedule, "", was, "schedule "+name, func() (int, error) {
			return 0, s.broker.DropSchedule(ctx, name)
		})
	}
	return err
}

// scheduled is the queue that a schedule puts into; "" for one that is not there. A client that may
// not do verb with any is audited.
func (s Store) scheduled(ctx context.Context, verb rights.Verb, name string) (queue string, err error) {
	if err := s.Who.MayAtAll(verb); err != nil {
		s.by.note(ctx, s.Who, verb, audit.Entry{What: "schedule " + name}, "", err)
		return "", err
	}
	list, err := s.broker.Schedules(ctx)
	for i := range list {
		if list[i].Name == name {
			t, err := broker.ScheduleTask(list[i].Task)
			return t.Queue, err
		}
	}
	return "", err
}
