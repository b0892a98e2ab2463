package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/result"
	"github.com/glassq/glassq/worker"
)

const (
	workEvery    = 10 * time.Second // between two lines of a worker
	mostFailures = 5                // failures that are told one by one between two lines
)

// A workReport tells a person at a terminal what a worker does: failures as they come, and a line
// every ten seconds in which something happened. It watches the worker's queue, and is safe for
// concurrent use.
type workReport struct {
	worker.Queue
	say func(string)

	mu     sync.Mutex // guards the fields below
	now    workCounts
	last   workCounts // those of the last line
	told   int        // failures since the last line
	idle   bool       // the last line said so
	absent time.Time  // since when the server does not answer; zero while it does
}

// workCounts are what a worker has done so far.
type workCounts struct {
	done, failed, back, lost uint64
	classes                  map[string]uint64 // of failed; shared by all
}

func newWorkReport(q worker.Queue, say func(string)) *workReport {
	return &workReport{Queue: q, say: say, now: workCounts{classes: map[string]uint64{}}}
}

// away notes that a call did not reach the server, and is tried again.
func (w *workReport) away(error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.absent.IsZero() {
		w.absent = time.Now()
	}
}

// answered notes the end of a call.
func (w *workReport) answered(err error) {
	if err == nil {
		w.absent = time.Time{}
	}
}

func (w *workReport) Reserve(ctx context.Context, r glassq.Reserve) ([]glassq.Lease, error) {
	leases, err := w.Queue.Reserve(ctx, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered(err)
	return leases, err
}

func (w *workReport) Ack(ctx context.Context, acks []glassq.Ack) ([]error, error) {
	errs, err := w.Queue.Ack(ctx, acks)
	w.settled(errs, err, func(i int) {
		if errs[i] != nil {
			w.tell(func() string { return fmt.Sprintf("a result was refused: %v", errs[i]) })
			return
		}
		w.now.done++
		w.judge(&acks[i])
	})
	return errs, err
}

// settled notes the answers about some leases: it counts those that were lost, and calls each, with
// mu held, for the others.
func (w *workReport) settled(errs []error, err error, each func(i int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered(err)
	for i := range errs {
		if errors.Is(errs[i], glassq.ErrLeaseLost) {
			w.now.lost++
		} else {
			each(i)
		}
	}
}

// judge counts a result that is a failure, and tells the first ones.
func (w *workReport) judge(a *glassq.Ack) {
	if a.Result == nil || result.OutcomeOf(a.Result.Body, a.Result.Type) != glassq.Failed {
		return
	}
	var r result.Record
	result.Parse(a.Result.Body, &r) // what it cannot read stays empty
	class := r.Class
	if class == "" {
		class = "no class"
	}
	w.now.failed++
	w.now.classes[class]++
	w.tell(func() string { return describeFailure(a.Result.Body, class, r.Code) })
}

// describeFailure is a failed result for a person: what its task was, and why.
func describeFailure(body []byte, class string, code int) string {
	var line struct {
		I json.RawMessage `json:"i"`
		O struct {
			Msg string `json:"msg"`
		} `json:"o"`
	}
	json.Unmarshal(body, &line) // what it cannot read stays empty
	text := "failed: " + class
	if code != 0 {
		text += fmt.Sprintf(" %d", code)
	}
	if line.O.Msg != "" {
		text += ": " + glance([]byte(line.O.Msg))
	}
	if len(line.I) > 0 {
		text += "; task " + glance(line.I)
	}
	return text
}

// tell says what the first of a period are.
func (w *workReport) tell(text func() string) {
	if w.told++; w.told <= mostFailures {
		w.say(text())
	}
}

func (w *workReport) Nack(ctx context.Context, nacks []glassq.Nack) ([]error, error) {
	errs, err := w.Queue.Nack(ctx, nacks)
	w.settled(errs, err, func(i int) {
		if errs[i] != nil {
			return
		}
		w.now.back++
		if nacks[i].Reason != "" && !nacks[i].Undone {
			w.tell(func() string { return "given back: " + glance([]byte(nacks[i].Reason)) })
		}
	})
	return errs, err
}

func (w *workReport) Extend(ctx context.Context, extends []glassq.Extend) ([]error, error) {
	errs, err := w.Queue.Extend(ctx, extends)
	w.settled(errs, err, func(int) {})
	return errs, err
}

// run says the lines until over is closed.
func (w *workReport) run(over <-chan struct{}) {
	tick := time.NewTicker(workEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if text := w.line(); text != "" {
				w.say(text)
			}
		case <-over:
			return
		}
	}
}

// line is what happened since the last one, "" for nothing that was not said.
func (w *workReport) line() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, was := &w.now, &w.last
	quiet := n.done == was.done && n.back == was.back && n.lost == was.lost && w.absent.IsZero()
	if quiet {
		if w.idle {
			return ""
		}
		w.idle = true
		return fmt.Sprintf("%s done, waiting for tasks", plain.Comma(n.done))
	}
	w.idle = false
	text := fmt.Sprintf("%s done, %s/s", plain.Comma(n.done), term.PerSecond(n.done-was.done, workEvery))
	if n.failed > 0 {
		var kinds []string
		for _, class := range sortedKeys(n.classes) {
			kinds = append(kinds, fmt.Sprintf("%s %s", class, plain.Comma(n.classes[class])))
		}
		text += fmt.Sprintf(", failed %s (%s)", plain.Comma(n.failed), strings.Join(kinds, ", "))
	}
	if n.back > 0 {
		text += fmt.Sprintf(", %s given back", plain.Comma(n.back))
	}
	if n.lost > 0 {
		text += fmt.Sprintf(", %s lost", plain.Plural(n.lost, "lease", "leases"))
	}
	if w.told > mostFailures {
		text += fmt.Sprintf("; %s more failures since the last line are not told one by one", plain.Comma(w.told-mostFailures))
	}
	if !w.absent.IsZero() {
		text += ", server away since " + w.absent.Format(time.TimeOnly)
	}
	w.told, w.last = 0, *n
	return text
}
