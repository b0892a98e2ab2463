package dashboard_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/door"
	httpdoor "github.com/glassq/glassq/internal/door/http"
)

// TestNames: queues and runs whose names have every byte that a name may have are found by the links of
// the lists, and changed by the forms of their pages.
func TestNames(t *testing.T) {
	s := newSite(t, nil)
	every := ""
	for c := range 256 {
		if c := string([]byte{byte(c)}); glassq.CheckName("a"+c) == nil {
			every += c
		}
	}
	names := []string{every, "...", "+", "-", ":", "_", ".a", "a.", strings.Repeat("+", glassq.MaxName),
		strings.Repeat(".", glassq.MaxName)}
	for _, name := range names {
		if _, err := s.broker.Put(t.Context(), []glassq.Task{{Queue: name, Run: name, Dense: true}}); err != nil {
			t.Fatal(err)
		}
	}
	text, _ := s.get("/metrics")
	queues, _ := s.get("/queues")
	runs, _ := s.get("/runs")
	linkOf := func(list, name string) string {
		m := regexp.MustCompile(`<a href="([^"]+)">` + regexp.QuoteMeta(name) + `</a>`).FindStringSubmatch(html.UnescapeString(list))
		if m == nil {
			t.Fatalf("%q has no link", name)
		}
		return m[1]
	}
	action := regexp.MustCompile(`action="([^"]+/(?:pause|cancel))"`)
	for _, name := range names {
		if !strings.Contains(text, fmt.Sprintf("queue=%q", name)) {
			t.Errorf("%q is in no metric", name)
		}
		at := linkOf(queues, name)
		page, status := s.get(at)
		if status != 200 || !strings.Contains(page, "put 1 = ok 0") {
			t.Fatalf("%s = %d", at, status)
		}
		form := action.FindStringSubmatch(page)
		if form == nil {
			t.Fatalf("%s has no form", at)
		}
		_, status = s.send(html.UnescapeString(form[1]), at, url.Values{})
		if status != 200 || !s.queue(name).Settings.Paused {
			t.Errorf("%s: status %d, and the queue is not paused", form[1], status)
		}
		if _, status := s.get(at + "/tasks?state=ready"); status != 200 {
			t.Errorf("the tasks of %q: status %d", name, status)
		}
		at = linkOf(runs, name)
		if page, status = s.get(at); status != 200 || !strings.Contains(page, "not sealed") {
			t.Fatalf("%s = %d", at, status)
		}
		form = action.FindStringSubmatch(page)
		if text, status := s.send(html.UnescapeString(form[1]), at, url.Values{"name": {name}}); status != 200 {
			t.Errorf("%s: status %d: %.300s", form[1], status, text)
		}
		if q := s.queue(name); q.Ready != 0 {
			t.Errorf("run %q was not cancelled: %+v", name, q)
		}
	}
}

// TestWithoutCookies: a browser that keeps no cookie is told so, and does everything where no key is
// needed.
func TestWithoutCookies(t *testing.T) {
	locked := newSite(t, func(o *httpdoor.Options) { o.Access = door.NewAccess([]byte("a long enough key")) })
	locked.client = &http.Client{}
	if text, _ := locked.post("/login", url.Values{"key": {"a long enough key"}, "to": {"/"}}); !strings.Contains(text, "did not keep the cookie") {
		t.Errorf("the login leads to %s", text)
	}
	open := newSite(t, nil)
	open.client = &http.Client{}
	open.fill()
	if _, status := open.send("/queues/work/pause", "/queues/work", url.Values{}); status != 200 || !open.queue("work").Settings.Paused {
		t.Errorf("without a cookie a queue is not paused: status %d", status)
	}
}

// TestManyQueues: with queues and runs by the thousand a page has some, and says how many more there are.
func TestManyQueues(t *testing.T) {
	s := newSite(t, nil)
	const n = 3000
	tasks := make([]glassq.Task, n)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: fmt.Sprintf("q%04d", i), Run: fmt.Sprintf("r%04d", i)}
	}
	if _, err := s.broker.Put(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		leases, err := s.broker.Reserve(t.Context(), glassq.Reserve{Queue: tasks[i].Queue})
		if err != nil || len(leases) != 1 {
			t.Fatal(leases, err)
		}
		dead := []glassq.Nack{{Token: leases[0].Token(), Dead: true, Reason: tasks[i].Queue}}
		if _, err := s.broker.Nack(t.Context(), dead); err != nil {
			t.Fatal(err)
		}
	}
	rows := regexp.MustCompile(`<th scope="row"><a`)
	for path, want := range map[string]struct {
		rows int
		says string
	}{
		"/":                         {12, "2,988 more queues"},
		"/queues":                   {100, "Page 1 of 30"},
		"/queues?page=30":           {100, "q2999"},
		"/queues?has=dead&page=999": {100, "Page 3 of 3"},
		"/runs":                     {100, "Page 1 of 30"},
		"/dead":                     {100, "300 dead tasks in 300 queues"},
	} {
		text, status := s.get(path)
		got := len(rows.FindAllString(text, -1))
		if status != 200 || got != want.rows || !strings.Contains(text, want.says) || len(text) > 1<<20 {
			t.Errorf("%s: status %d, %d bytes, %d rows, want %d and %q", path, status, len(text), got, want.rows, want.says)
		}
	}
}
