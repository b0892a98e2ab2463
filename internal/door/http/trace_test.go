package httpdoor

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/glassq/glassq"
)

// TestTrace: the trace of a request goes to its tasks, and from a task to its result and
// follow-ups, whatever the worker knows of it.
func TestTrace(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	tests := []struct{ name, header, put, ack, result, next string }{
		{"header of the put", trace, `{"body":"x"}`, `"result":{"i":1,"o":{"ok":1}}`, trace, ""},
		{"member of the task", "", `{"body":"x","headers":{"traceparent":"` + trace + `"}}`, `"result":{"o":{"ok":1}}`, trace, ""},
		{"the task's own wins", "00-0-0-00", `{"body":"x","headers":{"traceparent":"` + trace + `"}}`, `"result":{}`, trace, ""},
		{"beside another header", trace, `{"body":"x","headers":{"k":"v"}}`, `"result":{}`, trace, ""},
		{"dense task", trace, `{"body":"x","run":"r","n":7}`, `"result":{}`, trace, ""},
		{"follow-up", trace, `{"body":"x"}`, `"put":[{"queue":"next","body":"y"}]`, "", trace},
		{"follow-up with its own", trace, `{"body":"x"}`, `"put":[{"queue":"next","body":"y","headers":{"traceparent":"own"}}]`, "", "own"},
		{"none", "", `{"body":"x"}`, `"result":{},"put":[{"queue":"next","body":"y"}]`, "", ""},
		{"not a trace", "a b", `{"body":"x"}`, `"result":{}`, "", ""},
		{"too long", strings.Repeat("a", 300), `{"body":"x"}`, `"result":{}`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := openStore(t)
			s := New(b, Options{})
			r := httptest.NewRequest("POST", "http://localhost/v1/queues/q/tasks", strings.NewReader(tt.put))
			r.Header.Set("Content-Type", typeJSON)
			if tt.header != "" {
				r.Header.Set("Traceparent", tt.header)
			}
			rec := httptest.NewRecorder()
			if s.ServeHTTP(rec, r); rec.Code != 200 {
				t.Fatalf("put = %d %s", rec.Code, rec.Body)
			}
			leases, err := b.Reserve(t.Context(), glassq.Reserve{Queue: "q"})
			if err != nil || len(leases) != 1 {
				t.Fatal(leases, err)
			}
			body := `{"token":"` + leases[0].Token().String() + `",` + tt.ack + `}`
			if code, text := ask(s, "POST", "/v1/ack", typeJSON, body); code != 200 {
				t.Fatalf("ack = %d %s", code, text)
			}
			for queue, want := range map[string]string{"results": tt.result, "next": tt.next} {
				got := ""
				leases, err := b.Reserve(t.Context(), glassq.Reserve{Queue: queue})
				if err != nil {
					t.Fatal(err)
				}
				if len(leases) == 1 {
					got = leases[0].Headers[glassq.TraceHeader]
				}
				if got != want {
					t.Errorf("traceparent in %s = %q, want %q", queue, got, want)
				}
			}
		})
	}
}
