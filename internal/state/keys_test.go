package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glassq/glassq"
)

// checkKeys compares what each keyring counts with the table, and where each key stands with where
// it belongs.
func checkKeys(t *testing.T, s *State) {
	t.Helper()
	ready, leased := map[*key]int64{}, map[*key]int64{}
	s.pick(func(*entry) bool { return true }, func(n uint64, e *entry) bool {
		c := &s.class[e.class]
		if (c.key != nil) != (c.queue.ring != nil) || c.key != nil && (c.key.name != c.name() || c.key.q != c.queue) {
			t.Fatalf("task %d of key %q has the key %+v", n, c.name(), c.key)
		}
		switch {
		case c.key == nil:
		case e.state() == glassq.Ready:
			ready[c.key]++
		case e.state() == glassq.Leased:
			leased[c.key]++
		}
		return true
	})
	for _, r := range s.ranges {
		if k := s.class[r.class].key; k != nil && r.state == glassq.Ready {
			ready[k] += int64(r.left)
		}
	}
	for _, q := range s.Queues() {
		if q.ring == nil {
			continue
		}
		var counts [keyStandings]int64
		for _, k := range q.ring.keys {
			if k.ready != ready[k] || int64(k.leased) != leased[k] {
				t.Fatalf("queue %s, key %q counts %d ready, %d leased; the table has %d, %d", q.Name, k.name, k.ready, k.leased,
					ready[k], leased[k])
			}
			if stands, due := s.standing(k); stands != k.stands || due != k.due {
				t.Fatalf("queue %s, key %q stands as %d until %d; want %d until %d", q.Name, k.name, k.stands, k.due, stands, due)
			}
			counts[k.stands]++
			if k.stands == keyOpen != (k.next != nil) {
				t.Fatalf("queue %s, key %q stands as %d, in a ring: %t", q.Name, k.name, k.stands, k.next != nil)
			}
		}
		if counts != q.ring.counts {
			t.Fatalf("queue %s counts keys as %v, want %v", q.Name, q.ring.counts, counts)
		}
		for level, head := range q.ring.rings {
			if (head != nil) != (q.ring.filled>>level&1 == 1) {
				t.Fatalf("queue %s: filled is %b, ring %d is %p", q.Name, q.ring.filled, level, head)
			}
			for k := head; k != nil; {
				if k.stands != keyOpen || int(k.level) != level || k.credit < 1 {
					t.Fatalf("queue %s, ring %d holds key %q: %+v", q.Name, level, k.name, k)
				}
				if k = k.next; k == head {
					break
				}
			}
		}
		if n, ok := s.Eldest(q, nil); ok != (q.count[glassq.Ready] > 0) {
			t.Fatalf("queue %s: eldest %d, %t with %d ready", q.Name, n, ok, q.count[glassq.Ready])
		}
	}
}

// TestMarks compares the table with a map over random steps.
func TestMarks(t *testing.T) {
	sd := *seed
	if sd == 0 {
		sd = rand.Uint64()
	}
	t.Logf("-seed %d", sd)
	rnd := rand.New(rand.NewPCG(sd, 2))
	var m keyMarks
	want := map[string]int64{}
	most := 10
	for i := range 200_000 {
		if i%20_000 == 0 {
			most = 1 + rnd.IntN(3000)
		}
		name := fmt.Sprint("key", rnd.IntN(most))
		if _, ok := want[name]; ok {
			if got := m.get(name); got == nil || got.held != want[name] {
				t.Fatalf("get(%q) = %+v, want %d", name, got, want[name])
			}
			if got := m.take(name); got.held != want[name] {
				t.Fatalf("take(%q) = %+v, want %d", name, got, want[name])
			}
			delete(want, name)
		} else if rnd.IntN(2) == 0 || len(want) < most/2 {
			m.put(keyMark{name: name, held: int64(i)})
			want[name] = int64(i)
		} else if got := m.get(name); got != nil {
			t.Fatalf("get(%q) = %+v, want none", name, got)
		}
		if m.n != len(want) {
			t.Fatalf("%d marks, want %d", m.n, len(want))
		}
	}
	for i := range m.n {
		if x := m.at(i); want[x.name] != x.held {
			t.Fatalf("mark %d is %+v, want %d", i, x, want[x.name])
		}
	}
}

// A keysBench is a state with a queue, and its own numbering of leases.
type keysBench struct {
	t *testing.T
	s *State
}

