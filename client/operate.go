package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
)

// Stats tells what the server's engine has done since it was opened.
func (c *Client) Stats(ctx context.Context) (st glassq.Stats, err error) {
	err = c.call(ctx, "GET", place{path: "/v1/stats"}, nil, &st)
	return st, err
}

// An Identity is what a server knows of the holder of a key.
type Identity struct {
	Name    string    `json:"name"`             // of the token; "key" with the server's key, "guest" without any
	ID      string    `json:"id,omitempty"`     // of the token
	May     []string  `json:"may"`              // scopes: put, work, read, admin
	Queues  []string  `json:"queues"`           // names of queues and runs, or beginnings of names with a * behind
	Expires time.Time `json:"expires,omitzero"` // zero: never

	// PutsPerSecond and BytesPerSecond bound the puts of all holders of the token together; 0 is no
	// bound.
	PutsPerSecond  int64 `json:"puts_per_second,omitempty"`
	BytesPerSecond int64 `json:"bytes_per_second,omitempty"`
}

// Whoami tells what the server lets this client do.
func (c *Client) Whoami(ctx context.Context) (me Identity, err error) {
	err = c.call(ctx, "GET", place{path: "/v1/whoami"}, nil, &me)
	return me, err
}

// Reload has the server read its settings again, as SIGHUP does. When a start with them would fail
// nothing changes, and the error says why.
func (c *Client) Reload(ctx context.Context) (did glassq.Reloaded, err error) {
	err = c.call(ctx, "POST", place{path: "/v1/reload"}, nil, &did)
	return did, err
}

// Queues lists the named queues, or all.
func (c *Client) Queues(ctx context.Context, names ...string) ([]glassq.QueueInfo, error) {
	var a struct {
		Queues []glassq.QueueInfo `json:"queues"`
	}
	q := url.Values{}
	if len(names) > 0 {
		q["name"] = names
	}
	err := c.call(ctx, "GET", place{path: "/v1/queues"}.with(q), nil, &a)
	return a.Queues, err
}

// Configure changes settings of a queue.
func (c *Client) Configure(ctx context.Context, queue string, change glassq.SettingsChange) (s glassq.Settings,
	err error) {
	err = c.call(ctx, "PATCH", route("queues", queue, ""), change, &s)
	return s, err
}

// Peek shows tasks of one state. The server shows at most 1,000 at a time.
func (c *Client) Peek(ctx context.Context, queue string, state glassq.State, cursor uint64, max int) ([]glassq.Peeked,
	uint64, error) {
	var a struct {
		Tasks []json.RawMessage `json:"tasks"`
		Next  uint64            `json:"next"`
	}
	q := url.Values{"state": {state.String()}, "cursor": {strconv.FormatUint(cursor, 10)},
		"max": {strconv.Itoa(min(max, 1000))}}
	if err := c.call(ctx, "GET", route("queues", queue, "/peek").with(q), nil, &a); err != nil {
		return nil, 0, err
	}
	tasks := make([]glassq.Peeked, len(a.Tasks))
	for i, text := range a.Tasks {
		if err := envelope.ParsePeeked(text, &tasks[i]); err != nil {
			return nil, 0, badAnswer(err)
		}
	}
	return tasks, a.Next, nil
}

// Purge ends tasks of the given states, delayed and ready when none is given.
func (c *Client) Purge(ctx context.Context, queue string, states ...glassq.State) (int, error) {
	q := url.Values{}
	for _, s := range states {
		q.Add("state", s.String())
	}
	var a struct {
		Purged int `json:"purged"`
	}
	err := c.call(ctx, "POST", route("queues", queue, "/purge").with(q), nil, &a)
	return a.Purged, err
}

// Redrive makes up to max dead tasks ready again; 0 means all.
func (c *Client) Redrive(ctx context.Context, queue string, max int) (int, error) {
	q := url.Values{}
	if max > 0 {
		q.Set("max", strconv.Itoa(max))
	}
	var a struct {
		Redriven int `json:"redriven"`
	}
	err := c.call(ctx, "POST", route("queues", queue, "/redrive").with(q), nil, &a)
	return a.Redriven, err
}

// Keys lists keys of a queue after the key after. The server shows at most 1,000 at a time.
func (c *Client) Keys(ctx context.Context, queue, after string, max int) ([]glassq.KeyInfo, error) {
	q := url.Values{"max": {strconv.Itoa(min(max, 1000))}}
	if after != "" {
		q.Set("cursor", after)
	}
	var a struct {
		Keys []glassq.KeyInfo `json:"keys"`
	}
	err := c.call(ctx, "GET", route("queues", queue, "/keys").with(q), nil, &a)
	return a.Keys, err
}

// ReleaseKey ends the hold and the halt of a key.
func (c *Client) ReleaseKey(ctx context.Context, queue, key string) error {
	return c.call(ctx, "POST", route("queues", queue, "/release").with(url.Values{"key": {key}}), nil, nil)
}

