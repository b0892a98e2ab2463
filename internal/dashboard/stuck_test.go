package dashboard_test

import (
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/live"
)

func pointer[T any](v T) *T { return &v }

// TestWhatIsStuck stages faults: the overview names the cause, and the button that cures it is on
// the page of the queue, one click away.
func TestWhatIsStuck(t *testing.T) {
	s := newSite(t, nil)
	ctx := live.WithCaller(t.Context(), live.Caller{Door: "http", Worker: "host-7"})
	put := func(queue string, n int, task glassq.Task) {
		t.Helper()
		tasks := make([]glassq.Task, n)
		for i := range tasks {
			tasks[i] = task
			tasks[i].Queue = queue
		}
		if _, err := s.broker.Put(ctx, tasks); err != nil {
			t.Fatal(err)
		}
	}
	reserve := func(queue string) []glassq.Lease {
		t.Helper()
		leases, err := s.broker.Reserve(ctx, glassq.Reserve{Queue: queue})
		if err != nil || len(leases) != 1 {
			t.Fatal(leases, err)
		}
		return leases
	}
	configure := func(queue string, c glassq.SettingsChange) {
		t.Helper()
		if _, err := s.broker.Configure(ctx, queue, c); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		queue  string
		stage  func(queue string)
		cause  string
		button string // the action of the form that cures it; "" where the cure is a worker
	}{
		{"paused", func(q string) { put(q, 1, glassq.Task{}); configure(q, glassq.SettingsChange{Paused: pointer(true)}) }, "it is paused", "/resume"},
		{"unworked", func(q string) { put(q, 2, glassq.Task{}) }, "nobody asks", ""},
		{"dead", func(q string) {
			put(q, 1, glassq.Task{})
			if _, err := s.broker.Nack(ctx, []glassq.Nack{{Token: reserve(q)[0].Token(), Dead: true}}); err != nil {
				t.Fatal(err)
			}
		}, "1 dead", "/redrive"},
		{"full", func(q string) {
			put(q, 1, glassq.Task{})
			configure(q, glassq.SettingsChange{MaxTasks: pointer(int64(1))})
		}, "it is full", "/settings"},
		{"held", func(q string) { put(q, 2, glassq.Task{}); reserve(q) }, "host-7", ""},
	}
	for _, tt := range tests {
		tt.stage(tt.queue)
	}
	overview, _ := s.get("/")
	for _, tt := range tests {
		t.Run(tt.queue, func(t *testing.T) {
			_, row, ok := strings.Cut(overview, `<a href="/queues/`+tt.queue+`">`)
			row, _, _ = strings.Cut(row, "</tr>")
			if !ok || !strings.Contains(row, tt.cause) {
				t.Errorf("the overview says %q, want %q", row, tt.cause)
			}
			if page, _ := s.get("/queues/" + tt.queue); !strings.Contains(page, `action="/queues/`+tt.queue+tt.button) {
				t.Errorf("the page has no form for %s", tt.button)
			}
		})
	}
}
