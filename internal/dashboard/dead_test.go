package dashboard_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

// TestOneDead: a dead task is redriven by the button of its row, or redriven and deleted on its own
// page; both pages have these forms for dead tasks alone.
func TestOneDead(t *testing.T) {
	s := newSite(t, nil)
	s.fill()
	list, task := "/queues/work/tasks?state=dead", "/queues/work/tasks/~5"
	for path, want := range map[string]bool{list: true, task: true, "/queues/work/tasks?state=ready": false, "/queues/work/tasks/~1": false} {
		text, _ := s.get(path)
		if has := strings.Contains(text, `name="task" value="~5"`); has != want {
			t.Errorf("%s: buttons of a dead task: %v, want %v", path, has, want)
		}
	}
	text, status := s.send("/queues/work/purge", task, url.Values{"state": {"dead"}, "task": {"~5"}, "name": {"wrok"}})
	if status != 400 || !strings.Contains(text, "type the name work") || s.queue("work").Dead != 2 {
		t.Errorf("delete with another name: status %d", status)
	}
	text, status = s.send("/queues/work/purge", task, url.Values{"state": {"ready"}, "task": {"~5"}, "name": {"work"}})
	if status != 400 || !strings.Contains(text, "only dead tasks") || s.queue("work").Ready != 3 {
		t.Errorf("delete of a ready one: status %d", status)
	}
	text, status = s.send("/queues/work/redrive", list, url.Values{"task": {"~5"}})
	if status != 200 || !strings.Contains(text, "1 task ready again") || strings.Contains(text, `value="~5"`) || !strings.Contains(text, `value="~6"`) {
		t.Errorf("redrive: status %d", status)
	}
	text, status = s.send("/queues/work/purge", list, url.Values{"state": {"dead"}, "task": {"~6"}, "name": {"work"}})
	if status != 200 || !strings.Contains(text, "1 task purged") {
		t.Errorf("delete: status %d", status)
	}
	if q := s.queue("work"); q.Dead != 0 || q.Ready != 4 {
		t.Errorf("the queue is %+v", q)
	}
}

// TestSomeDead: what the page of dead tasks was asked for by reason and run is redriven, and deleted,
// as a whole, in the background; the rest stays dead.
func TestSomeDead(t *testing.T) {
	s := newSite(t, nil)
	const many = 1300 // of each kind
	s.kill(many, "gone 410", "r1", 0)
	s.kill(many, "odd", "r1", many)
	s.kill(many, "gone 410", "r2", 0)
	page := "/queues/q/tasks?state=dead&reason=410&run=r2"
	text, _ := s.get(page)
	for _, want := range []string{"r2/0", "that fit", `name="reason" value="410"`, `name="run" value="r2"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(text, "r1/0") {
		t.Error("the page shows a task of another run")
	}
	form := url.Values{"state": {"dead"}, "reason": {"410"}, "run": {"r2"}, "name": {"x"}}
	if _, status := s.send("/queues/q/purge", page, form); status != 400 {
		t.Errorf("delete with another name: status %d", status)
	}
	s.send("/queues/q/redrive", page, url.Values{"reason": {"410"}, "run": {"r2"}})
	s.until(page, "Redriven of those that fit: 1,300</p>")
	if q := s.queue("q"); q.Ready != many || q.Dead != 2*many {
		t.Errorf("after the redrive the queue is %+v", q)
	}
	s.send("/queues/q/purge", "/queues/q", url.Values{"state": {"dead"}, "reason": {"odd"}, "name": {"q"}})
	s.until(page, "Deleted of those that fit: 1,300</p>")
	if q := s.queue("q"); q.Ready != many || q.Dead != many {
		t.Errorf("after the deletion the queue is %+v", q)
	}
	list, _, err := s.broker.Peek(t.Context(), "q", glassq.Dead, 0, many)
	if err != nil {
		t.Fatal(err)
	}
	for i, left := range list {
		if left.Run != "r1" || left.Reason != "gone 410" {
			t.Fatalf("dead task %d is of %s, %q", i, left.Run, left.Reason)
		}
	}
}

// kill puts tasks of a run, from position base on, into the queue q and makes them dead.
func (s *site) kill(many int, reason, run string, base uint32) {
	s.t.Helper()
	tasks, nacks := make([]glassq.Task, many), make([]glassq.Nack, many)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "q", Run: run}
		if run != "" {
			tasks[i].Position, tasks[i].Dense = base+uint32(i), true
		}
	}
	if _, err := s.broker.Put(s.t.Context(), tasks); err != nil {
		s.t.Fatal(err)
	}
	leases, err := s.broker.Reserve(s.t.Context(), glassq.Reserve{Queue: "q", Max: many})
	if err != nil || len(leases) != many {
		s.t.Fatal(len(leases), err)
	}
	for i := range nacks {
		nacks[i] = glassq.Nack{Token: leases[i].Token(), Dead: true, Reason: reason}
	}
	if _, err := s.broker.Nack(s.t.Context(), nacks); err != nil {
		s.t.Fatal(err)
	}
}

// until gets the page until it says want.
func (s *site) until(path, want string) string {
	s.t.Helper()
	for {
		text, status := s.get(path)
		if strings.Contains(text, want) {
			return text
		}
		if status != 200 || s.t.Context().Err() != nil {
			s.t.Fatalf("%s: status %d: %.300s", path, status, text)
		}
	}
}

// TestRedriveAll: all dead tasks become ready in the background, and the page tells how far that
// is; two who ask get it once.
func TestRedriveAll(t *testing.T) {
	s := newSite(t, nil)
	const many = 3500
	s.kill(many, "", "", 0)
	for range 2 {
		if _, status := s.send("/queues/q/redrive", "/queues/q", url.Values{}); status != 200 {
			t.Fatalf("status %d", status)
		}
	}
	for ready := 0; ready < many; {
		leases, err := s.broker.Reserve(t.Context(), glassq.Reserve{Queue: "q", Max: many, Wait: -1})
		if err != nil {
			t.Fatal(err)
		}
		ready += len(leases)
	}
	if page, _ := s.get("/queues/q"); !strings.Contains(page, "Redriven: ") {
		t.Error("the page does not tell how far the redrive is")
	}
}
