package report

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq/internal/plain"
)

// The size of a chart and of what lies around its plot, in the units of its viewBox.
const (
	chartWidth, chartHeight = 900.0, 280.0
	plotLeft, plotRight     = 76.0, 886.0
	plotTop, plotBottom     = 12.0, 244.0
)

// A chart is lines over time, ready to be drawn. Without lines there is nothing to show.
type chart struct {
	Label          string // what a reader without eyes is told
	Lines          []chartLine
	Across, Upward []tick
}

type chartLine struct{ Name, Class, Path string }

// A tick is a mark on an axis, in the units of the viewBox.
type tick struct {
	At   float64
	Text string
}

// A curve is the values of a line, one per interval; those that are not above 0 are gaps.
type curve struct {
	name, class string
	values      []float64
}

// latencyChart shows times over time, on a logarithmic scale: the median and the worst are often
// powers of ten apart.
func latencyChart(d *Document) chart {
	n := len(d.Series.Points)
	curves := []curve{
		{"max", "d", make([]float64, n)}, {"due to done p99", "c", make([]float64, n)},
		{"p99", "b", make([]float64, n)}, {"p50", "a", make([]float64, n)},
	}
	low, high := math.Inf(1), 0.0
	for i, p := range d.Series.Points {
		for k, v := range []float64{p.Max, p.DueP99, p.P99, p.P50} {
			curves[k].values[i] = v
			if v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if high == 0 {
		return chart{}
	}
	bottom := math.Floor(math.Log10(low))
	top := max(math.Ceil(math.Log10(high)), bottom+1)
	up := func(v float64) float64 {
		return plotBottom - (math.Log10(v)-bottom)/(top-bottom)*(plotBottom-plotTop)
	}
	c := chart{Label: "Service time over time: median, 99th percentile and longest, and the 99th percentile from due to done"}
	for e := bottom; e <= top; e++ {
		c.Upward = append(c.Upward, tick{round(up(math.Pow(10, e))), tickTime(math.Pow(10, e))})
	}
	c.draw(&d.Series, curves, up, false)
	return c
}

// rateChart shows results per second, and what was asked for.
func rateChart(d *Document) chart {
	n := len(d.Series.Points)
	if n == 0 {
		return chart{}
	}
	asked := curve{"asked", "c", d.askedOver()}
	due, done := curve{"due", "d", make([]float64, n)}, curve{"reached", "a", make([]float64, n)}
	label := "Results per second over time: reached and failed"
	if d.Rate.Asked > 0 {
		label = "Results per second over time: asked, due, reached and failed"
	}
	failed := curve{"failed", "b", make([]float64, n)}
	high := 0.0
	for i, p := range d.Series.Points {
		width := d.Series.Width
		done.values[i], failed.values[i] = float64(p.Done)/width, float64(p.Failed)/width
		if d.Rate.Asked > 0 { // else a task is due when somebody has time for it
			due.values[i] = float64(p.Due) / width
		}
		high = max(high, due.values[i], done.values[i], asked.values[i])
	}
	step := niceStep(high / 4)
	top := max(math.Ceil(high/step), 1) * step
	up := func(v float64) float64 { return plotBottom - v/top*(plotBottom-plotTop) }
	c := chart{Label: label}
	for v := 0.0; v < top+step/2; v += step {
		c.Upward = append(c.Upward, tick{round(up(v)), tickNumber(v)})
	}
	c.draw(&d.Series, []curve{due, asked, done, failed}, up, true)
	return c
}

// askedOver is the rate that was asked for in each interval.
func (d *Document) askedOver() []float64 {
	values := make([]float64, len(d.Series.Points))
	next, rate := 0, 0.0
	for i := range values {
		end := d.Series.Start + float64(i+1)*d.Series.Width
		for ; next < len(d.Rate.Changes) && d.Rate.Changes[next].T < end; next++ {
			rate = d.Rate.Changes[next].Rate
		}
		values[i] = rate
	}
	return values
}

// draw makes the lines and the axis of time. With whole a value of 0 is drawn too, unless all of
// the line are; else it is a gap.
func (c *chart) draw(s *Series, curves []curve, up func(float64) float64, whole bool) {
	n := len(s.Points)
	across := func(i int) float64 {
		return plotLeft + (float64(i)+0.5)/float64(n)*(plotRight-plotLeft)
	}
	for _, l := range curves {
		var path strings.Builder
		any, down := false, false
		for i, v := range l.values {
			any = any || v > 0
			if v <= 0 && !whole {
				down = false
				continue
			}
			x, y := across(i), up(v)
			if !down {
				// A stroke of no length has round ends: an interval alone is a dot.
				path.WriteString("M" + coordinate(x) + " " + coordinate(y))
			}
			path.WriteString("L" + coordinate(x) + " " + coordinate(y))
			down = true
		}
		if any {
			c.Lines = append(c.Lines, chartLine{l.name, l.class, path.String()})
		}
	}
	span := float64(n) * s.Width
	step := niceStep(span / 6)
	if step >= 60 {
		step = math.Ceil(step/60) * 60
	}
	for t := 0.0; t <= span*1.0001; t += step {
		c.Across = append(c.Across, tick{round(plotLeft + t/span*(plotRight-plotLeft)), tickTime(t)})
	}
}

// niceStep is the smallest of 1, 2 and 5 times a power of ten that is not below v; 1 when v is 0.
func niceStep(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v {
			return m * power
		}
	}
	return 10 * power
}

func round(v float64) float64 { return math.Round(v*10) / 10 }

func coordinate(v float64) string { return strconv.FormatFloat(round(v), 'f', -1, 64) }

func tickTime(s float64) string {
	if s == 0 {
		return "0"
	}
	return time.Duration(math.Round(s * float64(time.Second))).Round(time.Microsecond).String()
}

func tickNumber(v float64) string {
	if v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return plain.Comma(uint64(v))
}
