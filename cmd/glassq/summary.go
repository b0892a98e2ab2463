package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/internal/output"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/report"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// summaryFlags say what is made of results beside the results themselves.
type summaryFlags struct {
	summary                         string // json prints the summary, "" or text says it to people
	report, summaryOut, hgrm, junit string
	missing, failed, duplicate      string
	failIf, by                      []string
	strict, csvRaw                  bool

	rules []report.Rule
	lists []*os.File
}

func (f *summaryFlags) flags(cmd *cobra.Command) { heading(cmd, headSummary, f.table) }

func (f *summaryFlags) table(fs *pflag.FlagSet) {
	fs.StringVar(&f.summary, "summary", "text", "`form` of the summary: text on standard error, or json on standard output")
	fs.StringVar(&f.report, "report", "", "`file` for the report as a page of its own, readable without network")
	fs.StringVar(&f.summaryOut, "summary-out", "", "`file` for the summary as JSON")
	fs.StringVar(&f.hgrm, "hgrm", "", "`file` for the percentiles of service time, as HdrHistogram prints them")
	fs.StringVar(&f.junit, "junit", "", "`file` for the rules of --fail-if as a test report")
	fs.StringArrayVar(&f.failIf, "fail-if", nil, "`rule` that must not hold, such as 'p99>250ms', 'ok<99.9%' or 'rate<20000'; else exit 3")
	fs.StringSliceVar(&f.by, "by", nil, "`key` to group by: host, code, err, worker or label:NAME, a member of o, of the result or of a task that is JSON")
	fs.StringVar(&f.missing, "missing-out", "", "`file` for the ids of results that are missing")
	fs.StringVar(&f.failed, "failed-out", "", "`file` for failed tasks with their errors, JSON lines that dispatch --file or --ids takes again")
	fs.StringVar(&f.duplicate, "duplicate-out", "", "`file` for the ids of results that came again")
	fs.BoolVar(&f.csvRaw, "csv-raw", false, "write texts into CSV as they are, for a machine; else no spreadsheet or terminal takes them for commands")
	strictFlag(fs, &f.strict, "")
}

// strictFlag adds --strict, which is about the end of a run.
func strictFlag(fs *pflag.FlagSet, strict *bool, when string) {
	fs.BoolVar(strict, "strict", false, when+"exit 4 when any task failed or is dead; without it when not one went well")
}

// check reads rules and keys, and looks whether the files can be written, before anything is taken.
// printed says that standard output has the results.
func (f *summaryFlags) check(a *app, printed bool) error {
	for _, text := range f.failIf {
		r, err := report.ParseRule(text)
		if err != nil {
			return usagef("--fail-if: %w", err)
		}
		f.rules = append(f.rules, r)
	}
	if _, err := f.groups(); err != nil {
		return err
	}
	switch {
	case f.summary != "text" && f.summary != "json":
		return usagef("--summary %s is not one of text, json", f.summary)
	case f.summary == "json" && printed:
		return usagef("--summary json and the results would both be printed; add --out FILE or --format none, or take --summary-out FILE")
	}
	for _, out := range [][2]string{{"report", f.report}, {"summary-out", f.summaryOut}, {"hgrm", f.hgrm}, {"junit", f.junit},
		{"missing-out", f.missing}, {"failed-out", f.failed}, {"duplicate-out", f.duplicate}} {
		flag, path := out[0], out[1]
		if path == "" {
			continue
		}
		if (printed || f.summary == "json") && a.isStdout(path) {
			return usagef("--%s %s is standard output, where other data goes too; name a file", flag, path)
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return usagef("--%s %s is a folder; name a file", flag, path)
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return usagef("--%s %s: there is no folder %s", flag, path, filepath.Dir(path))
		}
	}
	return nil
}

func (f *summaryFlags) groups() ([]output.By, error) {
	var list []output.By
	for _, text := range f.by {
		by, err := output.ParseBy(text)
		if err != nil {
			return nil, usagef("--by: %w", err)
		}
		list = append(list, by)
	}
	return list, nil
}

// openSummary adds groups and lists to what an output is told. The caller must call close.
func (f *summaryFlags) openSummary(a *app, opt *output.Options) error {
	var err error
	if opt.By, err = f.groups(); err != nil {
		return err
	}
	opt.Raw = f.csvRaw
	for _, l := range []struct {
		path string
		w    *io.Writer
	}{{f.missing, &opt.Missing}, {f.failed, &opt.Failed}, {f.duplicate, &opt.Duplicate}} {
		if l.path == "" {
			continue
		}
		if a.isStdout(l.path) {
			*l.w = a.out
			continue
		}
		file, err := rewrite(l.path, 0o644)
		if err != nil {
			f.close()
			return usagef("write a list of ids: %w", err)
		}
		f.lists = append(f.lists, file)
		*l.w = file
	}
	return nil
}

func (f *summaryFlags) close() error {
	var err error
	for _, file := range f.lists {
		err = errors.Join(err, file.Close())
	}
	f.lists = nil
	return err
}

