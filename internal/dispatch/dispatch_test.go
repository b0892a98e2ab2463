package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/template"
)

// A fakeQueue keeps one run's tasks in memory.
type fakeQueue struct {
	mu     sync.Mutex
	run    glassq.Run
	tasks  map[string]glassq.Task
	room   int           // tasks that still fit
	puts   int           // calls of Put
	refuse map[int]error // by number of the call, from 1
	paged  int

	ranges   int   // ranges that were put
	noRanges error // why they are refused
}

func newFake() *fakeQueue {
	return &fakeQueue{tasks: make(map[string]glassq.Task), room: 1 << 30, refuse: make(map[int]error)}
}

func (q *fakeQueue) Put(ctx context.Context, tasks []glassq.Task) ([]glassq.Receipt, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.puts++
	if err := q.refuse[q.puts]; err != nil {
		return nil, err
	}
	n := 0
	for i := range tasks {
		n += int(tasks[i].Tasks())
		if tasks[i].Range != nil && q.noRanges != nil {
			return nil, q.noRanges
		}
	}
	if n > q.room {
		return nil, glassq.ErrQueueFull
	}
	receipts := make([]glassq.Receipt, len(tasks))
	for i, t := range tasks {
		if r := t.Range; r != nil {
			q.ranges++
			made := template.Parse(t.Body)
			for k := range r.Count {
				x := t
				x.Range, x.Position = nil, t.Position+uint32(k)
				x.Body = made.Append(nil, uint64(x.Position)+r.Add)
				if _, ok := q.tasks[x.TaskID()]; !ok {
					q.tasks[x.TaskID()] = x
					q.room--
					receipts[i].Put++
				}
			}
			receipts[i].Duplicate = receipts[i].Put == 0
			continue
		}
		id := t.TaskID()
		if _, ok := q.tasks[id]; ok {
			receipts[i].Duplicate = true
			continue
		}
		q.room--
		t.Body = append([]byte(nil), t.Body...)
		q.tasks[id] = t
		receipts[i].Number = uint64(len(q.tasks))
	}
	return receipts, nil
}

func (q *fakeQueue) SetRun(ctx context.Context, name string, c glassq.RunChange) (glassq.Run, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := &q.run
	if r.Name == "" {
		*r = glassq.Run{Name: name}
	}
	for _, f := range []struct {
		have *string
		want string
	}{{&r.Source, c.Source}, {&r.Queue, c.Queue}, {&r.Results, c.Results}} {
		if *f.have != "" && f.want != "" && *f.have != f.want {
			return *r, glassq.Errorf(glassq.CodeRunConflict, "it has %s, not %s", *f.have, f.want)
		}
		if f.want != "" {
			*f.have = f.want
		}
	}
	if c.Sealed {
		if r.Sealed && r.Total != c.Total {
			return *r, glassq.ErrRunConflict
		}
		r.Sealed, r.Total = true, c.Total
	}
	return *r, nil
}

func (q *fakeQueue) RunIDs(ctx context.Context, name string, set glassq.IDSet, from uint32,
	max int) (page []glassq.Interval, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paged++
	open := false
	for n := from; n < 20_000 && len(page) <= max; n++ {
		_, have := q.tasks[glassq.DenseID(name, n)]
		switch {
		case have && open:
			page[len(page)-1].Last = n
		case have:
			page = append(page, glassq.Interval{First: n, Last: n})
		}
		open = have
	}
	return page[:min(max, len(page))], nil
}

