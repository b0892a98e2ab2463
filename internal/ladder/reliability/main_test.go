package main

import (
	"os"
	"strings"
	"testing"
)

func TestReplaceRow(t *testing.T) {
	const before, after = "# Title\n\nwritten by hand\n\n", "\nmore by hand\n| `make kill` | by hand |\n"
	text := before + begin + "\n" + end + after
	for _, step := range []struct{ rung, counts, want string }{
		{"kill", "kills=1", "| `make kill` | kills=1 | here |\n"},
		{"crash", "crashes=2", "| `make crash` | crashes=2 | here |\n| `make kill` | kills=1 | here |\n"},
		{"kill", "kills=3", "| `make crash` | crashes=2 | here |\n| `make kill` | kills=3 | here |\n"},
	} {
		var err error
		if text, err = replaceRow(text, step.rung, step.counts, "here"); err != nil {
			t.Fatal(err)
		}
		if want := before + begin + head + step.want + "\n" + end + after; text != want {
			t.Errorf("after %s:\n%s\nwant\n%s", step.rung, text, want)
		}
	}
	for _, bad := range []string{"no marks", begin + "no end", begin + head + "a note\n" + end} {
		if got, err := replaceRow(bad, "kill", "", ""); err == nil {
			t.Errorf("replaceRow(%q) = %q, want an error", bad, got)
		}
	}
}

// The page has nothing of a person's between the marks, so the command can write there.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	const row = "| `make power` | x | y |\n"
	next, err := replaceRow(string(text), "power", "x", "y")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(next, row) || strings.Count(next, "\n") != strings.Count(string(text), "\n") {
		t.Errorf("a row of the page was not replaced by one row:\n%s", next)
	}
}
