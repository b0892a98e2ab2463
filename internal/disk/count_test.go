package disk

import (
	"testing"

	"github.com/glassq/glassq"
)

// TestCounts: what would make one queue or run too many is refused with quota and does nothing,
// whatever the verb; what is there goes on, and what is deleted makes room.
func TestCounts(t *testing.T) {
	e, err := Open("mem:", Options{MaxQueues: 3, MaxRuns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx := t.Context()
	put := func(tasks ...glassq.Task) error {
		_, err := e.Put(ctx, tasks)
		return err
	}
	paused := true
	lease := func() *glassq.Lease {
		t.Helper()
		got, err := e.Reserve(ctx, glassq.Reserve{Queue: "a", Max: 1})
		if err != nil || len(got) != 1 {
			t.Fatalf("reserve = %v, %v", got, err)
		}
		return &got[0]
	}
	ack := func(a glassq.Ack) error {
		a.Token = lease().Token()
		errs, err := e.Ack(ctx, []glassq.Ack{a})
		if err != nil {
			return err
		}
		if errs[0] != nil {
			if errs, err := e.Nack(ctx, []glassq.Nack{{Token: a.Token, Undone: true}}); err != nil || errs[0] != nil {
				t.Fatalf("the lease of a refused ack has gone: %v, %v", errs, err)
			}
		}
		return errs[0]
	}
	for _, tt := range []struct {
		name string
		do   func() error
		want glassq.Code // "" for done
	}{
		{"two queues and a run", func() error { return put(glassq.Task{Queue: "a", Run: "r"}, glassq.Task{Queue: "b"}) }, ""},
		{"two more at once", func() error { return put(glassq.Task{Queue: "c"}, glassq.Task{Queue: "d"}, glassq.Task{Queue: "c"}) },
			glassq.CodeQuota},
		{"one of them", func() error { return put(glassq.Task{Queue: "c"}, glassq.Task{Queue: "c"}) }, ""},
		{"a queue that is there", func() error { return put(glassq.Task{Queue: "a"}) }, ""},
		{"another one", func() error { return put(glassq.Task{Queue: "d"}) }, glassq.CodeQuota},
		{"to wait for one", func() error { _, err := e.PutWait(ctx, []glassq.Task{{Queue: "d"}}, -1); return err }, glassq.CodeQuota},
		{"to reserve from one", func() error { _, err := e.Reserve(ctx, glassq.Reserve{Queue: "d", Max: 1}); return err },
			glassq.CodeQuota},
		{"settings of one", func() error {
			_, err := e.Configure(ctx, "d", glassq.SettingsChange{Paused: &paused})
			return err
		}, glassq.CodeQuota},
		{"a result there", func() error { return ack(glassq.Ack{Result: &glassq.Task{Queue: "d"}}) }, glassq.CodeQuota},
		{"a result in results", func() error { return ack(glassq.Ack{Result: &glassq.Task{}}) }, glassq.CodeQuota},
		{"a follow-up there", func() error { return ack(glassq.Ack{Put: []glassq.Task{{Queue: "d"}}}) }, glassq.CodeQuota},
		{"a follow-up of its run", func() error { return ack(glassq.Ack{Put: []glassq.Task{{Queue: "b"}}}) }, ""},
		{"a second run", func() error { _, err := e.SetRun(ctx, "s", glassq.RunChange{}); return err }, ""},
		{"a third one", func() error { _, err := e.SetRun(ctx, "t", glassq.RunChange{}); return err }, glassq.CodeQuota},
		{"a put of it", func() error { return put(glassq.Task{Queue: "a", Run: "t"}) }, glassq.CodeQuota},
		{"a follow-up of it", func() error { return ack(glassq.Ack{Put: []glassq.Task{{Queue: "b", Run: "t"}}}) }, glassq.CodeQuota},
		{"one less", func() error { return e.Drop(ctx, "c") }, ""},
		{"one more", func() error { return put(glassq.Task{Queue: "d"}) }, ""},
	} {
		err := tt.do()
		if err == nil && tt.want != "" || err != nil && glassq.CodeOf(err) != tt.want {
			t.Errorf("%s: %v; want code %q", tt.name, err, tt.want)
		}
	}
	list, err := e.Queues(ctx)
	if err != nil || len(list) != 3 {
		t.Errorf("%d queues in the end, %v", len(list), err)
	}
}