func mustTemplate(t testing.TB, s string) *Template {
	t.Helper()
	tmpl, err := ParseTemplate(s)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func counterOf(t testing.TB, s string, first, count uint64) Source {
	t.Helper()
	src, err := NewCounter(mustTemplate(t, s), nil, first, count)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestRun(t *testing.T) {
	q := newFake()
	rep, err := Run(t.Context(), q, Options{Source: counterOf(t, "http://h/?q={0}", 10, 5000), Run: "r1", Batch: 300,
		Priority: glassq.Level(7)})
	if err != nil || rep.Put != 5000 || rep.Total != 5000 || !rep.Run.Sealed || rep.Run.Total != 5000 {
		t.Fatalf("Run = %+v, %v; want 5000 put and sealed", rep, err)
	}
	last := q.tasks["r1/4999"]
	if string(last.Body) != "http://h/?q=5009" || last.Queue != "tasks" || last.Priority.Level() != 7 || !last.Dense ||
		last.ID != "" {
		t.Errorf("last task = %+v", last)
	}
	if q.run.Results != "results.r1" || q.run.Source != `template "http://h/?q={0}" 10..5009` {
		t.Errorf("run = %+v", q.run)
	}
}

func TestRunResumes(t *testing.T) {
	q := newFake()
	q.refuse[4] = glassq.ErrStorage
	opt := Options{Run: "r1", Batch: 100, Parallel: 1, Single: true}
	opt.Source = counterOf(t, "{0}", 0, 1000)
	rep, err := Run(t.Context(), q, opt)
	if !errors.Is(err, glassq.ErrStorage) || rep.Put != 300 || rep.Run.Sealed {
		t.Fatalf("first Run = %+v, %v; want 300 put, storage_failed", rep, err)
	}
	for n := uint32(500); n < 700; n += 2 {
		delete(q.tasks, glassq.DenseID("r1", n))
		q.tasks[glassq.DenseID("r1", n+1)] = glassq.Task{}
	}
	var progress uint64
	opt.Parallel = 0
	opt.Progress = func(done, total uint64) {
		q.mu.Lock()
		progress = max(progress, done)
		q.mu.Unlock()
	}
	opt.Source = counterOf(t, "{0}", 0, 1000)
	rep, err = Run(t.Context(), q, opt)
	if err != nil || rep.Put != 600 || rep.Skipped != 400 || rep.Duplicates != 0 || rep.Total != 1000 ||
		len(q.tasks) != 1000 || progress != 1000 {
		t.Errorf("second Run = %+v, %v, %d tasks, progress %d; want 600 put, 400 skipped", rep, err, len(q.tasks), progress)
	}
	opt.Source = counterOf(t, "{0}", 0, 1001)
	if _, err = Run(t.Context(), q, opt); !errors.Is(err, glassq.ErrRunConflict) {
		t.Errorf("Run of another source = %v, want run_conflict", err)
	}
	opt.Source, _ = NewLines(strings.NewReader("a\n"), LineOptions{Format: Text})
	if _, err = Run(t.Context(), q, opt); !errors.Is(err, glassq.ErrRunConflict) {
		t.Errorf("Run of a stream = %v, want run_conflict", err)
	}
}

func TestSkippingManyPages(t *testing.T) {
	q := newFake()
	for n := uint32(0); n < 5000; n += 2 {
		q.tasks[glassq.DenseID("r1", n)] = glassq.Task{}
	}
	rep, err := Run(t.Context(), q, Options{Run: "r1", Single: true, Source: counterOf(t, "{0}", 0, 5000)})
	if err != nil || rep.Put != 2500 || rep.Skipped != 2500 || rep.Duplicates != 0 || q.paged < 3 {
		t.Errorf("Run = %+v, %v, %d pages; want 2500 put, 2500 skipped, 3 pages", rep, err, q.paged)
	}
}

func TestRunWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		q.room = 150
		go func() {
			for range 5 {
				time.Sleep(time.Minute)
				q.mu.Lock()
				q.room += 200
				q.mu.Unlock()
			}
		}()
		var notes []string
		rep, err := Run(t.Context(), q, Options{Source: counterOf(t, "{0}", 0, 1000), Batch: 1000, Parallel: 1,
			Notify: func(s string) { notes = append(notes, s) }})
		if err != nil || rep.Put != 1000 || rep.Took < 5*time.Minute || rep.Took > 6*time.Minute {
			t.Errorf("Run = %+v, %v; want 1000 put in 5 minutes", rep, err)
		}
		if len(notes) < 20 || len(notes) > 40 || !strings.Contains(notes[0], "queue full (150 put") {
			t.Errorf("%d notes, first %q", len(notes), notes[0])
		}
	})
}

