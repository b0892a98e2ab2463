package manager

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
)

// TestDelivery: what becomes of an item at the end of its client, by policy.
func TestDelivery(t *testing.T) {
	get := func(h *house, p *peer, id string) {
		h.putOne()
		p.want("#RETURN", `"one"`, id, "get")
	}
	ends := []struct {
		name string
		do   func(h *house, p *peer, id string)
	}{
		{"in work", func(h *house, p *peer, id string) { get(h, p, id); p.nc.Close() }},
		{"released", func(h *house, p *peer, id string) { get(h, p, id); h.short("decref", id); p.nc.Close() }},
		{"another call", func(h *house, p *peer, id string) {
			get(h, p, id)
			p.want("#RETURN", "true", id, "empty")
			p.nc.Close()
		}},
		{"task_done", func(h *house, p *peer, id string) {
			get(h, p, id)
			p.want("#RETURN", "null", id, "task_done")
			p.nc.Close()
		}},
		{"its result", func(h *house, p *peer, id string) {
			get(h, p, id)
			p.want("#RETURN", "null", h.proxy("get_result_queue"), "put", result("one"))
			p.nc.Close()
		}},
		{"reply not read", func(h *house, p *peer, id string) {
			h.putOne()
			p.call(id, "get")
			synctest.Wait()
			p.nc.Close()
		}},
		{"the server ends", func(h *house, p *peer, id string) { get(h, p, id); h.stop() }},
	}
	// The attempt of the next delivery; 0 for none.
	want := map[Delivery][]int{
		OnNextCall: {2, 0, 0, 0, 0, 1, 1},
		OnRead:     {0, 0, 0, 0, 0, 1, 1},
		Strict:     {2, 2, 0, 0, 0, 1, 1},
		OnTaskDone: {2, 2, 2, 0, 0, 1, 1},
	}
	for _, d := range Deliveries() {
		for i, end := range ends {
			for of, opt := range map[string]map[string]Delivery{"all": {"": d}, "the queue": {"tasks": d, "": Strict}} {
				t.Run(fmt.Sprintf("%s, %s, of %s", d, end.name, of), func(t *testing.T) {
					under(t, Options{Delivery: opt}, func(h *house) {
						p, id := h.serving("get_task_queue")
						end.do(h, p, id)
						synctest.Wait()
						l, err := h.broker.Reserve(t.Context(), glassq.Reserve{Queue: "tasks", Max: 1})
						if err != nil {
							t.Fatal(err)
						}
						attempt := 0
						if len(l) == 1 {
							attempt = l[0].Attempt
						}
						if attempt != want[d][i] {
							t.Errorf("attempt of the next delivery = %d, want %d (0 is none)", attempt, want[d][i])
						}
					})
				})
			}
		}
	}
}

// TestTaskDoneConfirms: several items at once, told done in the order in which they came.
func TestTaskDoneConfirms(t *testing.T) {
	under(t, Options{Delivery: map[string]Delivery{"tasks": OnTaskDone}}, func(h *house) {
		p, id := h.serving("get_task_queue")
		for _, item := range []string{"a", "b", "c"} {
			p.want("#RETURN", "null", id, "put", item)
		}
		for _, item := range []string{"a", "b", "c"} {
			p.want("#RETURN", `"`+item+`"`, id, "get")
		}
		h.held("tasks", 0, 3)
		p.want("#RETURN", "null", id, "task_done")
		h.held("tasks", 0, 2)
		// Of several items none is the one that a result is of: it is a value like others.
		p.want("#RETURN", "null", h.proxy("get_result_queue"), "put", result("b"))
		h.held("tasks", 0, 2)
		p.want("#RETURN", "null", id, "task_done")
		h.held("tasks", 0, 1)
		p.nc.Close()
		h.held("tasks", 1, 0)
		if l, err := h.broker.Reserve(t.Context(), glassq.Reserve{Queue: "tasks", Max: 1}); err != nil || len(l) != 1 ||
			string(l[0].Body) != "c" {
			t.Errorf("Reserve = %v, %v; want c, which was not told done", l, err)
		}
	})
}
