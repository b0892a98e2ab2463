package state

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/glassq/glassq"
)

// limits are what one key may: its share and its limits, as the rules of its queue make them.
type limits struct {
	weight      int16 // up to glassq.MaxWeight
	concurrency int64 // 0 for none
	rate, cost  bucket
}

// bounded tells whether a hand-out of the key uses up something that a crash must not forget.
func (l *limits) bounded() bool { return l.concurrency > 0 || l.rate.on() || l.cost.on() }

// A bucket gives tokens at a rate, and holds no more than its burst. What is in it is kept as the
// moment when it is full again, in ns of the time of the log: a moment that has passed needs no
// keeping.
type bucket struct {
	every float64 // ns until the next token; 0 for no limit
	burst float64
}

// fullMost is how far, in ns, ahead of now a bucket may be full again: who owes more has that remitted.
const fullMost = int64(10 * 365 * 24 * 3600 * 1e9)

func newBucket(rate *glassq.KeyRate, burst *float64) (b bucket) {
	if rate == nil {
		return b
	}
	perSecond, _ := rate.PerSecond() // a Broker has let it in
	if perSecond == 0 {
		return b
	}
	b = bucket{every: min(1e9/perSecond, 1e17), burst: 1 + perSecond*MinSlack.Seconds()}
	if burst != nil && *burst > 0 {
		b.burst = *burst
	}
	return b
}

func (b *bucket) on() bool { return b.every > 0 }

// due is when n tokens, or as many as it can hold, are in the bucket that is full at full.
func (b *bucket) due(full int64, n float64) int64 {
	return full - saturated((b.burst-min(n, b.burst))*b.every)
}

// take is when the bucket is full again after n tokens are taken out now; below 0 they are put back.
func (b *bucket) take(full, now int64, n float64) int64 {
	return min(max(full, now)+saturated(n*b.every), now+fullMost)
}

// left is how many tokens are in it; a debt is below 0.
func (b *bucket) left(full, now int64) float64 { return b.burst - float64(max(full-now, 0))/b.every }

// moved is when the bucket of other rates is full, with as many tokens missing.
func (b *bucket) moved(full, now int64, to *bucket) int64 {
	if full <= now || !b.on() || !to.on() {
		return 0
	}
	return min(now+saturated(float64(full-now)/b.every*to.every), now+fullMost)
}

func saturated(ns float64) int64 {
	return int64(min(max(ns, -float64(fullMost)), float64(fullMost)))
}

// keyRules are the settings of a queue as its keys are looked up in them.
type keyRules struct {
	on       bool // the queue looks at keys
	all      *limits
	exact    map[string]*limits
	prefixes map[string]*limits
	lengths  []int // of prefixes, longest first
}

// noKey is what tasks without a key have: a share.
var noKey = &limits{weight: 1}

func newKeyRules(set *glassq.Settings) *keyRules {
	r := &keyRules{on: set.Fair || set.HaltsKeys(), exact: map[string]*limits{}, prefixes: map[string]*limits{}}
	under := func(l glassq.KeyLimits) *limits {
		out := &limits{weight: 1, rate: newBucket(l.Rate, l.Burst), cost: newBucket(l.CostRate, l.CostBurst)}
		if l.Weight != nil {
			out.weight = int16(*l.Weight)
		}
		if l.Concurrency != nil {
			out.concurrency = int64(*l.Concurrency)
		}
		r.on = r.on || out.weight != 1 || out.bounded()
		return out
	}
	if set.Keys == nil {
		r.all = under(glassq.KeyLimits{})
		return r
	}
	r.all = under(set.Keys.KeyLimits)
	said := map[string]glassq.KeyLimits{} // by prefix, with what shorter ones say
	inherit := func(key string) glassq.KeyLimits {
		for n := len(key); n >= 0; n-- {
			if l, ok := said[key[:n]]; ok {
				return l
			}
		}
		return set.Keys.KeyLimits
	}
	shortest := func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }
	for _, pattern := range slices.SortedFunc(maps.Keys(set.Keys.Overrides), shortest) {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			said[prefix] = set.Keys.Overrides[pattern].Over(inherit(prefix))
			r.prefixes[prefix] = under(said[prefix])
			if len(r.lengths) == 0 || r.lengths[0] != len(prefix) {
				r.lengths = slices.Insert(r.lengths, 0, len(prefix))
			}
		}
	}
	for pattern, l := range set.Keys.Overrides {
		if !strings.HasSuffix(pattern, "*") {
			r.exact[pattern] = under(l.Over(inherit(pattern)))
		}
	}
	return r
}

// of returns the limits of a key.
func (r *keyRules) of(key string) *limits {
	if key == "" {
		return noKey
	}
	if l := r.exact[key]; l != nil {
		return l
	}
	for _, n := range r.lengths {
		if n <= len(key) {
			if l := r.prefixes[key[:n]]; l != nil {
				return l
			}
		}
	}
	return r.all
}

// ceilMs is the first ms at or after a moment in ns.
func ceilMs(ns int64) int64 { return (ns + 1e6 - 1) / 1e6 }
