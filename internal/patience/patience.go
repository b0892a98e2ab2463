// Package patience says how long a commit waits for others that are likely to join it.
//
// Callers that waited for a sync together are answered together, and many of them call again at
// once. A commit with the first of them has the others wait for two syncs: for that one, and for
// their own. It is cheaper for all, and mostly faster, to wait for the others first.
package patience

import (
	"runtime"
	"time"
)

const (
	least   = 50 * time.Microsecond // a commit that takes less is made at once
	most    = time.Millisecond      // longest wait
	mostOff = 1 << 10               // commits in a row that wait for nobody after waits in vain
	mostAsk = 1 << 14               // questions in a wait; only a clock that stands, as in tests, lets it come to that
)

// A Patience learns from each commit how many callers the next one is likely to have: those who
// were answered by it, and those who came while it was made. A wait takes no longer than the last
// commit did. It was in vain when the callers did not come, or when others came during the commit,
// so that there is no end of them: then twice as many commits as before wait for nobody.
//
// The zero value waits for nobody. It is not safe for concurrent use.
type Patience struct {
	likely int           // callers of the next commit
	took   time.Duration // by the last commit; at most most
	since  time.Time     // when the wait for the next commit began; zero: there was none
	asked  int           // since then
	vain   int           // commits that the last wait in vain has cost, or is to cost
	off    int           // of them, still to come
}

// Over reports whether a commit that has n callers by now is to be made. A caller that is told
// false asks again after Yield.
func (p *Patience) Over(n int, now time.Time) bool {
	switch {
	case n >= p.likely || p.took < least:
		return true
	case p.since.IsZero() && p.off > 0:
		p.off--
		return true
	case p.since.IsZero():
		p.since, p.asked = now, 0
	}
	p.asked++
	return now.Sub(p.since) > p.took || p.asked > mostAsk
}

// Done notes that a commit of n callers took so long, and that others have come meanwhile.
func (p *Patience) Done(n, others int, took time.Duration) {
	switch {
	case p.since.IsZero():
	case n >= p.likely && others <= n/4:
		p.vain = 0
	default:
		p.vain = min(2*p.vain+1, mostOff)
		p.off = p.vain
	}
	p.since, p.likely, p.took = time.Time{}, n+others, min(took, most)
}

// Yield lets goroutines and threads run that can, and returns at once when there are none: the
// shortest sleep is longer than what is waited for.
func Yield() {
	runtime.Gosched()
	yield()
}
