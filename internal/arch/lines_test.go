package arch

import (
	"go/scanner"
	"go/token"
	"strings"
	"testing"
)

// maxColumns is the longest line of code, a tab counted as one column. What a string in the line
// takes does not count, for a sentence that is read by people is not broken; nor does a comment.
const maxColumns = 120

// checkColumns holds the code lines of a file to maxColumns.
func checkColumns(t *testing.T, rel string, src []byte) {
	set := token.NewFileSet()
	file := set.AddFile(rel, -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, 0) // without comments
	type line struct{ end, quoted int }
	lines := map[int]line{}
	for {
		at, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		p := file.Position(at)
		l := lines[p.Line]
		switch {
		case tok == token.SEMICOLON && lit == "\n":
			continue
		case tok == token.STRING && strings.Contains(lit, "\n"): // code may follow its last line
			last := p.Line + strings.Count(lit, "\n")
			lines[last] = line{quoted: len(lit) - strings.LastIndex(lit, "\n") - 1}
			continue
		case lit == "":
			lit = tok.String()
		case tok == token.STRING:
			l.quoted += len(lit)
		}
		l.end = p.Column + len(lit) - 1
		lines[p.Line] = l
	}
	for n, l := range lines {
		if l.end-l.quoted > maxColumns || l.end > maxColumns && l.quoted == 0 {
			t.Errorf("%s:%d: a code line of %d columns, over %d", rel, n, l.end, maxColumns)
		}
	}
}
