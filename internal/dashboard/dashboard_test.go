package dashboard_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
	httpdoor "github.com/glassq/glassq/internal/door/http"
	"github.com/glassq/glassq/internal/live"
	"github.com/glassq/glassq/internal/rights"
)

const (
	oddName = "Az09.b_c:d+e-f"
	hostile = `<script>document.title="owned"</script>"'&` + "\x00\x1b\u202e"
)

// A site is a server with its dashboard.
type site struct {
	t      *testing.T
	broker *broker.Broker
	live   *live.Live
	opt    httpdoor.Options
	url    string
	client *http.Client // keeps cookies, and follows
	stop   func()       // ends the door, and returns when it has
}

// newSite serves a store in memory on a free port; change may change the options of the door.
func newSite(t *testing.T, change func(*httpdoor.Options)) *site {
	t.Helper()
	return newSiteOn(t, "mem:", disk.Options{}, change)
}

// newSiteOn is newSite with the store in the folder where.
func newSiteOn(t *testing.T, where string, opt disk.Options, change func(*httpdoor.Options)) *site {
	t.Helper()
	engine, err := disk.Open(where, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	return newSiteOver(t, engine, change)
}

// newSiteOver is newSite with that store.
func newSiteOver(t *testing.T, store glassq.Store, change func(*httpdoor.Options)) *site {
	t.Helper()
	seen := live.New(live.Options{})
	s := &site{t: t, live: seen, broker: broker.New(seen.Over(store), glassq.Limits{})}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { seen.Keep(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	s.opt = httpdoor.Options{Live: seen}
	if change != nil {
		change(&s.opt)
	}
	jar, _ := cookiejar.New(nil)
	s.client = &http.Client{Jar: jar}
	s.serve("127.0.0.1:0")
	t.Cleanup(func() { s.client.CloseIdleConnections(); s.stop() })
	return s
}

// serve opens the door at addr.
func (s *site) serve(addr string) {
	s.t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	server := httpdoor.New(s.broker, s.opt)
	go func() { server.Run(ctx, ln); close(ended) }()
	s.stop = func() { stop(); <-ended }
	s.url = "http://" + ln.Addr().String()
}

// fill puts tasks of every kind: ready, delayed, leased, dead, and a run.
func (s *site) fill() {
	s.t.Helper()
	ctx := s.t.Context()
	tasks := []glassq.Task{
		{Queue: "work", Body: []byte(hostile), Type: glassq.TypeText},
		{Queue: "work", Body: []byte(`{"a":["<b>",1]}`), Type: glassq.TypeJSON},
		{Queue: "work", Body: []byte{0, 1, 0xff}},
		{Queue: oddName, Body: []byte("x")},
	}
	for i := range 3 {
		tasks = append(tasks, glassq.Task{Queue: "work", Body: []byte("dead"), Run: "r1", Position: uint32(i), Dense: true, Priority: 9})
	}
	if _, err := s.broker.Put(ctx, tasks); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.broker.SetRun(ctx, "r1", glassq.RunChange{Queue: "work", Sealed: true, Total: 5}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.broker.SetSchedule(ctx, "nightly", glassq.ScheduleChange{Cron: "0 3 1 1 *",
		Task: `{"queue":"work","body":"x"}`}); err != nil {
		s.t.Fatal(err)
	}
	leases, err := s.broker.Reserve(live.WithCaller(ctx, live.Caller{Door: "http", Worker: "<i>w</i>"}), glassq.Reserve{Queue: "work", Max: 3})
	if err != nil || len(leases) != 3 {
		s.t.Fatal(leases, err)
	}
	if errs, err := s.broker.Extend(ctx, []glassq.Extend{{Token: leases[2].Token(), Seq: 1,
		Progress: &glassq.Progress{Done: 0.4, Note: "page <40>", Checkpoint: []byte("x")}}}); err != nil || errs[0] != nil {
		s.t.Fatal(errs, err)
	}
	for _, l := range leases[:2] {
		if _, err := s.broker.Nack(ctx, []glassq.Nack{{Token: l.Token(), Dead: true, Reason: "bad <u>input</u>"}}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// get is the page at path and its status.
func (s *site) get(path string) (string, int) {
	s.t.Helper()
	r, err := s.client.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text), r.StatusCode
}

// send posts a form to an action, as the page does, and returns the page that it leads to and its
// status.
func (s *site) send(path, back string, form url.Values) (string, int) {
	s.t.Helper()
	page, _ := s.get(back)
	token := formToken.FindStringSubmatch(page)
	if token == nil {
		s.t.Fatalf("the page %s has no form", back)
	}
	form.Set("form", token[1])
	form.Set("back", back)
	return s.post(path, form)
}

func (s *site) post(path string, form url.Values) (string, int) {
	s.t.Helper()
	r, err := s.client.PostForm(s.url+path, form)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text), r.StatusCode
}

func (s *site) queue(name string) glassq.QueueInfo {
	s.t.Helper()
	list, err := s.broker.Queues(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return list[0]
}

var (
	formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)
	pagePaths = []string{"/", "/queues", "/queues/work", "/queues/" + oddName, "/queues/work/tasks?state=dead",
		"/queues/work/tasks/~1", "/runs", "/runs/r1", "/schedules", "/dead", "/workers"}
)

// TestPages: each page says what it is for, as HTML that stands without scripts, and shows text of
// tasks as text.
func TestPages(t *testing.T) {
	s := newSite(t, nil)
	s.fill()
	tests := []struct {
		path   string
		status int
		want   []string
	}{
		{"/", 200, []string{"Overview", "What wants a look", "nobody asks", "/queues/work"}},
		{"/queues", 200, []string{"2 queues", oddName}},
		{"/queues?name=nix", 200, []string{"No queue fits"}},
		{"/queues?has=dead&sort=oldest&page=99", 200, []string{"1 queue<"}},
		{"/queues/work", 200, []string{"put 6 = ok 0 + failed 0 + dead 2 + pending 4", "&lt;i&gt;w&lt;/i&gt;", "Purge", "40% done, of 1 task"}},
		{"/queues/" + oddName, 200, []string{"put 1 ="}},
		{"/queues/work/tasks", 200, []string{"~1", "&lt;script&gt;"}},
		{"/queues/work/tasks?state=dead", 200, []string{"r1/0", "bad &lt;u&gt;input&lt;/u&gt;"}},
		{"/queues/work/tasks?state=dead&reason=nix", 200, []string{"No task fits"}},
		{"/queues/work/tasks?state=leased", 200, []string{"r1/2", "40% done, page &lt;40&gt;"}},
		{"/queues/work/tasks/~7", 200, []string{"40% done, page &lt;40&gt;, checkpoint of 1 bytes"}},
		{"/queues/work/tasks?state=nix", 400, []string{"not one of delayed"}},
		{"/queues/work/tasks?from=x", 400, []string{"not a number"}},
		{"/queues/work/tasks/~1", 200, []string{"text, ", "&lt;script&gt;", "\u2400", "\u241b", "\\u{202e}"}},
		{"/queues/work/tasks/~2", 200, []string{"json, ", "&lt;b&gt;"}},
		{"/queues/work/tasks/~3", 200, []string{"hex, ", "00 01 ff"}},
		{"/queues/work/tasks/~99", 404, []string{"<h1>"}},
		{"/queues/work/tasks/~5", 200, []string{"r1", "bad &lt;u&gt;input"}},
		{"/queues/work/tasks/r1%2F1", 200, []string{"r1"}},
		{"/queues/nix", 404, []string{"there is no queue nix"}},
		{"/runs", 200, []string{"r1", "put 3 = ok 0 + failed 0 + dead 2 + pending 1"}},
		{"/runs/r1", 200, []string{"2–4", "sealed", "40% done, of 1 task"}},
		{"/runs/nix", 404, []string{"there is no run nix"}},
		{"/dead", 200, []string{"2 dead tasks in 1 queue"}},
		{"/workers", 200, []string{"&lt;i&gt;w&lt;/i&gt;"}},
		{"/queues/work/nix", 404, []string{"there is no page"}},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			text, status := s.get(tt.path)
			plain := strings.ReplaceAll(text, "&#43;", "+")
			if status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			for _, want := range tt.want {
				if !strings.Contains(plain, want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			if strings.Contains(text, "<script>") || strings.Contains(text, "<u>") || strings.Contains(text, "ZgotmplZ") ||
				strings.ContainsAny(text, "\x00\x1b\u202e") {
				t.Error("text of a task got into the page as it is")
			}
		})
	}
}

// TestRunFailures: a run tells the classes of failures among its results, and how far it is.
func TestRunFailures(t *testing.T) {
	s := newSite(t, nil)
	ctx := t.Context()
	tasks := make([]glassq.Task, 3)
	for i := range tasks {
		tasks[i] = glassq.Task{Queue: "q", Run: "r", Position: uint32(i), Dense: true}
	}
	if _, err := s.broker.Put(ctx, tasks); err != nil {
		t.Fatal(err)
	}
	leases, err := s.broker.Reserve(ctx, glassq.Reserve{Queue: "q", Max: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range []string{`{"o":{"ok":1,"rt":1}}`, `{"o":{"ok":0,"rt":1,"err":"timeout","msg":"<b>"}}`} {
		did := glassq.Ack{Token: leases[i].Token(), Result: &glassq.Task{Body: []byte(o), Type: glassq.TypeJSON}}
		errs, err := s.broker.Ack(ctx, []glassq.Ack{did})
		if err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
	}
	page, _ := s.get("/runs/r")
	for _, want := range []string{"put 3 = ok 1 &#43; failed 1 &#43; dead 0 &#43; pending 1", "2 of 3 have an outcome", "left",
		"half below ", `data-table="course"`, "<th scope=\"col\" class=\"n\">99 of 100 below ms</th>",
		`<th scope="row">timeout</th><td class="n">1</td><td><a href="/queues/results/tasks/~5">r/1</a>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if _, err := s.broker.Reserve(ctx, glassq.Reserve{Queue: "results", Max: 2, Take: true}); err != nil {
		t.Fatal(err)
	}
	want := `<th scope="row">timeout</th><td class="n">1</td><td>–</td>`
	if page, _ := s.get("/runs/r"); !strings.Contains(page, want) {
		t.Errorf("when the results are taken the page lacks %q", want)
	}
}

// TestLongBodies: a body of 16 MiB is cut, whatever it is, and the page stays small.
func TestLongBodies(t *testing.T) {
	s := newSite(t, nil)
	for n, body := range map[string]string{glassq.TypeText: strings.Repeat("\x01", 16<<20),
		glassq.TypeJSON: `"` + strings.Repeat("<", 16<<20-2) + `"`, glassq.TypeOctets: strings.Repeat("\xff", 16<<20)} {
		got, err := s.broker.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte(body), Type: n}})
		if err != nil {
			t.Fatal(err)
		}
		text, status := s.get("/queues/q/tasks/" + glassq.AssignedID(got[0].Number))
		if status != 200 || !strings.Contains(text, "are shown") || len(text) > 2<<20 {
			t.Errorf("%s: status %d, %d bytes", n, status, len(text))
		}
	}
}

// TestWeight: every page, with all files that it loads, takes less than 150 KB of the network, and
// says that nothing else may run.
func TestWeight(t *testing.T) {
	s := newSite(t, nil)
	s.fill()
	files := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	weigh := func(path string) (body []byte, h http.Header) {
		r, _ := http.NewRequest("GET", s.url+path, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		a, err := plain.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		if body, err = io.ReadAll(a.Body); err != nil || a.StatusCode != 200 || a.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: %v, %d, %v", path, err, a.StatusCode, a.Header)
		}
		return body, a.Header
	}
	for _, path := range pagePaths {
		body, h := weigh(path)
		total := len(body)
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self';") {
			t.Errorf("%s: policy %q", path, csp)
		}
		page, _ := s.get(path)
		for _, f := range files.FindAllStringSubmatch(page, -1) {
			body, h := weigh(f[1])
			total += len(body)
			if !strings.Contains(h.Get("Cache-Control"), "immutable") {
				t.Errorf("%s is not kept by browsers", f[1])
			}
		}
		if total > 150_000 {
			t.Errorf("%s takes %d bytes", path, total)
		}
	}
}

// TestActions: each form does what it says, says so, and leads back.
func TestActions(t *testing.T) {
	s := newSite(t, nil)
	s.fill()
	page := "/queues/work"
	tests := []struct {
		name, action, back string
		form               url.Values
		status             int
		want               string
		check              func(q glassq.QueueInfo) bool
	}{
		{"pause", page + "/pause", page, url.Values{}, 200, "is paused", func(q glassq.QueueInfo) bool { return q.Settings.Paused }},
		{"resume", page + "/resume", page, url.Values{}, 200, "goes on", func(q glassq.QueueInfo) bool { return !q.Settings.Paused }},
		{"settings", page + "/settings", page, url.Values{"rate": {"2500000"}, "was_rate": {"0"}, "max_tasks": {"7"}, "attempts": {"3"}}, 200,
			"settings are changed", func(q glassq.QueueInfo) bool {
				return q.Settings.Rate == 2500000 && q.Settings.MaxTasks == 7 && q.Settings.Attempts == 3
			}},
		{"what was not changed is not sent", page + "/settings", page, url.Values{"rate": {"9"}, "was_rate": {"9"}}, 200, "changed",
			func(q glassq.QueueInfo) bool { return q.Settings.Rate == 2500000 }},
		{"no number", page + "/settings", page, url.Values{"rate": {"fast"}}, 400, "is not a number", nil},
		{"a rate that is refused", page + "/settings", page, url.Values{"rate": {"-1"}}, 400, "rate -1", nil},
		{"redrive one", page + "/redrive", page, url.Values{"max": {"1"}}, 200, "1 task ready again",
			func(q glassq.QueueInfo) bool { return q.Dead == 1 }},
		{"redrive too many", page + "/redrive", page, url.Values{"max": {"99999"}}, 400, "is not 1 to", nil},
		{"purge another name", page + "/purge", page, url.Values{"state": {"ready"}, "name": {"wrok"}}, 400, "type the name work",
			func(q glassq.QueueInfo) bool { return q.Ready == 4 }},
		{"purge nothing", page + "/purge", page, url.Values{"name": {"work"}}, 400, "choose which", nil},
		{"delete dead", page + "/purge", page, url.Values{"state": {"dead"}, "name": {"work"}}, 200, "1 task purged",
			func(q glassq.QueueInfo) bool { return q.Dead == 0 && q.Ready == 4 }},
		{"cancel another run", "/runs/r1/cancel", "/runs/r1", url.Values{"name": {"r2"}}, 400, "type the name r1", nil},
		{"cancel", "/runs/r1/cancel", "/runs/r1", url.Values{"name": {"r1"}}, 200, "cancelled",
			func(q glassq.QueueInfo) bool { return q.Ready == 3 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, status := s.send(tt.action, tt.back, tt.form)
			if status != tt.status || !strings.Contains(text, tt.want) {
				t.Errorf("status %d, want %d and %q", status, tt.status, tt.want)
			}
			if tt.check != nil && !tt.check(s.queue("work")) {
				t.Errorf("the queue is %+v", s.queue("work"))
			}
		})
	}
}

// TestLogin: without a session every page leads to the login and back; a session reads by the API,
// and changes something only by forms with its token.
func TestLogin(t *testing.T) {
	key := []byte("a long enough key")
	s := newSite(t, func(o *httpdoor.Options) { o.Access = door.NewAccess(key) })
	s.fill()
	text, _ := s.get("/queues/work?span=24h")
	if !strings.Contains(text, "Key or token") || strings.Contains(text, "put 6") {
		t.Fatal("a page is shown without a key")
	}
	if text, status := s.post("/login", url.Values{"key": {"wrong"}, "to": {"/"}}); status != 401 || !strings.Contains(text, "none of this server") {
		t.Errorf("a wrong key: %d", status)
	}
	if text, _ := s.post("/login", url.Values{"key": {string(key)}, "to": {"/queues/work?span=24h"}}); !strings.Contains(text, "put 6") {
		t.Fatalf("the right key leads to %.300s", text)
	}
	if _, status := s.get("/v1/queues"); status != 200 {
		t.Errorf("a session does not read by the API: %d", status)
	}
	if r, err := s.client.Post(s.url+"/v1/queues/work/purge", "", nil); err != nil || r.StatusCode != 401 {
		t.Errorf("a session purges by the API: %v, %v", r, err)
	}
	if _, status := s.post("/queues/work/pause", url.Values{"back": {"/"}}); status != 403 || s.queue("work").Settings.Paused {
		t.Errorf("a form without its token: %d", status)
	}
	if _, status := s.post("/queues/work/pause", url.Values{"form": {"x"}, "back": {"/"}}); status != 403 || s.queue("work").Settings.Paused {
		t.Errorf("a form with another token: %d", status)
	}
	page, _ := s.get("/queues/work")
	token := formToken.FindStringSubmatch(page)[1]
	if text, _ := s.post("/logout", url.Values{"form": {token}}); !strings.Contains(text, "Key or token") {
		t.Error("the session goes on after the end of it")
	}
	// The session is over in the middle of an action: nothing is done, and the login leads back to
	// the page.
	text, _ = s.post("/queues/work/pause", url.Values{"form": {token}, "back": {"/queues/work"}})
	if !strings.Contains(text, "not logged in any more") || !strings.Contains(text, `name="to" value="/queues/work"`) ||
		s.queue("work").Settings.Paused {
		t.Errorf("an action of a session that is over: %s", text)
	}
	for _, to := range []string{"//evil.test/", "https://evil.test/", "/\\evil.test", "javascript:alert(1)"} {
		text, _ := s.get("/login?to=" + url.QueryEscape(to))
		if !strings.Contains(text, `name="to" value="/"`) {
			t.Errorf("the login leads to %s", to)
		}
	}
}

// TestToken: a token sees and does by pages what it may by the API, and a revoked one ends its
// sessions.
func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	var secret [2]string
	err := rights.Change(file, func(e *rights.Edit) (err error) {
		for i, may := range []string{"read", "admin"} {
			secret[i], err = e.New(rights.Token{Name: may, May: []string{may}, Queues: rights.Patterns{"wor*"}, Created: time.Now()})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	register, err := rights.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan string, 100)
	s := newSite(t, func(o *httpdoor.Options) {
		o.Access = door.NewAccess().WithTokens(register)
		o.Audit = audit.New(audit.Options{Heard: func(_ context.Context, e *audit.Entry) {
			if e.Outcome != audit.OK {
				refused <- e.Who + " " + e.Action + " " + e.Queue + " " + e.Outcome
			}
		}})
	})
	s.fill()
	if text, _ := s.post("/login", url.Values{"key": {secret[0]}, "to": {"/queues"}}); !strings.Contains(text, "/queues/work") ||
		strings.Contains(text, "Az09") {
		t.Fatalf("the list of queues of a token is %.600s", text)
	}
	for path, want := range map[string]int{"/": 200, "/queues/work": 200, "/queues/work/tasks": 200, "/queues/" + oddName: 403,
		"/queues/" + oddName + "/tasks/~4": 403, "/runs/r1": 403, "/workers": 403, "/v1/events?queue=work&wait=1ms": 200, "/v1/events": 403} {
		text, status := s.get(path)
		if status != want || strings.Contains(text, `action="/queues`) && strings.Contains(text, `method="post" action="/q`) {
			t.Errorf("%s: status %d, want %d and no form", path, status, want)
		}
	}
	if _, status := s.send("/queues/work/pause", "/queues/work", url.Values{}); status != 403 || s.queue("work").Settings.Paused {
		t.Errorf("a token that may read pauses: %d", status)
	}
	select {
	case got := <-refused:
		if want := "read configure work forbidden"; got != want {
			t.Errorf("audited: %q, want %q", got, want)
		}
	default:
		t.Error("the refused action is not audited")
	}
	err = rights.Change(file, func(e *rights.Edit) error { e.Revoke("read"); return nil })
	if err != nil {
		t.Fatal(err)
	}
	register.Look(slog.New(slog.DiscardHandler))
	if text, _ := s.get("/queues/work"); !strings.Contains(text, "Key or token") {
		t.Error("the session goes on when its token is revoked")
	}
	s.post("/login", url.Values{"key": {secret[1]}, "to": {"/"}})
	if _, status := s.send("/queues/work/pause", "/queues/work", url.Values{}); status != 200 || !s.queue("work").Settings.Paused {
		t.Errorf("a token with admin does not pause: %d", status)
	}
}

// TestLongForm: of a form that is too long no more is read than a form may have, whoever sends it
// and whatever it is for.
func TestLongForm(t *testing.T) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	f, _ := w.CreateFormFile("f", "f")
	f.Write(make([]byte, 1<<20))
	w.Close()
	for _, access := range []*door.Access{nil, door.NewAccess([]byte("k"))} {
		h := httpdoor.New(newSite(t, nil).broker, httpdoor.Options{Frame: door.Frame{Access: access}})
		for _, path := range []string{"/queues/work/pause", "/queues/work/nothing", "/login", "/logout", "/runs"} {
			left := bytes.NewReader(form.Bytes())
			r := httptest.NewRequest("POST", "http://localhost"+path, left)
			r.Header.Set("Content-Type", w.FormDataContentType())
			h.ServeHTTP(httptest.NewRecorder(), r)
			if read := form.Len() - left.Len(); read > 128<<10 {
				t.Errorf("POST %s, key needed %v: %d bytes were read", path, access != nil, read)
			}
		}
	}
}

// TestStatus: an error of the store is answered as the API answers it.
func TestStatus(t *testing.T) {
	s := newSite(t, nil)
	s.stop()
	engine, err := disk.Open("mem:", disk.Options{MaxQueues: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	s.broker = broker.New(engine, glassq.Limits{})
	if _, err := s.broker.Put(t.Context(), []glassq.Task{{Queue: "work"}}); err != nil {
		t.Fatal(err)
	}
	s.serve("127.0.0.1:0")
	if text, status := s.send("/queues/another/pause", "/queues/work", url.Values{}); status != 429 {
		t.Errorf("one queue too many: status %d, want 429: %.300s", status, text)
	}
}

// TestCookie: the session's cookie is out of reach of scripts and other sites, and of networks
// where there is TLS.
func TestCookie(t *testing.T) {
	h := httpdoor.New(newSite(t, nil).broker, httpdoor.Options{Frame: door.Frame{Access: door.NewAccess([]byte("k"))}})
	for _, scheme := range []string{"http", "https"} {
		r := httptest.NewRequest("POST", scheme+"://localhost:5080/login", strings.NewReader("key=k&to=/"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rw := httptest.NewRecorder()
		h.ServeHTTP(rw, r)
		c := rw.Result().Cookies()
		if len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Secure != (scheme == "https") ||
			c[0].Name != "glassq-session-5080" {
			t.Errorf("%s: %+v", scheme, c)
		}
	}
}

// TestReadOnly: a read-only dashboard shows no forms, and refuses what comes all the same.
func TestReadOnly(t *testing.T) {
	s := newSite(t, func(o *httpdoor.Options) { o.ReadOnlyDashboard = true })
	s.fill()
	for _, path := range pagePaths {
		if text, _ := s.get(path); strings.Contains(text, `method="post"`) {
			t.Errorf("%s has a form", path)
		}
	}
	if text, status := s.post("/queues/work/pause", url.Values{}); status != 403 || !strings.Contains(text, "read-only") {
		t.Errorf("status %d", status)
	}
}

// TestChinese: the language is that of the browser, or as the visitor says; no text lacks its
// Chinese.
func TestChinese(t *testing.T) {
	s := newSite(t, nil)
	s.fill()
	r, _ := http.NewRequest("GET", s.url+"/", nil)
	r.Header.Set("Accept-Language", "fr, zh-CN;q=0.9, en;q=0.8")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(a.Body)
	a.Body.Close()
	if !strings.Contains(string(text), `lang="zh-Hans"`) || !strings.Contains(string(text), "概览") {
		t.Error("the page is not Chinese")
	}
	if text, _ := s.get("/?lang=zh"); !strings.Contains(text, "概览") {
		t.Error("lang=zh shows no Chinese")
	}
	if text, _ := s.get("/dead"); !strings.Contains(text, "1 个队列中有 2 个死任务") {
		t.Error("the language is not remembered")
	}
}
