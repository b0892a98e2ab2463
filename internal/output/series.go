package output

import (
	"time"

	"github.com/glassq/glassq/internal/report"
)

const (
	firstWidth = 125 * time.Millisecond // of an interval; doubled until all fit
	maxPoints  = 960                    // intervals: at a second each, 16 minutes
)

// A series is what happened when, in intervals of one width, at most maxPoints of them: when a time
// does not fit, two neighbours become one. Its zero value is empty.
type series struct {
	width  time.Duration
	first  int64 // number of points[0]: since the epoch, in widths
	points []point
}

// A point is one interval.
type point struct {
	done, failed, due uint64
	rt, whole         *report.Histogram // service time, and due to done; nil for none
}

// at returns the interval of a time.
func (s *series) at(t time.Time) *point {
	ns := t.UnixNano()
	if len(s.points) == 0 {
		s.width, s.first = firstWidth, floorDiv(ns, int64(firstWidth))
		s.points = append(s.points, point{})
	}
	n := floorDiv(ns, int64(s.width))
	for max(n, s.first+int64(len(s.points))-1)-min(n, s.first) >= maxPoints {
		s.widen()
		n = floorDiv(ns, int64(s.width))
	}
	if n < s.first {
		s.points = append(make([]point, s.first-n), s.points...)
		s.first = n
	}
	for n-s.first >= int64(len(s.points)) {
		s.points = append(s.points, point{})
	}
	return &s.points[n-s.first]
}

// widen doubles the width.
func (s *series) widen() {
	first := floorDiv(s.first, 2)
	merged := make([]point, 0, len(s.points)/2+1)
	for i := range s.points {
		at := int(floorDiv(s.first+int64(i), 2) - first)
		if at == len(merged) {
			merged = append(merged, s.points[i])
		} else {
			merged[at].merge(&s.points[i])
		}
	}
	s.width, s.first, s.points = 2*s.width, first, merged
}

func (p *point) merge(o *point) {
	p.done += o.done
	p.failed += o.failed
	p.due += o.due
	p.rt = p.rt.Merge(o.rt)
	p.whole = p.whole.Merge(o.whole)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// done counts a result that ended at t.
func (s *series) done(t time.Time, r *record) {
	p := s.at(t)
	p.done++
	if !r.out.OK {
		p.failed++
	}
	if r.out.Took > 0 && r.timed() {
		if p.rt == nil {
			p.rt = report.NewHistogram(1)
		}
		p.rt.Record(r.out.Took)
	}
	if r.hasDue() && r.timed() {
		if p.whole == nil {
			p.whole = report.NewHistogram(1)
		}
		p.whole.Record(r.out.Took + r.out.Lag)
	}
}

// snapshot copies the series. One of half a minute and more has intervals of at least a second.
func (s *series) snapshot() report.Series {
	c := series{s.width, s.first, make([]point, len(s.points))}
	for i := range s.points {
		p := s.points[i]
		p.rt, p.whole = p.rt.Clone(), p.whole.Clone()
		c.points[i] = p
	}
	for c.width < time.Second && time.Duration(len(c.points))*c.width >= 30*time.Second {
		c.widen()
	}
	out := report.Series{Start: float64(c.first) * c.width.Seconds(), Width: c.width.Seconds(),
		Points: make([]report.Point, len(c.points))}
	for i := range c.points {
		p := &c.points[i]
		out.Points[i] = report.Point{Done: p.done, Failed: p.failed, Due: p.due}
		if p.rt != nil {
			at := p.rt.At(50, 99)
			point := &out.Points[i]
			point.P50, point.P99, point.Max = report.Seconds(at[0]), report.Seconds(at[1]), report.Seconds(p.rt.Max())
		}
		if p.whole != nil {
			out.Points[i].DueP99 = report.Seconds(p.whole.ValueAtPercentile(99))
		}
	}
	return out
}
