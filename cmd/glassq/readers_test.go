package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/output"
)

// TestReaderIsText: an output knows itself among the readers of a run, whatever its file is called.
func TestReaderIsText(t *testing.T) {
	for _, tt := range []struct{ name, path string }{
		{"ascii", "/d/r.ndjson"},
		{"latin 1", "/d/r\xe9sultats.ndjson"},
		{"longer than a run keeps", "/" + strings.Repeat("\u20ac", glassq.MaxReason)},
		{"the same, cut elsewhere", "/" + strings.Repeat("\u20ac", glassq.MaxReason) + "x"},
		{"the same, cut elsewhere again", "/" + strings.Repeat("\u20ac", glassq.MaxReason) + "xy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opt output.Options
			introduce(&opt, nil, tt.path)
			text, err := json.Marshal(opt.Reader)
			if err != nil {
				t.Fatal(err)
			}
			var back string
			if err := json.Unmarshal(text, &back); err != nil || back != opt.Reader || len(back) > glassq.MaxReason {
				t.Errorf("reader %q, %d bytes, comes back as %q, %v", opt.Reader, len(opt.Reader), back, err)
			}
		})
	}
}

// TestSecondReader: an output to standard output that comes in the same second as another one says
// that this one has read the results, and does not call them missing.
func TestSecondReader(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve", "--store", "mem:", "--http", "127.0.0.1:0")
	env := []string{"GLASSQ_SERVER=http://" + s.addr()}
	for _, args := range []string{"dispatch x{0} -n 3 --run r", "work exec --until-done r true"} {
		if _, errs, code := invoke(t, "", env, strings.Fields(args)...); code != 0 {
			t.Fatalf("%s: exit %d: %s", args, code, errs)
		}
	}
	if out, errs, code := invoke(t, "", env, "output", "--run", "r"); code != 0 || strings.Count(out, "\n") != 3 {
		t.Fatalf("the first output: exit %d: %s%s", code, out, errs)
	}
	if _, errs, code := invoke(t, "", env, "output", "--run", "r"); code != exitUnbalanced || !strings.Contains(errs, "read before 3") ||
		!strings.Contains(errs, "missing 0") {
		t.Errorf("the second output: exit %d: %s; want 5, and read before 3", code, errs)
	}
}
