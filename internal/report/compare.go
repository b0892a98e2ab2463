package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/glassq/glassq/internal/plain"
)

const (
	// sureZ is how many standard errors make 99 %: many figures are judged at once, and 95 % would
	// find a difference in one of twenty that has none.
	sureZ = 2.576
	// fewBeyond is how many results must lie beyond a percentile before it is judged.
	fewBeyond = 10
	// histogramError is how far a time in a histogram is off at most, relative.
	histogramError = 0.001
)

// What can be said of a difference.
const (
	Beyond   = "beyond chance" // within either run, at 99 %
	Chance   = "may be chance"
	TooFew   = "too few"    // results to tell
	Unjudged = "not judged" // there is nothing that says how much it scatters
)

// A Comparison is two summaries side by side.
type Comparison struct {
	A     string        `json:"a"` // their names
	B     string        `json:"b"`
	Rows  []ComparedRow `json:"rows"`
	Notes []string      `json:"notes"` // what to know before a difference is believed
}

// A ComparedRow is one figure of both. Times are seconds, shares 0 to 1.
type ComparedRow struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"` // s, /s, share or ""
	A       float64 `json:"a"`
	B       float64 `json:"b"`
	Change  float64 `json:"change"` // (b - a) / a; 0 when a is 0
	Verdict string  `json:"verdict"`
}

// Compare puts two summaries side by side. Each difference is judged against the scatter within
// either run, and nothing else: how much runs of the same thing differ from each other is not in a
// summary. The error is that of a histogram that cannot be read.
func Compare(nameA string, a *Document, nameB string, b *Document) (*Comparison, error) {
	c := &Comparison{A: nameA, B: nameB, Notes: []string{}}
	c.add("results", "", float64(a.Results), float64(b.Results), Unjudged)
	c.share("ok", a.OK, a.Results, b.OK, b.Results)
	c.share("failed", a.Failed, a.Results, b.Failed, b.Results)
	asked := a.Rate.Asked > 0 || b.Rate.Asked > 0 // without a rate nothing is due, and late is what waits in the worker
	if asked {
		c.share("late", a.Rate.Late, a.Results, b.Rate.Late, b.Results)
	}
	for _, class := range classesOf(a, b) {
		c.share("err:"+class, countOf(a, class), a.Results, countOf(b, class), b.Results)
	}
	c.add("missing", "", float64(a.Missing), float64(b.Missing), Unjudged)
	c.add("duplicate", "", float64(a.Duplicates), float64(b.Duplicates), Unjudged)
	c.rate(&a.Rate, &b.Rate)
	if err := c.times("", &a.Service, &b.Service); err != nil {
		return nil, err
	}
	if asked {
		if err := c.times("due.", &a.Due, &b.Due); err != nil {
			return nil, err
		}
	}
	c.notes(a, b)
	return c, nil
}

func (c *Comparison) add(name, unit string, a, b float64, verdict string) {
	r := ComparedRow{Name: name, Unit: unit, A: a, B: b, Verdict: verdict}
	if a != 0 {
		r.Change = (b - a) / a
	}
	c.Rows = append(c.Rows, r)
}

// share compares two shares by the usual test of two proportions.
func (c *Comparison) share(name string, a, ofA, b, ofB uint64) {
	if ofA == 0 || ofB == 0 {
		c.add(name, "share", ratio(a, ofA), ratio(b, ofB), TooFew)
		return
	}
	pa, pb := ratio(a, ofA), ratio(b, ofB)
	both := ratio(a+b, ofA+ofB)
	se := math.Sqrt(both * (1 - both) * (1/float64(ofA) + 1/float64(ofB)))
	verdict := Chance
	rare := min(a+b, ofA+ofB-a-b) // the test needs some of either kind
	switch {
	case a == b && ofA == ofB:
	case rare < fewBeyond:
		verdict = TooFew
	case math.Abs(pa-pb) > sureZ*se:
		verdict = Beyond
	}
	c.add(name, "share", pa, pb, verdict)
}

