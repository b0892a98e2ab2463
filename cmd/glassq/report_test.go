package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The report and the comparison of two runs, through the program.
func TestReportAndCompare(t *testing.T) {
	t.Parallel()
	url := "http://" + start(t, nil, "target", "--listen", "127.0.0.1:0").addr() + "/?q={0}"
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"a", "b"} {
		report, summary := filepath.Join(dir, name+".html"), filepath.Join(dir, name+".json")
		files = append(files, summary)
		_, errs, code := invoke(t, "", nil, "run", url, "-n", "300", "--report", report, "--summary-out", summary)
		if code != 0 {
			t.Fatalf("run: exit %d: %s", code, errs)
		}
		page, err := os.ReadFile(report)
		if err != nil || !strings.Contains(string(page), "put 300 = ok 300") || !strings.Contains(string(page), "</html>") {
			t.Errorf("report: %v, %d bytes; want the books in it", err, len(page))
		}
	}
	out, errs, code := invoke(t, "", nil, append([]string{"compare"}, files...)...)
	if code != 0 || !strings.Contains(out, "p99") || !strings.Contains(out, "make both again") {
		t.Errorf("compare: exit %d: %s%s", code, out, errs)
	}
	if out, _, code := invoke(t, "", nil, append([]string{"compare", "--json"}, files...)...); code != 0 ||
		!strings.HasPrefix(out, `{"a":`) {
		t.Errorf("compare --json: exit %d: %s", code, out)
	}
	for _, args := range [][]string{{"compare", files[0]}, {"compare", files[0], filepath.Join(dir, "none")},
		{"compare", files[0], filepath.Join(dir, "a.html")}} {
		if _, errs, code := invoke(t, "", nil, args...); code != exitUsage {
			t.Errorf("%v: exit %d: %s; want 2", args, code, errs)
		}
	}
	if _, errs, code := invoke(t, "", nil, "run", "http://127.0.0.1/", "-n", "1", "--report",
		filepath.Join(dir, "no", "x.html")); code != exitUsage {
		t.Errorf("run --report into no folder: exit %d: %s; want 2", code, errs)
	}
}
