package report

import (
	"bufio"
	"embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/glassq/glassq/internal/plain"
)

//go:embed page/report.html page/report.css
var reportFiles embed.FS

var reportTemplate = template.Must(template.New("report.html").Funcs(template.FuncMap{
	"comma": plain.Comma[uint64], "time": showSeconds, "moment": showMoment,
}).ParseFS(reportFiles, "page/report.html"))

// maxRows is how many rows the table beside a chart has at most.
const maxRows = 60

// A page is what the template of the report knows.
type page struct {
	*Document
	Style   template.CSS
	Title   string
	Says    string // the books in a line; "" without a run
	Whole   string // the same of the run and its retries as one; "" without retries
	Verdict verdictLine
	Facts   []fact
	Times   []timeRow
	Latency chart
	Rates   chart
	Rows    []seriesRow
	At      string // when the series begins
}

type verdictLine struct {
	Class string // good, warn or bad
	Text  string
}

// tolerated is the share of tasks that may fail or die before the verdict is bad.
const tolerated = 0.01

type fact struct{ Name, Value string }

// A timeRow is one row of the table of percentiles; its cells are "–" where nothing was measured.
type timeRow struct{ Name, Service, Due string }

// A seriesRow is one row of the table beside the charts.
type seriesRow struct {
	At                               string
	Done, Failed                     uint64
	Rate, Due, P50, P99, Max, DueP99 string
}