func ratio(n, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// rate compares rates by the scatter of their seconds.
func (c *Comparison) rate(a, b *Rate) {
	verdict := Unjudged
	if a.Deviation > 0 && b.Deviation > 0 && a.Span > 0 && b.Span > 0 {
		ea, eb := a.Reached*a.Deviation/math.Sqrt(a.Span), b.Reached*b.Deviation/math.Sqrt(b.Span)
		verdict = Chance
		if math.Abs(a.Reached-b.Reached) > sureZ*math.Hypot(ea, eb) {
			verdict = Beyond
		}
	}
	c.add("rate", "/s", a.Reached, b.Reached, verdict)
}

// times compares two distributions: the mean by its standard error, a percentile by the order
// statistics around it, which need no shape of the distribution.
func (c *Comparison) times(prefix string, a, b *Latency) error {
	if a.Count == 0 && b.Count == 0 {
		return nil
	}
	for _, p := range percentileRows {
		va, vb := p.of(a), p.of(b)
		verdict := Unjudged
		switch {
		case a.Count == 0 || b.Count == 0:
			verdict = TooFew
		case p.name == "mean":
			verdict = Chance
			se := math.Hypot(a.StdDev/math.Sqrt(float64(a.Count)), b.StdDev/math.Sqrt(float64(b.Count)))
			if math.Abs(va-vb) > sureZ*se+histogramError*max(va, vb) {
				verdict = Beyond
			}
		case p.quantile > 0:
			lowA, highA, okA, err := a.within(p.quantile)
			if err != nil {
				return err
			}
			lowB, highB, okB, err := b.within(p.quantile)
			if err != nil {
				return err
			}
			verdict = Chance
			if !okA || !okB {
				verdict = TooFew
			} else if highA < lowB || highB < lowA {
				verdict = Beyond
			}
		}
		c.add(prefix+p.name, "s", va, vb, verdict)
	}
	return nil
}

// within is where the true quantile lies, at 99 %; ok is false when too few results lie beyond it,
// or the whole distribution is not kept.
func (l *Latency) within(q float64) (low, high float64, ok bool, err error) {
	n := float64(l.Count)
	if n*min(q, 1-q) < fewBeyond {
		return 0, 0, false, nil
	}
	h, err := l.histogram()
	if err != nil || h == nil {
		return 0, 0, false, err
	}
	e := sureZ * math.Sqrt(q*(1-q)/n)
	low = Seconds(h.ValueAtPercentile(100*max(q-e, 0))) * (1 - histogramError)
	high = Seconds(h.ValueAtPercentile(100*min(q+e, 1))) * (1 + histogramError)
	return low, high, true, nil
}

func classesOf(docs ...*Document) []string {
	var list []string
	for _, d := range docs {
		for _, e := range d.Errors {
			if !slices.Contains(list, e.Class) {
				list = append(list, e.Class)
			}
		}
	}
	return list
}

func countOf(d *Document, class string) uint64 {
	for _, e := range d.Errors {
		if e.Class == class {
			return e.Count
		}
	}
	return 0
}

func (c *Comparison) notes(a, b *Document) {
	note := func(format string, args ...any) { c.Notes = append(c.Notes, fmt.Sprintf(format, args...)) }
	for _, d := range []struct {
		name string
		*Document
	}{{c.A, a}, {c.B, b}} {
		switch {
		case d.Results == 0:
			note("%s has no results: there is nothing to compare.", d.name)
		case d.Document.Books != nil && !d.Balanced:
			note("The books of %s do not balance: its figures are of a part of the run.", d.name)
		case d.Document.Books != nil && !d.Complete:
			note("The run of %s was not complete: its figures are of a part of it.", d.name)
		}
	}
	if a.Rate.Asked != b.Rate.Asked {
		note("Different rates were asked for (%s and %s): times at different loads differ for that alone.", askedText(a),
			askedText(b))
	}
	if f := ratio(a.Failed, a.Results) - ratio(b.Failed, b.Results); math.Abs(f) > 0.01 {
		note("The shares of failed results differ by more than 1 %%: those that fail are often quick, or as slow as a time-out, and move the times.")
	}
	note("\"%s\" is at 99 %% against the scatter within these two runs alone, as if results were independent. "+
		"Runs of the same thing often differ by more than that, for machines drift: make both again, in turn, before you believe a difference.", Beyond)
}

func askedText(d *Document) string {
	if d.Rate.Asked == 0 {
		return "none"
	}
	return showRate(d.Rate.Asked)
}

// WriteJSON writes the comparison on one line.
func (c *Comparison) WriteJSON(w io.Writer) error {
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("comparison: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// WriteText writes the comparison for people.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tA\tB\tchange\t\t\n")
	for _, r := range c.Rows {
		change := "–"
		if r.A != 0 {
			change = fmt.Sprintf("%+.1f %%", r.Change*100)
		}
		if r.A == r.B {
			change = "="
		}
		verdict := r.Verdict
		if verdict == Unjudged {
			verdict = ""
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t\n", plain.Text([]byte(r.Name)), r.show(r.A), r.show(r.B), change, verdict)
	}
	t.Flush() // into b, which takes everything
	_, err := fmt.Fprintf(w, "A  %s\nB  %s\n\n%s\n%s\n", plain.Text([]byte(c.A)), plain.Text([]byte(c.B)), b.String(),
		strings.Join(c.Notes, "\n"))
	return err
}

func (r *ComparedRow) show(v float64) string {
	switch r.Unit {
	case "s":
		return showSeconds(v)
	case "/s":
		return showRate(v)
	case "share":
		return showShare(v)
	}
	return plain.Comma(uint64(v))
}
