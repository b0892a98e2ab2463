// Command reliability climbs the test ladder and writes what each rung counted into the table of
// RELIABILITY.md. Only the lines between two marks are its own; what a person writes stands outside
// of them. A rung that is climbed has its row replaced, and the other rows stay as they are.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	file  = "RELIABILITY.md"
	begin = "<!-- counts: written by make reliability; notes of people go outside -->\n"
	end   = "<!-- end of counts -->\n"
	head  = "\n| rung | counts | when, where and how |\n|---|---|---|\n"
)

var rungs = []string{"crash", "machine", "ways", "journeys", "flips", "salvage", "kill", "power", "mutants"}

func main() {
	only := flag.String("rungs", strings.Join(rungs, " "), "the rungs to climb, with spaces between")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(),
			"reliability [-rungs \"crash kill\"] [BUDGET=small|full] [SEED=n]: arguments are variables of make")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(strings.Fields(*only), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

func run(list, vars []string) error {
	for _, rung := range list {
		if !slices.Contains(rungs, rung) {
			return fmt.Errorf("no rung is called %q; there are %s", rung, strings.Join(rungs, ", "))
		}
	}
	commit, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return fmt.Errorf("git describe: %w", err)
	}
	var failed []string
	for _, rung := range list {
		counts, err := climb(rung, vars)
		if err != nil {
			failed = append(failed, rung)
		}
		if counts == "" {
			counts = "did not run here"
		}
		how := fmt.Sprintf("%s, commit %s, %s/%s, %d processors, `%s`",
			time.Now().UTC().Format(time.DateOnly), strings.TrimSpace(string(commit)), runtime.GOOS, runtime.GOARCH,
			runtime.NumCPU(), strings.Join(append([]string{"make", rung}, vars...), " "))
		// After each rung: what was counted in an hour is not lost with the next one.
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		next, err := replaceRow(string(text), rung, counts, how)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(next), 0o644); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

// replaceRow puts the row of a rung into the table of text, in the order of the rungs. What is
// outside of the marks stays as it is, byte for byte.
func replaceRow(text, rung, counts, how string) (string, error) {
	before, rest, ok := strings.Cut(text, begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("%s lacks the lines %q and %q", file, begin, end)
	}
	rows := map[string]string{}
	for line := range strings.Lines(strings.TrimPrefix(table, head)) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "| `make "), "`")
		if slices.Contains(rungs, name) {
			rows[name] = line
		} else if strings.TrimSpace(line) != "" {
			return "", errors.New(file + ": between the marks are only rows of rungs; notes go outside: " + line)
		}
	}
	rows[rung] = fmt.Sprintf("| `make %s` | %s | %s |\n", rung, counts, how)
	var b strings.Builder
	b.WriteString(before + begin + head)
	for _, name := range rungs {
		b.WriteString(rows[name])
	}
	b.WriteString("\n" + end + after)
	return b.String(), nil
}

// climb runs one rung, shows its output, and returns its counts.
func climb(rung string, vars []string) (counts string, err error) {
	cmd := exec.Command("make", append([]string{"--no-print-directory", rung}, vars...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	for in := bufio.NewScanner(io.TeeReader(out, os.Stdout)); in.Scan(); {
		if line, ok := strings.CutPrefix(in.Text(), "reliability: rung="+rung+" "); ok {
			counts = strings.ReplaceAll(line, "|", "/")
		}
	}
	return counts, cmd.Wait()
}