func newKeysBench(t *testing.T, set glassq.Settings) *keysBench {
	b := &keysBench{t, New(Hooks{})}
	b.s.Advance(1_700_000_000_000)
	b.apply(AppendQueue(nil, "q", set))
	return b
}

func (b *keysBench) apply(rec []byte) {
	b.t.Helper()
	if _, err := b.s.Apply(rec, 1, 0); err != nil {
		b.t.Fatal(err)
	}
	checkKeys(b.t, b.s)
}

func (b *keysBench) put(key string, cost uint32) {
	b.t.Helper()
	b.apply(AppendPut(nil, &glassq.Task{Queue: "q", Key: key, Cost: cost, Body: []byte(key)}))
}

// lease hands the next task out, and returns its lease and key; "-" for none.
func (b *keysBench) lease() (number uint64, key string) {
	b.t.Helper()
	number, _ = b.s.NextLease()
	n, ok := b.s.Head(b.s.Queue("q"), nil)
	if !ok {
		return 0, "-"
	}
	b.apply(AppendLease(nil, number, n, 3_600_000))
	return number, b.s.class[b.s.tasks.get(n).class].name()
}

// leases hands out until nothing may go, and returns the keys.
func (b *keysBench) leases(most int) string {
	b.t.Helper()
	var keys []string
	for len(keys) < most {
		_, key := b.lease()
		if key == "-" {
			break
		}
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}

func (b *keysBench) after(d time.Duration) { b.s.Advance(b.s.now + d.Milliseconds()) }

func TestFairKeysTakeTurns(t *testing.T) {
	big := map[string]glassq.KeyLimits{"big": {Weight: new(2)}}
	b := newKeysBench(t, glassq.Settings{Fair: true, Keys: &glassq.KeyRules{Overrides: big}})
	for range 6 {
		b.put("big", 0)
	}
	for range 2 {
		b.put("a", 0)
		b.put("", 0)
	}
	if got, want := b.leases(99), "big big a  big big a  big big"; got != want {
		t.Errorf("hand-outs %q, want %q", got, want)
	}
}

func TestKeyLimits(t *testing.T) {
	limits := func(l glassq.KeyLimits) glassq.Settings { return glassq.Settings{Keys: &glassq.KeyRules{KeyLimits: l}} }
	t.Run("concurrency", func(t *testing.T) {
		b := newKeysBench(t, limits(glassq.KeyLimits{Concurrency: new(1)}))
		for range 2 {
			b.put("a", 0)
			b.put("b", 0)
		}
		first, _ := b.lease()
		if got := b.leases(9); got != "b" {
			t.Errorf("beside the first of a: %q, want b", got)
		}
		b.apply(AppendAck(nil, first, glassq.OK, false))
		if got := b.leases(9); got != "a" {
			t.Errorf("after the ack: %q, want a", got)
		}
		b.apply(AppendQueue(nil, "q", limits(glassq.KeyLimits{Concurrency: new(2)})))
		if got := b.leases(9); got != "b" {
			t.Errorf("with a higher limit: %q, want b", got)
		}
	})
	t.Run("concurrency below what is leased", func(t *testing.T) {
		b := newKeysBench(t, glassq.Settings{Fair: true})
		for range 4 {
			b.put("a", 0)
		}
		b.leases(3)
		b.apply(AppendQueue(nil, "q", limits(glassq.KeyLimits{Concurrency: new(2)})))
		b.apply(AppendAck(nil, 1, glassq.OK, false))
		if got := b.leases(9); got != "" {
			t.Errorf("with two leased of two: %q", got)
		}
		b.apply(AppendAck(nil, 2, glassq.OK, false))
		if got := b.leases(9); got != "a" {
			t.Errorf("with one leased of two: %q, want a", got)
		}
	})
	t.Run("rate", func(t *testing.T) {
		b := newKeysBench(t, limits(glassq.KeyLimits{Rate: new(glassq.KeyRate("60/m")), Burst: new(2.0)}))
		for range 6 {
			b.put("a", 0)
		}
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "a a"}, {999 * time.Millisecond, ""}, {time.Millisecond, "a"}, {time.Hour, "a a"}, {time.Second, "a"}} {
			b.after(step.after)
			if got := b.leases(9); got != step.want {
				t.Errorf("after %v more: %q, want %q", step.after, got, step.want)
			}
		}
	})
	t.Run("cost, settled", func(t *testing.T) {
		b := newKeysBench(t, limits(glassq.KeyLimits{CostRate: new(glassq.KeyRate("10")), CostBurst: new(100.0)}))
		for _, cost := range []uint32{60, 60, 500, 10} {
			b.put("a", cost)
		}
		first, _ := b.lease()
		if got := b.leases(9); got != "" {
			t.Errorf("60 of 40: %q", got)
		}
		b.apply(AppendKeyCost(nil, first, 40)) // 60 are left
		b.apply(AppendAck(nil, first, glassq.OK, false))
		if got := b.leases(9); got != "a" {
			t.Errorf("60 of 60: %q", got)
		}
		b.after(9900 * time.Millisecond)
		if got := b.leases(9); got != "" {
			t.Errorf("500 of 99: %q", got)
		}
		b.after(100 * time.Millisecond)
		if got := b.leases(9); got != "a" {
			t.Errorf("500 of a full bucket: %q, want a", got)
		}
		b.after(40 * time.Second) // the debt of 400 is paid
		if got := b.leases(9); got != "" {
			t.Errorf("10 of 0: %q", got)
		}
		b.after(time.Second)
		if got := b.leases(9); got != "a" {
			t.Errorf("10 of 10: %q, want a", got)
		}
	})
	t.Run("a rate that becomes another", func(t *testing.T) {
		b := newKeysBench(t, limits(glassq.KeyLimits{Rate: new(glassq.KeyRate("1/h"))}))
		b.put("a", 0)
		b.put("a", 0)
		b.leases(9)
		b.apply(AppendQueue(nil, "q", limits(glassq.KeyLimits{Rate: new(glassq.KeyRate("1/s")), Burst: new(1.0)})))
		b.after(time.Second)
		if got := b.leases(9); got != "a" {
			t.Errorf("a second after the rate of 1/h became 1/s: %q, want a", got)
		}
	})
}

