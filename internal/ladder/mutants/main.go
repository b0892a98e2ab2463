// Command mutants proves that the tests see bugs. Each patch beside it breaks the engine in one
// way; it is applied to a copy of the tree, and the quick ladder must fail there, after it has
// passed on the copy as it is. A patch that does not apply or does not compile is an error, not a
// bug that was caught. Anyone may add one: a unified diff below the lines "room: " and "breaks: ".
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
	"slices"
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

// A rung is a part of the ladder: a run of go test, and how long it may take.
type rung struct {
	args []string
	most time.Duration
}

func (r *rung) String() string { return "go test " + strings.Join(r.args, " ") }

// test runs it, by a runner of commands.
func (r *rung) test(in func(string, ...string) ([]byte, error)) ([]byte, error) {
	return in("go", append([]string{"test", "-count=1", "-vet=off", "-failfast", "-timeout", r.most.String()},
		r.args...)...)
}

// firstMost is how long a rung may take without a mutant. With one it may take slower times as long
// as that took, and grace: a bug may well show in a test that does not end.
const (
	firstMost = 20 * time.Minute
	slower    = 4
	grace     = 30 * time.Second
)

// ladder are the rungs that a mutant has to get past, quickest first.
func ladder(crashes int) []rung {
	return []rung{
		{[]string{"./internal/wal/...", "./internal/state", "-short"}, firstMost},
		{[]string{"./internal/ladder", "-run", "^(TestMachine|TestWays)$", "-short", "-rapid.nofailfile",
			"-rapid.shrinktime", "1s"}, firstMost},
		walk(),
		{[]string{"./internal/ladder", "-run", "^TestCrash$", "-crashes", fmt.Sprint(crashes)}, firstMost},
		{[]string{"./internal/engine/...", "./internal/disk"}, firstMost},
	}
}

// walk is the rung that walks longest beside the model, over changes of owners.
func walk() rung {
	return rung{[]string{"./internal/ladder", "-run", "^TestOwners$", "-owners", "4000"}, firstMost}
}

// owners are the rungs of bugs whose names begin with "cluster-": those of one machine do not see them.
func owners() []rung {
	return []rung{
		{[]string{"./internal/cluster", "-short"}, firstMost},
		walk(),
		{[]string{"./internal/door/memcache", "-run", "^TestOwnerDoesNotAnswer$"}, firstMost},
	}
}

// copyTree copies what is or would be committed: neither the history nor what was installed or
// built.
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

// What go test prints of a test that failed, of one that did not end, and of a panic outside of a
// test's own goroutine.
var (
	failed   = regexp.MustCompile(`--- FAIL: (\S+)`)
	timedOut = regexp.MustCompile(`panic: test timed out after \S+\n\s+running tests:\n\s+(\S+)`)
	panicked = regexp.MustCompile(`(?m)^(panic: .{0,80})`)
)

// caughtBy tells from the output of a failed go test what failed, or "" when nothing did: it was
// not built.
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
	patches, err := filepath.Glob("internal/ladder/mutants/*.patch")
	if err != nil || len(patches) == 0 {
		return fmt.Errorf("no patches in internal/ladder/mutants; run it from the root of the tree (%v)", err)
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
	// A test that fails on the tree as it is catches nothing.
	one, many := ladder(crashes), owners()
	wanted := func(name string) []rung {
		if strings.HasPrefix(name, "cluster-") {
			return many
		}
		return one
	}
	var control []*rung
	for _, rungs := range [][]rung{one, many} {
		used := slices.ContainsFunc(patches, func(path string) bool {
			return strings.Contains(path, only) && &wanted(filepath.Base(path))[0] == &rungs[0]
		})
		for i := range rungs {
			if used {
				control = append(control, &rungs[i])
			}
		}
	}
	for _, r := range control {
		began := time.Now()
		if out, err := r.test(in); err != nil {
			return fmt.Errorf("%v fails without a mutant: %s", r, out)
		}
		took := time.Since(began)
		r.most = (slower*took + grace).Round(time.Second)
		fmt.Printf("control  %3.0f s of %v\n", took.Seconds(), r)
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
		if out, err := in("go", "build", "./internal/wal", "./internal/state", "./internal/disk", "./internal/cluster"); err != nil {
			return fmt.Errorf("%s does not compile: %s", name, out)
		}
		by, rungs := "", wanted(name)
		for i := range rungs {
			r := &rungs[i]
			out, err := r.test(in)
			if err == nil {
				continue
			}
			if by = caughtBy(out); by == "" {
				return fmt.Errorf("%s: %v failed without a test that did: %s", name, r, out)
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
