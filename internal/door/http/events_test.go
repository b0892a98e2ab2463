package httpdoor

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/audit"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/live"
)

// openLive is openStore with a Live that is kept going for the test.
func openLive(t testing.TB) (*broker.Broker, *live.Live) {
	t.Helper()
	l := live.New(live.Options{})
	e, err := disk.Open("mem:", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := broker.New(l.Over(e), glassq.Limits{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.Keep(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		e.Close()
	})
	return b, l
}

// A reader reads one stream of events.
type reader struct {
	t    *testing.T
	in   *bufio.Reader
	body io.Closer
}

func readEvents(t *testing.T, url, last string) *reader {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("GET %s = %s %s", url, resp.Status, resp.Header.Get("Content-Type"))
	}
	r := &reader{t, bufio.NewReader(resp.Body), resp.Body}
	r.line() // retry
	r.line()
	return r
}

func (r *reader) line() string {
	r.t.Helper()
	s, err := r.in.ReadString('\n')
	if err != nil {
		r.t.Fatalf("the stream ended: %v", err)
	}
	return strings.TrimSuffix(s, "\n")
}

// next returns the next event.
func (r *reader) next() (id, kind, data string) {
	r.t.Helper()
	for {
		line := r.line()
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && kind != "":
			return id, kind, data
		case name == "id":
			id = value
		case name == "event":
			kind = value
		case name == "data":
			data = value
		}
	}
}

func TestEventStream(t *testing.T) {
	b, l := openLive(t)
	audited := audit.New(audit.Options{Heard: l.Heard})
	hs := httptest.NewServer(New(b, Options{Live: l, Frame: door.Frame{Audit: audited}}))
	t.Cleanup(hs.Close) // after the readers
	all := readEvents(t, hs.URL+"/v1/events", "")
	only := readEvents(t, hs.URL+"/v1/events?queue=mine", "")
	do := func(method, path, body string) {
		t.Helper()
		req, err := http.NewRequest(method, hs.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Glassq-Worker", "ann")
		req.Header.Set("Content-Type", typeJSON)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp.Status, err)
		}
		resp.Body.Close()
	}
	do("PATCH", "/v1/queues/other", `{"paused":true}`)
	do("PATCH", "/v1/queues/mine", `{"paused":true}`)
	first, kind, data := all.next()
	if kind != "action" || !strings.Contains(data, `"queue":"other"`) || !strings.Contains(data, `"action":"pause"`) ||
		!strings.Contains(data, `"worker":"ann"`) || !strings.Contains(data, `"who":"guest","from":"127.0.0.1"`) {
		t.Errorf("the first event = %s %s", kind, data)
	}
	if _, kind, data := only.next(); kind != "action" || !strings.Contains(data, `"queue":"mine"`) ||
		strings.Contains(data, "127.0.0.1") {
		t.Errorf("the first event of mine = %s %s", kind, data)
	}
	do("POST", "/v1/queues/mine/tasks", `{"body":"x"}`)
	_, kind, data = only.next()
	if kind != "tick" || !strings.Contains(data, `"name":"mine"`) || strings.Contains(data, `"name":"other"`) {
		t.Errorf("the next event of mine = %s %s", kind, data)
	}

	// A client that comes back gets what it missed.
	again := readEvents(t, hs.URL+"/v1/events", first)
	if _, kind, data := again.next(); kind != "action" || !strings.Contains(data, `"queue":"mine"`) {
		t.Errorf("after %s comes %s %s; want the second action", first, kind, data)
	}
	for name, id := range map[string]string{"of long ago": "1", "of a clock that was ahead": "9000000000000000000"} {
		other := readEvents(t, hs.URL+"/v1/events?after="+id, "")
		if _, kind, _ := other.next(); kind != "lost" {
			t.Errorf("after an id %s comes %s, want lost", name, kind)
		}
		if _, kind, _ := other.next(); kind != "action" {
			t.Errorf("after an id %s and lost comes %s, want the first that is kept", name, kind)
		}
	}
}

func TestEventsEndWithTheServer(t *testing.T) {
	b, l := openLive(t)
	s := New(b, Options{Live: l})
	hs := httptest.NewServer(s)
	t.Cleanup(hs.Close) // after the readers
	r := readEvents(t, hs.URL+"/v1/events", "")
	s.drain()
	if _, kind, _ := r.next(); kind != "bye" {
		t.Errorf("when the server stops comes %s, want bye", kind)
	}
	if rest, err := io.ReadAll(r.in); err != nil || len(rest) > 0 {
		t.Errorf("after bye: %q, %v", rest, err)
	}
}

// TestEventsReaders: half of the readers never read; the others get what happens, and one more than
// may be is refused.
func TestEventsReaders(t *testing.T) {
	b, l := openLive(t)
	s := New(b, Options{Live: l})
	if !s.streams.TryTake(maxWatchers - 20) {
		t.Fatal("no streams")
	}
	hs := httptest.NewServer(s)
	t.Cleanup(hs.Close) // after the readers
	var readers []*reader
	for range 20 {
		readers = append(readers, readEvents(t, hs.URL+"/v1/events", ""))
	}
	if code, text := ask(s, "GET", "/v1/events", "", ""); code != 503 {
		t.Errorf("one reader too many = %d %s, want 503", code, text)
	}
	if _, err := b.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	for _, r := range readers[:10] {
		if _, kind, _ := r.next(); kind != "tick" {
			t.Errorf("the next event is %s, want tick", kind)
		}
	}
}

// A HEAD of a stream has no body, so it has an end.
func TestHeadOfEvents(t *testing.T) {
	b, l := openLive(t)
	s := New(b, Options{Live: l})
	if status, body := ask(s, "HEAD", "/v1/events", "", ""); status != 200 || body != "" {
		t.Errorf("HEAD /v1/events = %d %q, want 200 and nothing", status, body)
	}
}
