package report

import (
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxRT is the longest time told apart, in microseconds; longer ones count as it.
const maxRT = int64(time.Hour / time.Microsecond)

// A Histogram counts times in microseconds, up to an hour. Percentiles are within its precision;
// the least and the most are what was recorded, and no percentile is beyond them. It is for one
// goroutine.
type Histogram struct {
	hdr         *hdrhistogram.Histogram
	least, most int64 // recorded; undefined when nothing was
}

// NewHistogram makes an empty one. Three digits keep times within 0.1 % in 200 kB, two within 1 %
// in 26 kB, one within 6 % in 4 kB.
func NewHistogram(digits int) *Histogram {
	return &Histogram{hdrhistogram.New(1, maxRT, digits), maxRT, 0}
}

// Record counts d; a time beyond the bounds counts as the bound.
func (h *Histogram) Record(d time.Duration) {
	v := min(max(d.Microseconds(), 0), maxRT)
	h.least, h.most = min(h.least, v), max(h.most, v)
	h.hdr.RecordValue(v) // no error within the bounds
}

// Count is how many times were recorded.
func (h *Histogram) Count() int64 { return h.hdr.TotalCount() }

// Min and Max are exact.
func (h *Histogram) Min() int64 { return h.least }
func (h *Histogram) Max() int64 { return h.most }

// ValueAtPercentile is the time that a share of p % does not exceed.
func (h *Histogram) ValueAtPercentile(p float64) int64 {
	return min(max(h.hdr.ValueAtPercentile(p), h.least), h.most)
}

// At is ValueAtPercentile for ascending percentiles at once.
func (h *Histogram) At(percentiles ...float64) []int64 {
	list := h.hdr.ValueAtPercentilesSlice(percentiles)
	for i := range list {
		list[i] = min(max(list[i], h.least), h.most)
	}
	return list
}

// Clone is a copy; that of nil is nil.
func (h *Histogram) Clone() *Histogram {
	if h == nil {
		return nil
	}
	return &Histogram{h.hdr.Clone(), h.least, h.most}
}

// Merge adds those of o, which has the same precision, and returns h; of nil it is o. o may be nil.
func (h *Histogram) Merge(o *Histogram) *Histogram {
	if h == nil {
		return o
	}
	if o != nil {
		h.hdr.Merge(o.hdr) // nothing is dropped
		h.least, h.most = min(h.least, o.least), max(h.most, o.most)
	}
	return h
}

// Latency is a distribution of times in seconds, within 0.1 % up to an hour, Min and Max to the
// microsecond; longer times count as an hour. Everything is 0 when Count is.
type Latency struct {
	Count  uint64  `json:"count"`
	Min    float64 `json:"min"`
	Mean   float64 `json:"mean"`
	StdDev float64 `json:"stddev"`
	P50    float64 `json:"p50"`
	P75    float64 `json:"p75"`
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	P999   float64 `json:"p99.9"`
	P9999  float64 `json:"p99.99"`
	Max    float64 `json:"max"`
	// Histogram is the whole distribution in microseconds: HdrHistogram V2, compressed, in base64.
	// It is "" in groups, and when Count is 0.
	Histogram string `json:"histogram,omitempty"`
}

// Latency is what the histogram shows; whole says whether to keep all of it. That of nil is empty.
func (h *Histogram) Latency(whole bool) Latency {
	if h == nil || h.Count() == 0 {
		return Latency{}
	}
	at := h.At(50, 75, 90, 95, 99, 99.9, 99.99)
	l := Latency{
		Count: uint64(h.Count()), Min: Seconds(h.Min()), Mean: h.hdr.Mean() / 1e6, StdDev: h.hdr.StdDev() / 1e6,
		P50: Seconds(at[0]), P75: Seconds(at[1]), P90: Seconds(at[2]), P95: Seconds(at[3]), P99: Seconds(at[4]),
		P999: Seconds(at[5]), P9999: Seconds(at[6]), Max: Seconds(h.Max()),
	}
	if whole {
		if b, err := h.hdr.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err == nil {
			l.Histogram = string(b)
		}
	}
	return l
}

// Seconds are microseconds in seconds.
func Seconds(n int64) float64 { return float64(n) / 1e6 }

// histogram decodes the whole distribution; nil when there is none.
func (l *Latency) histogram() (*Histogram, error) {
	if l.Histogram == "" {
		return nil, nil
	}
	h, err := hdrhistogram.Decode([]byte(l.Histogram))
	if err != nil {
		return nil, fmt.Errorf("histogram: %w", err)
	}
	return &Histogram{h, int64(math.Round(l.Min * 1e6)), int64(math.Round(l.Max * 1e6))}, nil
}
