package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

const hostile = `http://evil.test/"><script>alert(1)</script>&x='</style>`

// sample is the document of a run of n results over a minute, from three hosts: every tenth failed,
// and one with a hostile input is the slowest.
func sample(n int) *Document {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	failed := uint64((n + 9) / 10)
	service, due := NewHistogram(3), NewHistogram(3)
	points := make([]Point, 60)
	for i := range n {
		rt := time.Duration(i%50+1) * time.Millisecond
		service.Record(rt)
		due.Record(rt + time.Duration(i%30)*time.Millisecond)
		p := &points[i*len(points)/n]
		p.Done++
		p.Due++
		p.P50, p.P99, p.Max, p.DueP99 = 0.025, 0.05, 0.05, 0.08
		if i%10 == 0 {
			p.Failed++
		}
	}
	service.Record(3 * time.Second)
	d := &Document{
		Version: DocumentVersion, Run: "r1", Queue: "results.r1", Made: start.Add(2 * time.Minute), Took: 60,
		Books: &glassq.Books{Put: uint64(n), OK: uint64(n) - failed,
			Failed: failed}, Total: uint64(n), Complete: true, Balanced: true,
		Results: uint64(n), OK: uint64(n) - failed, Failed: failed, Bytes: 100 * uint64(n),
		Rate: Rate{Asked: 500, Changes: []AskedRate{{T: float64(start.Unix()) + 1, Rate: 500}}, Reached: float64(n) / 60,
			Span: 60, Deviation: 0.02, Taken: float64(n) / 60, Late: uint64(n) / 2},
		Service: service.Latency(true), Due: due.Latency(true),
		Errors: []ErrorCount{{"timeout", failed}},
		Slowest: []Slow{{ID: "r1/10", Input: hostile, Seconds: 3, Err: "timeout", Worker: "w"},
			{ID: "r1/49", Seconds: 0.05, Code: 200}},
		Series: Series{Start: float64(start.Unix()), Width: 1, Points: points},
	}
	hosts := Grouping{By: "host"}
	for i := range 3 {
		hosts.Groups = append(hosts.Groups, Group{Key: fmt.Sprintf("h%d.test", i), Count: uint64(n) / 3,
			Service: service.Latency(false)})
	}
	d.Groups = []Grouping{hosts}
	return d
}

