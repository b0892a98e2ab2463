package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// questions is how many rows the table "Where it is decided" has at least.
const questions = 11

var (
	placeIn = regexp.MustCompile("`([\\w/]+\\.go)`:((?: `[\\w.]+`,?)+)")
	nameIn  = regexp.MustCompile("`([\\w.]+)`")
)

// TestWhereItIsDecided follows the table of docs/design.md: each question is answered by at most
// three files, and what the table names is declared in them.
func TestWhereItIsDecided(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "design.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "\n## Where it is decided\n")
	if !ok {
		t.Fatal("docs/design.md has no section \"Where it is decided\"")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[1]) == "question" {
			continue
		}
		rows++
		places := placeIn.FindAllStringSubmatch(cells[2], -1)
		if len(places) == 0 || len(places) > 3 {
			t.Errorf("%s: %d files answer it; want 1 to 3", strings.TrimSpace(cells[1]), len(places))
		}
		for _, p := range places {
			declared := declarations(t, filepath.Join(root, filepath.FromSlash(p[1])))
			for _, name := range nameIn.FindAllStringSubmatch(p[2], -1) {
				if !declared[name[1]] {
					t.Errorf("%s: %s does not declare %s", strings.TrimSpace(cells[1]), p[1], name[1])
				}
			}
		}
	}
	if rows < questions {
		t.Errorf("the table has %d rows, want at least %d", rows, questions)
	}
}

// declarations are the functions, methods (as Type.Method) and types of a file.
func declarations(t *testing.T, file string) map[string]bool {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return nil
	}
	names := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				of := d.Recv.List[0].Type
				if p, ok := of.(*ast.StarExpr); ok {
					of = p.X
				}
				if id, ok := of.(*ast.Ident); ok {
					name = id.Name + "." + name
				}
			}
			names[name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if ts, ok := s.(*ast.TypeSpec); ok {
					names[ts.Name.Name] = true
				}
			}
		}
	}
	return names
}
