package manager

import (
	"testing"
	"testing/synctest"

	"github.com/glassq/glassq"
)

// TestGivenUp: a client that says something else while it waits for a reply has left that call. The
// wait ends, and the next reply is that of the next call.
func TestGivenUp(t *testing.T) {
	tests := []struct {
		name   string
		before func(h *house, p *peer, id string)
		method string
		args   []any
	}{
		{"get", nil, "get", nil},
		{"get with a timeout", nil, "get", []any{true, 1000}},
		{"put into a full queue", func(h *house, p *peer, id string) {
			h.most("tasks", 1)
			p.want("#RETURN", "null", id, "put", "one")
		}, "put", []any{"two"}},
		{"join", func(h *house, p *peer, id string) { p.want("#RETURN", "null", id, "put", "one") }, "join", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			under(t, Options{}, func(h *house) {
				p, id := h.serving("get_task_queue")
				if tt.before != nil {
					tt.before(h, p, id)
				}
				ready := h.info("tasks").Ready
				p.call(id, tt.method, tt.args...)
				synctest.Wait()
				p.want("#RETURN", `"<glassq queue tasks>"`, id, "__str__")
				p.want("#RETURN", map[int64]string{0: "0", 1: "1"}[ready], id, "qsize")
				if q := h.info("tasks"); q.Waiters != 0 {
					h.t.Errorf("%d waiters; want none", q.Waiters)
				}
				h.most("tasks", 0)
				q, other := h.serving("get_task_queue")
				if ready == 0 {
					q.want("#RETURN", "null", other, "put", "late")
					q.want("#RETURN", `"late"`, other, "get")
				} else {
					q.want("#RETURN", `"one"`, other, "get")
				}
			})
		})
	}
}

// TestGivenUpAtTheSameTime: an item that a get has taken when its client leaves it goes back,
// uncounted.
func TestGivenUpAtTheSameTime(t *testing.T) {
	for range 50 {
		under(t, Options{}, func(h *house) {
			p, id := h.serving("get_task_queue")
			q, other := h.serving("get_task_queue")
			p.call(id, "get")
			synctest.Wait()
			leaves := encode(h.t, value([]any{id, "__str__", []any{}, keywords{}}), false)
			go p.send(leaves) // its reply is read below
			q.call(other, "put", "x")
			kind, v := p.reply()
			q.wantReply("#RETURN", "null")
			if kind == "#RETURN" && text(v) == `"x"` { // before it left
				p.wantReply("#RETURN", `"<glassq queue tasks>"`)
				return
			}
			h.held("tasks", 1, 0)
			l, err := h.broker.Reserve(h.t.Context(), glassq.Reserve{Queue: "tasks", Max: 1})
			if err != nil || len(l) != 1 || l[0].Attempt != 1 {
				h.t.Errorf("the item = %+v, %v; want it at attempt 1", l, err)
			}
		})
	}
}