// TestRunWaitsForItsRate: a dispatch waits as long as it is told to.
func TestRunWaitsForItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		for i, wait := range []time.Duration{time.Minute, 3 * time.Hour} {
			q.refuse[2+i] = fmt.Errorf("put: %w", &glassq.Error{Code: glassq.CodeQuota, Message: "too fast", RetryAfter: wait})
		}
		var notes []string
		rep, err := Run(t.Context(), q, Options{Source: counterOf(t, "{0}", 0, 1000), Batch: 100, Parallel: 1, Single: true,
			Notify: func(s string) { notes = append(notes, s) }})
		if err != nil || rep.Put != 1000 || rep.Took != 3*time.Hour+time.Minute || q.puts != 12 {
			t.Errorf("Run = %+v, %v, %d puts; want 1000 tasks in 3h1m and 12 puts", rep, err, q.puts)
		}
		if len(notes) != 2 || !strings.Contains(notes[0], "too fast (100 put") {
			t.Errorf("notes %q", notes)
		}
		q = newFake()
		q.refuse[1] = &glassq.Error{Code: glassq.CodeQuota, Message: "too fast", RetryAfter: time.Hour}
		rep, err = Run(t.Context(), q, Options{Source: counterOf(t, "{0}", 0, 1000)})
		if err != nil || rep.Put != 1000 || rep.Took != time.Hour || q.puts != 2 {
			t.Errorf("Run of a range = %+v, %v, %d puts; want 1000 tasks in 1h and 2 puts", rep, err, q.puts)
		}
		q = newFake()
		q.refuse[1] = &glassq.Error{Code: glassq.CodeQuota, Message: "too many queues"}
		if _, err := Run(t.Context(), q, Options{Source: counterOf(t, "{0}", 0, 10)}); glassq.CodeOf(err) != glassq.CodeQuota {
			t.Errorf("a quota without an end: %v; want that it is said at once", err)
		}
	})
}

func TestRunCancelledAndUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFake()
		q.room = 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := Run(ctx, q, Options{Source: counterOf(t, "{0}", 0, 10)}); !errors.Is(err, context.DeadlineExceeded) ||
			q.run.Sealed {
			t.Errorf("Run = %v, want deadline exceeded", err)
		}
		q = newFake()
		q.refuse[1] = glassq.ErrUnknown
		if _, err := Run(t.Context(), q, Options{Source: counterOf(t, "{0}", 0, 10)}); !errors.Is(err, glassq.ErrUnknown) {
			t.Errorf("Run = %v; want that the client alone repeats a put", err)
		}
	})
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	tests := []struct {
		name, in, tmpl string
		format         Format
		want           []string
		err            string
	}{
		{"text", "\xef\xbb\xbfa\r\n\n b \nc", "", Text, []string{"a", " b ", "c"}, ""},
		{"long", "a\n" + long + "\nb\n", "", Text, []string{"a", long, "b"}, ""},
		{"template", "a b\nü\n", "/{0:02}/{line}?{=line}", Text, []string{"/00/a%20b?a b", "/01/%C3%BC?ü"}, ""},
		{"ndjson", "{\"body\":\"u\",\"priority\":9}\n \n{\"url\":\"v\"}\n\"w\"\n[1]\n{\"url\":\"v\",\"body\":\"e30=\"}\n{\"b64\":\"eA==\"}", "", NDJSON,
			[]string{"u", `{"url":"v"}`, "w", "[1]", `{"url":"v","body":"e30="}`, "x"}, ""},
		{"bad json", "1\n\n{\"url\":\n", "", NDJSON, []string{"1"}, "line 3: "},
		{"bad envelope", "{\"body\":1,\"priority\":\"x\"}\n", "", NDJSON, nil, "line 1: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var tmpl *Template
			if tt.tmpl != "" {
				tmpl = mustTemplate(t, tt.tmpl)
			}
			q := newFake()
			path := filepath.Join(t.TempDir(), "in")
			if err := os.WriteFile(path, []byte(tt.in), 0o600); err != nil {
				t.Fatal(err)
			}
			src, err := OpenFile(path, LineOptions{Format: tt.format, Template: tmpl})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			rep, err := Run(t.Context(), q, Options{Source: src, Run: "r", Parallel: 1})
			if tt.err != "" {
				le, ok := errors.AsType[*LineError](err)
				if !ok || !strings.HasPrefix(le.Error(), path+", "+tt.err) {
					t.Errorf("Run = %v, want %q", err, tt.err)
				}
				return
			}
			if total, known := src.Total(); err != nil || !known || total != uint64(len(tt.want)) || rep.Put != total {
				t.Fatalf("Run = %+v, %v; total %d; want %d", rep, err, total, len(tt.want))
			}
			for i, want := range tt.want {
				if got := string(q.tasks[fmt.Sprintf("r/%d", i)].Body); got != want {
					t.Errorf("body %d = %.80q, want %.80q", i, got, want)
				}
			}
		})
	}
}

