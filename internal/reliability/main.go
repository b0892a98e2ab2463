// Command reliability climbs the test ladder and writes what each rung counted into the table of
// RELIABILITY.md. Its arguments are variables of make: BUDGET=small or full, SEED=n.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

const (
	file  = "RELIABILITY.md"
	begin = "<!-- counts: written by make reliability -->"
	end   = "<!-- end of counts -->"
)

var rungs = []string{"crash", "machine", "ways", "flips", "kill", "power", "mutants"}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

func run(vars []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", file, begin, end)
	}
	commit, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return fmt.Errorf("git describe: %w", err)
	}
	var rows strings.Builder
	fmt.Fprintf(&rows, "\nCommit %s, %s, %s/%s, %d processors, `%s`.\n\n| rung | counts |\n|---|---|\n", strings.TrimSpace(string(commit)),
		time.Now().UTC().Format("2006-01-02"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), strings.Join(append([]string{"make reliability"}, vars...), " "))
	var failed []string
	for _, rung := range rungs {
		counts, err := climb(rung, vars)
		if err != nil {
			failed = append(failed, rung)
		}
		if counts == "" {
			counts = "did not run here"
		}
		fmt.Fprintf(&rows, "| `make %s` | %s |\n", rung, counts)
		// After each rung: what was counted in an hour is not lost with the next one.
		if err := os.WriteFile(file, []byte(head+begin+"\n"+rows.String()+"\n"+end+tail), 0o644); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
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
