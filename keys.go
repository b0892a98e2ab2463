package glassq

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of keys.
const (
	MaxKey          = 128           // bytes of a task's key
	MaxCost         = 1_000_000_000 // of a task, and of an ack
	MaxHold         = time.Hour     // that a worker may hold a key for
	MaxWeight       = 1000
	MaxKeyOverrides = 1000 // of one queue
)

// KeyLimits are the share and the limits of a key. A member that is nil leaves what stands, and a
// limit of 0 is none.
type KeyLimits struct {
	Weight      *int     `json:"weight,omitempty"`      // hand-outs in a turn, 1 to MaxWeight; 1 when nobody says
	Concurrency *int     `json:"concurrency,omitempty"` // most leases at a time
	Rate        *KeyRate `json:"rate,omitempty"`        // most hand-outs over time
	CostRate    *KeyRate `json:"cost_rate,omitempty"`   // most cost handed out over time

	// Burst and CostBurst are what may go at once after a rest. 0 means 1 and what a tenth of a
	// second allows. A rate needs a burst of at least what it allows in 10 ms.
	Burst     *float64 `json:"burst,omitempty"`
	CostBurst *float64 `json:"cost_burst,omitempty"`
}

// KeyRules are the limits of the keys of a queue. Each limit of a key is looked up by itself: in
// the override of that name, then in the override of the longest prefix that fits, then in
// KeyLimits. A prefix is written with a * at its end.
type KeyRules struct {
	KeyLimits
	Overrides map[string]KeyLimits `json:"overrides,omitempty"`
}

// A KeyRate is an amount over time: "10/s", "60/m", "1000/h", or "10", which is per second.
type KeyRate string

// UnmarshalJSON takes a number, per second, as well.
func (r *KeyRate) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' && string(b) != "null" {
		*r = KeyRate(b)
		return nil
	}
	return json.Unmarshal(b, (*string)(r))
}

// PerSecond is the rate per second; 0 for none. The error has code bad_request.
func (r KeyRate) PerSecond() (float64, error) {
	if r == "" {
		return 0, nil
	}
	text, unit, _ := strings.Cut(string(r), "/")
	n, err := strconv.ParseFloat(text, 64)
	switch unit {
	case "", "s":
	case "m":
		n /= 60
	case "h":
		n /= 3600
	default:
		err = strconv.ErrSyntax
	}
	if err != nil || !(n >= 0 && n <= MaxRate) {
		return 0, Errorf(CodeBadRequest, "rate %.40q of a key is not like 10/s, 60/m or 1000/h, at most %d/s", string(r), int(MaxRate))
	}
	return n, nil
}

// Merge returns r changed by what c says. An override of c that says nothing removes that of r.
func (r *KeyRules) Merge(c *KeyRules) *KeyRules {
	if c == nil {
		return r
	}
	var out KeyRules
	if r != nil {
		out = KeyRules{KeyLimits: r.KeyLimits, Overrides: maps.Clone(r.Overrides)}
	}
	out.KeyLimits = c.KeyLimits.Over(out.KeyLimits)
	for pattern, l := range c.Overrides {
		if l == (KeyLimits{}) {
			delete(out.Overrides, pattern)
			continue
		}
		if out.Overrides == nil {
			out.Overrides = map[string]KeyLimits{}
		}
		out.Overrides[pattern] = l.Over(out.Overrides[pattern])
	}
	if out.KeyLimits == (KeyLimits{}) && len(out.Overrides) == 0 {
		return nil
	}
	return &out
}

// Over returns what l says, and where it says nothing, what under says.
func (l KeyLimits) Over(under KeyLimits) KeyLimits {
	return KeyLimits{cmp.Or(l.Weight, under.Weight), cmp.Or(l.Concurrency, under.Concurrency), cmp.Or(l.Rate, under.Rate),
		cmp.Or(l.CostRate, under.CostRate), cmp.Or(l.Burst, under.Burst), cmp.Or(l.CostBurst, under.CostBurst)}
}

// Check refuses rules that cannot be kept. The error has code bad_request, and names the override.
func (r *KeyRules) Check() error {
	if r == nil {
		return nil
	}
	if err := r.check(); err != nil {
		return Errorf(CodeBadRequest, "keys: %v", err)
	}
	if n := len(r.Overrides); n > MaxKeyOverrides {
		return Errorf(CodeBadRequest, "keys: %d overrides are more than %d; give a prefix like acme.* to many keys at once", n, MaxKeyOverrides)
	}
	for _, pattern := range slices.Sorted(maps.Keys(r.Overrides)) {
		key := strings.TrimSuffix(pattern, "*")
		if len(key) > MaxKey || pattern == "" {
			return Errorf(CodeBadRequest, "keys: override %.40q is not a key of 1 to %d bytes or a prefix with * at its end", pattern, MaxKey)
		}
		if err := r.Overrides[pattern].Over(r.KeyLimits).check(); err != nil {
			return Errorf(CodeBadRequest, "keys: override %.40q: %v", pattern, err)
		}
	}
	return nil
}