func TestLinesWithIDs(t *testing.T) {
	q := newFake()
	src, err := NewLines(strings.NewReader(`{"id":"mine","body":1}
{"id":"old/3","run":"old","n":3,"body":2}
{"id":"mine","body":3}
`), LineOptions{Format: NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), q, Options{Source: src, Run: "new", Headers: map[string]string{"h": "1"}})
	if err != nil || rep.Put != 2 || rep.Duplicates != 1 || rep.Total != 3 {
		t.Fatalf("Run = %+v, %v; want 2 put, 1 duplicate", rep, err)
	}
	if a, b := q.tasks["mine"], q.tasks["new/1"]; a.Dense || a.Run != "new" || string(b.Body) != "2" ||
		b.Headers["h"] != "1" {
		t.Errorf("tasks = %+v", q.tasks)
	}
}

func TestFileChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := OpenFile(path, LineOptions{Format: Text})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := os.WriteFile(path, []byte("a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	q := newFake()
	if _, err := Run(t.Context(), q, Options{Source: src}); err == nil || !strings.Contains(err.Error(), "changed") ||
		q.run.Sealed {
		t.Errorf("Run = %v, want that the file was changed", err)
	}
}

func TestRunName(t *testing.T) {
	name := NewRunName(time.Date(2026, 11, 24, 15, 30, 0, 0, time.UTC))
	if !strings.HasPrefix(name, "r-20261124-153000-") || len(name) != 22 || glassq.CheckName(name) != nil {
		t.Errorf("NewRunName = %q", name)
	}
}

func BenchmarkCounter(b *testing.B) {
	src := counterOf(b, "http://localhost:8888/?q={0}", 0, MaxTasks)
	dst := make([]glassq.Task, 2000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := src.Next(dst); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*2000/b.Elapsed().Seconds(), "tasks/s")
}

func BenchmarkLines(b *testing.B) {
	text := strings.Repeat("http://localhost:8888/?q=1234567\n", 2000)
	dst := make([]glassq.Task, 2000)
	b.ReportAllocs()
	for b.Loop() {
		src, err := newLines(strings.NewReader(text), LineOptions{Format: Text})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := src.Next(dst); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*2000/b.Elapsed().Seconds(), "tasks/s")
}

// What Windows programs call Unicode is refused as a whole: none of its lines is text.
func TestUTF16(t *testing.T) {
	for _, tt := range []struct {
		name, begin string
		format      Format
	}{
		{"text", "\xff\xfea\x00\n\x00", Text},
		{"big end first", "\xfe\xff\x00a\x00\n", Text},
		{"lines of JSON", "\xff\xfe{\x00}\x00\n\x00", NDJSON},
		{"columns", "\xff\xfea\x00,\x00b\x00\n\x00", CSV},
		{"targets", "\xff\xfeG\x00E\x00T\x00\n\x00", Vegeta},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "in")
			if err := os.WriteFile(path, []byte(tt.begin), 0o600); err != nil {
				t.Fatal(err)
			}
			src, err := OpenFile(path, LineOptions{Format: tt.format, SkipBad: func(*LineError) {}})
			if err == nil {
				defer src.Close()
				_, err = Run(t.Context(), newFake(), Options{Source: src, Run: "r", Parallel: 1})
			}
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "it is UTF-16") {
				t.Errorf("a file of UTF-16: %v, want an error that names it", err)
			}
		})
	}
}

