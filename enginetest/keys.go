package enginetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/glassq/glassq"
)

// What a queue keeps of the keys of its tasks. An engine without glassq.Keys passes over them.
func keyLaws() []law {
	return lawsOf[glassq.Keys](slices.Concat([]law{
		{"keys: between two hand-outs of a key that waits every other gets at most its weight", fairKeys},
		{"keys: within a key the order is that of the puts, and priorities are strict", keyOrder},
		{"keys: no eligible task waits while a worker waits", keysWake},
		{"keys: in any window at most the burst and the rate go, and with constant work that much less the burst", keyRate},
		{"keys: what a task really cost is settled by its ack, once", keyCost},
		{"keys: in any window at most the burst and the rate of cost go, and with constant work that much less the burst", keyCostRate},
		{"keys: a hold stops its key for everybody, and ends when it says", keyHold},
		{"keys: limits change while tasks are leased", keyChanges},
	}, perEnd("keys: the concurrency of a key is never exceeded", keyConcurrency),
		perEnd("keys: a rate that was used up stays so", keyRateStays),
		perEnd("keys: in any window at most the burst and the rate of cost go, and a debt stays", keyCostStays),
		perEnd("keys: a hold that was told stays", keyHoldStays)))
}

func keyed(queue, key string, bodies ...string) []glassq.Task {
	ts := tasks(queue, bodies...)
	for i := range ts {
		ts[i].Key = key
	}
	return ts
}

func keysOf(leases []glassq.Lease) string {
	var keys []string
	for i := range leases {
		keys = append(keys, leases[i].Key)
	}
	return strings.Join(keys, " ")
}

// keyRules sets what q keeps of all keys.
func (w *world) keyRules(l glassq.KeyLimits) {
	w.Helper()
	w.configure("q", glassq.SettingsChange{Keys: &glassq.KeyRules{KeyLimits: l}})
}

func rateOf(s string) *glassq.KeyRate { return new(glassq.KeyRate(s)) }

func fairKeys(w *world) {
	weights := map[string]int{"big": 3, "mid": 2, "a": 1, "b": 1}
	over := map[string]glassq.KeyLimits{"big": {Weight: new(3)}, "m*": {Weight: new(2)}}
	w.configure("q", glassq.SettingsChange{Fair: new(true), Keys: &glassq.KeyRules{Overrides: over}})
	rng := rand.New(rand.NewPCG(9, 9))
	names := []string{"big", "big", "big", "mid", "a", "b"}
	ready := map[string]int{}
	since := map[string]map[string]int{}
	for range 400 {
		if rng.IntN(3) > 0 {
			key := names[rng.IntN(len(names))]
			w.put(keyed("q", key, "x")...)
			if ready[key]++; ready[key] == 1 {
				since[key] = map[string]int{}
			}
			continue
		}
		for _, l := range w.reserve("q", 1+rng.IntN(4)) {
			ready[l.Key]--
			since[l.Key] = map[string]int{}
			for key, n := range ready {
				if n == 0 || key == l.Key {
					continue
				}
				if since[key][l.Key]++; since[key][l.Key] > weights[l.Key] {
					w.Fatalf("%s got %d hand-outs while %s waited; its weight is %d", l.Key, since[key][l.Key], key, weights[l.Key])
				}
			}
		}
	}
}

func keyOrder(w *world) {
	w.configure("q", glassq.SettingsChange{Fair: new(true)})
	rng := rand.New(rand.NewPCG(8, 8))
	want := map[string][]string{}
	for i := range 120 {
		key, level := fmt.Sprint("k", rng.IntN(5)), 3+rng.IntN(3)
		t := glassq.Task{Queue: "q", Key: key, Priority: glassq.Level(level), Body: fmt.Append(nil, i)}
		w.put(t)
		want[fmt.Sprint(level, key)] = append(want[fmt.Sprint(level, key)], string(t.Body))
	}
	got := map[string][]string{}
	last := 9
	for _, l := range w.drain("q") {
		if level := l.Priority.Level(); level > last {
			w.Fatalf("a task of priority %d came after one of %d", level, last)
		} else {
			last = level
		}
		name := fmt.Sprint(last, l.Key)
		got[name] = append(got[name], string(l.Body))
	}
	for name, bodies := range want {
		if !slices.Equal(got[name], bodies) {
			w.Errorf("tasks of priority and key %s came as %q; want %q", name, got[name], bodies)
		}
	}
}

