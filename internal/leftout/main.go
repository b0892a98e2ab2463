// Command leftout runs go test and remembers which tests were skipped, and why.
//
//	go run ./internal/leftout -list FILE [-strict] -- [go test arguments]
//	go run ./internal/leftout -list FILE -print
//
// It prints what go test prints without -v, and appends a line to FILE for every skipped test. A
// test that lacks something a person could install skips with "needs NAME: how to get it"; with
// -strict such a test counts as failed, so that a machine which is meant to have everything cannot
// pass without it. A package in which no test failed, but the race detector itself broke down, is
// run once more (golang/go issue 78156, of bubbles of testing/synctest). The exit status is that of
// go test, or 1.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// needs begins the reason of a skip that installing something would mend.
const needs = "needs "

func main() {
	list := flag.String("list", "", "`file` that collects what was left out")
	strict := flag.Bool("strict", false, "a test that skips with \""+needs+"…\" fails")
	show := flag.Bool("print", false, "print what file holds, and run nothing")
	flag.Parse()
	code, err := 0, error(nil)
	if *show {
		err = printList(os.Stdout, *list)
	} else {
		code, err = run(*list, *strict, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "leftout:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run runs go test and returns the status to exit with.
func run(list string, strict bool, args []string) (int, error) {
	code, told, err := goTest(args)
	skips := told.skips
	if again := told.again(); err == nil && code != 0 && len(again) > 0 {
		fmt.Printf("leftout: the race detector itself broke down in %s; once more\n", strings.Join(again, ", "))
		flags := args[:slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, ".") || strings.Contains(a, "/") })]
		code, told, err = goTest(slices.Concat(flags, again))
		skips = append(skips, told.skips...)
	}
	if err != nil {
		return max(code, 1), err
	}
	if list != "" {
		f, err := os.OpenFile(list, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return 1, err
		}
		defer f.Close()
		for _, s := range skips {
			fmt.Fprintf(f, "%s %s: %s\n", s.pkg, s.test, s.reason)
		}
	}
	missing := 0
	for _, s := range skips {
		if strict && strings.HasPrefix(s.reason, needs) {
			fmt.Printf("--- LEFT OUT: %s %s: %s\n", s.pkg, s.test, s.reason)
			missing++
		}
	}
	if missing > 0 {
		return 1, fmt.Errorf("%d tests were left out that should have run here", missing)
	}
	return code, nil
}

// goTest runs go test once.
func goTest(args []string) (code int, told outcome, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, told, err
	}
	if err := cmd.Start(); err != nil {
		return 1, told, err
	}
	told, err = follow(out, os.Stdout)
	if err != nil {
		io.Copy(io.Discard, out)
	}
	cmd.Wait()
	return cmd.ProcessState.ExitCode(), told, err
}

// An outcome is what go test told.
type outcome struct {
	skips  []skip
	failed map[string]bool // packages and their tests
	broken map[string]bool // packages in which the race detector broke down
}

// detectorBroke is what the race detector says when it breaks down: no race, and no failure of a test.
// The second is a fault in code that is not Go's, which the detector alone is; one in Go's is a panic.
var detectorBroke = regexp.MustCompile(`^(ThreadSanitizer: CHECK failed|SIGSEGV: segmentation violation$)`)

// again is the packages to run once more, where nothing but the race detector failed.
func (o *outcome) again() []string {
	for name := range o.failed {
		if !o.broken[name] { // a test, or a package with another reason
			return nil
		}
	}
	return slices.Sorted(maps.Keys(o.failed))
}

// A skip is a test that said why it does not run.
type skip struct{ pkg, test, reason string }

// An event is a line of go test -json; see go doc test2json.
type event struct {
	Action, Package, Test, Output, ImportPath string
}

var reasonLine = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)

// follow prints what go test would have printed, and returns what it told.
func follow(in io.Reader, out io.Writer) (outcome, error) {
	told := outcome{failed: map[string]bool{}, broken: map[string]bool{}}
	held := map[string][]string{} // output of tests whose end is not yet known
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				out.Write(line)
			} else {
				key := e.Package + " " + e.Test
				if detectorBroke.MatchString(strings.TrimSpace(e.Output)) {
					told.broken[e.Package] = true
				}
				if e.Action == "fail" {
					told.failed[strings.TrimSpace(key)] = true
				}
				switch {
				case e.Action == "output" && e.Test == "", e.Action == "build-output":
					if e.Output != "PASS\n" {
						io.WriteString(out, e.Output)
					}
				case e.Action == "output":
					held[key] = append(held[key], e.Output)
				case e.Test == "":
				case e.Action == "fail":
					for _, s := range held[key] {
						io.WriteString(out, s)
					}
					delete(held, key)
				case e.Action == "skip":
					told.skips = append(told.skips, skip{e.Package, e.Test, reasonOf(held[key])})
					delete(held, key)
				case e.Action == "pass":
					delete(held, key)
				}
			}
		}
		if err == io.EOF {
			// A test that never ended (a panic, a time-out) is what the reader must see.
			for _, lines := range held {
				for _, s := range lines {
					io.WriteString(out, s)
				}
			}
			return told, nil
		}
		if err != nil {
			return told, err
		}
	}
}

// reasonOf is what the test said last before it was skipped.
func reasonOf(output []string) string {
	for _, s := range slices.Backward(output) {
		if m := reasonLine.FindStringSubmatch(s); m != nil {
			return strings.TrimSpace(m[1])
		}
	}
	return "no reason given"
}

// printList prints each reason once, with the tests that gave it.
func printList(w io.Writer, list string) error {
	b, err := os.ReadFile(list)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	tests := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		name, reason, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if ok && !slices.Contains(tests[reason], name) {
			tests[reason] = append(tests[reason], name)
		}
	}
	reasons := make([]string, 0, len(tests))
	for r := range tests {
		reasons = append(reasons, r)
	}
	slices.Sort(reasons)
	for _, r := range reasons {
		names := tests[r]
		more := ""
		if len(names) > 3 {
			more = fmt.Sprintf(" and %d more", len(names)-3)
			names = names[:3]
		}
		fmt.Fprintf(w, "  %s: %s%s\n", r, strings.Join(names, ", "), more)
	}
	return nil
}
