package manager

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door/manager/pickle"
)

// says is what a call says aside.
func says(a keywords) keywords { return keywords{"glassq": a} }

// take gets an item, and the receipt that names it.
func (p *peer) take(id string, want string) *pickle.Value {
	p.t.Helper()
	kind, v := p.ask(id, "get", says(keywords{"asks": true}))
	if kind != "#RETURN" || v.Kind != pickle.Tuple || len(v.Items) != 2 || text(v.Items[0]) != want {
		p.t.Fatalf("get = %s %s; want %s and a receipt", kind, text(v), want)
	}
	return v.Items[1]
}

// again is another connection of the same client.
func (h *house) again() *peer {
	h.t.Helper()
	p := h.connect()
	p.want("#RETURN", "null", nil, "accept_connection", "MainProcess")
	return p
}

// TestResume: what a client says after its connection broke, and what becomes of the item that it
// has and of the call that it repeats.
func TestResume(t *testing.T) {
	tests := []struct {
		name string
		do   func(h *house, tasks, results string)
		// What there is then.
		tasks, results int64
		books          glassq.Books
	}{
		{"a put repeated counts once", func(h *house, tasks, _ string) {
			for range 2 {
				h.again().want("#RETURN", "null", tasks, "put", "one", says(keywords{"id": "x"}))
			}
		}, 1, 0, glassq.Books{Put: 1}},
		{"an item that its client did not say that it has is soon back", func(h *house, tasks, _ string) {
			h.putOne()
			h.again().take(tasks, `"one"`)
			time.Sleep(receiptTime + time.Second)
		}, 1, 0, glassq.Books{Put: 1}},
		{"one that it holds stays", func(h *house, tasks, _ string) {
			h.putOne()
			p := h.again()
			p.want("#RETURN", "true", tasks, "hold", says(keywords{"of": p.take(tasks, `"one"`)}))
			time.Sleep(time.Hour)
		}, 0, 0, glassq.Books{Put: 1}},
		{"a put confirms it, in one commit, and again on another connection", func(h *house, tasks, results string) {
			h.putOne()
			p := h.again()
			of := p.take(tasks, `"one"`)
			for range 2 {
				p.want("#RETURN", "null", results, "put", "did one", says(keywords{"of": of, "id": "y"}))
				p = h.again()
			}
		}, 0, 1, glassq.Books{Put: 1, OK: 1}},
		{"a result, too", func(h *house, tasks, results string) {
			h.putOne()
			p := h.again()
			of := p.take(tasks, `"one"`)
			for range 2 {
				p.want("#RETURN", "null", results, "put", result("one"), says(keywords{"of": of, "id": "y"}))
				p = h.again()
			}
		}, 0, 1, glassq.Books{Put: 1, OK: 1}},
		{"the result of an item that somebody else got is refused", func(h *house, tasks, results string) {
			h.putOne()
			of := h.again().take(tasks, `"one"`)
			time.Sleep(receiptTime + time.Second)
			p := h.again()
			p.take(tasks, `"one"`)
			h.again().want("#ERROR", "RuntimeError", results, "put", result("one"), says(keywords{"of": of}))
			p.want("#RETURN", "null", results, "put", result("one"))
		}, 0, 1, glassq.Books{Put: 1, OK: 1}},
		{"what else is put of it is stored", func(h *house, tasks, results string) {
			h.putOne()
			of := h.again().take(tasks, `"one"`)
			time.Sleep(receiptTime + time.Second)
			h.again().want("#RETURN", "null", results, "put", "did one", says(keywords{"of": of, "id": "y"}))
		}, 1, 1, glassq.Books{Put: 1}},
		{"hold of such an item says no", func(h *house, tasks, _ string) {
			h.putOne()
			of := h.again().take(tasks, `"one"`)
			time.Sleep(receiptTime + time.Second)
			h.again().want("#RETURN", "false", tasks, "hold", says(keywords{"of": of}))
		}, 1, 0, glassq.Books{Put: 1}},
		{"a receipt that is none", func(h *house, tasks, _ string) {
			for _, of := range []any{"x", []any{"1.tasks", "", 1}, []any{"0.tasks", "", ""}, []any{"1.tasks"}} {
				h.again().want("#ERROR", "ValueError", tasks, "qsize", says(keywords{"of": of}))
			}
			h.again().want("#ERROR", "TypeError", tasks, "qsize", keywords{"aside": 1})
		}, 0, 0, glassq.Books{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			under(t, Options{}, func(h *house) {
				tt.do(h, h.proxy("get_task_queue"), h.proxy("get_result_queue"))
				synctest.Wait()
				if got := h.info("tasks"); got.Ready != tt.tasks || got.Books != tt.books {
					t.Errorf("tasks: ready %d, books %+v; want %d, %+v", got.Ready, got.Books, tt.tasks, tt.books)
				}
				if got := h.info("results"); got.Ready != tt.results {
					t.Errorf("results: ready %d; want %d", got.Ready, tt.results)
				}
			})
		})
	}
}

// TestTogether: a put that confirms an item is one commit with its ack; where there is no room for
// it, the item is not done either. An item of a run is confirmed by itself.
func TestTogether(t *testing.T) {
	under(t, Options{}, func(h *house) {
		p, tasks := h.serving("get_task_queue")
		results := h.proxy("get_result_queue")
		most := int64(1)
		h.configure("results", glassq.SettingsChange{MaxTasks: &most})
		for _, run := range []string{"", "", "r"} {
			task := glassq.Task{Queue: "tasks", Run: run, Type: glassq.TypeText, Body: []byte("one")}
			if _, err := h.broker.Put(t.Context(), []glassq.Task{task}); err != nil {
				t.Fatal(err)
			}
		}
		p.want("#RETURN", `"one"`, tasks, "get")
		p.want("#RETURN", "null", results, "put", "did one")
		p.want("#RETURN", `"one"`, tasks, "get")
		p.want("#ERROR", "Full", results, "put_nowait", "did one")
		h.held("tasks", 1, 1)
		p.want("#RETURN", `"one"`, tasks, "get") // confirms it, as every call does
		p.want("#ERROR", "Full", results, "put_nowait", "did one")
		h.held("tasks", 0, 0)
		run, err := h.broker.Run(t.Context(), "r")
		if want := (glassq.Books{Put: 1, OK: 1}); err != nil || run.Books != want {
			t.Errorf("run: %+v, %v; want %+v: what programs put beside it is not its own", run.Books, err, want)
		}
	})
}
