// Command mutants proves that the tests see bugs. Each patch beside it breaks the engine in one way; it is
// applied to a copy of the tree, and the quick ladder must fail there, after it has passed on the copy as it
// is. A patch that does not apply or does not compile is an error, not a bug that was caught. Anyone may add
// one: a unified diff below the lines "room: " and "breaks: ".
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "only patches whose names contain this")
	crashes := flag.Int("crashes", 4000, "simulated crashes for each, at least one round of all scripts")
	flag.Parse()
	if err := run(*only, *crashes); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// ladder are the rungs that a mutant has to get past, quickest first.
func ladder(crashes int) [][]string {
	return [][]string{
		{"test", "-count=1", "-vet=off", "-failfast", "-timeout", "3m", "./internal/ladder", "-run", "^TestCrash$", "-crashes", fmt.Sprint(crashes)},
		{"test", "-count=1", "-vet=off", "-failfast", "-timeout", "3m", "./internal/wal/...", "./internal/state", "-short"},
		{"test", "-count=1", "-vet=off", "-failfast", "-timeout", "3m", "./internal/ladder", "-run", "^(TestMachine|TestWays)$", "-short", "-rapid.nofailfile", "-rapid.shrinktime", "1s"},
		{"test", "-count=1", "-vet=off", "-failfast", "-timeout", "5m", "./internal/disk"},
	}
}

// copyTree copies what is or would be committed: neither the history nor what was installed or built.
func copyTree(dir string) error {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// What go test prints of a test that failed, of one that did not end, and of a panic outside of a test's
// own goroutine.
var (
	failed   = regexp.MustCompile(`--- FAIL: (\S+)`)
	timedOut = regexp.MustCompile(`panic: test timed out after \S+\n\s+running tests:\n\s+(\S+)`)
	panicked = regexp.MustCompile(`(?m)^(panic: .{0,80})`)
)

// caughtBy tells from the output of a failed go test what failed, or "" when nothing did: it was not built.
func caughtBy(out []byte) string {
	if all := failed.FindAllSubmatch(out, -1); len(all) > 0 {
		return string(all[len(all)-1][1])
	}
	if m := timedOut.FindSubmatch(out); m != nil {
		return string(m[1]) + ", which did not end"
	}
	if m := panicked.FindSubmatch(out); m != nil {
		return string(m[1])
	}
	return ""
}

func run(only string, crashes int) error {
	patches, err := filepath.Glob("internal/mutants/*.patch")
	if err != nil || len(patches) == 0 {
		return fmt.Errorf("no patches in internal/mutants; run it from the root of the tree (%v)", err)
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyTree(dir); err != nil {
		return fmt.Errorf("copy the tree: %w", err)
	}
	in := func(name string, args ...string) ([]byte, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	// What fails on the tree as it is catches nothing.
	for _, args := range ladder(crashes) {
		began := time.Now()
		if out, err := in("go", args...); err != nil {
			return fmt.Errorf("go %s fails without a mutant: %s", strings.Join(args, " "), out)
		}
		fmt.Printf("control  %4.0f s of go %s\n", time.Since(began).Seconds(), strings.Join(args, " "))
	}
	killed, tried := 0, 0
	rooms := map[string]int{}
	for _, path := range patches {
		if !strings.Contains(path, only) {
			continue
		}
		tried++
		name := strings.TrimSuffix(filepath.Base(path), ".patch")
		patch, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		if out, err := in("git", "apply", "--unsafe-paths", "--recount", patch); err != nil {
			return fmt.Errorf("%s does not apply: %s", name, out)
		}
		if out, err := in("go", "build", "./internal/wal", "./internal/state", "./internal/disk"); err != nil {
			return fmt.Errorf("%s does not compile: %s", name, out)
		}
		by := ""
		for _, args := range ladder(crashes) {
			out, err := in("go", args...)
			if err == nil {
				continue
			}
			if by = caughtBy(out); by == "" {
				return fmt.Errorf("%s: go %s failed without a test that did: %s", name, strings.Join(args, " "), out)
			}
			break
		}
		if out, err := in("git", "apply", "--unsafe-paths", "--recount", "-R", patch); err != nil {
			return fmt.Errorf("%s does not come off: %s", name, out)
		}
		if by == "" {
			fmt.Printf("SURVIVED %s\n", name)
			continue
		}
		killed++
		room, _, _ := strings.Cut(name, "-")
		rooms[room]++
		fmt.Printf("killed   %-32s by %s\n", name, by)
	}
	fmt.Printf("reliability: rung=mutants killed=%d of=%d rooms=%v failed=%v\n", killed, tried, rooms, killed < tried)
	if killed < tried {
		return fmt.Errorf("%d of %d survived", tried-killed, tried)
	}
	return nil
}
