package client

import (
	"context"
	"net/url"
	"strconv"

	"github.com/glassq/glassq"
)

// ExplainQueue says why a queue is as it is: what holds its tasks up, and who has them.
func (c *Client) ExplainQueue(ctx context.Context, queue string) (e glassq.Explanation, err error) {
	err = c.call(ctx, "GET", route("queues", queue, "/explain"), nil, &e)
	return e, err
}

// ExplainRun says why a run is as it is.
func (c *Client) ExplainRun(ctx context.Context, run string) (e glassq.Explanation, err error) {
	err = c.call(ctx, "GET", route("runs", run, "/explain"), nil, &e)
	return e, err
}

// ExplainTask says where a task is. A lease is named with its queue.
func (c *Client) ExplainTask(ctx context.Context, f glassq.Find) (w glassq.Whereabouts, err error) {
	to := route("queues", f.Queue, "/tasks/"+url.PathEscape(f.ID))
	switch {
	case f.Dense:
		to = route("runs", f.Run, "/tasks/"+strconv.FormatUint(uint64(f.Position), 10))
	case f.Lease != 0:
		to = route("queues", f.Queue, "/tasks/"+glassq.Token{Queue: f.Queue, Number: f.Lease}.String())
	}
	err = c.call(ctx, "GET", to, nil, &w)
	return w, err
}