func (l KeyLimits) check() error {
	if l.Weight != nil && (*l.Weight < 1 || *l.Weight > MaxWeight) {
		return fmt.Errorf("weight %d is not 1 to %d; to stop a key, set a rate of its own, or pause the queue", *l.Weight, MaxWeight)
	}
	if l.Concurrency != nil && (*l.Concurrency < 0 || *l.Concurrency > 1<<30) {
		return fmt.Errorf("concurrency %d is not 1 or more, or 0 for no limit", *l.Concurrency)
	}
	for _, b := range []struct {
		what, burst string
		rate        *KeyRate
		most        *float64
	}{{"rate", "burst", l.Rate, l.Burst}, {"cost_rate", "cost_burst", l.CostRate, l.CostBurst}} {
		var perSecond float64
		if b.rate != nil {
			var err error
			if perSecond, err = b.rate.PerSecond(); err != nil {
				return err
			}
		}
		if b.most == nil || *b.most == 0 {
			continue
		}
		if !(*b.most >= 1 && *b.most <= 1e12) {
			return fmt.Errorf("%s %v is not 1 or more, or 0 for that of the %s", b.burst, *b.most, b.what)
		}
		if least := perSecond / 100; *b.most < least {
			return fmt.Errorf("%s %v is too little for the %s %s, which needs %.0f: what it allows in 10 ms", b.burst, *b.most, b.what, *b.rate, least)
		}
	}
	return nil
}

// KeyInfo shows a key of a queue.
type KeyInfo struct {
	Key    string `json:"key"`
	Ready  int64  `json:"ready"`
	Leased int64  `json:"leased"`

	// Why is the reason that its tasks are not handed out now: KeyHeld, KeyHalted, KeyFull, KeyPaced
	// or KeyCost; "" for none.
	Why string `json:"why,omitempty"`
	// HeldUntil is the end of its hold, in ms since 1970, and HeldFor the reason of that; 0 and ""
	// without a hold.
	HeldUntil int64  `json:"held_until,omitempty"`
	HeldFor   string `json:"held_for,omitempty"`
	Halted    Halted `json:"halted,omitzero"` // with HaltPer: since when, and why

	Weight      int `json:"weight"`
	Concurrency int `json:"concurrency,omitempty"` // most leases; 0 means no limit
	// Tokens and CostTokens are in the buckets of its rates now; nil without a rate. A debt of cost
	// is below 0.
	Tokens     *float64 `json:"tokens,omitempty"`
	CostTokens *float64 `json:"cost_tokens,omitempty"`
}

// Values of KeyInfo.Why.
const (
	KeyHeld   = "held"        // a hold stands
	KeyHalted = "halted"      // too many of its tasks failed
	KeyFull   = "concurrency" // as many of its tasks are leased as may be
	KeyPaced  = "rate"
	KeyCost   = "cost"
)

// KeyCounts are the numbers of keys of a queue that have ready tasks, and of those among them that
// are stopped.
type KeyCounts struct {
	Waiting int64 `json:"waiting"`     // keys with ready tasks, stopped ones included
	Held    int64 `json:"held"`        // by a hold
	Full    int64 `json:"concurrency"` // by their concurrency
	Paced   int64 `json:"rate"`        // by a rate, of hand-outs or of cost
	Halted  int64 `json:"halted"`      // since too many of their tasks failed
}

// Stopped is how many of them are stopped.
func (k *KeyCounts) Stopped() int64 { return k.Held + k.Full + k.Paced + k.Halted }

// Keys is the part of an engine that shows keys. An engine may lack it; a [Broker] before such a
// one answers unsupported.
type Keys interface {
	// Keys lists keys of a queue in their order, after the key after ("" is from the first on), at
	// most max: those with ready or leased tasks, and those that a hold, a halt, a debt or an
	// unfilled bucket keeps in mind. A queue that neither shares nor limits nor halts them has none.
	Keys(ctx context.Context, queue, after string, max int) ([]KeyInfo, error)
	// ReleaseKey ends a hold and a halt. A key that has neither is not_found.
	ReleaseKey(ctx context.Context, queue, key string) error
}
