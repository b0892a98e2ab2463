package live

import "time"

// bounds are the upper bounds of the buckets of a histogram, in a sequence of 1, 2, 5; what is
// longer is in one more.
var bounds = makeBounds()

func makeBounds() (b [25]time.Duration) {
	i := 0
	for d := 10 * time.Microsecond; i < len(b); d *= 10 {
		for _, k := range []time.Duration{1, 2, 5} {
			if i < len(b) {
				b[i] = k * d
				i++
			}
		}
	}
	return b
}

// A Histogram counts durations since the server began.
type Histogram struct {
	Counts [len(bounds) + 1]uint64 // by bucket: up to Bounds()[i], the last one beyond
	Sum    time.Duration
}

// Bounds are the upper bounds of the buckets of every Histogram, ascending.
func Bounds() []time.Duration { return bounds[:] }

func (h *Histogram) add(d time.Duration) {
	d = max(d, 0)
	// A power of ten in three steps: the search of a sorted array, without its calls.
	low, high := 0, len(bounds)
	if d <= bounds[0] {
		high = 0 // above all, a task without a rate is never late
	}
	for low < high {
		if mid := (low + high) / 2; bounds[mid] < d {
			low = mid + 1
		} else {
			high = mid
		}
	}
	h.Counts[low]++
	h.Sum += d
}

// join adds what another one counted.
func (h *Histogram) join(other *Histogram) {
	for i := range h.Counts {
		h.Counts[i] += other.Counts[i]
	}
	h.Sum += other.Sum
}

// Count is how many durations there are.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Since is what h has beyond what it had before.
func (h *Histogram) Since(before *Histogram) (d Histogram) {
	for i := range h.Counts {
		d.Counts[i] = h.Counts[i] - before.Counts[i]
	}
	d.Sum = h.Sum - before.Sum
	return d
}

// Quantile is the duration below which a share q, 0 to 1, of all lie, interpolated within its
// bucket: it is good to the width of that, and never more than the last bound. It is 0 when there
// are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	all := h.Count()
	if all == 0 {
		return 0
	}
	rank, low := q*float64(all), time.Duration(0)
	for i, c := range h.Counts {
		if i == len(bounds) {
			break
		}
		if rank <= float64(c) && c > 0 {
			return low + time.Duration(rank/float64(c)*float64(bounds[i]-low))
		}
		rank -= float64(c)
		low = bounds[i]
	}
	return low
}
