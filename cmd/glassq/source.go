package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// sourceFlags say what tasks are made of.
type sourceFlags struct {
	count    uint64
	numbers  string
	file     string
	format   string
	task     taskFlags
	ids      string
	key      string
	skipBad  bool
	renumber bool
	comments bool
	null     bool
	hasCount bool
	skipped  atomic.Uint64
}

func (s *sourceFlags) flags(cmd *cobra.Command) {
	heading(cmd, headTasks, s.table)
}

func (s *sourceFlags) table(f *pflag.FlagSet) {
	f.Uint64VarP(&s.count, "count", "n", 0, "how many tasks to make of the template, {0} from 0 on")
	f.StringVar(&s.numbers, "range", "", "numbers for {0}, like 100..199")
	f.StringVar(&s.file, "file", "", "`file` with a task on each line; - is standard input")
	f.StringVar(&s.format, "format", "", "what a line is: text, csv, ndjson or vegeta; default by the file's name, else text")
	f.StringVar(&s.ids, "ids", "", "`file` with ids, RUN/N on each line: only those positions of the source are put")
	f.StringVar(&s.key, "key", "", "`key` of the tasks for the limits per key: host is that of the task's URL, and a template like '{col:tenant}' says another")
	f.BoolVar(&s.skipBad, "skip-bad", false, "name, count and pass over lines that cannot be read and tasks that the queue refuses for good, instead of stopping")
	f.BoolVar(&s.renumber, "renumber", false, "replace ids that lines of ndjson have by positions of the run")
	f.BoolVar(&s.comments, "comments", false, "skip lines that begin with # or //, and those of blanks alone")
	f.BoolVarP(&s.null, "null", "0", false, "a byte 0 ends each line, as find -print0 writes them")
}

// openSource makes the source; the caller must call done. Skipped lines are told to say.
func (s *sourceFlags) openSource(cmd *cobra.Command, args []string, stdin *os.File,
	say func(string)) (src dispatch.Source, done func(), err error) {
	done = func() {}
	s.hasCount, s.task.hasBody = cmd.Flags().Changed("count"), cmd.Flags().Changed("body")
	var tmpl *dispatch.Template
	if len(args) > 0 {
		if tmpl, err = dispatch.ParseTemplate(args[0]); err != nil {
			return nil, done, usagef("%w", err)
		}
	}
	numbered := s.hasCount || s.numbers != ""
	free := stdin // for a body
	if !numbered && (s.file == "" || s.file == "-") {
		free = nil
	}
	req, err := s.task.request(free)
	if err != nil {
		return nil, done, usagef("%w", err)
	}
	switch {
	case s.hasCount && s.numbers != "" || s.file != "" && numbered:
		return nil, done, usagef("take one of -n, --range and --file")
	case (s.comments || s.null) && numbered:
		return nil, done, usagef("--comments and --null are about the lines of a file; with -n or --range there are none")
	case s.format != "" && numbered:
		return nil, done, usagef("--format %s is about the lines of a file; with -n or --range there are none", s.format)
	case numbered:
		src, err = s.counter(tmpl, req)
	case tmpl != nil && s.file == "" && !tmpl.UsesLine():
		return nil, done, usagef("say how many: -n 1000, or --range 100..199; or --file F with {line} in the template")
	default:
		src, done, err = s.lines(tmpl, req, stdin, say)
	}
	if err == nil && s.key != "" {
		var k *dispatch.Key
		if k, err = dispatch.ParseKey(s.key); err == nil {
			err = dispatch.SetKey(src, k)
		}
	}
	if err != nil {
		done()
		return nil, func() {}, usagef("%w", err)
	}
	return src, done, nil
}

func (s *sourceFlags) counter(t *dispatch.Template, req *dispatch.Request) (dispatch.Source, error) {
	if t == nil {
		return nil, usagef("-n and --range need a template, like 'http://127.0.0.1:8888/?q={0}'")
	}
	if s.hasCount {
		return dispatch.NewCounter(t, req, 0, s.count)
	}
	first, last, err := dispatch.ParseRange(s.numbers)
	if err != nil {
		return nil, err
	}
	return dispatch.NewCounter(t, req, first, last-first+1)
}

// shownBad is how many lines and tasks that were passed over are named; the rest is counted.
const shownBad = 10

func (s *sourceFlags) passOver(e error, say func(string)) {
	if s.skipped.Add(1) <= shownBad {
		say(fmt.Sprintf("passed over %v", e))
	}
}

// refused is what becomes of tasks that the queue refuses for good: with --skip-bad they are passed
// over.
func (s *sourceFlags) refused(say func(string)) func(*dispatch.RefusedError) {
	if !s.skipBad {
		return nil
	}
	return func(e *dispatch.RefusedError) { s.passOver(e, say) }
}

// bad is the line about what was passed over; "" for nothing.
func (s *sourceFlags) bad() string {
	if n := s.skipped.Load(); n > 0 {
		return plain.Plural(n, "bad task was passed over and is", "bad tasks were passed over and are") + " no part of the run"
	}
	return ""
}

// emptyLines ends a sentence about what was put with how many were passed over, "" for none.
func emptyLines(n uint64) string {
	if n == 0 {
		return ""
	}
	return ", skipped " + plain.Plural(n, "empty line", "empty lines")
}

func (s *sourceFlags) lines(t *dispatch.Template, req *dispatch.Request, stdin *os.File,
	say func(string)) (dispatch.Source, func(), error) {
	opt := dispatch.LineOptions{Format: dispatch.Format(s.format), Template: t, Request: req, Renumber: s.renumber,
		Comments: s.comments, NUL: s.null}
	if opt.Format == "" {
		opt.Format = formatOf(s.file)
	}
	if s.skipBad {
		opt.SkipBad = func(e *dispatch.LineError) {
			s.passOver(e, say)
		}
	}
	if s.file != "" && s.file != "-" {
		f, err := dispatch.OpenFile(s.file, opt)
		if err != nil {
			return nil, func() {}, err
		}
		return f, func() { f.Close() }, nil
	}
	if s.file == "" && term.IsTerminal(stdin) {
		return nil, func() {}, usagef("nothing to do: give a template with -n, or --file F, or lines on standard input")
	}
	opt.Name = "standard input"
	src, err := dispatch.NewLines(io.Reader(stdin), opt)
	return src, func() {}, err
}

func formatOf(file string) dispatch.Format {
	switch {
	case strings.HasSuffix(file, ".ndjson"), strings.HasSuffix(file, ".jsonl"):
		return dispatch.NDJSON
	case strings.HasSuffix(file, ".csv"):
		return dispatch.CSV
	}
	return dispatch.Text
}

// only reads the list of --ids; nil without one. run is the run that the ids are of.
func (s *sourceFlags) only() (run string, p *dispatch.Positions, err error) {
	if s.ids == "" {
		return "", nil, nil
	}
	f, err := os.Open(s.ids)
	if err != nil {
		return "", nil, usagef("read the ids: %w", err)
	}
	defer f.Close()
	run, p, err = dispatch.ReadIDs(f)
	if err != nil {
		return "", nil, usagef("--ids %s: %w", s.ids, err)
	}
	if p.Count() == 0 {
		return "", nil, usagef("--ids %s: there is no id in it", s.ids)
	}
	return run, p, nil
}