// TestKeysKeepToTheSchedule: a queue is as late as it is while some key may go, and is not while keys keep
// everything back.
func TestKeysKeepToTheSchedule(t *testing.T) {
	const rate = 1
	fair := glassq.Settings{Rate: rate, Fair: true}
	limits := func(a, b int) glassq.Settings {
		return glassq.Settings{Rate: rate, Keys: &glassq.KeyRules{Overrides: map[string]glassq.KeyLimits{
			"a": {Concurrency: new(a)}, "b": {Concurrency: new(b)}}}}
	}
	put := func(b *keysBench, key string, level int) {
		b.apply(AppendPut(nil, &glassq.Task{Queue: "q", Key: key, Priority: glassq.Level(level)}))
	}
	for _, tt := range []struct {
		name       string
		set        glassq.Settings
		begin, end func(b *keysBench) // ten seconds lie between them
		late       time.Duration
	}{
		{"its next task has another priority", fair, func(b *keysBench) { put(b, "a", 5); put(b, "a", 4) },
			func(b *keysBench) { b.lease() }, 9 * time.Second},
		{"a redrive beside the limit", limits(1, 0), func(b *keysBench) {
			put(b, "a", 4)
			put(b, "a", 4)
			number, _ := b.lease()
			b.apply(AppendNack(nil, number, &glassq.Nack{Dead: true}, 0))
		}, func(b *keysBench) { b.apply(appendRedrive(nil, "q", 1)) }, 9 * time.Second},
		{"keys come on", glassq.Settings{Rate: rate}, func(b *keysBench) { put(b, "a", 4) },
			func(b *keysBench) { b.apply(AppendQueue(nil, "q", fair)) }, 10 * time.Second},
		{"keys go off", fair, func(b *keysBench) { put(b, "a", 4) },
			func(b *keysBench) { b.apply(AppendQueue(nil, "q", glassq.Settings{Rate: rate})) }, 10 * time.Second},
		{"another key is held", glassq.Settings{Rate: rate}, func(b *keysBench) { put(b, "a", 4) },
			func(b *keysBench) { b.apply(AppendHold(nil, "q", "b", 1000, "")) }, 10 * time.Second},
		{"one key may go for another", limits(2, 1), func(b *keysBench) {
			for range 2 {
				put(b, "a", 4)
				put(b, "b", 4)
			}
			b.leases(2)
		}, func(b *keysBench) { b.apply(AppendQueue(nil, "q", limits(1, 2))) }, 8 * time.Second},
		{"the limit of all goes up", limits(1, 1), func(b *keysBench) { put(b, "a", 4); put(b, "a", 4); b.lease() },
			func(b *keysBench) { b.apply(AppendQueue(nil, "q", limits(2, 1))) }, 0},
		{"the limit of all goes", limits(1, 1), func(b *keysBench) { put(b, "a", 4); put(b, "a", 4); b.lease() },
			func(b *keysBench) { b.apply(AppendQueue(nil, "q", glassq.Settings{Rate: rate})) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newKeysBench(t, tt.set)
			tt.begin(b)
			b.after(10 * time.Second)
			tt.end(b)
			if got := b.s.Queue("q").Pace.Late(b.s.nanos()); got != tt.late {
				t.Errorf("the next task is %v late, want %v", got, tt.late)
			}
		})
	}
}

