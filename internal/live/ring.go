package live

import (
	"math"
	"time"
)

// A Sample is what happened in one step of a series, and what was there at its end.
type Sample struct {
	Put     uint32 // tasks put, results among them; duplicates are none
	Out     uint32 // handed out, taken ones among them
	OK      uint32 // acked and booked as ok, taken ones among them
	Failed  uint32 // acked and booked as failed
	Back    uint32 // nacked, and not dead for it
	Expired uint32 // leases that ran out
	Died    uint32 // came to be dead, for whatever reason

	Delayed, Ready, Leased, Dead uint32 // at the end of the step
}

// Latencies are quantiles of one step of the server, in seconds; in a coarser series the largest of
// its steps. 0 is nothing to measure.
type Latencies struct {
	PutP50, PutP99, ReserveP99, AckP99, SyncP99, AgeP50, AgeP99, LagP99 float32
}

// addTo adds a later sample.
func (s *Sample) addTo(later *Sample) {
	for _, f := range []struct {
		sum *uint32
		n   uint32
	}{{&s.Put, later.Put}, {&s.Out, later.Out}, {&s.OK, later.OK}, {&s.Failed, later.Failed},
		{&s.Back, later.Back}, {&s.Expired, later.Expired}, {&s.Died, later.Died}} {
		*f.sum = small(uint64(*f.sum) + uint64(f.n))
	}
	s.Delayed, s.Ready, s.Leased, s.Dead = later.Delayed, later.Ready, later.Leased, later.Dead
}

func (l *Latencies) addTo(later *Latencies) {
	l.PutP50, l.PutP99, l.ReserveP99 = max(l.PutP50, later.PutP50), max(l.PutP99, later.PutP99),
		max(l.ReserveP99, later.ReserveP99)
	l.AckP99, l.SyncP99 = max(l.AckP99, later.AckP99), max(l.SyncP99, later.SyncP99)
	l.AgeP50, l.AgeP99, l.LagP99 = max(l.AgeP50, later.AgeP50), max(l.AgeP99, later.AgeP99), max(l.LagP99, later.LagP99)
}

// small is n as what a sample keeps: what is larger is the largest.
func small[N int64 | uint64](n N) uint32 { return uint32(min(n, math.MaxUint32)) }

// A Resolution is one ring: the length of its steps, and how many of them there are.
type Resolution struct {
	Step  time.Duration
	Steps int
}

// Rings of the server, of an active queue, and of each queue.
var (
	serverRings = []Resolution{{time.Second, 900}, {10 * time.Second, 8640}, {5 * time.Minute, 8640}}
	activeRings = []Resolution{{time.Second, 900}, {time.Minute, 1440}}
	restRings   = []Resolution{{5 * time.Minute, 288}}
)

const (
	sampleBytes  = 44
	latencyBytes = 32
)

// A ring keeps the newest samples of one resolution. Slot i of it is for the steps whose number,
// since 1970, is i modulo its length.
type ring struct {
	Step    int64 // seconds
	Last    int64 // number of the newest step; 0: nothing yet
	Samples []Sample
	Delays  []Latencies // nil but for the server
}

func newRing(r Resolution, delays bool) *ring {
	n := &ring{Step: int64(r.Step / time.Second), Samples: make([]Sample, r.Steps)}
	if delays {
		n.Delays = make([]Latencies, r.Steps)
	}
	return n
}

func (r *ring) bytes() int { return len(r.Samples)*sampleBytes + len(r.Delays)*latencyBytes }

// reach moves on to the step of second now: steps without a sample had the levels of the one
// before. Where the clock went back, the steps that are ahead of it now are given up: else nothing
// new would be seen until it is there again.
func (r *ring) reach(now int64) int {
	n, step := int64(len(r.Samples)), max(now, 0)/r.Step
	if r.Last == 0 || step-r.Last > n || r.Last-step > n {
		clear(r.Samples)
		clear(r.Delays)
		r.Last = step
	}
	for ; r.Last > step; r.Last-- {
		r.Samples[r.Last%n] = Sample{}
		if r.Delays != nil {
			r.Delays[r.Last%n] = Latencies{}
		}
	}
	for ; r.Last < step; r.Last++ {
		s := r.Samples[r.Last%n]
		at := (r.Last + 1) % n
		r.Samples[at] = Sample{Delayed: s.Delayed, Ready: s.Ready, Leased: s.Leased, Dead: s.Dead}
		if r.Delays != nil {
			r.Delays[at] = Latencies{}
		}
	}
	return int(r.Last % n)
}

func (r *ring) add(now int64, s *Sample, d *Latencies) {
	at := r.reach(now)
	r.Samples[at].addTo(s)
	if r.Delays != nil && d != nil {
		r.Delays[at].addTo(d)
	}
}

// series is what is kept of r, oldest first, up to the step before that of second now, which is not
// over; since is the earliest second wanted. The caller owns it.
func (r *ring) series(now, since int64) Series {
	s := Series{Step: time.Duration(r.Step) * time.Second}
	if r.Last == 0 {
		return s
	}
	r.reach(now)
	n := int64(len(r.Samples))
	first := max(r.Last-n+1, (since+r.Step-1)/r.Step, 0) // a clock that nobody set begins in 1970
	for k := first; k < r.Last; k++ {
		s.Samples = append(s.Samples, r.Samples[k%n])
		if r.Delays != nil {
			s.Latencies = append(s.Latencies, r.Delays[k%n])
		}
	}
	s.Start = time.Unix(first*r.Step, 0).UTC()
	return s
}