// WriteHTML writes the document as a page of its own: style and charts are in it, it loads nothing
// and runs no script, and follows the reader's light or dark. Texts that came with results are
// escaped. Its size does not depend on the number of results.
func (d *Document) WriteHTML(w io.Writer) error {
	style, err := reportFiles.ReadFile("page/report.css")
	if err != nil {
		return err // it is embedded
	}
	p := &page{
		Document: d, Style: template.CSS(style), Title: "glassq report", Verdict: d.verdict(),
		Facts: d.facts(), Times: d.times(), Latency: latencyChart(d), Rates: rateChart(d), Rows: d.rows(),
	}
	if d.Run != "" {
		p.Title = "Run " + d.Run
	}
	if len(d.Series.Points) > 0 {
		p.At = showMoment(time.UnixMilli(int64(d.Series.Start * 1000)))
	}
	if d.Books != nil {
		p.Says = FormatBooks(*d.Books, d.Missing, d.Duplicates) + FormatReadBefore(d.ReadBefore)
	}
	if d.Job != nil {
		p.Whole = FormatJob(d.Job)
	}
	b := bufio.NewWriterSize(w, 64<<10)
	if err := reportTemplate.Execute(b, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return b.Flush()
}

// verdict is the first thing to know. It is good when nothing failed or died, and bad when more
// than a hundredth did.
func (d *Document) verdict() verdictLine {
	broken := 0
	for i := range d.Rules {
		if d.Rules[i].Broken {
			broken++
		}
	}
	switch {
	case d.Books != nil && d.ReadBefore > 0:
		return verdictLine{"bad", "The results are not all here: " + plain.Plural(d.ReadBefore, "was", "were") + " read before, by another output."}
	case d.Books != nil && !d.Balanced:
		return verdictLine{"bad", "The books do not balance: " + plain.Plural(d.Missing, "result is", "results are") + " missing here."}
	case broken > 0:
		return verdictLine{"bad", fmt.Sprintf("%d of %d rules are broken.", broken, len(d.Rules))}
	case d.Books != nil && !d.Complete:
		return verdictLine{"bad", "The run is not complete: " + plain.Plural(d.Pending, "task is", "tasks are") + " pending, or more may be put."}
	case d.Results == 0:
		return verdictLine{"bad", "There are no results."}
	}
	v := verdictLine{"good", plain.Plural(d.Results, "result was", "results were") + " taken; without a run there are no books."}
	all, lost := d.Results, d.Failed
	if d.Books != nil {
		v.Text = "The run is complete and the books balance."
		all, lost = d.Books.Put, d.Books.Failed+d.Dead
	}
	if lost > 0 {
		v.Class = "warn"
		if float64(lost) > tolerated*float64(all) {
			v.Class = "bad"
		}
		v.Text += " " + plain.Comma(lost) + " of " + plain.Comma(all) + " failed" + share(lost, all) + "."
	}
	return v
}

func (d *Document) facts() []fact {
	facts := []fact{
		{"results", plain.Comma(d.Results)},
		{"ok", plain.Comma(d.OK) + share(d.OK, d.Results)},
		{"failed", plain.Comma(d.Failed) + share(d.Failed, d.Results)},
		{"rate reached", showRate(d.Rate.Reached)},
	}
	if d.Rate.Asked > 0 {
		facts = append(facts, fact{"rate asked", d.askedText()}, fact{"moments of it given up", plain.Comma(d.Rate.GivenUp)})
	}
	if d.Rate.Deviation > 0 {
		facts = append(facts, fact{"results of a second differ from their mean by (standard deviation)",
			showShare(d.Rate.Deviation)})
	}
	facts = append(facts, fact{"over", showSeconds(d.Rate.Span)})
	if d.Due.Count > 0 && d.Rate.Asked > 0 {
		facts = append(facts, fact{"began late (over 10 ms)", plain.Comma(d.Rate.Late) + share(d.Rate.Late, d.Results)})
	}
	if d.Bytes > 0 {
		facts = append(facts, fact{"received", showBytes(d.Bytes)})
	}
	if d.NoRecord > 0 {
		facts = append(facts, fact{"no JSON objects", plain.Comma(d.NoRecord)})
	}
	if d.Before > 0 {
		facts = append(facts, fact{"of these, from earlier calls", plain.Comma(d.Before)})
	}
	return facts
}

func (d *Document) times() []timeRow {
	cell := func(l *Latency, v float64) string {
		if l.Count == 0 {
			return "–"
		}
		return showSeconds(v)
	}
	var rows []timeRow
	for _, p := range percentileRows {
		rows = append(rows, timeRow{p.name, cell(&d.Service, p.of(&d.Service)), cell(&d.Due, p.of(&d.Due))})
	}
	return rows
}

// percentileRows are the figures of a Latency in the order in which tables show them. Those with a
// quantile are percentiles.
var percentileRows = []struct {
	name     string
	quantile float64 // 0 for none
	of       func(*Latency) float64
}{
	{"min", 0, func(l *Latency) float64 { return l.Min }},
	{"mean", 0, func(l *Latency) float64 { return l.Mean }},
	{"p50", .5, func(l *Latency) float64 { return l.P50 }},
	{"p75", .75, func(l *Latency) float64 { return l.P75 }},
	{"p90", .9, func(l *Latency) float64 { return l.P90 }},
	{"p95", .95, func(l *Latency) float64 { return l.P95 }},
	{"p99", .99, func(l *Latency) float64 { return l.P99 }},
	{"p99.9", .999, func(l *Latency) float64 { return l.P999 }},
	{"p99.99", .9999, func(l *Latency) float64 { return l.P9999 }},
	{"max", 0, func(l *Latency) float64 { return l.Max }},
}

// rows are the series as a table: neighbours are put together until there are at most maxRows.
func (d *Document) rows() []seriesRow {
	s := &d.Series
	if len(s.Points) == 0 {
		return nil
	}
	per := (len(s.Points) + maxRows - 1) / maxRows
	var rows []seriesRow
	for i := 0; i < len(s.Points); i += per {
		part := s.Points[i:min(i+per, len(s.Points))]
		var sum Point
		var p50s float64
		for _, p := range part {
			sum.Done += p.Done
			sum.Failed += p.Failed
			sum.Due += p.Due
			p50s += p.P50 * float64(p.Done)
			sum.P99, sum.Max, sum.DueP99 = max(sum.P99, p.P99), max(sum.Max, p.Max), max(sum.DueP99, p.DueP99)
		}
		if sum.Done > 0 {
			sum.P50 = p50s / float64(sum.Done)
		}
		span := float64(len(part)) * s.Width
		rows = append(rows, seriesRow{
			At: showSeconds(float64(i) * s.Width), Done: sum.Done, Failed: sum.Failed,
			Rate: showRate(float64(sum.Done) / span), Due: showRate(float64(sum.Due) / span),
			P50: dash(sum.P50), P99: dash(sum.P99), Max: dash(sum.Max), DueP99: dash(sum.DueP99),
		})
	}
	return rows
}
