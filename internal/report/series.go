package report

import "math"

// A Series is what happened when, by the workers' clocks where results name a time, else by the
// time that they came here.
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

// Deviation is the standard deviation of the results of each whole second, relative to their mean;
// the first and the last second, which are cut, are left out. It is 0 when fewer than three are
// left or the intervals do not make up seconds.
func (s *Series) Deviation() float64 {
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
