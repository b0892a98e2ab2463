// Command peers measures Glassq beside the queues that people use instead, all in one run on one machine.
//
//	make bench-peers                       what fits into 6 minutes: three rounds, bench/RESULTS.md and charts
//	make bench-peers PEERS_TIME=25m        cells of up to 5 s
//	make bench-peers-long                  1 and 10 million tasks, one round, bench/RESULTS-long.md
//	go run . -h                            in this folder: every flag
//
// It starts one server at a time, as a process of its own on loopback, on a free port and an empty folder, gives
// each the same work, and ends what it started. Servers are Debian packages or Go modules of go.mod in this folder, which is a
// module of its own so that nothing of it reaches those who import Glassq.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	root    = flag.String("root", "../..", "folder of the repository: what is built, and where bench/ lies")
	only    = flag.String("only", "", "comma-separated parts of names: measure only settings with one of them")
	counts  = flag.String("n", "100000", "comma-separated numbers of tasks in a cell")
	limit   = flag.Duration("limit", 5*time.Second, "most time of a cell, which then reports what it did")
	rounds  = flag.Int("rounds", 3, "rounds, each over all settings in turn; the median counts")
	budget  = flag.Duration("budget", 0, "time for all: cells get shorter, and what does not fit is named; 0 is without end")
	out     = flag.String("out", "bench/RESULTS.md", "report, below the root; figures and charts lie beside it; - is none")
	from    = flag.String("from", "", "write the report again from a file of figures, and measure nothing")
	install = flag.Bool("install", false, "install the Debian packages that are not here")
)

func main() {
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if *from != "" {
		var f figures
		text, err := os.ReadFile(*from)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &f); err != nil {
			return fmt.Errorf("%s: %w", *from, err)
		}
		return f.write(*root, *out)
	}
	began := time.Now()
	dir, err := os.MkdirTemp("", "peers-") // short: a path of a unix socket has at most 107 bytes
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL runs as another user
		return err
	}
	e := &env{ctx: ctx, dir: dir}
	all, missing, err := e.settings()
	if err != nil {
		return err
	}
	f := &figures{Began: began, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		CPUs: runtime.NumCPU(), Rounds: *rounds, Missing: missing}
	if f.Busy, err = busy(ctx); err != nil {
		return err
	}
	if f.BareP50, f.BareP99, err = e.bareSync(); err != nil {
		return err
	}
	fmt.Printf("%s, %d CPUs, %s; bare sync p50 %v p99 %v; other programs use %.0f %% of the processors\n",
		f.Go, f.CPUs, f.System, f.BareP50, f.BareP99, 100*f.Busy)
	for _, n := range strings.Split(*counts, ",") {
		n, err := strconv.Atoi(n)
		if err != nil || n < 1 {
			return fmt.Errorf("-n %s: want numbers of tasks, comma-separated", *counts)
		}
		if err := f.measure(e, all, n, began); err != nil {
			return err
		}
	}
	f.Took = time.Since(began)
	if *out == "-" {
		return nil
	}
	text, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	path := filepath.Join(*root, strings.TrimSuffix(*out, ".md")+".json")
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return f.write(*root, *out)
}

// share is how long a cell may take so that the rounds that are left fit into the budget. Some cells end early, so
// it gives a third more than there is for all; the rounds after it take what is left then.
func share(all []*setting, rounds int, began time.Time) time.Duration {
	if *budget == 0 {
		return *limit
	}
	left := *budget - time.Since(began)
	for _, s := range all {
		left -= (s.slowStart + 2*time.Second) * time.Duration(rounds)
	}
	cells := len(all) * (len(works) + 2) * rounds // two of them fill their queue first
	return max(least, min(*limit, left*4/3/time.Duration(max(1, cells))))
}

const least = 400 * time.Millisecond // of a cell, to say anything

// measure has every setting do all works with n tasks, in rounds, and keeps what they did.
func (f *figures) measure(e *env, all []*setting, n int, began time.Time) error {
	for round := range *rounds {
		most := share(all, *rounds-round, began)
		f.Limits = append(f.Limits, most)
		fmt.Printf("\nround %d of %d: %d settings, %d tasks or %v a cell\n", round+1, *rounds, len(all), n, most)
		for _, s := range all {
			if f.find(s.Name) == nil {
				f.Settings = append(f.Settings, s.about)
			}
			if *budget > 0 && time.Since(began) > *budget-most {
				if f.Skipped == nil {
					f.Skipped = map[string]int{}
				}
				f.Skipped[s.Name]++
				continue
			}
			fmt.Printf("round %d  %s\n", round+1, s.Name)
			c := &course{env: e, setting: s, n: n, most: most, first: round == 0}
			cells, err := c.run()
			if e.ctx.Err() != nil {
				return e.ctx.Err()
			}
			if err != nil { // the others are measured all the same
				fmt.Printf("    failed: %v\n", err)
				f.Left = append(f.Left, fmt.Sprintf("%s, round %d: %v", s.Name, round+1, err))
			}
			for _, cell := range cells {
				fmt.Printf("    %s\n", cell)
			}
			f.Cells = append(f.Cells, cells...)
		}
	}
	return nil
}
