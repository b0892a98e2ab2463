package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// public are the packages that other programs import.
var public = []string{".", "client", "worker", "store", "result"}

// relativeSubject is a sentence whose subject is a relative clause, such as "Who waits is served". A
// question is none.
var relativeSubject = regexp.MustCompile(`(?:^|[.:] )((?:Who|Whoever) [^.:?]*)[.:](?: |$)`)

// whatSubject is the same of things. It is asked of what importers read: elsewhere it stands for a
// list that follows.
var whatSubject = regexp.MustCompile(`(?:^|[.:] )(What(?:ever)? [^.:?]*)[.:](?: |$)`)

// TestSentences holds comments and pages to sentences that begin with their subject. Decisions and the
// list of changes are history, and stay as they are.
func TestSentences(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		rel = filepath.ToSlash(rel)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (rel == "docs/decisions" || rel != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || rel == "CHANGELOG.md":
			return nil
		}
		var paragraphs []string
		switch path := filepath.ToSlash(filepath.Dir(rel)); filepath.Ext(rel) {
		case ".md":
			src, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			paragraphs = prose(src)
			check(t, rel, paragraphs, relativeSubject)
		case ".go":
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			for _, c := range f.Comments {
				paragraphs = append(paragraphs, prose([]byte(c.Text()))...)
			}
			check(t, rel, paragraphs, relativeSubject)
			if slices.Contains(public, path) && !strings.HasSuffix(rel, "_test.go") {
				check(t, rel, paragraphs, whatSubject)
			}
		}
		seen += len(paragraphs)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 1000 {
		t.Errorf("found %d paragraphs; the test does not see the module", seen)
	}
}

func check(t *testing.T, rel string, paragraphs []string, bad *regexp.Regexp) {
	for _, p := range paragraphs {
		if m := bad.FindStringSubmatch(p); m != nil {
			t.Errorf("%s: a sentence begins with a relative clause: %q", rel, m[1])
		}
	}
}

// prose is the paragraphs of a text, each on one line, without code and tables.
func prose(text []byte) (paragraphs []string) {
	fenced := false
	for block := range bytes.SplitSeq(text, []byte("\n\n")) {
		var lines []string
		for line := range strings.Lines(string(block)) {
			switch trimmed := strings.TrimSpace(line); {
			case strings.HasPrefix(trimmed, "```"):
				fenced = !fenced
			case fenced, strings.HasPrefix(line, "    "), strings.HasPrefix(line, "\t"), strings.HasPrefix(line, "|"):
			default:
				lines = append(lines, strings.TrimLeft(trimmed, "-#>* "))
			}
		}
		if len(lines) > 0 {
			paragraphs = append(paragraphs, strings.Join(lines, " "))
		}
	}
	return paragraphs
}

// TestRelativeSubject: the test of sentences finds what it ought to.
func TestRelativeSubject(t *testing.T) {
	for text, bad := range map[string]bool{
		"Who waits is served in order.":          true,
		"It is full. Whoever comes waits.":       true,
		"Callers that wait are served in order.": false,
		"Who may purge? A token with admin.":     false,
		"It says who waits. Nobody else does.":   false,
	} {
		if got := relativeSubject.MatchString(text); got != bad {
			t.Errorf("relativeSubject of %q = %v, want %v", text, got, bad)
		}
	}
}

// vague are names that say nothing of what a field holds.
var vague = []string{"more", "got", "some", "gone"}

// TestPublicFields: fields of the public packages have names of more than one letter, and exported
// names have comments.
func TestPublicFields(t *testing.T) {
	for _, pkg := range public {
		files, err := filepath.Glob(filepath.Join("..", "..", pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files of %s (%v)", pkg, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.IsExported() && fn.Recv == nil && fn.Doc == nil {
					t.Errorf("%s: %s has no comment", file, fn.Name)
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				s, ok := n.(*ast.StructType)
				if !ok {
					return true
				}
				for _, field := range s.Fields.List {
					for _, name := range field.Names {
						if name.IsExported() && len(name.Name) == 1 || slices.Contains(vague, name.Name) {
							t.Errorf("%s: field %s says nothing of what it holds", file, name)
						}
					}
				}
				return true
			})
		}
	}
}

// budgets are the most lines of product code that rooms may have.
var budgets = map[string]int{"internal/disk": 1300}

func TestBudgets(t *testing.T) {
	for room, most := range budgets {
		files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(room), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files of %s (%v)", room, err)
		}
		lines := 0
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines += bytes.Count(src, []byte("\n"))
		}
		if lines >= most {
			t.Errorf("%s has %d lines, its budget is under %d", room, lines, most)
		}
	}
}
