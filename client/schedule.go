package client

import (
	"context"

	"github.com/glassq/glassq"
)

// Schedules lists all schedules in the order of their names.
func (c *Client) Schedules(ctx context.Context) ([]glassq.Schedule, error) {
	var a struct {
		Schedules []glassq.Schedule `json:"schedules"`
	}
	err := c.call(ctx, "GET", place{path: "/v1/schedules"}, nil, &a)
	return a.Schedules, err
}

// SetSchedule makes a schedule or changes it.
func (c *Client) SetSchedule(ctx context.Context, name string, change glassq.ScheduleChange) (s glassq.Schedule,
	err error) {
	err = c.call(ctx, "POST", route("schedules", name, ""), change, &s)
	return s, err
}

// DropSchedule forgets a schedule; tasks that it has put stay.
func (c *Client) DropSchedule(ctx context.Context, name string) error {
	return c.call(ctx, "DELETE", route("schedules", name, ""), nil, nil)
}
