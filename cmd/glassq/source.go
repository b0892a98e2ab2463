package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/spf13/cobra"
)

// sourceFlags say what tasks are made of.
type sourceFlags struct {
	count    uint64
	numbers  string
	file     string
	format   string
	method   string
	header   []string
	body     string
	timeout  time.Duration // of a request; dispatch alone has a flag for it
	ids      string
	skipBad  bool
	renumber bool
	hasCount bool
	hasBody  bool
	skipped  atomic.Uint64
}

func (s *sourceFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Uint64VarP(&s.count, "count", "n", 0, "how many tasks to make of the template, {0} from 0 on")
	f.StringVar(&s.numbers, "range", "", "numbers for {0}, like 100..199")
	f.StringVar(&s.file, "file", "", "`file` with a task on each line; - is standard input")
	f.StringVar(&s.format, "format", "", "what a line is: text, csv, ndjson or vegeta; default by the file's name, else text")
	f.StringVar(&s.ids, "ids", "", "`file` with ids, <run>/<n> on each line: only those positions of the source are put")
	f.BoolVar(&s.skipBad, "skip-bad", false, "name, count and pass over lines that cannot be read and tasks that the queue refuses for good, instead of stopping")
	f.BoolVar(&s.renumber, "renumber", false, "replace ids that lines of ndjson have by positions of the run")
	f.StringVar(&s.method, "method", "", "method of the requests")
	f.StringArrayVar(&s.header, "header", nil, "header of the requests, 'Name: value'; may be repeated, and be a template")
	f.StringVar(&s.body, "body", "", "body of the requests, a template")
}

// request is what the flags make of a URL, nil for nothing.
func (s *sourceFlags) request() (*dispatch.Request, error) {
	if s.method == "" && len(s.header) == 0 && !s.hasBody && s.timeout == 0 {
		return nil, nil
	}
	r := &dispatch.Request{Method: s.method, Timeout: s.timeout}
	if s.timeout < 0 {
		return nil, usagef("--timeout %v is negative", s.timeout)
	}
	if s.method != "" {
		if err := dispatch.CheckMethod(s.method); err != nil {
			return nil, err
		}
	}
	for _, text := range s.header {
		f, err := dispatch.ParseField(text)
		if err != nil {
			return nil, err
		}
		r.Header = append(r.Header, f)
	}
	if s.hasBody {
		t, err := dispatch.ParseTemplate(s.body)
		if err != nil {
			return nil, err
		}
		r.Body = t
	}
	return r, nil
}

// open makes the source; the caller must call done. Skipped lines are told to say.
func (s *sourceFlags) open(cmd *cobra.Command, args []string, stdin *os.File, say func(string)) (src dispatch.Source, done func(), err error) {
	done = func() {}
	s.hasCount, s.hasBody = cmd.Flags().Changed("count"), cmd.Flags().Changed("body")
	var tmpl *dispatch.Template
	if len(args) > 0 {
		if tmpl, err = dispatch.ParseTemplate(args[0]); err != nil {
			return nil, done, usagef("%w", err)
		}
	}
	req, err := s.request()
	if err != nil {
		return nil, done, usagef("%w", err)
	}
	switch {
	case s.hasCount && s.numbers != "" || s.file != "" && (s.hasCount || s.numbers != ""):
		return nil, done, usagef("take one of -n, --range and --file")
	case s.format != "" && (s.hasCount || s.numbers != ""):
		return nil, done, usagef("--format %s is about the lines of a file; with -n or --range there are none", s.format)
	case s.hasCount || s.numbers != "":
		src, err = s.counter(tmpl, req)
	case tmpl != nil && s.file == "" && !tmpl.UsesLine():
		return nil, done, usagef("say how many: -n 1000, or --range 100..199; or --file F with {line} in the template")
	default:
		src, done, err = s.lines(tmpl, req, stdin, say)
	}
	if err != nil {
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

// refused is what becomes of tasks that the queue refuses for good: with --skip-bad they are passed over.
func (s *sourceFlags) refused(say func(string)) func(*dispatch.RefusedError) {
	if !s.skipBad {
		return nil
	}
	return func(e *dispatch.RefusedError) { s.passOver(e, say) }
}

// bad is the line about what was passed over; "" for nothing.
func (s *sourceFlags) bad() string {
	if n := s.skipped.Load(); n > 0 {
		return term.Plural(n, "bad task was", "bad tasks were") + " passed over and is no part of the run"
	}
	return ""
}

func (s *sourceFlags) lines(t *dispatch.Template, req *dispatch.Request, stdin *os.File, say func(string)) (dispatch.Source, func(), error) {
	opt := dispatch.LineOptions{Format: dispatch.Format(s.format), Template: t, Request: req, Renumber: s.renumber}
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
