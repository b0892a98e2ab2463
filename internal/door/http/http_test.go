package httpdoor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/broker"
	"github.com/glassq/glassq/internal/disk"
	"github.com/glassq/glassq/internal/door"
	"github.com/glassq/glassq/internal/envelope"
)

// openStore is a broker over an engine in memory.
func openStore(t testing.TB) *broker.Broker {
	t.Helper()
	return openStoreWith(t, disk.Options{})
}

func openStoreWith(t testing.TB, opt disk.Options) *broker.Broker {
	t.Helper()
	e, err := disk.Open("mem:", opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return broker.New(e, glassq.Limits{})
}

// ask sends one request to the handler and returns status and body.
func ask(s http.Handler, method, target, contentType, body string) (int, string) {
	r := httptest.NewRequest(method, "http://localhost"+target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// A step is one request of a script and what its answer must be.
type step struct {
	name, method, target, contentType, body string
	status                                  int
	want                                    string // a part of the answer
}

func runSteps(t *testing.T, s http.Handler, steps []step) {
	t.Helper()
	for _, st := range steps {
		status, got := ask(s, st.method, st.target, st.contentType, st.body)
		if status != st.status || !strings.Contains(got, st.want) {
			t.Errorf("%s: %s %s %q = %d %s; want %d with %s", st.name, st.method, st.target, st.body, status, got, st.status,
				st.want)
		}
	}
}

const form = "application/x-www-form-urlencoded"

func TestPut(t *testing.T) {
	s := New(broker.New(openStore(t), glassq.Limits{MaxBody: 100}), Options{})
	const tasks = "/v1/queues/q/tasks"
	long := strings.Repeat("x", 101)
	runSteps(t, s, []step{
		{"curl -d", "POST", tasks, form, "http://a/?x=1&y=2", 200, `{"id":"~`},
		{"no type", "POST", tasks, "", "\x00\xff", 200, `{"id":"~`},
		{"image", "POST", tasks, "image/png", "\x89", 200, `{"id":"~`},
		{"raw with options", "POST", tasks + "?id=a&priority=9&delay=0.5&ttl=1h&attempts=3&lease=10s&result=r&key=k",
			"text/plain", "x", 200, `{"id":"a"}`},
		{"raw of an empty run", "POST", tasks + "?run=", "text/plain", "x", 400, `\"run\" is empty; give it a value, or leave it out`},
		{"raw of an empty id", "POST", tasks + "?id=&priority=9", "text/plain", "x", 400, `\"id\" is empty`},
		{"raw duplicate", "POST", tasks + "?id=a", "text/plain", "x", 200, `{"id":"a","duplicate":true}`},
		{"raw dense", "POST", tasks + "?run=r1&n=7", form, "x", 200, `{"id":"r1/7"}`},
		{"envelope", "POST", tasks, typeJSON, `{"id":"b","body":{"x":1}}`, 200, `{"id":"b"}`},
		{"curl -d of JSON", "POST", tasks, form, `{"body":"hello","priority":9}`, 400, "Content-Type: application/x-www-form-urlencoded"},
		{"curl -d of an array", "POST", tasks, form, ` [{"body":1}]`, 400, "curl --json"},
		{"curl -d of lines", "POST", tasks, form, "{\"body\":1}\n{\"body\":2}\n", 400, "application/x-ndjson"},
		{"curl -d of text in brackets", "POST", tasks, form, "[x] {y}", 200, `{"id":"~`},
		{"curl -d of a list and text", "POST", tasks, form, "[1] is a list", 200, `{"id":"~`},
		{"curl -d of nothing", "POST", tasks, form, "", 200, `{"id":"~`},
		{"JSON as text", "POST", tasks, "text/plain", `{"body":1}`, 200, `{"id":"~`},
		{"near misses", "POST", tasks, typeJSON, `{"id":"near","body":1,"own":2,"prio":9}`, 200,
			`{"id":"near","warning":"member \"prio\" means nothing to the queue and is kept as your own; the option is called \"priority\""}`},
		{"near misses, counted", "POST", tasks + "?answer=count", typeNDJSON, "{\"body\":1}\n{\"body\":1,\"timeout\":9}\n", 200,
			`"warnings":[{"at":1,"warning":"member \"timeout\"`},
		{"errors of what is stored", "POST", tasks + "?answer=errors", typeNDJSON, "{\"body\":1}\n{\"id\":\"w\",\"body\":1,\"retry\":9}\n{\"body\":1}\n", 200,
			`{"id":"w","warning":"member \"retry\"`},
		{"errors of what is not", "POST", tasks + "?answer=errors", typeNDJSON, "{\"body\":1}\n{}\n", 400, "line 2: "},
		{"errors of one", "POST", tasks + "?answer=errors", form, "x", 200, `{"id":"~`},
		{"delay in ms", "POST", tasks, typeJSON, `{"body":1,"delay":31536000000}`, 400, "delay of over 292 years is not between 0s and 87600h0m0s; a number counts seconds"},
		{"ttl in ms", "POST", tasks, typeJSON, `{"body":1,"ttl":31536000}`, 200, ""},
		{"ttl too long", "POST", tasks, typeJSON, `{"body":1,"ttl":315360001}`, 400, "ttl 87600h0m1s is not between"},
		{"lease too long", "POST", tasks, typeJSON, `{"body":1,"lease":"9999999999999h"}`, 400, "lease of over 292 years is not between 1s and 12h"},
		{"raw delay in ms", "POST", tasks + "?delay=31536000000", "text/plain", "x", 400, "delay of over 292 years"},
		{"array", "POST", tasks, typeJSON + "; charset=utf-8", ` [{"id":"c","body":1},{"id":"c","body":2}]`, 200,
			"{\"id\":\"c\"}\n{\"id\":\"c\",\"duplicate\":true}\n"},
		{"ndjson", "POST", tasks, typeNDJSON, "{\"id\":\"d\",\"body\":1}\n\r\n{\"id\":\"e\",\"body\":2}", 200,
			"{\"id\":\"d\"}\n{\"id\":\"e\"}\n"},
		{"count", "POST", tasks + "?answer=count", typeNDJSON, "{\"id\":\"f\",\"body\":1}\n{\"id\":\"f\",\"body\":2}\n",
			200, `{"put":1,"duplicates":1,"first":`},
		{"own queue", "POST", tasks, typeJSON, `{"queue":"q","body":1}`, 200, `"id"`},

		{"other queue", "POST", tasks, typeJSON, `{"queue":"p","body":1}`, 400, "bad_request"},
		{"bad line", "POST", tasks, typeNDJSON, "{\"id\":\"never\",\"body\":1}\n\n{\"id\":1,\"body\":2}", 400,
			`line 3: id must be a string, at byte 6`},
		{"nothing of a bad batch is stored", "POST", tasks + "?id=never", form, "x", 200, `{"id":"never"}`},
		{"plain json", "POST", tasks, typeJSON, `{"url":"x"}`, 400, "needs a member body"},
		{"empty", "POST", tasks, typeNDJSON, "\n\n", 400, "no tasks"},
		{"bad array", "POST", tasks, typeJSON, `[{"body":1},`, 400, "at byte"},
		{"unknown parameter", "POST", tasks + "?prio=3", form, "x", 400, `query parameter \"prio\" is not known here`},
		{"parameter of another form", "POST", tasks + "?id=x", typeJSON, `{"body":1}`, 400,
			`\"id\" is not known here; there are: answer`},
		{"twice", "POST", tasks + "?id=x&id=y", form, "x", 400, "comes twice"},
		{"bad query", "POST", tasks + "?%zz", form, "x", 400, "query string"},
		{"bad priority", "POST", tasks + "?priority=10", form, "x", 400, "priority=10"},
		{"bad delay", "POST", tasks + "?delay=-1s", form, "x", 400, "delay=-1s"},
		{"n without run", "POST", tasks + "?n=1", form, "x", 400, "n needs a run"},
		{"bad name", "POST", "/v1/queues/a%2Fb/tasks", form, "x", 400, "bad_name"},
		{"body too large", "POST", tasks, typeJSON, `{"body":"` + long + `"}`, 413, "too_large"},
		{"raw too large", "POST", tasks, form, long, 413, "body of 101 bytes; the limit is 100"},
		{"too many", "POST", tasks, typeNDJSON, strings.Repeat("{\"body\":1}\n", glassq.MaxBatch+1), 413, "too_large"},
	})
	r := httptest.NewRequest("POST", "http://localhost"+tasks, strings.NewReader("x"))
	r.ContentLength = maxRequest + 1
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != 413 {
		t.Errorf("put of %d bytes = %d; want 413", r.ContentLength, w.Code)
	}
}

func TestLeases(t *testing.T) {
	s := New(openStore(t), Options{})
	ask(s, "POST", "/v1/queues/q/tasks", typeNDJSON, "{\"id\":\"a\",\"body\":\"x\"}\n{\"id\":\"b\",\"body\":{\"y\":1}}\n{\"id\":\"c\",\"body\":3}\n{\"id\":\"d\",\"body\":4}\n{\"id\":\"e\",\"body\":5}\n")
	status, got := ask(s, "POST", "/v1/queues/q/reserve?max=4&lease=10s", "", "")
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if status != 200 || len(lines) != 4 {
		t.Fatalf("reserve = %d %s; want 4 leases", status, got)
	}
	tok := make([]string, len(lines))
	for i, line := range lines {
		var l glassq.Lease
		if err := envelope.ParseLease([]byte(line), &l); err != nil || l.Length != 10*time.Second || l.Attempt != 1 {
			t.Errorf("lease %s = %+v, %v", line, l, err)
		}
		tok[i] = l.Token().String()
	}
	if !strings.Contains(lines[1], `"body":{"y":1}`) {
		t.Errorf("lease %s; want the body as it was", lines[1])
	}
	one := func(members string) string { return `{"token":"` + tok[0] + `"` + members + `}` }
	runSteps(t, s, []step{
		{"extend", "POST", "/v1/extend", typeJSON, one(`,"lease":"20s"`), 200, `{"ok":true}`},
		{"ack by curl -d", "POST", "/v1/ack", form, one(`,"result":{"i":"x","o":{"ok":1}},"put":[{"queue":"next","id":"n","body":1}]`), 200, `{"ok":true}`},
		{"ack again", "POST", "/v1/ack", typeJSON, one(``), 200, `{"ok":true}`},
		{"extend of an acked", "POST", "/v1/extend", typeJSON, one(``), 409, "lease_lost"},
		{"nack", "POST", "/v1/nack", typeJSON, `{"token":"` + tok[1] + `","reason":"no","dead":true}`, 200, `{"ok":true}`},
		{"many", "POST", "/v1/ack", typeNDJSON, `{"token":"` + tok[2] + "\"}\n{\"token\":\"999999999.q\"}\nx", 200,
			"{\"ok\":true}\n{\"error\":{\"code\":\"lease_lost\""},
		{"errors only", "POST", "/v1/ack?answer=errors", typeNDJSON,
			`{"token":"` + tok[2] + "\"}\n\n{\"token\":\"999999999.q\"}\n", 200, `{"line":3,"error":{"code":"lease_lost"`},
		{"array", "POST", "/v1/nack", typeJSON, `[{"token":"` + tok[3] + `","undone":true}]`, 200, `{"ok":true}`},
		{"bad ack", "POST", "/v1/ack", typeJSON, `{"tok":1}`, 400, "bad_request"},
		{"empty ack", "POST", "/v1/ack", typeNDJSON, ``, 400, "nothing in the body"},
		{"bad parameter", "POST", "/v1/ack?answer=all", typeNDJSON, `{}`, 400, "answer=all"},
		{"result is there", "POST", "/v1/queues/results/reserve?take=true", "", "", 200, `"id":"a"`},
		{"follow-up is there", "POST", "/v1/queues/next/reserve?max=10&wait=10s", "", "", 200, `"id":"n"`},
		{"in its old place", "POST", "/v1/queues/q/reserve", "", "", 200, `"attempt":1`},
		{"none", "POST", "/v1/queues/none/reserve", "", "", 204, ""},
		{"max 0", "POST", "/v1/queues/q/reserve?max=0", "", "", 400, "max=0: want a whole number from 1 to 10000"},
		{"none for max 0", "GET", "/v1/queues/q", "", "", 200, `"leased":1`},
		{"peek max 0", "GET", "/v1/queues/q/peek?max=0", "", "", 400, "max=0: want a whole number from 1 to 1000"},
		{"lease too long", "POST", "/v1/queues/q/reserve?lease=31536000000", "", "", 400, "lease of over 292 years is not between 1s and 12h"},
		{"lease in s", "POST", "/v1/queues/none/reserve?lease=10", "", "", 204, ""},
		{"lease of 13 h in s", "POST", "/v1/queues/q/reserve?lease=46800", "", "", 400, "lease 13h0m0s is not between 1s and 12h"},
		{"wait too long", "POST", "/v1/queues/q/reserve?wait=31536000000", "", "", 200, `"attempt"`},
		{"nack delay in ms", "POST", "/v1/nack", typeJSON, `{"token":"` + tok[3] + `","delay":31536000000}`, 400, "delay of over 292 years"},
		{"extend in ms", "POST", "/v1/extend", typeJSON, `{"token":"` + tok[3] + `","lease":31536000000}`, 400, "lease of over 292 years"},
		{"too many", "POST", "/v1/queues/q/reserve?max=10001", "", "", 400, "max=10001"},
		{"negative", "POST", "/v1/queues/q/reserve?max=-1", "", "", 400, "max=-1: want a whole number from 0 to 10000"},
		{"wait below 0", "POST", "/v1/queues/q/reserve?wait=-1", "", "", 400, "wait=-1: want a duration like 250ms or a number of seconds, not negative"},
		{"options in a body", "POST", "/v1/queues/q/reserve", typeJSON, `{"max":5}`, 400, "no body; its options are query parameters, as in ?max=…"},
		{"an empty object", "POST", "/v1/queues/none/reserve", typeJSON, ` {} `, 204, ""},
		{"dead and undone", "POST", "/v1/nack", typeJSON, `{"token":"` + tok[3] + `","dead":true,"undone":true}`, 400, "either dead or undone, not both"},
		{"bad wait", "POST", "/v1/queues/q/reserve?wait=x", "", "", 400, "wait=x"},
		{"bad take", "POST", "/v1/queues/q/reserve?take=x", "", "", 400, "take=x"},
	})
}

// TestExtendSays: what a worker says goes with the next hand-out, once, and only from whoever has the
// lease.
func TestExtendSays(t *testing.T) {
	s := New(openStore(t), Options{})
	ask(s, "POST", "/v1/queues/q/tasks?run=r&n=0", form, "x")
	lease := func() string {
		_, got := ask(s, "POST", "/v1/queues/q/reserve", "", "")
		var l glassq.Lease
		if err := envelope.ParseLease([]byte(got), &l); err != nil {
			t.Fatalf("lease %s: %v", got, err)
		}
		return l.Token().String()
	}
	tok := lease()
	say := func(tok, members string) string { return `{"token":"` + tok + `",` + members + `}` }
	long := strings.Repeat("x", glassq.MaxCheckpoint+1)
	runSteps(t, s, []step{
		{"say", "POST", "/v1/extend", typeJSON, say(tok, `"seq":1,"progress":0.4,"note":"page 40","checkpoint":"at 40","put":[{"queue":"p","body":"one"}]`), 200, `{"ok":true}`},
		{"say again", "POST", "/v1/extend", typeJSON, say(tok, `"seq":1,"progress":0.4,"note":"page 40","checkpoint":"at 40","put":[{"queue":"p","body":"one"}]`), 200, `{"ok":true}`},
		{"out of turn", "POST", "/v1/extend", typeJSON, say(tok, `"seq":3,"progress":0.5`), 400, "the next one of this lease is 2"},
		{"without seq", "POST", "/v1/extend", typeJSON, say(tok, `"progress":0.5`), 400, "needs seq"},
		{"too large", "POST", "/v1/extend", typeJSON, say(tok, `"seq":2,"checkpoint":"`+long+`"`), 413, "checkpoint of 65537 bytes; the limit is 65536"},
		{"a bad partial result", "POST", "/v1/extend", typeJSON, say(tok, `"seq":2,"put":[{"body":1}]`), 400, "each task of put needs a member queue"},
		{"of nobody", "POST", "/v1/extend", typeJSON, say("99999.q", `"seq":1,"progress":0.5`), 409, "lease_lost"},
		{"in the list", "GET", "/v1/queues/q/peek?state=leased", "", "", 200, `"said":{"progress":0.4,"note":"page 40","checkpoint_bytes":5}`},
		{"of the task", "GET", "/v1/runs/r/tasks/0", "", "", 200, `"where":"pending"`},
		{"by its lease", "GET", "/v1/queues/q/tasks/" + tok, "", "", 200, `"said":{"progress":0.4,"note":"page 40","checkpoint":"at 40"}`},
		{"of the queue", "GET", "/v1/queues/q", "", "", 200, `"progress":{"tasks":1,"done":0.4}`},
		{"of the run", "GET", "/v1/runs/r", "", "", 200, `"progress":{"tasks":1,"done":0.4}`},
		{"one partial result", "GET", "/v1/queues/p", "", "", 200, `"ready":1`},
		{"give back", "POST", "/v1/nack", typeJSON, say(tok, `"undone":true`), 200, `{"ok":true}`},
		{"next", "POST", "/v1/queues/q/reserve", "", "", 200, `"said":{"progress":0.4,"note":"page 40","checkpoint":"at 40"}`},
		{"too late", "POST", "/v1/extend", typeJSON, say(tok, `"seq":2,"progress":0.9`), 409, "lease_lost"},
	})
}

// A body that is packed would come out as another one.
func TestPackedBodies(t *testing.T) {
	s := New(openStore(t), Options{})
	for coding, status := range map[string]int{"gzip": 400, "br, gzip": 400, "identity": 200, "": 200} {
		r := httptest.NewRequest("POST", "http://localhost/v1/queues/q/tasks", strings.NewReader("x"))
		r.Header.Set("Content-Encoding", coding)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != status || status == 400 && !strings.Contains(w.Body.String(), "send the body as it is") {
			t.Errorf("a put with Content-Encoding %q = %d %s, want %d", coding, w.Code, w.Body, status)
		}
	}
}

func TestQueuesAndRuns(t *testing.T) {
	s := New(openStore(t), Options{})
	for n := range 6 {
		ask(s, "POST", fmt.Sprintf("/v1/queues/q/tasks?run=r&n=%d", n*2), form, "x")
	}
	_, got := ask(s, "POST", "/v1/queues/q/reserve", "", "")
	var l glassq.Lease
	if err := envelope.ParseLease([]byte(got), &l); err != nil {
		t.Fatal(err)
	}
	ask(s, "POST", "/v1/nack", typeJSON, `{"token":"`+l.Token().String()+`","dead":true,"reason":"why"}`)
	runSteps(t, s, []step{
		{"list", "GET", "/v1/queues", "", "", 200, `{"queues":[{"name":"q"`},
		{"named", "GET", "/v1/queues?name=q", "", "", 200, `"name":"q"`},
		{"show", "GET", "/v1/queues/q", "", "", 200, `"ready":5`},
		{"show none", "GET", "/v1/queues/none", "", "", 404, "not_found"},
		{"set", "PATCH", "/v1/queues/q", typeJSON, `{"paused":true,"rate":2.5}`, 200, `"paused":true,"rate":2.5`},
		{"unset", "PATCH", "/v1/queues/q", typeJSON, `{"paused":false,"rate":0}`, 200, `"paused":false`},
		{"set unknown", "PATCH", "/v1/queues/q", typeJSON, `{"pause":true}`, 400, `member \"pause\": there is none of this name here, at byte 1`},
		{"set in other letters", "PATCH", "/v1/queues/q", typeJSON, `{"Paused":true}`, 400, "none of this name"},
		{"set badly", "PATCH", "/v1/queues/q", typeJSON, `{"paused":1}`, 400, `member \"paused\": want true or false, at byte 10`},
		{"set a word as a number", "PATCH", "/v1/queues/q", typeJSON, `{"rate":"5/s"}`, 400, "want a number"},
		{"set too much", "PATCH", "/v1/queues/q", typeJSON, `{"max_tasks":18446744073709551616}`, 400, "want a whole number, at byte"},
		{"set a member twice", "PATCH", "/v1/queues/q", typeJSON, `{"paused":true,"paused":false}`, 400, `member \"paused\" comes twice, at byte 15`},
		{"set a list", "PATCH", "/v1/queues/q", typeJSON, `[]`, 400, "want an object"},
		{"set twice", "PATCH", "/v1/queues/q", typeJSON, `{} {}`, 400, "after top-level value"},
		{"peek", "GET", "/v1/queues/q/peek?max=1", "", "", 200, `"state":"ready"`},
		{"peek dead", "GET", "/v1/queues/q/peek?state=dead", "", "", 200, `"reason":"why"`},
		{"peek wrong", "GET", "/v1/queues/q/peek?state=gone", "", "", 400, "state=gone"},
		{"peek two", "GET", "/v1/queues/q/peek?state=ready&state=dead", "", "", 400, "one state"},
		{"run ids", "GET", "/v1/runs/r/ids?max=2", "", "", 200, `{"intervals":[[0,0],[2,2]],"next":3}`},
		{"more", "GET", "/v1/runs/r/ids?from=3", "", "", 200, `{"intervals":[[4,4],[6,6],[8,8],[10,10]]}`},
		{"dead ids", "GET", "/v1/runs/r/ids?state=dead", "", "", 200, `{"intervals":[[0,0]]}`},
		{"bad ids", "GET", "/v1/runs/r/ids?state=ok", "", "", 400, "state=ok"},
		{"redrive", "POST", "/v1/queues/q/redrive?max=5", "", "", 200, `{"redriven":1}`},
		{"redrive two", "POST", "/v1/queues/q/redrive?task=r/0&task=r/2", "", "", 200, `{"redriven":0}`},
		{"redrive of no name", "POST", "/v1/queues/q/redrive?task=r/0&task=", "", "", 400, `\"task\" is empty`},
		{"runs", "GET", "/v1/runs", "", "", 200, `{"runs":[{"run":"r"`},
		{"run", "GET", "/v1/runs/r", "", "", 200, `"pending":6`},
		{"no run", "GET", "/v1/runs/none", "", "", 404, "not_found"},
		{"make run", "POST", "/v1/runs/r2", typeJSON, `{"source":"s","queue":"q"}`, 200, `"source":"s"`},
		{"conflict", "POST", "/v1/runs/r2", typeJSON, `{"source":"t"}`, 409, "run_conflict"},
		{"bad run", "POST", "/v1/runs/r2", typeJSON, `{"sealed":3}`, 400, "want true or false"},
		{"run after nothing", "POST", "/v1/runs/r2", typeJSON, `{"after":""}`, 400, `member \"after\": it is empty; leave it out`},
		{"run with a queue that is no text", "POST", "/v1/runs/r2", typeJSON, `{"queue":3}`, 400, "want a string"},
		{"bad total", "POST", "/v1/runs/r2", typeJSON, `{"total":-1}`, 400, "want a whole number, not negative"},
		{"a total without the seal", "POST", "/v1/runs/r2", typeJSON, `{"total":5}`, 400, "total needs sealed"},
		{"purge with options in a body", "POST", "/v1/queues/q/purge", typeJSON, `{"state":"dead"}`, 400, "no body; its options are query parameters, as in ?state=…"},
		{"redrive with options in a form", "POST", "/v1/queues/q/redrive", form, "max=5", 400, "as in ?task=…"},
		{"cancel with a body", "POST", "/v1/runs/r/cancel", typeJSON, `{"why":"x"}`, 400, "no body, and no options"},
		{"drop with a body", "DELETE", "/v1/queues/q", typeJSON, `{"state":"dead"}`, 400, "no body, and no options"},
		{"nothing of it is done", "GET", "/v1/queues/q", "", "", 200, `"ready":6`},
		{"a queue whose name is empty", "POST", "/v1/queues//tasks", form, "x", 404, "no such route: /v1/queues//tasks: a part of it is empty, . or .."},
		{"a queue that is a folder", "DELETE", "/v1/queues/../queues/q", "", "", 404, "no such route"},
		{"a route with a stroke behind", "POST", "/v1/queues/q/tasks/", form, "x", 404, "no such route"},
		{"await", "GET", "/v1/runs/r2?until=exists&wait=10s", "", "", 200, `"run":"r2"`},
		{"await short", "GET", "/v1/runs/r?until=complete&wait=1ms", "", "", 200, `"complete":false`},
		{"await nothing", "GET", "/v1/runs/r?wait=1s", "", "", 400, "wait needs until"},
		{"await wrong", "GET", "/v1/runs/r?until=gone", "", "", 400, "until=gone: want one of exists, complete, drained"},
		{"purge for no cause", "POST", "/v1/queues/q/purge?state=dead&why=x", "", "", 400, "why=x: want one of attempts, nacked"},
		{"no settings", "PATCH", "/v1/queues/q", typeJSON, "[]", 400, `"message":"want an object, at byte 0"`},
		{"no run's settings", "POST", "/v1/runs/r2", typeJSON, "3", 400, `"message":"want an object, at byte 0"`},
		{"events of a bad name", "GET", "/v1/events?queue=a%20b", "", "", 400, "bad_name"},
		{"events of a bad run", "GET", "/v1/events?run=..", "", "", 400, "bad_name"},
		{"cancel", "POST", "/v1/runs/r/cancel", "", "", 200, `{"cancelled":6}`},
		{"purge", "POST", "/v1/queues/q/purge?state=ready&state=dead", "", "", 200, `"purged":`},
		{"purge wrong", "POST", "/v1/queues/q/purge?state=x", "", "", 400, "bad_request"},
		{"drop", "DELETE", "/v1/queues/q", "", "", 200, `{"ok":true}`},
		{"stats", "GET", "/v1/stats", "", "", 200, `"sync":"memory"`},
		{"live", "GET", "/livez", "", "", 200, `{"ok":true}`},
		{"ready", "GET", "/readyz", "", "", 200, `{"ok":true}`},
		{"no route", "GET", "/v2", "", "", 404, `{"error":{"code":"not_found"`},
		{"wrong method", "GET", "/v1/ack", "", "", 405, "allowed: POST"},
		{"wrong method", "PUT", "/v1/queues/q", "", "", 405, "allowed: GET, PATCH, DELETE"},
		{"no parameters", "GET", "/v1/stats?x=1", "", "", 400, "there are none"},
	})
}

func TestGuards(t *testing.T) {
	s := New(openStore(t), Options{Frame: door.Frame{Access: door.NewAccess([]byte("old"), []byte("secret"))},
		Hosts: []string{"queue.example", "other:81"}})
	tests := []struct {
		name, path, host string
		header           map[string]string
		status           int
	}{
		{"key", "/v1/stats", "localhost", map[string]string{"Authorization": "Bearer secret"}, 200},
		{"older key", "/v1/stats", "localhost", map[string]string{"Authorization": "bearer old"}, 200},
		{"no key", "/v1/stats", "localhost", nil, 401},
		{"wrong key", "/v1/stats", "localhost", map[string]string{"Authorization": "Bearer secre"}, 401},
		{"wrong scheme", "/v1/stats", "localhost", map[string]string{"Authorization": "Basic secret"}, 401},
		{"no key for a missing route", "/nothing", "localhost", nil, 401},
		{"live needs none", "/livez", "localhost", nil, 200},
		{"loopback", "/livez", "127.0.0.1:5080", nil, 200},
		{"loopback v6", "/livez", "[::1]:5080", nil, 200},
		{"bare v6", "/livez", "[::1]", nil, 200},
		{"address", "/livez", "10.1.2.3", nil, 200},
		{"told name", "/livez", "Queue.Example:5080", nil, 200},
		{"told name and port", "/livez", "other:81", nil, 200},
		{"told name, other port", "/livez", "other:82", nil, 403},
		{"rebound name", "/livez", "evil.example", nil, 403},
		{"disguised name", "/livez", "127.0.0.1.evil.example", nil, 403},
		{"none, as with HTTP/1.0", "/livez", "", nil, 200},
		{"no key for a path that is not tidy", "/v1/queues//tasks", "localhost", nil, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://localhost"+tt.path, nil)
			r.Host = tt.host
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("%s for host %q = %d %s; want %d", tt.path, tt.host, w.Code, w.Body, tt.status)
			}
			if tt.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
	open := New(openStore(t), Options{Hosts: []string{"*"}})
	for header, status := range map[string]int{"same-origin": 204, "cross-site": 403} {
		r := httptest.NewRequest("POST", "http://any.example/v1/queues/q/reserve", nil)
		r.Header.Set("Sec-Fetch-Site", header)
		w := httptest.NewRecorder()
		if open.ServeHTTP(w, r); w.Code != status {
			t.Errorf("POST from %s = %d; want %d", header, w.Code, status)
		}
		if status == 403 && !strings.Contains(w.Body.String(), `"forbidden"`) {
			t.Errorf("cross-site answer %s; want JSON", w.Body)
		}
	}
}

// A stub is a store of which single verbs are replaced.
type stub struct {
	glassq.Store
	stats   func() (glassq.Stats, error)
	put     func() ([]glassq.Receipt, error)
	reserve func(context.Context) ([]glassq.Lease, error)
	nack    func(context.Context, []glassq.Nack) ([]error, error)
}

func (s *stub) Stats(context.Context) (glassq.Stats, error) { return s.stats() }
func (s *stub) Put(context.Context, []glassq.Task) ([]glassq.Receipt, error) {
	return s.put()
}
func (s *stub) Reserve(ctx context.Context, _ glassq.Reserve) ([]glassq.Lease, error) {
	return s.reserve(ctx)
}
func (s *stub) Nack(ctx context.Context, n []glassq.Nack) ([]error, error) { return s.nack(ctx, n) }

func TestStatusOfErrors(t *testing.T) {
	for code, want := range map[glassq.Code]int{
		glassq.CodeQueueFull: 429, glassq.CodeStorageFull: 507, glassq.CodeClosed: 503,
		glassq.CodeUnknown: 503, glassq.CodeStorage: 500,
		glassq.CodeDamaged: 500, glassq.CodeUnsupported: 501, glassq.CodeRunConflict: 409, glassq.CodeForbidden: 403,
	} {
		st := &stub{put: func() ([]glassq.Receipt, error) { return nil, glassq.Errorf(code, "no") }}
		r := httptest.NewRequest("POST", "http://localhost/v1/queues/q/tasks", strings.NewReader("x"))
		w := httptest.NewRecorder()
		New(broker.New(st, glassq.Limits{}), Options{}).ServeHTTP(w, r)
		if w.Code != want || !strings.Contains(w.Body.String(), `"code":"`+string(code)+`"`) {
			t.Errorf("%s = %d %s; want %d", code, w.Code, w.Body, want)
		}
		if again := w.Header().Get("Retry-After") != ""; again != (want == 429 || want == 503) {
			t.Errorf("%s: Retry-After is %v", code, again)
		}
	}
	st := &stub{
		put:   func() ([]glassq.Receipt, error) { panic("bug") },
		stats: func() (glassq.Stats, error) { return glassq.Stats{}, errors.New("boom") },
	}
	runSteps(t, New(broker.New(st, glassq.Limits{}), Options{}), []step{
		{"panic", "POST", "/v1/queues/q/tasks", form, "x", 500, `"internal"`},
		{"plain error", "GET", "/v1/stats", "", "", 500, `"internal"`},
		{"not ready", "GET", "/readyz", "", "", 503, `"unavailable"`},
	})
}

func TestCountOfScatteredNumbers(t *testing.T) {
	st := &stub{put: func() ([]glassq.Receipt, error) {
		return []glassq.Receipt{{Number: 5}, {Duplicate: true}, {Number: 9}}, nil
	}}
	runSteps(t, New(broker.New(st, glassq.Limits{}), Options{}), []step{
		{"count", "POST", "/v1/queues/q/tasks?answer=count", typeNDJSON, strings.Repeat("{\"body\":1}\n", 3), 200,
			`{"put":2,"duplicates":1,"first":5,"duplicates_at":[1],"numbers":[5,0,9]}`},
	})
}

// brokenWriter is a connection that is gone.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestUnsentLeasesGoBack(t *testing.T) {
	var nacked []glassq.Nack
	st := &stub{
		reserve: func(context.Context) ([]glassq.Lease, error) {
			return []glassq.Lease{{Task: glassq.Task{Queue: "q"}, Number: 7}}, nil
		},
		nack: func(ctx context.Context, n []glassq.Nack) ([]error, error) {
			nacked = append(nacked, n...)
			return nil, ctx.Err()
		},
	}
	s := New(broker.New(st, glassq.Limits{}), Options{})
	r := httptest.NewRequest("POST", "http://localhost/v1/queues/q/reserve", nil)
	s.ServeHTTP(brokenWriter{httptest.NewRecorder()}, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	if len(nacked) != 2 || !nacked[0].Undone || nacked[0].Token != (glassq.Token{Queue: "q", Number: 7}) ||
		!nacked[1].Undone {
		t.Errorf("nacked %+v; want both leases undone", nacked)
	}
}

// TestRun drives a real connection: a parked reserve ends when the server stops, and Run returns.
func TestRun(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	parked := make(chan struct{})
	st := &stub{reserve: func(ctx context.Context) ([]glassq.Lease, error) {
		close(parked)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	ctx, stop := context.WithCancel(t.Context())
	s := New(broker.New(st, glassq.Limits{}), Options{Frame: door.Frame{Version: "1"}})
	var wg sync.WaitGroup
	defer wg.Wait()
	ran := make(chan error, 1)
	wg.Go(func() { ran <- s.Run(ctx, ln) })
	wg.Go(func() {
		<-parked
		stop()
	})
	resp, err := http.Post("http://"+ln.Addr().String()+"/v1/queues/q/reserve?wait=10m", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var a struct{ Error struct{ Code glassq.Code } }
	if json.NewDecoder(resp.Body).Decode(&a); resp.StatusCode != 503 || a.Error.Code != glassq.CodeClosed {
		t.Errorf("parked reserve = %d %s; want 503 closed", resp.StatusCode, a.Error.Code)
	}
	if err := <-ran; err != nil {
		t.Errorf("Run = %v", err)
	}
	if status, _ := ask(s, "GET", "/readyz", "", ""); status != 503 {
		t.Errorf("readyz after the drain = %d; want 503", status)
	}
}

func TestClientGoneWhileParked(t *testing.T) {
	parked, left := make(chan struct{}), make(chan struct{})
	st := &stub{reserve: func(ctx context.Context) ([]glassq.Lease, error) {
		close(parked)
		<-ctx.Done()
		close(left)
		return nil, ctx.Err()
	}}
	srv := httptest.NewServer(New(broker.New(st, glassq.Limits{}), Options{}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		<-parked
		cancel()
	})
	r, _ := http.NewRequestWithContext(ctx, "POST", srv.URL+"/v1/queues/q/reserve?wait=10m", nil)
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		t.Error("the cancelled request was answered")
	}
	<-left
}

// TestChunkedBody reads a body of unknown length, and one that ends early.
func TestChunkedBody(t *testing.T) {
	srv := httptest.NewServer(New(openStore(t), Options{}))
	defer srv.Close()
	resp, err := http.Post(srv.URL+"/v1/queues/q/tasks", "text/plain",
		io.MultiReader(strings.NewReader("a"), strings.NewReader("b")))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("chunked put = %v, %v", resp, err)
	}
	resp.Body.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /v1/queues/short/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
	c.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(c)
	if !bytes.Contains(answer, []byte("400 Bad Request")) {
		t.Errorf("short body = %s; want 400", answer)
	}
}

func BenchmarkPut1000(b *testing.B) {
	st := &stub{put: func() ([]glassq.Receipt, error) { return make([]glassq.Receipt, 1000), nil }}
	s := New(broker.New(st, glassq.Limits{}), Options{})
	var body strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&body, "{\"run\":\"r1\",\"n\":%d,\"body\":\"http://localhost:8888/?q=%d\"}\n", i, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if status, _ := ask(s, "POST", "/v1/queues/q/tasks?answer=count", typeNDJSON, body.String()); status != 200 {
			b.Fatal(status)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/task")
}