func keyConcurrency(w *world, end func()) {
	w.keyRules(glassq.KeyLimits{Concurrency: new(2)})
	w.put(append(keyed("q", "a", numbered(5)...), keyed("q", "b", "0")...)...)
	first := w.reserve("q", 10)
	if got := keysOf(first); got != "a b a" {
		w.Fatalf("hand-outs of %q; want a b a", got)
	}
	end() // right after they were told
	if got := keysOf(w.reserve("q", 10)); got != "" {
		w.Fatalf("after the end, beside two leases of a: hand-outs of %q; want none", got)
	}
	w.ack(acksOf(first[:1])...)
	if got := keysOf(w.reserve("q", 10)); got != "a" {
		w.Fatalf("after one ack: hand-outs of %q; want a", got)
	}
	time.Sleep(leaseTime + 2*time.Second) // all leases run out
	if got := keysOf(w.reserve("q", 10)); got != "a a b" && got != "b a a" && got != "a b a" {
		w.Fatalf("when the leases had run out: hand-outs of %q; want two of a and one of b", got)
	}
}

func keysWake(w *world) {
	w.keyRules(glassq.KeyLimits{Concurrency: new(1), Rate: rateOf("60/m"), Burst: new(2.0)})
	w.put(keyed("q", "a", "0", "1", "2")...)
	l := w.one("q")
	waits := w.ask(glassq.Reserve{Queue: "q", Max: 9, Wait: -1, Lease: leaseTime})
	synctest.Wait()
	if waits.over() {
		w.Fatal("a second task of a key with concurrency 1 was handed out")
	}
	w.ack(glassq.Ack{Token: l.Token()})
	<-waits.done
	if waits.took != 0 || len(waits.leases) != 1 {
		w.Fatalf("after the ack the reserve took %v and got %d; want 1 at once", waits.took, len(waits.leases))
	}
	waits2 := w.ask(glassq.Reserve{Queue: "q", Max: 9, Wait: -1, Lease: leaseTime})
	w.ack(acksOf(waits.leases)...)
	<-waits2.done
	if waits2.took != time.Second {
		w.Fatalf("the third task of 2 at once and 60 a minute came after %v; want 1s", waits2.took)
	}
	other := w.ask(glassq.Reserve{Queue: "q", Max: 9, Wait: -1, Lease: leaseTime})
	synctest.Wait()
	w.put(keyed("q", "other", "x")...)
	<-other.done
	if got := keysOf(other.leases); got != "other" {
		w.Fatalf("hand-outs of %q; want other", got)
	}
}

func keyRate(w *world) {
	const rate, burst = 5, 4.0
	w.keyRules(glassq.KeyLimits{Rate: rateOf("5"), Burst: new(burst)})
	for range 10 {
		w.put(keyed("q", "a", numbered(50)...)...)
	}
	start := time.Now()
	var at []time.Duration
	for time.Since(start) < 60*time.Second {
		got := w.ask(glassq.Reserve{Queue: "q", Max: 3, Wait: time.Second, Lease: leaseTime})
		<-got.done
		for range got.leases {
			at = append(at, time.Since(start))
		}
		w.ack(acksOf(got.leases)...)
	}
	for i := range at {
		for k := i; k < len(at); k++ {
			if n, span := float64(k-i+1), (at[k] - at[i]).Seconds(); n > burst+rate*span+1e-6 {
				w.Fatalf("%v hand-outs in %vs; want at most %v", n, span, burst+rate*span)
			}
		}
	}
	if n := float64(len(at)); n < rate*60-burst {
		w.Errorf("%v hand-outs in 60s; want at least %v", n, rate*60-burst)
	}
}

func keyRateStays(w *world, end func()) {
	w.keyRules(glassq.KeyLimits{Rate: rateOf("60/h"), Burst: new(2.0)})
	w.put(keyed("q", "a", numbered(4)...)...)
	got := w.reserve("q", 10)
	if len(got) != 2 {
		w.Fatalf("%d hand-outs; want the burst of 2", len(got))
	}
	end()
	if n := len(w.reserve("q", 10)); n != 0 {
		w.Fatalf("%d hand-outs after the end; want none", n)
	}
	w.ack(acksOf(got)...)
	time.Sleep(time.Minute)
	if n := len(w.reserve("q", 10)); n != 1 {
		w.Fatalf("%d hand-outs a minute later; want 1", n)
	}
}

func keyCost(w *world) {
	w.keyRules(glassq.KeyLimits{CostRate: rateOf("600/m"), CostBurst: new(100.0)})
	ts := keyed("q", "a", "0", "1", "2", "3")
	for i := range ts {
		ts[i].Cost = 50
	}
	w.put(ts...)
	got := w.reserve("q", 10)
	if len(got) != 2 || got[0].Cost != 50 {
		w.Fatalf("%d hand-outs for a bucket of 100 with 50 each; want 2", len(got))
	}
	ack := glassq.Ack{Token: got[0].Token(), Cost: new(uint32(10))}
	w.ack(ack)
	w.ack(ack) // repeated: nothing is settled twice
	if n := len(w.reserve("q", 10)); n != 0 {
		w.Fatalf("%d hand-outs with 40 in the bucket; want none", n)
	}
	time.Sleep(time.Second)
	if n := len(w.reserve("q", 10)); n != 1 {
		w.Fatalf("%d hand-outs with 50 in the bucket; want 1", n)
	}
	w.ack(glassq.Ack{Token: got[1].Token(), Cost: new(uint32(150))}) // a debt of 100
	time.Sleep(14999 * time.Millisecond)
	if n := len(w.reserve("q", 10)); n != 0 {
		w.Fatalf("%d hand-outs before the debt of 100 was paid; want none", n)
	}
	time.Sleep(time.Millisecond)
	if n := len(w.reserve("q", 10)); n != 1 {
		w.Fatalf("%d hand-outs when the debt was paid and 50 were saved; want 1", n)
	}
}

