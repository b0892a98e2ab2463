//go:build linux

// Command challenge is the Million-URL Challenge: each URL of a list is asked for once, while each
// part of the set-up that does it is killed with SIGKILL at random, ten times, and started again.
// What was lost and what was done twice is judged from outside, by the log of the web server that
// was asked. Set-ups that are usual elsewhere do the same job beside, killed alike.
//
//	go run ./bench/challenge                          1,000,000 URLs; the slow ones 100,000
//	go run ./bench/challenge -n 100000 -slow 10000    fewer of them
//
// It needs Linux; and for those that it compares with curl, parallel, redis-server and
// python3-celery, which are Debian packages. It writes its table into docs/challenge.md and README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/plain"
)

var (
	n     = flag.Int("n", 1_000_000, "URLs for glassq")
	slow  = flag.Int("slow", 100_000, "URLs for the others, which are slow")
	kills = flag.Int("kills", 10, "times that each part is killed")
	parts = flag.String("parts", "", "parts to kill, by name, with commas between them; none means all of them")
	seed  = flag.Uint64("seed", 1, "of the moments of the kills")
	only  = flag.String("only", "", "set-ups to run, by the beginning of their names, with commas between them")
	write = flag.Bool("write", true, "write the table into docs/challenge.md and README.md")
)

// A setup is one way to do the job.
type setup struct {
	name    string
	fast    bool     // -n URLs; the others have -slow
	needs   []string // programs
	modules string   // of Python
	lines   []string // what somebody writes to have it
	// cast makes the parts of an arena, and is told in what follows how far they are.
	cast func(*arena) error
}

// An outcome is what the target's log and the clock say of a setup.
type outcome struct {
	setup
	urls, lost, twice int
	took              time.Duration
	memory            uint64         // the most that all parts had at a time, in bytes, shared pages once
	killed            map[string]int // by part
	said              string         // its own last word
	stood             bool           // nothing more was asked for, and it was not done
	left              string         // why it was left out
}

func main() {
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "challenge:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "glassq-challenge-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	glassq := filepath.Join(dir, "glassq")
	if out, err := exec.Command("go", "build", "-o", glassq, "./cmd/glassq").CombinedOutput(); err != nil {
		return fmt.Errorf("build glassq: %w: %s", err, out)
	}
	var all []outcome
	for i, s := range setups {
		named := func(begin string) bool { return strings.HasPrefix(s.name, begin) }
		if *only != "" && !slices.ContainsFunc(strings.Split(*only, ","), named) {
			continue
		}
		urls := *slow
		if s.fast {
			urls = *n
		}
		o := outcome{setup: s, urls: urls}
		for _, program := range s.needs {
			if _, err := exec.LookPath(program); err != nil {
				o.left = program + " is not here"
			}
		}
		if s.modules != "" && exec.Command(python, "-c", "import "+s.modules).Run() != nil {
			o.left = "Python's " + s.modules + " are not here"
		}
		if o.left == "" {
			home := filepath.Join(dir, strconv.Itoa(i))
			if err := os.Mkdir(home, 0o700); err != nil {
				return err
			}
			a := &arena{dir: home, glassq: glassq, urls: urls, random: rand.New(rand.NewPCG(*seed, uint64(i)))}
			if err := a.play(ctx, &o); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		fmt.Println(o.row())
		all = append(all, o)
	}
	text := table(all)
	fmt.Println("\n" + text)
	if !*write {
		return nil
	}
	for _, file := range []string{"docs/challenge.md", "README.md"} {
		if err := insert(file, text); err != nil {
			return err
		}
	}
	return nil
}

// judge reads the log of the target: a line for each request, with the number of its URL.
func judge(log string, o *outcome) error {
	f, err := os.Open(log)
	if err != nil {
		return err
	}
	defer f.Close()
	seen := make([]bool, o.urls)
	o.lost, o.twice = o.urls, 0
	in := bufio.NewScanner(f)
	for in.Scan() {
		q, err := strconv.Atoi(in.Text())
		switch {
		case err != nil || q < 0 || q >= o.urls:
			return fmt.Errorf("the target was asked for %q, which is none of the URLs", in.Text())
		case seen[q]:
			o.twice++
		default:
			seen[q] = true
			o.lost--
		}
	}
	return in.Err()
}

// counted is k, and for a million URLs in brackets: fewer URLs with as many kills have more of both.
func (o *outcome) counted(k int) string {
	return fmt.Sprintf("%s (%s)", plain.Comma(uint64(k)), plain.Comma(uint64(float64(k)*1e6/float64(o.urls)+0.5)))
}

func (o *outcome) row() string {
	if o.left != "" {
		return fmt.Sprintf("| %s | left out: %s | | | | | | %d |", o.name, o.left, len(o.lines))
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(o.killed)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, o.killed[name]))
	}
	return fmt.Sprintf("| %s | %s | %s | %v | %s | %s | %d MB | %d |", o.name, plain.Comma(uint64(o.urls)),
		strings.Join(parts, ", "), o.took.Round(time.Second), o.counted(o.lost), o.counted(o.twice), o.memory>>20,
		len(o.lines))
}

func table(all []outcome) string {
	var b strings.Builder
	b.WriteString("| set-up | URLs | killed | time | lost (per million) | twice (per million) | memory | lines |\n" +
		"|---|---:|---|---:|---:|---:|---:|---:|\n")
	for i := range all {
		b.WriteString(all[i].row() + "\n")
	}
	fmt.Fprintf(&b, "\n%s, %d CPUs, %s; `go run ./bench/challenge -n %d -slow %d -kills %d -seed %d`.", time.Now().Format(time.DateOnly),
		runtime.NumCPU(), runtime.Version(), *n, *slow, *kills, *seed)
	for i := range all {
		if all[i].said != "" {
			fmt.Fprintf(&b, " %s itself said: `%s`.", all[i].name, all[i].said)
		}
		if all[i].stood {
			fmt.Fprintf(&b, " %s stood still: in %v nothing more was asked for, and what was left counts as lost.", all[i].name, quiet)
		}
	}
	return b.String() + "\n"
}

const begins, ends = "<!-- made by: make challenge -->\n", "<!-- end of what make challenge made -->"

// insert puts text between the two comments of a file.
func insert(file, text string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), begins)
	_, after, ok2 := strings.Cut(rest, ends)
	if !ok || !ok2 {
		return errors.New(file + " has no place for the table: " + strings.TrimSpace(begins) + " and " + ends)
	}
	return os.WriteFile(file, []byte(before+begins+"\n"+text+"\n"+ends+after), 0o644)
}