func pageOf(t *testing.T, d *Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wellFormed reads the page as XML, so that every element is closed, and returns the elements by
// name and all text outside of style.
func wellFormed(t *testing.T, text string) (elements map[string]int, words string) {
	t.Helper()
	elements = map[string]int{}
	var b strings.Builder
	in, style := xml.NewDecoder(strings.NewReader(text)), false
	for {
		tok, err := in.Token()
		if errors.Is(err, io.EOF) {
			return elements, b.String()
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch v := tok.(type) {
		case xml.StartElement:
			elements[v.Name.Local]++
			style = v.Name.Local == "style"
			for _, a := range v.Attr {
				if a.Name.Local == "src" || a.Name.Local == "href" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("<%s %s=%q>: the page is to load and run nothing", v.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.EndElement:
			style = false
		case xml.CharData:
			if !style {
				b.Write(v)
			}
		}
	}
}

func TestReportAgreesWithDocument(t *testing.T) {
	d := sample(6000)
	rules := []Rule{{Text: "p99>1ms", metric: "p99", op: ">", value: 0.001},
		{Text: "failed>50%", metric: "failed", op: ">", value: 0.5, share: true}}
	if n, err := d.Judge(rules); n != 1 || err != nil {
		t.Fatalf("Judge = %d, %v; want 1 broken", n, err)
	}
	text := pageOf(t, d)
	elements, words := wellFormed(t, text)
	want := []string{
		"Run r1", FormatBooks(*d.Books, 0, 0), "1 of 2 rules are broken.", "p99.99", showSeconds(d.Service.P9999), showSeconds(d.Due.P9999),
		showSeconds(d.Service.P50), showSeconds(d.Due.P999), "timeout", "600", "h0.test", "h1.test", "rate asked", "500/s",
		showRate(d.Rate.Reached),
		hostile, d.Slowest[1].ID, "p99 is",
	}
	for _, w := range want {
		if !strings.Contains(words, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
	if elements["script"] != 0 || elements["link"] != 0 || elements["img"] != 0 {
		t.Errorf("elements = %v, want none that loads or runs anything", elements)
	}
	if elements["caption"] != elements["table"] || elements["table"] < 6 {
		t.Errorf("%d tables, %d captions; want a caption for each of at least 6", elements["table"], elements["caption"])
	}
	if rows := strings.Count(text, `<th scope="row">`); rows > 200 {
		t.Errorf("%d rows; want a bound", rows)
	}
	if elements["path"] < 8 {
		t.Errorf("%d lines, want at least 7 in two charts and their keys", elements["path"])
	}
	if strings.Contains(text, "@import") || strings.Contains(text, "url(") {
		t.Error("the style loads something")
	}
}

func TestReportOfNothing(t *testing.T) {
	books := glassq.Books{}
	for name, d := range map[string]*Document{
		"no tally":  {Version: DocumentVersion},
		"no run":    {Version: DocumentVersion, Made: time.Unix(1e9, 0), Groups: []Grouping{}, Slowest: []Slow{}},
		"empty run": {Version: DocumentVersion, Run: "r1", Books: &books, Balanced: true, Complete: true},
		"one":       sample(1),
	} {
		t.Run(name, func(t *testing.T) {
			text := pageOf(t, d)
			_, words := wellFormed(t, text)
			if d.Results == 0 && (!strings.Contains(words, "There are no results.") ||
				!strings.Contains(words, "No result failed.")) {
				t.Errorf("page says %q; want that there are no results", words)
			}
			if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") || strings.Contains(text, "ZgotmplZ") {
				t.Error("NaN, Inf or a refused value in the page")
			}
		})
	}
}

func TestReportEscapesEverything(t *testing.T) {
	d := sample(100)
	d.Run, d.Queue = hostile, hostile
	d.Errors = []ErrorCount{{hostile, 1}}
	d.Groups = []Grouping{{By: hostile, Groups: []Group{{Key: hostile, Count: 1, Errors: d.Errors}}}}
	d.Rules = []Verdict{{Rule: hostile, Says: hostile}}
	d.Slowest = []Slow{{ID: hostile, Input: hostile, Err: hostile, Worker: hostile}}
	elements, words := wellFormed(t, pageOf(t, d))
	if elements["script"] != 0 || elements["style"] != 1 || strings.Count(words, hostile) < 10 {
		t.Errorf("%d scripts, %d styles, %d hostile texts; want 0, 1 and at least 10", elements["script"],
			elements["style"], strings.Count(words, hostile))
	}
}

// The colour of the first line: nothing failed, a hundredth at most, or more.
func TestVerdict(t *testing.T) {
	books := func(put, failed uint64) *Document {
		return &Document{Results: put, Failed: failed, Balanced: true, Complete: true,
			Books: &glassq.Books{Put: put, OK: put - failed, Failed: failed}}
	}
	dead := books(1000, 0)
	dead.Dead = 11
	broken := books(1000, 0)
	broken.Rules = []Verdict{{Broken: true}}
	tests := []struct {
		name        string
		d           *Document
		class, says string
	}{
		{"all well", books(1000, 0), "good", "The run is complete and the books balance."},
		{"one in a thousand", books(1000, 1), "warn", "1 of 1,000 failed (0.100 %)."},
		{"a hundredth", books(1000, 10), "warn", "10 of 1,000"},
		{"more than a hundredth", books(1000, 78), "bad", "78 of 1,000 failed (7.800 %)."},
		{"dead ones", dead, "bad", "11 of 1,000"},
		{"a broken rule", broken, "bad", "1 of 1 rules"},
		{"no run", &Document{Results: 10, Failed: 5}, "bad", "5 of 10 failed"},
		{"nothing", &Document{}, "bad", "There are no results."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if v := tt.d.verdict(); v.Class != tt.class || !strings.Contains(v.Text, tt.says) {
				t.Errorf("verdict = %+v; want %s and %q", v, tt.class, tt.says)
			}
		})
	}
}

// What was measured without a rate says nothing of one; how the run was made, and what failed, is
// there.
func TestReportTells(t *testing.T) {
	d := sample(600)
	d.Rate.Asked, d.Rate.Changes = 0, nil
	d.Program, d.Command, d.Before = "glassq v9", "glassq run 'http://h/{0}'", 200
	d.Codes = []CodeCount{{"503", 60, 60}}
	d.Failures = []Failure{{ID: "r1/10", Err: "status 503", Code: 503, Input: hostile, Message: "m", Excerpt: "<b>try later</b>"}}
	_, words := wellFormed(t, pageOf(t, d))
	for _, w := range []string{"glassq v9", "glassq run 'http://h/{0}'", "503", "<b>try later</b>", "of all 600 results",
		"Rate reached"} {
		if !strings.Contains(words, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
	for _, w := range []string{"asked", "began late", "deviation of the seconds"} {
		if strings.Contains(strings.ToLower(words), w) {
			t.Errorf("the page has %q, without a rate", w)
		}
	}
	d.Rate.Asked, d.Rate.GivenUp = 250, 7
	if line := d.RateLine(); !strings.HasSuffix(line, "; 7 moments of the schedule were given up") {
		t.Errorf("RateLine = %q", line)
	}
	rule, err := ParseRule("due.p99>1h")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.Judge([]Rule{rule}); n != 1 || err != nil || !strings.Contains(d.Rules[0].Says, "given up") {
		t.Errorf("Judge = %d, %v, %v; want the rule broken for what was given up", n, err, d.Rules)
	}
}

// A browser shows the page: no script ran, and text of the page is laid out.
func TestReportInBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium: apt-get install chromium")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "report.html")
	if err := os.WriteFile(path, []byte(pageOf(t, sample(6000))), 0o600); err != nil {
		t.Fatal(err)
	}
	browse := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), chromium, append([]string{"--headless", "--no-sandbox", "--disable-gpu",
			"--no-first-run", "--disable-background-networking", "--user-data-dir=" + filepath.Join(dir, "profile"),
			"--dump-dom"}, args...)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		dom, err := cmd.Output()
		if err != nil {
			t.Fatalf("chromium: %v: %s", err, errs.String())
		}
		return string(dom)
	}
	dom := browse("file://" + path)
	for _, want := range []string{"<h1>Run r1</h1>", `id="slowest"`, "The run is complete and the books balance.",
		"&lt;script&gt;"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the browser's page lacks %q", want)
		}
	}
	if strings.Contains(dom, "<script") {
		t.Error("the browser found a script")
	}

	// On a telephone nothing but tables reaches over the edge, and texts of charts can be read.
	phone := filepath.Join(dir, "phone.html")
	if err := os.WriteFile(phone, []byte(`<iframe width="360" height="700" src="report.html"></iframe><script>
onload = () => { const d = document.querySelector("iframe").contentDocument;
const heights = [...d.querySelectorAll("svg text")].map(e => e.getBoundingClientRect().height);
document.body.title = (d.documentElement.scrollWidth <= 360 && heights.length > 9 && Math.min(...heights) >= 9) + " " +
d.documentElement.scrollWidth + " " + Math.min(...heights); }</script>`), 0o600); err != nil {
		t.Fatal(err)
	}
	if dom := browse("--allow-file-access-from-files", "--virtual-time-budget=5000", "file://"+phone); !strings.Contains(dom,
		`title="true`) {
		t.Errorf("360 pixels are too narrow: %s", dom[max(0, strings.Index(dom, "title=")):][:40])
	}
}
