package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sample() *figures {
	f := &figures{Rounds: 3, Settings: []about{
		{Name: "Glassq, interval", Peer: "Glassq"}, {Name: "Glassq, always", Peer: "Glassq", Synced: true},
		{Name: "slow, synced", Peer: "slow", Synced: true}, {Name: "fast, unsynced", Peer: "NSQ"}}}
	for _, r := range []struct {
		name string
		did  []int
	}{
		{"Glassq, interval", []int{2000, 1000, 1500}}, {"Glassq, always", []int{1000, 1000, 1000}},
		{"slow, synced", []int{10, 30, 20}}, {"fast, unsynced", []int{3000, 3000, 3000}},
	} {
		for _, did := range r.did {
			f.Cells = append(f.Cells, cell{Setting: r.name, Work: "pipelined", N: 100, Did: did, Took: time.Second})
		}
	}
	return f
}

func TestRowsAreComparedWithTheSamePromise(t *testing.T) {
	all := sample().rows("pipelined", 100)
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
	}
	if got, want := strings.Join(names, "; "), "Glassq, always; slow, synced; fast, unsynced; Glassq, interval"; got != want {
		t.Errorf("rows are %s, want %s", got, want)
	}
	for i, want := range []string{"Glassq, always", "Glassq, always", "Glassq, interval", "Glassq, interval"} {
		if got := against(all, all[i]).Name; got != want {
			t.Errorf("%s is compared with %s, want %s", all[i].Name, got, want)
		}
	}
	if got := all[1].median(); got != 20 {
		t.Errorf("median of %v = %v, want 20", all[1].rates, got)
	}
}

func TestReportSaysWhoIsAheadAndWhy(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "bench"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := sample()
	f.Busy, f.Left = 0.5, []string{"slow, synced, round 2: it said\nmore than a line"}
	if err := f.write(root, "bench/RESULTS.md"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "bench", "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| slow, synced | yes | 20 | 10 | 30 | 0.020 |",
		"| fast, unsynced | no | 3,000 | 3,000 | 3,000 | **2.00** |",
		"- fast, unsynced: " + why["pipelined/NSQ"],
		"these figures show that the command works",
		"- slow, synced, round 2: it said\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "bench", "charts", "results-pipelined.svg")); err != nil {
		t.Error(err)
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.6: "1,234,568"} {
		if got := thousands(v); got != want {
			t.Errorf("thousands(%v) = %s, want %s", v, got, want)
		}
	}
}
