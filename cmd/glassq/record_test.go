package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/glassq/glassq/internal/schema"
	"github.com/glassq/glassq/spec"
)

// Every member of the results of the built-in work stands in the schema of results, and agrees with
// it.
func TestResultsAgreeWithTheirSchema(t *testing.T) {
	t.Parallel()
	text, ok := spec.Schema("result")
	if !ok {
		t.Fatal("there is no schema of results")
	}
	valid, err := schema.Compile(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Properties struct {
			O struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	known := doc.Properties.O.Properties
	aim := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/go":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/bad":
			http.Error(w, "no", http.StatusInternalServerError)
		case "/octets":
			w.Write([]byte{0xff, 0xfe, 0})
		default:
			fmt.Fprint(w, strings.Repeat("hello ", 20))
		}
	}))
	t.Cleanup(aim.Close)
	f := newServerBed(t)
	urls := aim.URL + "/\n" + aim.URL + "/go\n" + aim.URL + "/bad\n" + aim.URL + "/octets\nno URL\n"
	fetch := []string{"http", "--profile", "fetch", "--guard=false", "--retries", "1", "--backoff", "1ms", "--phases"}
	met := map[string]bool{}
	for i, tt := range []struct {
		lines string
		work  []string
	}{
		{urls, append(fetch, "--save", "text", "--save-text", "8")},
		{urls, append(fetch, "--save", "file", "--save-dir", f.dir)},
		{"0\n3\nkill\n", []string{"exec", "--capture", "4", "--shell",
			`echo stdout; printf '\377\376abc' >&2; test {} != kill || kill -9 $$; exit {}`}},
		{"0\n", []string{"exec", "--capture", "4", "--shell", `printf '\377\376abc'; echo stderr >&2`}},
	} {
		run := fmt.Sprintf("r%d", i)
		if _, errs, code := invoke(t, tt.lines, f.env, "dispatch", "--run", run, "--quiet"); code != 0 {
			t.Fatalf("dispatch: exit %d: %s", code, errs)
		}
		work := append([]string{"work"}, tt.work[0], "--until-done", run, "--quiet")
		f.do(0, append(work, tt.work[1:]...)...)
		out, _ := f.do(0, "output", "--run", run, "--json", "--quiet")
		for line := range strings.Lines(out) {
			if err := valid([]byte(line)); err != nil {
				t.Errorf("%v: %s", err, line)
			}
			var rec struct{ O map[string]any }
			if err := json.Unmarshal([]byte(line), &rec); err != nil {
				t.Fatal(err)
			}
			for name := range rec.O {
				if met[name] = true; known[name] == nil {
					t.Errorf("member %s is not in the schema: %s", name, line)
				}
			}
		}
	}
	for _, name := range []string{"tries", "hops", "url", "ph", "sha256", "file", "body", "body_b64", "body_cut", "exit",
		"signal",
		"stdout", "stdout_b64", "stdout_cut", "stderr", "stderr_b64", "stderr_cut", "ru"} {
		if !met[name] {
			t.Errorf("no result had member %s; there were %v", name, sortedKeys(met))
		}
	}
}
