package manager

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door/manager/pickle"
)

// TestSharedPartsAtDoor: puts whose shared parts would be 10 GB written out are refused before
// anything is written, and the connection and the queue serve on.
func TestSharedPartsAtDoor(t *testing.T) {
	shared := func(n, times int) *pickle.Value {
		text := &pickle.Value{Kind: pickle.Text, Raw: bytes.Repeat([]byte("c"), n)}
		return &pickle.Value{Kind: pickle.List, Items: slices.Repeat([]*pickle.Value{text}, times)}
	}
	control := &pickle.Value{Kind: pickle.List, Items: []*pickle.Value{value(strings.Repeat("\x01", 300<<10))}}
	foreign := func(v *pickle.Value) *pickle.Value {
		class := &pickle.Value{Kind: pickle.Global, Raw: []byte("jobs\nJob")}
		return &pickle.Value{Kind: pickle.Reduce, Items: []*pickle.Value{class,
			{Kind: pickle.Tuple, Items: []*pickle.Value{v}}}}
	}
	tests := []struct {
		name   string
		item   *pickle.Value
		opaque bool
		want   string // exception, "" for stored
	}{
		{"64 KiB 150,000 times", shared(64<<10, 150_000), false, "ValueError"},
		{"64 KiB 17 times", shared(64<<10, 17), false, "ValueError"},
		{"64 KiB 15 times", shared(64<<10, 15), false, ""},
		{"300 KiB of control characters", control, false, "ValueError"},
		{"64 KiB 50,000 times in an object", foreign(shared(64<<10, 50_000)), true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limited(t, Options{}, 1<<20, func(h *house) {
				h.configure("tasks", glassq.SettingsChange{Opaque: &tt.opaque})
				p, id := h.serving("get_task_queue")
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				kind, v := p.ask(id, "put", tt.item)
				runtime.ReadMemStats(&after)
				if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 64 {
					t.Errorf("%d MiB allocated", used)
				}
				if tt.want != "" {
					if kind != "#ERROR" || text(v) != tt.want {
						t.Errorf("reply %s %.200s; want %s", kind, text(v), tt.want)
					}
					p.want("#RETURN", "true", id, "empty")
					return
				}
				if kind != "#RETURN" {
					t.Fatalf("reply %s %.200s; want it stored", kind, text(v))
				}
				if kind, v = p.ask(id, "get"); kind != "#RETURN" {
					t.Errorf("get: %s %.200s", kind, text(v))
				}
			})
		})
	}
}
