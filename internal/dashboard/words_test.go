package dashboard

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// TestWords: every text of the pages, and every word that one shows, has its Chinese with the same
// places for values.
func TestWords(t *testing.T) {
	counted := regexp.MustCompile(`\.Count \S+ "[^"]+" "([^"]+)"`)
	said := regexp.MustCompile(`\.T "([^"]+)"`)
	texts := []string{"Latencies, 99 of 100 below", "Tasks a second", "delayed", "ready", "leased", "dead", "ok", "low", "full", "json",
		"text", "hex", "complete", "complete, results wait", "sealed", "not sealed", "open", "put", "reserve", "ack", "sync", "handed out", "failed",
		"Over the life of the run", "half below", "99 of 100 below"}
	for _, text := range doneTexts {
		texts = append(texts, text)
	}
	for _, m := range menu {
		texts = append(texts, m.Title)
	}
	list, err := fs.Glob(files, "pages/*.html")
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	for _, name := range list {
		page, _ := files.ReadFile(name)
		for _, m := range said.FindAllStringSubmatch(string(page), -1) {
			texts = append(texts, m[1])
		}
		for _, m := range counted.FindAllStringSubmatch(string(page), -1) {
			texts = append(texts, "%s "+m[1])
		}
	}
	for _, text := range texts {
		zh, ok := chinese[text]
		if !ok {
			t.Errorf("no Chinese for %q", text)
		} else if strings.Count(zh, "%") != strings.Count(text, "%") {
			t.Errorf("%q has other places for values than %q", zh, text)
		}
	}
}
