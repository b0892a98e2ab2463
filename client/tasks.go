package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/envelope"
)

// Put stores tasks in order. Up to 10,000 tasks and 32 MiB of one queue are one request and stored
// all or none; more, or tasks of several queues, are sent in parts, each all or none. When a part
// is refused the error says how many tasks were stored before it.
//
// With Options.Retry a part whose outcome is unknown is sent again. So that nothing is stored
// twice, a task without an id gets one then, and a repeat is receipted as a duplicate at worst, as long
// as ids are remembered: for glassq.DedupWindow.
func (c *Client) Put(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	return c.PutWait(ctx, tasks, 0)
}

// PutWait is Put, but each part waits up to wait, at most 10 minutes, for room in a full queue or for
// the rate of the client's token, and is refused with queue_full or quota after that. Puts that wait
// for room are served in order of arrival.
func (c *Client) PutWait(ctx context.Context, tasks []glassq.Task, wait time.Duration) ([]glassq.Receipt, error) {
	return c.put(ctx, tasks, wait, "")
}

// Import is Put of tasks that were exported, as queue export of the program writes them. The audit
// of the server notes it, with how many were stored.
func (c *Client) Import(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	return c.put(ctx, tasks, 0, "&import=true")
}

// put is PutWait, with more words in the address.
func (c *Client) put(ctx context.Context, tasks []glassq.Task, wait time.Duration, words string) ([]glassq.Receipt,
	error) {
	receipts := make([]glassq.Receipt, len(tasks))
	var queues []string
	byQueue := make(map[string][]int)
	for i := range tasks {
		q := tasks[i].Queue
		if byQueue[q] == nil {
			queues = append(queues, q)
		}
		byQueue[q] = append(byQueue[q], i)
	}
	if wait = min(wait, maxWait); wait > 0 {
		words += "&wait=" + wait.String()
	}
	stored := 0
	for _, q := range queues {
		n, err := c.putQueue(ctx, q, tasks, byQueue[q], receipts, wait, words)
		if stored += n; err != nil {
			return nil, afterSome(err, stored, len(tasks))
		}
	}
	return receipts, nil
}

// maxWait is what the server waits at most.
const maxWait = 10 * time.Minute

// afterSome adds to an error that a part of the tasks was stored.
func afterSome(err error, stored, of int) error {
	if stored == 0 {
		return err
	}
	err = fmt.Errorf("%d of %d tasks were stored, then: %w", stored, of, err)
	return &glassq.Error{Code: glassq.CodeOf(err), Message: err.Error(), Err: err}
}

// putQueue puts those tasks whose indexes are in at, and returns how many were stored.
func (c *Client) putQueue(ctx context.Context, queue string, tasks []glassq.Task, at []int, receipts []glassq.Receipt,
	wait time.Duration, words string) (stored int, err error) {
	answer := "/tasks?answer=count"
	if slices.ContainsFunc(at, func(k int) bool { return tasks[k].Range != nil }) {
		answer = "/tasks?answer=ranges" // a server that knows none refuses it, and puts nothing
	}
	req := request{method: "POST", place: route("queues", queue, answer+words), ndjson: true, wait: wait}
	ids := "" // what this call's own ids begin with
	err = c.inParts(ctx, req, len(at), func(dst []byte, i int) []byte {
		t := tasks[at[i]]
		t.Queue = "" // the path says it
		if c.opt.Retry != 0 && t.ID == "" && !t.Dense {
			if ids == "" {
				ids = rand.Text()
			}
			t.ID = ids + "-" + strconv.Itoa(at[i])
		}
		return envelope.AppendTask(dst, &t)
	}, func(from, to int, answer []byte, err error) error {
		if err == nil {
			err = readCount(answer, at[from:to], receipts)
		}
		if err == nil {
			stored += to - from
		}
		return err
	})
	return stored, err
}

// inParts sends req with a line for each of n items, which print appends, in as few parts as may be,
// and has take look at the answer to each part. Its error ends it.
func (c *Client) inParts(ctx context.Context, req request, n int, print func(dst []byte, i int) []byte,
	take func(from, to int, answer []byte, err error) error) error {
	var line []byte
	from := 0
	flush := func(to int) error {
		if to == from {
			return nil
		}
		answer, err := c.do(ctx, req)
		if err := take(from, to, answer, err); err != nil {
			return err
		}
		from, req.body = to, req.body[:0]
		return nil
	}
	for i := range n {
		line = append(print(line[:0], i), '\n')
		if i-from == glassq.MaxBatch || len(req.body)+len(line) > partBytes {
			if err := flush(i); err != nil {
				return err
			}
		}
		if cap(req.body) == 0 {
			req.body = make([]byte, 0, min((len(line)+16)*min(n, glassq.MaxBatch), partBytes))
		}
		req.body = append(req.body, line...)
	}
	return flush(n)
}

