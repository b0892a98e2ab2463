package manager

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/door"
)

// serve is one more connection of a client, with the name that it gives it.
func (h *house) serve(name string) *peer {
	h.t.Helper()
	p := h.connect()
	p.want("#RETURN", "null", nil, "accept_connection", name)
	return p
}

// TestReferences: which decrefs make the end of a connection an end of work.
func TestReferences(t *testing.T) {
	get := func(p *peer, id string) { p.t.Helper(); p.want("#RETURN", `"one"`, id, "get") }
	tests := []struct {
		name string
		do   func(h *house, id string) // one item is there, and one reference to id
		done bool
	}{
		{"the last reference", func(h *house, id string) {
			p := h.serve("MainProcess")
			get(p, id)
			h.short("decref", id)
			p.nc.Close()
		}, true},
		{"killed", func(h *house, id string) {
			p := h.serve("MainProcess")
			get(p, id)
			p.nc.Close()
		}, false},
		{"a copy", func(h *house, id string) {
			p := h.serve("MainProcess")
			get(p, id)
			h.short("incref", id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"a copy, and the last reference", func(h *house, id string) {
			p := h.serve("MainProcess")
			get(p, id)
			h.short("incref", id)
			h.short("decref", id)
			h.short("decref", id)
			p.nc.Close()
		}, true},
		{"a copy made before", func(h *house, id string) {
			p := h.serve("MainProcess")
			h.short("incref", id)
			get(p, id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"two children: one ends, the other is killed", func(h *house, id string) {
			h.short("incref", id)
			h.short("incref", id)
			a, b := h.serve("Process-1"), h.serve("Process-2")
			a.want("#RETURN", "false", id, "empty")
			get(b, id)
			h.short("decref", id)
			a.nc.Close()
			synctest.Wait()
			b.nc.Close()
		}, false},
		{"a child ends and its parent has a reference", func(h *house, id string) {
			h.short("incref", id)
			p := h.serve("Process-1")
			get(p, id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"a parent ends after its child", func(h *house, id string) {
			p := h.serve("MainProcess")
			get(p, id)
			h.short("incref", id)
			child := h.serve("Process-1")
			child.want("#RETURN", "true", id, "empty")
			h.short("decref", id)
			child.nc.Close()
			synctest.Wait()
			h.short("decref", id)
			p.nc.Close()
		}, true},
		{"a parent ends after its child was killed", func(h *house, id string) {
			h.short("incref", id)
			h.serve("Process-1").nc.Close()
			p := h.serve("MainProcess")
			get(p, id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"a drop of before, and a new connection", func(h *house, id string) {
			h.short("decref", id)
			p := h.serve("Process-1")
			get(p, id)
			p.nc.Close()
		}, false},
		{"a drop while it waits", func(h *house, id string) {
			p := h.serve("MainProcess")
			p.want("#RETURN", `"one"`, id, "get")
			p.call(id, "get")
			synctest.Wait()
			h.short("decref", id)
			h.putOne()
			p.wantReply("#RETURN", `"one"`)
			p.nc.Close()
		}, false},
		{"two connections without an incref: a fork that nobody counts", func(h *house, id string) {
			a, b := h.serve("MainProcess"), h.serve("MainProcess")
			a.want("#RETURN", "false", id, "empty")
			get(b, id)
			h.short("decref", id)
			a.nc.Close()
			synctest.Wait()
			b.nc.Close()
		}, false},
		{"such a fork, and the first connection ended long ago", func(h *house, id string) {
			a, b := h.serve("MainProcess"), h.serve("MainProcess")
			a.want("#RETURN", "false", id, "empty")
			get(b, id)
			a.nc.Close()
			synctest.Wait()
			h.short("decref", id)
			b.nc.Close()
		}, false},
		{"two connections at the last reference", func(h *house, id string) {
			h.short("incref", id)
			a, b := h.serve("MainProcess"), h.serve("MainProcess")
			a.want("#RETURN", "false", id, "empty")
			get(b, id)
			h.short("decref", id)
			h.short("decref", id)
			b.nc.Close()
		}, false},
		{"a thread", func(h *house, id string) {
			p := h.serve("MainProcess|Thread-1")
			get(p, id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"a thread beside the main one", func(h *house, id string) {
			a, b := h.serve("MainProcess"), h.serve("MainProcess|Thread-1")
			a.want("#RETURN", "false", id, "empty")
			get(b, id)
			h.short("decref", id)
			a.nc.Close()
			b.nc.Close()
		}, false},
		{"the main thread beside another", func(h *house, id string) {
			a, b := h.serve("MainProcess"), h.serve("MainProcess|Thread-1")
			b.want("#RETURN", "false", id, "empty")
			get(a, id)
			h.short("decref", id)
			a.nc.Close()
		}, true},
		{"no name", func(h *house, id string) {
			p := h.serve("")
			get(p, id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"another proxy is still there", func(h *house, id string) {
			p := h.serve("MainProcess")
			p.want("#RETURN", "true", h.proxy("get_result_queue"), "empty")
			get(p, id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"another proxy was dropped before", func(h *house, id string) {
			p := h.serve("MainProcess")
			other := h.proxy("get_result_queue")
			p.want("#RETURN", "true", other, "empty")
			get(p, id)
			h.short("decref", other)
			h.short("decref", id)
			p.nc.Close()
		}, true},
		{"another proxy is dropped last", func(h *house, id string) {
			p := h.serve("MainProcess")
			other := h.proxy("get_result_queue")
			p.want("#RETURN", "true", other, "empty")
			get(p, id)
			h.short("decref", id)
			h.short("decref", other)
			p.nc.Close()
		}, true},
		{"another proxy of the same queue", func(h *house, id string) {
			p := h.serve("MainProcess")
			other := h.proxy("get_task_queue")
			get(p, id)
			h.short("decref", other)
			p.nc.Close()
		}, false},
		{"long ago", func(h *house, id string) {
			p := h.serve("MainProcess")
			get(p, id)
			h.short("decref", id)
			time.Sleep(closeSoon + time.Second)
			p.nc.Close()
		}, false},
		{"an ident of before a restart", func(h *house, id string) {
			old := "q-tasks~0123456789ab"
			p := h.serve("MainProcess")
			h.short("incref", old)
			get(p, old)
			h.short("decref", old)
			h.short("decref", old)
			p.nc.Close()
		}, false},
		{"beside an ident of before a restart", func(h *house, id string) {
			p := h.serve("MainProcess")
			p.want("#RETURN", "false", "q-results~0123456789ab", "full")
			get(p, id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"forgotten", func(h *house, id string) {
			p := h.serve("MainProcess")
			get(p, id)
			h.door.mu.Lock()
			h.door.forget(id)
			h.door.mu.Unlock()
			h.short("incref", id)
			h.short("decref", id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"more idents than are noted", func(h *house, id string) {
			p := h.serve("MainProcess")
			for range maxUses {
				p.want("#RETURN", "true", h.proxy("get_result_queue"), "empty")
			}
			get(p, id)
			h.short("decref", id)
			p.nc.Close()
		}, false},
		{"stops within a message", func(h *house, id string) {
			p := h.serve("MainProcess")
			get(p, id)
			h.short("decref", id)
			p.nc.Write([]byte{0, 0})
			p.nc.Close()
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			under(t, Options{}, func(h *house) {
				id := h.proxy("get_task_queue")
				h.putOne()
				tt.do(h, id)
				synctest.Wait()
				l, err := h.broker.Reserve(t.Context(), glassq.Reserve{Queue: "tasks", Max: 1})
				switch {
				case err != nil:
					t.Fatal(err)
				case tt.done && len(l) != 0:
					t.Errorf("handed out again at attempt %d; want it done", l[0].Attempt)
				case !tt.done && len(l) != 1:
					t.Errorf("not handed out again, books %+v; want attempt 2", h.info("tasks").Books)
				case !tt.done && l[0].Attempt != 2:
					t.Errorf("handed out again at attempt %d; want 2", l[0].Attempt)
				}
			})
		})
	}
}

// TestIdentsAreBounded: idents that nobody uses are forgotten first.
func TestIdentsAreBounded(t *testing.T) {
	s := New(broker.New(nil, glassq.Limits{}), Options{Frame: door.Frame{Access: door.NewAccess([]byte{1})}})
	c := &conn{mainThread: true}
	s.created("used")
	s.called(c, "used")
	for i := range maxIdents + 100 {
		s.created(fmt.Sprint(i))
	}
	if len(s.idents) > maxIdents || s.idents["used"] == nil || c.refs.blind {
		t.Errorf("%d idents, used is there: %v, blind: %v; want at most %d, with used",
			len(s.idents), s.idents["used"] != nil, c.refs.blind, maxIdents)
	}
}

// TestNothingIsKept: what is noted of references ends with them.
func TestNothingIsKept(t *testing.T) {
	under(t, Options{}, func(h *house) {
		p := h.serve("MainProcess")
		var c *conn // p's
		for range 3 {
			id := h.proxy("get_task_queue")
			p.want("#RETURN", "true", id, "empty")
			h.door.mu.Lock()
			c = h.door.idents[id].users[0]
			h.door.mu.Unlock()
			h.short("decref", id)
		}
		other := h.proxy("get_task_queue")
		q := h.serve("MainProcess")
		q.want("#RETURN", "true", other, "empty")
		q.nc.Close()
		synctest.Wait()
		h.door.mu.Lock()
		defer h.door.mu.Unlock()
		if n := len(h.door.idents); n != 1 || len(h.door.idents[other].users) != 0 {
			t.Errorf("%d idents are kept; want the one that has a reference, without users", n)
		}
		if len(c.refs.uses) != 0 {
			t.Errorf("a connection uses %v; want nothing", c.refs.uses)
		}
	})
}
