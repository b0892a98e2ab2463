package report

import (
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/plain"
)

// FormatBooks is the line that ends every run:
//
//	put 1,000,000 = ok 999,874 + failed 126 + dead 0 + pending 0    missing 0   duplicate 0
func FormatBooks(b glassq.Books, missing, duplicate uint64) string {
	return BooksLine(b) + "    missing " + plain.Comma(missing) + "   duplicate " + plain.Comma(duplicate)
}

// BooksLine is the same without what only an output can tell.
func BooksLine(b glassq.Books) string {
	return "put " + plain.Comma(b.Put) +
		" = ok " + plain.Comma(b.OK) +
		" + failed " + plain.Comma(b.Failed) +
		" + dead " + plain.Comma(b.Dead.Sum()) +
		" + pending " + plain.Comma(b.Pending())
}

// RateLine says which rate was asked for and reached, and how long tasks took from their due
// moments; "" when there was no rate.
func (d *Document) RateLine() string {
	if d.Rate.Asked == 0 {
		return ""
	}
	line := "rate asked " + d.askedText() + ", reached " + showRate(d.Rate.Reached)
	if d.Due.Count > 0 {
		line += "  due to done p50 " + showSeconds(d.Due.P50) + "  p99 " + showSeconds(d.Due.P99) +
			"  max " + showSeconds(d.Due.Max)
	}
	if d.Rate.GivenUp > 0 {
		line += "; " + givenUp(d.Rate.GivenUp)
	}
	return line
}

// askedText is the rate, or the stages with their highest.
func (d *Document) askedText() string {
	if d.Rate.Stages != "" {
		return d.Rate.Stages + " (at most " + showRate(d.Rate.Asked) + ")"
	}
	return showRate(d.Rate.Asked)
}

// givenUp says what a schedule lost.
func givenUp(n uint64) string {
	return plain.Plural(n, "moment of the schedule was", "moments of the schedule were") + " given up"
}

// FormatReadBefore goes on with the line of the books where results are in another file; "" where
// none are.
func FormatReadBefore(n uint64) string {
	if n == 0 {
		return ""
	}
	return "   read before " + plain.Comma(n)
}

// FormatJob is the line about a run and its retries as one:
//
//	crawl with crawl.2: put 1,000 = ok 990 + failed 10 + dead 0 + pending 0
func FormatJob(j *glassq.Job) string {
	return j.Runs[0] + " with " + strings.Join(j.Runs[1:], ", ") + ": put " + plain.Comma(j.Put) + " = ok " + plain.Comma(j.OK) +
		" + failed " + plain.Comma(j.Failed) + " + dead " + plain.Comma(j.Dead) + " + pending " + plain.Comma(j.Pending)
}

// Short writes a duration with about three digits.
func Short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func showSeconds(s float64) string { return Short(time.Duration(s * float64(time.Second))) }

func dash(s float64) string {
	if s == 0 {
		return "–"
	}
	return showSeconds(s)
}

func share(n, of uint64) string {
	if of == 0 {
		return ""
	}
	return " (" + showShare(float64(n)/float64(of)) + ")"
}

func showShare(s float64) string { return strconv.FormatFloat(s*100, 'f', 3, 64) + " %" }

func showRate(r float64) string {
	if r < 100 {
		return strconv.FormatFloat(r, 'f', 1, 64) + "/s"
	}
	return plain.Comma(uint64(r+0.5)) + "/s"
}

func showMoment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func showBytes(n uint64) string {
	const step = 1000
	v, units := float64(n), []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	i := 0
	for ; v >= step && i < len(units)-1; i++ {
		v /= step
	}
	if i == 0 {
		return plain.Comma(n) + " bytes"
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[i]
}
