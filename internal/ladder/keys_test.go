package ladder

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/glassq/glassq"
)

// keyEvery and costEvery are how many ms a rate, and a cost rate, of a key in the ladder let pass for a token.
const keyEvery, costEvery = 5000, 2000

// A mkey is what a queue remembers of a key: when its buckets are full again, of hand-outs and of cost, until
// when it is held, in ms, and why, and how its tasks ended.
type mkey struct {
	full, cost, held int64
	why              string
	halt             mhalt
}

// A mkeyRule is what every key of a queue may, but for "".
type mkeyRule struct {
	concurrency      int64
	rate, cost       bool
	burst, costBurst int64
}

func (q *mqueue) keyRule() (r mkeyRule) {
	if k := q.set.Keys; k != nil {
		if k.Concurrency != nil {
			r.concurrency = int64(*k.Concurrency)
		}
		r.rate = k.Rate != nil && *k.Rate != ""
		r.cost = k.CostRate != nil && *k.CostRate != ""
		if k.Burst != nil {
			r.burst = int64(*k.Burst)
		}
		if k.CostBurst != nil {
			r.costBurst = int64(*k.CostBurst)
		}
	}
	return r
}

// limited tells whether hand-outs of a key use up something that a crash must not forget.
func (m *model) limited(queue, key string) bool {
	q := m.queues[queue]
	r := q.keyRule()
	return key != "" && (r.concurrency > 0 || r.rate || r.cost)
}

// costOf is what a task says that it costs.
func costOf(t *glassq.Task) int64 { return int64(max(t.Cost, 1)) }

// spend books the hand-out of a task with its key.
func (m *model) spend(t *mtask) {
	q := m.queues[t.Queue]
	at := [2]string{t.Queue, t.Key}
	if k, r := m.keys[at], q.keyRule(); t.Key != "" && (r.rate || r.cost) {
		if r.rate {
			k.full = max(k.full, m.now) + keyEvery
		}
		if r.cost {
			k.cost = max(k.cost, m.now) + costOf(&t.Task)*costEvery
		}
		m.keys[at] = k
	}
}

// settleCost has a task have cost what it did, and not what it said.
func (m *model) settleCost(t *mtask, real int64) {
	q := m.queues[t.Queue]
	if at := [2]string{t.Queue, t.Key}; t.Key != "" && q.keyRule().cost {
		k := m.keys[at]
		k.cost = max(k.cost, m.now) + (real-costOf(&t.Task))*costEvery
		m.keys[at] = k
	}
}

// stopped says what stops a key that has something ready, "" for nothing.
func (m *model) stopped(queue, key string) string {
	q := m.queues[queue]
	r, k := q.keyRule(), m.keys[[2]string{queue, key}]
	switch {
	case k.held > m.now:
		return glassq.KeyHeld
	case key == "":
		return ""
	case k.halt.stops(m.now):
		return glassq.KeyHalted
	case r.concurrency > 0 && m.ofKey(queue, key, glassq.Leased) >= r.concurrency:
		return glassq.KeyFull
	case r.rate && k.full-(r.burst-1)*keyEvery > m.now:
		return glassq.KeyPaced
	}
	for _, num := range m.first(queue, len(m.tasks)) { // the first of the key's
		if t := m.find(num); r.cost && t.Key == key {
			if k.cost-max(r.costBurst-costOf(&t.Task), 0)*costEvery > m.now {
				return glassq.KeyCost
			}
			break
		}
	}
	return ""
}

func (m *model) ofKey(queue, key string, in glassq.State) (n int64) {
	for i := range m.tasks {
		if t := &m.tasks[i]; t.Queue == queue && t.Key == key && t.state == in {
			n++
		}
	}
	return n
}

// eligible are the tasks of a queue of which one is to be handed out: those that come first of the keys that
// may go. Whose turn it is nobody promises past a start.
func (m *model) eligible(queue string) (all []uint64) {
	if !m.queues[queue].keyed {
		return m.first(queue, 1)
	}
	level := -1
	seen := map[string]bool{}
	for _, num := range m.first(queue, len(m.tasks)) {
		t := m.find(num)
		if seen[t.Key] {
			continue
		}
		if seen[t.Key] = true; m.stopped(queue, t.Key) != "" {
			continue
		}
		if level < 0 {
			level = t.Priority.Level()
		}
		if t.Priority.Level() == level {
			all = append(all, num)
		}
	}
	return all
}

// heir is the one of them that a hand-out of body gives.
func (m *model) heir(queue string, body []byte) *mtask {
	all := m.eligible(queue)
	for _, num := range all {
		if t := m.find(num); bytes.Equal(t.Body, body) {
			return t
		}
	}
	if len(all) == 0 {
		return nil
	}
	return m.find(all[0])
}

// changeKeys notes that the rules of the keys of a queue changed.
func (m *model) changeKeys(queue string, was mqueue) {
	q := m.queues[queue]
	from, to := was.keyRule(), q.keyRule()
	q.keyed = q.keyed || q.set.Fair || q.set.HaltsKeys() || to.concurrency > 0 || to.rate || to.cost
	m.queues[queue] = q
	for at, k := range m.keys {
		if at[0] == queue {
			if from.rate && !to.rate {
				k.full = 0
			}
			if from.cost && !to.cost {
				k.cost = 0
			}
			m.keys[at] = k
		}
	}
}

// hold holds the key of a leased task for length, unless it is held for longer.
func (m *model) hold(t *mtask, length time.Duration, why string) {
	at := [2]string{t.Queue, t.Key}
	k := m.keys[at]
	if until := m.now + length.Milliseconds(); until > max(k.held, m.now) {
		k.held, k.why = until, why
	}
	m.keys[at] = k
	q := m.queues[t.Queue]
	q.keyed = true
	m.queues[t.Queue] = q
}

