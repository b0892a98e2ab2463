package output

import (
	"math"
	"time"
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
	rt, whole         *histogram // service time, and due to done; nil for none
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
	p.rt = p.rt.merge(o.rt)
	p.whole = p.whole.merge(o.whole)
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
	if r.out.Took > 0 {
		if p.rt == nil {
			p.rt = newHistogram(1)
		}
		p.rt.record(r.out.Took)
	}
	if r.hasDue() {
		if p.whole == nil {
			p.whole = newHistogram(1)
		}
		p.whole.record(r.out.Took + r.out.Lag)
	}
}

// A Series is what happened when, by the workers' clocks where results name a time, else by the time
// that they came here.
type Series struct {
	Start  float64 `json:"start"` // epoch seconds of the first interval
	Width  float64 `json:"width"` // seconds of each
	Points []Point `json:"points"`
}

// A Point is one interval of a Series.
type Point struct {
	Done   uint64  `json:"done"`   // results that ended in it
	Failed uint64  `json:"failed"` // of those
	Due    uint64  `json:"due"`    // tasks that were due in it
	P50    float64 `json:"p50"`    // service time in seconds, within 6 %; 0 when none was measured
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
	DueP99 float64 `json:"due_p99"` // due to done
}

// snapshot copies the series. One of half a minute and more has intervals of at least a second.
func (s *series) snapshot() Series {
	c := series{s.width, s.first, make([]point, len(s.points))}
	for i := range s.points {
		p := s.points[i]
		p.rt, p.whole = p.rt.clone(), p.whole.clone()
		c.points[i] = p
	}
	for c.width < time.Second && time.Duration(len(c.points))*c.width >= 30*time.Second {
		c.widen()
	}
	out := Series{Start: float64(c.first) * c.width.Seconds(), Width: c.width.Seconds(), Points: make([]Point, len(c.points))}
	for i := range c.points {
		p := &c.points[i]
		out.Points[i] = Point{Done: p.done, Failed: p.failed, Due: p.due}
		if p.rt != nil {
			at := p.rt.at(50, 99)
			out.Points[i].P50, out.Points[i].P99, out.Points[i].Max = micros(at[0]), micros(at[1]), micros(p.rt.Max())
		}
		if p.whole != nil {
			out.Points[i].DueP99 = micros(p.whole.ValueAtPercentile(99))
		}
	}
	return out
}

// deviation is the standard deviation of the results of each whole second, relative to their mean;
// the first and the last second, which are cut, are left out. It is 0 when fewer than three are left
// or the intervals do not make up seconds.
func (s *Series) deviation() float64 {
	if s.Width > 1 || s.Width == 0 {
		return 0
	}
	per := int(math.Round(1 / s.Width))
	skip := (per - int(math.Round(s.Start/s.Width))%per) % per
	var seconds []float64
	for i := skip; i+per <= len(s.Points); i += per {
		n := 0.0
		for _, p := range s.Points[i : i+per] {
			n += float64(p.Done)
		}
		seconds = append(seconds, n)
	}
	if skip == 0 && len(seconds) > 0 {
		seconds = seconds[1:]
	}
	if (len(s.Points)-skip)%per == 0 && len(seconds) > 0 {
		seconds = seconds[:len(seconds)-1]
	}
	if len(seconds) < 3 {
		return 0
	}
	mean, square := 0.0, 0.0
	for _, n := range seconds {
		mean += n / float64(len(seconds))
	}
	for _, n := range seconds {
		square += (n - mean) * (n - mean) / float64(len(seconds))
	}
	if mean == 0 {
		return 0
	}
	return math.Sqrt(square) / mean
}
