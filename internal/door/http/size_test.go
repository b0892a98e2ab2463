package httpdoor

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

// TestSmallRequests: a request whose parts would take many times its own length is refused for that
// length.
func TestSmallRequests(t *testing.T) {
	s := New(openStore(t), Options{})
	long := strings.Repeat("1,", 2<<20)
	tests := []struct {
		name, target, body string
		status             int
		want               string
	}{
		{"an array of 2 million numbers", "/v1/queues/q/tasks", "[" + long + "1]", 413, "split it"},
		{"acks of 2 million numbers", "/v1/ack", "[" + long + "1]", 413, "split it"},
		{"an array that does not end", "/v1/queues/q/tasks", `[{"body":1}`, 400, "JSON"},
		{"an ack with 200,000 tasks", "/v1/ack", `{"token":"1.q","put":[` + strings.Repeat(`{"queue":"q","body":1},`, 200_000) +
			`{"queue":"q","body":1}]}`, 400, "at most"},
		{"many headers", "/v1/queues/q/tasks", `{"body":1,"headers":{` + strings.Repeat(`"a":"",`, 500_000) + `"b":""}}`,
			400, "bytes of headers"},
		{"an array of two", "/v1/queues/q/tasks", ` [ {"body":"a"} , {"body":"b"} ] `, 200, `{"id":"`},
		{"nested as deep as JSON goes", "/v1/queues/q/tasks", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
			400, "must begin with"},
		{"nested deeper", "/v1/queues/q/tasks", strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), 400, "depth"},
		{"an empty array", "/v1/queues/q/tasks", ` [ ] `, 400, "no tasks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			status, got := ask(s, "POST", tt.target, typeJSON, tt.body)
			runtime.ReadMemStats(&after)
			if status != tt.status || !strings.Contains(got, tt.want) {
				t.Errorf("%d %.200s; want %d with %q", status, got, tt.status, tt.want)
			}
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 48 {
				t.Errorf("%d MiB allocated for %d MiB", used, len(tt.body)>>20)
			}
		})
	}
}

// TestQueueNamedOften: a queue that a request names many times is answered once.
func TestQueueNamedOften(t *testing.T) {
	store := openStore(t)
	if _, err := store.Put(t.Context(), []glassq.Task{{Queue: "q", Body: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	status, got := ask(New(store, Options{}), "GET", "/v1/queues?"+strings.Repeat("name=q&", 1000), "", "")
	if n := strings.Count(got, `"name":"q"`); status != 200 || n != 1 {
		t.Errorf("%d, the queue is listed %d times: %.300s", status, n, got)
	}
}

// TestPeekOfLongBodies: a page of bodies that are six times as long in JSON is sent in pieces.
func TestPeekOfLongBodies(t *testing.T) {
	store := openStore(t)
	for range 5 {
		if _, err := store.Put(t.Context(), []glassq.Task{{Queue: "q", Type: glassq.TypeText,
			Body: []byte(strings.Repeat("\x01", 1<<20))}}); err != nil {
			t.Fatal(err)
		}
	}
	rw := &pieces{header: http.Header{}}
	New(store, Options{}).ServeHTTP(rw, httptest.NewRequest("GET", "http://localhost/v1/queues/q/peek?max=1000", nil))
	if rw.status != 200 && rw.status != 0 || rw.size < 5*6<<20 || rw.largest > 8<<20 {
		t.Errorf("status %d, %d MiB, the largest piece has %d MiB", rw.status, rw.size>>20, rw.largest>>20)
	}
}

// pieces is a client that counts.
type pieces struct {
	header                http.Header
	status, size, largest int
}

func (p *pieces) Header() http.Header    { return p.header }
func (p *pieces) WriteHeader(status int) { p.status = status }
func (p *pieces) Write(b []byte) (int, error) {
	p.size += len(b)
	p.largest = max(p.largest, len(b))
	return len(b), nil
}
