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
	return nil
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
