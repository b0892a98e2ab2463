package dispatch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// bodies reads a source to its end.
func bodies(t testing.TB, src Source) (got []glassq.Task, err error) {
	t.Helper()
	for {
		batch := make([]glassq.Task, 3)
		n, err := src.Next(batch)
		got = append(got, batch[:n]...)
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return got, err
		}
	}
}

func mustField(t testing.TB, s string) Field {
	t.Helper()
	f, err := ParseField(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFormats(t *testing.T) {
	post := &Request{Method: "POST", Header: []Field{mustField(t, "X-N: {0}")},
		Body: mustTemplate(t, `{{"q":"{=line}"}}`), Timeout: 3 * time.Second}
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte(`{"of":"file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	bare := &Request{Method: "PUT", Body: mustTemplate(t, "abcd")}
	byColumn := &Request{Header: []Field{mustField(t, "X-Q: {=col:q}")}}
	tests := []struct {
		name, in, tmpl string
		opt            LineOptions
		want           []string
		skipped        []uint64
		err            string
	}{
		{"csv", "url,q\nhttp://h/,a b\n\"http://i/\",\"c,\"\"d\"\"\"\n", "{=col:url}?{0}={col:q}", LineOptions{Format: CSV},
			[]string{"http://h/?0=a%20b", "http://i/?1=c%2C%22d%22"}, nil, ""},
		{"csv as it is", "\ufeffurl,q\nhttp://h/,\"x\ny\"\n", "", LineOptions{Format: CSV},
			[]string{`{"url":"http://h/","q":"x\ny"}`}, nil, ""},
		{"csv, no such column", "url\nu\n", "{col:q}", LineOptions{Format: CSV}, nil, nil,
			`there is no column "q"; the first row has url`},
		{"csv, empty", "", "{col:q}", LineOptions{Format: CSV}, nil, nil, "an empty CSV file"},
		{"csv, two of a name", "a,a\n", "", LineOptions{Format: CSV}, nil, nil, "two columns"},
		{"csv, short row", "a,b\n1,2\n3\n4,5\n", "{col:a}", LineOptions{Format: CSV}, []string{"1"}, nil,
			"line 3: columns in the first row: 2, in this one: 1"},
		{"csv, bad rows skipped", "a,b\n1,2\n3\nx\"y,1\n4,5\n", "{col:a}", LineOptions{Format: CSV}, []string{"1", "4"},
			[]uint64{3, 4}, ""},
		{"csv, request", "u,q\nhttp://h/,a\"b\n", "{=col:u}", LineOptions{Format: CSV, Request: byColumn}, nil, nil,
			"line 2: column 12"},
		{"csv, request of a column", "u,q\nhttp://h/,a b\n", "{=col:u}", LineOptions{Format: CSV, Request: byColumn},
			[]string{`{"url":"http://h/","header":{"X-Q":"a b"}}`}, nil, ""},
		{"csv, request without a url", "u,q\n", "", LineOptions{Format: CSV, Request: byColumn}, nil, nil,
			"a request needs a URL"},
		{"column of text", "a\n", "{col:a}", LineOptions{Format: Text}, nil, nil, "{col:name} needs a CSV file"},
		{"request", "a\"b\n", "http://h/{line}", LineOptions{Format: Text, Request: post},
			[]string{`{"url":"http://h/a%22b","method":"POST","header":{"X-N":"0"},"body":"{\"q\":\"a\\\"b\"}","timeout":"3s"}`}, nil, ""},
		{"request, body alone", "http://h/\n", "", LineOptions{Format: Text, Request: bare},
			[]string{`{"url":"http://h/","method":"PUT","body":"abcd"}`}, nil, ""},
		{"vegeta", `{"method":"GET","url":"http://h/","header":{"A":["b"]},"body":"YQ=="}` + "\n", "",
			LineOptions{Format: Vegeta},
			[]string{`{"url":"http://h/","method":"GET","header":{"A":"b"},"body":"a"}`}, nil, ""},
		{"vegeta, bytes and lists", `{"method":"PUT","url":"u","header":{"B":["1"],"A":["3","2"]},"body":"/w=="}`, "",
			LineOptions{Format: Vegeta},
			[]string{`{"url":"u","method":"PUT","header":{"A":["3","2"],"B":"1"},"b64":"/w=="}`}, nil, ""},
		{"vegeta, lines", "\ufeff# two\nGET http://h/a\n\nPOST http://h/b?x y\r\nX-A: 1\r\nx-a:3\r\n@BODY\r\nDELETE http://h/c\nX-B: z\n{\"method\":\"GET\",\"url\":\"http://h/d\"}",
			"", LineOptions{Format: Vegeta}, []string{`{"url":"http://h/a","method":"GET"}`,
				`{"url":"http://h/b?x y","method":"POST","header":{"X-A":["1","3"]},"body":"{\"of\":\"file\"}"}`,
				`{"url":"http://h/c","method":"DELETE","header":{"X-B":"z"}}`, `{"url":"http://h/d","method":"GET"}`}, nil, ""},
		{"vegeta, bad lines skipped", "GET http://h/a\nno header\nA: b\n\nget\n\nGET http://h/b\n@/does/not/exist\n\nGET http://h/c\n", "", LineOptions{Format: Vegeta},
			[]string{`{"url":"http://h/c","method":"GET"}`}, []uint64{2, 5, 8}, ""},
		{"vegeta, neither", "G http\"", "", LineOptions{Format: Vegeta}, []string{`{"url":"http\"","method":"G"}`}, nil, ""},
		{"vegeta, a url alone", "http://h/", "", LineOptions{Format: Vegeta}, nil, nil, "neither a method and a URL"},
		{"comments", "# a\nhttp://h/#x\n  // b\n   \nhttp://h/2\n", "", LineOptions{Format: Text, Comments: true},
			[]string{"http://h/#x", "http://h/2"}, nil, ""},
		{"no comments", "# a\n", "", LineOptions{Format: Text}, []string{"# a"}, nil, ""},
		{"comments of csv", "a\n", "", LineOptions{Format: CSV, Comments: true}, nil, nil, "not in csv"},
		{"nul", "a\nb\x00\x00c\r\x00d", "", LineOptions{Format: Text, NUL: true}, []string{"a\nb", "c\r", "d"}, nil, ""},
		{"nul of ndjson", "a", "", LineOptions{Format: NDJSON, NUL: true}, nil, nil, "lines of text only"},
		{"headers that repeat", "http://h/\n", "", LineOptions{Format: Text,
			Request: &Request{Header: []Field{mustField(t, "X-A: 1"), mustField(t, "B: {0}"), mustField(t, "x-a: 3")}}},
			[]string{`{"url":"http://h/","header":{"X-A":["1","3"],"B":"0"}}`}, nil, ""},
		{"options that come twice", `{"url":"http://h/","priority":1,"priority":2}`, "", LineOptions{Format: NDJSON}, nil,
			nil, "comes twice"},
		{"vegeta, no url", `{"method":"GET"}`, "", LineOptions{Format: Vegeta}, nil, nil,
			"line 1: not a vegeta target: it needs method and url"},
		{"vegeta, body is no base64", `{"method":"GET","url":"u","body":"%"}`, "", LineOptions{Format: Vegeta}, nil, nil,
			"line 1: not a vegeta target"},
		{"ndjson, bad ones skipped", "{\"body\":1}\n{\"body\":\n{\"body\":2,\"priority\":12}\n{\"body\":3,\"lease\":\"1ms\"}\n4\n", "", LineOptions{Format: NDJSON}, []string{"1", "4"}, []uint64{2, 3, 4}, ""},
		{"ndjson with a template", "1\n", "{line}", LineOptions{Format: NDJSON}, nil, nil, "each line says its body"},
		{"renumber text", "1\n", "", LineOptions{Format: Text, Renumber: true}, nil, nil, "only lines of ndjson"},
		{"unknown", "", "", LineOptions{Format: "xml"}, nil, nil, "not one of text, csv, ndjson, vegeta"},
		{"too long", "a\n" + strings.Repeat("x", maxLine+1) + "\nb\n", "", LineOptions{Format: Text}, []string{"a", "b"},
			[]uint64{2}, ""},
		{"row without an end", "a,b\n1,2\n\"" + strings.Repeat("x\n", maxLine), "", LineOptions{Format: CSV},
			[]string{`{"a":"1","b":"2"}`}, nil, "is a quote left open?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.tmpl != "" {
				tt.opt.Template = mustTemplate(t, tt.tmpl)
			}
			var skipped []uint64
			if tt.skipped != nil {
				tt.opt.SkipBad = func(e *LineError) { skipped = append(skipped, e.Line) }
			}
			src, err := NewLines(strings.NewReader(strings.ReplaceAll(tt.in, "@BODY", "@"+file)), tt.opt)
			var got []glassq.Task
			if err == nil {
				got, err = bodies(t, src)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if fmt.Sprint(skipped) != fmt.Sprint(tt.skipped) {
				t.Errorf("skipped lines %v, want %v", skipped, tt.skipped)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("%d tasks, want %d: %.200v", len(got), len(tt.want), got)
			}
			for i := range got {
				if string(got[i].Body) != tt.want[i] {
					t.Errorf("body %d = %.200s, want %s", i, got[i].Body, tt.want[i])
				}
			}
		})
	}
}

func TestRequestOptionsOfLines(t *testing.T) {
	line := `{"url":"http://h/","method":"POST","body":"x","priority":9,"delay":"5s","ttl":60,"attempts":3,"id":"mine"}`
	src, err := NewLines(strings.NewReader(line+"\n"), LineOptions{Format: NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bodies(t, src)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if g := got[0]; string(g.Body) != line || g.Type != glassq.TypeJSON || g.Priority.Level() != 9 ||
		g.Delay != 5*time.Second || g.TTL != time.Minute || g.Attempts != 3 || g.ID != "mine" {
		t.Errorf("task = %+v", g)
	}
}

// TestEmptyLines: lines without anything are no tasks and are counted, and books know nothing of them.
func TestEmptyLines(t *testing.T) {
	tests := []struct {
		name, in string
		opt      LineOptions
		put      uint64
		empty    uint64
	}{
		{"none", "a\nb\n", LineOptions{Format: Text}, 2, 0},
		{"text", "\na\n\r\n\n \nb\n\n", LineOptions{Format: Text}, 3, 4},
		{"the last without its end", "a\n\nb", LineOptions{Format: Text}, 2, 1},
		{"nothing else", "\n\n", LineOptions{Format: Text}, 0, 2},
		{"comments", "# c\na\n\n \n// c\nb\n", LineOptions{Format: Text, Comments: true}, 2, 2},
		{"ended by NUL", "a\x00\x00b\x00", LineOptions{Format: Text, NUL: true}, 2, 1},
		{"ndjson", "{\"body\":1}\n\n \t\n[2]\n", LineOptions{Format: NDJSON}, 2, 2},
		{"csv", "x,y\n\n1,2\n\r\n\n3,4\n\n", LineOptions{Format: CSV}, 2, 4},
		{"csv over several lines", "x\n\"a\n\n\"\n\n\"b\nc\"\n1\n", LineOptions{Format: CSV}, 3, 1},
		{"csv without its last end", "\nx\n1\n\n2", LineOptions{Format: CSV}, 2, 2},
		{"bad csv", "x,y\n1\n\nx\"y,1\n\n4,5\n", LineOptions{Format: CSV, SkipBad: func(*LineError) {}}, 1, 2},
		{"vegeta, where they end a target", "GET http://h/a\n\nGET http://h/b\n", LineOptions{Format: Vegeta}, 2, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list")
			if err := os.WriteFile(path, []byte(tt.in), 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := OpenFile(path, tt.opt)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			stream, err := NewLines(strings.NewReader(tt.in), tt.opt)
			if err != nil {
				t.Fatal(err)
			}
			for _, src := range []Source{file, stream} {
				rep, err := Run(t.Context(), newFake(), Options{Source: src, Run: "r"})
				if err != nil || rep.Put != tt.put || rep.Total != tt.put || rep.Empty != tt.empty {
					t.Errorf("Run = put %d of %d, %d empty lines, %v; want %d and %d", rep.Put, rep.Total, rep.Empty, err, tt.put,
						tt.empty)
				}
			}
		})
	}
}

// A file with bad lines that are skipped has dense positions, and can be continued.
func TestSkipBadContinues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.ndjson")
	var text strings.Builder
	for n := range 1000 {
		if n%10 == 3 {
			text.WriteString("{\n")
		}
		fmt.Fprintf(&text, "{\"body\":%d}\n", n)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	q := newFake()
	q.refuse[4] = glassq.ErrStorage
	for i, want := range []Report{{Put: 150, Skipped: 0}, {Put: 850, Skipped: 150}} {
		bad := 0
		src, err := OpenFile(path, LineOptions{Format: NDJSON, SkipBad: func(*LineError) { bad++ }})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := Run(t.Context(), q, Options{Run: "r", Source: src, Batch: 50, Parallel: 1})
		if (i == 0) != errors.Is(err, glassq.ErrStorage) || rep.Put != want.Put || rep.Skipped != want.Skipped || i == 1 &&
			bad != 100 {
			t.Fatalf("Run %d = %+v, %v, %d bad; want %+v", i, rep, err, bad, want)
		}
		src.Close()
	}
	if last := q.tasks["r/999"]; string(last.Body) != "999" || !q.run.Sealed || q.run.Total != 1000 {
		t.Errorf("last = %s, run %+v", last.Body, q.run)
	}
}

// Lines with ids of their own are not put again when nobody can know whether they were.
func TestOwnIDsResumed(t *testing.T) {
	lines := "{\"id\":\"a\",\"body\":1}\n{\"id\":\"b\",\"body\":2}\n"
	for _, tt := range []struct {
		name     string
		age      time.Duration
		renumber bool
		err      bool
	}{{"soon", time.Minute, false, false}, {"late", time.Hour, false, true}, {"clock behind", -time.Hour, false, true},
		{"late, renumbered", time.Hour, true, false}} {
		t.Run(tt.name, func(t *testing.T) {
			q := newFake()
			run := func() (Report, error) {
				src, err := NewLines(strings.NewReader(lines), LineOptions{Format: NDJSON, Renumber: tt.renumber})
				if err != nil {
					t.Fatal(err)
				}
				return Run(t.Context(), q, Options{Run: "r", Source: src})
			}
			if rep, err := run(); err != nil || rep.Put != 2 {
				t.Fatalf("first Run = %+v, %v", rep, err)
			}
			q.run.Books.Put, q.run.Created = 2, time.Now().Add(-tt.age)
			rep, err := run()
			if tt.err != errors.Is(err, glassq.ErrRunConflict) || len(q.tasks) != 2 {
				t.Errorf("second Run = %+v, %v; %d tasks", rep, err, len(q.tasks))
			}
		})
	}
}

func TestOnly(t *testing.T) {
	run, only, err := ReadIDs(strings.NewReader("r1/5\n r1/4999 \n\nr1/17\nr1/5\n"))
	if err != nil || run != "r1" || only.Count() != 3 {
		t.Fatalf("ReadIDs = %s, %d, %v", run, only.Count(), err)
	}
	text := strings.Repeat("x\n", 5000)
	lineSource, err := NewLines(strings.NewReader(text), LineOptions{Format: Text})
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []Source{counterOf(t, "x", 0, 5000), lineSource} {
		q := newFake()
		rep, err := Run(t.Context(), q, Options{Run: "r2", Source: src, Only: only, Batch: 100})
		if err != nil || rep.Put != 3 || rep.Total != 3 || q.run.Total != 3 || !q.run.Sealed ||
			q.tasks["r2/4999"].Position != 4999 {
			t.Errorf("Run = %+v, %v, tasks %v", rep, err, q.tasks)
		}
		if s := q.run.Source; src != lineSource && !strings.HasPrefix(s, `template "x" 0..4999 only 3 ids sha256:`) {
			t.Errorf("source = %s", s)
		}
	}
	if _, err := Run(t.Context(), newFake(), Options{Run: "r3", Source: counterOf(t, "x", 0, 10),
		Only: only}); err == nil || !strings.Contains(err.Error(), "2 of the 3 ids are beyond the end") {
		t.Errorf("Run of a shorter source = %v", err)
	}
	for in, want := range map[string]string{"r1/1\nr2/1\n": "line 2: ", "r1/01\n": "line 1: ", "x\n": "line 1: ",
		"r1/4294967296\n": "line 1: "} {
		if _, _, err := ReadIDs(strings.NewReader(in)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("ReadIDs(%q) = %v, want %s", in, err, want)
		}
	}
}

func TestParseField(t *testing.T) {
	for in, ok := range map[string]bool{"A: b": true, "X-Y:{0}": true, "no": false, ": v": false, "a b: c": false,
		"A: {nope}": false} {
		if _, err := ParseField(in); (err == nil) != ok {
			t.Errorf("ParseField(%q) = %v", in, err)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("a,b\n1,2\n")
	f.Add("a\n\"x\ny\"\n\"")
	f.Fuzz(func(t *testing.T, in string) {
		bad := 0
		src, err := NewLines(strings.NewReader(in), LineOptions{Format: CSV, SkipBad: func(*LineError) { bad++ }})
		if err != nil {
			return
		}
		got, err := bodies(t, src)
		if err != nil {
			t.Fatalf("%q: %v after %d tasks, %d bad", in, err, len(got), bad)
		}
	})
}

func FuzzJSONLine(f *testing.F) {
	f.Add(`{"url":"u","priority":3}`)
	f.Add(`{"body":"a","id":"x"}`)
	f.Fuzz(func(t *testing.T, line string) {
		for _, format := range []Format{NDJSON, Vegeta} {
			src, err := NewLines(strings.NewReader(line), LineOptions{Format: format, SkipBad: func(*LineError) {}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bodies(t, src); err != nil {
				t.Fatalf("%s %q: %v", format, line, err)
			}
		}
	})
}
