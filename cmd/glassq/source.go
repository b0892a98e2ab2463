package main

import (
	"io"
	"os"
	"strings"

	"github.com/glassq/glassq/internal/dispatch"
	"github.com/spf13/cobra"
)

// sourceFlags say what tasks are made of.
type sourceFlags struct {
	count    uint64
	numbers  string
	file     string
	format   string
	hasCount bool
}

func (s *sourceFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Uint64VarP(&s.count, "count", "n", 0, "how many tasks to make of the template, {0} from 0 on")
	f.StringVar(&s.numbers, "range", "", "numbers for {0}, like 100..199")
	f.StringVar(&s.file, "file", "", "`file` with a task on each line; - is standard input")
	f.StringVar(&s.format, "format", "", "what a line is: text or ndjson; default by the file's name")
}

// open makes the source; the caller must call done.
func (s *sourceFlags) open(cmd *cobra.Command, args []string, stdin *os.File) (src dispatch.Source, done func(), err error) {
	done = func() {}
	s.hasCount = cmd.Flags().Changed("count")
	var tmpl *dispatch.Template
	if len(args) > 0 {
		if tmpl, err = dispatch.ParseTemplate(args[0]); err != nil {
			return nil, done, usagef("%w", err)
		}
	}
	switch {
	case s.hasCount && s.numbers != "" || s.file != "" && (s.hasCount || s.numbers != ""):
		return nil, done, usagef("take one of -n, --range and --file")
	case s.hasCount || s.numbers != "":
		src, err = s.counter(tmpl)
	case tmpl != nil && s.file == "" && !tmpl.UsesLine():
		return nil, done, usagef("say how many: -n 1000, or --range 100..199; or --file F with {line} in the template")
	default:
		src, done, err = s.lines(tmpl, stdin)
	}
	if err != nil {
		return nil, func() {}, usagef("%w", err)
	}
	return src, done, nil
}

func (s *sourceFlags) counter(t *dispatch.Template) (dispatch.Source, error) {
	if t == nil {
		return nil, usagef("-n and --range need a template, like 'http://127.0.0.1:8888/?q={0}'")
	}
	if s.hasCount {
		return dispatch.NewCounter(t, 0, s.count)
	}
	first, last, err := dispatch.ParseRange(s.numbers)
	if err != nil {
		return nil, err
	}
	return dispatch.NewCounter(t, first, last-first+1)
}

func (s *sourceFlags) lines(t *dispatch.Template, stdin *os.File) (dispatch.Source, func(), error) {
	format := dispatch.Format(s.format)
	if format == "" {
		format = dispatch.Text
		if strings.HasSuffix(s.file, ".ndjson") || strings.HasSuffix(s.file, ".jsonl") {
			format = dispatch.NDJSON
		}
	}
	if s.file != "" && s.file != "-" {
		f, err := dispatch.OpenFile(s.file, format, t)
		if err != nil {
			return nil, func() {}, err
		}
		return f, func() { f.Close() }, nil
	}
	if s.file == "" && isTerminal(stdin) {
		return nil, func() {}, usagef("nothing to do: give a template with -n, or --file F, or lines on standard input")
	}
	src, err := dispatch.NewLines(io.Reader(stdin), format, t)
	return src, func() {}, err
}
