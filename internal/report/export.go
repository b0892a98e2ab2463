package report

import (
	"encoding/xml"
	"io"
)

// WriteJUnit writes the verdicts, and whether the books balance, as a test report in JUnit's XML.
func (d *Document) WriteJUnit(w io.Writer) error {
	type failure struct {
		Message string `xml:"message,attr"`
	}
	type testCase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Failure *failure `xml:"failure,omitempty"`
	}
	type suite struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Time     float64    `xml:"time,attr"`
		Stamp    string     `xml:"timestamp,attr"`
		Cases    []testCase `xml:"testcase"`
	}
	s := suite{Name: "glassq " + d.Run, Time: d.Took, Stamp: d.Made.Format("2006-01-02T15:04:05")}
	add := func(name string, failed bool, says string) {
		c := testCase{Name: name, Class: "glassq"}
		if s.Tests++; failed {
			s.Failures++
			c.Failure = &failure{says}
		}
		s.Cases = append(s.Cases, c)
	}
	if d.Books != nil {
		add("the books balance", !d.Balanced, FormatBooks(*d.Books, d.Missing, d.Duplicates)+FormatReadBefore(d.ReadBefore))
	}
	for _, v := range d.Rules {
		add(v.Rule, v.Broken, v.Says)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// WriteHgrm writes the percentiles of service time in the text form of HdrHistogram, in
// milliseconds.
func (d *Document) WriteHgrm(w io.Writer) error {
	h, err := d.Service.histogram()
	if err != nil {
		return err
	}
	if h == nil {
		h = NewHistogram(3)
	}
	_, err = h.hdr.PercentilesPrint(w, 5, 1000)
	return err
}
