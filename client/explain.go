package client

import (
	"context"
	"net/url"
	"strconv"

	"github.com/glassq/glassq"
)

// ExplainQueue says why a queue is as it is: what holds its tasks up, and who has them.
func (c *Client) ExplainQueue(ctx context.Context, queue string) (e glassq.Explanation, err error) {
	path, err := queuePath(queue, "/explain")
	if err == nil {
		err = c.call(ctx, "GET", path, nil, &e)
	}
	return e, err
}

// ExplainRun says why a run is as it is.
func (c *Client) ExplainRun(ctx context.Context, run string) (e glassq.Explanation, err error) {
	path, err := runPath(run, "/explain")
	if err == nil {
		err = c.call(ctx, "GET", path, nil, &e)
	}
	return e, err
}

// ExplainTask says where a task is. A lease is named with its queue.
func (c *Client) ExplainTask(ctx context.Context, f glassq.Find) (w glassq.Whereabouts, err error) {
	var path string
	switch {
	case f.Dense:
		path, err = runPath(f.Run, "/tasks/"+strconv.FormatUint(uint64(f.Position), 10))
	case f.Lease != 0:
		path, err = queuePath(f.Queue, "/tasks/"+glassq.Token{Queue: f.Queue, Number: f.Lease}.String())
	default:
		path, err = queuePath(f.Queue, "/tasks/"+url.PathEscape(f.ID))
	}
	if err == nil {
		err = c.call(ctx, "GET", path, nil, &w)
	}
	return w, err
}