// finish says what came out, writes the files that were asked for, and returns how the run ends;
// err is how taking the results ended. Of several troubles the worst counts.
func (a *app) finish(f *summaryFlags, rep *output.Report, err error) error {
	d := rep.Document(time.Now())
	d.Program, d.Command = "glassq "+version(), commandLine(a.args)
	broken, jerr := d.Judge(f.rules)
	var werr error
	for _, file := range []struct {
		flag, path string
		write      func(io.Writer) error
	}{{"report", f.report, d.WriteHTML}, {"summary-out", f.summaryOut, d.WriteJSON}, {"hgrm", f.hgrm, d.WriteHgrm},
		{"junit", f.junit, d.WriteJUnit}} {
		if file.path == "" {
			continue
		}
		if err := a.writeFile(file.path, file.write); err != nil {
			a.console.Say("  not written: --%s: %v", file.flag, err)
			werr = fmt.Errorf("the results are taken, but --%s was not written: %w; with --out FILE the same command makes it anew", file.flag, err)
		}
	}
	if f.summary == "json" {
		werr = errors.Join(werr, d.WriteJSON(a.data()))
	}
	for _, v := range d.Rules {
		if v.Broken {
			a.console.Say("  broken: %s: %s", v.Rule, v.Says)
		}
	}
	werr = errors.Join(werr, f.close(), jerr)
	switch {
	case err != nil:
		return err
	case werr != nil:
		return werr
	}
	if err := a.balanced(rep); err != nil {
		return err
	}
	if broken > 0 {
		var names []string
		for _, v := range d.Rules {
			if v.Broken {
				names = append(names, v.Rule)
			}
		}
		return &exitError{exitThreshold, fmt.Errorf("broken: %s", strings.Join(names, ", "))}
	}
	return wentWell(&rep.Run, f.strict)
}

// balanced says what is missing, and returns how a run ends whose books do not balance.
func (a *app) balanced(rep *output.Report) error {
	if rep.Run.Name == "" || rep.Balanced() {
		return nil
	}
	if rep.ReadBefore > 0 {
		for _, r := range rep.Readers {
			a.console.Say("  read before into %s", plain.Text([]byte(r)))
		}
		return &exitError{exitUnbalanced, glassq.Errorf(glassq.CodeInternal,
			"not here: %s of run %s, read before; with --out and the file that has them the same command goes on with it",
			plain.Plural(rep.ReadBefore, "result", "results"), rep.Run.Name)}
	}
	for i, iv := range rep.MissingIDs {
		if i == 5 {
			a.console.Say("  and more")
			break
		}
		text := glassq.DenseID(rep.Run.Name, iv.First)
		if iv.Last > iv.First {
			text += " to " + glassq.DenseID(rep.Run.Name, iv.Last)
		}
		a.console.Say("  missing: %s", text)
	}
	return &exitError{exitUnbalanced, glassq.Errorf(glassq.CodeInternal,
		"the books of run %s do not balance: %s missing here; another output may have taken them", rep.Run.Name,
		plain.Plural(rep.Missing, "result is", "results are"))}
}

// sayResults tells what was taken, and the books; f is nil for a command without such flags.
func (a *app) sayResults(rep *output.Report, f *summaryFlags) {
	a.console.Say("%s", rep.Line())
	if line := rep.Document(time.Now()).RateLine(); line != "" {
		a.console.Say("  %s", line)
	}
	a.sayErrors(rep)
	if f != nil && f.failed != "" && rep.Failed > 0 {
		again := "glassq dispatch --file " + f.failed
		if formatOf(f.failed) != dispatch.NDJSON {
			again += " --format ndjson"
		}
		a.console.Say("  failed tasks are in %s; %s puts them as a new run", f.failed, again)
	}
	if rep.NoRecord > 0 {
		a.console.Say("  %s no JSON object: counted as ok, and kept in raw or b64",
			plain.Plural(rep.NoRecord, "result is", "results are"))
	}
	if rep.Run.Name != "" {
		a.console.Say("%s%s", report.FormatBooks(rep.Run.Books, rep.Missing, rep.Duplicates),
			report.FormatReadBefore(rep.ReadBefore))
		a.sayJob(&rep.Run)
	}
}

// sayJob tells the books of a run and its retries as one, when it has any.
func (a *app) sayJob(run *glassq.Run) {
	if run.Job != nil {
		a.console.Say("job %s", report.FormatJob(run.Job))
	}
}

// sayErrors tells the most frequent errors.
func (a *app) sayErrors(rep *output.Report) {
	for i, e := range rep.Errors {
		if i == 5 {
			a.console.Say("  and %s", plain.Plural(len(rep.Errors)-i, "more kind", "more kinds"))
			return
		}
		a.console.Say("  failed: %s  %s", plain.Comma(e.Count), e.Class)
	}
}

// notWritten explains results that could not be written to where; other errors stay as they are.
func notWritten(err error, where string, rep *output.Report) error {
	w, ok := errors.AsType[*output.WriteError](err)
	if !ok {
		return err
	}
	if outputClosed(w.Err) {
		return &exitError{exitInterrupted, fmt.Errorf(
			"whoever read the output has closed it; %s written by this output, and what was not acked stays in queue %s",
			plain.Plural(rep.Written, "result was", "results were"), rep.Queue)}
	}
	cure := "make room and give"
	if errors.Is(err, errGone) {
		cure = "put the file back, if you can, and give"
	}
	return &exitError{exitStorage, fmt.Errorf(
		"write results to %s: %w; %s written by this output, and what was not acked stays in queue %s: %s the same command again",
		where, w.Err, plain.Plural(rep.Written, "was", "were"), rep.Queue, cure)}
}
