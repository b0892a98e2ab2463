package disk_test

import (
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/disk"
)

// TestTraceAfterRestart: the trace of a task goes on to its result when the server was restarted
// meanwhile, from a checkpoint, which does not say which tasks have headers.
func TestTraceAfterRestart(t *testing.T) {
	dir := t.TempDir()
	open := func() *disk.Engine {
		t.Helper()
		e, err := disk.Open(dir, disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := open()
	if _, err := e.Put(t.Context(), []glassq.Task{
		{Queue: "q", Run: "r", Dense: true, Body: []byte("x"), Headers: map[string]string{glassq.TraceHeader: "00-1"}},
		{Queue: "q", Run: "r", Dense: true, Position: 1, Body: []byte("y")}}); err != nil {
		t.Fatal(err)
	}
	leases, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: 2, Lease: time.Hour})
	if err != nil || len(leases) != 2 {
		t.Fatal(len(leases), err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = open()
	defer e.Close()
	for _, l := range leases {
		errs, err := e.Ack(t.Context(), []glassq.Ack{{Token: l.Token(), Result: &glassq.Task{Body: []byte("{}")}}})
		if err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
	}
	results, err := e.Reserve(t.Context(), glassq.Reserve{Queue: "results", Max: 2})
	if err != nil || len(results) != 2 {
		t.Fatal(len(results), err)
	}
	for i, want := range []string{"00-1", ""} {
		if got := results[i].Headers[glassq.TraceHeader]; got != want {
			t.Errorf("trace of result %d = %q, want %q", i, got, want)
		}
	}
}
