package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/result"
)

// An answering queue gives the answers that it is told.
type answering struct {
	errs []error
	err  error
}

func (q *answering) Reserve(context.Context, glassq.Reserve) ([]glassq.Lease, error) {
	return nil, q.err
}
func (q *answering) Ack(context.Context, []glassq.Ack) ([]error, error)       { return q.errs, q.err }
func (q *answering) Nack(context.Context, []glassq.Nack) ([]error, error)     { return q.errs, q.err }
func (q *answering) Extend(context.Context, []glassq.Extend) ([]error, error) { return q.errs, q.err }

// TestWorkReport: a line every ten seconds in which something happened, and failures as they come,
// up to five.
func TestWorkReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, ctx := &answering{}, t.Context()
		var said []string
		w := newWorkReport(q, func(s string) { said = append(said, s) })
		over, ended := make(chan struct{}), make(chan struct{})
		go func() { defer close(ended); w.run(over) }()
		expect := func(what string, want ...string) {
			t.Helper()
			time.Sleep(workEvery)
			synctest.Wait()
			if !slices.Equal(said, want) {
				t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(said, "\n"), strings.Join(want, "\n"))
			}
			said = nil
		}
		ack := func(number uint64, r result.Record, err error) {
			q.errs = []error{err}
			w.Ack(ctx, []glassq.Ack{{Token: glassq.Token{Queue: "q", Number: number}, Result: &glassq.Task{
				Type: glassq.TypeJSON, Body: result.Append(nil, []byte("x"), glassq.TypeText, &r)}}})
		}
		expect("nothing yet", "0 done, waiting for tasks")
		expect("still nothing")
		for range 20 {
			ack(1, result.Record{OK: true}, nil)
		}
		ack(2, result.Record{Class: result.ClassStatus, Code: 503}, nil)
		expect("a failure", `failed: status 503; task "x"`, "21 done, 2/s, failed 1 (status 1)")
		var many []string
		for n := range 7 {
			ack(uint64(n), result.Record{Class: result.ClassTimeout, Message: "slow"}, nil)
			if n < mostFailures {
				many = append(many, `failed: timeout: slow; task "x"`)
			}
		}
		expect("many failures", append(many,
			"28 done, 1/s, failed 8 (status 1, timeout 7); 2 more failures since the last line are not told one by one")...)
		ack(9, result.Record{}, glassq.ErrLeaseLost)
		q.errs = []error{nil}
		w.Nack(ctx, []glassq.Nack{{Token: glassq.Token{Number: 5}, Reason: "busy"}})
		expect("lost and back", "given back: busy",
			"28 done, 0/s, failed 8 (status 1, timeout 7), 1 given back, 1 lease lost")
		w.away(errors.New("refused"))
		since := time.Now().Format(time.TimeOnly)
		expect("away", "28 done, 0/s, failed 8 (status 1, timeout 7), 1 given back, 1 lease lost, server away since "+since)
		w.Reserve(ctx, glassq.Reserve{})
		expect("there again", "28 done, waiting for tasks")
		close(over)
		<-ended
	})
}
