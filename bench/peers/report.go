package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// figures is all that one run measured, as it is kept beside the report.
type figures struct {
	Began            time.Time
	Took             time.Duration
	Go, System       string
	CPUs, Rounds     int
	Limits           []time.Duration // of a cell, by round
	Busy             float64         // share of the processors that other programs used before the first cell
	BareP50, BareP99 time.Duration
	Settings         []about
	Cells            []cell
	Missing, Left    []string       // what is not installed; what failed
	Skipped          map[string]int // rounds for which there was no time, by setting
}

func (f *figures) find(name string) *about {
	for i := range f.Settings {
		if f.Settings[i].Name == name {
			return &f.Settings[i]
		}
	}
	return nil
}

// quietEnough is the share of the processors that other programs may use before figures count for nothing.
const quietEnough = 0.1

// A row is what the rounds of one setting made of one work.
type row struct {
	about
	rates    []float64 // per second, ascending
	p50, p99 time.Duration
	cell     // the first one, for what only one round measures
}

func (r *row) median() float64 { return r.rates[len(r.rates)/2] }

// rows of a work with n tasks, those with what is stored when they answer first, then the fastest first.
func (f *figures) rows(work string, n int) (all []*row) {
	for _, s := range f.Settings {
		r := &row{about: s}
		var p50s, p99s []time.Duration
		for _, c := range f.Cells {
			if c.Setting != s.Name || c.Work != work || c.N != n {
				continue
			}
			if len(r.rates) == 0 {
				r.cell = c
			}
			r.rates, p50s, p99s = append(r.rates, c.rate()), append(p50s, c.P50), append(p99s, c.P99)
		}
		if len(r.rates) == 0 {
			continue
		}
		slices.Sort(r.rates)
		slices.Sort(p50s)
		slices.Sort(p99s)
		r.p50, r.p99 = p50s[len(p50s)/2], p99s[len(p99s)/2]
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b *row) int {
		if a.Synced != b.Synced {
			if a.Synced {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.p50, b.p50), cmp.Compare(b.median(), a.median()))
	})
	return all
}

// against is Glassq's row with the same promise.
func against(all []*row, r *row) *row {
	for _, o := range all {
		if o.Peer == "Glassq" && o.Synced == r.Synced {
			return o
		}
	}
	return nil
}

// write renders the report and its charts.
func (f *figures) write(root, out string) error {
	var b strings.Builder
	f.head(&b, out)
	for _, n := range f.sizes() {
		if len(f.sizes()) > 1 {
			fmt.Fprintf(&b, "\n# %s tasks\n", thousands(float64(n)))
		}
		for _, w := range works {
			f.table(&b, w, n)
		}
		f.backlogs(&b, n)
	}
	left := append(slices.Clone(f.Missing), f.Left...)
	for _, s := range f.Settings {
		if n := f.Skipped[s.Name]; n > 0 {
			left = append(left, fmt.Sprintf("%s: %d of %d rounds, for which there was no time", s.Name, n, f.Rounds))
		}
	}
	list(&b, "Not measured", left)
	charts := strings.TrimSuffix(strings.ToLower(filepath.Base(out)), ".md")
	dir := filepath.Join(root, filepath.Dir(out), "charts")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	n := f.sizes()
	for _, w := range works {
		if w.kind == latency || len(n) == 0 {
			continue
		}
		path := filepath.Join(dir, charts+"-"+w.ID+".svg")
		if err := f.chart(path, w, f.rows(w.ID, n[0])); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(root, out), []byte(b.String()), 0o644)
}

func (f *figures) sizes() (all []int) {
	for _, c := range f.Cells {
		if !slices.Contains(all, c.N) {
			all = append(all, c.N)
		}
	}
	return all
}

