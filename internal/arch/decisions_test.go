package arch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var decisionHead = regexp.MustCompile(`^# (\d{4}): (\S.*)\n\n(\d{4}-\d\d-\d\d), (accepted|superseded by \d{4})\n\n\S`)

// TestDecisions holds the files of docs/decisions to one head, and the page over them to the files.
func TestDecisions(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "decisions")
	page, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no decisions in %s (%v)", dir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		m := decisionHead.FindSubmatch(text)
		if m == nil || string(m[1]) != name[:4] {
			t.Errorf("%s does not begin with \"# %s: title\", an empty line, \"date, accepted\" or "+
				"\"date, superseded by NNNN\", and an empty line", name, name[:4])
			continue
		}
		line := fmt.Sprintf("| [%s](%s) | %s | %s | %s |\n", m[1], name, m[3], m[4], m[2])
		if !bytes.Contains(page, []byte(line)) {
			t.Errorf("docs/decisions/README.md lacks the line %s", line)
		}
	}
	if n := bytes.Count(page, []byte("\n| [")); n != len(files) {
		t.Errorf("docs/decisions/README.md has %d lines for %d decisions", n, len(files))
	}
}