// key shows a key that there is something to say of.
func (v *view) key(queue, key string, ready, leased int64, why string, held int64, heldFor string, tokens,
	costs float64, halted bool, until int64) {
	fmt.Fprintf(v, " %s key %q ready %d leased %d stopped by %q held until %d %q tokens %.4f, %.4f halted %v until %d\n", queue, key, ready,
		leased, why, held, heldFor, tokens, costs, halted, until)
}

// observeKeys reads what a store shows of the keys of a queue; those that are only counted are left out.
func (v *view) observeKeys(ctx context.Context, s glassq.Keys, queue string) error {
	all, err := s.Keys(ctx, queue, "", 1000)
	if err != nil {
		return fmt.Errorf("Keys(%s): %w", queue, err)
	}
	for i := range all {
		k := &all[i]
		tokens, costs := -1.0, -99.0
		if k.Tokens != nil {
			tokens = *k.Tokens
		}
		if k.CostTokens != nil {
			costs = *k.CostTokens
		}
		until := int64(0)
		if !k.Halted.Until.IsZero() {
			until = k.Halted.Until.UnixMilli()
		}
		if k.Concurrency > 0 || k.Tokens != nil || k.CostTokens != nil || k.HeldUntil > 0 || k.Halted.Now() {
			v.key(queue, k.Key, k.Ready, k.Leased, k.Why, k.HeldUntil, k.HeldFor, tokens, costs, k.Halted.Now(), until)
		}
	}
	return nil
}

// viewKeys is what a store ought to show of them.
func (m *model) viewKeys(v *view, queue string) {
	names := map[string]bool{}
	for i := range m.tasks {
		if t := &m.tasks[i]; t.Queue == queue && (t.state == glassq.Ready || t.state == glassq.Leased) {
			names[t.Key] = true
		}
	}
	for at, k := range m.keys {
		if at[0] == queue && (k.held > m.now || k.full > m.now || k.cost > m.now || k.halt.halted) {
			names[at[1]] = true
		}
	}
	delete(names, "")
	q := m.queues[queue]
	r := q.keyRule()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		k := m.keys[[2]string{queue, name}]
		ready, leased := m.ofKey(queue, name, glassq.Ready), m.ofKey(queue, name, glassq.Leased)
		why, held, heldFor, tokens, costs := m.stopped(queue, name), int64(0), "", -1.0, -99.0
		if ready == 0 && why != glassq.KeyHeld {
			if why = ""; k.halt.halted {
				why = glassq.KeyHalted
			}
		}
		if k.held > m.now {
			held, heldFor = k.held, k.why
		}
		if r.rate {
			tokens = float64(r.burst) - float64(max(k.full-m.now, 0))/keyEvery
		}
		if r.cost {
			costs = float64(r.costBurst) - float64(max(k.cost-m.now, 0))/costEvery
		}
		if m.limited(queue, name) || held > 0 || k.halt.halted {
			v.key(queue, name, ready, leased, why, held, heldFor, tokens, costs, k.halt.halted, k.halt.until)
		}
	}
}

// keys changes what keys of a queue may.
func (d *driver) keys(ctx context.Context, queue string) error {
	fair := d.one(3)
	rules := &glassq.KeyRules{KeyLimits: glassq.KeyLimits{Concurrency: new(d.rng.IntN(3)), Rate: new(glassq.KeyRate("")),
		Burst: new(float64(1 + d.rng.IntN(3))), CostRate: new(glassq.KeyRate("")), CostBurst: new(float64(1 + d.rng.IntN(6)))}}
	if d.one(2) {
		*rules.Rate = "12/m"
	}
	if d.one(2) {
		*rules.CostRate = "30/m"
	}
	per := glassq.HaltPerQueue
	if d.one(2) {
		per = glassq.HaltPerKey
	}
	return d.configure(ctx, queue, glassq.SettingsChange{Fair: &fair, Keys: rules, HaltPer: &per})
}

// hold nacks a task whose key is then held.
func (d *driver) hold(ctx context.Context) error {
	for _, tok := range d.some(100) {
		if t := d.m.leased(tok); t.Key != "" {
			return d.nackThis(ctx, glassq.Nack{Token: tok, Undone: true, Reason: "429",
				Hold: time.Duration(1+d.rng.IntN(60))*time.Second + 500*time.Millisecond})
		}
	}
	return nil
}

// release ends a hold, if there is one.
func (d *driver) release(ctx context.Context, queue string) error {
	key := []string{"a", "b", "host"}[d.rng.IntN(3)]
	k, want := d.m.keys[[2]string{queue, key}], glassq.CodeNotFound
	if k.held > d.m.now || k.halt.halted {
		if k.held, want = 0, ""; k.halt.halted {
			k.halt = mhalt{}
		}
		d.m.keys[[2]string{queue, key}] = k
	}
	if err := differs(d.s.(glassq.Keys).ReleaseKey(ctx, queue, key), want); err != nil {
		return fmt.Errorf("ReleaseKey(%s, %s): %w", queue, key, err)
	}
	return nil
}

// free has a queue hand out what it has, but for keys that are held.
func (d *driver) free(ctx context.Context, queue string) error {
	paused, fair := false, false
	none := &glassq.KeyRules{KeyLimits: glassq.KeyLimits{Concurrency: new(0), Rate: new(glassq.KeyRate("")),
		CostRate: new(glassq.KeyRate(""))}}
	return d.configure(ctx, queue, glassq.SettingsChange{Paused: &paused, Fair: &fair, Keys: none})
}