// TestKeysGoOff: a queue that looked at keys for the sake of a hold does so no longer than need be.
func TestKeysGoOff(t *testing.T) {
	b := newKeysBench(t, glassq.Settings{Fair: true})
	b.put("a", 0)
	b.apply(AppendHold(nil, "q", "a", 1000, ""))
	b.apply(AppendQueue(nil, "q", glassq.Settings{}))
	b.after(time.Second)
	number, _ := b.lease()
	b.apply(AppendAck(nil, number, glassq.OK, false))
	b.after(2 * time.Minute)
	if b.s.Queue("q").ring != nil {
		t.Error("two minutes after the hold the queue still looks at keys")
	}
}

func TestHold(t *testing.T) {
	b := newKeysBench(t, glassq.Settings{})
	for range 3 {
		b.put("a", 0)
	}
	b.put("b", 0)
	b.put("b", 0)
	number, _ := b.lease()
	n := glassq.Nack{Token: glassq.Token{Queue: "q", Number: number}, Undone: true, Hold: 20 * time.Second, Reason: "429"}
	rec, err := b.s.DecideHold(nil, &n)
	if err != nil {
		t.Fatal(err)
	}
	b.apply(rec)
	b.apply(AppendNack(nil, number, &n, 0))
	if got := b.leases(1); got != "b" {
		t.Errorf("while a is held: %q, want b", got)
	}
	shown := b.s.Keys(b.s.Queue("q"), "", 9)
	if len(shown) != 2 || shown[0].Why != glassq.KeyHeld || shown[0].HeldFor != "429" || shown[0].Ready != 3 ||
		shown[1].Leased != 1 {
		t.Errorf("keys: %+v", shown)
	}
	b.apply(AppendHold(nil, "q", "a", 1000, "shorter"))
	b.after(20*time.Second - time.Millisecond)
	if got := b.leases(9); got != "b" {
		t.Errorf("before the hold ends: %q, want b", got)
	}
	b.after(time.Millisecond)
	if got := b.leases(1); got != "a" {
		t.Errorf("when the hold ends: %q, want a", got)
	}
	b.apply(AppendHold(nil, "q", "a", 3_600_000, ""))
	if got := b.leases(9); got != "" {
		t.Errorf("while a is held: %q", got)
	}
	rec, err = b.s.DecideRelease(nil, "q", "a")
	if err != nil {
		t.Fatal(err)
	}
	b.apply(rec)
	if got := b.leases(9); got != "a a" {
		t.Errorf("when it was released: %q, want a a", got)
	}
	if _, err := b.s.DecideRelease(nil, "q", "a"); glassq.CodeOf(err) != glassq.CodeNotFound {
		t.Errorf("a second release: %v, want not_found", err)
	}
}

// TestIdleKeysAreForgotten: a key without tasks is in mind while its bucket fills, and no longer.
func TestIdleKeysAreForgotten(t *testing.T) {
	limits := glassq.KeyLimits{Rate: new(glassq.KeyRate("2/h"))}
	b := newKeysBench(t, glassq.Settings{Keys: &glassq.KeyRules{KeyLimits: limits}})
	for i := range 1000 {
		b.put(fmt.Sprint("host", i), 0)
		number, _ := b.lease()
		b.apply(AppendAck(nil, number, glassq.OK, false))
	}
	b.put("other", 0)
	q := b.s.Queue("q")
	if shown := len(b.s.Keys(q, "host5", 2000)); len(q.ring.keys) != 1 || q.ring.marks.n != 1000 || shown != 555 {
		t.Errorf("%d keys, %d marks, %d shown behind host5", len(q.ring.keys), q.ring.marks.n, shown)
	}
	b.put("host7", 0)
	if got := b.leases(9); got != "other" {
		t.Errorf("hand-outs %q, want other: host7 has to wait", got)
	}
	b.after(31 * time.Minute)
	if q.ring.marks.n != 0 || b.leases(9) != "host7" {
		t.Errorf("%d marks are left", q.ring.marks.n)
	}
}

