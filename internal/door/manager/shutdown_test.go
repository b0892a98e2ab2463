package manager

import (
	"testing"
	"testing/synctest"
)

// TestShutdown: as of Python 3.13: puts raise, gets do when nothing is left, and who waits is
// woken.
func TestShutdown(t *testing.T) {
	under(t, Options{}, func(h *house) {
		p, id := h.serving("get_task_queue")
		q, _ := h.serving("get_task_queue")
		q.call(id, "get")
		synctest.Wait()
		p.want("#RETURN", "null", id, "shutdown")
		q.wantReply("#ERROR", "ShutDown")
		p.want("#ERROR", "ShutDown", id, "put", "x")
		p.want("#ERROR", "ShutDown", id, "get_nowait")

		late, lateID := h.serving("get_task_queue")
		late.want("#ERROR", "ShutDown", lateID, "get")
		late.want("#RETURN", "null", lateID, "put", "a") // opens it, for all
		late.want("#RETURN", "null", lateID, "put", "b")
		late.want("#RETURN", "null", id, "put", "c")
		p.want("#RETURN", "null", id, "shutdown")
		late.want("#ERROR", "ShutDown", lateID, "put", "d")
		q.want("#RETURN", `"a"`, id, "get")
		p.want("#RETURN", "null", id, "shutdown", keywords{"immediate": true})
		q.want("#ERROR", "ShutDown", id, "get", true, 5)
		p.want("#RETURN", "2", id, "qsize")
	})
}

// TestShutdownFull: a put that waits for room is woken, and not done.
func TestShutdownFull(t *testing.T) {
	under(t, Options{}, func(h *house) {
		h.most("tasks", 1)
		h.putOne()
		p, id := h.serving("get_task_queue")
		q, _ := h.serving("get_task_queue")
		q.call(id, "put", "two")
		synctest.Wait()
		p.want("#RETURN", "null", id, "shutdown", true)
		q.wantReply("#ERROR", "ShutDown")
		h.held("tasks", 1, 0)
	})
}
