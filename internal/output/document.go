package output

import (
	"time"

	"github.com/glassq/glassq/internal/report"
	"github.com/glassq/glassq/internal/stages"
)

// Document makes the summary of a report.
func (r *Report) Document(now time.Time) *report.Document {
	d := &report.Document{
		Version: report.DocumentVersion, Run: r.Run.Name, Queue: r.Queue, Made: now.UTC().Truncate(time.Second),
		Took:  r.Took.Seconds(),
		Total: r.Run.Total, Complete: r.Run.Complete, Pending: r.Run.Pending, Balanced: r.Balanced(),
		Before: r.Before, Missing: r.Missing, ReadBefore: r.ReadBefore, Duplicates: r.Duplicates,
		Errors: r.Errors, Codes: []report.CodeCount{}, Failures: []report.Failure{}, Groups: []report.Grouping{},
		Slowest: []report.Slow{},
	}
	if r.Run.Name != "" {
		books := r.Run.Books
		d.Books, d.Dead, d.Job = &books, books.Dead.Sum(), r.Run.Job
	}
	if r.tally != nil {
		r.tally.document(d)
	}
	d.Rate.Stages, d.Rate.GivenUp = r.Run.Stages, r.Run.GivenUp
	d.Rate.Asked = max(d.Rate.Asked, r.Run.Rate)
	parts, _ := stages.Parse(r.Run.Stages) // the server let them in
	for _, s := range parts {
		d.Rate.Asked = max(d.Rate.Asked, s.From, s.To)
	}
	return d
}

func (t *tally) document(d *report.Document) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.all
	d.Results, d.OK, d.Failed, d.NoRecord, d.Bytes = a.ok+a.failed, a.ok, a.failed, a.raw, a.bytes
	d.Service, d.Due = a.service.Latency(true), a.whole.Latency(true)
	d.Slowest, d.Series = a.slow.list(), a.series.snapshot()
	d.Codes, d.Failures = a.codes.list(), append(d.Failures, a.samples...)
	for _, g := range a.groupings {
		d.Groups = append(d.Groups, g.snapshot())
	}
	d.Rate = report.Rate{Changes: a.asked, Late: a.late, Span: d.Took, Deviation: d.Series.Deviation()}
	for _, c := range a.asked {
		d.Rate.Asked = max(d.Rate.Asked, c.Rate)
	}
	if d.Took > 0 {
		d.Rate.Taken = float64(t.written) / d.Took
	}
	d.Rate.Reached = d.Rate.Taken
	if span := (a.ended.Sub(a.began) - a.pause()).Seconds(); span > 0 && 2*a.clocked >= d.Results {
		d.Rate.Span, d.Rate.Reached = span, float64(a.clocked)/span
	}
}