// TestSlowStream: what a stream has brought is put, though it brings no more for now, and a read
// that waits does not keep a dispatch that is to end.
func TestSlowStream(t *testing.T) {
	tests := []struct {
		name, begin, in string
		opt             LineOptions
		want            int
	}{
		{"text", "", "a\nb\n", LineOptions{Format: Text}, 2},
		{"a line that has no end yet", "", "a\nb\nc", LineOptions{Format: Text}, 2},
		{"empty lines", "", "a\n\nb\n\n\n", LineOptions{Format: Text}, 2},
		{"comments", "", "a\n# no\nb\n# no\n", LineOptions{Format: Text, Comments: true}, 2},
		{"ended by NUL", "", "a\x00b\x00", LineOptions{Format: Text, NUL: true}, 2},
		{"ndjson", "", "{\"body\":1}\r\n \n[2]\n \n", LineOptions{Format: NDJSON}, 2},
		{"csv", "x\n", "1\n2\n", LineOptions{Format: CSV}, 2},
		{"csv with empty lines", "x\n", "1\n\n2\n\r\n\n", LineOptions{Format: CSV}, 2},
		{"a row that has no end yet", "x\n", "1\n\"2\n\n2\"\n\"3\n\n", LineOptions{Format: CSV}, 2},
		{"vegeta's lines, the last of which may go on", "", "GET http://h/1\nGET http://h/2\n", LineOptions{Format: Vegeta}, 1},
		{"vegeta's lines with empty ones", "", "GET http://h/1\n\nGET http://h/2\nA: b\n\n \n# no\n", LineOptions{Format: Vegeta}, 2},
		{"a target that has no end yet", "", "GET http://h/1\n\n\nGET http://h/2\nA: b\n", LineOptions{Format: Vegeta}, 1},
		{"vegeta's JSON", "", `{"method":"GET","url":"http://h/"}` + "\n\n", LineOptions{Format: Vegeta}, 1},
		{"vegeta's JSON after lines", "", "GET http://h/1\n" + `{"method":"GET","url":"http://h/"}` + "\n", LineOptions{Format: Vegeta}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				go w.Write([]byte(tt.begin + tt.in))
				src, err := NewLines(r, tt.opt)
				if err != nil {
					t.Fatal(err)
				}
				q := newFake()
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() {
					_, err := Run(ctx, q, Options{Source: src, Run: "r"})
					ended <- err
				}()
				synctest.Wait()
				if len(q.tasks) != tt.want {
					t.Errorf("%d tasks were put while the stream is silent, want %d", len(q.tasks), tt.want)
				}
				stop()
				if err := <-ended; !errors.Is(err, context.Canceled) || q.run.Sealed {
					t.Errorf("the end of a silent stream = %v, sealed %v; want context canceled, not sealed", err, q.run.Sealed)
				}
				w.Close()
			})
		})
	}
}

// TestSlowImport: what a stream of tasks has brought is there at once.
func TestSlowImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		in := NewTasks(r)
		go w.Write([]byte("{\"body\":1}\n\n{\"body\":2}\n\n{\"bo"))
		if n, err := in.Next(make([]glassq.Task, 100)); n != 2 || err != nil {
			t.Errorf("Next = %d, %v; want 2 of a stream that is silent", n, err)
		}
		w.Close()
	})
}
