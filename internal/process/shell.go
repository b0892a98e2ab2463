package process

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// shellBody is the variable that has the body in a text for sh. It is no parameter such as $1: a
// function has parameters of its own, and set and shift change them.
const shellBody = "glassq_body"

// What is wrong with a {}, and what to write instead.
const (
	notFilled = `{} stands where sh fills nothing in: end the quotes before it and begin them again after it, ` +
		`as in: 'x '{}' y'; leave the quotes of a here-document's delimiter away; ` +
		`for braces that are meant as such write {""}`
	dollarQuotes = "a text with {} may not have $'…', which shells read differently; " +
		"put the characters there as they are, or use printf"
	insideExpansion = "{} inside of ${…} is no text but a pattern to some shells; put it in a variable first, " +
		`as in: x={}; echo ${y%"$x"}`
	calculated = "sh would calculate with {}, and run what stands in it; " +
		"put it in a variable and check first that it is a number"
	backQuoted  = "write $(…) in place of the back-quotes around {}"
	isCommand   = "{} is the command itself: the command is fixed here, a task gives it data only"
	parsedAgain = ` would parse {} again; put it in a variable first, as in: x={}; trap 'rm -f "$x"' EXIT`
	intoProgram = `{} stands in a text that a shell runs, where a body could run too; write "$1" there ` +
		`and {} as an argument of its own after it, as in: sh -c 'rm -v "$1"' sh {}`
)

// shellCommand makes the command that runs text by sh. Each {} in it becomes an expansion that is
// one word and that no shell parses again; the last argument of the command is then the
// placeholder. The error says where a {} stands that cannot be filled in like that, and what to
// write instead.
func shellCommand(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("no command to run: give the shell a text, as in: --shell 'wc -c'")
	}
	if !strings.Contains(text, placeholder) {
		return []string{"sh", "-c", text, "glassq"}, nil
	}
	filled, err := fillText(text)
	if err != nil {
		return nil, err
	}
	return []string{"sh", "-c", shellBody + "=$1; " + filled, "glassq", placeholder}, nil
}

// A hole is a {} in a text for sh: the byte where it begins, and what it becomes there.
type hole struct {
	at   int
	with string // "" while no place was found where sh fills something in
}

// fillText returns text with an expansion for each {}.
func fillText(text string) (string, error) {
	// $1 is as long as {}, and the parser knows it as an expansion: the positions are those of
	// text.
	marked := strings.ReplaceAll(text, placeholder, "$1")
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(marked), "")
	if err != nil {
		return "", fmt.Errorf("--shell: this is no text for sh: %w", err)
	}
	f := filler{text: text}
	for i := 0; i < len(text); {
		n := strings.Index(text[i:], placeholder)
		if n < 0 {
			break
		}
		f.holes = append(f.holes, hole{at: i + n})
		i += n + len(placeholder)
	}
	syntax.Walk(file, f.visit)
	if f.err != nil {
		return "", f.err
	}
	var b strings.Builder
	rest := 0
	for _, h := range f.holes {
		if h.with == "" {
			f.fail(h.at, notFilled)
			return "", f.err
		}
		b.WriteString(text[rest:h.at])
		b.WriteString(h.with)
		rest = h.at + len(placeholder)
	}
	b.WriteString(text[rest:])
	return b.String(), nil
}

// A filler walks a parsed text and fills the holes that it meets.
type filler struct {
	text  string
	holes []hole
	above []syntax.Node // what the walk is in, outermost first
	err   error         // the first one
}

func (f *filler) visit(n syntax.Node) bool {
	if n == nil {
		f.above = f.above[:len(f.above)-1]
		return true
	}
	switch n := n.(type) {
	case *syntax.CallExpr:
		f.checkCall(n)
	case *syntax.SglQuoted:
		if i := int(n.Left.Offset()); i > 0 && f.text[i-1] == '$' {
			f.fail(i-1, dollarQuotes)
		}
	case *syntax.ParamExp:
		i := slices.IndexFunc(f.holes, func(h hole) bool { return h.at == int(n.Pos().Offset()) })
		if i >= 0 && n.Short {
			f.fill(&f.holes[i])
		}
	}
	f.above = append(f.above, n)
	return true
}

func (f *filler) fail(at int, why string) {
	if f.err == nil {
		f.err = fmt.Errorf("--shell, character %d: %s", at+1, why)
	}
}

// fill decides what a hole becomes from what it is in.
func (f *filler) fill(h *hole) {
	var word *syntax.Word // the innermost
	var in syntax.Node    // what word is a part of
	for i, n := range f.above {
		switch n := n.(type) {
		case *syntax.Word:
			word, in = n, f.above[i-1]
		case *syntax.ParamExp:
			f.fail(h.at, insideExpansion)
		case *syntax.ArithmExp:
			f.fail(h.at, calculated)
		case *syntax.CmdSubst:
			if n.Backquotes {
				f.fail(h.at, backQuoted)
			}
		}
	}
	h.with = `"${` + shellBody + `}"`
	if _, ok := f.above[len(f.above)-1].(*syntax.DblQuoted); ok {
		h.with = "${" + shellBody + "}"
	}
	switch in := in.(type) {
	case *syntax.CallExpr:
		if len(in.Args) > 0 && in.Args[0] == word {
			f.fail(h.at, isCommand)
		}
	case *syntax.Redirect:
		if in.Hdoc == word {
			h.with = "${" + shellBody + "}"
		}
	}
}

// checkCall refuses a hole in what a command runs as a shell's text.
func (f *filler) checkCall(c *syntax.CallExpr) {
	words := make([]string, len(c.Args))
	for i, w := range c.Args {
		words[i] = strings.Trim(f.text[w.Pos().Offset():w.End().Offset()], `'"`)
	}
	refuse := func(w *syntax.Word, why string) {
		for _, h := range f.holes {
			if h.at >= int(w.Pos().Offset()) && h.at < int(w.End().Offset()) {
				f.fail(h.at, why)
			}
		}
	}
	if i := programText(words); i >= 0 {
		refuse(c.Args[i], intoProgram)
	}
	for i, name := range words {
		switch name {
		case "command", "builtin":
			continue
		case "eval", "trap", "let", "[[":
			for _, w := range c.Args[i+1:] {
				refuse(w, name+parsedAgain)
			}
		}
		return
	}
}

var shells = []string{"sh", "ash", "bash", "dash", "fish", "ksh", "mksh", "yash", "zsh"}

// programText returns the index of the argument that a shell runs as its text, as in sh -c TEXT, or
// -1. The shell may itself be started by another command.
func programText(words []string) int {
	for i, word := range words {
		if !slices.Contains(shells, path.Base(word)) {
			continue
		}
		text := false
		for j := i + 1; j < len(words); j++ {
			w := words[j]
			if len(w) < 2 || w[0] != '-' && w[0] != '+' {
				if text {
					return j
				}
				break
			}
			if w[1] != '-' {
				text = text || w[0] == '-' && strings.Contains(w, "c")
				if strings.HasSuffix(w, "o") { // it has a value
					j++
				}
			}
		}
	}
	return -1
}
