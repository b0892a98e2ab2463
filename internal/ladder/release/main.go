// Command release writes a small store of the format that this tree has, to be kept with a release:
// the test beside it opens those of all releases.
//
//	go run ./internal/ladder/release internal/ladder/release/testdata/0.1.0
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: release FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// What a store of a release holds. It is read years later: nothing of it ends by itself.
const (
	queue   = "mails"
	run     = "spring"
	tasks   = 40 // of the run: the first acked are ok, the next failed failed, the next dead died
	acked   = 10
	failed  = 5
	dead    = 3
	delayed = 2 // without a run
	late    = 5 * 365 * 24 * time.Hour
)

var settings = glassq.Settings{MaxBytes: 1 << 30, Attempts: 7, MaxTasks: 1000}

func body(n int) string { return fmt.Sprintf("to person %d", n) }

// write makes the store in dir, which must not exist.
func write(dir string) (err error) {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%s exists; the store of a release is never written again", dir)
	}
	e, err := disk.Open(dir, disk.Options{SegmentSize: 16 << 10})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	ctx := context.Background()
	if _, err := e.Configure(ctx, queue, glassq.SettingsChange{
		MaxBytes: &settings.MaxBytes, Attempts: &settings.Attempts, MaxTasks: &settings.MaxTasks}); err != nil {
		return err
	}
	if _, err := e.SetRun(ctx, run, glassq.RunChange{Source: "list:1", Queue: queue, Results: "answers"}); err != nil {
		return err
	}
	var list []glassq.Task
	for n := range tasks {
		list = append(list, glassq.Task{Queue: queue, Run: run, Position: uint32(n), Dense: true, Body: []byte(body(n)),
			Type: glassq.TypeText, Headers: map[string]string{"n": fmt.Sprint(n)}})
	}
	for n := range delayed {
		list = append(list, glassq.Task{Queue: queue, ID: fmt.Sprint("later-", n), Body: []byte(body(tasks + n)), Delay: late,
			Priority: glassq.Level(9)})
	}
	if _, err := e.Put(ctx, list); err != nil {
		return err
	}
	leases, err := e.Reserve(ctx, glassq.Reserve{Queue: queue, Max: acked + failed + dead})
	if err == nil && len(leases) != acked+failed+dead {
		err = fmt.Errorf("%d leases", len(leases))
	}
	if err != nil {
		return err
	}
	for i := range leases {
		if err := end(ctx, e, &leases[i], i); err != nil {
			return err
		}
	}
	return writeFlow(ctx, e)
}

// What the store holds of flow, of which none ends by itself either.
const (
	keyed = "calls"  // a queue whose keys have limits: one has been worked on, said so, and failed
	next  = "summer" // a run of a range after the other one, with a hook, and its queue
	clock = "yearly" // a schedule, which is paused
	halt  = "failed>50% of 10"
)

var (
	rules = glassq.KeyRules{KeyLimits: glassq.KeyLimits{Concurrency: new(2)},
		Overrides: map[string]glassq.KeyLimits{"vip*": {Concurrency: new(5)}}}
	said     = glassq.Progress{Done: 0.5, Note: "half", Checkpoint: []byte("page 7")}
	follows  = glassq.RunChange{Queue: next, After: run, OnEnd: `{"queue":"ends"}`}
	ofYear   = glassq.ScheduleChange{Cron: "0 0 1 1 *", Zone: "Europe/Berlin", Task: `{"queue":"mails","body":1}`, Paused: new(true)}
	position = glassq.Task{Queue: next, Run: next, Dense: true, Body: []byte("to person {0:04}"), Range: &glassq.Range{Count: 1000}}
)

func writeFlow(ctx context.Context, e *disk.Engine) error {
	if _, err := e.Configure(ctx, keyed, glassq.SettingsChange{Keys: &rules, Halt: new(halt)}); err != nil {
		return err
	}
	if _, err := e.SetRun(ctx, next, follows); err != nil {
		return err
	}
	if _, err := e.SetSchedule(ctx, clock, ofYear); err != nil {
		return err
	}
	list := []glassq.Task{position}
	for _, key := range []string{"a", "vip1", "b"} {
		list = append(list, glassq.Task{Queue: keyed, Key: key, Body: []byte("call " + key)})
	}
	if _, err := e.Put(ctx, list); err != nil {
		return err
	}
	leases, err := e.Reserve(ctx, glassq.Reserve{Queue: keyed, Max: 1})
	if err != nil {
		return err
	}
	token := leases[0].Token()
	errs, err := e.Extend(ctx, []glassq.Extend{{Token: token, Seq: 1, Progress: &said}})
	if err = errors.Join(append(errs, err)...); err != nil {
		return err
	}
	errs, err = e.Nack(ctx, []glassq.Nack{{Token: token, Delay: late}})
	return errors.Join(append(errs, err)...)
}

// end ends lease number i of the store.
func end(ctx context.Context, e *disk.Engine, l *glassq.Lease, i int) error {
	var errs []error
	var err error
	switch {
	case i < acked+failed:
		outcome, said := glassq.OK, 1
		if i >= acked {
			outcome, said = glassq.Failed, 0
		}
		errs, err = e.Ack(ctx, []glassq.Ack{{Token: l.Token(), Outcome: outcome, Result: &glassq.Task{
			Type: glassq.TypeJSON, Body: fmt.Appendf(nil, `{"o":{"ok":%d}}`, said)}}})
	default:
		errs, err = e.Nack(ctx, []glassq.Nack{{Token: l.Token(), Dead: true, Reason: "no such person"}})
	}
	return errors.Join(append(errs, err)...)
}