func keyHold(w *world) {
	w.put(append(keyed("q", "a", "0", "1"), keyed("q", "b", "0", "1")...)...)
	l := w.one("q")
	w.nack(glassq.Nack{Token: l.Token(), Undone: true, Hold: 20 * time.Second, Reason: "status 429"})
	got := w.reserve("q", 10)
	if keysOf(got) != "b b" {
		w.Fatalf("while a is held: hand-outs of %q; want b b", keysOf(got))
	}
	keys, err := part[glassq.Keys](w).Keys(w.Context(), "q", "", 10)
	if err != nil || len(keys) == 0 || keys[0].Key != "a" || keys[0].Why != glassq.KeyHeld || keys[0].HeldFor != "status 429" ||
		keys[0].HeldUntil == 0 || keys[0].Ready != 2 {
		w.Errorf("Keys = %+v, %v; want a, held for status 429", keys, err)
	}
	waits := w.ask(glassq.Reserve{Queue: "q", Max: 9, Wait: -1, Lease: leaseTime})
	<-waits.done
	if waits.took != 20*time.Second || keysOf(waits.leases) != "a a" || waits.leases[0].Attempt != 1 {
		w.Errorf("when the hold ended: %q after %v; want a a after 20s", keysOf(waits.leases), waits.took)
	}
	w.nack(glassq.Nack{Token: waits.leases[0].Token(), Delay: glassq.AtOnce, Hold: time.Hour})
	if n := len(w.reserve("q", 10)); n != 0 {
		w.Errorf("%d hand-outs while a is held; want none", n)
	}
	w.ok("ReleaseKey", part[glassq.Keys](w).ReleaseKey(w.Context(), "q", "a"))
	if n := len(w.reserve("q", 10)); n != 1 {
		w.Errorf("%d hand-outs when a was released; want 1", n)
	}
	w.code("ReleaseKey", part[glassq.Keys](w).ReleaseKey(w.Context(), "q", "a"), glassq.CodeNotFound)
	w.put(tasks("p", "no key")...)
	p := w.one("p")
	w.code("Nack", w.tryNack(glassq.Nack{Token: p.Token(), Hold: time.Second}), glassq.CodeBadRequest)
	w.ack(glassq.Ack{Token: p.Token()})
}

func keyHoldStays(w *world, end func()) {
	w.put(keyed("q", "a", "0", "1")...)
	l := w.one("q")
	w.nack(glassq.Nack{Token: l.Token(), Undone: true, Hold: 30 * time.Minute})
	end()
	w.none("q")
	time.Sleep(30 * time.Minute)
	if n := len(w.reserve("q", 10)); n != 2 {
		w.Errorf("%d hand-outs when the hold had ended; want 2", n)
	}
}

func keyChanges(w *world) {
	w.put(keyed("q", "a", numbered(6)...)...)
	got := w.reserve("q", 3)
	w.keyRules(glassq.KeyLimits{Concurrency: new(2)})
	if n := len(w.reserve("q", 10)); n != 0 {
		w.Fatalf("%d hand-outs beside 3 leases, of 2; want none", n)
	}
	w.ack(acksOf(got[:1])...)
	if n := len(w.reserve("q", 10)); n != 0 {
		w.Fatalf("%d hand-outs beside 2 leases, of 2; want none", n)
	}
	waits := w.ask(glassq.Reserve{Queue: "q", Max: 9, Wait: -1, Lease: leaseTime})
	synctest.Wait()
	free := map[string]glassq.KeyLimits{"a": {Concurrency: new(0)}}
	w.configure("q", glassq.SettingsChange{Keys: &glassq.KeyRules{Overrides: free}})
	<-waits.done
	if len(waits.leases) != 3 {
		w.Fatalf("%d hand-outs when the limit of a was lifted; want 3", len(waits.leases))
	}
	w.configure("q", glassq.SettingsChange{Keys: &glassq.KeyRules{KeyLimits: glassq.KeyLimits{Concurrency: new(0)},
		Overrides: map[string]glassq.KeyLimits{"a": {}}}})
	w.put(keyed("q", "c", "0")...)
	w.put(keyed("q", "d", "1")...)
	w.put(keyed("q", "c", "2")...)
	w.want("q", "0", "1", "2") // as without keys
}
