package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// What a reader must find from docs/index.md, in at most mostLinks links: the first cell of a row
// of one of its tables.
var findable = []string{
	"queue", "lease", "run", "book", "sync mode", "limit", "key", "token", "door", "exit code",
	"the disk is full", "a start refuses damaged data", "`lease_lost`", "a key is refused",
}

const mostLinks = 3

var (
	aLink    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	aHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	aFence   = regexp.MustCompile("(?ms)^```.*?^```$")
)

// A page is a document with what it links to and what can be linked to in it.
type page struct {
	links   []string // paths of the repository, with #anchor where they have one
	anchors []string
	text    string
}

// readPages reads the documents that people read.
func readPages(t *testing.T) map[string]page {
	pages := map[string]page{}
	for _, of := range []string{"*.md", "docs/*.md", "docs/zh/*.md", "docs/decisions/*.md", "bench/*.md"} {
		files, err := filepath.Glob(filepath.Join("../..", of))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel("../..", file)
			p := page{text: aFence.ReplaceAllString(string(text), "")}
			for _, m := range aLink.FindAllStringSubmatch(p.text, -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				to, anchor, has := strings.Cut(m[1], "#")
				if to = filepath.Join(filepath.Dir(name), to); strings.HasPrefix(m[1], "#") {
					to = name
				}
				if has {
					to += "#" + anchor
				}
				p.links = append(p.links, to)
			}
			for _, m := range aHeading.FindAllStringSubmatch(p.text, -1) {
				p.anchors = append(p.anchors, anchorOf(m[1]))
			}
			pages[name] = p
		}
	}
	return pages
}

// anchorOf is the name by which the forge links to a heading.
func anchorOf(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

// TestLinks: every link of the documents leads somewhere.
func TestLinks(t *testing.T) {
	pages := readPages(t)
	for name, p := range pages {
		for _, link := range p.links {
			to, anchor, _ := strings.Cut(link, "#")
			if _, err := os.Stat(filepath.Join("../..", to)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, to)
			}
			if at, is := pages[to]; is && anchor != "" && !slices.Contains(at.anchors, anchor) {
				t.Errorf("%s links to %s, where no heading has that name; there are %q", name, link, at.anchors)
			}
		}
	}
}

// TestIndex: every page is few links from the index, and so is every word that a reader asks for.
func TestIndex(t *testing.T) {
	pages := readPages(t)
	const index = "docs/index.md"
	far := map[string]int{index: 0}
	for queue := []string{index}; len(queue) > 0; queue = queue[1:] {
		for _, link := range pages[queue[0]].links {
			to, _, _ := strings.Cut(link, "#")
			if _, seen := far[to]; !seen {
				far[to] = far[queue[0]] + 1
				queue = append(queue, to)
			}
		}
	}
	for name := range pages {
		if d, is := far[name]; strings.HasPrefix(name, "docs/") && (!is || d > mostLinks) {
			t.Errorf("%s is %d links from %s (0: it cannot be reached); want at most %d", name, d, index, mostLinks)
		}
	}
	for _, word := range findable {
		i := strings.Index(pages[index].text, "\n| "+word+" |")
		if i < 0 {
			t.Errorf("%s has no row for %q", index, word)
			continue
		}
		row, _, _ := strings.Cut(pages[index].text[i+1:], "\n")
		if !aLink.MatchString(row) {
			t.Errorf("%s: the row for %q leads nowhere", index, word)
		}
	}
}