// RedriveSome makes those dead tasks ready again that f means. Many named tasks are several
// requests.
func (c *Client) RedriveSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	return c.someDead(ctx, queue, "/redrive", url.Values{}, f)
}

// PurgeSome ends those dead tasks for good that f means. Many named tasks are several requests.
func (c *Client) PurgeSome(ctx context.Context, queue string, f glassq.DeadFilter) (int, error) {
	return c.someDead(ctx, queue, "/purge", url.Values{"state": {glassq.Dead.String()}}, f)
}

// namedAtOnce is how many tasks one request names: they are part of its URL.
const namedAtOnce = 50

func (c *Client) someDead(ctx context.Context, queue, verb string, q url.Values, f glassq.DeadFilter) (done int,
	err error) {
	for name, v := range map[string]string{"why": f.Why, "reason": f.Reason, "run": f.Run} {
		if v != "" {
			q.Set(name, v)
		}
	}
	for tasks := f.Tasks; ; {
		n := min(len(tasks), namedAtOnce)
		q["task"], tasks = tasks[:n], tasks[n:]
		if f.Max != 0 {
			q.Set("max", strconv.Itoa(f.Max-done))
		}
		var a struct{ Redriven, Purged int }
		if err := c.call(ctx, "POST", route("queues", queue, verb).with(q), nil, &a); err != nil {
			return done, err
		}
		if done += a.Redriven + a.Purged; len(tasks) == 0 || f.Max > 0 && done >= f.Max {
			return done, nil
		}
	}
}

// Drop purges a queue and forgets it.
func (c *Client) Drop(ctx context.Context, queue string) error {
	return c.call(ctx, "DELETE", route("queues", queue, ""), nil, nil)
}

// Runs lists all runs, newest first.
func (c *Client) Runs(ctx context.Context) ([]glassq.Run, error) {
	var a struct {
		Runs []glassq.Run `json:"runs"`
	}
	err := c.call(ctx, "GET", place{path: "/v1/runs"}, nil, &a)
	return a.Runs, err
}

// Run shows one run.
func (c *Client) Run(ctx context.Context, name string) (run glassq.Run, err error) {
	err = c.call(ctx, "GET", route("runs", name, ""), nil, &run)
	return run, err
}

// SetRun makes a run or changes it.
func (c *Client) SetRun(ctx context.Context, name string, change glassq.RunChange) (run glassq.Run, err error) {
	err = c.call(ctx, "POST", route("runs", name, ""), change, &run)
	return run, err
}

// RunIDs returns intervals of positions of a run. max is split into pages of 100,000.
func (c *Client) RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32, max int) ([]glassq.Interval,
	error) {
	var list []glassq.Interval
	for len(list) < max {
		var a struct {
			Intervals [][2]uint32 `json:"intervals"`
			Next      *uint32     `json:"next"`
		}
		q := url.Values{
			"state": {string(set)},
			"from":  {strconv.FormatUint(uint64(from), 10)},
			"max":   {strconv.Itoa(min(max-len(list), 100_000))},
		}
		if err := c.call(ctx, "GET", route("runs", name, "/ids").with(q), nil, &a); err != nil {
			return nil, err
		}
		for _, v := range a.Intervals {
			list = append(list, glassq.Interval{First: v[0], Last: v[1]})
		}
		if a.Next == nil {
			break
		}
		from = *a.Next
	}
	return list, nil
}

// AwaitRun waits until the run has reached phase, or until wait has passed; negative is for ever. A
// wait longer than 60 s is several requests.
func (c *Client) AwaitRun(ctx context.Context, name string, phase glassq.Phase, wait time.Duration) (glassq.Run,
	error) {
	var run glassq.Run
	var missing error
	err := polls(wait, func(wait time.Duration) (bool, error) {
		q := url.Values{"until": {string(phase)}, "wait": {wait.String()}}
		run, missing = glassq.Run{}, nil
		err := c.read(ctx, request{method: "GET", place: route("runs", name, "").with(q), wait: wait}, &run)
		if errors.Is(err, glassq.ErrNotFound) {
			missing = err
			return false, nil
		}
		return err == nil && reached(run, phase), err
	})
	if err == nil {
		err = missing
	}
	return run, err
}

func reached(run glassq.Run, phase glassq.Phase) bool {
	switch phase {
	case glassq.PhaseExists:
		return true
	case glassq.PhaseComplete:
		return run.Complete
	}
	return run.Complete && run.Waiting == 0
}

// CancelRun ends the delayed and ready tasks of a run and seals it.
func (c *Client) CancelRun(ctx context.Context, name string) (int, error) {
	var a struct {
		Cancelled int `json:"cancelled"`
	}
	err := c.call(ctx, "POST", route("runs", name, "/cancel"), nil, &a)
	return a.Cancelled, err
}

// DropRun forgets a run that is over, and its books.
func (c *Client) DropRun(ctx context.Context, name string) error {
	return c.call(ctx, "DELETE", route("runs", name, ""), nil, nil)
}