// readCount turns the answer to a put with answer=count into receipts.
func readCount(answer []byte, at []int, receipts []glassq.Receipt) error {
	var a struct {
		Put          int      `json:"put"`
		Duplicates   int      `json:"duplicates"`
		First        uint64   `json:"first"`
		DuplicatesAt []int    `json:"duplicates_at"`
		Numbers      []uint64 `json:"numbers"`
		Ranges       []struct {
			At  int    `json:"at"`
			Put uint64 `json:"put"`
		} `json:"ranges"`
		Warnings []struct {
			At      int    `json:"at"`
			Warning string `json:"warning"`
		} `json:"warnings"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return badAnswer(err)
	}
	if a.Put+a.Duplicates != len(at) || len(a.DuplicatesAt) != a.Duplicates || a.Numbers != nil &&
		len(a.Numbers) != len(at) {
		return badAnswer(fmt.Errorf("it counts %d put and %d duplicates for %d tasks", a.Put, a.Duplicates, len(at)))
	}
	for _, i := range a.DuplicatesAt {
		if i < 0 || i >= len(at) {
			return badAnswer(fmt.Errorf("a duplicate at %d of %d tasks", i, len(at)))
		}
		receipts[at[i]].Duplicate = true
	}
	for _, r := range a.Ranges {
		if r.At < 0 || r.At >= len(at) {
			return badAnswer(fmt.Errorf("a range at %d of %d tasks", r.At, len(at)))
		}
		receipts[at[r.At]].Put = r.Put
	}
	for _, w := range a.Warnings {
		if w.At >= 0 && w.At < len(at) {
			receipts[at[w.At]].Warning = w.Warning
		}
	}
	next := a.First
	for i, k := range at {
		switch {
		case receipts[k].Duplicate:
		case a.Numbers != nil:
			receipts[k].Number = a.Numbers[i]
		default:
			receipts[k].Number = next
			next++
		}
	}
	return nil
}

// Reserve leases up to r.Max ready tasks. A wait longer than 60 s is several requests, each parked
// in the server. Bodies may share one buffer, the answer's.
func (c *Client) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	if r.Look {
		return nil, glassq.Errorf(glassq.CodeUnsupported, "a look that waits does not go over HTTP; use Peek")
	}
	q := url.Values{"max": {strconv.Itoa(cmp.Or(r.Max, 1))}}
	if r.Lease != 0 {
		q.Set("lease", r.Lease.String())
	}
	if r.Take {
		q.Set("take", "true")
	}
	to := route("queues", r.Queue, "/reserve")
	var leases []glassq.Lease
	err := polls(r.Wait, func(wait time.Duration) (bool, error) {
		q.Set("wait", wait.String())
		answer, err := c.do(ctx, request{method: "POST", place: to.with(q), wait: wait, undone: !r.Take})
		if err != nil || len(answer) == 0 {
			return false, err
		}
		leases, err = readLeases(answer)
		return true, err
	})
	return leases, err
}

// polls splits a wait into polls of at most maxPoll until one says done. A negative wait is for
// ever.
func polls(wait time.Duration, poll func(time.Duration) (done bool, err error)) error {
	end := time.Now().Add(wait)
	for {
		left := maxPoll
		if wait >= 0 {
			left = min(max(time.Until(end), 0), maxPoll)
		}
		done, err := poll(left)
		if done || err != nil {
			return err
		}
		if wait >= 0 && !time.Now().Before(end) {
			return nil
		}
	}
}

func readLeases(answer []byte) ([]glassq.Lease, error) {
	leases := make([]glassq.Lease, 0, bytes.Count(answer, []byte{'\n'}))
	for len(answer) > 0 {
		line, rest, _ := bytes.Cut(answer, []byte{'\n'})
		var l glassq.Lease
		if n := len(leases); n > 0 { // strings that repeat are shared
			l.Queue, l.Run, l.Type, l.ResultQueue = leases[n-1].Queue, leases[n-1].Run, leases[n-1].Type, leases[n-1].ResultQueue
		}
		if err := envelope.ParseLease(line, &l); err != nil {
			return nil, badAnswer(err)
		}
		leases = append(leases, l)
		answer = rest
	}
	return leases, nil
}

// Ack ends leases. More than 10,000 acks or 32 MiB are several requests; when one fails, nothing is
// known of its acks and those after it. Repeating an ack is safe.
func (c *Client) Ack(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	return settle(ctx, c, "/v1/ack?answer=errors", acks, envelope.AppendAck)
}

// Nack gives leases back. Where it was repeated, as after a broken connection, and the lease is over,
// maybe by the attempt before, the error has code outcome_unknown and wraps lease_lost.
func (c *Client) Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error) {
	return settle(ctx, c, "/v1/nack?answer=errors", nacks, envelope.AppendNack)
}

// Extend moves deadlines, and reports progress; see glassq.Extend. Repeating an extend is safe.
func (c *Client) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	return settle(ctx, c, "/v1/extend?answer=errors", extends, envelope.AppendExtend)
}

func settle[T any](ctx context.Context, c *Client, path string, items []T, print func([]byte, *T) []byte) ([]error,
	error) {
	errs := make([]error, len(items))
	var twice bool
	_, nacks := any(items).([]glassq.Nack) // an ack or an extend that was done is done again
	req := request{method: "POST", place: place{path: path}, ndjson: true, twice: &twice}
	err := c.inParts(ctx, req, len(items), func(dst []byte, i int) []byte {
		return print(dst, &items[i])
	}, func(from, to int, answer []byte, err error) error {
		if err == nil {
			err = readErrors(answer, errs[from:to])
			for i := from; i < to && nacks && twice; i++ {
				if errors.Is(errs[i], glassq.ErrLeaseLost) {
					errs[i] = unknown(errs[i])
				}
			}
			return err
		}
		if to-from == 1 && glassq.CodeOf(err) == glassq.CodeTooLarge {
			errs[from], err = err, nil // it is refused for itself
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return errs, nil
}

// readErrors reads an answer that tells of refused lines only.
func readErrors(answer []byte, errs []error) error {
	for len(answer) > 0 {
		text, rest, _ := bytes.Cut(answer, []byte{'\n'})
		answer = rest
		var a struct {
			Line  int     `json:"line"`
			Error failure `json:"error"`
		}
		if err := json.Unmarshal(text, &a); err != nil {
			return badAnswer(err)
		}
		if a.Line < 1 || a.Line > len(errs) || a.Error.Code == "" {
			return badAnswer(fmt.Errorf("an error for line %d of %d", a.Line, len(errs)))
		}
		errs[a.Line-1] = a.Error.err()
	}
	return nil
}
