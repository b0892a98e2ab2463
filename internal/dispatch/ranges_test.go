package dispatch

import (
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/template"
)

// TestRanges: numbers are put as ranges where a template makes their bodies, and what is there
// afterwards is the same as when they are put one by one.
func TestRanges(t *testing.T) {
	field := func(s string) Field {
		f, err := ParseField(s)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	tests := []struct {
		name   string
		tmpl   string
		req    *Request
		first  uint64
		refuse error // of ranges
		ranges bool
	}{
		{"a URL", "http://h/?q={0}", nil, 10, nil, true},
		{"digits", "{0:06}/{=0:03}/{0}", nil, 0, nil, true},
		{"no number", "plain", nil, 5, nil, true},
		{"braces", "{{x}} {{{0}}}", nil, 0, nil, true},
		{"a literal like a number", "{{0}} {0}", nil, 0, nil, false},
		{"a request", "http://h/{0}", &Request{Method: "POST", Header: []Field{field("X-N: {0:04}"), field("X-N: a\"b")},
			Body: ParseData(`{"n":{0},"s":"{=0}"}`), Timeout: time.Second}, 7, nil, true},
		{"a request whose body is bytes", "http://h/{0}", &Request{Body: Literal("\xff{0}")}, 7, nil, true},
		{"bytes with a number", "http://h/{0}", &Request{Body: ParseData("\xff{0}")}, 7, nil, false},
		{"a queue with a schema", "{0}", nil, 0, &glassq.Error{Code: glassq.CodeUnsupported}, false},
		{"large numbers", "{0}", nil, 1<<64 - 301, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run := func(single bool) (*fakeQueue, Report) {
				q := newFake()
				q.noRanges = tt.refuse
				src, err := NewCounter(mustTemplate(t, tt.tmpl), tt.req, tt.first, 300)
				if err != nil {
					t.Fatal(err)
				}
				rep, err := Run(t.Context(), q, Options{Source: src, Run: "r", Single: single, Priority: glassq.Level(2),
					Attempts: 3, Headers: map[string]string{"h": "1"}})
				if err != nil || rep.Put != 300 || rep.Total != 300 || !rep.Run.Sealed || rep.Run.Total != 300 {
					t.Fatalf("Run, single %v = %+v, %v; want 300 put and sealed", single, rep, err)
				}
				return q, rep
			}
			one, _ := run(true)
			many, _ := run(false)
			if one.ranges != 0 || many.ranges > 0 != tt.ranges {
				t.Errorf("%d and %d ranges were put; want none and ranges %v", one.ranges, many.ranges, tt.ranges)
			}
			if one.run.Source != many.run.Source {
				t.Errorf("source %q and %q", one.run.Source, many.run.Source)
			}
			for id, want := range one.tasks {
				got := many.tasks[id]
				if string(got.Body) != string(want.Body) || got.Type != want.Type || got.Priority != want.Priority ||
					got.Attempts != want.Attempts || got.Headers["h"] != "1" || got.Position != want.Position || got.Queue != want.Queue {
					t.Fatalf("task %s = %+v (%s); want %+v (%s)", id, got, got.Body, want, want.Body)
				}
			}
		})
	}
}

// TestRangesGoOn: a run that was put in part is gone on with, whichever way.
func TestRangesGoOn(t *testing.T) {
	q := newFake()
	for n := uint32(0); n < 500; n += 2 {
		q.tasks[glassq.DenseID("r", n)] = glassq.Task{}
	}
	var notes []string
	rep, err := Run(t.Context(), q, Options{Run: "r", Source: counterOf(t, "{0}", 0, 1000),
		Notify: func(s string) { notes = append(notes, s) }})
	if err != nil || rep.Put != 750 || rep.Skipped != 250 || rep.Total != 1000 || q.ranges != 1 || len(notes) > 0 {
		t.Errorf("Run = %+v, %v, %d ranges, said %q; want 750 put, 250 skipped", rep, err, q.ranges, notes)
	}
	q = newFake()
	q.room = 350
	q.refuse[4] = &glassq.Error{Code: glassq.CodeBadRequest} // after 1000, 500 and 250, which had room
	rep, err = Run(t.Context(), q, Options{Run: "r", Source: counterOf(t, "{0}", 0, 1000), Notify: func(s string) {
		if !strings.Contains(s, "one by one") {
			t.Errorf("said %q", s)
		}
		q.mu.Lock()
		q.room = 1000
		q.mu.Unlock()
	}})
	if err != nil || rep.Put != 1000 || rep.Total != 1000 || len(q.tasks) != 1000 {
		t.Errorf("Run = %+v, %v, %d tasks; want 1000 put", rep, err, len(q.tasks))
	}
}

// TestRangeOfMany: the template of a request is made once, and stays one.
func TestRangeOfMany(t *testing.T) {
	src, err := NewCounter(mustTemplate(t, "http://h/{0}"), &Request{Method: "PUT"}, 0, MaxTasks)
	if err != nil {
		t.Fatal(err)
	}
	all, ok := src.(*counter).asRange()
	made := template.Parse(all.Body)
	if want := `{"url":"http://h/4294967295","method":"PUT"}`; !ok || all.Range.Count != MaxTasks ||
		string(made.Append(nil, MaxTasks-1)) != want || all.Type != glassq.TypeJSON {
		t.Errorf("asRange = %s, %+v, %v", all.Body, all.Range, ok)
	}
	_, err = NewCounter(mustTemplate(t, "{0}"), nil, 0, MaxTasks+1)
	if err == nil || !strings.Contains(err.Error(), "a run has at most 4294967296") {
		t.Errorf("NewCounter of 2^32+1 = %v", err)
	}
}