func (f *figures) head(b *strings.Builder, out string) {
	command := "make bench-peers"
	if strings.Contains(out, "long") {
		command += "-long"
	}
	fmt.Fprintf(b, "# Beside other queues\n\nWritten by `%s` on %s in %v; not by hand. ", command,
		f.Began.UTC().Format("2006-01-02"), f.Took.Round(time.Second))
	fmt.Fprintf(b, "%d CPUs, %s, %s; bare sync (pwrite + fdatasync of 4 KiB, preallocated) p50 %v, p99 %v.\n\n", f.CPUs,
		f.System, f.Go, f.BareP50.Round(time.Microsecond), f.BareP99.Round(time.Microsecond))
	if f.Busy > quietEnough {
		fmt.Fprintf(b, "**Other programs used %.0f %% of the processors when this began: these figures show that the command works, "+
			"and nothing else.**\n\n", 100*f.Busy)
	}
	fmt.Fprintf(b, "One server runs at a time, on loopback, on an empty folder, with its clients on the same processors. Every setting gets the "+
		"same work in each of %d interleaved rounds; a cell ends with its last task or after %v, and its rate is what it did in that time. "+
		"Bodies and results have 32 bytes. Shown are the median and, beside it, the least and the most. *Of Glassq* divides by "+
		"Glassq's row with the same promise: `always` where a task is on stable storage when its put is answered, "+
		"`interval` for the others. A peer that is ahead is printed in bold, with the reason below the table. "+
		"Absolute figures belong to this machine: read the ratios, and their spread.\n", f.Rounds, limits(f.Limits))
	fmt.Fprintf(b, "\n## What is on stable storage when a put is answered\n\n"+
		"| setting | version | synced | what is stored | a result | client; settings |\n|---|---|---|---|---|---|\n")
	for _, s := range f.Settings {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s; %s |\n", s.Name, s.Version, yes(s.Synced), s.Stored, s.Kept, s.Client,
			strings.TrimSpace(s.Set))
	}
}

// limits are the times of a cell, from the shortest to the longest.
func limits(all []time.Duration) string {
	if len(all) == 0 {
		return "its time"
	}
	low, high := slices.Min(all).Round(10*time.Millisecond), slices.Max(all).Round(10*time.Millisecond)
	if low == high {
		return low.String()
	}
	return fmt.Sprintf("%v to %v", low, high)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (f *figures) table(b *strings.Builder, w work, n int) {
	all := f.rows(w.ID, n)
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", capital(w.What))
	if w.kind == latency {
		fmt.Fprint(b, "From when a put was due to its answer; a put waits for a free connection.\n\n"+
			"| setting | synced | p50 | p99 | kept | p50 of Glassq's |\n|---|---|---|---|---|---|\n")
	} else {
		fmt.Fprint(b, "| setting | synced | tasks/s | least | most | of Glassq |\n|---|---|---|---|---|---|\n")
	}
	var why []string
	for _, r := range all {
		ours, ratio, ahead := against(all, r), "", false
		if ours != nil && ours != r && ours.median() > 0 {
			of := r.median() / ours.median()
			if w.kind == latency {
				of = float64(r.p50) / float64(ours.p50)
			}
			ratio = ratioText(of)
			if ahead = of > 1 != (w.kind == latency); ahead {
				ratio = "**" + ratio + "**"
				why = append(why, r.Name+": "+reason(w, r))
			}
		}
		if w.kind == latency {
			kept := fmt.Sprintf("%.0f %%", min(100, 100*r.median()/float64(w.rate)))
			fmt.Fprintf(b, "| %s | %s | %v | %v | %s | %s |\n", r.Name, yes(r.Synced), short(r.p50), short(r.p99), kept, ratio)
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", r.Name, yes(r.Synced), thousands(r.median()),
			thousands(r.rates[0]), thousands(r.rates[len(r.rates)-1]), ratio)
	}
	list(b, "", why)
}

func (f *figures) backlogs(b *strings.Builder, n int) {
	all := f.rows("backlog", n)
	if len(all) == 0 {
		return
	}
	fmt.Fprint(b, "\n## What tasks that wait cost\n\nAfter the pipelined puts, in the first round: what the server and its children hold in memory (PSS), "+
		"what its folder takes on the disk beyond an empty one's, and, after `kill -9`, the time from the new start to the first task taken. "+
		"Files that are made ahead count: 64 MiB of Glassq, 10 MiB of beanstalkd, 16 MiB of PostgreSQL, so bytes a task need a million of them.\n\n"+
		"| setting | synced | tasks | memory, MB | bytes a task on disk | first task after kill -9 |\n|---|---|---|---|---|---|\n")
	for _, r := range all {
		ready := short(r.Ready).String()
		if r.Ready == 0 {
			ready = "never: it has none left"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %d | %.0f | %s |\n", r.Name, yes(r.Synced), thousands(float64(r.Did)), r.Memory/1e6,
			float64(r.Disk)/float64(max(1, r.Did)), ready)
	}
}

func list(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	if title != "" {
		fmt.Fprintf(b, "\n## %s\n", title)
	}
	fmt.Fprintln(b)
	for _, l := range lines {
		first, _, _ := strings.Cut(l, "\n")
		fmt.Fprintf(b, "- %s\n", first)
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func short(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}

func ratioText(of float64) string {
	if of < 0.1 {
		return fmt.Sprintf("%.3f", of)
	}
	return fmt.Sprintf("%.2f", of)
}

// thousands is a number with a comma between its thousands.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
