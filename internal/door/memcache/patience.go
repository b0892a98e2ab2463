package memcache

import "time"

const (
	mostPatience = time.Millisecond // longest wait for connections before a commit
	mostInVain   = 1 << 10          // commits in a row that wait for nobody, at most
)

// A patience says how long a loop that gathers waits before a commit for connections that are
// likely to put or ack at once. Clients that were answered together come back one after the other:
// a commit with the first few has the others wait for two syncs.
//
// A connection is quick when it comes back for the next commit or the one after, so two halves that
// take turns become one. A wait is no longer than the last commit was, and after one in vain twice
// as many commits as before wait for nobody. The zero value waits for nobody at first.
type patience struct {
	round  int           // number of the last commit
	quick  int           // connections of it that are quick
	likely int           // connections that the next commit is likely to have
	took   time.Duration // by the last commit, at most mostPatience
	since  time.Time     // when the wait has begun; zero: it has not
	vain   int           // commits without a wait that the last wait in vain has cost
	rest   int           // of them, still to come
}

// over reports whether a commit of n connections is to be made now, at least one.
func (p *patience) over(n int, now time.Time) bool {
	switch {
	case n >= p.likely:
		if !p.since.IsZero() {
			p.vain = 0
		}
	case p.rest > 0:
		p.rest--
	case p.since.IsZero():
		p.since = now
		return false
	case now.Sub(p.since) <= p.took:
		return false
	default:
		p.vain = min(2*p.vain+1, mostInVain)
		p.rest = p.vain
	}
	p.since = time.Time{}
	return true
}

// committed notes a commit and how long it took.
func (p *patience) committed(took time.Duration, lists ...[]*conn) {
	p.round++
	quick, again := 0, 0
	for _, list := range lists {
		for _, c := range list {
			was := c.quick && c.commit == p.round-1
			c.quick = c.commit >= p.round-2
			c.commit = p.round
			if c.quick {
				quick++
				if was {
					again++
				}
			}
		}
	}
	p.likely = p.quick + quick - again
	p.quick = quick
	p.took = min(took, mostPatience)
}