// TestFairnessOverRandomSteps: of the keys that wait, none gets more than its weight between two
// hand-outs of another, and within a key the order is that of the puts.
func TestFairnessOverRandomSteps(t *testing.T) {
	sd := *seed
	if sd == 0 {
		sd = rand.Uint64()
	}
	t.Logf("-seed %d", sd)
	rnd := rand.New(rand.NewPCG(sd, 3))
	weights := map[string]int{"key0": 1, "key1": 3, "key2": 2, "key3": 1}
	rules := &glassq.KeyRules{Overrides: map[string]glassq.KeyLimits{"key1": {Weight: new(3)}, "key2": {Weight: new(2)}}}
	b := newKeysBench(t, glassq.Settings{Fair: true, Keys: rules})
	since := map[string]map[string]int{} // by key that waits all along: hand-outs of others since its own
	last := map[string]uint64{}
	for range 5000 {
		if rnd.IntN(2) == 0 {
			b.put(fmt.Sprint("key", rnd.IntN(4)), 0)
			continue
		}
		n, ok := b.s.Head(b.s.Queue("q"), nil)
		if !ok {
			continue
		}
		_, got := b.lease()
		if n < last[got] {
			t.Fatalf("task %d of %s came after %d", n, got, last[got])
		}
		last[got] = n
		for _, k := range b.s.Queue("q").ring.keys {
			switch {
			case k.name == got || k.ready == 0 || since[k.name] == nil:
				since[k.name] = map[string]int{}
			default:
				if since[k.name][got]++; since[k.name][got] > weights[got] {
					t.Fatalf("%s had %d hand-outs while %s waited", got, since[k.name][got], k.name)
				}
			}
		}
	}
}

func TestKeyRulesAreFound(t *testing.T) {
	n := func(c int) glassq.KeyLimits { return glassq.KeyLimits{Concurrency: new(c)} }
	set := glassq.Settings{Keys: &glassq.KeyRules{
		KeyLimits: glassq.KeyLimits{Concurrency: new(1), Rate: new(glassq.KeyRate("5"))},
		Overrides: map[string]glassq.KeyLimits{"api.*": n(2), "api.big.*": n(3), "api.big.com": {Weight: new(7)},
			"free": n(0), "*": {Weight: new(2)}},
	}}
	r := newKeyRules(&set)
	for _, tt := range []struct {
		key                 string
		concurrency, weight int
	}{{"x", 1, 2}, {"api.small", 2, 2}, {"api.big.org", 3, 2}, {"api.big.com", 3, 7}, {"free", 0, 2}, {"", 0, 1}} {
		l := r.of(tt.key)
		if l.concurrency != int64(tt.concurrency) || int(l.weight) != tt.weight || l.rate.on() != (tt.key != "") {
			t.Errorf("limits of %q: %+v, want concurrency %d, weight %d", tt.key, l, tt.concurrency, tt.weight)
		}
	}
	if !slices.Equal(r.lengths, []int{8, 4, 0}) {
		t.Errorf("lengths %v", r.lengths)
	}
}

// rules draws rules of keys, mostly none.
func (w *walker) rules() *glassq.KeyRules {
	if w.rnd.IntN(3) == 0 {
		return nil
	}
	limits := func() (l glassq.KeyLimits) {
		if w.rnd.IntN(2) == 0 {
			l.Concurrency = new(1 + w.rnd.IntN(3))
		}
		if w.rnd.IntN(2) == 0 {
			l.Rate = new(glassq.KeyRate(fmt.Sprintf("%d/m", 1+w.rnd.IntN(200))))
		}
		if w.rnd.IntN(3) == 0 {
			l.CostRate = new(glassq.KeyRate(fmt.Sprint(1 + w.rnd.IntN(3))))
			l.CostBurst = new(float64(1 + w.rnd.IntN(9)))
		}
		if w.rnd.IntN(3) == 0 {
			l.Weight = new(1 + w.rnd.IntN(4))
		}
		return l
	}
	return &glassq.KeyRules{KeyLimits: limits(), Overrides: map[string]glassq.KeyLimits{"key1": limits(), "key*": limits()}}
}
